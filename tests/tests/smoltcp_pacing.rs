//! The stack in user space with pacing: what leaves when, by the ticks of its timing wheel.

use usockets::{Duration, Endpoint};
use usockets_smoltcp::{Faults, SizeClass};
use usockets_tests::smoltcp::{Habit, Recipe, World, b4, pattern, secs, seed};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two hosts on a wire of 80 ms there and back, with a connection that has `bytes` to send.
fn sending(pacing: bool, leased: bool, bytes: &[u8]) -> World {
    let class = SizeClass::new(4, 65_535, 65_535);
    let class = if leased { class.leased(2) } else { class };
    let mut recipes = [Recipe::new(1), Recipe::new(2)].map(|recipe| recipe.classes(&[class]));
    recipes[0].pacing = pacing;
    let faults = Faults::NONE.delay(millis(40));
    let mut world = World::behind(4_096, faults, seed(1), &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"");
    world.run(secs(5), |world| {
        world.a.conn(id).open && world.b.conns.len() == 1
    });
    world.pass(millis(200));
    world.a.push(id, bytes, false);
    world
}

/// Lets ten frames leave; returns how many milliseconds that takes, and how many leave at once at
/// most.
fn departure(world: &mut World) -> (u128, usize) {
    let start = world.wire.now();
    let (mut flying, mut most) = (0, 0);
    world.run(secs(1), |world| {
        let before = flying;
        flying = world.wire.flying_to(1);
        most = most.max(flying.saturating_sub(before));
        flying == 10
    });
    let time = world.wire.now().saturating_since(start);
    (time.as_millis(), most)
}

/// The first window leaves at once, or in half a round trip: two segments, and one each 4 ms.
#[test]
fn the_first_window_leaves_at_a_rate() {
    let bytes = pattern(40_000, 1);
    for leased in [false, true] {
        let mut world = sending(false, leased, &bytes);
        assert_eq!(departure(&mut world), (0, 10));
        let mut world = sending(true, leased, &bytes);
        let (time, most) = departure(&mut world);
        assert!((30..40).contains(&time) && most == 2, "{time} ms, {most}");
    }
}

/// Whatever waits is woken: all of it arrives, in about as many round trips.
#[test]
fn what_is_paced_arrives_whole() {
    let bytes = pattern(3_000_000, 2);
    for leased in [false, true] {
        let times = [false, true].map(|pacing| {
            let mut world = sending(pacing, leased, &bytes);
            let start = world.wire.now();
            world.run(secs(60), |world| {
                let all = world.b.conns.values();
                all.map(|conn| conn.received.len()).sum::<usize>() == bytes.len()
            });
            assert!(world.b.only().received == bytes);
            world.wire.now().saturating_since(start).as_millis()
        });
        println!("{times:?} ms");
        assert!(times[1] <= times[0] + times[0] / 10, "{times:?}");
    }
}
