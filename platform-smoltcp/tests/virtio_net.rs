//! A virtio network card in software, sound or broken, and what becomes of what it says.
#![expect(
    unsafe_code,
    reason = "the card uses the memory that it is given by address"
)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test may panic, and its numbers are small"
)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use usockets::{Duration, Error, Instant};
use usockets_smoltcp::{
    PollDevice, Random, RxChecksum, TxMeta, VIRTIO_MTU_MAX, VirtioMachine, VirtioMemory, VirtioNet,
    VirtioTransport,
};

/// What virtio 1.2 says: bits of features, of the status, of an interrupt and of a header, bytes of
/// the header, and the queues.
const FILLS_CHECKSUM: u64 = 1;
const MAY_GIVE_PARTIAL: u64 = 1 << 1;
const HAS_MTU: u64 = 1 << 3;
const HAS_MAC: u64 = 1 << 5;
const HAS_LINK: u64 = 1 << 16;
const VERSION_1: u64 = 1 << 32;
const RUNNING: u8 = 1 | 2 | 4 | 8;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;
const CONFIG_CHANGED: u32 = 2;
const NEEDS_CHECKSUM: u8 = 1;
const VERIFIED: u8 = 2;
const HEADER_LEN: usize = 12;
const RECEIVE: u16 = 0;
const SEND: u16 = 1;

/// Bytes of a buffer, and what a card of no use ends with.
const BUFFER: usize = 1_536;
const NO_USE: Error = Error::Platform(64);
/// Entries of a queue.
const N: usize = 8;
const N_U16: u16 = 8;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// What a card is like.
#[derive(Clone, Copy)]
struct Kind {
    features: u64,
    refuses: bool,
    queue_len: u16,
    mtu: u16,
}

const GOOD: Kind = Kind {
    features: VERSION_1
        | HAS_MAC
        | HAS_MTU
        | HAS_LINK
        | FILLS_CHECKSUM
        | MAY_GIVE_PARTIAL
        | 1 << 50,
    refuses: false,
    queue_len: 256,
    mtu: 1_400,
};

/// A queue as the card sees it: where its rings are, and how many entries it has taken and used.
#[derive(Clone, Copy, Default)]
struct Side {
    descriptors: usize,
    available: usize,
    used: usize,
    taken: u16,
    put: u16,
}

struct Model {
    kind: Kind,
    status: u8,
    accepted: u64,
    sides: [Side; 2],
    told: [usize; 2],
    link: u8,
    interrupt: u32,
}

/// The card's end, which the test has as well.
#[derive(Clone)]
struct Hand(Rc<RefCell<Model>>);

fn half(at: usize) -> &'static AtomicU16 {
    // SAFETY: an address in rings, which live for ever and are atomics.
    unsafe { &*with_exposed_provenance::<AtomicU16>(at) }
}

fn word(at: usize) -> &'static AtomicU32 {
    // SAFETY: as in `half`.
    unsafe { &*with_exposed_provenance::<AtomicU32>(at) }
}

fn load(at: usize) -> u32 {
    u32::from_le(word(at).load(Ordering::Relaxed))
}

impl Hand {
    fn new(kind: Kind) -> Self {
        Self(Rc::new(RefCell::new(Model {
            kind,
            status: 0,
            accepted: 0,
            sides: [Side::default(); 2],
            told: [0; 2],
            link: 1,
            interrupt: 0,
        })))
    }

    fn side(&self, queue: u16) -> Side {
        self.0.borrow().sides[usize::from(queue)]
    }

    /// Takes the next buffer that the driver has given, and its address and length.
    fn next(&self, queue: u16) -> Option<(u16, usize, usize)> {
        let side = self.side(queue);
        let index = u16::from_le(half(side.available + 2).load(Ordering::Acquire));
        if index == side.taken {
            return None;
        }
        let entry = side.available + 4 + usize::from(side.taken % N_U16) * 2;
        let buffer = u16::from_le(half(entry).load(Ordering::Relaxed));
        self.0.borrow_mut().sides[usize::from(queue)].taken = side.taken.wrapping_add(1);
        let descriptor = side.descriptors + usize::from(buffer) * 16;
        let address = u64::from(load(descriptor)) | u64::from(load(descriptor + 4)) << 32;
        let len = load(descriptor + 8) as usize;
        assert_eq!(load(descriptor + 12), u32::from(queue == RECEIVE) * 2);
        Some((buffer, address.try_into().unwrap(), len))
    }

