//! What the loop makes of a platform's answers, one by one: each comes here as a test has it come.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use usockets::proxy::{Network, Proxied, ProxyHeader, ProxyVersion};
use usockets::{
    Accepted, Address, Arrival, Arrivals, Closed, Connecting, DatagramError, Departure, Endpoint,
    Error, Frame, Frames, Handler, HappyEyeballs, Instant, LocalAddress, LocalEndpoint,
    LocalSockets, Loop, Opened, Output, Platform, Progress, Read, Readiness, Recv, Socket,
    SocketId, SocketOption, Sockets, WhenFull,
};
use usockets_tests::bare::Bare;
use usockets_tests::script::{At, Event};
use usockets_tests::scripted::{PEER, Scripted};
use usockets_tests::side::Side;

type One = Side<Scripted>;

const NONE: Option<Instant> = Some(Instant::ZERO);

/// A loop with four slots, 16 bytes to receive and 8 to cork.
fn side() -> One {
    Side::with::<4>(0, Scripted::default(), 16, 8)
}

/// A loop of three slots, whose layer may hold what is to be sent.
fn holding() -> Side<Scripted<true>> {
    Side::with::<3>(0, Scripted::default(), 16, 8)
}

fn turn<P: Platform>(side: &mut Side<P>) {
    side.lp.poll(&mut side.script, NONE).expect("a sound wait");
}

/// Reports facts, of which the next turn learns.
fn report<const HOLDS: bool>(side: &mut Side<Scripted<HOLDS>>, id: SocketId, readiness: Readiness) {
    side.lp.platform_mut().report(id, readiness);
}

/// Reports facts, and takes a turn.
fn learn<const HOLDS: bool>(side: &mut Side<Scripted<HOLDS>>, id: SocketId, readiness: Readiness) {
    report(side, id, readiness);
    turn(side);
}

/// Connects a socket, which opens at once.
fn connected<const HOLDS: bool>(side: &mut Side<Scripted<HOLDS>>) -> SocketId {
    let id = side.connect(PEER.into(), 2).expect("a slot");
    learn(side, id, Readiness::WRITABLE);
    assert!(side.net().is_open(id));
    id
}

/// Opens a socket of datagrams.
fn bound(side: &mut One) -> SocketId {
    let at = SocketAddr::from(PEER).into();
    side.net().bind(at, 3).expect("a slot")
}

/// The name of what is accepted first, by a listener in the first slot.
fn first_accepted() -> SocketId {
    SocketId::from_bits(1 << 32 | 1).expect("an id")
}

