//! Frames of several buffers, both ways, between the kernel and AF_XDP at the other end of a veth,
//! and echoes of a stack that looks busily for frames. Every byte is compared. In a namespace of
//! its own, as root.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use usockets::{Endpoint, Error, Instant, Loop, Platform, Sockets};
use usockets_smoltcp::{
    Capabilities, DeviceCounters, Packet, PollDevice, Random, RxMeta, SizeClass, Stack, TxMeta,
    XDP_PART_MAX, Xdp, XdpMode, XdpOptions, XdpProgram,
};
use usockets_tests::restart::restarted;
use usockets_tests::smoltcp::forge::{ip, udp};
use usockets_tests::smoltcp::kernel::{
    Echo, Faulty, KERNEL, Link, Losses, MTU, STACK, batch, command, connect_by, echo_client,
    in_namespace, stack_on, veth_with_queues,
};
use usockets_tests::smoltcp::{Recipe, pattern, seed};
use usockets_tests::stop::StopsAtLast;

const JUMBO: usize = 9_000;
/// Headers of Ethernet, IPv4 and UDP.
const HEADERS: usize = 14 + 20 + 8;
/// Bytes of the frame that fits in one page to be sent, behind what is said of it.
const PAGE_MAX: usize = 4_096 - 16;
const MODES: [XdpMode; 2] = [XdpMode::Native, XdpMode::Generic];

/// Makes a veth with packets of `mtu` bytes, whose ends know each other, and the device of one.
fn open(mode: XdpMode, mtu: usize, options: XdpOptions) -> Result<Xdp, Error> {
    veth_with_queues(1);
    batch(&format!(
        "link set us0 mtu {mtu} address 02:00:00:00:00:01\n\
         link set us1 mtu {mtu}\n\
         neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev us0"
    ));
    let program = XdpProgram::attach("us1", mode).unwrap();
    // The other end of a veth leaves checksums to nobody.
    Xdp::open(&program, 0, mtu, options.trusts_checksums(true))
}

/// Runs a test in both modes, each in a namespace.
fn in_both_modes(test: fn(XdpMode)) {
    for (mode, link) in MODES.into_iter().zip([Link::Xdp, Link::XdpGeneric]) {
        if link.is_here() {
            println!("{mode:?}");
            in_namespace(move || test(mode));
        }
    }
}

/// Waits for a datagram that the kernel sent, and returns its frame and in how many parts it came.
fn receive(device: &mut Xdp) -> (Vec<u8>, usize) {
    let end = device.now().saturating_add(Duration::from_secs(10));
    while device.now() < end {
        for index in 0..device.receive(64) {
            let mut frame = device.frame(index).to_vec();
            let mut parts = 1;
            while !device.chained(index, parts).is_empty() {
                frame.extend(device.chained(index, parts));
                parts += 1;
            }
            // UDP over IPv4, and none of the kernel's own frames.
            if frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&17) {
                return (frame, parts);
            }
        }
        let soon = device.now().saturating_add(Duration::from_millis(50));
        device.wait(Some(soon));
    }
    panic!("nothing came: {:?}", device.counters());
}

/// Lengths around each number of parts, in which frames come and go.
fn lengths() -> Vec<usize> {
    let edges = [
        XDP_PART_MAX,
        2 * XDP_PART_MAX,
        PAGE_MAX,
        PAGE_MAX + 4_096,
        JUMBO + 14,
    ];
    let around = edges
        .into_iter()
        .flat_map(|edge| [edge - 1, edge, edge + 1]);
    let lengths = [HEADERS, 60, 1_514].into_iter().chain(around);
    lengths.filter(|len| *len <= JUMBO + 14).collect()
}

#[test]
fn frames_of_every_number_of_parts_are_whole_both_ways() {
    in_both_modes(|mode| {
        let mut device = open(mode, JUMBO, XdpOptions::DEFAULT).unwrap();
        let (here, there) = (SocketAddr::from((STACK, 9)), SocketAddr::from((KERNEL, 9)));
        let socket = UdpSocket::bind(there).unwrap();
        let timeout = Some(Duration::from_secs(10));
        socket.set_read_timeout(timeout).unwrap();
        let before = device.counters();
        let mut buffer = vec![0; JUMBO];
        for (round, len) in lengths().into_iter().enumerate() {
            let bytes = pattern(len - HEADERS, round as u64);
            socket.send_to(&bytes, here).unwrap();
            let (frame, parts) = receive(&mut device);
            assert_eq!((frame.len(), parts), (len, len.div_ceil(XDP_PART_MAX)));
            assert!(frame[HEADERS..] == bytes, "{len} bytes came otherwise");

            let bytes = pattern(len - HEADERS, 1_000 + round as u64);
            let datagram = udp(here, there, &bytes, None);
            let frame = ip(here.ip(), there.ip(), 17, &datagram, 2, 1);
            assert_eq!(frame.len(), len);
            device.slot(len).unwrap().copy_from_slice(&frame);
            device.commit(len, &TxMeta::NONE);
            device.flush();
            let (got, from) = restarted(|| socket.recv_from(&mut buffer)).unwrap();
            assert_eq!((got, from), (bytes.len(), here));
            assert!(buffer[..got] == bytes, "{len} bytes went otherwise");
        }
        let after = device.counters();
        let sent = after.sent - before.sent;
        assert_eq!(sent, lengths().len() as u64);
        assert!(after.received - before.received >= sent, "{after:?}");
        assert_lost_nothing(&after);
    });
}