    /// Says that a buffer has been used, whether it has or not.
    fn put(&self, queue: u16, buffer: u32, len: u32) {
        let side = self.side(queue);
        let entry = side.used + 4 + usize::from(side.put % N_U16) * 8;
        word(entry).store(buffer.to_le(), Ordering::Relaxed);
        word(entry + 4).store(len.to_le(), Ordering::Relaxed);
        self.set_put(queue, side.put.wrapping_add(1));
    }

    fn set_put(&self, queue: u16, put: u16) {
        let side = &mut self.0.borrow_mut().sides[usize::from(queue)];
        side.put = put;
        half(side.used + 2).store(put.to_le(), Ordering::Release);
    }

    /// Has a frame come, after a header that begins with `flags`; false if there is no buffer.
    fn deliver(&self, flags: u8, frame: &[u8]) -> bool {
        let Some((buffer, address, len)) = self.next(RECEIVE) else {
            return false;
        };
        assert_eq!(len, BUFFER);
        let mut bytes = vec![0; HEADER_LEN];
        bytes[0] = flags;
        bytes.extend(frame);
        // SAFETY: the buffer is the card's, which was given it with this address and length.
        let to = unsafe {
            std::slice::from_raw_parts_mut(with_exposed_provenance_mut::<u8>(address), len)
        };
        to[..bytes.len()].copy_from_slice(&bytes);
        self.put(RECEIVE, buffer.into(), bytes.len() as u32);
        true
    }

    /// Takes a frame that the driver sends, with its header, and gives the buffer back.
    fn sent(&self) -> Option<Vec<u8>> {
        let (buffer, address, len) = self.next(SEND)?;
        // SAFETY: as in `deliver`.
        let bytes =
            unsafe { std::slice::from_raw_parts(with_exposed_provenance::<u8>(address), len) };
        let bytes = bytes.to_vec();
        self.put(SEND, buffer.into(), 0);
        Some(bytes)
    }
}

impl VirtioTransport for Hand {
    fn features(&mut self) -> u64 {
        self.0.borrow().kind.features
    }

    fn set_features(&mut self, features: u64) {
        self.0.borrow_mut().accepted = features;
    }

    fn status(&mut self) -> u8 {
        self.0.borrow().status
    }

    fn set_status(&mut self, status: u8) {
        let mut model = self.0.borrow_mut();
        let refused = if model.kind.refuses { FEATURES_OK } else { 0 };
        model.status = status & !refused;
    }

    fn queue_len_max(&mut self, _: u16) -> u16 {
        self.0.borrow().kind.queue_len
    }

    fn set_queue(&mut self, queue: u16, len: u16, addresses: [u64; 3]) {
        assert_eq!(len, N_U16);
        let [descriptors, available, used] = addresses.map(|at| usize::try_from(at).unwrap());
        assert_eq!((descriptors % 16, available % 2, used % 4), (0, 0, 0));
        self.0.borrow_mut().sides[usize::from(queue)] = Side {
            descriptors,
            available,
            used,
            ..Side::default()
        };
    }

    fn notify(&mut self, queue: u16) {
        self.0.borrow_mut().told[usize::from(queue)] += 1;
    }

    fn config(&mut self, at: usize) -> u8 {
        let model = self.0.borrow();
        let [low, high] = model.kind.mtu.to_le_bytes();
        let [a, b, c, d, e, f] = MAC;
        [a, b, c, d, e, f, model.link, 0, 1, 0, low, high][at]
    }

    fn take_interrupt(&mut self) -> u32 {
        std::mem::take(&mut self.0.borrow_mut().interrupt)
    }
}

/// A clock that a wait moves on.
#[derive(Clone, Default)]
struct Clock(Rc<Cell<u64>>);

impl VirtioMachine for Clock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.get())
    }

    fn wait(&mut self, until: Option<Instant>, has_news: &mut dyn FnMut() -> bool) {
        while !has_news() && until.is_some_and(|until| self.now() < until) {
            self.0.set(self.0.get() + 1_000);
        }
    }
}

type Net = VirtioNet<N, Hand, Clock>;

fn start(kind: Kind) -> (Hand, Result<Net, Error>) {
    let hand = Hand::new(kind);
    let memory = Box::leak(Box::new(VirtioMemory::new()));
    let net = VirtioNet::start(hand.clone(), Clock::default(), memory, 1_500);
    (hand, net)
}

fn good() -> (Hand, Net) {
    let (hand, net) = start(GOOD);
    (hand, net.unwrap())
}

fn send(net: &mut Net, bytes: &[u8]) -> bool {
    let Some(slot) = net.slot(bytes.len()) else {
        return false;
    };
    slot.copy_from_slice(bytes);
    net.commit(bytes.len(), &TxMeta::NONE);
    net.flush();
    true
}

