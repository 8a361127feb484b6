//! What the bytes say next, and what the loops have been seen to do.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::Arc;

use usockets::{Address, Error, ListenerId, LocalAddress, Ready, SocketId, TimerId};

use super::host::Descriptor;

/// Hosts, with a loop each.
pub const HOSTS: usize = 2;

/// What a handler call unwinds with where the bytes say so.
pub struct Unwound;

/// A call that is about a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    Data,
    Readable,
    Writable,
    End,
    Drain,
    Timeout,
}

/// How far a socket has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Open,
    /// Its `on_end` was made.
    Ended,
    /// Its `on_close` was made, or it never opened.
    Over,
}

/// One host: what its loop and its platform have done.
#[derive(Default)]
pub struct Side {
    /// Sockets that the platform has not closed yet.
    pub live: RefCell<Vec<SocketId>>,
    /// Every id that the loop has ever passed to the platform or the program.
    pub ids: RefCell<Vec<SocketId>>,
    seen: RefCell<HashSet<SocketId>>,
    lives: RefCell<HashMap<SocketId, Life>>,
    pub listeners: RefCell<Vec<ListenerId>>,
    pub timers: RefCell<Vec<TimerId>>,
    /// What the last wait reported, the next first.
    pub reports: RefCell<Vec<Ready>>,
    pub now: Cell<u64>,
}

/// Bytes that decide everything, and what came of them. Once they are used up, each draw is 0: the
/// platforms keep to the contract, and the program does nothing more.
pub struct World<'b> {
    bytes: &'b [u8],
    at: Cell<usize>,
    is_silent: Cell<bool>,
    pub sides: [Side; HOSTS],
    /// On their way from one host to the other.
    pub descriptors: RefCell<Vec<Descriptor>>,
    /// As many as there is data of sockets, and one.
    pub tally: Arc<()>,
}

