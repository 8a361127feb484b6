//! What each platform here can do, tried on it, and the reasons of what it cannot: the table in
//! `PLATFORMS.md`. `WRITE_PLATFORMS=1` has the test write it.
#![cfg(all(target_os = "linux", feature = "tls", not(feature = "sim-only")))]

use std::fmt::Write;
use std::marker::PhantomData;
use std::time::Duration;

use usockets::tls::Tls;
use usockets::{Datagrams, Descriptors, Error, Keepalive, LocalSockets, Platform, SocketOption};
use usockets_conformance::side::Pair;
use usockets_tests::bed::{self, Bed};
use usockets_tests::steady::Crypto;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/PLATFORMS.md");

/// What is asked of every platform, in this order.
const CAPABILITIES: [&str; 16] = [
    "IPv6",
    "several listeners share a port (`reuse_port`)",
    "a connect to a full queue is left without answer, and not refused",
    "learns what peers do without being polled",
    "datagram sockets (`Datagrams`)",
    "Unix sockets (`LocalSockets`)",
    "descriptors made elsewhere (`Descriptors`)",
    "looks at bytes and leaves them (`peek`)",
    "is silent until a number of bytes is there (`set_low_water`)",
    "reports every arrival (`REPORTS_ARRIVALS`)",
    "`SocketOption::NoDelay`",
    "`SocketOption::Keepalive`",
    "`SocketOption::UserTimeout`",
    "`SocketOption::RecvBuffer`",
    "`SocketOption::SendBuffer`",
    "`SocketOption::Priority`",
];

/// Why a platform has not what it has not: its name or `*`, part of the capability's, the reason.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "smoltcp",
        "share a port",
        "smoltcp gives a connection to the first socket that listens, so a port has one \
         listener",
    ),
    (
        "smoltcp",
        "left without answer",
        "smoltcp refuses a SYN for which no socket listens",
    ),
    (
        "*",
        "without being polled",
        "the stack runs only while the program polls it",
    ),
    (
        "smoltcp",
        "Datagrams",
        "smoltcp's own UDP sockets stand beside it",
    ),
    (
        "TLS",
        "LocalSockets",
        "TLS is for networks: the kernel knows who is at the other end of a Unix socket",
    ),
    (
        "*",
        "LocalSockets",
        "there is no operating system, and no file system, below",
    ),
    ("*", "Descriptors", "there is no operating system below"),
    (
        "TLS",
        "peek",
        "nothing stands above TLS that takes whole units only",
    ),
    (
        "TLS",
        "set_low_water",
        "nothing stands above TLS that takes whole units only",
    ),
    (
        "poll(2)",
        "set_low_water",
        "POSIX does not say that `poll(2)` minds `SO_RCVLOWAT`, and not every system does",
    ),
    (
        "kqueue",
        "set_low_water",
        "it is the socket half of `poll(2)`; each arrival is reported on kqueue itself",
    ),
    (
        "smoltcp",
        "set_low_water",
        "smoltcp's sockets have no such mark",
    ),
    (
        "poll(2)",
        "REPORTS_ARRIVALS",
        "it stops asking for what it has reported, until all is read",
    ),
    (
        "kqueue",
        "REPORTS_ARRIVALS",
        "the model does not promise it; a kqueue of a system does (`EV_CLEAR`)",
    ),
    (
        "TLS",
        "REPORTS_ARRIVALS",
        "a record that comes in parts is reported when it is whole",
    ),
    (
        "*",
        "REPORTS_ARRIVALS",
        "it reports once until all is read, and a low-water mark where a layer wants to know \
         of more",
    ),
    (
        "simulator",
        "SocketOption",
        "nothing of the kind is simulated; its buffers are the network's (`Faults`)",
    ),
    (
        "user space",
        "SocketOption",
        "nothing of a connection changes after it opened: buffers are its `SizeClass`, times \
         the stack's `Limits`",
    ),
    (
        "smoltcp",
        "Keepalive",
        "of a connection that is open, probes can only be turned off",
    ),
    (
        "smoltcp",
        "SocketOption",
        "smoltcp's sockets keep the buffers that they were made with, and mark no packets",
    ),
    ("*", "Priority", "POSIX has no priority of what is sent"),
];

/// One platform's answers.
struct Column {
    name: &'static str,
    cells: Vec<bool>,
    reports_max: usize,
    left_out: &'static [(&'static str, &'static str)],
}

/// Whether a type has a trait: the constant of the type itself is found before that of `Lacks`.
struct Probe<T>(PhantomData<T>);

trait Lacks {
    const DATAGRAMS: bool = false;
    const LOCAL: bool = false;
    const DESCRIPTORS: bool = false;
}

impl<T> Lacks for Probe<T> {}

impl<T: Datagrams> Probe<T> {
    const DATAGRAMS: bool = true;
}

impl<T: LocalSockets> Probe<T> {
    const LOCAL: bool = true;
}

impl<T: Descriptors> Probe<T> {
    const DESCRIPTORS: bool = true;
}

macro_rules! traits_of {
    ($platform:ty) => {
        [
            Probe::<$platform>::DATAGRAMS,
            Probe::<$platform>::LOCAL,
            Probe::<$platform>::DESCRIPTORS,
        ]
    };
}

/// Returns true unless a platform says that it cannot.
fn can<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    match result {
        Err(Error::Unsupported) => false,
        Ok(_) => true,
        Err(error) => panic!("neither done nor unsupported: {error}"),
    }
}

