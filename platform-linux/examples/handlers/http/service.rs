//! What all connections of a server share.

use core::fmt;

use usockets::{Duration, Instant, Stats};

use super::date::{Date, WallClock};
use super::head::Head;
use super::page::Page;
use super::reply::Reply;

/// How long a client may take, and how much it may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Time between requests. After it the connection is closed without a word. Clients are told
    /// that it is [`Self::notice`] shorter.
    pub(crate) idle: Duration,
    /// Time that a request sent at the last moment may need to arrive.
    pub(crate) notice: Duration,
    /// Time from the first byte of a head to its last. After it comes 408.
    pub(crate) head: Duration,
    /// Time in which at least [`Self::progress_min`] bytes of a body must come. After it comes
    /// 408, unless the response is under way already.
    pub(crate) body: Duration,
    /// Time in which a client must take at least [`Self::progress_min`] bytes of a response.
    pub(crate) send: Duration,
    /// Bytes per [`Self::body`] and [`Self::send`].
    pub(crate) progress_min: u64,
    /// Time that a client has to end its direction after the server ended its own.
    pub(crate) linger: Duration,
    /// Bytes that it may still send meanwhile.
    pub(crate) linger_bytes: u64,
    /// Bytes of a request's body.
    pub(crate) body_max: u64,
    /// Bytes of bodies made in one turn, after which other sockets are served.
    pub(crate) turn_max: usize,
    /// Time that running requests have when the server is asked to stop.
    pub(crate) stop: Duration,
}

impl Limits {
    /// Returns the seconds between requests that clients are told; `None` when it is not even one.
    pub(crate) fn keep_alive_secs(&self) -> Option<u64> {
        Some(self.idle.saturating_sub(self.notice).as_secs()).filter(|secs| *secs > 0)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(65),
            notice: Duration::from_secs(5),
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            send: Duration::from_secs(60),
            progress_min: 512,
            linger: Duration::from_secs(5),
            linger_bytes: 1 << 20,
            body_max: 1 << 30,
            turn_max: 256 << 10,
            stop: Duration::from_secs(10),
        }
    }
}

/// One line of `/status`: a name, and how to find the number out.
pub(crate) type Fact = (&'static str, fn() -> u64);

/// Is told of each iteration of a server's loop.
pub(crate) trait Observer: Sync {
    /// A wait is over.
    fn woke(&self, now: Instant);

    /// All calls that followed have been made.
    fn dispatched(&self, now: Instant, stats: Stats, requests: u64);
}

/// What all connections of a server share.
pub(crate) struct Service {
    pub(crate) limits: Limits,
    pub(crate) date: Date,
    /// The last page of fixed text that was sent.
    pub(crate) page: Page,
    /// Decides on the answer to a request.
    pub(crate) route: fn(&Head<'_>) -> Reply,
    /// What `/status` tells of the machine, beside the loop's counters.
    pub(crate) facts: &'static [Fact],
    /// Whether connections close after the running request.
    pub(crate) stopping: bool,
    /// Requests whose head was understood.
    pub(crate) requests: u64,
    /// Who is told of each iteration, if somebody is.
    pub(crate) observer: Option<&'static dyn Observer>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Service");
        all.field("limits", &self.limits);
        all.field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Makes a service with the usual limits.
    pub(crate) fn new(route: fn(&Head<'_>) -> Reply, clock: WallClock) -> Self {
        Self {
            limits: Limits::default(),
            date: Date::new(clock),
            page: Page::new(),
            route,
            facts: &[],
            stopping: false,
            requests: 0,
            observer: None,
        }
    }

    /// Sets what `/status` tells of the machine. What is longer than a small page is left out.
    pub(crate) const fn with_facts(mut self, facts: &'static [Fact]) -> Self {
        self.facts = facts;
        self
    }
}
