//! The table of what RFC 9293 demands names tests that run, and leaves out no number.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The last MUST of RFC 9293, appendix B.
const LAST: usize = 69;

fn cells(line: &str) -> Option<[String; 4]> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<String> = inner.split(" | ").map(str::to_owned).collect();
    cells.try_into().ok()
}

/// Returns true if a test is there, `file::name`, and runs: of this program by what it says of
/// itself, of others by their text.
fn runs(root: &Path, own: &BTreeSet<String>, test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else {
        return false;
    };
    if !file.starts_with("smoltcp_") {
        return own.contains(test);
    }
    let path = root.join("../tests/tests").join(format!("{file}.rs"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let before = text.split_once(&format!("#[test]\nfn {name}()"));
    before.is_some_and(|(before, _)| {
        let attribute = before.lines().last().unwrap_or_default();
        !attribute.contains("#[ignore") && !attribute.contains("#[cfg")
    })
}

/// The tests of this program, without those that only run when asked for.
fn own() -> Option<BTreeSet<String>> {
    let list = |more: &[&str]| {
        let mut program = Command::new(std::env::current_exe().ok()?);
        let listed = program.arg("--list").args(more).output().ok()?;
        let text = String::from_utf8(listed.stdout).ok()?;
        let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
        Some(names.map(str::to_owned).collect::<BTreeSet<String>>())
    };
    let (all, ignored) = (list(&[])?, list(&["--ignored"])?);
    Some(&all - &ignored)
}

/// Without a part of the TCP its tests are not there either.
#[test]
#[cfg_attr(
    not(all(feature = "cubic", feature = "ecn", feature = "plpmtud")),
    ignore = "a part of the TCP is left out"
)]
fn every_must_has_a_test_that_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("src/tcp/RFC9293.md")).unwrap();
    let rows: Vec<[String; 4]> = table.lines().filter_map(cells).collect();
    let numbers = rows.iter().filter_map(|row| row[0].parse::<usize>().ok());
    assert!(numbers.eq(1..=LAST), "a number is missing");
    let own = own().unwrap();
    assert!(own.contains("requirements::every_must_has_a_test_that_runs"));
    let mut missing = Vec::new();
    for [number, what, place, test] in &rows {
        if ["MUST", "RFC"].contains(&number.as_str()) {
            continue;
        }
        let known = ["engine", "shell", "wire", "not kept"].contains(&place.as_str());
        assert!(known, "{number} is kept by {place}");
        if place != "not kept" && !runs(root, &own, test) {
            missing.push(format!("{number}, {what}: no test {test}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
