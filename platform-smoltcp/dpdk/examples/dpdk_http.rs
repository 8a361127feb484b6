//! The HTTP server of the other examples, with a TCP stack and a thread for each receive queue of a
//! DPDK port: `/`, `/echo` (POST), `/bytes/N` and `/stats`, on port 80. What comes behind `--` is
//! DPDK's:
//!
//! ```text
//! cargo run --release --example dpdk_http -- --port NAME --ip CIDR [--ip CIDR] [--gateway IP]
//!     [--mac MAC] [--queues N] [--mtu N] [--spin] [--promiscuous] [--plain] -- DPDK ARGUMENTS
//! ```
//!
//! The stack has the port's MAC address if it is given no other. On a card another one needs
//! `--promiscuous`; on a TAP, where the kernel has the port's, there must be another one.
//!
//! To try it without a card, as root:
//!
//! ```text
//! dpdk_http --port net_tap0 --mac 02:00:0a:4d:00:02 --ip 10.77.0.2/24 \
//!     -- -l 0 --no-huge -m 512 --no-pci --vdev=net_tap0,iface=us0 &
//! ip addr add 10.77.0.1/24 dev us0
//! curl http://10.77.0.2/
//! ```
//!
//! The stacks are one host: they share what they know of neighbours, connections belong to one or
//! the other by Toeplitz's hash, which a card is given if it takes one, and what arrives elsewhere
//! is handed over.

use core::error::Error;
use core::net::IpAddr;
use std::fs::File;
use std::io::Read;
use std::process::ExitCode;
use std::thread;
use std::time::SystemTime;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "going over to another protocol is for other examples"
)]
#[path = "../../examples/handlers/http/mod.rs"]
mod http;

use http::date::WallClock;
use http::memory::{Memory as HttpMemory, Tables};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;
use usockets::{Endpoint, Loop, Notify, Place, Waker};
use usockets_dpdk::{Dpdk, DpdkError, Eal, Idle, Pool, Port, PortOptions, WakeFlag};
use usockets_smoltcp::{
    Address, Block, Config, Listener, Memory, Neighbour, Outstanding, Rss, RssKey, Secret,
    SharedNeighbour, SharedNeighbours, SharedPacket, SharedQueues, SizeClass, Slot, Stack, Working,
};

/// Connections of each stack, and the bytes of each one's two buffers.
const CONNECTIONS: usize = 256;
const BUFFER: usize = 65_535;
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
/// Descriptors of a queue each way, and the buffers that it needs: those, what the device holds,
/// and some on their way to other stacks.
const DESCRIPTORS: u16 = 1_024;
const FRAMES: u32 = 4_096;
/// Packets that may wait for each stack.
const PACKETS: usize = 2_048;
/// Bytes per connection for what it received, and for what the client has not taken.
const IN: usize = 16_384;
const OUT: usize = 8_192;

static NEIGHBOURS: SharedNeighbours<[SharedNeighbour; 256]> = SharedNeighbours::new();
static KEY: RssKey = RssKey::MICROSOFT;

/// What the program was asked for.
struct Options {
    port: String,
    addresses: Vec<Address>,
    gateways: Vec<IpAddr>,
    mac: Option<[u8; 6]>,
    queues: u16,
    mtu: u16,
    spin: bool,
    promiscuous: bool,
    plain: bool,
    dpdk: Vec<String>,
}

