//! Two stacks in one process on a cable of rings, and what can be said of ports without a network.
#![allow(
    unsafe_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test may panic, and its numbers are small"
)]

#[allow(dead_code, reason = "each program of tests has some use for it")]
mod support;

use std::thread;

use support::{Client, Server, eal, leak, pattern, pool, stack_with, v6};
use usockets::{Endpoint, Instant, Loop, Sockets, Waker};
use usockets_dpdk::{Dpdk, DpdkError, Eal, Idle, Pool, Port, PortOptions, WakeFlag};
use usockets_smoltcp::{PollDevice, RssKey, SizeClass, TxMeta};

/// Makes a cable and opens both its ends.
fn cable(
    name: &str,
    frames: u32,
    pools: [&'static Pool<'static>; 2],
    options: &PortOptions,
) -> [&'static Port<'static>; 2] {
    eal().ring_pair(name, 1, frames).unwrap();
    let [left, right] = [("a", pools[0]), ("b", pools[1])].map(|(end, pool)| {
        let device = format!("net_ring_{name}{end}");
        let port = Port::open(eal(), &device, &[pool], options).unwrap();
        &*Box::leak(Box::new(port))
    });
    [left, right]
}

fn two_pools() -> [&'static Pool<'static>; 2] {
    [pool(2_048, Pool::ROOM), pool(2_048, Pool::ROOM)]
}

/// Runs a client on one device against an echo server on the other, and returns the latter.
fn greet(
    left: Dpdk<'static>,
    right: Dpdk<'static>,
    buffer: usize,
    len: usize,
) -> Server<Dpdk<'static>> {
    let class = SizeClass::new(64, buffer, buffer);
    let mut server = Server::new(stack_with(right, 2, class));
    let sockets = Box::leak(Box::new(Sockets::<_, Client, 8>::new()));
    let memory = vec![0; 65_536].leak();
    let mut client = Loop::with_buffer(stack_with(left, 1, class), sockets, memory).unwrap();
    for to in [([10, 0, 0, 2], 7).into(), v6(2, 7)] {
        let mut handler = Client::new(pattern(len, 9));
        client.net().connect(Endpoint::tcp(to), ()).unwrap();
        let start = std::time::Instant::now();
        while !handler.is_done {
            client.poll(&mut handler, Some(Instant::ZERO)).unwrap();
            server
                .looped
                .poll(&mut server.echo, Some(Instant::ZERO))
                .unwrap();
            assert!(start.elapsed().as_secs() < 60, "it takes too long");
        }
        assert!(handler.back == handler.bytes, "other bytes came back");
    }
    server
}

#[test]
fn two_stacks_talk_over_rings() {
    let [left, right] = cable("talk", 1_024, two_pools(), &PortOptions::DEFAULT);
    assert_eq!(left.table_len(), None);
    let mut server = greet(
        left.device(0).unwrap(),
        right.device(0).unwrap(),
        32_768,
        1_000_000,
    );
    let counted = server.looped.platform_mut().device_mut().counters();
    assert!(
        counted.received > 1_000 && counted.sent > 1_000,
        "{counted:?}"
    );
    assert_eq!(right.statistics().received, counted.received);
}

/// A ring of seven places is full again and again: it is waited for, and nothing is lost.
#[test]
fn full_rings_are_counted_and_waited_for() {
    let [left, right] = cable("full", 8, two_pools(), &PortOptions::DEFAULT);
    let mut server = greet(
        left.device(0).unwrap(),
        right.device(0).unwrap(),
        262_144,
        3_000_000,
    );
    let counted = server.looped.platform_mut().device_mut().counters();
    assert!(counted.full > 0, "{counted:?}");
    assert_eq!(counted.dropped, 0, "{counted:?}");
}

/// A device whose frames nobody takes says that it is full, and sends them later, in order.
#[test]
fn nothing_that_was_taken_is_lost() {
    let [left, right] = cable("order", 8, two_pools(), &PortOptions::DEFAULT);
    let (mut from, mut to) = (left.device(0).unwrap(), right.device(0).unwrap());
    let mut sent = 0_u32;
    while let Some(slot) = from.slot(60) {
        slot.fill(0);
        slot[..4].copy_from_slice(&sent.to_ne_bytes());
        from.commit(60, &TxMeta::NONE);
        from.flush();
        sent += 1;
    }
    // Seven in the ring, 64 that wait.
    assert_eq!(sent, 71);
    let counted = from.counters();
    assert_eq!((counted.sent, counted.full), (71, 1));
    let mut came = 0_u32;
    for _ in 0..100 {
        for index in 0..to.receive(5) {
            assert_eq!(to.frame(index).len(), 60);
            assert_eq!(to.frame(index)[..4], came.to_ne_bytes());
            assert!(to.chained(index, 1).is_empty());
            came += 1;
        }
        from.flush();
    }
    assert_eq!(came, sent);
    assert!(from.slot(60).is_some(), "there is room again");
}

