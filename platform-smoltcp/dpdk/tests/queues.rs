//! Two stacks that are one host, each on a queue of one port and on a thread of its own.
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

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use support::{
    STACK, Server, address, eal, echo_client, in_namespace, mac, memory, pattern, pool, v6,
};
use usockets::{Notify, Waker};
use usockets_dpdk::{Pool, Port, PortOptions, WakeFlag};
use usockets_smoltcp::{
    Address, Config, Rss, RssKey, Secret, SharedNeighbour, SharedNeighbours, SharedPacket,
    SharedQueues, SizeClass, Stack,
};

const CLIENTS: usize = 24;
const BYTES: usize = 100_000;

static NEIGHBOURS: SharedNeighbours<[SharedNeighbour; 64]> = SharedNeighbours::new();
static KEY: RssKey = RssKey::MICROSOFT;
static TABLE: [u16; 128] = Rss::spread(2);
static WAKERS: [Waker<WakeFlag>; 2] = [Waker::new(WakeFlag::new()), Waker::new(WakeFlag::new())];

/// The flag alone ends a wait, and is no wake-up that a handler is told of.
fn wake(queue: u16) {
    WAKERS[usize::from(queue)].notifier().notify();
}

/// The kernel spreads as it likes; what comes to the wrong stack is handed over, and both serve.
#[test]
fn both_queues_serve_and_hand_over_what_is_the_others() {
    in_namespace(|| {
        eal().attach("net_tap_us0,iface=us0").unwrap();
        let options = PortOptions::DEFAULT.queues(2).rss_key(*KEY.bytes());
        let pools = [pool(2_048, Pool::ROOM), pool(2_048, Pool::ROOM)];
        let port = Port::open(eal(), "net_tap_us0", &pools, &options).unwrap();
        let port: &'static Port<'static> = Box::leak(Box::new(port));
        assert_eq!(port.table_len(), None, "nothing hashes here");
        address("us0");
        let shared: &'static SharedQueues<[SharedPacket; 512]> =
            Box::leak(Box::new(SharedQueues::new(2)));
        let addresses = [
            Address::new(STACK.into(), 24),
            Address::new(v6(2, 0).ip(), 64),
        ];
        let config = Config::new(mac(2), &addresses, Secret::new([7; 16]));
        let class = SizeClass::new(64, 32_768, 32_768);
        let is_over = AtomicBool::new(false);
        let counted: Vec<_> = thread::scope(|scope| {
            let servers = [0, 1].map(|queue| {
                let (config, is_over) = (&config, &is_over);
                let device = port.device(queue).unwrap();
                let device = device.with_waker(&WAKERS[usize::from(queue)]);
                scope.spawn(move || {
                    let memory = memory(&class, 67_114);
                    let mut stack = Stack::new(device, config, memory, &[class]).unwrap();
                    stack.share_neighbours(&NEIGHBOURS);
                    let rss = Rss::new(&KEY, &TABLE);
                    stack.share_queues(shared, rss, queue, &wake).unwrap();
                    let mut server = Server::new(stack);
                    server.serve_until(|| is_over.load(Ordering::Relaxed));
                    (server.echo.opened, *server.looped.platform().counters())
                })
            });
            let clients: Vec<_> = (0..CLIENTS)
                .map(|salt| {
                    let to = [SocketAddr::from((STACK, 7)), v6(2, 7)][salt % 2];
                    echo_client(to, pattern(BYTES, salt as u64))
                })
                .collect();
            // First stopped, then judged: the servers are waited for also by a test that fails.
            let echoed: Vec<_> = clients.into_iter().map(JoinHandle::join).collect();
            is_over.store(true, Ordering::Relaxed);
            for (salt, echoed) in echoed.into_iter().enumerate() {
                assert!(echoed.unwrap() == pattern(BYTES, salt as u64));
            }
            servers.map(|server| server.join().unwrap()).into()
        });
        let opened: Vec<_> = counted.iter().map(|(opened, _)| *opened).collect();
        assert_eq!(opened.iter().sum::<usize>(), CLIENTS);
        assert!(opened.iter().all(|opened| *opened > 0), "{opened:?}");
        let handed_over: u64 = counted.iter().map(|(_, counted)| counted.handed_over).sum();
        println!("{opened:?} connections, {handed_over} packets handed over");
        assert!(handed_over > 0);
    });
}
