//! The medians as bars, in SVG.

use crate::machine::Machine;
use crate::results::{Entry, Group, Metric};
use crate::table::figure;

/// Everything is in pixels.
const WIDTH: f64 = 960.0;
const TOP: f64 = 64.0;
const ROW: f64 = 15.0;
const TITLE: f64 = 26.0;
const LEFT: f64 = 120.0;
const PANEL: f64 = 420.0;
const BAR: f64 = 300.0;
const BOTTOM: f64 = 16.0;

/// What the two panels show of a workload: on the left costs, on the right speed or size.
const PANELS: [&[Metric]; 2] = [
    &[Metric::Cpu, Metric::Bytes, Metric::Arm],
    &[Metric::Rate, Metric::Rss, Metric::Expire],
];

/// Returns the whole picture.
pub(crate) fn draw(groups: &[Group], machine: &Machine) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for group in groups {
        body += &draw_group(group, y);
        y += TITLE + ROW * group.entries.len() as f64;
    }
    let height = y + BOTTOM;
    let machine = escape(&machine.to_string());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"15\" font-weight=\"bold\">Servers on one processor: \
         medians</text>\n\
         <text x=\"8\" y=\"38\" font-size=\"9\" fill=\"#555555\">{machine}</text>\n\
         {body}</svg>\n"
    )
}

fn draw_group(group: &Group, y: f64) -> String {
    let baseline = y + 16.0;
    let mut svg = format!(
        "<text x=\"8\" y=\"{baseline}\" font-weight=\"bold\">{}</text>\n",
        escape(group.name)
    );
    let has = group.metrics();
    for (panel, metrics) in (0_u8..).zip(PANELS) {
        let Some(metric) = metrics.iter().find(|metric| has.contains(metric)) else {
            continue;
        };
        let left = LEFT + PANEL * f64::from(panel);
        svg += &format!(
            "<text x=\"{}\" y=\"{baseline}\" fill=\"#555555\" text-anchor=\"end\">{}</text>\n",
            left + PANEL - 10.0,
            escape(&caption(*metric, group.unit)),
        );
        svg += &draw_bars(group, *metric, left, y + TITLE);
    }
    for (index, entry) in group.entries.iter().enumerate() {
        let y = y + TITLE + ROW * index as f64 + 10.0;
        let label = escape(entry.label);
        let x = LEFT - 6.0;
        svg += &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{label}</text>\n");
    }
    svg
}

fn draw_bars(group: &Group, metric: Metric, left: f64, top: f64) -> String {
    let median = |entry: &Entry| entry.median(metric).unwrap_or(0.0);
    let most = group.entries.iter().map(median).fold(0.0, f64::max);
    let mut svg = String::new();
    for (index, entry) in group.entries.iter().enumerate() {
        let y = top + ROW * index as f64;
        let length = if most > 0.0 {
            BAR * median(entry) / most
        } else {
            0.0
        };
        let own = entry.label.starts_with("usockets");
        let colour = if own { "#c2410c" } else { "#94a3b8" };
        svg += &format!(
            "<rect x=\"{left}\" y=\"{y}\" width=\"{length:.1}\" height=\"12\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{}</text>\n",
            left + length + 4.0,
            y + 10.0,
            figure(median(entry), metric.decimals()),
        );
    }
    svg
}

fn caption(metric: Metric, unit: &str) -> String {
    match metric {
        Metric::Rate => format!("{unit}s per second (more is better)"),
        Metric::Cpu => format!("CPU µs per {unit} (less is better)"),
        Metric::Bytes => "resident bytes per connection (less is better)".into(),
        Metric::Rss => "resident KiB (less is better)".into(),
        _ => format!("{} per {unit} (less is better)", metric.heading()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
