//! Devices around devices: the pcap writer, and adapters from and to smoltcp's own.

use std::cell::{Cell, RefCell};

use usockets::{Endpoint, Instant, Loop, Platform, Recv, SocketId, Sockets};
use usockets_smoltcp::{
    Capabilities, Faults, FromEmbassy, FromPhy, Medium, Pcap, PollDevice, Stack, ToEmbassy, ToPhy,
    TxMeta,
};
use usockets_tests::smoltcp::forge::{frames, ping};
use usockets_tests::smoltcp::kernel::Echo;
use usockets_tests::smoltcp::{MTU, Recipe, a4, b4, leak, mac, wire};

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

#[test]
fn a_stack_runs_over_embassys_drivers_and_they_over_ours() {
    let (wire, [left, right]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let frame = || leak(MTU + 14, || 0);
    let driver = ToEmbassy::new(left, mac(1), frame());
    let waker = core::task::Waker::noop().clone();
    let device = FromEmbassy::new(driver, || wire.now(), waker, [frame(), frame()]);
    assert_eq!(device.mac(), Some(mac(1)));
    assert_eq!(device.capabilities().mtu, MTU);
    // A driver wakes a task and cannot wait, so the wire's clock is moved for it.
    greet(device, right, || {
        wire.pass(usockets::Duration::from_micros(1))
    });
}

/// A device that lends its frames in pieces, the first of which has the headers.
struct Pieces<D>(D);

impl<D: PollDevice> Pieces<D> {
    const PIECE: usize = 80;

    fn piece(&self, index: usize, place: usize) -> &[u8] {
        let frame = self.0.frame(index);
        let at = (place * Self::PIECE).min(frame.len());
        &frame[at..(at + Self::PIECE).min(frame.len())]
    }
}

impl<D: PollDevice> PollDevice for Pieces<D> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.0.receive(frames_max)
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.piece(index, 0)
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        self.piece(index, place)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        self.0.commit(len, meta);
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.0.wait(until);
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

/// A ping of 1,000 bytes in thirteen buffers comes back whole.
#[test]
fn frames_in_several_buffers_are_put_together() {
    let (wire, [left, mut right]) = wire(Faults::NONE, 1, Medium::Ip);
    let mut recipe = Recipe::new(1);
    recipe.medium = Medium::Ip;
    let mut stack = recipe.build_on(Pieces(left));
    let ping = ping(b4(0).ip(), a4(0).ip(), 2, 1, 1_000)[14..].to_vec();
    right.inject(&ping);
    wire.pass(usockets::Duration::from_millis(1));
    stack.poll(Some(Instant::ZERO)).unwrap();
    let replies = frames(&mut right);
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].len(), ping.len());
    assert_eq!(replies[0][28..], ping[28..], "the whole of it comes back");
}

/// A card whose frame comes after a while, and which counts how often it was waited for.
struct Late {
    looks: Cell<u64>,
    frame: Vec<u8>,
    came: bool,
    waits: usize,
    slot: Vec<u8>,
}

impl PollDevice for Late {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Medium::Ip, MTU)
    }

    fn receive(&mut self, _: usize) -> usize {
        let due = self.looks.get() > 60 && !self.came;
        self.came |= due;
        usize::from(due)
    }

    fn frame(&self, _: usize) -> &[u8] {
        &self.frame
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, _: usize, _: &TxMeta) {}

    fn wait(&mut self, _: Option<Instant>) {
        self.waits += 1;
    }

    fn now(&self) -> Instant {
        self.looks.set(self.looks.get() + 1);
        Instant::from_micros(self.looks.get())
    }
}

/// A frame that comes soon is waited for without sleeping; then there is sleep.
#[test]
fn a_stack_looks_busily_for_a_while_and_sleeps_then() {
    for busy in [0, 500] {
        let device = Late {
            looks: Cell::new(0),
            frame: ping(b4(0).ip(), a4(0).ip(), 2, 1, 10)[14..].to_vec(),
            came: false,
            waits: 0,
            slot: vec![0; MTU],
        };
        let mut recipe = Recipe::new(1);
        recipe.medium = Medium::Ip;
        recipe.busy_poll = usockets::Duration::from_micros(busy);
        let mut stack = recipe.build_on(device);
        stack.poll(None).unwrap();
        let looked = stack.device().waits == 0 && stack.device().came;
        assert_eq!(looked, busy > 0);
        stack.poll(None).unwrap();
        assert!(stack.device().waits > 0, "nothing comes any more");
    }
}
