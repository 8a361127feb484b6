//! What the simulated network does to datagrams, as a real one may: it loses them, doubles them,
//! and has one go ahead of another; each only where it is asked to.

use std::time::Duration;

use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::mail::{Office, deliver_until};
use usockets_tests::rng::seeds;
use usockets_tests::sim::Faults;

/// Datagrams of a run.
const COUNT: u16 = 500;

/// Sends numbers from one host to another over a network; returns those that arrived, as they did.
fn arrived(seed: u64, faults: Faults) -> Vec<u16> {
    println!("SEED={seed}");
    let mut bed = SimBed::new(seed, faults);
    let mut left = Office::new(&mut bed, 0);
    let mut right = Office::new(&mut bed, 1);
    let (from, _) = left.bind(bed.addr(0), 1);
    let (to, to_addr) = right.bind(bed.addr(1), 2);
    let (long, mut next) = (bed.long(), 0_u16);
    let both = &mut [&mut left, &mut right];
    let sent = deliver_until(&mut bed, both, long, |both| {
        next += u16::from(both[0].send(from, to_addr, &next.to_be_bytes()));
        next == COUNT
    });
    assert!(sent, "{next} were sent");
    deliver_until(&mut bed, both, Duration::from_secs(60), |_| false);
    assert_eq!((left.post.closed.len(), right.post.closed.len()), (0, 0));
    let letters = right.post.of(to).into_iter();
    letters
        .map(|bytes| u16::from_be_bytes(bytes.try_into().expect("a whole number")))
        .collect()
}

/// Returns what arrived of each number, checked to have been sent.
fn counts(arrived: &[u16]) -> Vec<u32> {
    let mut counts = vec![0; usize::from(COUNT)];
    for number in arrived {
        counts[usize::from(*number)] += 1;
    }
    counts
}

#[test]
fn all_arrive_once_and_in_order_unless_asked_otherwise() {
    for seed in seeds(4) {
        let mut faults = Faults::none();
        faults.latency_max = 5_000;
        let all: Vec<u16> = (0..COUNT).collect();
        assert_eq!(arrived(seed, faults), all);
    }
}

#[test]
fn some_are_lost() {
    for seed in seeds(4) {
        let mut faults = Faults::none();
        faults.datagram_loss = 2_000;
        let arrived = arrived(seed, faults);
        assert!(arrived.is_sorted());
        assert!(counts(&arrived).iter().all(|count| *count <= 1));
        // A fifth of them, give or take five standard deviations.
        assert!((350..=450).contains(&arrived.len()), "{}", arrived.len());
    }
}

#[test]
fn some_arrive_twice() {
    for seed in seeds(4) {
        let mut faults = Faults::none();
        faults.datagram_copies = 2_000;
        let arrived = arrived(seed, faults);
        let counts = counts(&arrived);
        assert!(counts.iter().all(|count| (1..=2).contains(count)));
        assert!((550..=650).contains(&arrived.len()), "{}", arrived.len());
    }
}

#[test]
fn some_go_ahead_of_others() {
    for seed in seeds(4) {
        let mut faults = Faults::none();
        faults.latency_max = 5_000;
        faults.datagram_reordering = true;
        let arrived = arrived(seed, faults);
        assert!(counts(&arrived).iter().all(|count| *count == 1));
        assert!(!arrived.is_sorted());
    }
}
