//! Several stacks that are one host: the options of `xdp_http`, and a stack for each receive queue
//! of an interface.

use core::net::IpAddr;
use std::sync::OnceLock;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::write;
use usockets::{Error, Notify, Waker};
use usockets_smoltcp::{
    Address, Block, Config, Listener, Memory, Neighbour, Outstanding, Packet, PollDevice, Rss,
    RssKey, Secret, SharedNeighbour, SharedNeighbours, SharedPacket, SharedQueues, SizeClass, Slot,
    Stack, Working, Xdp, XdpMode, XdpOptions, XdpProgram,
};

use crate::support::random;

/// Connections of each stack, and the bytes of each one's two buffers.
pub(crate) const CONNECTIONS: usize = 256;
const BUFFER: usize = 65_535;
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
/// Most queues.
const QUEUES_MAX: u16 = 16;
/// Packets that may wait for each stack, with the most queues.
const PACKETS: usize = 2_048;

static NEIGHBOURS: SharedNeighbours<[SharedNeighbour; 256]> = SharedNeighbours::new();
static TABLE: OnceLock<[u16; 128]> = OnceLock::new();
static KEY: RssKey = RssKey::MICROSOFT;

/// What the program was asked for.
pub(crate) struct Options {
    interface: String,
    addresses: Vec<Address>,
    gateways: Vec<IpAddr>,
    pub(crate) queues: u16,
    packet: bool,
    generic: bool,
    veth: bool,
    /// Seconds between two lists of connections.
    pub(crate) connections: Option<u64>,
}

impl Options {
    /// Reads the arguments; `None` if they are not understood.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            interface: String::new(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            queues: 1,
            packet: false,
            generic: false,
            veth: false,
            connections: None,
        };
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--interface" => options.interface = arguments.next()?,
                "--ip" => {
                    let cidr = arguments.next()?;
                    let (ip, prefix) = cidr.split_once('/')?;
                    let address = Address::new(ip.parse().ok()?, prefix.parse().ok()?);
                    options.addresses.push(address);
                }
                "--gateway" => options.gateways.push(arguments.next()?.parse().ok()?),
                "--queues" => options.queues = arguments.next()?.parse().ok()?,
                "--connections" => options.connections = Some(arguments.next()?.parse().ok()?),
                "--packet" => options.packet = true,
                "--generic" => options.generic = true,
                "--veth" => options.veth = true,
                _ => return None,
            }
        }
        let queues = (1..=QUEUES_MAX).contains(&options.queues);
        (queues && !options.interface.is_empty()).then_some(options)
    }

    /// Makes a stack for each queue, all of them one host.
    pub(crate) fn stacks(&self) -> Result<Vec<Stack<'static, Device>>, Error> {
        let mut wakers: Vec<&'static Waker<EventFd>> = Vec::new();
        for _ in 0..self.queues {
            wakers.push(Box::leak(Box::new(Waker::new(EventFd::new()?))));
        }
        let devices = self.devices(&wakers)?;
        // Its notifier alone ends a wait, and is no wake-up that a handler is told of.
        let wake: &'static (dyn Fn(u16) + Sync) = Box::leak(Box::new(move |queue: u16| {
            if let Some(waker) = wakers.get(usize::from(queue)) {
                waker.notifier().notify();
            }
        }));
        let shared: &'static SharedQueues<[SharedPacket; PACKETS]> =
            Box::leak(Box::new(SharedQueues::new(self.queues)));
        let rss = Rss::new(&KEY, TABLE.get_or_init(|| Rss::spread(self.queues)));
        let secret = Secret::new(random()?);
        let [a, b, c, d] = random()?;
        let mac = [2, 0, a, b, c, d];
        let mut config = Config::new(mac, &self.addresses, secret);
        for gateway in &self.gateways {
            match gateway {
                IpAddr::V4(gateway) => config.gateway_v4 = Some(*gateway),
                IpAddr::V6(gateway) => config.gateway_v6 = Some(*gateway),
            }
        }
        let mut stacks = Vec::new();
        for (device, queue) in devices.into_iter().zip(0..) {
            let mut stack = Stack::new(device, &config, memory(), &[CLASS])?;
            stack.share_neighbours(&NEIGHBOURS);
            stack.share_queues(shared, rss, queue, wake)?;
            stacks.push(stack);
        }
        Ok(stacks)
    }

    /// Opens a device for each queue: in order, since the kernel counts sockets as they come.
    fn devices(&self, wakers: &[&'static Waker<EventFd>]) -> Result<Vec<Device>, Error> {
        const MTU: usize = 1_500;
        let mut devices: Vec<Device> = Vec::new();
        if self.packet {
            let [a, b] = random()?;
            for waker in wakers {
                let packet = Packet::open(&self.interface, MTU, false)?.with_waker(waker);
                let group = u16::from_ne_bytes([a, b]);
                devices.push(Box::leak(Box::new(packet.with_fanout(group, &KEY)?)));
            }
            return Ok(devices);
        }
        let mode = if self.generic {
            XdpMode::Generic
        } else {
            XdpMode::Native
        };
        let program = XdpProgram::attach(&self.interface, mode)?;
        let options = XdpOptions::DEFAULT.trusts_checksums(self.veth);
        for (waker, queue) in wakers.iter().zip(0..) {
            let xdp = Xdp::open(&program, queue, MTU, options)?;
            devices.push(Box::leak(Box::new(xdp.with_waker(waker))));
        }
        Ok(devices)
    }
}

/// Either kind of device.
pub(crate) type Device = &'static mut (dyn PollDevice + Send);

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
        scratch: leak(1_514 + 65_600, || 0),
    }
}

/// Returns memory for as long as the program runs.
pub(crate) fn leak<T>(count: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    let mut all = Vec::new();
    all.resize_with(count, make);
    all.leak()
}

/// An eventfd (`eventfd(2)`), which ends a wait.
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    fn new() -> Result<Self, Error> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        fd.map(Self).map_err(|_| Error::Exhausted)
    }
}

impl Notify for EventFd {
    fn notify(&self) {
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
