//! What goes wrong on a device is counted, and the device goes on: a link that is down, rings that
//! are full, frames that are too long, not taken or broken. In a namespace of its own, as root.
//! Interfaces that are removed are in `smoltcp_tap` and `smoltcp_veth`, cards of virtual machines
//! in `platform-smoltcp/tests/virtio_net.rs`.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use embassy_net_driver as embassy;
use smoltcp::phy;
use smoltcp::time::Instant as Stamp;
use usockets::{Instant, Platform};
use usockets_smoltcp::{
    DeviceCounters, FromEmbassy, FromPhy, PollDevice, SizeClass, Stack, TxMeta, Xdp, XdpMode,
    XdpOptions, XdpProgram,
};
use usockets_tests::smoltcp::forge::{SYN, Seg};
use usockets_tests::smoltcp::kernel::{
    Faulty, Link, Losses, MTU, STACK, command, in_namespace, stack, stack_on, veth_with_queues,
};

type Net = Stack<'static, Faulty>;

const CLASSES: [SizeClass; 1] = [SizeClass::new(4, 4_096, 4_096)];
/// A frame for nobody.
const FRAME: [u8; 60] = [2; 60];

/// Has the stack run for a while.
fn run(net: &mut Net, millis: u64) {
    let end = net.now().saturating_add(Duration::from_millis(millis));
    while net.now() < end {
        net.poll(Some(end)).unwrap();
    }
}

/// Makes a stack that the kernel knows as its neighbour, and a socket of the kernel's.
fn known(link: Link) -> (Net, UdpSocket) {
    introduce(stack(link, &CLASSES, Losses::default()))
}

fn introduce(net: Net) -> (Net, UdpSocket) {
    let sender = UdpSocket::bind("10.0.0.1:0").unwrap();
    let mut known = (net, sender);
    for _ in 0..3 {
        send(&known.1, 10);
        run(&mut known.0, 30);
    }
    known
}

/// A stack on AF_XDP that verifies checksums, as it would those of a card.
fn verifying_xdp() -> Net {
    veth_with_queues(1);
    let program = XdpProgram::attach("us1", XdpMode::Native).unwrap();
    let xdp = Xdp::open(&program, 0, MTU, XdpOptions::DEFAULT).unwrap();
    stack_on(Box::new(xdp), &CLASSES, Losses::default())
}

fn send(sender: &UdpSocket, len: usize) {
    let to = SocketAddr::from((STACK, 9));
    sender.send_to(&vec![7; len], to).unwrap();
}

fn counted(net: &mut Net) -> DeviceCounters {
    net.device_mut().counters()
}

/// Sends a frame by the device alone; false if it is full.
fn commit(net: &mut Net) -> bool {
    let device = net.device_mut();
    let Some(slot) = device.slot(FRAME.len()) else {
        return false;
    };
    slot.copy_from_slice(&FRAME);
    device.commit(FRAME.len(), &TxMeta::NONE);
    device.flush();
    true
}

/// Of a TAP and of AF_XDP. A packet socket has 128 KiB for a frame, more than any is long.
#[test]
fn frames_that_are_too_long_are_counted_and_left_out() {
    for (link, mtu, len) in [
        (Link::Tap, 9_000, 4_000),
        // One byte is too many.
        (Link::Tap, 1_501, 1_501 - 28),
        // More parts than a frame may have.
        (Link::Xdp, 65_535, 65_507),
    ] {
        if !link.is_here() {
            continue;
        }
        in_namespace(move || {
            let (mut net, sender) = known(link);
            let before = counted(&mut net);
            assert_eq!((before.cut, net.counters().malformed), (0, 0));
            for end in ["us0", "us1"]
                .into_iter()
                .take(if link == Link::Tap { 1 } else { 2 })
            {
                command(&format!("ip link set {end} mtu {mtu}"));
            }
            send(&sender, 10);
            send(&sender, len);
            send(&sender, 10);
            run(&mut net, 50);
            let after = counted(&mut net);
            assert_eq!(after.cut, 1, "{link:?}: {after:?}");
            assert!(after.received >= before.received + 2, "{link:?}: {after:?}");
            assert_eq!(net.counters().malformed, 0, "the stack saw none of it");
        });
    }
}

