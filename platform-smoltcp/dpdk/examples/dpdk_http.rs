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
use std::process::ExitCode;

#[path = "../../examples/support/common.rs"]
mod common;
#[path = "../../examples/support/host.rs"]
mod host;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "going over to another protocol is for other examples"
)]
#[path = "../../examples/handlers/http/mod.rs"]
mod http;

use common::{address, random};
use host::{KEY, join, set_gateways};
use usockets::Waker;
use usockets_dpdk::{Dpdk, DpdkError, Eal, Idle, Pool, Port, PortOptions, WakeFlag};
use usockets_smoltcp::{Address, Config, Secret, Stack};

/// Descriptors of a queue each way, and the buffers that it needs: those, what the device holds,
/// and some on their way to other stacks.
const DESCRIPTORS: u16 = 1_024;
const FRAMES: u32 = 4_096;

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
                "--ip" => options.addresses.push(address(&arguments.next()?)?),
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
        let wakers: Vec<_> = (0..self.queues)
            .map(|_| Waker::new(WakeFlag::new()))
            .collect();
        let wakers: &'static [Waker<WakeFlag>] = wakers.leak();
        let mut devices = Vec::new();
        for (waker, queue) in wakers.iter().zip(0..) {
            devices.push(port.device(queue)?.with_waker(waker));
        }
        let mac = self.mac.unwrap_or(port.mac());
        let mut config = Config::new(mac, &self.addresses, Secret::new(random()?));
        set_gateways(&mut config, &self.gateways);
        let entries = port.table_len().unwrap_or(128);
        Ok(join(devices, wakers, entries.into(), &config)?)
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
        Ok(stacks) => {
            println!("listening on port 80");
            host::serve_all(stacks, |stack, _| {
                let (mut server, mut http) = host::http(stack)?;
                server.run(&mut http)
            })
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
