//! The kernel's TCP in a network namespace of a test's own, and what talks with it over a stack.
//! The tests of `usockets-dpdk`, whose workspace is another, include this file.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use rustix::thread::{UnshareFlags, unshare_unsafe};
use usockets::{Closed, Handler, Opened, Platform, Socket};

/// The kernel's address.
pub const KERNEL: [u8; 4] = [10, 0, 0, 1];
/// The stack's.
pub const STACK: [u8; 4] = [10, 0, 0, 2];

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

/// Gives an interface the kernel's addresses.
pub fn address(name: &str) {
    command(&format!("ip addr add 10.0.0.1/24 dev {name}"));
    command(&format!("ip addr add fd00::1/64 dev {name} nodad"));
    command(&format!("ip link set {name} up"));
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

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Vec<u8> {
        self.opened += 1;
        Vec::new()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Vec<u8>, data: &mut [u8]) {
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

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Vec<u8>) {
        let sent = socket.write(held);
        held.drain(..sent);
        if held.is_empty() {
            socket.resume();
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Vec<u8>, _: Closed) {
        self.closed += 1;
    }
}

/// Sends bytes to a server and collects what comes back.
pub struct Client {
    pub bytes: Vec<u8>,
    sent: usize,
    pub back: Vec<u8>,
    pub is_done: bool,
}

impl Client {
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            sent: 0,
            back: Vec::new(),
            is_done: false,
        }
    }

    fn push<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>) {
        self.sent += socket.write(&self.bytes[self.sent..]);
        if self.sent == self.bytes.len() {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Client {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.push(socket);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.push(socket);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.back.extend_from_slice(data);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        assert_eq!(closed, Closed::Finished);
        self.is_done = true;
    }
}

/// A client of the kernel's that sends `bytes` and returns what came back until the end.
pub fn echo_client(to: SocketAddr, bytes: Vec<u8>) -> thread::JoinHandle<Vec<u8>> {
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