/// The TAP is found down when something is to be sent, once each time.
#[test]
fn a_tap_that_is_down_is_counted() {
    in_namespace(|| {
        let (mut net, _) = known(Link::Tap);
        for times in 1..=2 {
            command("ip link set us0 down");
            let before = counted(&mut net);
            assert!(commit(&mut net) && commit(&mut net));
            let after = counted(&mut net);
            assert_eq!((after.downs, after.dropped - before.dropped), (times, 2));
            command("ip link set us0 up");
            assert!(commit(&mut net));
            assert!(counted(&mut net).sent > after.sent);
        }
    });
}

/// What the kernel does not send stays where it is until there is no room, and goes when the link
/// is up again.
#[test]
fn a_device_that_is_full_is_counted_and_has_room_again() {
    for link in [Link::Packet, Link::Xdp] {
        if !link.is_here() {
            continue;
        }
        in_namespace(move || {
            let (mut net, _) = known(link);
            command("ip link set us1 down");
            let mut sent = 0;
            while commit(&mut net) {
                sent += 1;
                assert!(sent < 100_000, "{link:?} takes frames without end");
            }
            let counters = counted(&mut net);
            assert_eq!(counters.full, 1, "{link:?}: {counters:?}");
            assert!(counters.sent >= sent, "{link:?}: {counters:?}");
            // AF_XDP learns it where it waits.
            let downs = u64::from(link == Link::Packet);
            assert_eq!(counters.downs, downs, "{link:?}: {counters:?}");
            command("ip link set us1 up");
            let until = net.now().saturating_add(Duration::from_secs(5));
            while !commit(&mut net) {
                let soon = net.now().saturating_add(Duration::from_millis(5));
                net.device_mut().wait(Some(soon));
                assert!(net.now() < until, "{link:?} stays full");
            }
        });
    }
}

/// Of AF_XDP, which the kernel tells of it.
#[test]
fn frames_that_the_other_end_does_not_take_are_counted() {
    if !Link::Xdp.is_here() {
        return;
    }
    in_namespace(|| {
        let (mut net, _) = known(Link::Xdp);
        assert_eq!(counted(&mut net).dropped, 0);
        command("ip link set us0 down");
        for dropped in 1..=3 {
            assert!(commit(&mut net));
            assert_eq!(counted(&mut net).dropped, dropped);
        }
        command("ip link set us0 up");
        std::thread::sleep(Duration::from_millis(50));
        assert!(commit(&mut net));
        assert_eq!(counted(&mut net).dropped, 3);
    });
}

/// Sent without help of the kernel's, which would leave the checksum to us.
#[test]
fn segments_whose_checksum_is_wrong_are_counted() {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
    for link in [
        Link::Tap,
        Link::TapOffload,
        Link::Packet,
        Link::PacketOffload,
        Link::Xdp,
    ] {
        if !link.is_here() {
            continue;
        }
        in_namespace(move || {
            let net = match link {
                Link::Xdp => verifying_xdp(),
                link => stack(link, &CLASSES, Losses::default()),
            };
            let (mut net, _) = introduce(net);
            // Datagrams that the kernel leaves unfinished for a veth.
            let before = net.counters().malformed;
            let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).unwrap();
            let from = SocketAddr::from(([10, 0, 0, 1], 999));
            let to = SocketAddr::from((STACK, 80));
            let frame = Seg::new(from, to, SYN, 7, 0).payload(&[1]).frame(1, 2);
            for (flipped, malformed) in [(0, 0), (1, 1), (0, 1)] {
                let mut packet = frame[14..].to_vec();
                *packet.last_mut().unwrap() ^= flipped;
                let at = SocketAddrV4::new(STACK.into(), 0);
                sendto(&raw, &packet, SendFlags::empty(), &at).unwrap();
                run(&mut net, 30);
                let counted = net.counters().malformed - before;
                assert_eq!(counted, malformed, "{link:?}");
            }
        });
    }
}

/// What drivers of others do: what has come, and whether there is room and a link.
#[derive(Default)]
struct Driver {
    came: Vec<Vec<u8>>,
    sent: usize,
    is_full: bool,
    is_down: bool,
}

