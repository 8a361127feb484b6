//! Explicit congestion notification (RFC 3168) with the kernel's TCP across a TAP, in a namespace
//! of its own: who agrees, and that either side hears of what a router between them marks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use usockets::{Duration, Endpoint, Error, Instant, Loop, Platform, Sockets};
use usockets_smoltcp::{
    Capabilities, DeviceCounters, Ecn, PollDevice, Random, RxMeta, SizeClass, Stack, Tap, TxMeta,
};
use usockets_tests::smoltcp::forge::{ACK, CWR, ECE, SYN, codepoint, mark, read};
use usockets_tests::smoltcp::kernel::{
    Echo, KERNEL, MTU, STACK, address, command, connect_by, echo_client, in_namespace, stack_with,
};
use usockets_tests::smoltcp::{leak, pattern, v6, zeroes};

/// Frames of one direction.
#[derive(Default)]
struct Seen {
    /// Bits for congestion of the SYN, or SYN and ACK.
    syn: AtomicU32,
    /// ECT(0) or marked.
    capable: AtomicU32,
    marked: AtomicU32,
    echoes: AtomicU32,
    reductions: AtomicU32,
}

fn add(count: &AtomicU32) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn is_some(count: &AtomicU32) -> bool {
    count.load(Ordering::Relaxed) > 0
}

/// A device behind a router that marks one in a hundred of what may be marked.
struct Router {
    tap: Tap<'static>,
    /// What has come, and may have been marked.
    burst: Vec<Vec<u8>>,
    random: Random,
    /// From the kernel, and from the stack.
    seen: &'static [Seen; 2],
}

impl Router {
    /// Takes note of a frame, and marks it perhaps.
    fn pass(random: &mut Random, seen: &Seen, frame: &mut [u8]) {
        let Some(segment) = read(frame) else {
            return;
        };
        if segment.control & SYN != 0 {
            let signs = u32::from(segment.control & (ECE | CWR));
            seen.syn.store(signs, Ordering::Relaxed);
            assert_eq!(codepoint(frame), 0, "no SYN is ECT");
            return;
        }
        if segment.control & ACK != 0 && segment.control & ECE != 0 {
            add(&seen.echoes);
        }
        if segment.control & CWR != 0 {
            add(&seen.reductions);
        }
        if codepoint(frame) != 0 {
            assert!(!segment.payload.is_empty(), "only text is ECT");
            add(&seen.capable);
            if random.chance(10_000) {
                add(&seen.marked);
                mark(frame);
            }
        }
    }
}

impl PollDevice for Router {
    fn capabilities(&self) -> Capabilities {
        self.tap.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let count = self.tap.receive(frames_max);
        self.burst = (0..count)
            .map(|index| self.tap.frame(index).to_vec())
            .collect();
        for frame in &mut self.burst {
            Self::pass(&mut self.random, &self.seen[0], frame);
        }
        count
    }

    fn frame(&self, index: usize) -> &[u8] {
        &self.burst[index]
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        self.tap.rx_meta(index)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.tap.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        if let Some(frame) = self.tap.slot(len) {
            Self::pass(&mut self.random, &self.seen[1], &mut frame[..len]);
        }
        self.tap.commit(len, meta);
    }

    fn flush(&mut self) {
        self.tap.flush();
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.tap.wait(until);
    }

    fn fault(&self) -> Option<Error> {
        self.tap.fault()
    }

    fn now(&self) -> Instant {
        self.tap.now()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.tap.counters()
    }
}

/// A stack behind a router.
fn stack(ecn: Ecn) -> (Stack<'static, Router>, &'static [Seen; 2]) {
    let memory = zeroes(Tap::share(MTU, false) * 65);
    let tap = Tap::make("us0", MTU, false, memory).unwrap();
    address("us0");
    let seen = &leak(1, <[Seen; 2]>::default)[0];
    let router = Router {
        tap,
        burst: Vec::new(),
        random: Random::new(7),
        seen,
    };
    let class = SizeClass::new(4, 65_535, 65_535);
    (stack_with(router, &[class], |config| config.ecn(ecn)), seen)
}

/// Both sides have heard of congestion, and have said so.
fn check(seen: &[Seen; 2], agreed: bool) {
    for (side, other) in [(&seen[0], &seen[1]), (&seen[1], &seen[0])] {
        assert_eq!(is_some(&side.capable), agreed);
        assert_eq!(is_some(&side.marked), agreed);
        assert_eq!(is_some(&other.echoes), agreed, "of what is marked");
        assert_eq!(is_some(&side.reductions), agreed, "of what is echoed");
    }
}

/// The kernel asks if its route says so.
#[test]
fn the_kernel_asks_and_is_answered() {
    for ecn in [Ecn::Off, Ecn::Accept] {
        in_namespace(move || {
            let (net, seen) = stack(ecn);
            command("ip route change 10.0.0.0/24 dev us0 features ecn");
            let mut sockets = Box::new(Sockets::<_, Echo, 4>::new());
            let mut buffer = vec![0; 65_536];
            let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
            let at = Endpoint::tcp(([0_u16; 8], 80).into());
            server.net().listen(at, ()).unwrap();
            let bytes = pattern(5_000_000, 1);
            let client = echo_client(SocketAddr::from((STACK, 80)), bytes.clone());
            let mut echo = Echo::default();
            while !client.is_finished() {
                let until = server.platform().now();
                let until = until.saturating_add(Duration::from_millis(20));
                server.poll(&mut echo, Some(until)).unwrap();
            }
            assert!(client.join().unwrap() == bytes);
            let asked = seen[0].syn.load(Ordering::Relaxed);
            assert_eq!(asked, u32::from(ECE | CWR), "the kernel has not asked");
            let agreed = ecn == Ecn::Accept;
            let answered = seen[1].syn.load(Ordering::Relaxed);
            assert_eq!(answered, if agreed { u32::from(ECE) } else { 0 });
            check(seen, agreed);
            let marks = server.platform().counters().congestion_marks;
            assert_eq!(marks > 0, agreed);
        });
    }
}

/// The kernel answers who asks.
#[test]
fn the_kernel_answers_if_we_ask() {
    for to in [SocketAddr::from((KERNEL, 7)), v6(1, 7)] {
        in_namespace(move || {
            let (net, seen) = stack(Ecn::Request);
            connect_by(net, to);
            check(seen, true);
        });
    }
}
