//! Long streams over a TCP stack of our own on a TAP of Linux, to measure paths with: echo on port
//! 3000, a source on 3001 that sends after the first bytes until the client goes, a sink on 3002.
//!
//! ```sh
//! cargo build --release -p usockets-smoltcp --features tap --examples
//! sudo platform-smoltcp/scripts/tap up
//! sudo ip netns exec usockets target/release/examples/tap_bulk \
//!     --tap us0 --ip 10.77.0.2 --send-buffer 4194304 --receive-buffer 4194304
//! ```
//!
//! and then, elsewhere,
//! `echo | sudo ip netns exec usockets nc 10.77.0.2 3001 | head -c 100M | wc -c`.

use core::net::IpAddr;
use std::fs::File;
use std::io::Read;

use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_smoltcp::{
    Address, Block, Config, Listener, Memory, Neighbour, Outstanding, Secret, SizeClass, Slot,
    Stack, Tap, Working,
};

const CONNECTIONS: usize = 64;
/// Ports, which are also what tells their connections apart.
const ECHO: u16 = 3000;
const SOURCE: u16 = 3001;
const SINK: u16 = 3002;
/// Bytes read at once, and written at once by the source.
const CHUNK: usize = 65_536;
/// What a TAP with offloading takes for the frames of one burst.
const FRAMES: usize = 9;

type Network = Stack<'static, Tap<'static>>;

/// What is done with the connections of each port.
struct Bulk {
    zeros: &'static [u8],
}

/// Whose a connection is, and what its peer has not taken of its echo.
struct Kept {
    port: u16,
    held: Vec<u8>,
}

impl<P: Platform> Handler<P> for Bulk {
    type Context = u16;
    type Ext = Kept;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, opened: Opened<u16>) -> Kept {
        Kept {
            port: opened.context(),
            held: Vec::new(),
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, kept: &mut Kept, data: &mut [u8]) {
        match kept.port {
            ECHO => {
                let sent = socket.write(data);
                let rest = data.get(sent..).unwrap_or_default();
                if !rest.is_empty() {
                    // Nothing more is read until the peer has taken it.
                    kept.held.extend_from_slice(rest);
                    socket.pause();
                }
            }
            SOURCE => self.on_writable(socket, kept),
            _ => {}
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, kept: &mut Kept) {
        match kept.port {
            ECHO => {
                let sent = socket.write(&kept.held);
                kept.held.drain(..sent);
                if kept.held.is_empty() {
                    socket.resume();
                }
            }
            SOURCE => while socket.write(self.zeros) == self.zeros.len() {},
            _ => {}
        }
    }
}

/// What the arguments ask for.
struct Options {
    tap: String,
    address: Address,
    send: usize,
    receive: usize,
    /// Checksums and segmentation are left to the kernel.
    offload: bool,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        tap: String::new(),
        address: Address::new([0, 0, 0, 0].into(), 0),
        send: 256 << 10,
        receive: 256 << 10,
        offload: true,
    };
    while let Some(name) = arguments.next() {
        if name == "--plain" {
            options.offload = false;
            continue;
        }
        let value = arguments.next()?;
        match name.as_str() {
            "--tap" => options.tap = value,
            "--ip" => options.address = parse_address(&value)?,
            "--send-buffer" => options.send = value.parse().ok()?,
            "--receive-buffer" => options.receive = value.parse().ok()?,
            _ => return None,
        }
    }
    let given = !options.tap.is_empty() && !options.address.ip.is_unspecified();
    given.then_some(options)
}

/// Reads an address with a prefix, or without: then it is that of a usual link.
fn parse_address(text: &str) -> Option<Address> {
    let (ip, prefix) = match text.split_once('/') {
        Some((ip, prefix)) => (ip, prefix.parse().ok()?),
        None => (text, if text.contains(':') { 64 } else { 24 }),
    };
    Some(Address::new(ip.parse().ok()?, prefix))
}

/// Returns memory for as long as the program runs.
fn memory<T>(count: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    let mut all = Vec::with_capacity(count);
    all.resize_with(count, make);
    all.leak()
}

fn network(options: &Options) -> Result<Network, Error> {
    let mtu = 1_500;
    let frames = memory(FRAMES.saturating_mul(Tap::share(mtu, true)), || 0);
    let tap = Tap::open(&options.tap, mtu, options.offload, frames)?;
    let mut secret = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut secret))
        .map_err(|_| Error::Denied)?;
    // A locally administered address (IEEE 802), the same at every start.
    let mac = match options.address.ip {
        IpAddr::V4(ip) => [
            2,
            0,
            ip.octets()[0],
            ip.octets()[1],
            ip.octets()[2],
            ip.octets()[3],
        ],
        IpAddr::V6(ip) => [2, 1, 0, 0, ip.octets()[14], ip.octets()[15]],
    };
    let class = SizeClass::new(CONNECTIONS, options.receive, options.send);
    let memory = Memory {
        slots: memory(CONNECTIONS, || Slot::EMPTY),
        working: memory(class.working_len(), || Working::EMPTY),
        resting: &mut [],
        in_flight: &mut [],
        bytes: memory(class.bytes(), || 0),
        outstanding: memory(class.outstanding_len(), || Outstanding::EMPTY),
        ranges: memory(class.ranges_len(), || Block::EMPTY),
        buckets: memory(CONNECTIONS, || 0),
        listeners: memory(4, || Listener::EMPTY),
        neighbours: memory(64, || Neighbour::EMPTY),
        scratch: memory(65_600, || 0),
    };
    let addresses = [options.address];
    let config = Config::new(mac, &addresses, Secret::new(secret));
    Stack::new(tap, &config, memory, &[class])
}

fn main() -> Result<(), Error> {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: --tap NAME --ip ADDRESS [--send-buffer N] [--receive-buffer N] [--plain]"
        );
        return Err(Error::Invalid);
    };
    let mut pool = Box::new(Sockets::<Network, Bulk, { CONNECTIONS + 3 }>::new());
    let mut server = Loop::with_buffer(network(&options)?, &mut *pool, memory(CHUNK, || 0))?;
    for port in [ECHO, SOURCE, SINK] {
        let at = Endpoint::tcp((options.address.ip, port).into());
        server.net().listen(at, port)?;
    }
    let mut handler = Bulk {
        zeros: memory(CHUNK, || 0),
    };
    server.run(&mut handler)
}
