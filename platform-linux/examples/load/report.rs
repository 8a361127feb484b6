//! The outcome, in words.

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
pub(crate) fn print(arguments: &Arguments, results: &Results, counted: u64, took: Duration) {
    let protocol = if arguments.echo { "echo" } else { "http" };
    println!(
        "{protocol} {}: {} connections, pipeline {}, {:.1} s",
        arguments.address,
        arguments.connections,
        arguments.pipeline,
        took.as_secs_f64()
    );
    println!("requests    {counted}");
    println!("requests/s  {}", rate(counted, took));
    println!("received/s  {} bytes", rate(results.received, took));
    let latency = &results.latency;
    let percentiles = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];
    for (name, percentile) in percentiles {
        println!("{name:<11} {} µs", latency.value_at_percentile(percentile));
    }
    println!("max         {} µs", latency.max());
    println!("failures    {}", results.failures());
    for (count, what) in [
        (results.unconnected, "connects failed"),
        (results.wrong, "connections got a wrong answer"),
        (results.broken, "connections were closed by the server"),
        (results.missing, "requests were not answered"),
        (u64::from(results.requests == 0), "run without an answer"),
    ] {
        if count > 0 {
            println!("  {count} {what}");
        }
    }
    if let Some(error) = results.connect_error {
        println!("  last connect: {error}");
    }
    if let Some(reason) = results.close_reason {
        println!("  last close: {reason}");
    }
}
