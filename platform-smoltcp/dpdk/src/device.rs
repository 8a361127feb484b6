//! The device of a port's queue.
#![expect(unsafe_code, reason = "the queue's frames are behind pointers")]

use core::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::nanosleep;
use rustix::time::{ClockId, Timespec, clock_gettime};
use usockets::{Duration, Error, Instant, Notify, Waker};
use usockets_smoltcp::{Capabilities, DeviceCounters, PollDevice, RxMeta, TxMeta};

use crate::ffi::COUNTS_WHAT_IT_LOSES;
use crate::frames::{Lane, Outgoing, Received};
use crate::gate::Passed;
use crate::options::Idle;
use crate::pool::Pool;
use crate::port::Port;

/// How long a frame may wait for a port that takes none.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the link is asked for, and how long a sleep is while the port is stopped.
const LINK_EVERY: Duration = Duration::from_millis(100);
const STOPPED: Duration = Duration::from_millis(1);

/// A queue of a [`Port`] as the device of a stack.
///
/// The frames of a burst are lent out of DPDK's buffers, and what the stack sends is written
/// straight into one. Nothing waits in the kernel: with [`Idle::Spin`] no system call is made at
/// all, with [`Idle::Sleep`] only to sleep.
///
/// While the port is stopped or its link is down nothing moves, and that is counted
/// ([`DeviceCounters::downs`]); TCP repairs what was lost. When the card is taken out, the loop
/// ends with [`Error::Platform`] and `ENODEV`.
///
/// What a started port has not taken for a second, as when its driver refuses a frame for ever, is
/// dropped and counted ([`DeviceCounters::dropped`]).
///
/// What the port counts for all queues together is added to the counters of queue 0: frames for
/// which there was no room ([`DeviceCounters::overruns`]), and those that were too long or broken
/// ([`DeviceCounters::cut`]), between which drivers do not tell.
pub struct Dpdk<'p> {
    port: &'p Port<'p>,
    pool: &'p Pool<'p>,
    queue: u16,
    lane: Lane,
    capabilities: Capabilities,
    received: Received,
    outgoing: Outgoing,
    /// It is inside of the port's gate.
    inside: bool,
    /// The last slot asked for was not to be had.
    full: bool,
    counters: DeviceCounters,
    next_link: Instant,
    /// Until when the port may leave what waits to be sent.
    patience: Option<Instant>,
    waker: Option<&'static Waker<WakeFlag>>,
}

// SAFETY: buffers belong to whoever has their pointers, whatever the thread.
unsafe impl Send for Dpdk<'_> {}

impl<'p> Dpdk<'p> {
    /// Makes the device of a queue that was taken for it.
    pub(crate) fn new(port: &'p Port<'p>, pool: &'p Pool<'p>, queue: u16) -> Self {
        Self {
            port,
            pool,
            queue,
            // SAFETY: it is used after `is_usable` only, so inside of the gate, which is closed
            // while the port is not started; and the queue was taken for this device alone.
            lane: unsafe { Lane::new(port.id(), queue) },
            capabilities: port.capabilities(pool),
            received: Received::new(),
            outgoing: Outgoing::new(),
            inside: false,
            full: false,
            counters: DeviceCounters::default(),
            next_link: Instant::ZERO,
            patience: None,
            waker: None,
        }
    }

    /// Lets `waker` wake the loop.
    #[must_use]
    pub const fn with_waker(mut self, waker: &'static Waker<WakeFlag>) -> Self {
        self.waker = Some(waker);
        self
    }

    /// Returns true if the queue may be used now: the port is started, and its device there.
    fn is_usable(&mut self) -> bool {
        if self.inside && self.port.gate.is_open() && !self.port.is_gone() {
            return true;
        }
        self.pass_gate()
    }

    #[cold]
    fn pass_gate(&mut self) -> bool {
        let was_inside = core::mem::replace(&mut self.inside, false);
        if was_inside {
            self.port.leave(self.queue);
            self.learn(false);
        } else if !self.port.is_gone() {
            match self.port.gate.enter(self.queue) {
                Passed::Inside => self.inside = true,
                Passed::Outside => {}
                Passed::Last => {
                    let _ = self.port.finish_stop();
                }
            }
        }
        self.inside
    }

    /// Notes whether the link is up.
    fn learn(&mut self, is_up: bool) {
        if self.queue != 0 {
            return;
        }
        let was_up = self.port.is_up.swap(is_up, Ordering::Relaxed);
        if was_up && !is_up {
            self.counters.downs = self.counters.downs.wrapping_add(1);
        }
    }

    fn ask_link(&mut self, now: Instant) {
        if self.queue == 0 && now >= self.next_link {
            self.next_link = now.saturating_add(LINK_EVERY);
            let is_up = self.port.ask_link();
            self.learn(is_up);
        }
    }

    /// Sends what waits, as far as there is room.
    fn send(&mut self) {
        if self.outgoing.send(self.lane, self.port.abilities()) > 0 {
            self.patience = None;
        }
    }