/// Sets a socket that listens up; each report of it brings what the platform answers.
fn listening<const HOLDS: bool>(
    side: &mut Side<Scripted<HOLDS>>,
    shape: impl FnOnce(Endpoint<'static>) -> Endpoint<'static>,
) -> SocketId {
    let at = shape(Endpoint::tcp(([127, 0, 0, 1], 80).into()));
    side.net().listen(at, 1).expect("a slot").into()
}

fn accepted() -> Result<Option<Accepted>, Error> {
    let peer = SocketAddr::from(PEER).into();
    let drained = false;
    Ok(Some(Accepted { peer, drained }))
}

fn calls<const HOLDS: bool>(side: &Side<Scripted<HOLDS>>, of: &str) -> usize {
    let calls = side.lp.platform().calls.iter();
    calls.filter(|call| call.starts_with(of)).count()
}

fn data(len: usize) -> Result<Recv, Error> {
    let drained = true;
    Ok(Recv::Data { len, drained })
}

/// A platform that claims to have sent more than it was given has sent it all, and is counted.
#[test]
fn more_bytes_than_were_given_are_not_sent() {
    let mut side = side();
    let id = connected(&mut side);
    side.lp.platform_mut().answers.send = [Ok(9), Ok(4)].into();
    assert_eq!(side.net().write(id, b"12345"), 5);
    assert!(!side.net().is_blocked(id));
    assert_eq!((side.lp.stats().sent, side.lp.stats().breaches), (5, 1));
    assert_eq!(side.net().write(id, b"12345"), 4);
    assert!(side.net().is_blocked(id));
    assert_eq!((side.lp.stats().sent, side.lp.stats().breaches), (9, 1));
}

/// Nor received, read or taken with a descriptor; as many as there is room for are no breach.
#[test]
fn more_bytes_than_there_is_room_for_are_not_read() {
    for (claimed, read, breaches) in [(3, 3, 0), (4, 4, 0), (5, 4, 1)] {
        let mut side = side();
        let id = connected(&mut side);
        report(&mut side, id, Readiness::READABLE);
        side.net().pause(id);
        turn(&mut side);
        side.lp.platform_mut().answers.recv = [data(claimed)].into();
        let got = side.net().read(id, &mut [0; 4]);
        assert_eq!(got, Ok(Read::Data(read)));
        assert_eq!(side.lp.stats().breaches, breaches);
        side.lp.platform_mut().answers.take = [Ok(claimed)].into();
        let taken = side.net().take(id, &mut [0; 4]);
        assert_eq!(taken, Ok(((), read)));
        assert_eq!(side.lp.stats().breaches, 2 * breaches);
    }
}

/// Who has ended its direction writes nothing, and need not know of room.
#[test]
fn who_has_finished_is_not_told_of_room() {
    let mut side = side();
    let id = connected(&mut side);
    side.lp.platform_mut().answers.send = [Ok(1)].into();
    assert_eq!(side.net().write(id, b"12345"), 1);
    side.net().finish(id);
    learn(&mut side, id, Readiness::WRITABLE);
    assert_eq!(side.script.count(|event| *event == Event::Writable(id)), 0);
}

/// Bytes from the peer are no room for ours; and one that is held up writes nothing.
#[test]
fn bytes_that_come_are_no_room() {
    let mut side = side();
    let id = connected(&mut side);
    side.lp.platform_mut().answers.send = [Ok(1)].into();
    assert_eq!(side.net().write(id, b"12345"), 1);
    side.lp.platform_mut().answers.recv = [data(2)].into();
    for (readiness, told) in [(Readiness::READABLE, 0), (Readiness::WRITABLE, 1)] {
        assert_eq!(side.net().write(id, b"2345"), 0);
        learn(&mut side, id, readiness);
        let writable = side.script.count(|event| *event == Event::Writable(id));
        assert_eq!(writable, told);
    }
    assert_eq!(calls(&side, "send"), 1);
}

/// What broke a connection is what was told first, but for "broken pipe", which hides the reason.
#[test]
fn the_first_error_is_the_reason() {
    for (sent, received, told) in [
        (Error::Reset, Error::TimedOut, Error::Reset),
        (Error::BrokenPipe, Error::TimedOut, Error::TimedOut),
        (Error::BrokenPipe, Error::BrokenPipe, Error::BrokenPipe),
    ] {
        for reads in [false, true] {
            let mut side = side();
            let id = connected(&mut side);
            side.net().set_pull(id, reads);
            side.lp.platform_mut().answers.send = [Err(sent)].into();
            assert_eq!(side.net().failure(id), None);
            assert_eq!(side.net().write(id, b"12345"), 0);
            assert_eq!(side.net().failure(id), Some(sent));
            side.lp.platform_mut().answers.recv = [Err(received)].into();
            if reads {
                assert_eq!(side.net().read(id, &mut [0; 4]), Err(told));
            }
            turn(&mut side);
            assert_eq!(side.script.closed(id), Some(Closed::Failed(told)));
        }
    }
}

/// One that is read on demand and broke closes when all has been read; an end behind a broken pipe
/// is one.
#[test]
fn a_broken_connection_that_was_read_to_its_end_closes() {
    for (sent, received, read) in [
        (Error::Reset, Recv::WouldBlock, Err(Error::Reset)),
        (Error::Reset, Recv::Finished, Err(Error::Reset)),
        (Error::BrokenPipe, Recv::WouldBlock, Err(Error::BrokenPipe)),
        (Error::BrokenPipe, Recv::Finished, Ok(Read::End)),
    ] {
        let mut side = side();
        let id = connected(&mut side);
        side.net().set_pull(id, true);
        side.lp.platform_mut().answers.send = [Err(sent)].into();
        assert_eq!(side.net().write(id, b"12345"), 0);
        side.lp.platform_mut().answers.recv = [data(2), Ok(received)].into();
        assert_eq!(side.net().read(id, &mut [0; 4]), Ok(Read::Data(2)));
        assert_eq!(side.net().read(id, &mut [0; 4]), read);
        turn(&mut side);
        assert_eq!(side.script.closed(id), Some(Closed::Failed(sent)));
    }
}

/// A sound connection that is read on demand goes on after "nothing now", and keeps what a hang-up
/// told until all is read.
#[test]
fn reads_on_demand_go_on_until_the_end() {
    let mut side = side();
    let id = connected(&mut side);
    side.net().set_pull(id, true);
    assert_eq!(side.net().read(id, &mut [0; 4]), Ok(Read::WouldBlock));
    assert_eq!(calls(&side, "recv"), 0, "nothing was reported");
    learn(&mut side, id, Readiness::READABLE);
    side.lp.platform_mut().answers.recv = [data(2)].into();
    assert_eq!(side.net().read(id, &mut [0; 4]), Ok(Read::Data(2)));
    assert_eq!(side.net().read(id, &mut [0; 4]), Ok(Read::WouldBlock));
    assert_eq!(calls(&side, "recv"), 1, "it was all");
    learn(&mut side, id, Readiness::ENDED);
    side.lp.platform_mut().answers.recv = [data(2), Ok(Recv::Finished)].into();
    assert_eq!(side.net().read(id, &mut [0; 4]), Ok(Read::Data(2)));
    assert_eq!(side.net().read(id, &mut [0; 4]), Ok(Read::End));
    assert!(side.net().is_open(id));
}

/// A socket that another's call resumes is read in the next iteration, although its report is still
/// to come in this one.
#[test]
fn a_socket_that_is_resumed_is_read_in_the_next_iteration() {
    let mut side = side();
    let (one, other) = (connected(&mut side), connected(&mut side));
    side.net().pause(other);
    side.script.act(move |at, event| {
        if event.id() == Some(one) {
            at.net().resume(other);
        }
    });
    side.lp.platform_mut().answers.recv = [data(2), data(2)].into();
    report(&mut side, one, Readiness::READABLE);
    learn(&mut side, other, Readiness::READABLE);
    assert_eq!(side.script.received(one).len(), 2);
    assert_eq!(side.script.received(other).len(), 0);
    turn(&mut side);
    assert_eq!(side.script.received(other).len(), 2);
}

/// However often a socket is reported, it has its share once in an iteration.
#[test]
fn a_socket_that_is_reported_twice_is_read_once() {
    let mut side = side();
    let id = connected(&mut side);
    side.lp.platform_mut().answers.recv = [data(2), data(2)].into();
    report(&mut side, id, Readiness::READABLE);
    learn(&mut side, id, Readiness::READABLE);
    assert_eq!(side.script.received(id).len(), 2);
    turn(&mut side);
    assert_eq!(side.script.received(id).len(), 4);
}

/// One that broke in its turn is told to have nothing, once.
#[test]
fn a_peer_that_has_ended_and_broke_closes_at_its_report() {
    let mut side = side();
    let id = connected(&mut side);
    side.script.finish_on_end = false;
    side.lp.platform_mut().answers.recv = [Ok(Recv::Finished)].into();
    learn(&mut side, id, Readiness::ENDED);
    assert!(side.net().is_open(id));
    side.lp.platform_mut().answers.take_error = [Some(Error::Reset)].into();
    learn(&mut side, id, Readiness::ERROR);
    assert_eq!(side.script.closed(id), Some(Closed::Failed(Error::Reset)));
}

/// A listener that has as many connections as it may waits for one of those, and holds no free slot
/// back from others; nor does one that the platform is exhausted for.
#[test]
fn who_does_not_wait_for_a_slot_holds_none_back() {
    for exhausted in [false, true] {
        let mut side = side();
        let full = listening(&mut side, |at| at.connections_max(1));
        let other = listening(&mut side, |at| at);
        side.lp.platform_mut().answers.accept = match exhausted {
            true => [Err(Error::Exhausted)].into(),
            false => [accepted()].into(),
        };
        if exhausted {
            // So that one slot is left, as in the other case.
            connected(&mut side);
        }
        learn(&mut side, full, Readiness::READABLE);
        let errors = |event: &Event| matches!(event, Event::AcceptError(..));
        assert_eq!(side.script.count(errors), 1);
        let before = side.lp.stats();
        assert_eq!(before.in_use, 3);
        side.lp.platform_mut().answers.accept = [accepted()].into();
        learn(&mut side, other, Readiness::READABLE);
        assert_eq!(side.lp.stats().accepted, before.accepted + 1);
    }
}

/// A reserve that no pool has keeps a listener from taking any.
#[test]
fn a_reserve_larger_than_any_pool_leaves_everything_to_others() {
    for reserve in [1 << 30, u32::MAX] {
        let mut side = side();
        let listener = listening(&mut side, |at| at.reserve(reserve));
        side.lp.platform_mut().answers.accept = [accepted()].into();
        learn(&mut side, listener, Readiness::READABLE);
        assert_eq!(side.lp.stats().accepted, 0);
    }
}

/// A listener that stops in its turn ends it: those behind it get theirs.
#[test]
fn a_listener_that_stops_in_its_turn_lets_others_have_it() {
    let mut side = side();
    let own = side
        .net()
        .listen(Endpoint::tcp(PEER.into()), 1)
        .expect("a slot");
    let (one, other) = (own.into(), listening(&mut side, |at| at));
    let (a, _) = (connected(&mut side), connected(&mut side));
    report(&mut side, one, Readiness::READABLE);
    learn(&mut side, other, Readiness::READABLE);
    assert_eq!(side.lp.stats().pauses, 2);
    side.net().abort(a, 0);
    turn(&mut side);
    // The turn of the first has begun; it is gone before it can use it.
    side.net().stop_listening(own);
    side.lp.platform_mut().answers.accept = [accepted()].into();
    for _ in 0..4 {
        turn(&mut side);
    }
    assert_eq!(side.lp.stats().accepted, 1);
}

/// The slot that becomes free is for who has waited for one, whoever is reported first.
#[test]
fn a_slot_that_becomes_free_is_for_who_waits() {
    let mut side = side();
    let at = Endpoint::tcp(PEER.into());
    let waits = SocketId::from(side.net().listen(at, 7).expect("a slot"));
    let other = listening(&mut side, |at| at);
    let (a, b) = (connected(&mut side), connected(&mut side));
    learn(&mut side, waits, Readiness::READABLE);
    assert_eq!(side.lp.stats().pauses, 1);
    side.script.act(move |at, event| {
        if matches!(event, Event::Data(..)) {
            at.net().abort(a, 0);
        }
    });
    side.lp.platform_mut().answers.recv = [data(1)].into();
    side.lp.platform_mut().answers.accept = [accepted()].into();
    report(&mut side, b, Readiness::READABLE);
    learn(&mut side, other, Readiness::READABLE);
    turn(&mut side);
    let of_who_waits = |event: &Event| matches!(event, Event::Open(_, 7, _));
    assert_eq!(side.script.count(of_who_waits), 1);
}

/// A listener that evicts, and has as many connections as it may, evicts one of its own.
#[test]
fn a_listener_at_its_most_evicts_one_of_its_own() {
    let mut side = One::with::<8>(0, Scripted::default(), 16, 8);
    let idlest = connected(&mut side);
    for _ in 0..3 {
        turn(&mut side);
    }
    let full = |at: Endpoint<'static>| at.connections_max(1).when_full(WhenFull::EvictIdle);
    let listener = listening(&mut side, full);
    for _ in 0..2 {
        side.lp.platform_mut().answers.accept = [accepted()].into();
        learn(&mut side, listener, Readiness::READABLE);
    }
    assert_eq!(side.lp.stats().evicted, 1);
    assert!(side.net().is_open(idlest));
    let own = side.script.opened(1).expect("it opened");
    assert_eq!(side.script.closed(own), Some(Closed::Evicted));
}

/// A platform that cannot stop its reports is asked again at each, and one that has stopped is not.
#[test]
fn a_paused_listener_is_muted_once() {
    let mut side = side();
    let listener = side
        .net()
        .listen(Endpoint::tcp(PEER.into()), 1)
        .expect("a slot");
    side.lp.platform_mut().answers.set_accepting = [Err(Error::Exhausted); 2].into();
    side.net().pause_listening(listener);
    for _ in 0..4 {
        learn(&mut side, listener.into(), Readiness::READABLE);
    }
    assert_eq!(calls(&side, "set_accepting"), 3, "twice in vain");
    assert_eq!(calls(&side, "accept"), 0);
}

/// What is wrong on the way to a peer is told by a call, and what is wrong here at once.
#[test]
fn errors_of_the_way_are_told_later() {
    let mut side = side();
    side.lp.platform_mut().answers.connect =
        [Err(Error::Unreachable), Err(Error::Exhausted)].into();
    let id = side.connect(PEER.into(), 2).expect("an attempt");
    turn(&mut side);
    let told = Event::ConnectError(id, 2, Error::Unreachable);
    assert_eq!(side.script.count(|event| *event == told), 1);
    assert_eq!(side.connect(PEER.into(), 2), Err(Error::Exhausted));
    assert_eq!(side.lp.stats().in_use, 0);
}

/// A timeout that is disarmed, and was not armed, leaves nothing to wait for.
#[test]
fn a_timeout_of_zero_is_no_deadline() {
    let mut side = side();
    let listener = listening(&mut side, |at| at);
    side.lp.platform_mut().answers.accept = [accepted()].into();
    learn(&mut side, listener, Readiness::READABLE);
    let id = side.script.opened(0).expect("it is open");
    assert_eq!(side.lp.next_deadline(), None);
    assert_eq!(side.lp.next_wait(), None);
    side.net().set_timeout(id, Duration::ZERO);
    assert_eq!(side.lp.next_deadline(), None);
    side.net().set_timeout(id, Duration::from_secs(1));
    let wait = side.lp.next_wait().expect("a deadline");
    assert!(wait >= Duration::from_millis(900) && wait < Duration::from_millis(1_003));
    side.lp.platform_mut().answers.next_deadline = Some(Instant::from_micros(500));
    assert_eq!(side.lp.next_wait(), Some(Duration::from_micros(500)));
}

/// The wait is until the loop has something to do, or the caller wants it back.
#[test]
fn a_wait_ends_with_the_earlier_of_two_deadlines() {
    let mut side = side();
    let id = connected(&mut side);
    side.net().set_timeout(id, Duration::from_secs(1));
    let early = Some(Instant::from_micros(1_000));
    for until in [None, early, Some(Instant::from_micros(u64::MAX))] {
        side.lp.poll(&mut side.script, until).expect("a sound wait");
    }
    let polls = side.lp.platform().polls.iter().rev();
    let polls: Vec<_> = polls
        .take(3)
        .map(|until| until.expect("a deadline"))
        .collect();
    assert_eq!(polls[1], Instant::from_micros(1_000));
    for poll in [polls[0], polls[2]] {
        assert!((900_000..1_003_000).contains(&poll.as_micros()), "{poll:?}");
    }
}

/// A loop runs until nothing is left, and on while it is kept alive.
#[test]
fn a_loop_runs_until_nothing_is_left() {
    let mut side = side();
    side.lp.run(&mut side.script).expect("a sound wait");
    assert_eq!(side.lp.stats().iterations, 0);
    side.net()
        .start_timer(Duration::ZERO, Duration::ZERO)
        .expect("a slot");
    side.lp.platform_mut().now = 10_000;
    side.lp.run(&mut side.script).expect("a sound wait");
    assert_eq!(side.lp.stats().in_use, 0);
    let before = side.lp.stats().iterations;
    side.net().keep_alive(true);
    side.lp.platform_mut().answers.woken = [false, false, true].into();
    side.script.act(|at, event| {
        if *event == Event::Wake {
            at.net().keep_alive(false);
        }
    });
    side.lp.run(&mut side.script).expect("a sound wait");
    assert_eq!(side.lp.stats().iterations, before + 3);
}

/// What is closed, or no socket, has none of the platform's.
#[test]
fn a_closed_socket_has_none_of_the_platforms() {
    let mut side = side();
    let id = connected(&mut side);
    assert!(side.net().platform_socket(id).is_some());
    side.script.act(move |at, event| {
        if matches!(event, Event::Timer(..)) {
            at.net().close(id);
            assert!(at.net().platform_socket(id).is_none());
        }
    });
    side.net()
        .start_timer(Duration::ZERO, Duration::ZERO)
        .expect("a slot");
    side.lp.platform_mut().now = 10_000;
    turn(&mut side);
    turn(&mut side);
    assert!(side.script.closed(id).is_some());
    assert!(side.net().platform_socket(id).is_none());
}

/// The cork is free again when its holder is gone, and nothing of it comes out of another.
#[test]
fn a_socket_that_is_reset_leaves_the_cork_empty() {
    let mut side = side();
    let (one, other) = (connected(&mut side), connected(&mut side));
    let third = connected(&mut side);
    side.net().cork(one);
    assert_eq!(side.net().write(one, b"aaa"), 3);
    // Another's end leaves it alone.
    side.net().abort(third, 0);
    assert_eq!(side.net().write(one, b"b"), 1);
    assert_eq!(calls(&side, "send"), 0);
    side.net().abort(one, 0);
    side.net().cork(other);
    assert_eq!(side.net().write(other, b"b"), 1);
    assert_eq!(side.net().write(other, b"c"), 1);
    turn(&mut side);
    let sent = side.lp.platform().calls.iter();
    let sent: Vec<_> = sent.filter(|call| call.starts_with("send")).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].contains(&format!("{:?}", b"bc")), "{sent:?}");
}

