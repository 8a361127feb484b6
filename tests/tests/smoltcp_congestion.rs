//! Congestion control, as seen from outside: what is on the way at which time.

use usockets::{Duration, Endpoint, Error};
use usockets_smoltcp::{Faults, SizeClass, Slot, Working};
use usockets_tests::smoltcp::forge::{ACK, SYN, Seg, Stage};
use usockets_tests::smoltcp::{Habit, Recipe, World, a4, b4, pattern, secs, seed};

/// Payload of a full segment.
const SEGMENT: usize = 1_460;
/// The initial window (RFC 6928).
const INITIAL: usize = 10 * SEGMENT;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A wire of 10 Mbit/s and 20 ms there and back: 25 KB, or 17 segments, fill it.
fn slow() -> Faults {
    Faults::NONE.delay(millis(10)).rate(1_250_000)
}

/// Two hosts with the largest buffers that need no window scale, on a wire that holds so many
/// frames.
fn world(frames: usize, faults: Faults) -> World {
    with_buffers(65_535, frames, faults)
}

/// The same with buffers of this size.
fn with_buffers(size: usize, frames: usize, faults: Faults) -> World {
    let class = SizeClass::new(4, size, size);
    let cookies = Recipe::new(1).classes(&[class.half_open(0)]);
    let recipes = [cookies, Recipe::new(2).classes(&[class])];
    World::behind(frames, faults, seed(1), &recipes[0], &recipes[1])
}

/// Connects, with `bytes` to send once it is open.
fn connect(world: &mut World, bytes: &[u8]) -> u64 {
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"");
    world.run(secs(5), |world| {
        world.a.conn(id).open && world.b.conns.len() == 1
    });
    world.a.push(id, bytes, false);
    id
}

/// The most bytes that were on the way to the receiver at once during `time`, in full segments.
fn peak(world: &mut World, time: Duration) -> usize {
    let end = world.wire.now().saturating_add(time);
    let mut most = 0;
    world.run(time + secs(1), |world| {
        most = most.max(world.wire.flying_to(1) * SEGMENT);
        world.wire.now() >= end
    });
    most
}

/// Beside its buffers a connection takes at most 350 bytes, with everything on by default.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_connection_takes_350_bytes_at_most() {
    let bucket = size_of::<u32>();
    let bytes = size_of::<Slot>() + bucket + size_of::<Working>();
    assert!(bytes <= 350, "{bytes}");
}

#[test]
fn a_short_queue_is_filled_and_not_overrun() {
    // Acknowledgements included: without control 44 segments and their acknowledgements would be
    // on the way.
    let (goodput, lost) = through_a_short_queue(65_535);
    // Without control 0.26 and 0.16; with smoltcp's own 0.52 and 0.014.
    assert!(goodput > 0.6, "{goodput}");
    assert!(lost < 0.03, "{lost}");
}

/// From what the path holds to forty times as much.
#[test]
fn larger_buffers_make_a_path_no_slower() {
    let mut fastest = 0.0_f64;
    for size in [25_000, 32_768, 65_535, 262_144, 1_000_000] {
        let (goodput, _) = through_a_short_queue(size);
        assert!(goodput > fastest * 0.9, "{goodput} after {fastest}");
        fastest = fastest.max(goodput);
    }
}

/// Sends 4 MB with buffers of this size; returns the share of the path's rate that it had, and the
/// share of the segments that were lost.
fn through_a_short_queue(size: usize) -> (f64, f64) {
    let mut world = with_buffers(size, 32, slow());
    let bytes = pattern(4_000_000, 1);
    let start = world.wire.now();
    let id = connect(&mut world, &bytes);
    world.a.conn(id).finish = true;
    world.a.push(id, b"", true);
    world.run(secs(60), |world| world.b.only().ended);
    assert!(world.b.only().received == bytes);
    let took = world.wire.now().saturating_since(start).as_micros() as f64 / 1e6;
    let goodput = bytes.len() as f64 / took / 1_250_000.0;
    let lost = world.wire.lost_count() as f64 / (bytes.len() / SEGMENT) as f64;
    println!("{size}: goodput {goodput:.3} of the rate, {lost:.4} of the segments lost");
    (goodput, lost)
}

