//! Everything may be done to everyone from inside every call.

use crate::bed::Bed;
use crate::script::{At, Event};
use crate::side::{Side, run_for, run_until};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use usockets::{Endpoint, ListenerId, Net, Platform, SocketId};

/// The calls that the scene makes happen.
const CALLS: [&str; 10] = [
    "open",
    "data",
    "writable",
    "end",
    "timeout",
    "close",
    "connect error",
    "timer",
    "accept error",
    "wake",
];

fn name(event: &Event) -> &'static str {
    match event {
        Event::Open(..) => "open",
        Event::Data(..) => "data",
        Event::Readable(_) => "readable",
        Event::Writable(_) => "writable",
        Event::End(_) => "end",
        Event::Drain(_) => "drain",
        Event::Timeout(_) => "timeout",
        Event::Close(..) => "close",
        Event::ConnectError(..) => "connect error",
        Event::Timer(..) => "timer",
        Event::AcceptError(..) => "accept error",
        Event::Wake => "wake",
    }
}

/// What an action may use: the running call's socket, the others, the listener.
struct Scene {
    own: Option<SocketId>,
    others: Vec<SocketId>,
    listener: ListenerId,
    addr: std::net::SocketAddr,
    free_addr: std::net::SocketAddr,
}

/// Plays a scene in which every kind of call comes about on the server, once for each kind, and
/// does `action` in the first of that kind. What must hold always is checked by the script; after
/// the scene, every slot must come back and the loop must still serve.
fn inside_every_call<B: Bed>(
    bed: &mut B,
    action: impl Fn(&mut Net<'_, B::P, u8>, &Scene) + Copy + 'static,
) {
    let mut hosts = 0;
    for call in CALLS {
        let mut server = Side::with::<8>(hosts, bed.platform(), 4_096, 256);
        let mut client = Side::with::<32>(hosts + 1, bed.platform(), 65_536, 0);
        hosts += 2;
        let done = play(bed, &mut server, &mut client, call, action);
        // In a rough network, and on a busy machine, not everything comes about in time.
        let surely = bed.is_smooth() && bed.is_virtual() && call != "wake";
        let tail = server.script.tail();
        assert!(done || !surely, "the scene has no {call:?}:\n{tail}");
        still_serves(bed, &mut server, &mut client);
    }
}

fn play<B: Bed>(
    bed: &mut B,
    server: &mut Side<B::P>,
    client: &mut Side<B::P>,
    call: &'static str,
    action: impl Fn(&mut Net<'_, B::P, u8>, &Scene) + 'static,
) -> bool {
    let (listener, addr) = server.listen(bed, 1);
    let free_addr = bed.addr(server.host);
    let open = Rc::new(RefCell::new(Vec::new()));
    let done = Rc::new(Cell::new(false));
    let seen = Rc::clone(&done);
    server.script.finish_on_end = false;
    server.script.keep_on_timeout = true;
    server.script.act(move |at, event| {
        note_open(&open, event);
        if name(event) == call && !seen.replace(true) {
            let own = event.id();
            let mut others = open.borrow().clone();
            others.retain(|id| Some(*id) != own);
            let scene = Scene {
                own,
                others,
                listener,
                addr,
                free_addr,
            };
            action(at.net(), &scene);
        }
        act_along(at, event);
    });
    let _ = server
        .net()
        .start_timer(Duration::from_millis(3), Duration::ZERO);
    refused(bed, server);
    let ids: Vec<_> = (0..9).map(|_| client.connect(addr, 2).unwrap()).collect();
    let both = &mut [server, client];
    run_for(bed, both, Duration::from_millis(40));
    for id in &ids {
        if both[1].net().is_open(*id) {
            both[1].say(*id, b"hello");
        }
    }
    if both[1].net().is_open(ids[0]) {
        both[1].finish(ids[0]);
    }
    run_for(bed, both, Duration::from_millis(40));
    both[1].net().close_all(2, 9);
    run_for(bed, both, Duration::from_millis(150));
    done.get()
}

/// A connect that fails.
fn refused<B: Bed>(bed: &B, server: &mut Side<B::P>) {
    let (gone, addr) = server.listen(bed, 8);
    server.net().stop_listening(gone);
    let _ = server.connect(bed.nowhere().unwrap_or(addr), 3);
}

fn note_open(open: &RefCell<Vec<SocketId>>, event: &Event) {
    match event {
        Event::Open(id, ..) => open.borrow_mut().push(*id),
        Event::Close(id, _) => open.borrow_mut().retain(|other| other != id),
        _ => {}
    }
}

/// Makes the scene go on: fills a socket, ends it, lets it time out.
fn act_along<P: Platform>(at: &mut At<'_, '_, P>, event: &Event) {
    match event {
        Event::Open(id, ..) => {
            at.net().set_timeout(*id, Duration::from_millis(15));
            // Fills what lies between, so that on_writable comes.
            while at.net().write(*id, &[7; 4_096]) == 4_096 {}
        }
        Event::End(id) => at.net().finish(*id),
        _ => {}
    }
}

/// Everything can be closed, all slots come back, and a new connection is served.
fn still_serves<B: Bed>(bed: &mut B, server: &mut Side<B::P>, client: &mut Side<B::P>) {
    server.script.act(|_, _| {});
    let long = bed.long();
    for context in 0..8 {
        server.net().close_all(context, 3);
    }
    assert!(
        run_until(bed, &mut [server, client], long, |sides| {
            sides[1].lp.stats().in_use == 0 && sides[0].lp.stats().in_use == 0
        }),
        "{:?} {:?}",
        server.lp.stats(),
        client.lp.stats()
    );
    for side in [&*server, &*client] {
        assert!(side.script.talks.values().all(|talk| talk.closed.is_some()));
        assert_eq!(side.lp.stats().open, 0);
    }
    let (_, addr) = server.listen(bed, 1);
    let id = client.connect(addr, 2).unwrap();
    assert!(run_until(bed, &mut [server, client], long, |sides| {
        sides[1].script.talks.contains_key(&id)
    }));
    client.say(id, b"again");
    assert!(run_until(bed, &mut [server, client], long, |sides| {
        sides[0]
            .script
            .talks
            .values()
            .any(|talk| talk.received == b"again")
    }));
}

/// Closing the socket that the call is about (W2).
pub fn close_self_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        if let Some(id) = scene.own {
            net.close_with(id, 1);
            assert_eq!(net.write(id, b"x"), 0);
            assert!(!net.is_open(id));
            net.close_with(id, 2);
        }
    });
}

