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
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    for (name, quantile) in quantiles {
        if let Ok(Some(bucket)) = results.latency.quantile_bucket(quantile) {
            println!("{name:<11} {} µs", bucket.end().min(results.latency_max));
        }
    }
    println!("max         {} µs", results.latency_max);
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
