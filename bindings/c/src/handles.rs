//! The blocks that programs hold pointers to.
//!
//! Each begins with what the library keeps of it; the program's own data, the *ext*, follows. All
//! fields are cells, so that a shared reference is all that is ever made of a pointer.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use usockets::{Instant, ListenerId, SocketId, Waker};

use crate::block::{self, Reservation};
use crate::calls::Calls;
use crate::connect::Attempt;
use crate::kernel::Notifier;
use crate::reach::Reach;
use crate::timer::Timers;
use crate::{Net, Stack};

pub(crate) type OnLoop = Option<unsafe extern "C-unwind" fn(LoopRef)>;
pub(crate) type OnSocket = Option<unsafe extern "C-unwind" fn(SocketRef) -> *mut c_void>;
pub(crate) type OnOpen =
    Option<unsafe extern "C-unwind" fn(SocketRef, c_int, *mut c_char, c_int) -> *mut c_void>;
pub(crate) type OnClose =
    Option<unsafe extern "C-unwind" fn(SocketRef, c_int, *mut c_void) -> Option<SocketRef>>;
pub(crate) type Data = unsafe extern "C-unwind" fn(SocketRef, *mut c_char, c_int) -> *mut c_void;
pub(crate) type OnError = Option<unsafe extern "C-unwind" fn(SocketRef, c_int) -> *mut c_void>;
pub(crate) type OnPreOpen =
    Option<unsafe extern "C-unwind" fn(ContextRef, c_int, *mut c_char, c_int) -> c_int>;
pub(crate) type OnName = Option<unsafe extern "C-unwind" fn(ContextRef, *const c_char)>;
pub(crate) type OnTimer = Option<unsafe extern "C-unwind" fn(TimerRef)>;

/// What the system knows a socket by: `LIBUS_SOCKET_DESCRIPTOR`.
#[cfg(not(windows))]
pub(crate) type Descriptor = c_int;
/// What the system knows a socket by: `LIBUS_SOCKET_DESCRIPTOR`.
#[cfg(windows)]
pub(crate) type Descriptor = usize;

/// The descriptor of what has none.
#[cfg(not(windows))]
pub(crate) const NO_DESCRIPTOR: Descriptor = -1;
/// The descriptor of what has none.
#[cfg(windows)]
pub(crate) const NO_DESCRIPTOR: Descriptor = Descriptor::MAX;

/// A pointer to a block, as the program has it.
///
/// Made by the library when it allocates the block, or handed in by the program, which promises
/// that the block was not freed: the condition of every exported function.
#[repr(transparent)]
pub struct Ref<T>(NonNull<T>, PhantomData<*mut T>);

pub type LoopRef = Ref<us_loop_t>;
pub type SocketRef = Ref<us_socket_t>;
pub type ContextRef = Ref<us_socket_context_t>;
pub type ListenRef = Ref<us_listen_socket_t>;
pub type TimerRef = Ref<us_timer_t>;

impl<T> Clone for Ref<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<T> {}

impl<T> PartialEq for Ref<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the block lives, by what a `Ref` is, and is only ever borrowed shared.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Ref<T> {
    /// Allocates a block with `ext` bytes of the program's behind `value`; `None` without memory.
    pub(crate) fn allocate(value: T, ext: usize) -> Option<Self> {
        block::allocate(value, ext).map(|block| Self(block, PhantomData))
    }

    /// Allocates a block of zero bytes, for a value that is written later.
    pub(crate) fn reserve(ext: usize) -> Option<Self> {
        let block = block::reserve::<T>(ext)?;
        // SAFETY: the block has that size, and nobody else knows it.
        unsafe { block.write_bytes(0, 1) };
        Some(Self(block, PhantomData))
    }

    /// Returns the program's data.
    #[inline]
    pub(crate) const fn ext(self) -> *mut c_void {
        self.0.as_ptr().wrapping_add(1).cast()
    }

    pub(crate) const fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }

    pub(crate) const fn block(self) -> NonNull<T> {
        self.0
    }

    pub(crate) const fn cast<U>(self) -> Ref<U> {
        Ref(self.0.cast(), PhantomData)
    }

    pub(crate) fn from_ptr(pointer: *mut T) -> Option<Self> {
        NonNull::new(pointer).map(|block| Self(block, PhantomData))
    }
}

/// Most sockets of a loop, whose number leaves room for [`Flags`] beside it.
pub(crate) const INDEX_MAX: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 20;
const FLAGS: u64 = 0xfff << INDEX_BITS;

/// What the library remembers of a socket, in the bits of its name that an index leaves free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flags(u64);

