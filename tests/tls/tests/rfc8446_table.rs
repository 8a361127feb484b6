//! The table of tests/TLS.md from the demands of RFC 8446 to tests: what it names is there, and
//! each section of the protocol is tested in both roles, or it is said why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Sections of the RFC that demand something of both roles, or of one: what the table must have.
const SECTIONS: [(&str, &[&str]); 37] = [
    ("4", BOTH),
    ("4.1.1", BOTH),
    ("4.1.2", BOTH),
    ("4.1.3", &["client"]),
    ("4.1.4", BOTH),
    ("4.2", BOTH),
    ("4.2.1", BOTH),
    ("4.2.2", BOTH),
    ("4.2.3", BOTH),
    ("4.2.6", BOTH),
    ("4.2.7", BOTH),
    ("4.2.8", BOTH),
    ("4.2.8.2", BOTH),
    ("4.2.9", BOTH),
    ("4.2.10", BOTH),
    ("4.2.11", BOTH),
    ("4.3.1", BOTH),
    ("4.3.2", BOTH),
    ("4.4.1", BOTH),
    ("4.4.2", BOTH),
    ("4.4.2.2", BOTH),
    ("4.4.2.4", BOTH),
    ("4.4.3", BOTH),
    ("4.4.4", BOTH),
    ("4.5", BOTH),
    ("4.6.1", BOTH),
    ("4.6.2", &["client"]),
    ("4.6.3", BOTH),
    ("5.1", BOTH),
    ("5.2", BOTH),
    ("5.4", BOTH),
    ("6.1", BOTH),
    ("6.2", BOTH),
    ("7.1", BOTH),
    ("9.2", BOTH),
    ("D.4", BOTH),
    ("D.5", BOTH),
];
const BOTH: &[&str] = &["client", "server"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the names of the tests in a file.
fn tests_in(file: &str) -> BTreeSet<String> {
    let path = match file {
        "rfc8446_traces" => root().join("core/src/tls/handshake/rfc8448.rs"),
        file => root()
            .join("tests/tls/tests")
            .join(file)
            .with_extension("rs"),
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display()));
    let mut names = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(name) = line.strip_prefix("fn ").filter(|_| is_test) {
            names.extend(name.split('(').next().map(str::to_string));
            is_test = false;
        }
    }
    names
}

#[test]
fn each_row_has_its_tests_and_each_section_its_rows() {
    let text = std::fs::read_to_string(root().join("tests/TLS.md")).unwrap();
    let (_, table) = text.split_once("<!-- RFC 8446 -->\n").expect("the table");
    let (table, _) = table.split_once("<!-- end -->").expect("its end");
    let mut roles: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut count = 0;
    for line in table.lines().skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [section, what, role, tests] = cells[..] else {
            panic!("{line}");
        };
        assert!(!what.is_empty(), "{line}");
        let known = roles.entry(section).or_default();
        match role {
            "both" => known.extend(BOTH),
            "client" | "server" => known.extend([role]),
            _ => panic!("{line}"),
        }
        count += 1;
        if let Some(reason) = tests.strip_prefix("by design: ") {
            assert!(reason.len() > 20, "{line}");
            continue;
        }
        for test in tests.split(", ") {
            let (file, name) = test.split_once("::").expect(line);
            let there = files.entry(file).or_insert_with(|| tests_in(file));
            assert!(there.contains(name), "{test} is not there: {line}");
        }
    }
    for (section, wanted) in SECTIONS {
        let known = roles
            .get(section)
            .unwrap_or_else(|| panic!("nothing of {section}"));
        for role in wanted {
            assert!(known.contains(role), "{section} as {role}");
        }
    }
    println!("{count} rows, {} sections", roles.len());
    assert!(count >= 70, "{count}");
}
