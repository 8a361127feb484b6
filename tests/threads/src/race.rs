//! Two threads that write to the same number without agreeing on who is first.

use std::cell::UnsafeCell;
use std::thread;

struct Shared(UnsafeCell<u64>);

// SAFETY: it is not: that is what the sanitizer is to say.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared(UnsafeCell::new(0));

fn add() {
    for _ in 0..1_000 {
        // SAFETY: none, as above.
        unsafe { *SHARED.0.get() += 1 };
    }
}

fn main() {
    let other = thread::spawn(add);
    add();
    other.join().unwrap();
    // SAFETY: both have ended.
    println!("{}", unsafe { *SHARED.0.get() });
}
