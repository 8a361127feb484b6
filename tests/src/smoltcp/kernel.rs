//! The kernel's TCP on the other end of a TAP, in a network namespace of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use rustix::thread::{UnshareFlags, unshare_unsafe};
use usockets::{Error, Handler, Instant, Opened, Platform, Waker};
use usockets_linux::EventFd;
use usockets_smoltcp::{
    Address, Block, Capabilities, Config, Listener, Memory, Neighbour, Outstanding, PollDevice,
    Random, Resting, RxMeta, Secret, SizeClass, Slot, Stack, Tap, TxMeta, Working,
};

use super::{leak, mac, v6};

/// The kernel's address on the TAP.
pub const KERNEL: [u8; 4] = [10, 0, 0, 1];
/// The stack's.
pub const STACK: [u8; 4] = [10, 0, 0, 2];
pub const MTU: usize = 1_500;

/// Runs `test` on a thread with a network of its own; says so and returns without the right to.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let ran = thread::spawn(|| {
        // SAFETY: only the network changes; no descriptor is shared differently afterwards.
        if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
            assert!(
                std::env::var_os("CI").is_none(),
                "no network namespace: {error}"
            );
            println!("SKIPPED: no right to make a network namespace ({error})");
            return;
        }
        command("ip link set lo up");
        test();
    });
    if let Err(panic) = ran.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a command in the thread's namespace.
pub fn command(line: &str) {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap())
        .args(words)
        .status()
        .unwrap();
    assert!(status.success(), "{line}");
}

/// Makes a TAP with addresses, and a stack on it.
pub fn stack(offload: bool, classes: &[SizeClass], faults: Losses) -> Stack<'static, Faulty> {
    let memory = leak(
        Tap::share(MTU, offload) * if offload { 5 } else { 65 },
        || 0,
    );
    let tap = Tap::open("us0", MTU, offload, memory).unwrap();
    let tap = match faults.waker {
        Some(waker) => tap.with_waker(waker),
        None => tap,
    };
    command("ip addr add 10.0.0.1/24 dev us0");
    command("ip addr add fd00::1/64 dev us0 nodad");
    command("ip link set us0 up");
    let addresses = [
        Address::new(STACK.into(), 24),
        Address::new(v6(2, 0).ip(), 64),
        Address::new("fe80::2".parse().unwrap(), 64),
    ];
    let config = Config::new(mac(2), &addresses, Secret::new([9; 16]));
    let slots = classes.iter().map(|class| class.connections).sum();
    let bytes = classes.iter().map(SizeClass::bytes).sum();
    let device = Faulty::new(tap, faults);
    let memory = Memory {
        slots: leak(slots, || Slot::EMPTY),
        working: leak(classes.iter().map(SizeClass::working_len).sum(), || {
            Working::EMPTY
        }),
        resting: leak(classes.iter().map(SizeClass::resting_len).sum(), || {
            Resting::EMPTY
        }),
        outstanding: leak(classes.iter().map(SizeClass::outstanding_len).sum(), || {
            Outstanding::EMPTY
        }),
        ranges: leak(classes.iter().map(SizeClass::ranges_len).sum(), || {
            Block::EMPTY
        }),
        bytes: leak(bytes, || 0),
        buckets: leak(slots.next_power_of_two(), || 0),
        listeners: leak(4, || Listener::EMPTY),
        neighbours: leak(16, || Neighbour::EMPTY),
        scratch: leak(device.capabilities().frame_max(), || 0),
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

/// A TAP that loses and reorders, and duplicates what it receives.
pub struct Faulty {
    tap: Tap<'static>,
    losses: Losses,
    random: Random,
    /// Which frames of the burst are lent, in which order.
    order: Vec<usize>,
}

impl Faulty {
    fn new(tap: Tap<'static>, losses: Losses) -> Self {
        Self {
            tap,
            losses,
            random: Random::new(losses.seed),
            order: Vec::new(),
        }
    }
}

impl PollDevice for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.tap.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let count = self.tap.receive(frames_max / 2);
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
        self.tap.frame(self.order[index])
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        self.tap.rx_meta(self.order[index])
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.tap.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        if self.losses.loss == 0 || !self.random.chance(self.losses.loss) {
            self.tap.commit(len, meta);
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.tap.wait(until);
    }

    fn woken(&mut self) -> bool {
        self.tap.woken()
    }

    fn fault(&self) -> Option<Error> {
        self.tap.fault()
    }

    fn now(&self) -> Instant {
        self.tap.now()
    }
}

/// Sends back everything, holding what the peer does not take yet; counts what it saw.
#[derive(Default)]
pub struct Echo {
    pub opened: usize,
    pub closed: usize,
}

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Vec<u8>;

    fn on_open(&mut self, _: &mut usockets::Socket<'_, P, Self>, _: Opened<()>) -> Vec<u8> {
        self.opened += 1;
        Vec::new()
    }

    fn on_data(
        &mut self,
        socket: &mut usockets::Socket<'_, P, Self>,
        held: &mut Vec<u8>,
        data: &mut [u8],
    ) {
        let sent = if held.is_empty() {
            socket.write(data)
        } else {
            0
        };
        held.extend_from_slice(&data[sent..]);
        if !held.is_empty() {
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut usockets::Socket<'_, P, Self>, held: &mut Vec<u8>) {
        let sent = socket.write(held);
        held.drain(..sent);
        if held.is_empty() {
            socket.resume();
        }
    }

    fn on_close(
        &mut self,
        _: &mut usockets::Socket<'_, P, Self>,
        _: &mut Vec<u8>,
        _: usockets::Closed,
    ) {
        self.closed += 1;
    }
}

/// A client of the kernel's that sends `bytes` and returns what came back until the end.
pub fn echo_client(to: SocketAddr, bytes: Vec<u8>) -> thread::JoinHandle<Vec<u8>> {
    use std::io::{Read, Write};
    thread::spawn(move || {
        let mut stream = TcpStream::connect(to).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let sender = thread::spawn(move || {
            writer.write_all(&bytes).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        sender.join().unwrap();
        back
    })
}

/// A server of the kernel's that sends back what one connection sends.
pub fn echo_server(at: SocketAddr) -> thread::JoinHandle<()> {
    use std::io::{Read, Write};
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 65_536];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            if count == 0 {
                return;
            }
            stream.write_all(&buffer[..count]).unwrap();
        }
    })
}