impl<'b> World<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            at: Cell::new(0),
            is_silent: Cell::new(false),
            sides: Default::default(),
            descriptors: RefCell::default(),
            tally: Arc::new(()),
        }
    }

    /// Returns the next byte.
    pub fn draw(&self) -> u8 {
        if self.is_silent.get() {
            return 0;
        }
        let at = self.at.get();
        self.at.set(at + 1);
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Returns a number below `bound`, which is at most 256.
    pub fn below(&self, bound: usize) -> usize {
        usize::from(self.draw()) % bound
    }

    /// Returns true in one of `bound` cases, and not without bytes.
    pub fn seldom(&self, bound: usize) -> bool {
        self.below(bound) == bound - 1
    }

    /// Returns four bytes as a number.
    pub fn word(&self) -> u32 {
        u32::from_le_bytes([self.draw(), self.draw(), self.draw(), self.draw()])
    }

    pub fn is_over(&self) -> bool {
        self.at.get() >= self.bytes.len()
    }

    /// Has every draw be 0, or not.
    pub fn set_silent(&self, on: bool) {
        self.is_silent.set(on);
    }

    /// Leaves the running call, seldom.
    pub fn unwind_seldom(&self) {
        if self.draw() == u8::MAX {
            resume_unwind(Box::new(Unwound));
        }
    }

    /// Returns one of `choices`; `None` if there are none.
    pub fn pick<T: Copy>(&self, choices: &RefCell<Vec<T>>) -> Option<T> {
        let choices = choices.borrow();
        let which = self.below(choices.len().clamp(1, 256));
        choices.get(which).copied()
    }

    /// Returns an id, mostly of a socket that is there, else any.
    pub fn id(&self, host: usize) -> Option<SocketId> {
        let side = &self.sides[host];
        match self.below(8) {
            6 => self.pick(&side.ids),
            7 => SocketId::from_bits(u64::from(self.draw()) << 32 | u64::from(self.draw() % 32)),
            _ => self.pick(&side.live),
        }
    }

    pub fn error(&self) -> Error {
        let number = self.draw();
        match number % 17 {
            0 => Error::Reset,
            1 => Error::Exhausted,
            2 => Error::BrokenPipe,
            3 => Error::TimedOut,
            4 => Error::Refused,
            5 => Error::Unreachable,
            6 => Error::Full,
            7 => Error::Invalid,
            8 => Error::Unsupported,
            9 => Error::Denied,
            10 => Error::AddressInUse,
            11 => Error::AddressUnavailable,
            12 => Error::Truncated,
            13 => Error::AlertReceived(number),
            14 => Error::AlertSent(number),
            15 => Error::Protocol(number.into()),
            _ => Error::Platform(number.into()),
        }
    }

    pub fn address(&self) -> Address {
        let number = self.draw();
        match number % 4 {
            0 => Address::Ip(([10, 0, 0, number], 1).into()),
            1 => Address::Ip(([0, 0, 0, 0, 0, 0, 0, u16::from(number)], 2).into()),
            2 => LocalAddress::path(&[number.max(1)]).map_or(Address::Unnamed, Address::Local),
            _ => Address::Unnamed,
        }
    }

    /// Notes an id that is made.
    ///
    /// # Panics
    /// It was there before.
    pub fn note_id(&self, host: usize, id: SocketId) {
        let side = &self.sides[host];
        assert!(side.seen.borrow_mut().insert(id), "{id:?} comes twice");
        side.ids.borrow_mut().push(id);
    }

    /// Notes that a socket opened; not if its call is going to unwind.
    ///
    /// # Panics
    /// It has been open, or did not open.
    pub fn on_open(&self, host: usize, id: SocketId) {
        let before = self.sides[host].lives.borrow_mut().insert(id, Life::Open);
        assert_eq!(before, None, "{id:?} opens twice");
    }

    /// Notes that a socket will have no call: it has no data, as its `on_open` unwound.
    pub fn on_cut(&self, host: usize, id: SocketId) {
        self.sides[host].lives.borrow_mut().insert(id, Life::Over);
    }

    /// Notes a call about a socket.
    ///
    /// # Panics
    /// It is not open, or has ended.
    pub fn on_call(&self, host: usize, id: SocketId, call: Call) {
        let mut lives = self.sides[host].lives.borrow_mut();
        let life = lives.entry(id).or_insert(Life::Over);
        match (*life, call) {
            (Life::Open, Call::End) => *life = Life::Ended,
            (Life::Open, _) | (Life::Ended, Call::Writable | Call::Drain | Call::Timeout) => {}
            (life, call) => panic!("{call:?} of {id:?}, which is {life:?}"),
        }
    }

    /// Notes that a socket closed.
    ///
    /// # Panics
    /// It was not open.
    pub fn on_close(&self, host: usize, id: SocketId) {
        let before = self.sides[host].lives.borrow_mut().insert(id, Life::Over);
        let was_open = matches!(before, Some(Life::Open | Life::Ended));
        assert!(was_open, "{id:?} closes, which is {before:?}");
    }

    /// Notes that a connect failed.
    ///
    /// # Panics
    /// It did not, or was told before.
    pub fn on_connect_error(&self, host: usize, id: SocketId) {
        let before = self.sides[host].lives.borrow_mut().insert(id, Life::Over);
        assert_eq!(before, None, "{id:?} fails, which was open or told");
    }

    /// Returns how many sockets the program knows to be open.
    pub fn count_open(&self, host: usize) -> usize {
        let lives = self.sides[host].lives.borrow();
        lives.values().filter(|life| **life != Life::Over).count()
    }

    /// Forgets what a loop had that is gone without a call.
    pub fn forget(&self) {
        for side in &self.sides {
            for life in side.lives.borrow_mut().values_mut() {
                *life = Life::Over;
            }
            side.reports.borrow_mut().clear();
            side.live.borrow_mut().clear();
        }
    }
}
