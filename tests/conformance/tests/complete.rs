//! The macros list every test of the suite: one that is forgotten would never run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_macros_list_every_test() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut written = BTreeSet::new();
    for entry in fs::read_dir(source.join("suite")).unwrap() {
        let path = entry.unwrap().path();
        let subject = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in fs::read_to_string(&path).unwrap().lines() {
            if let Some(function) = line.strip_prefix("pub fn ")
                && let Some((name, rest)) = function.split_once('<')
                && rest.starts_with("B: Bed>(bed: &mut B)")
            {
                written.insert((subject.clone(), name.to_owned()));
            }
        }
    }
    let mut listed = BTreeSet::new();
    let mut subject = String::new();
    let text = fs::read_to_string(source.join("list.rs")).unwrap();
    // Two lists: of all platforms, and of those that have datagrams.
    let (_, lists) = text.split_once("@subjects $how\n").unwrap();
    let code = lists.lines().map(str::trim);
    for line in code.filter(|line| !line.starts_with("///")) {
        if let Some(name) = line.strip_suffix(':') {
            subject = name.to_owned();
        } else if let Some(name) = line.strip_suffix(',') {
            listed.insert((subject.clone(), name.to_owned()));
        }
    }
    assert!(listed.len() > 90, "{} tests were found", listed.len());
    assert_eq!(written, listed);
}
