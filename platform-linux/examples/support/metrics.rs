//! What loops did, as text for Prometheus. Linux only.

use core::fmt::Write;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use usockets::{Instant, Stats};

use crate::http::service::Observer;

/// Upper bounds of the times of iterations that are counted apart, in microseconds: powers of 4.
const BOUNDS: [u64; 11] = [
    1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576,
];
/// Time after which the counters of a loop are told anew.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// What one loop tells others of itself. Only its thread writes here, into lines of the processor's
/// cache of its own, and nobody else reads them but when the page is asked for.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Watch {
    counters: [AtomicU64; COUNTERS.len()],
    /// Iterations that took up to each of [`BOUNDS`] and longer than the one before, and longer
    /// than all.
    times: [AtomicU64; BOUNDS.len() + 1],
    /// Time of all iterations, in microseconds.
    sum: AtomicU64,
    /// When the last wait was over.
    woke: AtomicU64,
    /// When the counters were told last.
    told: AtomicU64,
}

/// A counter or gauge, what it is, and where it comes from.
type Counter = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Stats, u64) -> u64,
);

const COUNTERS: [Counter; 13] = [
    (
        "requests_total",
        "counter",
        "Requests whose head was understood.",
        |_, requests| requests,
    ),
    (
        "iterations_total",
        "counter",
        "Iterations of the loop.",
        |stats, _| stats.iterations,
    ),
    (
        "accepted_total",
        "counter",
        "Connections accepted.",
        |stats, _| stats.accepted,
    ),
    (
        "connected_total",
        "counter",
        "Connects that opened.",
        |stats, _| stats.connected,
    ),
    (
        "failed_total",
        "counter",
        "Connections that never opened.",
        |stats, _| stats.failed,
    ),
    (
        "refused_total",
        "counter",
        "Connections refused.",
        |stats, _| stats.refused,
    ),
    (
        "evicted_total",
        "counter",
        "Connections closed for others.",
        |stats, _| stats.evicted,
    ),
    (
        "pauses_total",
        "counter",
        "Times a listener paused.",
        |stats, _| stats.pauses,
    ),
    (
        "received_bytes_total",
        "counter",
        "Bytes received.",
        |stats, _| stats.received,
    ),
    ("sent_bytes_total", "counter", "Bytes sent.", |stats, _| {
        stats.sent
    }),
    (
        "breaches_total",
        "counter",
        "Faults of the platform.",
        |stats, _| stats.breaches,
    ),
    (
        "open_connections",
        "gauge",
        "Connections open now.",
        |stats, _| stats.open.into(),
    ),
    (
        "slots_in_use",
        "gauge",
        "Slots of the pool in use now.",
        |stats, _| stats.in_use.into(),
    ),
];

/// Adds to a number that only this thread writes.
fn add(number: &AtomicU64, more: u64) {
    let sum = number.load(Ordering::Relaxed).wrapping_add(more);
    number.store(sum, Ordering::Relaxed);
}

impl Observer for Watch {
    fn woke(&self, now: Instant) {
        self.woke.store(now.as_micros(), Ordering::Relaxed);
    }

    fn dispatched(&self, now: Instant, stats: Stats, requests: u64) {
        let now = now.as_micros();
        let took = now.saturating_sub(self.woke.load(Ordering::Relaxed));
        let index = BOUNDS.iter().position(|&bound| took <= bound);
        if let Some(count) = self.times.get(index.unwrap_or(BOUNDS.len())) {
            add(count, 1);
        }
        add(&self.sum, took);
        let since = now.saturating_sub(self.told.load(Ordering::Relaxed));
        let is_due = Duration::from_micros(since) >= TOLD_EVERY;
        // Few that are served are not kept waiting for the next time.
        if is_due || stats.open <= 1 {
            self.told.store(now, Ordering::Relaxed);
            for (place, (.., value)) in self.counters.iter().zip(COUNTERS) {
                place.store(value(&stats, requests), Ordering::Relaxed);
            }
        }
    }
}

/// Writes what all loops tell, in Prometheus' text format, version 0.0.4.
pub(crate) fn page(watches: &[Watch]) -> String {
    let mut text = String::new();
    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    for (index, (name, kind, help, _)) in COUNTERS.iter().enumerate() {
        let _ = writeln!(text, "# HELP usockets_{name} {help}");
        let _ = writeln!(text, "# TYPE usockets_{name} {kind}");
        for (number, watch) in watches.iter().enumerate() {
            let value = watch.counters.get(index).map_or(0, load);
            let _ = writeln!(text, "usockets_{name}{{loop=\"{number}\"}} {value}");
        }
    }
    let name = "usockets_iteration_seconds";
    let _ = writeln!(
        text,
        "# HELP {name} Time from the end of a wait to the end of its calls."
    );
    let _ = writeln!(text, "# TYPE {name} histogram");
    for (number, watch) in watches.iter().enumerate() {
        let mut count = 0_u64;
        let bounds = BOUNDS.iter().map(|&bound| Some(bound)).chain([None]);
        for (bound, own) in bounds.zip(&watch.times) {
            count = count.wrapping_add(load(own));
            let _ = match bound.map(Duration::from_micros) {
                Some(bound) => {
                    let bound = bound.as_secs_f64();
                    writeln!(
                        text,
                        "{name}_bucket{{loop=\"{number}\",le=\"{bound}\"}} {count}"
                    )
                }
                None => writeln!(
                    text,
                    "{name}_bucket{{loop=\"{number}\",le=\"+Inf\"}} {count}"
                ),
            };
        }
        let sum = Duration::from_micros(load(&watch.sum)).as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{loop=\"{number}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{loop=\"{number}\"}} {count}");
    }
    text
}

/// Where the page is, and what it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metrics {
    pub(crate) at: SocketAddr,
    pub(crate) watches: &'static [Watch],
}

/// Answers a request for the page: the whole response to a whole head.
pub(crate) fn respond(head: &[u8], watches: &[Watch]) -> Vec<u8> {
    let is_page = |target: &[u8]| head.starts_with(target);
    let (status, body) = if is_page(b"GET /metrics ") || is_page(b"GET /metrics?") {
        ("200 OK", page(watches))
    } else {
        ("404 Not Found", "/metrics\n".to_owned())
    };
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
