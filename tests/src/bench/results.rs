//! What was measured, and its medians.

/// One kind of figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Metric {
    /// Requests per second.
    Rate,
    /// Microseconds of the server's processor per request.
    Cpu,
    /// Percent of its processor that the server used.
    Busy,
    /// Median latency, in microseconds.
    P50,
    /// Latency that one in a hundred exceeds, in microseconds.
    P99,
    /// Longest latency, in microseconds.
    Max,
    /// System calls per request.
    Calls,
    /// Resident memory, in KiB.
    Rss,
    /// Resident memory per connection, in bytes.
    Bytes,
    /// Nanoseconds to arm a timeout.
    Arm,
    /// Nanoseconds to arm it again.
    Rearm,
    /// Nanoseconds until it has expired, per timeout.
    Expire,
}

impl Metric {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 12] = [
        Self::Rate,
        Self::Cpu,
        Self::Busy,
        Self::P50,
        Self::P99,
        Self::Max,
        Self::Calls,
        Self::Rss,
        Self::Bytes,
        Self::Arm,
        Self::Rearm,
        Self::Expire,
    ];

    /// Returns the heading of its column.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Self::Rate => "per s",
            Self::Cpu => "CPU µs",
            Self::Busy => "busy %",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::Max => "max µs",
            Self::Calls => "calls",
            Self::Rss => "RSS KiB",
            Self::Bytes => "B/conn",
            Self::Arm => "arm ns",
            Self::Rearm => "re-arm ns",
            Self::Expire => "expire ns",
        }
    }

    /// Returns its name in JSON.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Rate => "per_second",
            Self::Cpu => "cpu_micros_per_unit",
            Self::Busy => "busy_percent",
            Self::P50 => "latency_p50_micros",
            Self::P99 => "latency_p99_micros",
            Self::Max => "latency_max_micros",
            Self::Calls => "system_calls_per_unit",
            Self::Rss => "rss_kib",
            Self::Bytes => "bytes_per_connection",
            Self::Arm => "arm_nanos",
            Self::Rearm => "rearm_nanos",
            Self::Expire => "expire_nanos",
        }
    }

    /// Returns the digits after the point that mean something.
    pub(crate) const fn decimals(self) -> usize {
        match self {
            Self::Cpu | Self::Calls => 2,
            Self::P50 | Self::P99 | Self::Arm | Self::Rearm | Self::Expire => 1,
            _ => 0,
        }
    }

    /// Whether its ratio to this library's is shown.
    pub(crate) const fn is_compared(self) -> bool {
        matches!(self, Self::Rate | Self::Cpu | Self::Bytes)
    }
}

/// The figures of one server in one round.
pub(crate) type Sample = Vec<(Metric, f64)>;

/// One server under one workload, over all rounds.
#[derive(Debug)]
pub(crate) struct Entry {
    /// How the server is called.
    pub(crate) label: &'static str,
    samples: Vec<Sample>,
}

impl Entry {
    /// Returns every round's figure of a kind.
    pub(crate) fn rounds(&self, metric: Metric) -> Vec<f64> {
        let figures = self.samples.iter().flatten();
        let figures = figures.filter(|(kind, _)| *kind == metric);
        figures.map(|(_, figure)| *figure).collect()
    }

    /// Returns the median of a kind over the rounds.
    pub(crate) fn median(&self, metric: Metric) -> Option<f64> {
        let mut figures = self.rounds(metric);
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        match figures.len() {
            0 => None,
            count if count % 2 == 1 => Some(figures[middle]),
            _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
        }
    }
}

/// One workload, over all servers.
#[derive(Debug)]
pub(crate) struct Group {
    /// How the workload is called.
    pub(crate) name: &'static str,
    /// What a request is.
    pub(crate) unit: &'static str,
    /// The servers, this library's first.
    pub(crate) entries: Vec<Entry>,
}

impl Group {
    /// Adds a round's figures to a server's.
    pub(crate) fn add(&mut self, label: &'static str, sample: Sample) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.label == label) {
            entry.samples.push(sample);
        }
    }

    /// Returns a group without figures.
    pub(crate) fn new(name: &'static str, unit: &'static str, labels: Vec<&'static str>) -> Self {
        let entries = labels.into_iter().map(|label| Entry {
            label,
            samples: Vec::new(),
        });
        Self {
            name,
            unit,
            entries: entries.collect(),
        }
    }

    /// Returns the kinds of figures that some server has.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let has = |metric: &Metric| {
            let mut entries = self.entries.iter();
            entries.any(|entry| !entry.rounds(*metric).is_empty())
        };
        Metric::ALL.into_iter().filter(has).collect()
    }

    /// Returns a server's median as a multiple of this library's.
    pub(crate) fn ratio(&self, entry: &Entry, metric: Metric) -> Option<f64> {
        let own = self.entries.first()?.median(metric)?;
        Some(entry.median(metric)? / own)
    }

    /// Returns how much this library took of what the best other did in the same round: the least,
    /// the median and the most.
    pub(crate) fn against_best(&self, metric: Metric) -> Option<[f64; 3]> {
        let (own, others) = self.entries.split_first()?;
        let others: Vec<_> = others.iter().map(|entry| entry.rounds(metric)).collect();
        let own = own.rounds(metric).into_iter().enumerate();
        let mut ratios: Vec<_> = own
            .filter_map(|(round, own)| {
                let figures = others.iter().filter_map(|rounds| rounds.get(round));
                let best = figures.copied().reduce(f64::min)?;
                Some(own / best)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (low, high) = (*ratios.first()?, *ratios.last()?);
        Some([low, ratios[ratios.len() / 2], high])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_the_best_of_the_same_round() {
        let mut group = Group::new("test", "request", vec!["own", "slow", "other"]);
        for (own, slow, other) in [(2.0, 9.0, 1.0), (2.0, 4.0, 5.0), (3.0, 9.0, 3.0)] {
            group.add("own", vec![(Metric::Cpu, own)]);
            group.add("slow", vec![(Metric::Cpu, slow)]);
            group.add("other", vec![(Metric::Cpu, other)]);
        }
        assert_eq!(group.against_best(Metric::Cpu), Some([0.5, 1.0, 2.0]));
        assert_eq!(group.against_best(Metric::Expire), None);
    }

    #[test]
    fn medians_and_ratios() {
        let mut group = Group::new("test", "request", vec!["own", "other"]);
        for figure in [3.0, 1.0, 2.0] {
            group.add("own", vec![(Metric::Rate, figure)]);
        }
        group.add("other", vec![(Metric::Rate, 3.0)]);
        group.add("other", vec![(Metric::Rate, 5.0), (Metric::Calls, 1.0)]);
        let [own, other] = &group.entries[..] else {
            panic!("two entries");
        };
        assert_eq!(own.median(Metric::Rate), Some(2.0));
        assert_eq!(own.median(Metric::Calls), None);
        assert_eq!(group.ratio(other, Metric::Rate), Some(2.0));
        assert_eq!(group.metrics(), [Metric::Rate, Metric::Calls]);
    }
}
