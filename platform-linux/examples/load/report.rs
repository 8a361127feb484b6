//! The outcome, in words.

use std::io::{self, Write};

use usockets::Duration;

use crate::arguments::Arguments;
use crate::client::Results;

/// Returns a count per second.
pub(crate) fn rate(count: u64, took: Duration) -> u128 {
    let micros = took.as_micros().max(1);
    u128::from(count)
        .saturating_mul(1_000_000)
        .div_euclid(micros)
}

/// Prints what was measured. `counted` requests were answered within the time that it `took`.
///
/// # Errors
/// What `output` says.
pub(crate) fn print(
    output: &mut impl Write,
    arguments: &Arguments,
    results: &Results,
    counted: u64,
    took: Duration,
) -> io::Result<()> {
    let protocol = if arguments.echo { "echo" } else { "http" };
    writeln!(
        output,
        "{protocol} {}: {} connections, pipeline {}, {:.1} s",
        arguments.address,
        arguments.connections,
        arguments.pipeline,
        took.as_secs_f64()
    )?;
    writeln!(output, "requests    {counted}")?;
    writeln!(output, "requests/s  {}", rate(counted, took))?;
    writeln!(output, "received/s  {} bytes", rate(results.received, took))?;
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    for (name, quantile) in quantiles {
        if let Ok(Some(bucket)) = results.latency.quantile_bucket(quantile) {
            let micros = bucket.end().min(results.latency_max);
            writeln!(output, "{name:<11} {micros} µs")?;
        }
    }
    writeln!(output, "max         {} µs", results.latency_max)?;
    writeln!(output, "reconnects  {}", results.reconnects)?;
    writeln!(output, "failures    {}", results.failures())?;
    let wrong = results.wrong_reason.map(|wrong| wrong.to_string());
    let broken = results.break_reason.map(|reason| reason.to_string());
    let refused = results.connect_error.map(|error| error.to_string());
    for (count, what, last) in [
        (results.unconnected, "connects failed", refused),
        (results.wrong, "connections got a wrong answer", wrong),
        (results.cut, "answers were cut off by the server", None),
        (
            results.closed,
            "connections were closed by the server before an answer",
            None,
        ),
        (results.broken, "connections broke", broken),
        (results.missing, "requests were not answered", None),
        (
            u64::from(results.requests == 0),
            "run without an answer",
            None,
        ),
    ] {
        match last {
            _ if count == 0 => {}
            Some(last) => writeln!(output, "  {count} {what}; last: {last}")?,
            None => writeln!(output, "  {count} {what}")?,
        }
    }
    output.flush()
}