/// What ends another socket's direction leaves the cork alone; what ends its holder's follows it.
#[test]
fn an_end_follows_what_its_own_socket_corked() {
    let mut side = side();
    let (one, other) = (connected(&mut side), connected(&mut side));
    side.net().cork(one);
    assert_eq!(side.net().write(one, b"a"), 1);
    side.net().finish(other);
    assert_eq!((calls(&side, "send"), calls(&side, "finish")), (0, 1));
    side.net().finish(one);
    let calls = side.lp.platform().calls.iter().rev();
    let last: Vec<_> = calls.take(2).map(|call| &call[..4]).collect();
    assert_eq!(last, ["fini", "send"]);
}

/// What calls of an iteration corked goes out at its end.
#[test]
fn a_cork_goes_out_at_the_end_of_the_iteration() {
    let mut side = side();
    let id = connected(&mut side);
    side.script.act(|at, event| {
        if let Event::Data(id, _) = event {
            at.net().cork(*id);
            assert_eq!(at.net().write(*id, b"a"), 1);
            assert_eq!(at.net().write(*id, b"b"), 1);
        }
    });
    side.lp.platform_mut().answers.recv = [data(1)].into();
    learn(&mut side, id, Readiness::READABLE);
    assert_eq!(calls(&side, "send"), 1);
    side.net().close(id);
    turn(&mut side);
    assert_eq!(calls(&side, "linger"), 0, "no layer holds anything");
}