/// Asks the platform of a bed, on an open connection.
fn column<B: Bed>(name: &'static str, bed: &mut B, traits: [bool; 3]) -> Column {
    let mut pair = Pair::open(bed);
    let id = pair.connected;
    let mut cells = vec![
        bed.addr_v6(0).is_some(),
        bed.shares_ports(),
        bed.drops_surplus(),
        bed.learns_unasked(),
    ];
    cells.extend(traits);
    let mut net = pair.client.net();
    let (platform, socket) = net.platform_socket(id).expect("an open socket");
    cells.push(can(platform.peek(socket, &mut [0; 8])));
    cells.push(can(platform.set_low_water(socket, 1)));
    cells.push(B::P::REPORTS_ARRIVALS);
    let keepalive = Keepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
    };
    for option in [
        SocketOption::NoDelay(true),
        SocketOption::Keepalive(Some(keepalive)),
        SocketOption::UserTimeout(Duration::from_secs(20)),
        SocketOption::RecvBuffer(4_096),
        SocketOption::SendBuffer(4_096),
        SocketOption::Priority(1),
    ] {
        cells.push(can(net.set_option(id, option)));
    }
    assert_eq!(cells.len(), CAPABILITIES.len());
    Column {
        name,
        cells,
        reports_max: bed.reports_max(),
        left_out: bed.exceptions(),
    }
}

/// Asks every platform that runs here; of those that run on several networks, on the first.
fn columns() -> Vec<Column> {
    let mut columns = Vec::new();
    macro_rules! ask {
        ($($name:literal $run:ident $platform:ty;)*) => {$(
            let mut found = None;
            bed::$run(|bed| {
                if found.is_none() {
                    found = Some(column($name, bed, traits_of!($platform)));
                }
            });
            columns.push(found.expect("a network"));
        )*};
    }
    ask! {
        "Linux" on_linux usockets_linux::Linux;
        "`poll(2)`" on_poll usockets_posix::Posix<&'static mut usockets_posix::Poll<16>>;
        "kqueue, modelled" on_kqueue_model usockets_posix::Posix<bed::KqueueModel>;
        "stack in user space" on_user_space usockets_smoltcp::Stack<'static, bed::Port>;
        "smoltcp's stack" on_stock
            usockets_smoltcp::Smoltcp<'static, usockets_smoltcp::ToPhy<'static, bed::Port>>;
        "simulator" on_sim usockets_sim::Host;
        "TLS over Linux" on_secured_linux Tls<'static, usockets_linux::Linux, Crypto>;
        "TLS in user space" on_secured_user_space
            Tls<'static, usockets_smoltcp::Stack<'static, bed::Port>, Crypto>;
    }
    columns
}

/// Returns the document.
fn table(columns: &[Column]) -> String {
    let mut text = String::from(HEAD);
    let mut notes: Vec<&str> = Vec::new();
    let mut used = vec![false; REASONS.len()];
    let mut missing = Vec::new();
    write!(text, "| |").unwrap();
    for column in columns {
        write!(text, " {} |", column.name).unwrap();
    }
    write!(text, "\n|---|{}\n", "---|".repeat(columns.len())).unwrap();
    for (row, capability) in CAPABILITIES.iter().enumerate() {
        write!(text, "| {capability} |").unwrap();
        for column in columns {
            if column.cells[row] {
                write!(text, " yes |").unwrap();
                continue;
            }
            let reason = REASONS.iter().position(|(name, part, _)| {
                (*name == "*" || column.name.contains(name)) && capability.contains(part)
            });
            let Some(reason) = reason else {
                missing.push(format!("{}: {capability}", column.name));
                continue;
            };
            used[reason] = true;
            let why = REASONS[reason].2;
            let note = notes
                .iter()
                .position(|note| *note == why)
                .unwrap_or_else(|| {
                    notes.push(why);
                    notes.len() - 1
                });
            write!(text, " no ({}) |", note + 1).unwrap();
        }
        text.push('\n');
    }
    assert!(missing.is_empty(), "no reason is given for {missing:#?}");
    text.push_str("| most reports of a poll |");
    for column in columns {
        write!(text, " {} |", column.reports_max).unwrap();
    }
    text.push_str("\n| tests of the suite that are left out |");
    for column in columns {
        write!(text, " {} |", column.left_out.len()).unwrap();
    }
    text.push_str("\n\nWhy not:\n\n");
    for (index, note) in notes.iter().enumerate() {
        writeln!(text, "{}. {note}", index + 1).unwrap();
    }
    text.push_str("\nTests that are left out, and why:\n\n");
    for column in columns {
        for (test, why) in column.left_out {
            writeln!(text, "- {}: `{test}`: {why}.", column.name).unwrap();
        }
    }
    let stale = used.iter().position(|used| !used);
    assert_eq!(stale.map(|at| REASONS[at]), None, "a reason of nothing");
    text
}

const HEAD: &str = "\
# What each platform can do

Made by `cargo test -p usockets-tests --test capabilities`, which asks each platform or what its bed
declares, for options on an open connection, and fails if this table says something else or a \"no\"
has no reason. All platforms pass the whole conformance suite (`tests/conformance`) but for the
tests at the end. Windows passes it under Wine (`tests/wine.sh`), where nothing is asked for this
table: `tests/src/bed/windows.rs` says what differs.

";

#[test]
fn every_cell_is_true_or_has_its_reason() {
    let made = table(&columns());
    if std::env::var_os("WRITE_PLATFORMS").is_some() {
        std::fs::write(PATH, &made).unwrap();
    }
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        written == made,
        "PLATFORMS.md is not what the platforms say; WRITE_PLATFORMS=1 writes:\n{made}"
    );
}
