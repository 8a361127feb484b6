//! The stack allocates nothing, nor does the platform over smoltcp's: counted over handshakes,
//! echoes, closes and time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use usockets::{Endpoint, Instant, Platform, Recv, SocketId};
use usockets_smoltcp::{Faults, Medium, Wire};
use usockets_tests::smoltcp::{Recipe, b4, stock, wire};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Opens connections from `a` to `b`, echoes a word on each, and closes it, through faults.
/// Returns how many echoes there were, and how many allocations.
fn count<P: Platform>(mut a: P, mut b: P, wire: &Wire<'_>) -> (u64, u64) {
    let mut listener = P::CLOSED;
    let id = |number: u64| SocketId::from_bits((1 << 32) | number).unwrap();
    b.listen(&mut listener, id(9), &Endpoint::tcp(b4(80)))
        .unwrap();
    let before = COUNT.get();
    let mut echoes = 0;
    for _ in 0..200 {
        let mut ours = P::CLOSED;
        let mut theirs = P::CLOSED;
        a.connect(&mut ours, id(1), &Endpoint::tcp(b4(80))).unwrap();
        let mut buffer = [0; 100];
        let mut accepted = false;
        let mut sent = 0;
        for _ in 0..500 {
            a.poll(Some(Instant::ZERO)).unwrap();
            b.poll(Some(Instant::ZERO)).unwrap();
            while a.next_ready().is_some() || b.next_ready().is_some() {}
            if !accepted {
                accepted = b
                    .accept(&mut listener, &mut theirs, id(2))
                    .unwrap()
                    .is_some();
            } else if let Ok(Recv::Data { len, .. }) = b.recv(&mut theirs, &mut buffer) {
                b.send(&mut theirs, &buffer[..len]).unwrap();
            }
            if sent == 0 {
                sent = a.send(&mut ours, b"hello").unwrap_or(0);
            }
            if let Ok(Recv::Data { .. }) = a.recv(&mut ours, &mut buffer) {
                echoes += 1;
                break;
            }
            wire.pass(std::time::Duration::from_millis(20));
        }
        a.close(&mut ours);
        b.close(&mut theirs);
    }
    (echoes, COUNT.get() - before)
}

fn check((echoes, allocations): (u64, u64)) {
    assert!(echoes > 190, "{echoes}");
    assert_eq!(allocations, 0);
}

#[test]
fn nothing_is_allocated_once_a_stack_is_made() {
    let before = COUNT.get();
    drop(std::hint::black_box(vec![1_u8]));
    assert_eq!(COUNT.get(), before + 1, "the count works");
    let faults = Faults::NONE.loss(20_000).reorder(20_000).duplicate(20_000);
    let (link, [left, right]) = wire(faults, 3, Medium::Ethernet);
    let (a, b) = (Recipe::new(1).build(left), Recipe::new(2).build(right));
    check(count(a, b, link));
    let (link, [left, right]) = wire(faults, 3, Medium::Ethernet);
    let stock = |host, port| stock::build_on(host, 8, 4_096, port);
    check(count(stock(1, left), stock(2, right), link));
}
