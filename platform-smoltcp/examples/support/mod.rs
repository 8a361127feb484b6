//! What the TAP examples share: options, static memory, and a stack made of both.

#[path = "common.rs"]
mod common;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;

use common::address;
pub(crate) use common::random;
use static_cell::ConstStaticCell;
use usockets::Error;
use usockets_smoltcp::{
    Address, Block, Config, Listener, Memory, Neighbour, Outstanding, Pcap, Secret, SizeClass,
    Slot, Stack, Tap, Working,
};

/// Connections, and the bytes of each one's two buffers.
pub(crate) const CONNECTIONS: usize = 256;
const BUFFER: usize = 65_535;
/// One frame to send and eight of a burst, each of 64 KiB.
const FRAMES: usize = 9 * 65_600;

const CLASS: SizeClass = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);

static SLOTS: ConstStaticCell<[Slot; CONNECTIONS]> =
    ConstStaticCell::new([const { Slot::EMPTY }; CONNECTIONS]);
static WORKING: ConstStaticCell<[Working; CLASS.working_len()]> =
    ConstStaticCell::new([const { Working::EMPTY }; CLASS.working_len()]);
static OUTSTANDING: ConstStaticCell<[Outstanding; CLASS.outstanding_len()]> =
    ConstStaticCell::new([Outstanding::EMPTY; CLASS.outstanding_len()]);
static RANGES: ConstStaticCell<[Block; CLASS.ranges_len()]> =
    ConstStaticCell::new([Block::EMPTY; CLASS.ranges_len()]);
static BYTES: ConstStaticCell<[u8; CONNECTIONS * 2 * BUFFER]> =
    ConstStaticCell::new([0; CONNECTIONS * 2 * BUFFER]);
static BUCKETS: ConstStaticCell<[u32; CONNECTIONS]> = ConstStaticCell::new([0; CONNECTIONS]);
static LISTENERS: ConstStaticCell<[Listener; 4]> =
    ConstStaticCell::new([const { Listener::EMPTY }; 4]);
static NEIGHBOURS: ConstStaticCell<[Neighbour; 64]> = ConstStaticCell::new([Neighbour::EMPTY; 64]);
static SCRATCH: ConstStaticCell<[u8; 65_600]> = ConstStaticCell::new([0; 65_600]);
static FRAME_MEMORY: ConstStaticCell<[u8; FRAMES]> = ConstStaticCell::new([0; FRAMES]);

/// The file that frames are written to.
static RECORD: Mutex<Option<BufWriter<File>>> = Mutex::new(None);

/// How the stack is to be.
struct Options {
    tap: String,
    addresses: Vec<Address>,
    gateway_v4: Option<Ipv4Addr>,
    gateway_v6: Option<Ipv6Addr>,
    mtu: usize,
    offload: bool,
    pcap: Option<String>,
}

/// Makes the stack that `arguments` ask for:
/// `--tap NAME [--ip CIDR] [--ip CIDR] [--gateway IP] [--mtu N] [--pcap FILE] [--plain]`.
#[expect(clippy::type_complexity, reason = "spelt out, to be seen whole")]
pub(crate) fn stack(
    arguments: impl Iterator<Item = String>,
) -> Result<Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, Error> {
    let Some(options) = parse(arguments) else {
        eprintln!(
            "usage: --tap NAME [--ip CIDR] [--ip CIDR] [--gateway IP] [--mtu N] [--pcap FILE] \
             [--plain]"
        );
        return Err(Error::Invalid);
    };
    let memory = FRAME_MEMORY.take();
    let tap = Tap::open(&options.tap, options.mtu, options.offload, memory)?;
    if let (Some(path), Ok(mut file)) = (&options.pcap, RECORD.lock()) {
        *file = Some(BufWriter::new(
            File::create(path).map_err(|_| Error::Denied)?,
        ));
    }
    let secret = random()?;
    let by_chance = random()?;
    // A locally administered address (IEEE 802), of one that is given the same at every start: who
    // has learnt it need not learn another.
    let [a, b, c, d] = options
        .addresses
        .first()
        .map_or(by_chance, |own| match own.ip {
            IpAddr::V4(ip) => ip.octets(),
            IpAddr::V6(ip) => ip.octets().last_chunk().copied().unwrap_or_default(),
        });
    let mac = [2, 0, a, b, c, d];
    let mut config = Config::new(mac, &options.addresses, Secret::new(secret));
    config.gateway_v4 = options.gateway_v4;
    config.gateway_v6 = options.gateway_v6;
    let memory = Memory {
        slots: SLOTS.take(),
        working: WORKING.take(),
        resting: &mut [],
        in_flight: &mut [],
        outstanding: OUTSTANDING.take(),
        ranges: RANGES.take(),
        bytes: BYTES.take(),
        buckets: BUCKETS.take(),
        listeners: LISTENERS.take(),
        neighbours: NEIGHBOURS.take(),
        scratch: SCRATCH.take(),
    };
    Stack::new(Pcap::new(tap, record), &config, memory, &[CLASS])
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        tap: String::new(),
        addresses: Vec::new(),
        gateway_v4: None,
        gateway_v6: None,
        mtu: 1_500,
        offload: true,
        pcap: None,
    };
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--tap" => options.tap = arguments.next()?,
            "--ip" => options.addresses.push(address(&arguments.next()?)?),
            "--gateway" => match arguments.next()?.parse().ok()? {
                IpAddr::V4(gateway) => options.gateway_v4 = Some(gateway),
                IpAddr::V6(gateway) => options.gateway_v6 = Some(gateway),
            },
            "--mtu" => options.mtu = arguments.next()?.parse().ok()?,
            "--pcap" => options.pcap = arguments.next(),
            "--plain" => options.offload = false,
            _ => return None,
        }
    }
    (!options.tap.is_empty()).then_some(options)
}

/// Writes a part of the record, if one is wanted. A full disk ends the record, not the server.
fn record(bytes: &[u8]) {
    if let Ok(mut record) = RECORD.lock()
        && let Some(file) = record.as_mut()
    {
        let _ = file.write_all(bytes).and_then(|()| file.flush());
    }
}
