//! Which mutant is on, as the environment says: `MUTANT=12` turns one on. `MUTANTS_REACHED=file`
//! has none on, and writes which test came by which mutant, a pair on each line.

// What constants are made of is never mutated, and need not be told at compile time.
#![feature(core_intrinsics, const_eval_select)]
#![allow(internal_features)]

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{env, intrinsics, thread};

/// No mutant is on.
const NONE: u32 = u32::MAX;
/// None is, and those that are reached are noted.
const NOTES: u32 = u32::MAX - 1;
/// The environment was not read yet.
const UNKNOWN: u32 = u32::MAX - 2;

static CURRENT: AtomicU32 = AtomicU32::new(UNKNOWN);

/// Returns true if the mutant of this number is on.
#[inline]
pub const fn on(mutant: u32) -> bool {
    intrinsics::const_eval_select((mutant,), is_on_in_constant, is_on)
}

const fn is_on_in_constant(_mutant: u32) -> bool {
    false
}

#[inline]
fn is_on(mutant: u32) -> bool {
    let current = CURRENT.load(Relaxed);
    if current < UNKNOWN {
        return current == mutant;
    }
    current != NONE && is_on_at_first(current, mutant)
}

#[cold]
fn is_on_at_first(mut current: u32, mutant: u32) -> bool {
    if current == UNKNOWN {
        current = match env::var("MUTANT") {
            Ok(number) => number.parse().expect("MUTANT is a number"),
            Err(_) if env::var_os("MUTANTS_REACHED").is_some() => NOTES,
            Err(_) => NONE,
        };
        CURRENT.store(current, Relaxed);
    }
    if current == NOTES {
        note(mutant);
    }
    current == mutant
}

/// Notes that this test, after which its thread is named, has come by.
fn note(mutant: u32) {
    static NOTED: OnceLock<File> = OnceLock::new();
    thread_local! {
        // More than there are mutants.
        static SEEN: [Cell<bool>; 1 << 14] = const { [const { Cell::new(false) }; 1 << 14] };
    }
    let at = mutant as usize % (1 << 14);
    if SEEN.with(|seen| seen[at].replace(true)) {
        return;
    }
    let mut file = NOTED.get_or_init(|| {
        let path = env::var_os("MUTANTS_REACHED").expect("MUTANTS_REACHED is set");
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("a file for notes")
    });
    let thread = thread::current();
    let line = format!("{mutant} {}\n", thread.name().unwrap_or("?"));
    file.write_all(line.as_bytes()).expect("a note");
}
