//! The kernel's TCP on the other end of a TAP or veth, in a network namespace of its own.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::net::SocketType;
use usockets::{Endpoint, Error, Instant, Loop, Platform, Sockets, Waker};
use usockets_linux::EventFd;
use usockets_smoltcp::{
    Address, Block, Capabilities, Config, DeviceCounters, InFlight, Listener, Memory, Neighbour,
    Outstanding, Packet, PollDevice, Random, Resting, RxMeta, Secret, SizeClass, Slot, Stack, Tap,
    TxMeta, Working, Xdp, XdpMode, XdpOptions, XdpProgram,
};

pub use super::namespace::{
    Client, Echo, KERNEL, STACK, address, command, echo_client, echo_server, in_namespace,
};
use super::{leak, mac, pattern, v6, zeroes};

pub const MTU: usize = 1_500;

/// Runs commands of `ip` in the thread's namespace, one a line.
pub fn batch(lines: &str) {
    use std::io::Write;
    let mut ip = Command::new("ip");
    let mut ip = ip
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = ip.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    assert!(ip.wait().unwrap().success(), "{lines}");
}

/// What leads from the kernel to the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// A TAP.
    Tap,
    /// One that leaves checksums and segmentation to the kernel.
    TapOffload,
    /// A veth whose other end a packet socket has.
    Packet,
    /// One that leaves checksums and segmentation to the kernel.
    PacketOffload,
    /// A veth whose other end an AF_XDP socket has, taken from its driver.
    Xdp,
    /// The same, with checksums left to the kernel.
    XdpOffload,
    /// Frames taken from the kernel's network.
    XdpGeneric,
}

impl Link {
    /// Returns false, and says so, if the kernel here has no such link.
    pub fn is_here(self) -> bool {
        if !matches!(self, Self::Xdp | Self::XdpOffload | Self::XdpGeneric) {
            return true;
        }
        let made = rustix::net::socket(rustix::net::AddressFamily::XDP, SocketType::RAW, None);
        let absent = made.err() == Some(rustix::io::Errno::AFNOSUPPORT);
        if absent {
            assert!(std::env::var_os("CI").is_none(), "no AF_XDP");
            println!("SKIPPED: the kernel has no AF_XDP");
        }
        !absent
    }

    /// Makes the device, with the kernel's addresses on its other end.
    fn open(self, waker: Option<&'static Waker<EventFd>>) -> Box<dyn PollDevice> {
        match self {
            Self::Tap | Self::TapOffload => {
                let offload = self == Self::TapOffload;
                let frames = if offload { 5 } else { 65 };
                let memory = zeroes(Tap::share(MTU, offload) * frames);
                let tap = Tap::make("us0", MTU, offload, memory).unwrap();
                address("us0");
                match waker {
                    Some(waker) => Box::new(tap.with_waker(waker)),
                    None => Box::new(tap),
                }
            }
            Self::Packet | Self::PacketOffload => {
                veth("us0", "us1");
                let packet = Packet::open("us1", MTU, self == Self::PacketOffload).unwrap();
                match waker {
                    Some(waker) => Box::new(packet.with_waker(waker)),
                    None => Box::new(packet),
                }
            }
            Self::Xdp | Self::XdpOffload | Self::XdpGeneric => {
                veth("us0", "us1");
                let mode = match self {
                    Self::XdpGeneric => XdpMode::Generic,
                    _ => XdpMode::Native,
                };
                let program = XdpProgram::attach("us1", mode).unwrap();
                // The other end of a veth leaves checksums to nobody.
                let options = XdpOptions::DEFAULT
                    .trusts_checksums(true)
                    .leaves_checksums(self == Self::XdpOffload);
                let xdp = Xdp::open(&program, 0, MTU, options).unwrap();
                match waker {
                    Some(waker) => Box::new(xdp.with_waker(waker)),
                    None => Box::new(xdp),
                }
            }
        }
    }
}