#[test]
fn a_card_is_started_with_what_both_can_do() {
    let (hand, net) = good();
    assert_eq!((net.mac(), net.capabilities().mtu), (Some(MAC), 1_400));
    assert!(net.capabilities().fills);
    assert_eq!(hand.0.borrow().status, RUNNING);
    assert_eq!(hand.0.borrow().accepted, GOOD.features & !(1 << 50));
    assert_eq!(hand.0.borrow().told, [1, 0], "it may write to all buffers");
    drop(net);
    assert_eq!(hand.0.borrow().status, 0, "it is reset in the end");
}

#[test]
fn cards_that_will_not_do_are_refused() {
    let error = |kind| start(kind).1.err();
    let old = Kind {
        features: HAS_MAC,
        ..GOOD
    };
    let refuses = Kind {
        refuses: true,
        ..GOOD
    };
    let short = Kind {
        queue_len: 4,
        ..GOOD
    };
    assert_eq!(error(old), Some(Error::Unsupported));
    assert_eq!(error(refuses), Some(Error::Unsupported));
    assert_eq!(error(short), Some(Error::Exhausted));
    let memory = Box::leak(Box::new(VirtioMemory::<N>::new()));
    let clock = Clock::default();
    let large = VirtioNet::start(Hand::new(GOOD), clock, memory, VIRTIO_MTU_MAX + 1);
    assert_eq!(large.err(), Some(Error::Invalid));
    let memory = Box::leak(Box::new(VirtioMemory::<6>::new()));
    let odd = VirtioNet::start(Hand::new(GOOD), Clock::default(), memory, 1_500);
    assert_eq!(odd.err(), Some(Error::Invalid));
}

/// Many times round the rings, with their indices across their wrap.
#[test]
fn frames_go_and_come_whole_and_in_order() {
    let (hand, mut net) = good();
    let mut random = Random::new(1);
    let rounds = if cfg!(miri) { 300 } else { 40_000 };
    let (mut out, mut back) = (VecDeque::new(), VecDeque::new());
    for round in 0..rounds {
        let byte = u8::try_from(round % 251).unwrap();
        let bytes = vec![byte; 14 + usize::try_from(random.below(1_400)).unwrap()];
        match random.below(4) {
            0 => {
                if send(&mut net, &bytes) {
                    out.push_back(bytes);
                } else {
                    assert_eq!(out.len(), N);
                }
            }
            1 => {
                if let Some(sent) = hand.sent() {
                    assert_eq!(sent[HEADER_LEN..], out.pop_front().unwrap());
                    assert_eq!(sent[..HEADER_LEN], [0; HEADER_LEN]);
                }
            }
            2 => {
                if hand.deliver(0, &bytes) {
                    back.push_back(bytes);
                } else {
                    assert!(back.len() <= N);
                }
            }
            _ => {
                for index in 0..net.receive(5) {
                    assert_eq!(net.frame(index), back.pop_front().unwrap());
                }
            }
        }
    }
    let counted = net.counters();
    assert_eq!((counted.broken, net.fault()), (0, None));
    assert!(counted.full > 0 && counted.sent > 50 && counted.received > 50);
}

#[test]
fn what_the_card_knows_of_checksums_is_told_both_ways() {
    let (hand, mut net) = good();
    for (flags, said) in [
        (0, RxChecksum::Unknown),
        (NEEDS_CHECKSUM, RxChecksum::Partial),
        (VERIFIED, RxChecksum::Verified),
    ] {
        assert!(hand.deliver(flags, &[1; 60]));
        assert_eq!(net.receive(1), 1);
        assert_eq!(net.rx_meta(0).checksum, said);
    }
    let frame = [7; 54];
    let mut meta = TxMeta::NONE;
    (meta.link_len, meta.ip_len, meta.tcp_len) = (14, 20, 20);
    meta.checksum = true;
    net.slot(54).unwrap().copy_from_slice(&frame);
    net.commit(54, &meta);
    let sent = hand.sent().unwrap();
    // 20 bytes behind the Ethernet header, the checksum of TCP 16 further.
    assert_eq!(sent[..HEADER_LEN], [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0]);
}