/// What a port takes not at all is given up after a second, and counted.
#[test]
fn what_is_never_taken_is_given_up() {
    let [left, _] = cable("stuck", 8, two_pools(), &PortOptions::DEFAULT);
    let mut from = left.device(0).unwrap();
    while from.slot(60).is_some() {
        from.commit(60, &TxMeta::NONE);
    }
    from.flush();
    let start = from.now();
    while from.counters().dropped == 0 {
        let now = from.now();
        from.wait(Some(
            now.saturating_add(std::time::Duration::from_millis(50)),
        ));
        assert!(now.saturating_since(start).as_secs() < 30);
    }
    let waited = from.now().saturating_since(start);
    assert!(waited.as_millis() >= 1_000, "{waited:?}");
    // Seven are in the ring.
    let counted = from.counters();
    assert_eq!(counted.sent, counted.dropped + 7, "{counted:?}");
    assert!(from.slot(60).is_some(), "there is room again");
}

/// A port of rings is stopped and started under its devices; what waits is sent then.
#[test]
fn a_ring_that_is_stopped_goes_on_later() {
    let [left, right] = cable("stop", 64, two_pools(), &PortOptions::DEFAULT);
    let (mut from, mut to) = (left.device(0).unwrap(), right.device(0).unwrap());
    let send = |from: &mut Dpdk<'static>| {
        from.slot(60).unwrap().fill(7);
        from.commit(60, &TxMeta::NONE);
        from.flush();
    };
    send(&mut from);
    left.stop().unwrap();
    assert!(!left.is_stopped(), "its device has not seen it");
    send(&mut from);
    assert!(left.is_stopped());
    assert_eq!(to.receive(64), 1, "the other end is no matter of it");
    assert_eq!(from.receive(64), 0);
    left.start().unwrap();
    from.flush();
    assert_eq!(to.receive(64), 1);
    // A stop that is taken back before it was seen is none.
    left.stop().unwrap();
    left.start().unwrap();
    send(&mut from);
    assert_eq!(to.receive(64), 1);
    drop(from);
    left.stop().unwrap();
    assert!(left.is_stopped(), "nobody has to see it");
}

/// With no buffer left the device says that it is full; frames that come back make room.
#[test]
fn an_empty_pool_is_waited_for() {
    let pools = [pool(127, Pool::ROOM), pool(2_048, Pool::ROOM)];
    let [left, right] = cable("empty", 1_024, pools, &PortOptions::DEFAULT);
    let (mut from, mut to) = (left.device(0).unwrap(), right.device(0).unwrap());
    let mut sent = 0;
    while from.slot(60).is_some() {
        from.commit(60, &TxMeta::NONE);
        from.flush();
        sent += 1;
    }
    assert_eq!((sent, pools[0].free_count()), (127, 0));
    let mut came = 0;
    while came < sent {
        came += to.receive(64);
    }
    assert_eq!(to.receive(64), 0, "which gives the last ones back");
    assert!(from.slot(60).is_some());
}

/// All frames lie in memory of the caller's.
#[test]
fn frames_are_in_memory_that_was_lent() {
    let len = 8_192 * 512;
    let memory = leak(len + 4_096, || 0_u8);
    let start = memory.as_ptr().align_offset(4_096);
    let memory = &mut memory[start..start + len];
    let range = memory.as_ptr_range();
    let lent = Pool::lent(eal(), memory, Pool::ROOM).unwrap();
    let lent: &'static Pool<'static> = Box::leak(Box::new(lent));
    assert_eq!(lent.free_count() as usize, len / (2_048 + 128));
    let [left, right] = cable("lent", 1_024, [lent; 2], &PortOptions::DEFAULT);
    {
        let mut device = left.device(0).unwrap();
        let slot = device.slot(1_514).unwrap().as_ptr_range();
        assert!(range.contains(&slot.start) && range.contains(&slot.end));
    }
    greet(
        left.device(0).unwrap(),
        right.device(0).unwrap(),
        32_768,
        300_000,
    );
    let bad = Pool::lent(eal(), &mut leak(8_192, || 0)[1..], Pool::ROOM);
    assert_eq!(bad.err(), Some(DpdkError::BadMemory));
}

