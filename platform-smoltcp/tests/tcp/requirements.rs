//! The table of what RFC 9293 demands names tests that exist, and leaves out no number.

use std::fs;
use std::path::Path;

/// The last MUST of RFC 9293, appendix B.
const LAST: usize = 69;

fn cells(line: &str) -> Option<[String; 4]> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<String> = inner.split(" | ").map(str::to_owned).collect();
    cells.try_into().ok()
}

/// Returns true if a test is there: `file::name`.
fn exists(root: &Path, test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else {
        return false;
    };
    let folder = if file.starts_with("smoltcp_") {
        "../tests/tests"
    } else {
        "tests/tcp"
    };
    let path = root.join(folder).join(format!("{file}.rs"));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.contains(&format!("#[test]\nfn {name}()"))
}

#[test]
fn every_must_has_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("src/tcp/RFC9293.md")).unwrap();
    let rows: Vec<[String; 4]> = table.lines().filter_map(cells).collect();
    let numbers = rows.iter().filter_map(|row| row[0].parse::<usize>().ok());
    assert!(numbers.eq(1..=LAST), "a number is missing");
    let mut missing = Vec::new();
    for [number, what, place, test] in &rows {
        if number == "MUST" {
            continue;
        }
        let known = ["engine", "shell", "wire", "not kept"].contains(&place.as_str());
        assert!(known, "MUST-{number} is kept by {place}");
        if place != "not kept" && !exists(root, test) {
            missing.push(format!("MUST-{number}, {what}: no test {test}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
