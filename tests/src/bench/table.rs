//! The table on standard output.

use crate::machine::Machine;
use crate::results::{Entry, Group, Metric};

/// Width of the names of servers.
const NAME: usize = 17;
/// Width of a figure.
const FIGURE: usize = 10;
/// Width of a ratio.
const RATIO: usize = 7;

/// Prints every workload's table.
pub(crate) fn print(groups: &[Group], machine: &Machine) {
    println!("{machine}");
    println!("Medians over the rounds; ×: as a multiple of this library's. One request in flight");
    println!("per connection, or 16 where they are pipelined (latency is that of all 16).");
    println!("busy: where it is well below 100 %, not the server was the limit of the rate, but");
    println!("the load, or what else ran on the machine, from which the CPU time suffers less.");
    for group in groups {
        println!();
        print_group(group);
    }
}

fn print_group(group: &Group) {
    let metrics = group.metrics();
    println!("{} (per {})", group.name, group.unit);
    let mut heading = format!("{:NAME$}", "");
    for metric in &metrics {
        heading += &format!("{:>FIGURE$}", metric.heading());
        if metric.is_compared() {
            heading += &format!("{:>RATIO$}", "×");
        }
    }
    println!("{heading}");
    for entry in &group.entries {
        println!("{}", row(group, entry, &metrics));
    }
    for metric in [Metric::Cpu, Metric::Expire] {
        if let Some([low, middle, high]) = group.against_best(metric) {
            let what = metric.heading();
            println!("{what}, × of the best other, by round: {middle:.2} ({low:.2}–{high:.2})");
        }
    }
}

fn row(group: &Group, entry: &Entry, metrics: &[Metric]) -> String {
    let mut row = format!("{:NAME$}", entry.label);
    for metric in metrics {
        let figure = match entry.median(*metric) {
            Some(median) => figure(median, metric.decimals()),
            None => "-".into(),
        };
        row += &format!("{figure:>FIGURE$}");
        if metric.is_compared() {
            let ratio = group.ratio(entry, *metric);
            let ratio = ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
            row += &format!("{ratio:>RATIO$}");
        }
    }
    row
}

/// Writes a number with commas between thousands, and from a thousand on without decimals.
pub(crate) fn figure(number: f64, decimals: usize) -> String {
    let decimals = if number < 1e3 { decimals } else { 0 };
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped() {
        assert_eq!(figure(0.256, 2), "0.26");
        assert_eq!(figure(999.0, 1), "999.0");
        assert_eq!(figure(1_000.4, 1), "1,000");
        assert_eq!(figure(-1_234_567.0, 0), "-1,234,567");
    }
}