/// Closing another socket, while its own events may be pending (W10, W16).
pub fn close_a_peer_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        for id in &scene.others {
            net.close_with(*id, 1);
            assert_eq!(net.write(*id, b"x"), 0);
        }
    });
}

/// Resetting another socket and the own one (W10).
pub fn abort_a_peer_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        for id in scene.others.iter().chain(&scene.own) {
            net.abort(*id, 1);
            assert!(!net.is_open(*id));
        }
    });
}

/// Closing everything of every context, the listener included (W10, W30).
pub fn close_all_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        for context in 0..4 {
            net.close_all(context, 4);
        }
        assert!(scene.others.iter().all(|id| !net.is_open(*id)));
        assert_eq!(net.stats().open, 0);
    });
}

/// Closing all of the context of the others, from a socket that was adopted away (W10, W12).
pub fn close_all_of_the_others_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        let Some(own) = scene.own else { return };
        let was = net.is_open(own);
        net.adopt(own, 6);
        net.close_all(1, 4);
        assert_eq!(net.is_open(own), was);
    });
}

/// Moving sockets to another context: names, data, and pending events stay (W1, W2).
pub fn adopt_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        for id in scene.others.iter().chain(&scene.own) {
            net.adopt(*id, 5);
            let alive = net.context(*id);
            assert!(alive == Some(5) || alive.is_none());
            if net.is_open(*id) {
                assert_eq!(alive, Some(5));
            }
        }
    });
}

/// Connecting, to our own listener and to nobody (W2).
pub fn connect_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        let a = net.connect(Endpoint::tcp(scene.addr), 3);
        let b = net.connect(Endpoint::tcp(scene.addr), 3);
        assert!(a.is_err() || a != b, "a name twice");
        if let Ok(id) = b {
            net.close(id);
            assert_eq!(net.context(id), None);
        }
    });
}

/// Listening at a further address (W32).
pub fn listen_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        if let Ok(listener) = net.listen(Endpoint::tcp(scene.free_addr), 4) {
            assert!(
                net.listening_addr(listener)
                    .is_some_and(|addr| addr.port() != 0)
            );
        }
    });
}

/// Stopping the listener, also while it accepts (W32). What was accepted stays.
pub fn stop_listening_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        let open = net.stats().open;
        net.stop_listening(scene.listener);
        net.stop_listening(scene.listener);
        assert_eq!(net.listening_addr(scene.listener), None);
        assert_eq!(net.stats().open, open);
    });
}

/// Setting and removing timeouts of everyone (W13, W15).
pub fn rearm_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        for id in scene.others.iter().chain(&scene.own) {
            net.set_timeout(*id, Duration::from_secs(3_600));
            net.set_timeout(*id, Duration::ZERO);
            net.set_timeout(*id, Duration::from_millis(5));
        }
    });
}

/// Writing to and finishing everyone (W2, W11).
pub fn write_and_finish_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, scene| {
        for id in scene.others.iter().chain(&scene.own) {
            let _ = net.write(*id, b"bye");
            net.finish(*id);
            net.finish(*id);
            assert_eq!(net.write(*id, b"more"), 0);
        }
    });
}

/// Starting and stopping timers, also the one that is running (W9, W15).
pub fn start_and_stop_timers_inside<B: Bed>(bed: &mut B) {
    inside_every_call(bed, |net, _| {
        let second = Duration::from_secs(1);
        if let Ok(timer) = net.start_timer(second, second) {
            net.stop_timer(timer);
            net.stop_timer(timer);
        }
        let _ = net.start_timer(Duration::from_millis(1), Duration::ZERO);
    });
}
