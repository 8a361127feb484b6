//! Several stacks that are one host: the options of `xdp_http`, and a stack for each receive queue
//! of an interface.

use core::net::IpAddr;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::write;
use usockets::{Error, Notify, Waker};
use usockets_smoltcp::{
    Address, Config, Packet, PollDevice, Secret, Stack, Xdp, XdpMode, XdpOptions, XdpProgram,
};

use crate::common::{address, random};
use crate::host::{KEY, join, set_gateways};

/// Most queues.
const QUEUES_MAX: u16 = 16;
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
                "--ip" => options.addresses.push(address(&arguments.next()?)?),
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
        let wakers: Result<Vec<_>, _> = (0..self.queues)
            .map(|_| EventFd::new().map(Waker::new))
            .collect();
        let wakers: &'static [Waker<EventFd>] = wakers?.leak();
        let devices = self.devices(wakers)?;
        let secret = Secret::new(random()?);
        let [a, b, c, d] = random()?;
        let mac = [2, 0, a, b, c, d];
        let mut config = Config::new(mac, &self.addresses, secret);
        set_gateways(&mut config, &self.gateways);
        join(devices, wakers, 128, &config)
    }

    /// Opens a device for each queue: in order, since the kernel counts sockets as they come.
    fn devices(&self, wakers: &'static [Waker<EventFd>]) -> Result<Vec<Device>, Error> {
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