/// Corking another socket sends what the first was writing, and the second has it from then on.
#[test]
fn the_cork_goes_over_to_another_socket() {
    let mut side = side();
    let (one, other) = (connected(&mut side), connected(&mut side));
    side.net().cork(one);
    assert_eq!(side.net().write(one, b"a"), 1);
    side.net().cork(other);
    assert_eq!(calls(&side, "send"), 1);
    assert_eq!(side.net().write(other, b"b"), 1);
    assert_eq!(calls(&side, "send"), 1, "held");
    turn(&mut side);
    assert_eq!(calls(&side, "send"), 2);
}

/// A cork that was held up goes out when there is room, and then the socket may write; as long as
/// it does not, the program is not told.
#[test]
fn a_cork_that_is_held_up_is_told_of_when_it_went_out() {
    let mut side = side();
    let id = connected(&mut side);
    side.net().cork(id);
    assert_eq!(side.net().write(id, b"abc"), 3);
    let sends: VecDeque<_> = [Ok(1), Ok(1), Ok(1)].into();
    side.lp.platform_mut().answers.send_vectored = sends;
    turn(&mut side);
    for told in [0, 1] {
        learn(&mut side, id, Readiness::WRITABLE);
        let writable = side.script.count(|event| *event == Event::Writable(id));
        assert_eq!(writable, told);
    }
}

/// A descriptor is not taken while the cork holds bytes that the platform does not take.
#[test]
fn a_descriptor_is_taken_with_an_empty_cork() {
    let mut side = side();
    let (id, other) = (connected(&mut side), connected(&mut side));
    side.net().cork(id);
    assert_eq!(side.net().write(id, b"abc"), 3);
    side.lp.platform_mut().answers.send_vectored = [Ok(1)].into();
    assert_eq!(side.net().take(id, &mut []), Err(Error::Full));
    assert_eq!(side.net().take(other, &mut []), Ok(((), 0)));
    learn(&mut side, id, Readiness::WRITABLE);
    assert_eq!(side.net().take(id, &mut []), Ok(((), 0)));
    assert_eq!(side.lp.stats().sent, 3);
}