#[test]
fn starts_with_ten_segments_and_is_soon_not_limited() {
    let mut world = world(1_024, Faults::NONE.delay(millis(10)));
    let bytes = pattern(1_000_000, 2);
    connect(&mut world, &bytes);
    world.a.step();
    assert_eq!(world.wire.flying_to(1) * SEGMENT, INITIAL);
    let mut most = INITIAL;
    for _ in 0..3 {
        let now = peak(&mut world, millis(20));
        assert!(now <= most * 2 + SEGMENT, "{now} after {most}");
        most = most.max(now);
    }
    let full = peak(&mut world, millis(40));
    let buffer = 65_535 - SEGMENT..65_535 + 2 * SEGMENT;
    assert!(buffer.contains(&full), "the buffer is the limit: {full}");
}

/// The same with a connection made from a SYN cookie.
fn accept(world: &mut World, bytes: &[u8]) -> u64 {
    world.a.listen(&Endpoint::tcp(a4(80)), Habit::Keep);
    world.b.connect(&Endpoint::tcp(a4(80)), b"");
    world.run(secs(5), |world| world.a.conns.len() == 1);
    assert_eq!(world.a.net.counters().cookies_taken, 1);
    let id = *world.a.conns.keys().next().unwrap();
    world.a.push(id, bytes, false);
    id
}

/// A peer on a link of jumbo frames: the initial window is of segments that can leave here.
#[test]
fn a_cookie_from_a_peer_with_larger_segments_starts_no_larger() {
    let class = SizeClass::new(4, 65_535, 65_535).half_open(0);
    let mut stage = Stage::new(&Recipe::new(2).classes(&[class]));
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let mut syn = Seg::new(a4(1), b4(80), SYN, 99, 0);
    syn.options = vec![2, 4, 0x23, 0];
    stage.seg(&syn);
    let theirs = stage.segs()[0].seq + 1;
    stage.seg(&Seg::new(a4(1), b4(80), ACK, 100, theirs).window(65_535));
    let id = *stage.host.conns.keys().next().unwrap();
    stage.host.push(id, &[7; 60_000], false);
    stage.host.step();
    let sent = stage.segs();
    assert_eq!(
        sent.iter().map(|seg| seg.payload.len()).sum::<usize>(),
        INITIAL
    );
}

#[test]
fn shrinks_at_a_loss_and_grows_back_slowly() {
    shrinks(connect);
}

#[test]
fn a_connection_from_a_cookie_shrinks_as_well() {
    shrinks(accept);
}

/// Loses the next frame that the sender sends.
fn lose_one(world: &mut World) {
    let (before, faults) = (world.wire.lost_count(), slow());
    let mut idle = 0;
    while world.wire.lost_count() == before {
        world.wire.set_faults(faults.loss(1_000_000));
        world.a.net.device_mut().set_room(Some(1));
        let busy = world.a.step();
        world.a.net.device_mut().set_room(None);
        world.wire.set_faults(faults);
        idle = if world.b.step() | busy { 0 } else { idle + 1 };
        assert!(idle < 2 || world.wire.advance());
    }
    assert_eq!(world.wire.lost_count(), before + 1);
}

fn shrinks(open: fn(&mut World, &[u8]) -> u64) {
    let mut world = world(1_024, slow());
    let bytes = pattern(20_000_000, 3);
    let id = open(&mut world, &bytes);
    world.run(secs(5), |world| world.b.only().received.len() > 1_000_000);
    // All of the buffer, but for what 10 ms of acknowledgements on their way tell of.
    let full = peak(&mut world, millis(200));
    assert!(full > 45_000, "{full}");
    lose_one(&mut world);
    let before = world.b.only().received.len();
    world.pass(millis(150));
    let came = world.b.only().received.len() - before;
    assert!(came > 100_000, "{came}: that was a timeout");
    // CUBIC keeps 0.7 of the window (RFC 9438, section 4.6), of which the acknowledgements on
    // their way back are a part.
    let less = peak(&mut world, millis(60));
    assert!((full / 3..full * 3 / 4).contains(&less), "{less} of {full}");
    // About a segment for every two round trips of 20 to 40 ms (section 4.3).
    let later = peak(&mut world, millis(400));
    let more = later.saturating_sub(less) / SEGMENT;
    assert!((2..=20).contains(&more), "{less} {later}");
    let later = peak(&mut world, secs(3));
    assert!(later > 45_000, "{later}");
    assert_eq!(world.a.conn(id).error, None);
}