/// Makes a veth, of which the kernel has one end to itself.
fn veth(ours: &str, other: &str) {
    command(&format!("ip link add {ours} type veth peer name {other}"));
    command(&format!("ip link set {other} addrgenmode none up"));
    address(ours);
}

/// Makes a veth with several queues each way, of which the kernel has one end, `us0`, to itself.
pub fn veth_with_queues(queues: u16) {
    let count = format!("numtxqueues {queues} numrxqueues {queues}");
    command(&format!(
        "ip link add us0 {count} type veth peer name us1 {count}"
    ));
    command("ip link set us1 addrgenmode none up");
    address("us0");
}

/// Makes a link to the kernel, and a stack on it.
pub fn stack(link: Link, classes: &[SizeClass], faults: Losses) -> Stack<'static, Faulty> {
    stack_on(link.open(faults.waker), classes, faults)
}

/// Makes a stack on a device.
pub fn stack_on(
    device: Box<dyn PollDevice>,
    classes: &[SizeClass],
    faults: Losses,
) -> Stack<'static, Faulty> {
    stack_with(Faulty::new(device, faults), classes, |config| config)
}

/// Makes a link to the kernel, and a stack on it that probes its addresses.
pub fn probing_stack(link: Link) -> Stack<'static, Faulty> {
    let device = Faulty::new(link.open(None), Losses::default());
    let classes = [SizeClass::new(4, 1_000, 1_000)];
    stack_with(device, &classes, |config| config.probe_addresses(true))
}

/// Makes a stack on a device, with the configuration that `configure` makes of the usual one.
pub fn stack_with<D: PollDevice>(
    device: D,
    classes: &[SizeClass],
    configure: impl FnOnce(Config<'_>) -> Config<'_>,
) -> Stack<'static, D> {
    let addresses = [
        Address::new(STACK.into(), 24),
        Address::new(v6(2, 0).ip(), 64),
        Address::new("fe80::2".parse().unwrap(), 64),
    ];
    let config = configure(Config::new(mac(2), &addresses, Secret::new([9; 16])));
    let slots = classes.iter().map(|class| class.connections).sum();
    let bytes = classes.iter().map(SizeClass::bytes).sum();
    let memory = Memory {
        slots: leak(slots, || Slot::EMPTY),
        working: leak(classes.iter().map(SizeClass::working_len).sum(), || {
            Working::EMPTY
        }),
        resting: leak(classes.iter().map(SizeClass::resting_len).sum(), || {
            Resting::EMPTY
        }),
        in_flight: leak(classes.iter().map(SizeClass::in_flight_len).sum(), || {
            InFlight::EMPTY
        }),
        outstanding: leak(classes.iter().map(SizeClass::outstanding_len).sum(), || {
            Outstanding::EMPTY
        }),
        ranges: leak(classes.iter().map(SizeClass::ranges_len).sum(), || {
            Block::EMPTY
        }),
        bytes: zeroes(bytes),
        buckets: zeroes(slots.next_power_of_two()),
        listeners: leak(4, || Listener::EMPTY),
        neighbours: leak(16, || Neighbour::EMPTY),
        // And frames in several buffers put together.
        scratch: zeroes(device.capabilities().frame_max() + 65_600),
    };
    Stack::new(device, &config, memory, classes).unwrap()
}

/// Chances in a million, both ways.
#[derive(Clone, Copy, Default)]
pub struct Losses {
    pub loss: u32,
    pub reorder: u32,
    pub duplicate: u32,
    pub seed: u64,
    /// What may wake the stack's loop.
    pub waker: Option<&'static Waker<EventFd>>,
}

/// A device that loses and reorders, and duplicates what it receives.
pub struct Faulty {
    device: Box<dyn PollDevice>,
    losses: Losses,
    random: Random,
    /// Which frames of the burst are lent, in which order.
    order: Vec<usize>,
}

impl Faulty {
    pub fn new(device: Box<dyn PollDevice>, losses: Losses) -> Self {
        Self {
            device,
            losses,
            random: Random::new(losses.seed),
            order: Vec::new(),
        }
    }
}

