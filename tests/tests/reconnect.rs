//! The client that keeps a connection, on simulated networks.

use std::time::Duration;

use usockets::{AllSockets, Closed, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_tests::rng::seeds;
use usockets_tests::sim::{Faults, Host, Sim};

#[path = "../../platform-linux/examples/handlers/reconnect.rs"]
mod reconnect;

use reconnect::{Event, Reconnect, WAIT_MAX, WAIT_MIN};

/// Answers each word, or nothing at all.
struct Server {
    answers: bool,
}

impl<P: Platform> Handler<P> for Server {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        if self.answers {
            assert_eq!(socket.write(data), data.len());
        }
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all((), 0);
    }
}

/// Lets both run for so long; returns what the client told.
fn run<F: FnMut(Event)>(
    sim: &Sim,
    server: (&mut Loop<'_, Host, Server>, &mut Server),
    client: (&mut Loop<'_, Host, Reconnect<F>>, &mut Reconnect<F>),
    time: Duration,
) {
    let until = sim.now_micros() + u64::try_from(time.as_micros()).unwrap();
    while sim.now_micros() < until {
        server.0.poll(server.1, None).unwrap();
        client.0.poll(client.1, None).unwrap();
        if !sim.is_due(0) && !sim.is_due(1) {
            sim.step(Duration::from_micros(until - sim.now_micros()));
        }
    }
}

/// The server's loop.
type Serving<'s> = Loop<'s, Host, Server>;

/// Checks the waits of a client that nobody listens to: each is left to chance, from half of what
/// it may be to all of it, and they grow up to the longest.
fn check_waits(seed: u64, told: &[Event]) {
    let waits = told.iter().filter_map(|event| match event {
        Event::Waits(wait) => Some(*wait),
        _ => None,
    });
    let waits: Vec<_> = waits.collect();
    assert!((15..40).contains(&waits.len()), "seed {seed}: {waits:?}");
    for (failures, wait) in waits.iter().enumerate() {
        let longest = WAIT_MIN.saturating_mul(1 << failures.min(20)).min(WAIT_MAX);
        let range = longest / 2..=longest;
        assert!(range.contains(wait), "seed {seed}: {waits:?}");
    }
    assert!(!told.contains(&Event::Connected));
}

#[test]
fn waits_grow_with_failures_and_start_anew_with_an_answer() {
    for seed in seeds(50) {
        let sim = Sim::new(seed, Faults::none());
        let mut server_sockets = Sockets::<_, Server, 4>::new();
        let mut buffers = ([0; 64], [0; 64]);
        let mut server_loop = Loop::new(sim.host(), &mut server_sockets, &mut buffers.0);
        let mut server = Server { answers: true };
        let events = std::cell::RefCell::new(Vec::new());
        let mut sockets = Sockets::<_, _, 2>::new();
        let mut client_loop = Loop::new(sim.host(), &mut sockets, &mut buffers.1);
        let at = Endpoint::tcp((sim.addresses(0)[0], 7).into());
        let tell = |event| events.borrow_mut().push(event);
        let mut client = Reconnect::new(at.addr, seed as u32, tell);
        client.start(&mut client_loop.net());
        let mut go = |server: &mut Server, server_loop: &mut Serving<'_>, secs| {
            let client = (&mut client_loop, &mut client);
            let time = Duration::from_secs(secs);
            run(&sim, (server_loop, server), client, time);
            events.take()
        };

        // Nobody listens.
        check_waits(seed, &go(&mut server, &mut server_loop, 300));

        // Somebody does: it connects, and stays.
        let listener = server_loop.net().listen(at, ()).unwrap();
        sim.expect(0, server_loop.next_deadline());
        let told = go(&mut server, &mut server_loop, 120);
        let position = told.iter().position(|event| *event == Event::Connected);
        let after = &told[position.unwrap() + 1..];
        let stays = after.iter().all(|event| matches!(event, Event::Heard(_)));
        assert!(after.len() > 10 && stays, "seed {seed}: {told:?}");

        // The connection is lost: the first wait is a short one again.
        server_loop.net().close_all((), 0);
        server_loop.net().stop_listening(listener);
        server_loop.net().listen(at, ()).unwrap();
        sim.expect(0, server_loop.next_deadline());
        let told = go(&mut server, &mut server_loop, 3);
        let [
            Event::Lost(_),
            Event::Waits(wait),
            Event::Connected,
            Event::Heard(_),
            ..,
        ] = told[..]
        else {
            panic!("seed {seed}: {told:?}");
        };
        assert!(wait <= WAIT_MIN);

        // A server that accepts and says nothing is one more failure each time.
        server.answers = false;
        let told = go(&mut server, &mut server_loop, 120);
        let is_lost = |event: &&Event| matches!(event, Event::Lost(Closed::Local(0)));
        let lost = told.iter().filter(is_lost).count();
        assert!((4..13).contains(&lost), "seed {seed}: {told:?}");
    }
}
