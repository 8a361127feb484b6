//! Pools on the heap, whose length a program learns when it runs.
#![cfg(target_os = "linux")]

use std::fs;

use usockets::{Buffer, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{Linux, zeroed, zeroed_slice};

/// Sockets of the large pools: more than any stack holds.
const MANY: usize = 1_000_000;
/// Bytes of each socket's buffer.
const HELD: usize = 256;
/// Pages that a few sockets may touch, with room for pages of 2 MiB and for what the other test
/// does meanwhile.
const TOUCHED_MAX: usize = 24 << 20;

/// Echoes through each connection's buffer; one side speaks first.
#[derive(Default)]
struct Echo {
    heard: Vec<u8>,
}

impl<P: Platform> Handler<P> for Echo {
    type Ext = Buffer<HELD>;
    /// Whether it is the side that connects.
    type Context = bool;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<bool>) -> Buffer<HELD> {
        if opened.context() {
            assert_eq!(socket.write(b"hello"), 5);
            socket.finish();
        }
        Buffer::EMPTY
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        held: &mut Buffer<HELD>,
        data: &mut [u8],
    ) {
        assert_eq!(held.push(data), data.len());
        self.heard.extend_from_slice(data);
        let _ = socket.write(held.filled());
    }
}

/// Has three connections of a loop to itself say hello, and both sides hear it.
fn talk(net: &mut Loop<'_, Linux, Echo>) {
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = net.net().listen(at, false).unwrap();
    let addr = net.net().listening_addr(listener).unwrap();
    for _ in 0..3 {
        net.net().connect(Endpoint::tcp(addr), true).unwrap();
    }
    let mut echo = Echo::default();
    while net.stats().in_use > 1 {
        net.poll(&mut echo, None).unwrap();
    }
    assert_eq!(echo.heard, b"hello".repeat(6));
}

/// Returns the bytes of this process that are in memory.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    words[1].parse::<usize>().unwrap() * 1024
}

/// A million slots, their data and a table beside them take the pages that are used, not more.
#[test]
fn what_no_socket_needed_takes_no_memory() {
    let before = resident();
    let mut slots = zeroed_slice(MANY).unwrap();
    let mut data = zeroed_slice(MANY).unwrap();
    let table = zeroed_slice::<[u8; HELD]>(MANY).unwrap();
    let all = size_of_val(&*slots) + size_of_val(&*data) + size_of_val(&*table);
    assert!(all > 10 * TOUCHED_MAX);
    let mut buffer = [0; HELD];
    let net = Loop::with_slices(Linux::new().unwrap(), &mut slots, &mut data, &mut buffer);
    let mut net = net.unwrap();
    talk(&mut net);
    let touched = resident().saturating_sub(before);
    println!("{touched} of {all} bytes are resident");
    assert!(touched <= TOUCHED_MAX, "{touched} of {all} bytes");
    drop(net);
    drop(table);
}

/// A pool of a length that is known when it is compiled, but larger than the stack.
#[test]
fn a_pool_larger_than_the_stack_is_made_on_the_heap() {
    let mut sockets = zeroed::<Sockets<Linux, Echo, MANY>>().unwrap();
    assert!(size_of_val(&*sockets) > 256 << 20);
    let mut buffer = [0; HELD];
    let mut net = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    talk(&mut net);
}

/// A pool of one slot has no place for a second.
#[test]
fn a_pool_has_as_many_places_as_asked_for() {
    for len in [1, 5] {
        let mut slots = zeroed_slice(len).unwrap();
        let mut data = zeroed_slice(len).unwrap();
        let mut buffer = [0; 1];
        let mut net: Loop<'_, _, Echo> =
            Loop::with_slices(Linux::new().unwrap(), &mut slots, &mut data, &mut buffer).unwrap();
        let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
        for _ in 0..len {
            assert!(net.net().listen(at, false).is_ok());
        }
        assert_eq!(net.net().listen(at, false), Err(Error::Full));
    }
}
