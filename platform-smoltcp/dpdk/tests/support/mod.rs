//! DPDK started once for all tests of a program, stacks on its ports, and the kernel's TCP on the
//! other end, in a network namespace of a test's own.

#[allow(
    unreachable_pub,
    reason = "for the library of another workspace's tests it is not"
)]
#[path = "../../../../tests/src/smoltcp/namespace.rs"]
mod namespace;

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) use namespace::*;
use usockets::{Endpoint, Error, Loop, Platform, Sockets};
use usockets_dpdk::{Eal, Pool};
use usockets_smoltcp::{
    Address, Block, Config, DeviceCounters, Listener, Memory, Neighbour, Outstanding, PollDevice,
    Random, Secret, SizeClass, Slot, Stack, Working,
};

/// Connections of a stack, and bytes of each buffer.
pub(crate) const CONNECTIONS: usize = 64;
const BUFFER: usize = 32_768;

/// Returns DPDK, which is started for the first test that asks.
pub(crate) fn eal() -> &'static Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    EAL.get_or_init(|| {
        Eal::start(&[
            "tests",
            "-l",
            "0",
            "--no-huge",
            "-m",
            "512",
            "--no-pci",
            "--no-shconf",
            "--no-telemetry",
            "--log-level=warning",
            "--file-prefix=usockets-tests",
        ])
        .expect("DPDK")
    })
}

/// Makes a pool that stays.
pub(crate) fn pool(frames: u32, room: u16) -> &'static Pool<'static> {
    Box::leak(Box::new(Pool::new(eal(), frames, room).expect("a pool")))
}

/// Returns memory for as long as the program runs.
pub(crate) fn leak<T>(count: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    let mut all = Vec::new();
    all.resize_with(count, make);
    all.leak()
}

/// The MAC address of a host.
pub(crate) fn mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host]
}

/// An address of IPv6 of a host.
pub(crate) fn v6(host: u8, port: u16) -> SocketAddr {
    let ip = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host)]);
    SocketAddr::new(ip, port)
}

/// Returns memory for a stack with this class of connections.
pub(crate) fn memory(class: &SizeClass, scratch: usize) -> Memory<'static> {
    Memory {
        slots: leak(class.connections, || Slot::EMPTY),
        working: leak(class.working_len(), || Working::EMPTY),
        resting: &mut [],
        in_flight: &mut [],
        outstanding: leak(class.outstanding_len(), || Outstanding::EMPTY),
        ranges: leak(class.ranges_len(), || Block::EMPTY),
        // Zeros of the system, which are no memory before they are used.
        bytes: vec![0; class.bytes()].leak(),
        buckets: leak(class.connections.next_power_of_two(), || 0),
        listeners: leak(8, || Listener::EMPTY),
        neighbours: leak(16, || Neighbour::EMPTY),
        scratch: vec![0; scratch].leak(),
    }
}

/// Makes the stack of a host on a device.
pub(crate) fn stack_with<D: PollDevice>(
    device: D,
    host: u8,
    class: SizeClass,
) -> Stack<'static, D> {
    let addresses = [
        Address::new([10, 0, 0, host].into(), 24),
        Address::new(v6(host, 0).ip(), 64),
    ];
    let config = Config::new(mac(host), &addresses, Secret::new([host; 16])).announce(false);
    // And frames in several buffers put together.
    let scratch = device.capabilities().frame_max() + 65_600;
    Stack::new(device, &config, memory(&class, scratch), &[class]).expect("a stack")
}

/// Makes the stack of a host on a device.
pub(crate) fn stack<D: PollDevice>(device: D, host: u8) -> Stack<'static, D> {
    stack_with(device, host, SizeClass::new(CONNECTIONS, BUFFER, BUFFER))
}

/// Bytes that repeat only after a long time.
pub(crate) fn pattern(len: usize, salt: u64) -> Vec<u8> {
    let mut random = Random::new(salt);
    (0..len).map(|_| random.next() as u8).collect()
}

/// A loop with an echo server on port 7 of both families.
pub(crate) struct Server<D: PollDevice + 'static> {
    pub(crate) looped: Loop<'static, Stack<'static, D>, Echo>,
    pub(crate) echo: Echo,
}

impl<D: PollDevice> Server<D> {
    pub(crate) fn new(stack: Stack<'static, D>) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<_, Echo, CONNECTIONS>::new()));
        let buffer = vec![0; 65_536].leak();
        let mut looped = Loop::with_buffer(stack, sockets, buffer).unwrap();
        let at = Endpoint::tcp(([0_u16; 8], 7).into());
        looped.net().listen(at, ()).unwrap();
        Self {
            looped,
            echo: Echo::default(),
        }
    }

    /// Polls the loop once, for a moment at most.
    pub(crate) fn poll(&mut self) -> Result<(), Error> {
        let now = self.looped.platform().now();
        let until = now.saturating_add(Duration::from_millis(5));
        self.looped.poll(&mut self.echo, Some(until))
    }

    /// Polls the loop until `is_over`, for a minute at most.
    pub(crate) fn serve_until(&mut self, mut is_over: impl FnMut() -> bool) {
        let start = std::time::Instant::now();
        while !is_over() {
            self.poll().unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it takes too long"
            );
        }
    }
}

impl<D: PollDevice> Server<D> {
    /// Polls the loop until its device has received so many frames.
    pub(crate) fn serve_frames(&mut self, frames: u64) {
        self.serve_counted(|counted| counted.received >= frames);
    }

    /// Polls the loop until its device has counted something, for a minute at most.
    pub(crate) fn serve_counted(&mut self, is_enough: impl Fn(&DeviceCounters) -> bool) {
        let start = std::time::Instant::now();
        loop {
            let counted = self.looped.platform_mut().device_mut().counters();
            if is_enough(&counted) {
                return;
            }
            self.poll().unwrap();
            assert!(start.elapsed() < Duration::from_secs(60), "{counted:?}");
        }
    }
}

/// Clients of the kernel's, by both families in turn, against the stack's echo server.
pub(crate) fn echo_for_kernel<D: PollDevice>(server: &mut Server<D>, clients: usize, len: usize) {
    let all: Vec<_> = (0..clients)
        .map(|salt| {
            let bytes = pattern(len, salt as u64);
            let v4 = SocketAddr::from((STACK, 7));
            let to = if salt % 2 == 0 { v4 } else { v6(2, 7) };
            (echo_client(to, bytes.clone()), bytes)
        })
        .collect();
    server.serve_until(|| all.iter().all(|(client, _)| client.is_finished()));
    for (client, bytes) in all {
        assert!(client.join().unwrap() == bytes, "other bytes came back");
    }
}

/// A client on the stack against an echo server of the kernel's, by both families.
pub(crate) fn echo_from_kernel<D: PollDevice>(stack: Stack<'static, D>, len: usize) {
    let sockets = Box::leak(Box::new(Sockets::<_, Client, 4>::new()));
    let buffer = vec![0; 65_536].leak();
    let mut looped = Loop::with_buffer(stack, sockets, buffer).unwrap();
    for to in [SocketAddr::from((KERNEL, 7)), v6(1, 7)] {
        let server = echo_server(to);
        let mut client = Client::new(pattern(len, 3));
        looped.net().connect(Endpoint::tcp(to), ()).unwrap();
        let start = std::time::Instant::now();
        while !client.is_done {
            let now = looped.platform().now();
            let until = now.saturating_add(Duration::from_millis(100));
            looped.poll(&mut client, Some(until)).unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it takes too long"
            );
        }
        assert!(client.back == client.bytes, "other bytes came back");
        server.join().unwrap();
    }
}
