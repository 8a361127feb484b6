//! The HTTP server of `tap_http`, with a TCP stack and a thread for each receive queue of an
//! interface, taken from the kernel by AF_XDP: `/`, `/echo` (POST), `/bytes/N` and `/stats`, on
//! port 80. As root:
//!
//! ```text
//! cargo run --release -p usockets-smoltcp --features afxdp,queues,connections --example xdp_http \
//!     -- --interface NAME --ip CIDR [--ip CIDR] [--gateway IP] [--queues N]
//! ```
//!
//! The stacks are one host: they share what they know of neighbours, connections belong to one or
//! the other by Toeplitz's hash, and what arrives at another is handed over. A card is to be given
//! the same key and table, or nearly all of it is: `ethtool -X NAME equal N hkey 6d:5a:56:da:…`,
//! the bytes of `RssKey::MICROSOFT`.
//!
//! With `--packet`, packet sockets share the interface with the kernel, whose own addresses must
//! then be others, and the kernel hashes. With `--veth` checksums of TCP are not verified, since
//! the other end of a veth leaves them out. With `--connections SECONDS` each thread prints now and
//! then what its connections do.
//!
//! To try it, with a veth of two queues:
//!
//! ```text
//! ip link add us0 numtxqueues 2 numrxqueues 2 type veth peer name us1 numtxqueues 2 numrxqueues 2
//! ip addr add 10.77.0.1/24 dev us0
//! ip link set us0 up && ip link set us1 up
//! xdp_http --interface us1 --veth --ip 10.77.0.2/24 --queues 2 --connections 1 &
//! curl http://10.77.0.2/
//! ```

use std::process::ExitCode;
use std::thread;
use std::time::SystemTime;

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "handlers/http/mod.rs"]
mod http;
#[path = "support/queues.rs"]
mod queues;
mod support {
    //! What other examples have beside their stack.
    use std::fs::File;
    use std::io::Read;
    use usockets::Error;

    /// Returns random bytes of the system.
    pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        let file = File::open("/dev/urandom");
        file.and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|_| Error::Denied)?;
        Ok(bytes)
    }
}

use http::date::WallClock;
use http::memory::{Memory, Tables};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;
use queues::{CONNECTIONS, Device, Options, leak};
use usockets::{Duration, Endpoint, Error, Loop, Place, Platform, Slot};
use usockets_smoltcp::Stack;

/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: --interface NAME --ip CIDR [--ip CIDR] [--gateway IP] [--queues 1..16] \
             [--packet | --generic] [--veth] [--connections SECONDS]"
        );
        return ExitCode::FAILURE;
    };
    let every = options.connections.map(Duration::from_secs);
    match options.stacks() {
        Ok(stacks) => serve_all(stacks, every),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves on a thread for each stack, until one fails.
fn serve_all(stacks: Vec<Stack<'static, Device>>, every: Option<Duration>) -> ExitCode {
    let (send, receive) = std::sync::mpsc::channel();
    for (stack, queue) in stacks.into_iter().zip(0_u16..) {
        let send = send.clone();
        thread::spawn(move || {
            let served = serve(stack, queue, every);
            let _ = send.send((queue, served));
        });
    }
    if let Ok((queue, Err(error))) = receive.recv() {
        eprintln!("queue {queue}: {error}");
    }
    ExitCode::FAILURE
}

/// Serves one queue.
fn serve(stack: Stack<'static, Device>, queue: u16, every: Option<Duration>) -> Result<(), Error> {
    let tables = Tables {
        inputs: leak(CONNECTIONS, || [0; IN]),
        outputs: leak(CONNECTIONS, || [0; OUT]),
        clients: leak(CONNECTIONS, || None),
        draft: leak(1, || [0; OUT]).first_mut().ok_or(Error::Invalid)?,
    };
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let mut http: Server<'_, IN, OUT> = Server::with_tables(Service::new(route, clock), tables);
    let slots = leak(CONNECTIONS, || Slot::free(Stack::<Device>::CLOSED));
    let data = leak(CONNECTIONS, || Place::Vacant);
    let buffer = leak(Memory::<IN, OUT>::RECEIVE_MAX, || 0);
    let mut server = Loop::with_slices(stack, slots, data, buffer)?;
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    server.net().listen(at, Group::Listener)?;
    let mut next = every.map(|every| server.platform().now().saturating_add(every));
    loop {
        server.poll(&mut http, next)?;
        if let (Some(due), Some(every)) = (next, every)
            && server.platform().now() >= due
        {
            print(server.platform(), queue);
            next = Some(due.saturating_add(every));
        }
    }
}

/// Prints a line for each connection, and one for the stack.
fn print(stack: &Stack<'static, Device>, queue: u16) {
    for connection in stack.connections() {
        println!("queue {queue}: {connection}");
    }
    let counted = stack.counters();
    println!(
        "queue {queue}: {} served, {} packets handed over, {} dropped",
        counted.established, counted.handed_over, counted.hand_overs_dropped
    );
}
