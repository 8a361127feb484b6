//! What a connection takes, beside the buffers of its socket: a table for the README.
//!
//! `cargo run --release --bin memory`

use embassy_net::StackResources;
use embassy_net::tcp::TcpSocket;
use usockets::{Platform, Sockets};
use usockets_async::{Tasks, Waiters};
use usockets_async_hosts::{Connection, ECHO_MAX, echo, edge, pico};
use usockets_linux::Linux;
use usockets_smoltcp::{Slot, Stack, Tap, Working};

/// A number of connections; a table for twice as many says what these take, without what rounds
/// the size of a table up.
const COUNT: usize = 8;

/// Returns the bytes of the future that an async function makes.
const fn future_len<A, F>(_: &impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

/// As [`future_len`], of two arguments.
const fn future_len_of_two<A, B, F>(_: &impl FnOnce(A, B) -> F) -> usize {
    size_of::<F>()
}

/// Returns the bytes of one more connection of edge-http: of its memory and of its future.
fn edge_len() -> usize {
    type Listener = usockets_async::Listener<'static, 'static, Linux>;
    let (few, many) = (
        edge::serve::<COUNT, Listener>,
        edge::serve::<{ 2 * COUNT }, Listener>,
    );
    let memory = size_of::<edge::Memory<{ 2 * COUNT }>>() - size_of::<edge::Memory<COUNT>>();
    let futures = future_len_of_two(&many) - future_len_of_two(&few);
    (memory + futures).div_ceil(COUNT)
}

/// Returns the bytes of a socket of the loop and of its tasks.
fn socket_len<P: Platform>() -> usize {
    let sockets = size_of::<Sockets<P, Tasks<'static>, { 2 * COUNT }>>()
        - size_of::<Sockets<P, Tasks<'static>, COUNT>>();
    sockets.div_ceil(COUNT) + size_of::<Waiters>()
}

/// Returns the bytes of a connection of the user-space stack, with its control block and its place
/// in the table of addresses.
fn stack_len() -> usize {
    let own = size_of::<Slot>() + size_of::<Working>() + size_of::<u32>();
    socket_len::<Stack<'static, Tap>>() + own
}

fn main() {
    let embassy = size_of::<StackResources<{ 2 * COUNT }>>() - size_of::<StackResources<COUNT>>();
    let embassy = embassy.div_ceil(COUNT);
    let rows = [
        ("socket and tasks, on Linux", socket_len::<Linux>()),
        ("the same, over the user-space stack", stack_len()),
        ("a socket of embassy-net 0.9", embassy),
        ("task of `echo`", future_len(&echo::<Connection>) - ECHO_MAX),
        (
            "the same, over embassy-net",
            future_len(&echo::<TcpSocket<'static>>) - ECHO_MAX,
        ),
        (
            "task of picoserve 0.20, with 1,024 bytes for a head",
            future_len_of_two(&pico::serve),
        ),
        (
            "task of edge-http 0.8, with 2,048 bytes for a head",
            edge_len(),
        ),
    ];
    println!("| beside the buffers of a socket | bytes a connection |\n|---|---|");
    for (what, len) in rows {
        println!("| {what} | {len} |");
    }
}