struct Came(Vec<u8>);
struct Room<'d>(&'d mut usize);

const FRAME_MAX: usize = MTU + 14;

impl phy::Device for Driver {
    type RxToken<'t> = Came;
    type TxToken<'t> = Room<'t>;

    fn receive(&mut self, _: Stamp) -> Option<(Came, Room<'_>)> {
        Some((Came(self.came.pop()?), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: Stamp) -> Option<Room<'_>> {
        (!self.is_full).then_some(Room(&mut self.sent))
    }

    fn capabilities(&self) -> phy::DeviceCapabilities {
        let mut said = phy::DeviceCapabilities::default();
        (said.medium, said.max_transmission_unit) = (phy::Medium::Ethernet, FRAME_MAX);
        said
    }
}

impl phy::RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        *self.0 += 1;
        f(&mut vec![0; len])
    }
}

impl embassy::Driver for Driver {
    type RxToken<'t> = Came;
    type TxToken<'t> = Room<'t>;

    fn receive(&mut self, _: &mut core::task::Context<'_>) -> Option<(Came, Room<'_>)> {
        Some((Came(self.came.pop()?), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: &mut core::task::Context<'_>) -> Option<Room<'_>> {
        (!self.is_full).then_some(Room(&mut self.sent))
    }

    fn link_state(&mut self, _: &mut core::task::Context<'_>) -> embassy::LinkState {
        if self.is_down {
            embassy::LinkState::Down
        } else {
            embassy::LinkState::Up
        }
    }

    fn capabilities(&self) -> embassy::Capabilities {
        let mut said = embassy::Capabilities::default();
        said.max_transmission_unit = FRAME_MAX;
        said
    }

    fn hardware_address(&self) -> embassy::HardwareAddress {
        embassy::HardwareAddress::Ethernet([2; 6])
    }
}

impl embassy::RxToken for Came {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl embassy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        *self.0 += 1;
        f(&mut vec![0; len])
    }
}

/// Receives a frame that is too long and a good one, and sends into a driver that gets full.
fn play<D: PollDevice>(mut device: D, driver: impl Fn(&mut D) -> &mut Driver) -> DeviceCounters {
    driver(&mut device).came = vec![vec![1; FRAME_MAX], vec![1; FRAME_MAX + 1]];
    assert_eq!((device.receive(8), device.frame(0).len()), (1, 0));
    assert_eq!((device.receive(8), device.frame(0).len()), (1, FRAME_MAX));
    assert_eq!(device.receive(8), 0);
    device.slot(60).unwrap().fill(1);
    device.commit(60, &TxMeta::NONE);
    assert_eq!(driver(&mut device).sent, 1);
    assert!(device.slot(60).is_some());
    driver(&mut device).is_full = true;
    device.commit(60, &TxMeta::NONE);
    assert!(device.slot(60).is_none());
    assert_eq!(driver(&mut device).sent, 1);
    for is_down in [true, true, false, true] {
        driver(&mut device).is_down = is_down;
        assert_eq!(device.receive(8), 0);
    }
    device.counters()
}

#[test]
fn drivers_of_others_are_counted_for() {
    let (mut inbox, mut slot) = (vec![0; FRAME_MAX], vec![0; FRAME_MAX]);
    let clock = || Instant::ZERO;
    let memories = [&mut inbox[..], &mut slot[..]];
    let over_phy = play(
        FromPhy::new(Driver::default(), clock, memories),
        FromPhy::device_mut,
    );
    let (mut inbox, mut slot) = (vec![0; FRAME_MAX], vec![0; FRAME_MAX]);
    let memories = [&mut inbox[..], &mut slot[..]];
    let waker = core::task::Waker::noop().clone();
    let over_embassy = play(
        FromEmbassy::new(Driver::default(), clock, waker, memories),
        FromEmbassy::driver_mut,
    );
    for counters in [over_phy, over_embassy] {
        let (moved, lost) = (
            (counters.received, counters.sent),
            (counters.cut, counters.dropped, counters.full),
        );
        assert_eq!((moved, lost), ((1, 1), (1, 1, 1)), "{counters:?}");
    }
    // A device of smoltcp's has no link to tell of.
    assert_eq!((over_phy.downs, over_embassy.downs), (0, 2));
}