impl Flags {
    const fn bit(number: u32) -> Self {
        Self(1 << (INDEX_BITS + number))
    }

    /// Closed for the program, or moved by adopting: no call on it does anything.
    pub(crate) const CLOSED: Self = Self::bit(0);
    pub(crate) const CONNECTING: Self = Self::bit(1);
    /// The program has ended its direction.
    pub(crate) const SHUT: Self = Self::bit(2);
    pub(crate) const LISTEN: Self = Self::bit(3);
    pub(crate) const PAUSED: Self = Self::bit(4);
    /// A write took less than it was given.
    pub(crate) const SHORT: Self = Self::bit(5);
    /// Made of a descriptor: open for the program, not yet for the core.
    pub(crate) const ADOPTED: Self = Self::bit(6);
    /// A datagram socket, whose block is another; see `udp`.
    pub(crate) const DATAGRAMS: Self = Self::bit(7);
    /// There are more addresses to connect to; see `connect`.
    pub(crate) const RETRIES: Self = Self::bit(8);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const NONE: Self = Self(0);
}

/// A socket; also a poll, and the front of a listener. 16 bytes, then the program's.
#[repr(C, align(16))]
pub struct us_socket_t {
    pub(crate) context: Cell<ContextRef>,
    /// The name in the core, and the flags in between; no name for a listener.
    name: Cell<u64>,
}

impl us_socket_t {
    pub(crate) fn new(context: ContextRef, id: Option<SocketId>, flags: Flags) -> Self {
        Self {
            context: Cell::new(context),
            name: Cell::new(id.map_or(0, SocketId::to_bits) | flags.0),
        }
    }

    /// Returns the number of the core's slot; of no meaning for a listener.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        (self.name.get() & (INDEX_MAX as u64 - 1)) as u32
    }

    /// Returns the name in the core; `None` for a listener.
    #[inline]
    pub(crate) fn id(&self) -> Option<SocketId> {
        SocketId::from_bits(self.name.get() & !FLAGS)
    }

    #[inline]
    pub(crate) fn any(&self, flags: Flags) -> bool {
        self.name.get() & flags.0 != 0
    }

    #[inline]
    pub(crate) fn set(&self, flags: Flags) {
        self.name.set(self.name.get() | flags.0);
    }

    #[inline]
    pub(crate) fn clear(&self, flags: Flags) {
        self.name.set(self.name.get() & !flags.0);
    }

    /// Gives it another name in the core.
    pub(crate) fn rename(&self, id: SocketId) {
        self.name.set(id.to_bits() | self.flags().0);
    }

    #[inline]
    pub(crate) fn lp(&self) -> LoopRef {
        self.context.get().lp
    }

    pub(crate) fn flags(&self) -> Flags {
        Flags(self.name.get() & FLAGS)
    }
}

/// A listener.
#[repr(C, align(16))]
pub struct us_listen_socket_t {
    pub(crate) socket: us_socket_t,
    /// `None` once closed.
    pub(crate) listener: Cell<Option<ListenerId>>,
    pub(crate) fd: Cell<Descriptor>,
    /// The number of what it accepts for.
    pub(crate) origin: usize,
}

/// The callbacks of a group of sockets, and the program's data for them.
#[repr(C, align(16))]
pub struct us_socket_context_t {
    pub(crate) lp: LoopRef,
    /// Whether its connections are secured.
    pub(crate) secure: bool,
    /// Whose certificates its connections show: the context itself, or its parent.
    pub(crate) owner: Cell<Option<ContextRef>>,
    #[cfg(feature = "tls")]
    pub(crate) credentials: Cell<*mut crate::secure::Credentials>,
    pub(crate) on_open: Cell<OnOpen>,
    pub(crate) on_close: Cell<OnClose>,
    /// Not an `Option`: most calls are of this, and ask less then.
    pub(crate) on_data: Cell<Data>,
    pub(crate) on_writable: Cell<OnSocket>,
    pub(crate) on_end: Cell<OnSocket>,
    pub(crate) on_timeout: Cell<OnSocket>,
    pub(crate) on_long_timeout: Cell<OnSocket>,
    pub(crate) on_connect_error: Cell<OnError>,
    pub(crate) on_pre_open: Cell<OnPreOpen>,
    pub(crate) on_server_name: Cell<OnName>,
}

/// A timer.
#[repr(C, align(16))]
pub struct us_timer_t {
    pub(crate) lp: LoopRef,
    pub(crate) callback: Cell<OnTimer>,
    /// When it is due, in microseconds of the core's clock.
    pub(crate) due: Cell<u64>,
    /// Microseconds between calls; 0 for once.
    pub(crate) period: Cell<u64>,
    /// Where it is among the armed timers, plus one; 0 if it is not armed.
    pub(crate) place: Cell<usize>,
    /// Whether the loop runs on for it.
    pub(crate) counts: bool,
}

