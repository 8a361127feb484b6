//! A part of the matrix of `tls_matrix`: with each program that Debian has, every pair of what
//! can be chosen.
//!
//! A program that is not installed is skipped, and where `CI` is set that is a failure.

use usockets_tests_tls::matrix::{Case, Role, Stage, peers};

#[test]
fn every_pair_with_every_common_program() {
    let stage = Stage::new();
    let mut failures = Vec::new();
    for peer in peers().iter().filter(|peer| peer.is_common) {
        let Some(version) = peer.version() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{} is not installed",
                peer.name
            );
            eprintln!("{} is not installed: skipped", peer.name);
            continue;
        };
        for role in [Role::Server, Role::Client] {
            let cases = Case::pairwise(&peer.cases(role));
            println!("{version}, {role:?}: {} combinations", cases.len());
            for case in cases {
                if let Err(why) = stage.try_case(peer, &case) {
                    failures.push(format!("{}: {case}: {why}", peer.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
