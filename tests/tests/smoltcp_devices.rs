//! Devices around devices: the pcap writer, and adapters from and to smoltcp's own.

use std::cell::RefCell;

use usockets::{Endpoint, Loop, Platform, Recv, SocketId, Sockets};
use usockets_smoltcp::{Faults, FromPhy, Medium, Pcap, PollDevice, Stack, ToPhy};
use usockets_tests::smoltcp::kernel::Echo;
use usockets_tests::smoltcp::{MTU, Recipe, b4, leak, wire};

fn closed<P: Platform>(_: &P) -> P::Socket {
    P::CLOSED
}

/// Sends "hello" from a stack on one device to an echo server on another.
fn greet<A: PollDevice, B: PollDevice>(a: A, b: B, advance: impl Fn()) {
    let mut client = Recipe::new(1).build_on(a);
    let mut sockets = Box::new(Sockets::<_, Echo, 4>::new());
    let mut buffer = [0; 100];
    let mut server = Loop::new(Recipe::new(2).build_on(b), &mut sockets, &mut buffer);
    server.net().listen(Endpoint::tcp(b4(80)), ()).unwrap();
    let mut socket = Stack::<A>::CLOSED;
    let id = SocketId::from_bits(1 << 32).unwrap();
    client
        .connect(&mut socket, id, &Endpoint::tcp(b4(80)))
        .unwrap();
    let mut echo = Echo::default();
    let (mut sent, mut back) = (0, Vec::new());
    for _ in 0..200 {
        client.poll(None).unwrap();
        while client.next_ready().is_some() {}
        if sent == 0 {
            sent = client.send(&mut socket, b"hello").unwrap();
        }
        let mut bytes = [0; 10];
        if let Ok(Recv::Data { len, .. }) = client.recv(&mut socket, &mut bytes) {
            back.extend_from_slice(&bytes[..len]);
        }
        server
            .poll(&mut echo, Some(usockets::Instant::ZERO))
            .unwrap();
        advance();
        if back == b"hello" {
            return;
        }
    }
    panic!("no greeting came back: {back:?}");
}

#[test]
fn pcap_writes_every_frame_both_ways() {
    for (medium, link) in [(Medium::Ethernet, 1), (Medium::Ip, 101)] {
        let (wire, [left, right]) = wire(Faults::NONE, 1, medium);
        let file = RefCell::new(Vec::new());
        let device = Pcap::new(left, |bytes: &[u8]| {
            file.borrow_mut().extend_from_slice(bytes)
        });
        if medium == Medium::Ip {
            let recipes = [1, 2].map(|host| {
                let mut recipe = Recipe::new(host);
                recipe.medium = Medium::Ip;
                recipe
            });
            let mut a = recipes[0].build_on(device);
            let mut b = recipes[1].build_on(right);
            let mut socket = closed(&a);
            let id = SocketId::from_bits(1 << 32).unwrap();
            a.connect(&mut socket, id, &Endpoint::tcp(b4(81))).unwrap();
            for _ in 0..4 {
                a.poll(Some(usockets::Instant::ZERO)).unwrap();
                b.poll(Some(usockets::Instant::ZERO)).unwrap();
            }
        } else {
            greet(device, right, || {
                wire.advance();
            });
        }
        let file = file.borrow();
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((word(0), word(20)), (0xa1b2_c3d4, link));
        let (mut at, mut frames) = (24, 0);
        while at < file.len() {
            let len = word(at + 8);
            assert_eq!(len, word(at + 12));
            assert!((20..MTU + 14).contains(&len), "{len}");
            assert!(word(at) >= 1, "seconds of the wire's clock");
            at += 16 + len;
            frames += 1;
        }
        assert_eq!(at, file.len());
        let least = if medium == Medium::Ip { 2 } else { 6 };
        assert!(frames >= least, "{frames}");
    }
}

#[test]
fn a_stack_runs_over_smoltcps_devices_and_they_over_ours() {
    let (wire, [left, right]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let frame = || leak(MTU + 14, || 0);
    let phy = ToPhy::new(left, frame());
    let device = FromPhy::new(phy, || wire.now(), [frame(), frame()]);
    assert_eq!(device.capabilities().mtu, MTU);
    // The adapter cannot wait, so the wire's clock is moved for it.
    greet(device, right, || {
        wire.pass(usockets::Duration::from_micros(1))
    });
}