/// Descriptors go beside bytes, behind what the cork holds; and come of open sockets only.
#[test]
fn descriptors_go_behind_what_was_written_before() {
    let mut side = side();
    let (id, other) = (connected(&mut side), connected(&mut side));
    let with = |side: &mut One, id| side.net().write_with_descriptors(id, b"xyz", &[&()]);
    assert_eq!(with(&mut side, id), Ok(3));
    side.net().cork(id);
    assert_eq!(side.net().write(id, b"ab"), 2);
    side.lp.platform_mut().answers.send_vectored = [Ok(1)].into();
    assert_eq!(with(&mut side, other), Ok(3));
    assert_eq!(with(&mut side, id), Ok(0));
    learn(&mut side, id, Readiness::WRITABLE);
    assert_eq!(with(&mut side, id), Ok(3));
    side.net().cork(id);
    assert_eq!(side.net().write(id, b"ab"), 2);
    assert_eq!(with(&mut side, id), Ok(3), "the cork went out");
    let refused = Err(Error::Exhausted);
    side.lp.platform_mut().answers.send_with_descriptors = [refused, Err(Error::Reset)].into();
    assert_eq!(with(&mut side, id), refused);
    assert!(side.net().is_open(id));
    assert_eq!(side.net().next_descriptor(id), Some(()));
    assert_eq!(with(&mut side, id), Err(Error::Reset));
    turn(&mut side);
    let closed = side.script.closed(id);
    assert_eq!(closed, Some(Closed::Failed(Error::Reset)));
    assert_eq!(side.net().next_descriptor(id), None);
    let listener = listening(&mut side, |at| at);
    assert_eq!(side.net().next_descriptor(listener), None);
    let datagrams = bound(&mut side);
    assert_eq!(side.net().next_descriptor(datagrams), Some(()));
}

/// What a platform with Unix sockets leaves out is not supported.
#[test]
fn unix_datagrams_are_not_supported_where_there_are_none() {
    let mut side = side();
    let at = LocalAddress::path(b"/tmp/nowhere").expect("a path");
    let bound = side.net().bind_local(LocalEndpoint::datagrams(at), 1);
    assert_eq!(bound, Err(Error::Unsupported));
    let mut platform = Scripted::<false>::default();
    let one = Departure::default();
    let sent = platform.send_datagram_with_descriptors(&mut (), b"", &one, &[]);
    assert_eq!(sent, Err(Error::Unsupported));
}

/// What any platform may leave out is not supported, or nothing; and parts go one by one.
#[test]
fn what_a_platform_leaves_out_has_a_default() {
    let mut bare = Bare(Scripted::<false>::default());
    let socket = &mut ();
    let option = SocketOption::NoDelay(true);
    assert_eq!(bare.set_option(socket, option), Err(Error::Unsupported));
    assert_eq!(bare.set_low_water(socket, 1), Err(Error::Unsupported));
    assert_eq!(bare.peek(socket, &mut [0]), Err(Error::Unsupported));
    assert!(!bare.linger(socket));
    let parts: [&[u8]; 4] = [b"ab", b"", b"cde", b"f"];
    for (answers, taken, sends) in [
        (vec![Ok(2), Ok(3), Ok(1)], Ok(6), 3),
        (vec![Ok(2), Ok(2)], Ok(4), 2),
        (vec![Ok(0)], Ok(0), 1),
        (vec![Err(Error::Reset)], Err(Error::Reset), 1),
        (vec![Ok(2), Err(Error::Reset)], Ok(2), 2),
    ] {
        bare.0.answers.send = answers.into();
        bare.0.calls.clear();
        assert_eq!(bare.send_vectored(socket, &parts), taken);
        assert_eq!(bare.0.calls.len(), sends);
    }
}

/// An option of an open socket is the platform's; what is not open has none, and of a datagram
/// socket some.
#[test]
fn options_are_of_open_sockets() {
    let mut side = side();
    let id = connected(&mut side);
    let (small, large) = (SocketOption::NoDelay(true), SocketOption::Priority(1));
    side.lp.platform_mut().answers.set_option = [Ok(()), Err(Error::Denied)].into();
    assert_eq!(side.net().set_option(id, small), Ok(()));
    assert_eq!(side.net().set_option(id, large), Err(Error::Denied));
    let datagrams = bound(&mut side);
    assert_eq!(side.net().set_option(datagrams, large), Ok(()));
    side.net().close(id);
    turn(&mut side);
    assert_eq!(side.net().set_option(id, small), Err(Error::Invalid));
    assert_eq!(calls(&side, "set_option"), 3);
}

/// A call about a socket reaches what is known of it.
#[test]
fn a_call_knows_its_sockets_addresses_and_protocol() {
    let mut side = side();
    let peer = SocketAddr::from(PEER).into();
    side.lp.platform_mut().answers.set_option = [Err(Error::Denied)].into();
    side.script.act(move |at, event| {
        if let (At::Socket(socket), Event::Open(..)) = (at, event) {
            assert_eq!(socket.peer_addr(), Some(peer));
            assert_eq!(
                socket.local_addr(),
                Some(Address::Local(
                    LocalAddress::path(b"/tmp/scripted").expect("a path")
                ))
            );
            assert_eq!(socket.protocol(), b"script");
            let denied = socket.set_option(SocketOption::NoDelay(true));
            assert_eq!(denied, Err(Error::Denied));
            assert_eq!(socket.write_vectored(&[b"ab", b"c"]), 3);
        }
    });
    let id = connected(&mut side);
    assert_eq!(side.net().protocol(id), b"script");
    assert_eq!(calls(&side, "send_vectored"), 1);
    side.net().close(id);
    turn(&mut side);
    assert_eq!(side.net().protocol(id), b"");
}