impl PollDevice for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let count = self.device.receive(frames_max / 2);
        self.order.clear();
        for index in 0..count {
            if self.random.chance(self.losses.loss) {
                continue;
            }
            self.order.push(index);
            if self.random.chance(self.losses.duplicate) {
                self.order.push(index);
            }
        }
        for at in 1..self.order.len() {
            if self.random.chance(self.losses.reorder) {
                self.order.swap(at - 1, at);
            }
        }
        self.order.len()
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.device.frame(self.order[index])
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        self.device.chained(self.order[index], place)
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        self.device.rx_meta(self.order[index])
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.device.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        if self.losses.loss == 0 || !self.random.chance(self.losses.loss) {
            self.device.commit(len, meta);
        }
    }

    fn flush(&mut self) {
        self.device.flush();
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.device.wait(until);
    }

    fn woken(&mut self) -> bool {
        self.device.woken()
    }

    fn fault(&self) -> Option<Error> {
        self.device.fault()
    }

    fn now(&self) -> Instant {
        self.device.now()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.device.counters()
    }
}

/// Clients of the kernel's against an echo server on the stack.
pub fn serve(link: Link, losses: Losses, clients: usize, len: usize) {
    let class = SizeClass::new(64, 32_768, 32_768);
    serve_with(class, link, losses, clients, len);
}

pub fn serve_with(class: SizeClass, link: Link, losses: Losses, clients: usize, len: usize) {
    in_namespace(move || {
        let net = stack(link, &[class], losses);
        let mut sockets = Box::new(Sockets::<_, Echo, 64>::new());
        let mut buffer = vec![0; 65_536];
        let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
        let at = Endpoint::tcp(([0_u16; 8], 80).into());
        server.net().listen(at, ()).unwrap();
        let mut echo = Echo::default();
        // All bytes first: the kernel asks for its neighbour at once, and not for long.
        let bytes: Vec<_> = (0..clients).map(|salt| pattern(len, salt as u64)).collect();
        let all: Vec<_> = bytes
            .into_iter()
            .enumerate()
            .map(|(salt, bytes)| {
                let v4 = SocketAddr::from((STACK, 80));
                let to = if salt % 2 == 0 { v4 } else { v6(2, 80) };
                (bytes.clone(), echo_client(to, bytes))
            })
            .collect();
        while all.iter().any(|(_, client)| !client.is_finished()) {
            let until = server
                .platform()
                .now()
                .saturating_add(Duration::from_millis(20));
            server.poll(&mut echo, Some(until)).unwrap();
        }
        for (bytes, client) in all {
            assert!(client.join().unwrap() == bytes);
        }
        let start = std::time::Instant::now();
        while server.platform().free_count() < 64 {
            let until = server
                .platform()
                .now()
                .saturating_add(Duration::from_millis(20));
            server.poll(&mut echo, Some(until)).unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(70),
                "{:?}",
                server.platform()
            );
        }
        assert_eq!((echo.opened, echo.closed), (clients, clients));
    });
}

/// A client on the stack against an echo server of the kernel's.
pub fn connect(link: Link) {
    for to in [SocketAddr::from((KERNEL, 7)), v6(1, 7)] {
        in_namespace(move || {
            let classes = [SizeClass::new(4, 65_535, 65_535)];
            connect_by(stack(link, &classes, Losses::default()), to);
        });
    }
}

/// A client on a stack against an echo server of the kernel's.
pub fn connect_by<D: PollDevice>(net: Stack<'static, D>, to: SocketAddr) {
    let server = echo_server(to);
    let mut sockets = Box::new(Sockets::<_, Client, 4>::new());
    let mut buffer = vec![0; 65_536];
    let mut client = Client::new(pattern(5_000_000, 3));
    let mut looped = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
    looped.net().connect(Endpoint::tcp(to), ()).unwrap();
    while !client.is_done {
        looped.poll(&mut client, None).unwrap();
    }
    assert!(client.back == client.bytes);
    server.join().unwrap();
}
