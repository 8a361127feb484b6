//! What came before an end, a hang-up or a reset is delivered first.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use usockets::{Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_tests::bed::{Bed, SystemBed};
use usockets_tests::on_every_platform;
use usockets_tests::rng::seeds;
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, Side, pattern, run_until};
use usockets_tests::sim::{Faults, Sim};

on_every_platform!(
    bytes_and_end_of_a_peer_that_closed_come_in_order,
    bytes_with_the_end_after_our_own_end,
    a_failed_write_still_delivers_what_came_before,
    what_was_taken_before_a_close_arrives,
    a_peer_that_reads_nothing_keeps_no_slot,
);

/// The peer writes and closes at once: the bytes, then `on_end`, then `on_close` (W4, W21).
fn bytes_and_end_of_a_peer_that_closed_come_in_order<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let accepted = pair.accepted;
    let mut sent = pattern(1_000);
    let count = pair.client.net().write(pair.connected, &sent);
    sent.truncate(count);
    pair.client.net().close(pair.connected);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(pair.server.script.received(accepted), sent);
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::End(_))),
        1
    );
}

/// The peer is slow to read; we close when it and everything in between is full: all that was
/// taken arrives (W4, W21).
fn what_was_taken_before_a_close_arrives<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let accepted = pair.accepted;
    let bytes = pattern(bed.plenty().min(2_000_000));
    let sent = fill_and_close(bed, &mut pair, &bytes);
    pair.server.net().resume(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(pair.server.script.received(accepted) == &bytes[..sent]);
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
    pair.until(bed, |_, client| client.lp.stats().in_use == 0);
}

/// Lets the server not read, sends the front of `bytes` until nothing takes more, and closes.
/// Returns how much was taken.
fn fill_and_close<B: Bed>(bed: &mut B, pair: &mut Pair<B::P>, bytes: &[u8]) -> usize {
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    let mut sent = 0;
    for _ in 0..10 {
        sent += pair.client.net().write(connected, &bytes[sent..]);
        pair.for_time(bed, Duration::from_millis(10));
    }
    assert!(sent > 0);
    pair.client.net().close(connected);
    sent
}

/// The peer never reads, and we close with everything full: the slot comes back in bounded time.
/// Where time is real, the peer reads in the end.
fn a_peer_that_reads_nothing_keeps_no_slot<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let bytes = pattern(bed.plenty().min(2_000_000));
    fill_and_close(bed, &mut pair, &bytes);
    if bed.is_virtual() {
        pair.for_time(bed, Duration::from_secs(31));
        assert_eq!(pair.client.lp.stats().in_use, 0);
    }
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().resume(accepted);
    pair.until(bed, |_, client| client.lp.stats().in_use == 0);
    assert_eq!(pair.client.script.closed(connected), Some(Closed::Local(0)));
}

/// We have finished; the peer's bytes and its end arrive together while nobody looks (W4, W11).
fn bytes_with_the_end_after_our_own_end<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.client.script.finish_on_end = false;
    pair.server.finish(accepted);
    pair.until(bed, |_, client| client.script.talks[&connected].ended);
    let bytes = pattern(3_000);
    pair.client.say(connected, &bytes);
    pair.client.finish(connected);
    // The server is not polled until everything is there.
    run_until(
        bed,
        &mut [&mut pair.client],
        Duration::from_millis(30),
        |_| false,
    );
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(pair.server.script.received(accepted) == bytes);
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Finished));
}

/// The peer wrote, then reset: our failing write does not keep its bytes from us, and the reason
/// is the reset (W4, W6, W21). Linux may have thrown the bytes away by then.
fn a_failed_write_still_delivers_what_came_before<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    let mut sent = pattern(500);
    let count = pair.client.net().write(connected, &sent);
    sent.truncate(count);
    run_until(
        bed,
        &mut [&mut pair.client],
        Duration::from_millis(100),
        |_| false,
    );
    pair.client.net().abort(connected, 1);
    run_until(
        bed,
        &mut [&mut pair.client],
        Duration::from_millis(100),
        |_| false,
    );
    // The platform knows; the loop does not yet.
    let taken = pair.server.net().write(accepted, b"anyone there?");
    let vectored = pair
        .server
        .net()
        .write_vectored(accepted, &[b"any", b"one?"]);
    if bed.learns_unasked() {
        assert_eq!((taken, vectored), (0, 0));
    }
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    let reset = Closed::Failed(Error::Reset);
    assert_eq!(pair.server.script.closed(accepted), Some(reset));
    let received = pair.server.script.received(accepted);
    if bed.is_virtual() {
        // What was under way when the reset was sent is lost with it; nothing is out of order.
        assert!(sent.starts_with(received));
        assert!(!bed.is_smooth() || received == sent);
    } else {
        assert!(received == sent || received.is_empty());
    }
    assert_eq!(
        pair.server
            .script
            .count(|event| matches!(event, Event::Close(..))),
        1
    );
}

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
