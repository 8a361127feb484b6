//! Tries every combination with every other implementation that is installed, in both roles:
//! `cargo run --release -p usockets-tests-tls --bin tls_matrix [--write] [NAME..]`.
//!
//! With `--write` the table goes to `tests/TLS.md`. Only the named ones, which have to be
//! installed; or all that are.

use std::fmt::Write as _;

use usockets_tests_tls::matrix::{Role, Stage, peers};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../TLS.md");
const START: &str = "<!-- what tls_matrix writes -->\n";
const END: &str = "<!-- end -->";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let writes = names.iter().any(|name| name == "--write");
    names.retain(|name| name != "--write");
    let stage = Stage::new();
    let mut table = String::from("| peer | we are | combinations | passed |\n|---|---|---|---|\n");
    let mut failures = String::new();
    let all = peers();
    let is_known = |name: &&String| all.iter().any(|peer| peer.name == *name);
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(format!("{name} is not known").into());
    }
    for peer in all {
        if !names.is_empty() && names.iter().all(|name| name != peer.name) {
            continue;
        }
        let Some(version) = peer.version() else {
            eprintln!("{} is not installed: skipped", peer.name);
            if !names.is_empty() {
                writeln!(failures, "- {}: not installed", peer.name)?;
            }
            continue;
        };
        for role in [Role::Server, Role::Client] {
            let cases = peer.cases(role);
            let mut passed = 0;
            for case in &cases {
                match stage.try_case(&peer, case) {
                    Ok(()) => passed += 1,
                    Err(why) => {
                        eprintln!("{}: {case}: {why}", peer.name);
                        writeln!(failures, "- {}: {case}", peer.name)?;
                    }
                }
            }
            if cases.is_empty() {
                continue;
            }
            let name = peer.name;
            let who = match role {
                Role::Server => "server",
                Role::Client => "client",
            };
            let row = format!(
                "| {name} ({version}) | {who} | {} | {passed} |",
                cases.len()
            );
            println!("{row}");
            writeln!(table, "{row}")?;
        }
    }
    if writes {
        let text = std::fs::read_to_string(DOCUMENT)?;
        let (before, rest) = text.split_once(START).ok_or("no place for the table")?;
        let (_, after) = rest.split_once(END).ok_or("no end of the table")?;
        let failures = match failures.is_empty() {
            true => "\nNone failed.\n".to_string(),
            false => format!("\nThese failed:\n\n{failures}"),
        };
        std::fs::write(
            DOCUMENT,
            format!("{before}{START}{table}{failures}{END}{after}"),
        )?;
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.into())
    }
}