/// Where accepted sockets come from: their context, and the size of their data.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) context: Option<ContextRef>,
    pub(crate) ext: usize,
    /// Whether peers have no IP address.
    pub(crate) local: bool,
}

/// What the library keeps of each slot of the core's pool, beside it.
#[derive(Default)]
pub(crate) struct Side {
    /// The socket; or, tagged by its lowest bit, the origin of one that is not open yet.
    pub(crate) socket: Cell<*mut us_socket_t>,
    /// When its two timeouts are over, in [`TICK`]s of the core's clock that go round; 0 for
    /// never. Without [`ARMED`], when one would have been: the core is armed for then or earlier.
    pub(crate) short: Cell<u32>,
    pub(crate) long: Cell<u32>,
    /// The number of the name that its peer asked for; 0 for none.
    #[cfg(feature = "tls")]
    pub(crate) name: Cell<u32>,
}

/// Microseconds of a tick of the timeouts, as a power of two: 16.384 ms, 407 days in 31 bits.
pub(crate) const TICK: u32 = 14;

/// The bit of a timeout that the program has not disarmed.
pub(crate) const ARMED: u32 = 1 << 31;

/// What there is to do between two iterations, in one word: each looks at it, and usually there is
/// nothing (8 instructions of a request; callgrind).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ending(u8);

impl Ending {
    /// What a loop begins with.
    pub(crate) const fn at_first(has_hooks: bool) -> Self {
        Self::PLAIN.with(Self::HOOKS, has_hooks)
    }

    /// Nothing: the next follows at once.
    pub(crate) const PLAIN: Self = Self(0);
    /// The program has a callback before or after each iteration.
    pub(crate) const HOOKS: Self = Self(1);
    /// There are blocks to free.
    const CLOSED: Self = Self(1 << 1);
    /// Not every wait lasts until something happens: there are timers, or it may be the last.
    const LIMITED: Self = Self(1 << 2);

    /// Returns these with others, or without them.
    const fn with(self, other: Self, on: bool) -> Self {
        if on {
            Self(self.0 | other.0)
        } else {
            Self(self.0 & !other.0)
        }
    }
}

/// A wait lasts until something happens.
pub(crate) const NO_LIMIT: u64 = u64::MAX;

/// A loop.
#[repr(C, align(16))]
pub struct us_loop_t {
    /// First, as other threads reach it.
    pub(crate) waker: &'static Waker<Notifier>,
    pub(crate) reach: Reach<Stack, Calls>,
    pub(crate) on_wake: OnLoop,
    pub(crate) before: OnLoop,
    pub(crate) after: OnLoop,
    /// A [`Side`] for each slot of the pool, from the reservation's first byte on.
    pub(crate) sides: Reservation,
    /// Slots that ever held a socket of the program are below.
    pub(crate) high: Cell<u32>,
    /// Sockets, listeners and timers that keep `us_loop_run` from returning.
    pub(crate) live: Cell<usize>,
    /// Until when a wait may last, in microseconds; see [`Ref::note_wait_max`].
    pub(crate) wait_max: Cell<u64>,
    /// What there is to do between two iterations.
    pub(crate) ending: Cell<Ending>,
    pub(crate) iteration: Cell<i64>,
    /// The time of the running iteration, in microseconds; 0 until it is known.
    pub(crate) now: Cell<u64>,
    /// Where what is received begins; see [`crate::margins`].
    pub(crate) received: NonNull<u8>,
    /// Whether iterations run, or one does.
    pub(crate) running: Cell<bool>,
    /// Whether one iteration runs, which does not wait.
    pub(crate) once: Cell<bool>,
    /// Blocks that are freed when the iteration is over.
    pub(crate) closed: RefCell<Vec<SocketRef>>,
    pub(crate) origins: RefCell<Vec<Origin>>,
    pub(crate) listeners: RefCell<Vec<ListenRef>>,
    /// Connects that have more addresses to try.
    pub(crate) attempts: RefCell<Vec<Attempt>>,
    pub(crate) timers: Timers,
    /// Why the socket of the running `on_close` or `on_connect_error` is gone.
    pub(crate) reason: Cell<c_int>,
    /// The thread that runs it.
    pub(crate) thread: Cell<usize>,
    /// What the loop runs inside of, if it is one of libuv's.
    #[cfg(feature = "libuv")]
    pub(crate) host: Cell<Option<crate::libuv::Host>>,
    /// What the loop runs on, if it is a dispatch queue.
    #[cfg(feature = "gcd")]
    pub(crate) queue: Cell<Option<crate::gcd::Host>>,
    #[cfg(feature = "tls")]
    pub(crate) secure: crate::secure::Secure,
    /// Memory that the core uses: dropped last.
    pub(crate) slots: Reservation,
    pub(crate) data: Reservation,
    pub(crate) buffer: Reservation,
    pub(crate) margins: Reservation,
    #[cfg(feature = "tls")]
    pub(crate) secrets: Reservation,
}