/// Lengths that no frame has, names of no buffer, and buffers that come back twice.
#[test]
fn what_cannot_be_is_counted_and_harms_nothing() {
    let (hand, mut net) = good();
    for len in [0, 11, 25, BUFFER as u32 + 1, u32::MAX] {
        let (buffer, ..) = hand.next(RECEIVE).unwrap();
        hand.put(RECEIVE, buffer.into(), len);
        assert_eq!(net.receive(N), 0);
    }
    assert_eq!(net.counters().broken, 5);
    // None of them is lost.
    let all: Vec<_> = std::iter::from_fn(|| hand.next(RECEIVE)).collect();
    assert_eq!(all.len(), N);
    hand.put(RECEIVE, all[0].0.into(), 100);
    hand.put(RECEIVE, all[0].0.into(), 100);
    hand.put(RECEIVE, 8, 100);
    hand.put(RECEIVE, u32::MAX, 100);
    hand.put(RECEIVE, all[1].0.into(), 100);
    assert_eq!(net.receive(N), 2);
    assert_eq!((net.frame(0).len(), net.frame(1).len()), (88, 88));
    assert_eq!(net.frame(2), b"");
    assert_eq!((net.counters().broken, net.fault()), (8, None));
    // A buffer that there is not does not come back.
    assert!(send(&mut net, &[7; 60]));
    hand.put(SEND, 8, 0);
    assert!((0..N - 1).all(|_| send(&mut net, &[7; 60])));
    assert!(!send(&mut net, &[7; 60]));
    assert_eq!(net.counters().broken, 9);
}

/// Each wrong name costs a buffer, which the card keeps. With the last one of a queue nothing would
/// ever move again, so that the loop is told.
#[test]
fn a_card_that_keeps_all_buffers_ends() {
    for queue in [RECEIVE, SEND] {
        let (hand, mut net) = good();
        if queue == SEND {
            assert!((0..N).all(|_| send(&mut net, &[7; 60])));
        }
        for kept in 1..=N {
            assert_eq!(net.fault(), None, "queue {queue}, {kept}");
            // In turn the first that there is not, and the last.
            hand.put(queue, if kept % 2 == 0 { 8 } else { u32::MAX }, 100);
            assert_eq!(net.receive(N), 0);
            assert!(!(queue == SEND && send(&mut net, &[7; 60])));
            assert_eq!(net.counters().broken, kept as u64);
        }
        assert_eq!(net.fault(), Some(NO_USE), "queue {queue}");
        // It does not wait for what cannot come.
        net.wait(None);
    }
}

/// An index that is ahead of all that was given: nothing that it says can be believed.
#[test]
fn an_index_that_runs_away_ends_the_card() {
    for (queue, ahead) in [(RECEIVE, N_U16 + 1), (RECEIVE, u16::MAX), (SEND, 1)] {
        let (hand, mut net) = good();
        hand.set_put(queue, ahead);
        assert_eq!(net.receive(N), 0);
        // All buffers to send, and the look for more.
        while queue == SEND && net.fault().is_none() && send(&mut net, &[7; 60]) {
            hand.set_put(queue, hand.side(SEND).put.wrapping_add(2));
        }
        assert_eq!(net.fault(), Some(NO_USE), "queue {queue}, {ahead}");
        assert!(net.counters().broken > 0);
        net.wait(None);
    }
}

#[test]
fn a_link_that_goes_down_is_counted_and_a_card_that_wants_a_reset_ends() {
    let (hand, mut net) = good();
    for link in [0, 1, 0, 0] {
        hand.0.borrow_mut().link = link;
        hand.0.borrow_mut().interrupt = CONFIG_CHANGED;
        let soon = net.now().saturating_add(Duration::from_millis(2));
        net.wait(Some(soon));
    }
    assert_eq!((net.counters().downs, net.fault()), (2, None));
    hand.0.borrow_mut().status |= NEEDS_RESET;
    hand.0.borrow_mut().interrupt = CONFIG_CHANGED;
    net.wait(None);
    assert_eq!(net.fault(), Some(NO_USE));
}

/// A card that says anything at all. `SEED` chooses the first run.
#[test]
fn a_card_that_says_anything_is_survived() {
    let first = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let runs = if cfg!(miri) { 5 } else { 500 };
    for seed in first..first + runs {
        println!("SEED={seed}");
        let (hand, mut net) = good();
        let mut random = Random::new(seed);
        for _ in 0..200 {
            let queue = u16::try_from(random.below(2)).unwrap();
            let number = u32::try_from(random.below(12)).unwrap();
            match random.below(8) {
                0 => hand.put(queue, number, number * 300),
                1 => hand.put(queue, u32::MAX - number, u32::MAX - number),
                2 if random.below(20) == 0 => hand.set_put(queue, random.below(65_536) as u16),
                3 => drop(hand.next(queue)),
                4 => drop(hand.deliver(3, &[9; 60])),
                5 => drop(send(&mut net, &[8; 60])),
                6 => drop(hand.sent()),
                _ => {
                    for index in 0..=net.receive(N) {
                        assert!(net.frame(index).len() <= BUFFER, "seed {seed}");
                    }
                }
            }
        }
    }
}
