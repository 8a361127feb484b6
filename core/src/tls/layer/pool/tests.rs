//! Entries that are leased, asked for, recalled and passed on.

use super::*;

const MAX: u64 = 5_000_000;

fn id(index: u64) -> SocketId {
    SocketId::from_bits(1 << 32 | index).expect("an id")
}

/// Each entry is leased, the first one before the others, and so many sockets wait.
fn with_queue<R>(waiting: u64, test: impl FnOnce(&mut Pool<'_, ()>) -> R) -> R {
    let mut entries = [const { Entry::new(()) }; 2];
    let mut ring = [0; 512];
    let mut pool = Pool::new(&mut entries, &mut ring, |()| {});
    pool.set_now(1_000);
    let first = pool.lease(id(0), false);
    pool.set_now(2_000);
    let second = pool.lease(id(1), false);
    assert!(matches!(
        (first, second),
        (Lease::Granted(_), Lease::Granted(_))
    ));
    for (index, _) in (2..).zip(0..waiting) {
        assert!(matches!(pool.lease(id(index), false), Lease::Waits));
    }
    test(&mut pool)
}

#[test]
fn leases_shorten_as_the_queue_grows() {
    let due = |waiting| with_queue(waiting, |pool| pool.begin_iteration(MAX));
    assert_eq!(due(0), None, "nobody is hurried on an idle server");
    // Eight for each entry are none too many.
    assert_eq!(due(1), Some(1_000 + MAX));
    assert_eq!(due(31), Some(1_000 + MAX));
    assert_eq!(due(32), Some(1_000 + MAX / 2));
    assert_eq!(due(64), Some(1_000 + MAX / 4));
    assert_eq!(due(500), Some(1_000 + LEASE_MIN));
}

#[test]
fn who_was_served_for_longest_gives_way_first() {
    with_queue(64, |pool| {
        let recalled = |pool: &mut Pool<'_, ()>, now| {
            pool.set_now(now);
            pool.begin_iteration(MAX);
            pool.next_report()
        };
        assert_eq!(recalled(pool, 1_000 + MAX / 4 - 1), None);
        let (first, second) = (1_000 + MAX / 4, 2_000 + MAX / 4);
        assert_eq!(recalled(pool, first), Some((id(0), Report::Recalled)));
        assert_eq!(recalled(pool, first), None);
        assert_eq!(recalled(pool, second), Some((id(1), Report::Recalled)));
    });
}

#[test]
fn who_gives_way_is_recalled_at_once_unless_it_went_on() {
    with_queue(1, |pool| {
        let [first, second] = [1, 2].map(Index);
        pool.set_gives_way(first, true);
        pool.set_gives_way(second, true);
        // The rest of its message has come.
        pool.set_gives_way(first, false);
        pool.begin_iteration(MAX);
        assert_eq!(pool.next_report(), Some((id(1), Report::Recalled)));
        assert_eq!(pool.next_report(), None);
    });
    // As many as wait.
    for waiting in [1, 2] {
        with_queue(waiting, |pool| {
            pool.set_gives_way(Index(1), true);
            pool.set_gives_way(Index(2), true);
            pool.begin_iteration(MAX);
            assert_eq!(u64::from(pool.reports()), waiting);
        });
    }
}

#[test]
fn who_lacks_a_place_is_asked_when_there_is_room() {
    with_queue(1, |pool| {
        let [first, second] = [1_000, 2_000].map(|since| since + LEASE_MIN);
        let room = |parking_place, exchange_place| RoomDue {
            parking_place,
            exchange_place,
        };
        let now = room(0, 0);
        assert_eq!(pool.ask_due(now), None, "nobody lacks anything");
        pool.set_lacks(Index(1), Lacks::ParkingPlace);
        pool.set_lacks(Index(2), Lacks::ExchangePlace);
        assert_eq!(pool.ask_due(now), Some(first));
        let later = first + 5;
        assert_eq!(pool.ask_due(room(later, NEVER)), Some(later), "no sooner");
        assert_eq!(pool.ask_due(room(NEVER, NEVER)), None);
        assert_eq!(pool.ask_due(room(NEVER, 0)), Some(second), "of its kind");
        assert_eq!(pool.ask_one(now), Some(first));
        assert_eq!(pool.reports(), 0, "it is not due");
        pool.set_now(first);
        assert_eq!(pool.ask_one(now), Some(first));
        assert_eq!(pool.next_report(), Some((id(0), Report::GoOn)));
        assert_eq!(pool.ask_due(now), Some(second));
        pool.set_now(second);
        assert_eq!(pool.ask_one(now), Some(second));
        assert_eq!(pool.next_report(), Some((id(1), Report::GoOn)));
        assert_eq!(pool.ask_due(now), None, "each once");
        pool.set_lacks(Index(1), Lacks::ParkingPlace);
        assert_eq!(pool.ask_due(now), Some(first), "it has found none again");
    });
}

#[test]
fn more_than_half_is_scarce() {
    let mut entries = [const { Entry::new(()) }; 4];
    let mut ring = [0; 4];
    let mut pool = Pool::new(&mut entries, &mut ring, |()| {});
    let mut leased = Index::NONE;
    for (index, is_scarce, is_last_leased) in [
        (0, false, false),
        (1, false, false),
        (2, true, false),
        (3, true, true),
    ] {
        leased = pool.lease_now(id(index), 0).expect("a free one");
        assert_eq!(
            (pool.is_scarce(), pool.is_last_leased()),
            (is_scarce, is_last_leased)
        );
    }
    pool.release(leased);
    assert_eq!((pool.is_scarce(), pool.is_last_leased()), (true, false));
    pool.release(Index(1));
    assert_eq!((pool.is_scarce(), pool.is_last_leased()), (false, false));
}

#[test]
fn what_is_not_taken_goes_to_the_next() {
    with_queue(2, |pool| {
        pool.release(Index(1));
        assert_eq!(pool.due(MAX), Some(0), "one is to be reported");
        assert_eq!(pool.next_report(), Some((id(2), Report::GoOn)));
        assert_eq!(pool.due(MAX), Some(0), "it may not take it");
        pool.begin_iteration(MAX);
        assert_eq!(pool.next_report(), Some((id(3), Report::GoOn)));
        assert_eq!(pool.lease(id(2), false), Lease::Waits);
        assert_eq!(pool.lease(id(3), true), Lease::Granted(Index(1)));
    });
}

#[test]
fn who_goes_leaves_the_order_of_the_others() {
    with_queue(4, |pool| {
        // The first has its turn, and one in the middle waits.
        pool.release(Index(1));
        pool.forget(id(2));
        pool.forget(id(4));
        assert_eq!(pool.next_report(), Some((id(3), Report::GoOn)));
        pool.forget(id(3));
        assert_eq!(pool.next_report(), Some((id(5), Report::GoOn)));
        pool.forget(id(5));
        assert_eq!(pool.lease(id(6), false), Lease::Granted(Index(1)));
        assert_eq!(pool.due(MAX), None);
    });
}

#[test]
fn who_has_made_progress_keeps_its_lease_longer() {
    with_queue(1, |pool| {
        pool.set_now(3_000);
        pool.touch(Index(1));
        assert_eq!(pool.begin_iteration(MAX), Some(2_000 + MAX));
        pool.set_now(2_000 + MAX);
        pool.begin_iteration(MAX);
        assert_eq!(pool.next_report(), Some((id(1), Report::Recalled)));
        assert!(pool.is_recalled(Index(2)) && !pool.is_recalled(Index(1)));
    });
}
