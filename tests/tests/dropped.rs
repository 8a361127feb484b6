//! A loop that is dropped.

use usockets::{Closed, Endpoint, Error, Loop, Sockets};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::script::{Event, Script};
use usockets_tests::side::{Pair, Side, run_until};
use usockets_tests::sim::{Faults, Host};

/// Its connections and its listeners close, without calls.
fn everything_closes<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    pair.server.net().pause(pair.accepted);
    let Pair {
        server,
        mut client,
        addr,
        connected,
        ..
    } = pair;
    let Side { lp, script, .. } = server;
    let events = script.events().count();
    drop(lp);
    assert_eq!(script.events().count(), events);
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut client], long, |sides| {
        sides[0].script.closed(connected) == Some(Closed::Finished)
    }));
    let again = client.connect(addr, 3).unwrap();
    let refused = Event::ConnectError(again, 3, Error::Refused);
    assert!(run_until(bed, &mut [&mut client], long, |sides| {
        sides[0].script.count(|event| *event == refused) == 1
    }));
}

#[test]
fn everything_closes_on_sim() {
    everything_closes(&mut SimBed::new(0, Faults::none()));
}

#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn everything_closes_on_linux() {
    everything_closes(&mut usockets_tests::bed::LinuxBed::default());
}

/// The data of a socket is dropped as soon as its `on_close` was made.
#[test]
fn the_data_of_a_closed_socket_is_dropped() {
    use std::sync::Arc;
    use usockets::{Handler, Instant, Opened, Platform, Readiness, Socket};
    use usockets_tests::scripted::Scripted;

    struct Keeps(Arc<()>);

    impl<P: Platform> Handler<P> for Keeps {
        type Ext = Arc<()>;
        type Context = ();

        fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Arc<()> {
            Arc::clone(&self.0)
        }

        fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Arc<()>, _: &mut [u8]) {}
    }

    let (mut memory, mut buffer) = (Sockets::<Scripted, Keeps, 2>::new(), [0; 8]);
    let mut lp = Loop::new(Scripted::default(), &mut memory, &mut buffer);
    let mut handler = Keeps(Arc::new(()));
    let to = Endpoint::tcp(([192, 0, 2, 1], 9).into());
    let id = lp.net().connect(to, ()).unwrap();
    lp.platform_mut().report(id, Readiness::WRITABLE);
    for held in [2, 1] {
        lp.poll(&mut handler, Some(Instant::ZERO)).unwrap();
        assert_eq!(Arc::strong_count(&handler.0), held);
        lp.net().close(id);
    }
}

/// Another loop can have the memory; names that the first gave reach nobody in it (W2).
#[test]
fn the_memory_is_as_good_as_new() {
    let sim = usockets_tests::sim::Sim::new(0, Faults::none());
    let mut memory = Sockets::<Host, Script<Host>, 2>::new();
    let to = Endpoint::tcp(([192, 0, 2, 1], 9).into());
    let mut names = Vec::new();
    for _ in 0..3 {
        let buffer = &mut [0; 64];
        let mut lp = Loop::new(sim.host(), &mut memory, buffer);
        let mut net = lp.net();
        let stale = |name: &_| net.context(*name).is_none();
        assert!(names.iter().all(stale));
        for _ in 0..2 {
            let name = net.connect(to, 1).unwrap();
            assert!(!names.contains(&name));
            names.push(name);
        }
        assert_eq!(net.connect(to, 1), Err(Error::Full));
        let stale = |name: &&_| net.context(**name).is_none();
        assert_eq!(names.iter().filter(stale).count(), names.len() - 2);
    }
}