/// Batches are no longer than their memory, whatever the platform claims.
#[test]
fn more_datagrams_than_there_is_room_for_did_not_come() {
    for (count, len, breaches) in [(1, 3, 0), (2, 4, 0), (3, 4, 1), (2, 5, 2)] {
        let mut side = side();
        let id = bound(&mut side);
        turn(&mut side);
        learn(&mut side, id, Readiness::READABLE);
        let drained = true;
        side.lp.platform_mut().answers.recv_batch = [Ok(Arrivals { count, drained })].into();
        let mut arrivals = [Arrival {
            len,
            ..Arrival::default()
        }; 2];
        let got = side.net().recv_batch(id, &mut [0; 8], &mut arrivals);
        assert_eq!(got, Ok(count.min(2)));
        assert!(arrivals.iter().take(count).all(|one| one.len == len.min(4)));
        assert_eq!(side.lp.stats().breaches, breaches);
        let got = side.net().recv_batch(id, &mut [0; 8], &mut arrivals);
        assert_eq!(got, Ok(0));
        assert_eq!(calls(&side, "recv_batch"), 1, "it was all");
    }
}

/// A batch has a byte for each datagram at least, and those sent are counted once.
#[test]
fn batches_are_bounded() {
    let mut side = side();
    let id = bound(&mut side);
    turn(&mut side);
    learn(&mut side, id, Readiness::READABLE);
    let mut arrivals = [Arrival::default(); 3];
    for (bytes, got) in [(2, Err(Error::Invalid)), (3, Ok(0))] {
        let memory = &mut [0; 3][..bytes];
        assert_eq!(side.net().recv_batch(id, memory, &mut arrivals), got);
    }
    assert_eq!(side.net().recv_batch(id, &mut [], &mut []), Ok(0));
    let one = Departure {
        len: 4,
        ..Departure::default()
    };
    for (claimed, breaches) in [(2, 0), (3, 1)] {
        side.lp.platform_mut().answers.send_batch = [Ok(claimed)].into();
        let sent = side.net().send_batch(id, b"1234", &[one; 2]);
        assert_eq!((sent.count, sent.error), (2, None));
        assert_eq!(side.lp.stats().breaches, breaches);
    }
    side.lp.platform_mut().answers.send_batch = [Ok(1), Ok(1)].into();
    assert_eq!(side.net().send_batch(id, b"1234", &[one; 2]).count, 2);
    assert_eq!(side.lp.stats().breaches, 1);
    assert_eq!(side.lp.stats().sent, 6 * 4);
}

/// Errors of datagrams that nobody took are dropped, so many at a time, before the next batch.
#[test]
fn errors_of_datagrams_do_not_pile_up() {
    let mut side = side();
    let id = bound(&mut side);
    turn(&mut side);
    learn(&mut side, id, Readiness::ERROR);
    let error = DatagramError::new(SocketAddr::from(PEER).into(), Error::Refused, 0);
    side.lp.platform_mut().answers.next_error = vec![error; 70].into();
    let mut arrivals = [Arrival::default()];
    for left in [6, 0] {
        let _ = side.net().recv_batch(id, &mut [0; 8], &mut arrivals);
        assert_eq!(side.lp.platform().answers.next_error.len(), left);
    }
    let before = calls(&side, "next_error");
    let _ = side.net().recv_batch(id, &mut [0; 8], &mut arrivals);
    assert_eq!(calls(&side, "next_error"), before, "there are no more");
}

/// An error that is reported of a datagram socket is no room for more.
#[test]
fn an_error_of_a_datagram_is_no_room() {
    let mut side = side();
    let id = bound(&mut side);
    turn(&mut side);
    side.lp.platform_mut().answers.send_batch = [Ok(0)].into();
    let one = Departure::default();
    assert_eq!(side.net().send_batch(id, b"", &[one]).count, 0);
    for (readiness, told) in [(Readiness::ERROR, 0), (Readiness::WRITABLE, 1)] {
        learn(&mut side, id, readiness);
        let writable = side.script.count(|event| *event == Event::Writable(id));
        assert_eq!(writable, told);
    }
}

/// A listener of a layer that evicts gives up who has been opening longest, none that was open.
#[test]
fn who_broke_is_not_given_up_as_opening() {
    let mut side = holding();
    let listener = listening(&mut side, |at| at.when_full(WhenFull::EvictIdle));
    let platform = side.lp.platform_mut();
    platform.answers.accept = [accepted(), accepted()].into();
    platform.answers.open = [Ok(Progress::Done), Ok(Progress::Pending)].into();
    platform.report(listener, Readiness::READABLE);
    turn(&mut side);
    turn(&mut side);
    let open = side.script.opened(0).expect("one is open");
    // It breaks in a call, after which the listener has another.
    side.script.act(move |at, event| {
        if matches!(event, Event::Data(..)) {
            assert_eq!(at.net().write(open, b"1"), 0);
        }
    });
    let platform = side.lp.platform_mut();
    platform.now = 5_000_000;
    platform.answers.recv = [data(1)].into();
    platform.answers.send = [Err(Error::Reset)].into();
    platform.answers.accept = [accepted()].into();
    platform.report(open, Readiness::READABLE);
    platform.report(listener, Readiness::READABLE);
    turn(&mut side);
    turn(&mut side);
    assert_eq!(side.script.closed(open), Some(Closed::Failed(Error::Reset)));
    assert_eq!(side.lp.stats().failed, 1, "who was opening was given up");
}

/// A layer holds what is still to be sent of a closed socket, and then its slot is free.
#[test]
fn what_a_layer_holds_of_a_closed_socket_is_sent() {
    let mut side = holding();
    let id = connected(&mut side);
    turn(&mut side);
    side.lp.platform_mut().answers.linger = [true].into();
    side.net().close(id);
    side.lp.platform_mut().answers.flush = [Ok(Progress::Pending), Ok(Progress::Again)].into();
    turn(&mut side);
    assert_eq!(side.script.closed(id), Some(Closed::Local(0)));
    assert_eq!((side.lp.stats().in_use, side.lp.stats().open), (1, 0));
    for in_use in [1, 1, 0] {
        learn(&mut side, id, Readiness::WRITABLE);
        assert_eq!(side.lp.stats().in_use, in_use);
    }
    assert_eq!(calls(&side, "close"), 1);
}

/// Nor for longer than half a minute.
#[test]
fn what_a_layer_cannot_send_of_a_closed_socket_is_dropped_in_time() {
    let mut side = holding();
    let id = connected(&mut side);
    side.lp.platform_mut().answers.linger = [true].into();
    side.lp.platform_mut().answers.flush = [Ok(Progress::Pending); 9].into();
    side.net().close(id);
    turn(&mut side);
    for (now, in_use) in [(29_900_000, 1), (30_100_000, 0)] {
        side.lp.platform_mut().now = now;
        turn(&mut side);
        assert_eq!(side.lp.stats().in_use, in_use);
    }
}