fn assert_lost_nothing(counters: &DeviceCounters) {
    let lost = [counters.cut, counters.overruns, counters.dropped];
    assert_eq!(lost, [0; 3], "{counters:?}");
    assert_eq!([counters.full, counters.broken], [0; 2], "{counters:?}");
}

/// The memory of a frame is free again when all its parts have been sent, and not before.
#[test]
fn memory_of_large_frames_is_used_again() {
    in_both_modes(|mode| {
        let options = XdpOptions::DEFAULT.frames(64);
        let mut device = open(mode, JUMBO, options).unwrap();
        // Nobody: a frame for another address, which the other end drops.
        let frame = vec![7; JUMBO + 14];
        let commit = |device: &mut Xdp| {
            let Some(slot) = device.slot(frame.len()) else {
                return false;
            };
            slot.copy_from_slice(&frame);
            device.commit(frame.len(), &TxMeta::NONE);
            true
        };
        for _ in 0..1_000 {
            assert!(commit(&mut device), "{:?}", device.counters());
            device.flush();
        }
        // What the kernel does not send stays in its slot: one of 3 pages each, of 64.
        command("ip link set us1 down");
        let mut held = 0;
        while commit(&mut device) {
            held += 1;
        }
        assert_eq!(held, 64 / 3);
        command("ip link set us1 up");
        let until = device.now().saturating_add(Duration::from_secs(10));
        while !commit(&mut device) {
            let soon = device.now().saturating_add(Duration::from_millis(5));
            device.wait(Some(soon));
            assert!(device.now() < until, "{:?}", device.counters());
        }
    });
}

/// More bytes than windows hold, in segments that take several buffers.
const BULK: usize = 3_000_000;

#[test]
fn the_kernel_gets_back_what_it_sends_in_jumbo_frames() {
    in_both_modes(|mode| {
        let device = open(mode, JUMBO, XdpOptions::DEFAULT).unwrap();
        let counters = echo(device);
        // Far fewer frames than of 1,500 bytes, which would be 2,000 of data alone.
        assert!(counters.sent < 1_500, "{counters:?}");
        assert_lost_nothing(&counters);
    });
}

/// The kernel would finish no checksum of a frame in several parts; the stack does it.
#[test]
fn checksums_of_jumbo_frames_are_finished_by_the_stack() {
    in_both_modes(|mode| {
        let options = XdpOptions::DEFAULT.leaves_checksums(true);
        let device = open(mode, JUMBO, options).unwrap();
        assert!(!device.capabilities().fills);
        assert_lost_nothing(&echo(device));
    });
}

/// Serves one client of the kernel's, which compares what comes back, and loses nothing.
fn echo(device: Xdp) -> DeviceCounters {
    echo_through(device, BULK, |net| {
        assert_eq!(net.counters().malformed, 0);
        true
    })
}

