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

#[path = "support/common.rs"]
mod common;
#[path = "support/host.rs"]
mod host;
#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "handlers/http/mod.rs"]
mod http;
#[path = "support/queues.rs"]
mod queues;

use queues::{Device, Options};
use usockets::{Duration, Error, Platform};
use usockets_smoltcp::Stack;

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
        Ok(stacks) => host::serve_all(stacks, move |stack, queue| serve(stack, queue, every)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves one queue.
fn serve(stack: Stack<'static, Device>, queue: u16, every: Option<Duration>) -> Result<(), Error> {
    let (mut server, mut http) = host::http(stack)?;
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