/// Our end that a layer holds closes the socket when it is out, if the peer has ended too.
#[test]
fn an_end_that_a_layer_holds_closes_the_socket_when_it_is_out() {
    let mut side = holding();
    let id = connected(&mut side);
    turn(&mut side);
    let platform = side.lp.platform_mut();
    platform.answers.finish = [Ok(Progress::Pending)].into();
    platform.answers.recv = [Ok(Recv::Finished)].into();
    platform.answers.flush = [Ok(Progress::Pending), Ok(Progress::Pending)].into();
    platform.report(id, Readiness::ENDED);
    turn(&mut side);
    assert!(side.net().is_open(id));
    side.lp.platform_mut().answers.flush.clear();
    learn(&mut side, id, Readiness::WRITABLE);
    assert_eq!(side.script.closed(id), Some(Closed::Finished));
}

/// Drain is asked for once, and at its end nothing is left of listeners either.
#[test]
fn a_drain_whose_time_is_over_closes_listeners() {
    let mut side = side();
    listening(&mut side, |at| at);
    let id = connected(&mut side);
    assert!(!side.net().is_draining());
    side.net().drain(Duration::ZERO);
    assert!(side.net().is_draining());
    turn(&mut side);
    assert_eq!(side.script.closed(id), Some(Closed::TimedOut));
    assert_eq!(side.lp.stats().in_use, 0);
    turn(&mut side);
    assert_eq!(side.lp.next_deadline(), None, "it is over");
}

type Behind = Side<Proxied<'static, Scripted>>;

/// A loop behind a proxy that is trusted, with a listener for which a connection is there, on which
/// these bytes have come.
fn behind_proxy(bytes: &[u8]) -> Behind {
    let trusted = [Network::new([192, 0, 2, 0].into(), 24)].to_vec().leak();
    let platform = Proxied::new(Scripted::default(), trusted);
    let mut side = Side::with::<3>(0, platform, 16, 8);
    let at = Endpoint::tcp(PEER.into());
    let listener = side.net().listen(at, 1).expect("a slot");
    let inner = side.lp.platform_mut().inner_mut();
    inner.stream = bytes.to_vec();
    inner.answers.accept = [accepted()].into();
    inner.report(listener.into(), Readiness::READABLE);
    side
}

/// Reports that there is something to read of what was accepted, and takes a turn.
fn learn_behind_proxy(side: &mut Behind) {
    let inner = side.lp.platform_mut().inner_mut();
    inner.report(first_accepted(), Readiness::READABLE);
    turn(side);
}

/// A header that is there when its connection is accepted tells the client, and nothing of it is
/// data.
#[test]
fn a_header_that_has_come_already_tells_the_client() {
    let client = SocketAddr::from(([198, 51, 100, 3], 5));
    let header = ProxyHeader::between(client, SocketAddr::from(([192, 0, 2, 9], 443)));
    for version in [ProxyVersion::One, ProxyVersion::Two] {
        let mut bytes = [0; 128];
        let len = header.write(version, &mut bytes).expect("a header");
        let mut side = behind_proxy(&[&bytes[..len], b"data"].concat());
        for _ in 0..3 {
            turn(&mut side);
        }
        let id = side.script.opened(0).expect("it is open");
        let open = Event::Open(id, 1, Some(client));
        assert_eq!(side.script.count(|event| *event == open), 1);
        assert_eq!(side.script.received(id), b"data");
    }
}

/// The form in which connects begin is the one that was asked for.
#[test]
fn a_header_is_sent_in_the_form_that_was_asked_for() {
    let ends = [[198, 51, 100, 3], [192, 0, 2, 9]].map(|addr| SocketAddr::from((addr, 5)));
    let header = ProxyHeader::between(ends[0], ends[1]);
    for version in [ProxyVersion::One, ProxyVersion::Two] {
        let mut platform = Proxied::new(Scripted::<false>::default(), &[]);
        platform.send_header(Some((header, version)));
        let mut side = Side::with::<3>(0, platform, 16, 8);
        let id = side.connect(PEER.into(), 2).expect("a slot");
        side.lp
            .platform_mut()
            .inner_mut()
            .report(id, Readiness::WRITABLE);
        turn(&mut side);
        let mut bytes = [0; 128];
        let len = header.write(version, &mut bytes).expect("a header");
        let sent = format!("send {:?}", &bytes[..len]);
        assert!(side.lp.platform().inner().calls.contains(&sent));
    }
}

/// The beginning of a header that is reported again and again without any more of it has come to
/// its end; with more of it, it begins anew.
#[test]
fn the_beginning_of_a_header_is_not_looked_at_for_ever() {
    let mut side = behind_proxy(b"PROXY");
    let inner = side.lp.platform_mut().inner_mut();
    inner.answers.set_low_water = vec![Err(Error::Unsupported); 90].into();
    turn(&mut side);
    let accept = side.lp.platform().inner().calls[1].clone();
    assert!(accept.starts_with("accept"), "{accept}");
    let look = |side: &mut Behind| {
        learn_behind_proxy(side);
        side.lp.stats().failed
    };
    assert!((0..30).all(|_| look(&mut side) == 0));
    side.lp.platform_mut().inner_mut().stream = b"PROXY ".to_vec();
    assert!((0..32).all(|_| look(&mut side) == 0), "it goes on");
    assert_eq!(look(&mut side), 1);
    assert_eq!(side.lp.platform().invalid(), 1);
}

/// A header that can be looked at and not taken yet is taken when it can.
#[test]
fn a_header_is_taken_when_it_can_be() {
    let mut side = behind_proxy(b"PROXY TCP4 198.51.100.3 192.0.2.9 5 443\r\ndata");
    let inner = side.lp.platform_mut().inner_mut();
    inner.answers.recv = [Ok(Recv::WouldBlock)].into();
    turn(&mut side);
    assert_eq!(side.lp.stats().open, 0);
    let id = first_accepted();
    learn_behind_proxy(&mut side);
    turn(&mut side);
    let client = SocketAddr::from(([198, 51, 100, 3], 5));
    let open = Event::Open(id, 1, Some(client));
    assert_eq!(side.script.count(|event| *event == open), 1);
    assert_eq!(side.script.received(id), b"data");
}