#[test]
fn a_timeout_collapses_to_one_segment_and_backs_off() {
    let mut world = world(1_024, slow());
    let bytes = pattern(2_000_000, 4);
    connect(&mut world, &bytes);
    world.run(secs(5), |world| world.b.only().received.len() > 500_000);
    let faults = slow().loss(1_000_000);
    world.wire.set_faults(faults);
    world.pass(millis(200));
    let before = world.wire.lost_count();
    world.pass(secs(4));
    let lost = world.wire.lost_count() - before;
    // After 0.25, 0.75, 1.75 and 3.75 s.
    assert!((3..=5).contains(&lost), "{lost} segments");
    world.wire.set_faults(slow());
    // Slow start: not all of what is outstanding again, at once.
    world.run(secs(10), |world| world.wire.flying_count() > 0);
    assert_eq!(world.wire.flying_count(), 1);
    let mut most = 0;
    let end = world.wire.now().saturating_add(millis(50));
    world.run(secs(1), |world| {
        most = most.max(world.wire.flying_count());
        world.wire.now() >= end
    });
    assert!((2..=8).contains(&most), "{most} in two round trips");
    world.run(secs(20), |world| {
        world.b.only().received.len() == bytes.len()
    });
    assert!(world.b.only().received == bytes);
}

/// What smoltcp is shown after the first timeout counts as a sign of the peer, and only that.
#[test]
fn a_peer_that_is_gone_is_given_up_in_time() {
    let mut world = world(1_024, slow());
    let bytes = pattern(2_000_000, 6);
    let id = connect(&mut world, &bytes);
    world.run(secs(5), |world| world.b.only().received.len() > 500_000);
    world.wire.set_faults(slow().loss(1_000_000));
    let start = world.wire.now();
    world.run(secs(200), |world| world.a.conn(id).error.is_some());
    assert_eq!(world.a.conn(id).error, Some(Error::TimedOut));
    let took = world.wire.now().saturating_since(start);
    assert!((secs(119)..secs(126)).contains(&took), "{took:?}");
}

#[test]
fn bursts_after_idle_are_as_small_as_at_the_start() {
    let mut world = world(1_024, Faults::NONE.delay(millis(10)));
    let bytes = pattern(1_000_000, 5);
    let id = connect(&mut world, &bytes);
    let arrived = |world: &mut World| world.b.only().received.len() == world.a.conn(id).sent;
    world.run(secs(5), |world| {
        world.a.conn(id).sent == bytes.len() && arrived(world)
    });
    // Not idle for long: the window is as it was, however often something is acknowledged.
    let other = *world.b.conns.keys().next().unwrap();
    for _ in 0..4 {
        world.b.push(other, b"x", false);
        world.pass(millis(25));
    }
    world.a.push(id, &bytes[..65_535], false);
    world.a.step();
    let sent = world.wire.flying_to(1) * SEGMENT;
    assert!(sent > 3 * INITIAL, "{sent}");
    world.run(secs(5), arrived);
    world.pass(secs(3));
    let before = world.a.conn(id).sent;
    world.a.push(id, &bytes[..65_535], false);
    world.a.step();
    assert_eq!(world.wire.flying_to(1) * SEGMENT, INITIAL);
    world.run(secs(5), |world| {
        world.b.only().received.len() == before + 65_535
    });
}

/// A sender through loss both ways: repaired, every byte right.
#[test]
fn losses_of_every_kind_are_survived() {
    for loss in [1_000, 10_000, 50_000] {
        let mut world = world(40, slow().loss(loss).reorder(loss / 2));
        let bytes = pattern(600_000, u64::from(loss));
        let id = connect(&mut world, &bytes);
        world.run(secs(120), |world| {
            world.b.only().received.len() == bytes.len()
        });
        assert!(world.b.only().received == bytes);
        assert_eq!(world.a.conn(id).error, None);
    }
}
