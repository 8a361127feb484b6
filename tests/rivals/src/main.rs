//! What TLS costs, next to OpenSSL and others on the same machine in the same run.
//! `tests/rivals.sh` builds and runs all of it; without them,
//! `cargo run --release --features tls-tables`.
//!
//! Servers run over memory and take turns; times are medians, so that the ratios hold on a machine
//! that does other things. The client is ours, and is not measured. It fails if a figure is over
//! its bound. `SMALL` names this program as it was built without tables, which then takes turns
//! too. With the argument `speeds` it looks at nothing else.

#[cfg(feature = "boring")]
mod boringssl;
mod engine;
mod flood;
mod heap;
mod openssl;
#[cfg(feature = "rivals")]
mod rustls;
#[cfg(feature = "rivals")]
mod s2n;
mod speeds;
mod stack;
mod subject;
mod table;
#[cfg(feature = "rivals")]
mod wire;

use std::process::ExitCode;

use usockets::tls::{ClientConfig, Config, Connection, ServerConfig, TicketKeys, TlsSocket};
use usockets_tests_tls::{Authority, Crypto, Kind, Machine};

use crate::engine::Server as _;
use crate::table::Table;

fn main() -> ExitCode {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let tickets = TicketKeys::new([3; 32], 3_600);
    let roots = authority.anchors();
    let server = ServerConfig::new(&identities).tickets(&tickets);
    let config = Config::new(server, ClientConfig::new(&roots));
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("turns") {
        speeds::own(&config).take_turns(&config);
        return ExitCode::SUCCESS;
    }
    let mut table = Table::default();
    let small = std::env::var("SMALL").ok();
    speeds::measure(&mut table, &config, &leaf, small.as_deref());
    if argument.as_deref() != Some("speeds") {
        memory(&mut table);
        delays(&mut table, &config, &authority);
    }
    if table.is_over {
        println!("\na figure is over its bound");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn memory(table: &mut Table) {
    let beyond = size_of::<TlsSocket<u64>>() - size_of::<u64>();
    table.at_most("idle connection, bytes", Some(beyond as f64), Some(256.0));
    let inner = size_of::<Connection>();
    table.at_most("  of it the engine's", Some(inner as f64), None);
    for kind in [Kind::P256, Kind::P384, Kind::Ed25519] {
        let [full, resumed] = stack::on_deep_stack(|| stacks(kind));
        for (name, peaks) in [("full", full), ("resumed", resumed)] {
            for (side, peak) in [("server", peaks[0]), ("client", peaks[1])] {
                let what = format!("stack of a {name} handshake, {side}, {kind:?}, bytes");
                table.at_most(&what, Some(peak as f64), Some(12_288.0));
            }
        }
    }
}

/// Returns the most stack that a call takes in a server's and in a client's handshake, in a full
/// one and in a resumed one. The server's key is of P-256, its authority's of this kind.
fn stacks(kind: Kind) -> [[usize; 2]; 2] {
    let authority = Authority::new(kind);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let tickets = TicketKeys::new([3; 32], 3_600);
    let roots = authority.anchors();
    let server = ServerConfig::new(&identities).tickets(&tickets);
    let config = &Config::new(server, ClientConfig::new(&roots));
    let mut server = engine::Ours::new(config, Crypto::new(Machine::new(1)));
    let mut client = engine::Ours::new(config, Crypto::new(Machine::new(2)));
    let mut bytes = Vec::new();
    [false, true].map(|resumes| {
        let mut peaks = [0, 0];
        server.start();
        peaks[1] = stack::used_by(&mut || client.connect());
        // The last of the client's turns takes the ticket.
        for _ in 0..2 {
            bytes.clear();
            client.take(&mut bytes);
            let used = stack::used_by(&mut || _ = server.feed(&bytes));
            peaks[0] = peaks[0].max(used);
            bytes.clear();
            server.take(&mut bytes);
            let used = stack::used_by(&mut || _ = client.feed(&bytes));
            peaks[1] = peaks[1].max(used);
        }
        assert!(server.is_open() && client.is_open());
        assert_eq!(server.is_resumed(), resumes);
        peaks
    })
}

fn delays(table: &mut Table, config: &Config<'_>, authority: &Authority) {
    let delays = flood::measure(config, authority);
    let at = |times: &[u64], hundredths: usize| {
        let index = times.len() * hundredths / 100;
        Some(times[index.min(times.len() - 1)] as f64 / 1_000.0)
    };
    let count = flood::HANDSHAKES;
    let rate = count as f64 / delays.time.as_secs_f64();
    table.at_most(
        "echo, nothing else happens: p50, ms",
        at(&delays.idle, 50),
        None,
    );
    table.at_most("  p99", at(&delays.idle, 99), None);
    table.at_most(
        &format!("echo beside {count} handshakes: p50, ms"),
        at(&delays.busy, 50),
        None,
    );
    table.at_most("  p99", at(&delays.busy, 99), Some(5.0));
    table.at_most("  echoes", Some(delays.busy.len() as f64), None);
    table.at_most(
        "  handshakes per second, client's and server's",
        Some(rate),
        None,
    );
}