/// Where the platform has nothing left for another attempt, it is made when there is; without one
/// under way, that is the end.
#[test]
fn an_attempt_that_finds_the_platform_exhausted_waits_for_others() {
    let addrs = [
        SocketAddr::from(PEER),
        SocketAddr::from(([192, 0, 2, 8], 8)),
    ];
    let to = Endpoint::tcp(PEER.into());
    let mut side = side();
    let mut eyeballs = HappyEyeballs::<4>::new(&addrs);
    side.lp.platform_mut().answers.connect = [Err(Error::Exhausted); 2].into();
    let now = eyeballs.start(&mut side.net(), to, 2);
    assert_eq!(now, Connecting::Failed(Error::Exhausted));
    side.lp.platform_mut().answers.connect = [Ok(()), Err(Error::Exhausted)].into();
    assert_eq!(eyeballs.start(&mut side.net(), to, 2), Connecting::UnderWay);
    for (second, connects) in [(1, 4), (2, 5)] {
        side.lp.platform_mut().now = second * 1_000_000;
        turn(&mut side);
        let due = side.script.events().filter_map(|event| match event {
            Event::Timer(timer, _) => Some(*timer),
            _ => None,
        });
        let timer = due.last().expect("it is due");
        let now = eyeballs.on_timer(&mut side.net(), to, 2, timer);
        assert_eq!(now, Connecting::UnderWay);
        assert_eq!(calls(&side, "connect"), connects);
    }
    assert_eq!(side.lp.stats().in_use, 2, "both are under way");
}

/// Lines that are sent back by two queues, and one that says hello by itself.
#[derive(Default)]
struct Lines {
    peers: Vec<Option<Address>>,
}

fn line<P: Platform>(
    _: &mut Socket<'_, P, Lines>,
    bytes: &mut [u8],
    output: &mut Output<'_>,
) -> Frame {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Frame::Incomplete;
    };
    assert!(output.room() <= 8);
    match output.push_all(&bytes[..=end]) {
        true => Frame::Used(end + 1),
        false => Frame::NoRoom,
    }
}

impl<P: Platform> Handler<P> for Lines {
    type Context = ();
    type Ext = Frames<24, 8>;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, opened: Opened<()>) -> Self::Ext {
        self.peers.push(opened.peer());
        Frames::default()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Self::Ext, data: &mut [u8]) {
        own.on_data(socket, data, line).expect("short lines");
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Self::Ext) {
        own.on_writable(socket, line).expect("short lines");
    }
}

type LinesLoop = Loop<'static, Scripted, Lines>;

/// A loop of lines with one connection, or with one that was accepted.
fn lines(handler: &mut Lines, accepts: bool) -> (LinesLoop, SocketId) {
    let sockets = Box::leak(Box::new(Sockets::<Scripted, Lines, 2>::new()));
    let mut lp = Loop::new(Scripted::default(), sockets, Box::leak(Box::new([0; 16])));
    let at = Endpoint::tcp(PEER.into());
    let id = match accepts {
        true => {
            lp.platform_mut().answers.accept = [accepted()].into();
            let listener = lp.net().listen(at, ()).expect("a slot").into();
            lp.platform_mut().report(listener, Readiness::READABLE);
            first_accepted()
        }
        false => {
            let id = lp.net().connect(at, ()).expect("a slot");
            lp.platform_mut().report(id, Readiness::WRITABLE);
            id
        }
    };
    lp.poll(handler, NONE).expect("a sound wait");
    assert!(lp.net().is_open(id));
    (lp, id)
}

fn sent(lp: &LinesLoop) -> Vec<String> {
    let calls = lp.platform().calls.iter();
    calls
        .filter(|call| call.starts_with("send"))
        .cloned()
        .collect()
}

/// What answers no frame goes whole or not at all, and what the peer does not take waits.
#[test]
fn what_answers_no_frame_is_sent_whole_or_not_at_all() {
    let mut handler = Lines::default();
    let (mut lp, id) = lines(&mut handler, false);
    lp.platform_mut().answers.send = [Ok(3), Ok(1), Ok(4)].into();
    let mut all = lp.all_sockets();
    let (net, own) = all.get(id).expect("it is open");
    assert!(!own.send(net, id, &[b"1234", b"56789"]));
    assert_eq!(own.unsent(), 0);
    assert!(own.send(net, id, &[b"1234", b"56", b"78"]), "it fits");
    assert_eq!(own.unsent(), 5);
    assert!(!own.send(net, id, &[b"1234"]));
    assert!(own.send(net, id, &[b"9"]));
    assert_eq!(own.unsent(), 6);
    assert_eq!(
        sent(&lp),
        [format!("send {:?}", b"12345678")],
        "the peer takes nothing"
    );
    // A line comes that finds no room, until the peer has taken some.
    lp.platform_mut().stream = b"abcd\n".to_vec();
    lp.platform_mut().report(id, Readiness::READABLE);
    lp.poll(&mut handler, NONE).expect("a sound wait");
    assert_eq!(sent(&lp).len(), 1);
    lp.platform_mut().report(id, Readiness::WRITABLE);
    lp.poll(&mut handler, NONE).expect("a sound wait");
    lp.platform_mut().report(id, Readiness::WRITABLE);
    lp.poll(&mut handler, NONE).expect("a sound wait");
    assert_eq!(sent(&lp)[1], format!("send {:?}", b"456789"));
    assert_eq!(sent(&lp)[2], format!("send {:?}", b"56789"));
    lp.platform_mut().report(id, Readiness::WRITABLE);
    lp.poll(&mut handler, NONE).expect("a sound wait");
    assert_eq!(sent(&lp)[3], format!("send {:?}", b"9abcd\n"));
    assert_eq!(lp.all_sockets().get(id).expect("it is open").1.unsent(), 0);
}

/// An accepted connection has a peer when it opens, and one that drains ends by itself.
#[test]
fn a_handler_has_defaults() {
    for accepts in [false, true] {
        let mut handler = Lines::default();
        let (mut lp, _) = lines(&mut handler, accepts);
        let peer = accepts.then(|| SocketAddr::from(PEER).into());
        assert_eq!(handler.peers, [peer]);
        lp.net().drain(Duration::from_secs(1));
        for now in 1..30 {
            lp.platform_mut().now = now * 2_000;
            lp.poll(&mut handler, NONE).expect("a sound wait");
        }
        assert!(lp.platform().calls.contains(&"finish".to_string()));
    }
}