impl Options {
    /// Reads the arguments; `None` if they are not understood.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            port: String::new(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            mac: None,
            queues: 1,
            mtu: 1_500,
            spin: false,
            promiscuous: false,
            plain: false,
            dpdk: vec!["dpdk_http".to_string()],
        };
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--port" => options.port = arguments.next()?,
                "--ip" => {
                    let cidr = arguments.next()?;
                    let (ip, prefix) = cidr.split_once('/')?;
                    let address = Address::new(ip.parse().ok()?, prefix.parse().ok()?);
                    options.addresses.push(address);
                }
                "--gateway" => options.gateways.push(arguments.next()?.parse().ok()?),
                "--mac" => options.mac = Some(parse_mac(&arguments.next()?)?),
                "--queues" => options.queues = arguments.next()?.parse().ok()?,
                "--mtu" => options.mtu = arguments.next()?.parse().ok()?,
                "--spin" => options.spin = true,
                "--promiscuous" => options.promiscuous = true,
                "--plain" => options.plain = true,
                "--" => options.dpdk.extend(arguments.by_ref()),
                _ => return None,
            }
        }
        let is_whole = !options.port.is_empty() && !options.addresses.is_empty();
        is_whole.then_some(options)
    }

    /// Opens the port, with a pool for each queue.
    fn open(&self) -> Result<Port<'static>, DpdkError> {
        let arguments: Vec<&str> = self.dpdk.iter().map(String::as_str).collect();
        let eal: &'static Eal = Box::leak(Box::new(Eal::start(&arguments)?));
        let mut pools: Vec<&'static Pool<'static>> = Vec::new();
        for _ in 0..self.queues {
            let pool = Pool::new(eal, FRAMES, Pool::room_for(self.mtu))?;
            pools.push(Box::leak(Box::new(pool)));
        }
        let mut options = PortOptions::DEFAULT
            .queues(self.queues)
            .mtu(self.mtu)
            .descriptors(DESCRIPTORS, DESCRIPTORS)
            .promiscuous(self.promiscuous)
            .offload(!self.plain)
            .rss_key(*KEY.bytes());
        if self.spin {
            options = options.idle(Idle::Spin);
        }
        Port::open(eal, &self.port, &pools, &options)
    }

    /// Makes a stack for each queue, all of them one host.
    fn stacks(
        &self,
        port: &'static Port<'static>,
    ) -> Result<Vec<Stack<'static, Dpdk<'static>>>, Box<dyn Error>> {
        let wakers = leak(self.queues.into(), || Waker::new(WakeFlag::new()));
        let wakers: &'static [Waker<WakeFlag>] = wakers;
        // The flag alone ends a wait, and is no wake-up that a handler is told of.
        let wake: &'static (dyn Fn(u16) + Sync) = Box::leak(Box::new(move |queue: u16| {
            if let Some(waker) = wakers.get(usize::from(queue)) {
                waker.notifier().notify();
            }
        }));
        let shared: &'static SharedQueues<[SharedPacket; PACKETS]> =
            Box::leak(Box::new(SharedQueues::new(self.queues)));
        let entries = port.table_len().unwrap_or(128);
        let table: Vec<u16> = (0..self.queues).cycle().take(entries.into()).collect();
        let rss = Rss::new(&KEY, table.leak());
        let mut secret = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let mut config = Config::new(
            self.mac.unwrap_or(port.mac()),
            &self.addresses,
            Secret::new(secret),
        );
        for gateway in &self.gateways {
            match gateway {
                IpAddr::V4(gateway) => config.gateway_v4 = Some(*gateway),
                IpAddr::V6(gateway) => config.gateway_v6 = Some(*gateway),
            }
        }
        let mut stacks = Vec::new();
        for (waker, queue) in wakers.iter().zip(0..) {
            let device = port.device(queue)?.with_waker(waker);
            let mut stack = Stack::new(device, &config, memory(), &[CLASS])?;
            stack.share_neighbours(&NEIGHBOURS);
            stack.share_queues(shared, rss, queue, wake)?;
            stacks.push(stack);
        }
        Ok(stacks)
    }
}

/// Reads six bytes with colons between them.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect();
    bytes?.try_into().ok()
}

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: --port NAME --ip CIDR [--ip CIDR] [--gateway IP] [--mac MAC] [--queues N] \
             [--mtu N] [--spin] [--promiscuous] [--plain] -- DPDK ARGUMENTS"
        );
        return ExitCode::FAILURE;
    };
    let port = match options.open() {
        Ok(port) => Box::leak(Box::new(port)),
        Err(error) => {
            eprintln!("{}: {error}", options.port);
            return ExitCode::FAILURE;
        }
    };
    match options.stacks(port) {
        Ok(stacks) => serve_all(stacks),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves on a thread for each stack, until one fails.
fn serve_all(stacks: Vec<Stack<'static, Dpdk<'static>>>) -> ExitCode {
    let (send, receive) = std::sync::mpsc::channel();
    for (stack, queue) in stacks.into_iter().zip(0_u16..) {
        let send = send.clone();
        thread::spawn(move || {
            let served = serve(stack);
            let _ = send.send((queue, served));
        });
    }
    println!("listening on port 80");
    if let Ok((queue, Err(error))) = receive.recv() {
        eprintln!("queue {queue}: {error}");
    }
    ExitCode::FAILURE
}

/// Serves one queue.
fn serve(stack: Stack<'static, Dpdk<'static>>) -> Result<(), usockets::Error> {
    let tables = Tables {
        inputs: leak(CONNECTIONS, || [0; IN]),
        outputs: leak(CONNECTIONS, || [0; OUT]),
        clients: leak(CONNECTIONS, || None),
        draft: leak(1, || [0; OUT])
            .first_mut()
            .ok_or(usockets::Error::Invalid)?,
    };
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let mut http: Server<'_, IN, OUT> = Server::with_tables(Service::new(route, clock), tables);
    let slots = leak(CONNECTIONS, || {
        usockets::Slot::free(<Stack<'static, Dpdk<'static>> as usockets::Platform>::CLOSED)
    });
    let data = leak(CONNECTIONS, || Place::Vacant);
    let buffer = leak(HttpMemory::<IN, OUT>::RECEIVE_MAX, || 0);
    let mut server = Loop::with_slices(stack, slots, data, buffer)?;
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    server.net().listen(at, Group::Listener)?;
    server.run(&mut http)
}

/// Returns memory for a stack, for as long as the program runs.
fn memory() -> Memory<'static> {
    Memory {
        slots: leak(CONNECTIONS, || Slot::EMPTY),
        working: leak(CLASS.working_len(), || Working::EMPTY),
        resting: &mut [],
        in_flight: &mut [],
        outstanding: leak(CLASS.outstanding_len(), || Outstanding::EMPTY),
        ranges: leak(CLASS.ranges_len(), || Block::EMPTY),
        bytes: leak(CLASS.bytes(), || 0),
        buckets: leak(CONNECTIONS, || 0),
        listeners: leak(4, || Listener::EMPTY),
        neighbours: leak(64, || Neighbour::EMPTY),
        // And frames in several parts put together.
        scratch: leak(65_600 * 2, || 0),
    }
}

/// Returns memory for as long as the program runs.
fn leak<T>(count: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    let mut all = Vec::new();
    all.resize_with(count, make);
    all.leak()
}
