//! A run as a message sequence chart (ITU-T Z.120): hosts are lines down the page, calls stand at
//! their host, what travels is an arrow, and time runs downwards.

use std::collections::HashMap;
use std::fmt::Write as _;

/// Height of an event, in pixels.
const ROW: usize = 20;
/// Where the first event is.
const TOP: usize = 70;
/// Where the first host's line is, and how far it is to the next.
const LEFT: usize = 200;
const BETWEEN: usize = 420;
/// What comes after the last event.
const BOTTOM: usize = 30;
/// The facts of a report, by their bits (`epoll_ctl(2)`).
const FACTS: [(u64, &str); 6] = [
    (0x1, "readable"),
    (0x2, "urgent"),
    (0x4, "writable"),
    (0x8, "error"),
    (0x10, "hung up"),
    (0x2000, "ended"),
];

/// One line of a trace.
struct Event<'t> {
    micros: u64,
    host: Option<usize>,
    what: &'t str,
    a: u64,
    b: u64,
}

/// Draws a trace as a message sequence chart in SVG, of as many rows as it has lines.
///
/// A trace is what [`Outcome::trace`](crate::Outcome::trace) and
/// [`Failure::trace`](crate::Failure::trace) have. Each call of a loop and each report stands at
/// its host's line, in words, with its time at the left edge; bytes, ends and connections are
/// arrows between hosts.
///
/// ```
/// let trace = ["1000 µs  host 0: send 3 12".to_owned()];
/// let svg = usockets_sim::message_chart(&trace);
/// assert!(svg.starts_with("<svg") && svg.contains("send 12 bytes"));
/// ```
#[must_use]
pub fn message_chart(trace: &[String]) -> String {
    let events: Vec<Event<'_>> = trace.iter().filter_map(|line| Event::parse(line)).collect();
    let hosts = events
        .iter()
        .filter_map(|event| event.host)
        .max()
        .map_or(2, |host| host + 1);
    let hosts = hosts.max(2);
    let (width, height) = (LEFT + BETWEEN * hosts, TOP + ROW * events.len() + BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
         <defs><marker id=\"tip\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" \
         orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" fill=\"#06c\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for host in 0..hosts {
        let (x, end) = (at(host), height - BOTTOM / 2);
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"30\" text-anchor=\"middle\" font-weight=\"bold\">\
             host {host}</text>\n\
             <line x1=\"{x}\" y1=\"40\" x2=\"{x}\" y2=\"{end}\" stroke=\"#999\"/>"
        );
    }
    let mut chart = Chart {
        svg,
        hosts: HashMap::new(),
        peers: HashMap::new(),
        last: None,
    };
    for (row, event) in events.iter().enumerate() {
        chart.draw(TOP + ROW * row, event);
    }
    chart.svg.push_str("</svg>\n");
    chart.svg
}

/// Returns one self-contained page of HTML with a heading, a text and the chart of a trace.
#[must_use]
pub fn chart_page(heading: &str, text: &str, trace: &[String]) -> String {
    let (heading, text) = (escaped(heading), escaped(text));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <title>{heading}</title>\n\
         <style>body {{ font-family: sans-serif; margin: 2em }}</style>\n</head>\n<body>\n\
         <h1>{heading}</h1>\n<pre>{text}</pre>\n{}</body>\n</html>\n",
        message_chart(trace)
    )
}

/// Returns a line of a trace in words; one that is none, as it is.
pub(crate) fn line_in_words(line: &str) -> String {
    let Some(event) = Event::parse(line) else {
        return line.to_owned();
    };
    let who = match event.host {
        Some(0) => "handler: ".to_owned(),
        Some(1) => "peers:   ".to_owned(),
        Some(host) => format!("host {host}: "),
        None => String::new(),
    };
    format!("{:>12} µs  {who}{}", event.micros, event.words())
}