/// DPDK's environment is started once per process, and says so to whoever tries again.
#[test]
fn dpdk_is_started_once() {
    eal();
    let again = Eal::start(&["again", "--no-huge"]);
    assert_eq!(again.err(), Some(DpdkError::AlreadyStarted));
    let said = DpdkError::AlreadyStarted.to_string();
    assert!(said.contains("once per process"), "{said}");
}

#[test]
fn what_is_not_there_or_taken_is_refused() {
    let pool = pool(512, Pool::ROOM);
    let open = |name: &str, options: &PortOptions| {
        Port::open(eal(), name, &[pool], options).map(drop).err()
    };
    let default = PortOptions::DEFAULT;
    assert_eq!(open("net_ring_none", &default), Some(DpdkError::NoPort));
    eal().ring_pair("refused", 2, 64).unwrap();
    let name = "net_ring_refuseda";
    let too_many = Some(DpdkError::NoQueue);
    assert_eq!(open(name, &default.queues(0)), too_many);
    assert_eq!(open(name, &default.queues(3)), too_many);
    assert_eq!(open(name, &default.mtu(9_000)), Some(DpdkError::SmallRoom));
    let three = Port::open(eal(), name, &[pool; 3], &default.queues(2));
    assert_eq!(three.err(), Some(DpdkError::WrongPools));
    let port = Port::open(eal(), name, &[pool], &default.queues(2)).unwrap();
    assert_eq!(open(name, &default), Some(DpdkError::PortTaken));
    let first = port.device(1).unwrap();
    assert_eq!(port.device(1).err(), Some(DpdkError::QueueTaken));
    assert_eq!(port.device(2).err(), too_many);
    drop(first);
    assert!(port.device(1).is_ok());
    assert_eq!(eal().ring_pair("many", 17, 64), Err(DpdkError::NoQueue));
    assert_eq!(eal().attach("net_ring\0"), Err(DpdkError::BadArgument));
}

/// A wake-up and a frame each end a wait that has no other end.
#[test]
fn a_wait_ends_with_a_wake_up_or_a_frame() {
    static WAKER: Waker<WakeFlag> = Waker::new(WakeFlag::new());
    for (name, idle) in [
        ("spin", Idle::Spin),
        ("sleep", Idle::Sleep(std::time::Duration::from_micros(50))),
    ] {
        let options = PortOptions::DEFAULT.idle(idle);
        let [left, right] = cable(name, 64, two_pools(), &options);
        let (from, to) = (left.device(0).unwrap(), right.device(0).unwrap());
        let (mut from, mut to) = (from, to.with_waker(&WAKER));
        let soon = std::time::Duration::from_millis(20);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(soon);
                WAKER.wake();
            });
            to.wait(None);
            assert!(to.woken() && !to.woken());
            scope.spawn(|| {
                thread::sleep(soon);
                from.slot(60).unwrap().fill(1);
                from.commit(60, &TxMeta::NONE);
                from.flush();
            });
            to.wait(None);
            assert_eq!(to.receive(64), 1);
            assert!(!to.woken());
        });
        let until = to.now().saturating_add(std::time::Duration::from_millis(5));
        to.wait(Some(until));
        assert!(to.now() >= until);
    }
}

/// A driver with a table of queues is given the key, and filled with queues in turn.
#[test]
fn a_port_that_spreads_is_given_the_key() {
    eal().attach("net_null0").unwrap();
    let pool = pool(4_096, Pool::ROOM);
    let key = *RssKey::MICROSOFT.bytes();
    let options = PortOptions::DEFAULT.queues(2).rss_key(key);
    let port = Port::open(eal(), "net_null0", &[pool], &options).unwrap();
    assert_eq!(port.table_len(), Some(128));
    let mut device = port.device(1).unwrap();
    assert!(
        device.receive(8) > 0,
        "net_null receives zeros all the time"
    );
    assert_eq!(device.rx_meta(0).queue, 1);
}
