//! What came before an end, a hang-up or a reset is delivered first.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use usockets::{Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_tests::bed::{Bed, SystemBed};
use usockets_tests::rng::seeds;
use usockets_tests::side::{Side, pattern, run_until};
use usockets_tests::sim::{Faults, Sim};

/// The same with a peer that knows nothing of this library: it writes, and closes with our bytes
/// unread, so that the kernel resets (W4, W21).
#[test]
fn a_raw_peer_that_resets_with_unread_bytes() {
    let bed = &mut SystemBed::default();
    let mut side = Side::new(bed, 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = side.connect(listener.local_addr().unwrap(), 2).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let long = bed.long();
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0].script.opened(0).is_some()
    }));
    side.say(id, b"never read");
    peer.peek(&mut [0; 10]).unwrap();
    peer.write_all(b"last words").unwrap();
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0].script.received(id) == b"last words"
    }));
    drop(peer);
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0].script.closed(id).is_some()
    }));
    assert_eq!(side.script.closed(id), Some(Closed::Failed(Error::Reset)));
}

/// A raw peer that ends its direction and waits gets everything we still say (W4).
#[test]
fn a_raw_peer_that_half_closes_gets_the_rest() {
    let bed = &mut SystemBed::default();
    let mut side = Side::new(bed, 0);
    let (_, addr) = side.listen(bed, 1);
    let bytes = pattern(5 << 20);
    let expected = bytes.clone();
    let peer = std::thread::spawn(move || {
        let mut peer = TcpStream::connect(addr).unwrap();
        peer.write_all(b"all of it, please").unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        assert!(got == expected);
    });
    let long = bed.long();
    side.script.finish_on_end = false;
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0].script.talks.values().any(|talk| talk.ended)
    }));
    let id = side.script.opened(0).unwrap();
    assert_eq!(side.script.received(id), b"all of it, please");
    side.say(id, &bytes);
    side.finish(id);
    assert!(run_until(bed, &mut [&mut side], long, |sides| {
        sides[0].script.closed(id).is_some()
    }));
    assert_eq!(side.script.closed(id), Some(Closed::Finished));
    peer.join().unwrap();
}

/// Answers whatever comes, and remembers what came and how it ended.
#[derive(Default)]
struct Answering {
    received: usize,
    closed: Option<Closed>,
}

impl<P: Platform> Handler<P> for Answering {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.received += data.len();
        // It fails in the end, as it should.
        let _ = socket.write(b"thanks");
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed = Some(closed);
    }
}

/// A write fails between two reads of the same iteration: the rest is read, and the socket closes
/// although nothing is ever reported of it again.
#[test]
fn a_write_that_fails_while_more_is_read_closes() {
    for seed in seeds(100) {
        println!("SEED={seed}");
        let sim = Sim::new(seed, Faults::none());
        let (mut a, mut b) = (Sockets::<_, Answering, 3>::new(), Sockets::<_, _, 3>::new());
        let (mut buffer, mut other) = ([0; 1_000], [0; 1_000]);
        let mut server = Loop::new(sim.host(), &mut a, &mut buffer);
        let mut client = Loop::new(sim.host(), &mut b, &mut other);
        let (mut answering, mut asking) = (Answering::default(), Answering::default());
        let at = Endpoint::tcp((sim.addresses(0)[0], 80).into());
        server.net().listen(at, ()).expect("a listener");
        let id = client.net().connect(at, ()).expect("a connect");
        for step in 0..60 {
            server.poll(&mut answering, None).expect("a sound host");
            client.poll(&mut asking, None).expect("a sound host");
            if step == 20 {
                assert_eq!(client.net().write(id, &[7; 1_000]), 1_000);
                // From here on every send fails, and the first read is a short one.
                let (send_error, partial_read) = (10_000, 5_000);
                let faults = Faults::none();
                sim.set_faults(Faults {
                    send_error,
                    partial_read,
                    ..faults
                });
            }
            if !sim.is_due(0) && !sim.is_due(1) {
                sim.step(Duration::from_millis(1));
            }
        }
        assert_eq!(answering.received, 1_000);
        assert!(matches!(answering.closed, Some(Closed::Failed(_))));
        assert_eq!(server.stats().open, 0);
    }
}
