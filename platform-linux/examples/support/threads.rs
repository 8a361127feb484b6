//! Loops on threads of their own, and their stop. Linux only.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use usockets::{
    AllSockets, Duration, Endpoint, Error, Handler, Loop, Opened, Socket, Sockets, Waker, WhenFull,
};
use usockets_linux::{EventFd, Linux};

use crate::metrics::{Metrics, Watch, respond};
use crate::support::{Failure, say, with_stop_signals};

/// A loop that is to run on a thread of its own, in lines of the processor's cache of its own.
#[repr(align(128))]
pub(crate) struct Part<'m, H: Handler<Linux>> {
    pub(crate) server: Loop<'m, Linux, H>,
    pub(crate) handler: H,
    /// Wakes this loop, which then ends in order.
    pub(crate) waker: &'static Waker<EventFd>,
    /// The processor that the thread keeps to, if any.
    pub(crate) cpu: Option<usize>,
}

/// Returns a waker that lives for ever, as one that other threads use must.
///
/// # Errors
/// The process is out of descriptors.
pub(crate) fn new_waker() -> Result<&'static Waker<EventFd>, Error> {
    let alone: &'static Alone = Box::leak(Box::new(Alone(Waker::new(EventFd::new()?))));
    Ok(&alone.0)
}

/// A waker in a line of the processor's cache of its own: its loop looks at it in each iteration.
#[repr(align(128))]
struct Alone(Waker<EventFd>);

/// Returns the processors that this process may use.
pub(crate) fn processors() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .collect()
}

/// Runs each loop on a thread of its own until all have ended. SIGINT and SIGTERM, which this
/// thread waits for, wake all of them; so does the failure of one.
///
/// The threads share nothing that a request needs, not even a cache line.
///
/// # Errors
/// What the first loop that failed says.
pub(crate) fn run_all<H>(parts: Vec<Part<'_, H>>, metrics: Option<Metrics>) -> Result<(), Failure>
where
    H: Handler<Linux> + Send,
{
    let own = new_waker()?;
    let platform = with_stop_signals(Linux::new()?.with_waker(own)?)?;
    let wakers = parts.iter().map(|part| part.waker).collect();
    let running = AtomicUsize::new(parts.len());
    thread::scope(|scope| {
        let running = &running;
        let mut threads = Vec::new();
        for part in parts {
            let ended = Ended { running, own };
            threads.push(scope.spawn(move || run(part, ended)));
        }
        let mut sockets = Sockets::<_, _, 17>::new();
        let mut buffer = [0; 1_024];
        let mut waiting = Loop::new(platform, &mut sockets, &mut buffer);
        waiting.net().keep_alive(true);
        if let Some(Metrics { at, .. }) = metrics {
            let endpoint = Endpoint::tcp(at).when_full(WhenFull::EvictIdle);
            let listener = waiting.net().listen(endpoint, ())?;
            let at = waiting.net().listening_addr(listener);
            say(format_args!(
                "metrics on http://{}/metrics",
                at.unwrap_or(endpoint.addr)
            ));
        }
        let mut conductor = Conductor {
            wakers,
            running,
            left: running.load(Ordering::Relaxed),
            watches: metrics.map_or(&[], |metrics| metrics.watches),
        };
        let waited = waiting.run(&mut conductor);
        for thread in threads {
            let ended = thread.join();
            ended.map_err(|_| Failure::from("a thread panicked".to_owned()))??;
        }
        waited.map_err(Failure::from)
    })
}

/// Runs one loop to its end.
fn run<H: Handler<Linux>>(mut part: Part<'_, H>, _ended: Ended<'_>) -> Result<(), Error> {
    if let Some(cpu) = part.cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        // Where that is forbidden, it runs where the system has it run.
        let _ = sched_setaffinity(None, &set);
    }
    part.server.run(&mut part.handler)
}

/// Tells the first thread that one has ended, however that came.
struct Ended<'a> {
    running: &'a AtomicUsize,
    own: &'static Waker<EventFd>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.own.wake();
    }
}

/// Stops the loops of other threads, and tells what they did.
struct Conductor<'a> {
    wakers: Vec<&'static Waker<EventFd>>,
    running: &'a AtomicUsize,
    /// How many ran when this was last woken.
    left: usize,
    watches: &'static [Watch],
}

/// A request for the page of numbers, until it is whole, and then what is left of the response.
#[derive(Debug, Default)]
struct Asked {
    head: Vec<u8>,
    response: Vec<u8>,
    sent: usize,
}

/// Longest head of such a request.
const HEAD_MAX: usize = 4_096;
/// Time that one who asks has for all of it.
const ASKING_MAX: Duration = Duration::from_secs(10);

impl Asked {
    fn send(&mut self, socket: &mut Socket<'_, Linux, Conductor<'_>>) {
        let rest = self.response.get(self.sent..).unwrap_or_default();
        self.sent = self.sent.saturating_add(socket.write(rest));
        if self.sent == self.response.len() {
            socket.finish();
        }
    }
}

impl Handler<Linux> for Conductor<'_> {
    type Ext = Asked;
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Linux, Self>, _: Opened<()>) -> Asked {
        socket.set_timeout(ASKING_MAX);
        Asked::default()
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, Linux, Self>,
        asked: &mut Asked,
        data: &mut [u8],
    ) {
        if !asked.response.is_empty() {
            // One request each.
            return;
        }
        asked.head.extend_from_slice(data);
        if asked.head.windows(4).any(|window| window == b"\r\n\r\n") {
            asked.response = respond(&asked.head, self.watches);
            asked.send(socket);
        } else if asked.head.len() > HEAD_MAX {
            socket.close();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, Linux, Self>, asked: &mut Asked) {
        if !asked.response.is_empty() {
            asked.send(socket);
        }
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Linux, Self>) {
        let mut stop = sockets.net().platform_mut().next_signal().is_some();
        let running = self.running.load(Ordering::Relaxed);
        // The first that ends unasked takes the others along.
        stop |= running < self.left && self.left == self.wakers.len();
        self.left = running;
        if stop {
            self.wakers.iter().for_each(|waker| waker.wake());
        }
        sockets.net().keep_alive(running > 0);
        if running == 0 {
            sockets.net().drain(ASKING_MAX);
        }
    }
}
