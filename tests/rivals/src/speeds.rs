//! All servers in turns, and what came of it.

use usockets::tls::Config;
#[cfg(feature = "rivals")]
use usockets::tls::ServerConfig;
use usockets_tests_tls::{Crypto, Leaf, Machine};

use crate::engine::Ours;
use crate::subject::{KINDS, Subject};
use crate::table::Table;
use crate::{heap, openssl};

/// Turns that each server gets.
const ROUNDS: u64 = 60;

/// How this program was built.
const OURS: &str = if cfg!(feature = "tls-tables") {
    "ours, tables"
} else {
    "ours, small"
};
#[cfg(feature = "rivals")]
const OURS_FAST: &str = "ours, aws-lc-rs";
const OPENSSL: &str = "OpenSSL";
#[cfg(feature = "rivals")]
const RUSTLS_FAST: &str = "rustls, aws-lc-rs";

/// What has to hold: a server's speed at one of the kinds, as a ratio to another's.
const BOUNDS: &[(&str, &str, [Option<f64>; 4])] = &[
    (
        "ours, tables",
        OPENSSL,
        [Some(1.4), Some(2.0), Some(0.6), Some(0.6)],
    ),
    (
        "ours, aws-lc-rs",
        "rustls, aws-lc-rs",
        [Some(1.25), Some(1.0), Some(1.0), Some(1.2)],
    ),
];

/// This program's own server, as it was built.
pub fn own<'a>(config: &'a Config<'a>) -> Subject<'a> {
    Subject::new(OURS, Ours::new(config, Crypto::new(Machine::new(1))))
}

/// Measures everybody who is there. `small` is this program as it was built without tables.
pub fn measure(table: &mut Table, config: &Config<'_>, leaf: &Leaf, small: Option<&str>) {
    #[cfg(feature = "rivals")]
    let signer = usockets_linux::AwsLcKey::from_der(&leaf.document).expect("a P-256 key");
    #[cfg(feature = "rivals")]
    let slices = leaf.slices();
    #[cfg(feature = "rivals")]
    let identities = [usockets::tls::Identity::new(&slices, &signer)];
    #[cfg(feature = "rivals")]
    let fast = {
        let tickets = config.server.tickets.expect("tickets");
        Config::server(ServerConfig::new(&identities).tickets(tickets))
    };
    let mut subjects = vec![own(config)];
    if let Some(program) = small {
        let other = Subject::other("ours, small", program, &subjects[0]);
        subjects.push(other);
    }
    #[cfg(feature = "rivals")]
    {
        let crypto = usockets_linux::AwsLc::new(Machine::new(1));
        subjects.push(Subject::new(OURS_FAST, Ours::new(&fast, crypto)));
        add_rivals(&mut subjects, leaf);
    }
    match openssl::OpenSsl::new(leaf) {
        Ok(openssl) => {
            println!("OpenSSL is {}", openssl.version);
            subjects.push(Subject::new(OPENSSL, openssl));
        }
        Err(error) => println!("no OpenSSL: {error}"),
    }
    let mut allocations = 0;
    for round in 0..ROUNDS {
        for (number, subject) in subjects.iter_mut().enumerate() {
            heap::take();
            subject.turn(config, round);
            if number == 0 {
                allocations += heap::take();
            }
        }
    }
    tell(table, &mut subjects);
    let what = format!("{OURS}: allocations in all of that");
    table.at_most(&what, Some(allocations as f64), Some(0.0));
}

#[cfg(feature = "rivals")]
fn add_rivals(subjects: &mut Vec<Subject<'_>>, leaf: &Leaf) {
    use crate::{rustls, s2n};
    use ::rustls::crypto::{aws_lc_rs, ring};
    let ticketer = ring::Ticketer::new().expect("random bytes");
    let server = rustls::Rustls::new(ring::default_provider(), ticketer, leaf);
    subjects.push(Subject::new("rustls, ring", server));
    let ticketer = aws_lc_rs::Ticketer::new().expect("random bytes");
    let server = rustls::Rustls::new(aws_lc_rs::default_provider(), ticketer, leaf);
    subjects.push(Subject::new(RUSTLS_FAST, server));
    subjects.push(Subject::new("s2n-tls", s2n::S2n::new(leaf)));
    #[cfg(feature = "boring")]
    subjects.push(Subject::new(
        "BoringSSL",
        crate::boringssl::BoringSsl::new(leaf),
    ));
}

/// Prints the medians as a table of Markdown, and the ratios with their bounds.
fn tell(table: &mut Table, subjects: &mut [Subject<'_>]) {
    println!(
        "\n| µs, bytes | {} | in handshake | idle |",
        KINDS.join(" | ")
    );
    println!("|---|---|---|---|---|---|---|");
    let mut figures = Vec::new();
    for subject in subjects {
        let medians = subject.figures.medians();
        let times = medians.map(|time| format!("{time:.2}"));
        let heap = core::array::from_fn::<_, 2, _>(|at| {
            let heap = subject.figures.heap[at];
            heap.map_or(String::from("?"), |heap| {
                (heap + subject.pools[at]).to_string()
            })
        });
        let name = subject.name;
        println!("| {name} | {} | {} |", times.join(" | "), heap.join(" | "));
        figures.push((name, medians));
    }
    println!();
    let of = |name: &str| figures.iter().find(|(own, _)| *own == name);
    for (name, other, bounds) in BOUNDS {
        let (Some((_, own)), Some((_, others))) = (of(name), of(other)) else {
            continue;
        };
        for (at, (kind, bound)) in KINDS.into_iter().zip(bounds).enumerate() {
            let what = format!("{name}: {kind}, of the speed of {other}");
            table.at_least(&what, Some(others[at] / own[at]), *bound);
        }
    }
    if let Some((name, own)) = figures.first() {
        let what = format!("{name}: resumed handshake, of the full one");
        let half = cfg!(feature = "tls-tables").then_some(0.5);
        table.at_most(&what, Some(own[1] / own[0]), half);
    }
}