/// Serves a client of the kernel's, which compares what comes back, and then goes on until `done`.
fn echo_through(
    device: Xdp,
    len: usize,
    done: impl Fn(&Stack<'static, Faulty>) -> bool,
) -> DeviceCounters {
    let classes = [SizeClass::new(4, 65_535, 65_535)];
    let net = stack_on(Box::new(device), &classes, Losses::default());
    let mut sockets = Box::new(Sockets::<_, Echo, 4>::new());
    let mut buffer = vec![0; 65_536];
    let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
    let at = Endpoint::tcp(([0, 0, 0, 0], 80).into());
    server.net().listen(at, ()).unwrap();
    let bytes = pattern(len, 5);
    let client = echo_client((STACK, 80).into(), bytes.clone());
    let mut handler = Echo::default();
    while !(client.is_finished() && done(server.platform())) {
        let until = server.platform().now();
        let until = until.saturating_add(Duration::from_millis(20));
        server.poll(&mut handler, Some(until)).unwrap();
    }
    assert!(client.join().unwrap() == bytes);
    server.platform_mut().device_mut().counters()
}

#[test]
fn the_kernel_serves_clients_with_jumbo_frames() {
    in_both_modes(|mode| {
        let device = open(mode, JUMBO, XdpOptions::DEFAULT).unwrap();
        let classes = [SizeClass::new(4, 65_535, 65_535)];
        let net = stack_on(Box::new(device), &classes, Losses::default());
        connect_by(net, SocketAddr::from((KERNEL, 7)));
    });
}

/// Frames of every length that the interface takes, up to several buffers, and of any content, in
/// the way of a connection.
#[test]
fn a_flood_of_frames_of_every_length_harms_nobody() {
    in_both_modes(|mode| {
        let device = open(mode, JUMBO, XdpOptions::DEFAULT.frames(256)).unwrap();
        let (stop, sent) = (&AtomicBool::new(false), &AtomicU64::new(0));
        let counters = std::thread::scope(|scope| {
            let _stops = StopsAtLast(stop);
            scope.spawn(|| flood(stop, sent));
            echo_through(device, 200_000, |net| {
                // All lengths at least once.
                net.counters().malformed > 0 && sent.load(Relaxed) > JUMBO as u64
            })
        });
        assert!(counters.received > 1_000, "{counters:?}");
        let [broken, dropped] = [counters.broken, counters.dropped];
        assert_eq!([broken, dropped], [0; 2], "{counters:?}");
    });
}

/// Sends frames of every length from the kernel's end until told to stop.
fn flood(stop: &AtomicBool, sent: &AtomicU64) {
    let mut packet = Packet::open("us0", JUMBO, false).unwrap();
    let mut random = Random::new(seed(1));
    // To the stack by IPv4, to nobody, and to everybody.
    let starts = [
        [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45],
        [4; 15],
        [255; 15],
    ];
    let mut lengths = (15..=JUMBO + 14).cycle();
    while !stop.load(Relaxed) {
        let Some(len) = lengths.next() else { return };
        let Some(slot) = packet.slot(len) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        slot.fill(random.next() as u8);
        slot[..15].copy_from_slice(&starts[random.below(3) as usize]);
        packet.commit(len, &TxMeta::NONE);
        if len % 16 == 0 {
            packet.flush();
            std::thread::yield_now();
        }
        sent.fetch_add(1, Relaxed);
        // What comes is of no interest.
        packet.receive(64);
    }
}

/// Says so when it is opened, instead of losing frames.
#[test]
fn packets_that_no_frame_holds_are_refused() {
    if !Link::Xdp.is_here() {
        return;
    }
    in_namespace(|| {
        veth_with_queues(1);
        let program = XdpProgram::attach("us1", XdpMode::Native).unwrap();
        let open = |mtu, frames| {
            let options = XdpOptions::DEFAULT.frames(frames);
            Xdp::open(&program, 0, mtu, options).map(drop)
        };
        // 17 pages less what is said of a frame, and its header.
        let most = 17 * 4_096 - 16 - 14;
        assert_eq!(open(most + 1, 2_048), Err(Error::Invalid));
        assert_eq!(open(JUMBO, 2), Err(Error::Invalid));
        assert_eq!(open(most, 32), Ok(()));
    });
}

/// A device whose waits are counted.
struct Waits<'c> {
    device: Xdp,
    count: &'c Cell<u64>,
}

impl PollDevice for Waits<'_> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.device.receive(frames_max)
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.device.frame(index)
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        self.device.rx_meta(index)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.device.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        self.device.commit(len, meta);
    }

    fn flush(&mut self) {
        self.device.flush();
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.count.set(self.count.get() + 1);
        self.device.wait(until);
    }

    fn now(&self) -> Instant {
        self.device.now()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.device.counters()
    }
}

/// Has a client of the kernel's send messages, each when the last has come back; returns how often
/// the device waited for one.
fn echo_messages(mode: XdpMode, busy: Duration) -> u64 {
    const MESSAGES: u64 = 50;
    let count = Cell::new(0);
    let device = Waits {
        device: open(mode, MTU, XdpOptions::DEFAULT).unwrap(),
        count: &count,
    };
    let mut recipe = Recipe::new(2);
    recipe.busy_poll = busy;
    let net = recipe.build_on(device);
    let mut sockets = Box::new(Sockets::<_, Echo, 4>::new());
    let mut buffer = vec![0; 65_536];
    let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
    let at = Endpoint::tcp(([0, 0, 0, 0], 80).into());
    server.net().listen(at, ()).unwrap();
    let client = std::thread::spawn(|| {
        let mut stream = TcpStream::connect(SocketAddr::from((STACK, 80))).unwrap();
        stream.set_nodelay(true).unwrap();
        for salt in 0..MESSAGES {
            let (message, mut back) = (pattern(64, salt), [0; 64]);
            stream.write_all(&message).unwrap();
            stream.read_exact(&mut back).unwrap();
            assert!(back == message[..], "message {salt}");
            // Longer than the server takes to be idle.
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let mut handler = Echo::default();
    while handler.closed == 0 {
        server.poll(&mut handler, None).unwrap();
    }
    client.join().unwrap();
    let counters = server.platform_mut().device_mut().counters();
    assert!(counters.received >= MESSAGES, "{counters:?}");
    assert!(counters.sent >= MESSAGES, "{counters:?}");
    assert_lost_nothing(&counters);
    count.get()
}

/// Frames are found where the kernel puts them, without a call to wait for them.
#[test]
fn a_stack_that_looks_busily_echoes_without_a_wait() {
    in_both_modes(|mode| {
        let waits = echo_messages(mode, Duration::from_secs(30));
        // For the first frame, before which none has come.
        assert!(waits < 10, "{waits} waits");
    });
    in_both_modes(|mode| {
        let waits = echo_messages(mode, Duration::ZERO);
        assert!(waits >= 20, "{waits} waits");
    });
}
