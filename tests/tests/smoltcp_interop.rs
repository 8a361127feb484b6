//! Our stack and smoltcp's understand each other: every byte arrives in both directions, whichever
//! of them connects, over wires that lose, repeat and reorder. `SEED` starts elsewhere, `RUNS`
//! makes it longer.

use std::fmt::Debug;

use usockets::{Duration, Endpoint, Error, Platform};
use usockets_smoltcp::{Faults, Limits, Random, SizeClass};
use usockets_tests::smoltcp::stock;
use usockets_tests::smoltcp::{Habit, Recipe, World, b4, pattern, reclaim, secs, seed, v6};

/// A wire that a TCP has to get along with. It flips no bits: ARP and NDP of Ethernet have nothing
/// to find a wrong address by, and both stacks believe one for minutes.
fn faults(random: &mut Random) -> Faults {
    let mut ppm = |most| random.below(most) as u32;
    let faults = Faults::NONE
        .loss(ppm(50_000))
        .duplicate(ppm(20_000))
        .reorder(ppm(100_000));
    faults.delay(Duration::from_micros(random.below(30_000)))
}

/// Echoes streams of the first host's, several at once, and compares them.
fn echo<A, B>(world: &mut World<A, B>, random: &mut Random)
where
    A: Platform + Debug,
    B: Platform + Debug,
{
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    world.b.listen(&at, Habit::Echo);
    let mut all = Vec::new();
    for salt in 0..1 + random.below(3) {
        let to = if random.below(2) == 0 {
            b4(80)
        } else {
            v6(2, 80)
        };
        let to = Endpoint::tcp(to).nodelay(random.below(2) == 0);
        let sent = pattern(random.below(60_000) as usize, salt);
        let id = world.a.connect(&to, &sent);
        world.a.push(id, b"", true);
        all.push((id, to, sent));
    }
    world.run(secs(900), |world| {
        for (id, to, sent) in &mut all {
            let conn = world.a.conn(*id);
            // Three questions for the neighbour were lost (RFC 4861, section 10). For a while it
            // is not asked again.
            if !conn.open && conn.error == Some(Error::Unreachable) {
                world.pass(secs(1));
                world.a.close(*id);
                *id = world.a.connect(to, sent);
                world.a.push(*id, b"", true);
            }
        }
        all.iter().all(|(id, ..)| world.a.conn(*id).is_done())
    });
    for (id, _, sent) in &all {
        let conn = world.a.conn(*id);
        assert_eq!(conn.error, None);
        assert!(conn.received == *sent, "what came back differs");
    }
}

/// Plays `scene` with many seeds.
fn every_seed(runs: u64, scene: fn(u64)) {
    let first = seed(1);
    let runs = std::env::var("RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(runs);
    for seed in first..first + runs {
        let caught = std::panic::catch_unwind(|| scene(seed));
        assert!(caught.is_ok(), "SEED={seed} RUNS=1");
        // SAFETY: all that was made on this thread lived in that call.
        unsafe { reclaim() };
    }
}

fn buffer(random: &mut Random) -> usize {
    [700, 3_000, 20_000, 65_535][random.below(4) as usize]
}

/// Plays a seed with our stack on one side and smoltcp's on the other. Ours may have only so many
/// sets of memory for all of its connections.
fn between(seed: u64, ours_connects: bool, sets: Option<usize>) {
    let mut random = Random::new(seed);
    let faults = faults(&mut random);
    let class = SizeClass::new(4, buffer(&mut random), buffer(&mut random));
    let class = sets.map_or(class, |sets| class.leased(sets));
    let theirs = buffer(&mut random);
    // On such a wire one handshake in some ten thousand takes longer than 5 s.
    let limits = Limits::DEFAULT.connect(secs(60)).handshake(secs(60));
    // Who shares memory with others may find none as often as it asks, and asks more and more
    // seldom: after 60 s at last.
    let limits = match sets {
        Some(_) => limits.answer(secs(1_000)),
        None => limits,
    };
    let ours = move |host| {
        let mut recipe = Recipe::new(host).classes(&[class]);
        recipe.limits = limits;
        move |port| recipe.build_on(port)
    };
    let stock = move |host| move |port| stock::build_with(limits, host, 8, theirs, port);
    if ours_connects {
        echo(
            &mut World::mixed(faults, seed, (ours(1), stock(2))),
            &mut random,
        );
    } else {
        echo(
            &mut World::mixed(faults, seed, (stock(1), ours(2))),
            &mut random,
        );
    }
}

#[test]
fn ours_connects_to_smoltcps() {
    every_seed(200, |seed| between(seed, true, None));
}

#[test]
fn smoltcps_connects_to_ours() {
    every_seed(200, |seed| between(seed, false, None));
}

#[test]
fn smoltcps_share_a_set_of_ours() {
    every_seed(200, |seed| between(seed, false, Some(1)));
}

#[test]
fn smoltcps_share_two_sets_of_ours() {
    every_seed(200, |seed| between(seed, false, Some(2)));
}

/// A seed that once failed: data overtook the segment that answers a cookie, and was reset.
#[test]
fn data_overtakes_the_answer_to_a_cookie() {
    between(5_943, false, None);
}

/// A seed that once failed: a SYN that went again met a second socket of smoltcp's that listened.
#[test]
fn a_repeated_syn_opens_no_second_connection() {
    between(6_690, true, None);
}
