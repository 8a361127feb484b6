//! What a server of many connections that are silent takes, all of it: the core's slots, the data
//! of an echo, the stack, and the memory that those lease that say something. Prints the bytes of
//! each part and what the kernel says of the process. Usage:
//! `smoltcp_million [CONNECTIONS [ECHOES]]`, a million and as many by default. Fails if a million
//! take more than 300 MB. Its peers are in the process, and are not counted.
//!
//! `smoltcp_million tap [CONNECTIONS]`, as root, has its peers in the kernel's TCP at the other end
//! of a TAP, opened by other processes: 100,000 by default, of 16 addresses or more. The kernel
//! takes several KB for each. With `client` it is one of those processes.
//!
//! `smoltcp_million costs [CONNECTIONS]` tells what a connection costs to accept, to time out, to
//! close and to forget beside so many, a million by default, that are silent.

mod costs;
mod over_tap;
mod server;

use static_cell::ConstStaticCell;
use usockets::Sockets;
use usockets_smoltcp::{Address, Config, Secret};
use usockets_tests::smoltcp::peers::{PORT, Peers, SERVER};

use server::{Echo, MOST, Net, SETS, Server};

/// The listener has a place as well. All zero bytes: untouched, it takes no memory.
static SOCKETS: ConstStaticCell<Sockets<Net<Peers>, Echo, { MOST + 1 }>> =
    ConstStaticCell::new(Sockets::new());

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
    match words.first().map(String::as_str) {
        Some("tap") => over_tap::serve(number(1).unwrap_or(100_000).clamp(1, MOST)),
        Some("costs") => costs::measure(number(1).unwrap_or(MOST).clamp(1, MOST)),
        Some("client") => {
            let [first, end, count] = [1, 2, 3].map(|at| number(at).expect("a number"));
            over_tap::connect(first..end, count);
        }
        _ => {
            let count = number(0).unwrap_or(MOST).clamp(1, MOST);
            in_memory(count, number(1).unwrap_or(count) as u64);
        }
    }
}

fn in_memory(count: usize, echoes: u64) {
    let mut peers = Peers::new(count);
    peers.state.polite = true;
    let addresses = [Address::new(SERVER.into(), 8)];
    let config = Config::new([0; 6], &addresses, Secret::new([7; 16]));
    let mut server = Server::new(peers, &config, count, (SERVER, PORT), SOCKETS.take());
    server.until(|net, echo| echo.open == count && net.free_sets() == SETS);
    server.report("open and silent");
    let start = std::time::Instant::now();
    let device = server.net.platform_mut().device_mut();
    device.state.budget = echoes;
    server.until(|net, _| net.device().state.echoes == echoes && net.free_sets() == SETS);
    let took = start.elapsed();
    println!(
        "{echoes} echoes of 64 bytes in {took:?}, {} cut short",
        server.echo.short
    );
    assert_eq!((server.echo.short, server.echo.closed), (0, 0));
    server.report("after them");
    println!("{:?}", server.net.platform().counters());
}