/// Where a host's line is.
const fn at(host: usize) -> usize {
    LEFT + BETWEEN / 2 + BETWEEN * host
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn bytes(count: u64) -> String {
    if count == 1 {
        "1 byte".to_owned()
    } else {
        format!("{count} bytes")
    }
}

impl<'t> Event<'t> {
    /// Reads a line as [`Sim::take_trace`](crate::Sim::take_trace) gives it.
    fn parse(line: &'t str) -> Option<Self> {
        let (micros, rest) = line.split_once(" µs  ")?;
        let (host, rest) = match rest
            .strip_prefix("host ")
            .and_then(|rest| rest.split_once(": "))
        {
            Some((host, rest)) => (host.parse().ok(), rest),
            None => (None, rest),
        };
        let (rest, b) = rest.rsplit_once(' ')?;
        let (what, a) = rest.rsplit_once(' ')?;
        Some(Self {
            micros: micros.trim().parse().ok()?,
            host,
            what,
            a: a.parse().ok()?,
            b: b.parse().ok()?,
        })
    }

    /// Says it in words.
    fn words(&self) -> String {
        let Self { what, a, b, .. } = self;
        match *what {
            "send" | "recv" | "peek" => format!("{what} {} #{a}", bytes(*b)),
            "bytes" => format!("{} #{a}", bytes(*b)),
            "report" => {
                let facts = FACTS.iter().filter(|(bit, _)| b & bit != 0);
                let facts: Vec<&str> = facts.map(|(_, fact)| *fact).collect();
                format!("report #{a}: {}", facts.join(", "))
            }
            "release" if *b == 1 => format!("abort #{a}"),
            "release" => format!("close #{a}"),
            "finish" | "connect" | "accept" | "listen" | "end" | "broken" | "opened" => {
                format!("{what} #{a}")
            }
            "pressure" => format!("no memory for #{a}, for {b} µs"),
            "step say" => format!("line {a} says {}", bytes(*b)),
            "step open" => format!("line {a}: peer {b} connects"),
            step if step.starts_with("step ") => format!("{} {a}", &step[5..]),
            other => format!("{other} {a} {b}"),
        }
    }
}

/// A chart that is being drawn.
struct Chart {
    svg: String,
    /// The host of each socket.
    hosts: HashMap<u64, usize>,
    /// The other end of each connection.
    peers: HashMap<u64, u64>,
    /// The time that was written last.
    last: Option<u64>,
}

impl Chart {
    fn draw(&mut self, y: usize, event: &Event<'_>) {
        if self.last.replace(event.micros) != Some(event.micros) {
            let time = event.micros;
            let _ = writeln!(
                self.svg,
                "<text x=\"10\" y=\"{y}\" fill=\"#666\">{time} µs</text>"
            );
        }
        if let Some(host) = event.host {
            self.hosts.insert(event.a, host);
        }
        if event.what == "opened" {
            self.peers.insert(event.a, event.b);
            self.peers.insert(event.b, event.a);
        }
        let words = escaped(&event.words());
        let from = event.host.or_else(|| self.hosts.get(&event.a).copied());
        let travels = matches!(event.what, "bytes" | "end" | "opened");
        let to = self
            .peers
            .get(&event.a)
            .and_then(|peer| self.hosts.get(peer))
            .copied();
        match (from, to) {
            _ if event.what.starts_with("step ") => {
                let _ = writeln!(
                    self.svg,
                    "<text class=\"event\" x=\"110\" y=\"{y}\">{words}</text>"
                );
            }
            (Some(from), Some(to)) if travels && from != to => {
                // `opened` tells who asked: the answer travels the other way.
                let (from, to) = if event.what == "opened" {
                    (to, from)
                } else {
                    (from, to)
                };
                let (x1, x2, middle) = (at(from), at(to), usize::midpoint(at(from), at(to)));
                let line = y - 4;
                let _ = writeln!(
                    self.svg,
                    "<line x1=\"{x1}\" y1=\"{line}\" x2=\"{x2}\" y2=\"{line}\" stroke=\"#06c\" \
                     marker-end=\"url(#tip)\"/>\n<text class=\"event\" x=\"{middle}\" y=\"{}\" \
                     text-anchor=\"middle\" fill=\"#06c\">{words}</text>",
                    y - 6
                );
            }
            _ => {
                let x = at(from.unwrap_or(0));
                let (dot, text) = (y - 4, x + 8);
                let color = if event.what == "report" {
                    "#a60"
                } else {
                    "#000"
                };
                let _ = writeln!(
                    self.svg,
                    "<circle cx=\"{x}\" cy=\"{dot}\" r=\"3\" fill=\"{color}\"/>\n\
                     <text class=\"event\" x=\"{text}\" y=\"{y}\" fill=\"{color}\">{words}</text>"
                );
            }
        }
    }
}
