//! That loops on threads of their own share no line of the processor's cache: where the HTTP
//! server's parts lie.
#![expect(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "what the program has is looked at, not run")]

#[path = "../examples/handlers/http/mod.rs"]
mod http;
#[path = "../examples/support/metrics.rs"]
mod metrics;
#[path = "../examples/support/room.rs"]
mod room;
#[path = "../examples/support/mod.rs"]
mod support;
#[path = "../examples/support/threads.rs"]
mod threads;

use core::ops::Range;

use metrics::Watch;
use room::{Handler, Room};
use threads::{Part, new_waker};

/// Bytes of a line, or of two that go together (`lscpu -C`; `perf-c2c(1)`).
const LINE: usize = 128;
/// So many loops as to be neighbours of one another in the heap.
const THREADS: usize = 8;

/// Returns the lines that addresses are in.
fn lines(addresses: &Range<usize>) -> Range<usize> {
    addresses.start / LINE..addresses.end.div_ceil(LINE)
}

fn addresses_of<T>(value: &T) -> Range<usize> {
    let start = core::ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}

/// What each thread reads and writes to serve a request: its room, its waker, and what it tells
/// those who ask for numbers.
#[test]
fn threads_share_no_line_of_the_cache() {
    let mut rooms: Vec<_> = (0..THREADS).map(|_| Room::new().unwrap()).collect();
    let watches: Vec<_> = (0..THREADS).map(|_| Watch::default()).collect();
    let mut all: Vec<(usize, Range<usize>)> = Vec::new();
    for (index, (room, watch)) in rooms.iter_mut().zip(&watches).enumerate() {
        let waker = new_waker().unwrap();
        let parts = room.addresses().into_iter();
        let parts = parts.chain([addresses_of(waker), addresses_of(watch)]);
        all.extend(parts.map(|addresses| (index, lines(&addresses))));
    }
    all.sort_by_key(|(_, lines)| lines.start);
    assert_eq!(all.len(), THREADS * 9);
    for (one, next) in all.iter().zip(all.iter().skip(1)) {
        let ends_before = one.1.end <= next.1.start;
        assert!(ends_before || one.0 == next.0, "{one:x?} and {next:x?}");
    }
}

/// The loop itself, its platform and its handler move to where the thread runs.
#[test]
fn the_loop_of_a_thread_has_lines_of_its_own() {
    assert_eq!(align_of::<Part<'_, Handler<'_>>>(), LINE);
    assert_eq!(align_of::<Watch>(), LINE);
}

#[repr(align(128))]
struct Aligned([[u8; 100]; 2]);

/// The check would notice: two that lie side by side share a line.
#[test]
fn neighbours_share_a_line() {
    let Aligned(side_by_side) = &Aligned([[0; 100]; 2]);
    let [one, next] = side_by_side
        .each_ref()
        .map(|part| lines(&addresses_of(part)));
    assert!(one.end > next.start);
}