impl Ref<us_socket_t> {
    /// Frees the block of a socket or listener, and what only it has.
    ///
    /// # Safety
    /// Nobody uses it afterwards.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.any(Flags::DATAGRAMS) {
                crate::udp::free_parts(self);
            }
            block::free(self.block());
        }
    }
}

impl Ref<us_loop_t> {
    /// Calls `f` with every socket. Nothing, where there is no way to them: in `on_pre_open`.
    #[inline]
    pub(crate) fn with<R: Default>(self, f: impl FnOnce(&mut Net<'_>) -> R) -> R {
        self.check_thread();
        #[cfg(feature = "gcd")]
        self.touch();
        self.reach.with(f).unwrap_or_default()
    }

    /// Has the queue look at the loop again, if the program calls between iterations.
    #[cfg(feature = "gcd")]
    fn touch(self) {
        if let Some(host) = self.queue.get().filter(|_| !self.running.get()) {
            host.touch();
        }
    }

    /// Calls `f` with every socket of the running call; `None`, without a call, if there is none.
    #[inline]
    pub(crate) fn inside<R>(self, f: impl FnOnce(&mut Net<'_>) -> R) -> Option<R> {
        self.check_thread();
        self.reach.inside(f)
    }

    /// Returns the time of the running iteration, if it is known. Also while the loop is made, when
    /// its block is all zero bytes.
    #[inline]
    pub(crate) fn known_now(self) -> Option<Instant> {
        // SAFETY: in the block, and zero bytes are such a cell.
        let now = unsafe { (&raw const (*self.as_ptr()).now).as_ref() }?.get();
        (now != 0).then(|| Instant::from_micros(now))
    }

    /// Notes the time of the running iteration.
    #[inline]
    pub(crate) fn set_now(&self, now: Instant) {
        self.now.set(now.as_micros());
    }

    /// Returns the time of the running iteration, or the present between iterations.
    pub(crate) fn now(self) -> Instant {
        self.known_now()
            .unwrap_or_else(|| self.with(|net| net.now()))
    }

    /// Returns the number of the slot that the core keeps a socket in.
    pub(crate) fn index_of<S>(&self, socket: &S) -> u32 {
        let first = self.slots.start::<u8>().as_ptr().addr();
        let offset = std::ptr::from_ref(socket).addr().wrapping_sub(first);
        u32::try_from(offset / size_of::<crate::Slot>()).unwrap_or(u32::MAX)
    }

    /// Returns the context of what is in a slot, also of what is not open yet.
    #[cfg(feature = "tls")]
    pub(crate) fn context_at(&self, index: u32) -> Option<ContextRef> {
        let pointer = self.side_at(index).socket.get();
        if pointer.addr() & 1 == 0 {
            return SocketRef::from_ptr(pointer).map(|socket| socket.context.get());
        }
        self.origins.borrow().get(pointer.addr() >> 1)?.context
    }

    /// Returns what is kept of the slot of `id`.
    #[inline]
    pub(crate) fn side(&self, id: SocketId) -> &Side {
        self.side_at(id.index())
    }

    #[inline]
    pub(crate) fn side_at(&self, index: u32) -> &Side {
        // SAFETY: there is a side for each slot of the pool, and indices are below its size. All
        // zero bytes is a side without a socket.
        unsafe { self.sides.start::<Side>().add(index as usize).as_ref() }
    }

    /// Notes that the slot of `id` has a connection of the listener with this number, until the
    /// program has a socket of it.
    pub(crate) fn note_accepted(&self, id: SocketId, origin: usize) {
        let side = self.side(id);
        side.socket
            .set(std::ptr::without_provenance_mut(origin << 1 | 1));
        #[cfg(feature = "tls")]
        side.name.set(0);
    }

    /// Returns the program's socket in a slot, if there is one.
    #[inline]
    pub(crate) fn socket_at(&self, index: u32) -> Option<SocketRef> {
        let pointer = self.side_at(index).socket.get();
        if pointer.addr() & 1 != 0 {
            return None;
        }
        SocketRef::from_ptr(pointer)
    }

    /// Returns the program's socket of `id`, if there is one.
    #[inline]
    pub(crate) fn socket(&self, id: SocketId) -> Option<SocketRef> {
        let pointer = self.side(id).socket.get();
        debug_assert!(pointer.addr() & 1 == 0, "no call before the socket opened");
        SocketRef::from_ptr(pointer)
    }

    /// Makes a socket of the program for a slot.
    pub(crate) fn make_socket(
        self,
        context: ContextRef,
        id: SocketId,
        ext: usize,
        flags: Flags,
    ) -> Option<SocketRef> {
        let socket = SocketRef::allocate(us_socket_t::new(context, Some(id), flags), ext)?;
        self.place(id, socket);
        Some(socket)
    }

    /// Puts a socket of the program into its slot's place.
    pub(crate) fn place(self, id: SocketId, socket: SocketRef) {
        self.take_place(id, socket);
        self.count_up();
    }

    /// Puts a socket that is counted into another slot's place.
    pub(crate) fn take_place(self, id: SocketId, socket: SocketRef) {
        let side = self.side(id);
        side.socket.set(socket.as_ptr());
        side.short.set(0);
        side.long.set(0);
        self.high.set(self.high.get().max(id.index() + 1));
    }

    /// Counts something that keeps the loop running.
    pub(crate) fn count_up(self) {
        self.live.set(self.live.get() + 1);
        self.note_wait_max();
        #[cfg(feature = "libuv")]
        if let Some(host) = self.host.get() {
            // At once: the program may run libuv next.
            host.keep(true);
        }
        #[cfg(feature = "gcd")]
        self.touch();
    }

    /// Takes a socket or listener out of its place. The block stays until the iteration is over.
    pub(crate) fn detach(self, socket: SocketRef) {
        if socket.any(Flags::RETRIES) {
            crate::connect::forget(socket);
        }
        if let Some(id) = socket.id() {
            let side = self.side(id);
            if side.socket.get() == socket.as_ptr() {
                side.socket.set(std::ptr::null_mut());
            }
        }
        self.bury(socket);
        self.count_down();
    }

    /// Counts out what kept the loop running.
    pub(crate) fn count_down(self) {
        self.live.set(self.live.get().saturating_sub(1));
        self.note_wait_max();
    }

    /// Notes until when a wait may last: 0 if there is nothing to wait for or the iteration is not
    /// to wait, else when the program's first timer is due, or [`NO_LIMIT`].
    ///
    /// Each wait looks at it, in the place of the live, the timers and whether it is one iteration
    /// (about 7 instructions of a request; callgrind).
    pub(crate) fn note_wait_max(self) {
        let waits = self.live.get() > 0 && !self.once.get();
        let most = self.timers.next().unwrap_or(NO_LIMIT);
        let most = if waits { most } else { 0 };
        self.wait_max.set(most);
        self.note_ending(Ending::LIMITED, most != NO_LIMIT);
    }

    /// Notes whether there is this to do between two iterations.
    fn note_ending(self, what: Ending, on: bool) {
        self.ending.set(self.ending.get().with(what, on));
    }

    /// Whether there is nothing to do between two iterations.
    #[inline]
    pub(crate) fn ends_plainly(self) -> bool {
        self.ending.get() == Ending::PLAIN
    }

    /// Counts the iteration that begins.
    #[inline]
    pub(crate) fn count_iteration(self) {
        self.iteration.set(self.iteration.get().wrapping_add(1));
    }

    /// Makes a block inert, and frees it when the iteration is over.
    pub(crate) fn bury(self, socket: SocketRef) {
        socket.set(Flags::CLOSED);
        self.closed.borrow_mut().push(socket);
        self.note_ending(Ending::CLOSED, true);
    }

    /// Frees the blocks of sockets that closed.
    pub(crate) fn free_closed(self) {
        self.note_ending(Ending::CLOSED, false);
        for socket in self.closed.borrow_mut().drain(..) {
            // SAFETY: the program was told that the block lives until now.
            unsafe { socket.free() };
        }
    }

    /// In debug builds, ends the program if a thread calls that is not the loop's.
    #[inline]
    pub(crate) fn check_thread(self) {
        // A queue may run in one thread after the other.
        #[cfg(feature = "gcd")]
        if self.queue.get().is_some() {
            return;
        }
        if cfg!(debug_assertions) && self.thread.get() != crate::event_loop::this_thread() {
            crate::event_loop::wrong_thread();
        }
    }
}