    /// Drops what the port has not taken for long.
    fn watch_unsent(&mut self, now: Instant) {
        if self.outgoing.is_empty() {
            self.patience = None;
        } else if now >= *self.patience.get_or_insert(now.saturating_add(PATIENCE)) {
            self.outgoing.give_up();
            self.patience = None;
        }
    }

    /// Returns true if there is a buffer to send in, and room for it to wait.
    fn has_room(&mut self) -> bool {
        if self.outgoing.is_full() && self.is_usable() {
            self.send();
        }
        // SAFETY: the pool outlives this.
        !self.outgoing.is_full() && unsafe { self.outgoing.refill(self.pool.raw()) }
    }

    /// Returns true if something has come that ends a wait.
    fn has_news(&mut self) -> bool {
        let woken = self
            .waker
            .is_some_and(|waker| waker.notifier().0.swap(false, Ordering::AcqRel));
        if woken || self.port.is_gone() {
            return true;
        }
        if !self.is_usable() {
            return false;
        }
        self.send();
        self.received.fetch(self.lane) || (self.full && self.has_room())
    }
}

impl PollDevice for Dpdk<'_> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        // What has been taken from the port already is lent even when it is stopped.
        let has_some = if self.is_usable() {
            self.received.fetch(self.lane)
        } else {
            self.received.has_more()
        };
        let count = if has_some {
            self.received.burst(frames_max)
        } else {
            0
        };
        let frames = u64::try_from(count).unwrap_or(0);
        self.counters.received = self.counters.received.wrapping_add(frames);
        count
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.received.part(index, 0).unwrap_or_default()
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        self.received.part(index, place).unwrap_or_default()
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        let trusts = self.port.options.trusts_checksums;
        self.received.meta(index, trusts).queue(self.queue)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.full = !self.has_room();
        if self.full {
            self.counters.full = self.counters.full.wrapping_add(1);
            return None;
        }
        self.outgoing.slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        if self.outgoing.commit(len, meta, self.port.abilities()) {
            self.counters.sent = self.counters.sent.wrapping_add(1);
        }
    }

    fn flush(&mut self) {
        if !self.outgoing.is_empty() && self.is_usable() {
            self.send();
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        loop {
            if self.has_news() {
                return;
            }
            let now = self.now();
            let left = until.map(|until| until.saturating_since(now));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            let pause = if self.inside {
                self.ask_link(now);
                self.watch_unsent(now);
                match self.port.options.idle {
                    Idle::Sleep(pause) => pause,
                    Idle::Spin => {
                        core::hint::spin_loop();
                        continue;
                    }
                }
            } else {
                STOPPED
            };
            sleep(left.map_or(pause, |left| left.min(pause)));
        }
    }

    fn woken(&mut self) -> bool {
        self.waker.is_some_and(Waker::take)
    }

    fn fault(&self) -> Option<Error> {
        self.port.fault()
    }

    fn now(&self) -> Instant {
        let now = clock_gettime(ClockId::Monotonic);
        let secs = u64::try_from(now.tv_sec).unwrap_or_default();
        let micros = u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000;
        Instant::from_micros(secs.wrapping_mul(1_000_000).wrapping_add(micros))
    }

    fn counters(&mut self) -> DeviceCounters {
        let mut counters = self.counters;
        counters.cut = self.received.cut;
        counters.dropped = self.outgoing.dropped;
        if self.queue == 0 {
            let port = self.port.statistics();
            counters.overruns = port.missed.wrapping_add(port.no_buffers);
            counters.cut = counters.cut.wrapping_add(port.receive_errors);
            if self.port.can(COUNTS_WHAT_IT_LOSES) {
                counters.dropped = counters.dropped.wrapping_add(port.send_errors);
            }
        }
        counters
    }
}

impl Drop for Dpdk<'_> {
    fn drop(&mut self) {
        if core::mem::replace(&mut self.inside, false) {
            self.port.leave(self.queue);
        }
        self.port.gate.give_back(self.queue);
    }
}

impl core::fmt::Debug for Dpdk<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Dpdk")
            .field("queue", &self.queue)
            .field("capabilities", &self.capabilities)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// Sleeps for a while, or until a signal comes.
fn sleep(pause: Duration) {
    let _ = nanosleep(&Timespec {
        tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: pause.subsec_nanos().into(),
    });
}

/// What ends the wait of a [`Dpdk`] from elsewhere: a flag that it looks at between two looks for
/// frames. For [`Waker::new`].
///
/// # Example
/// ```
/// use usockets::Waker;
/// use usockets_dpdk::WakeFlag;
///
/// static WAKER: Waker<WakeFlag> = Waker::new(WakeFlag::new());
/// WAKER.wake();
/// ```
#[derive(Debug, Default)]
pub struct WakeFlag(AtomicBool);

impl WakeFlag {
    /// Makes a flag.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl Notify for WakeFlag {
    fn notify(&self) {
        self.0.store(true, Ordering::Release);
    }
}
