//! What reads documents says what is wrong with them: of the public interface, no function that
//! reads something returns an `Option`, whose `None` would mean an end, a fault and a lack of room
//! alike.

use std::fs;
use std::path::{Path, PathBuf};

/// How names of functions begin that read what a file or a peer says.
const READING: [&str; 7] = [
    "decode", "from_der", "from_pem", "load", "next", "parse", "read",
];
/// Functions that are named so and whose `None` means one thing, and what.
const OTHERS: [(&str, &str, &str); 12] = [
    (
        "event_loop/mod.rs",
        "next_deadline",
        "nothing is waited for",
    ),
    ("event_loop/mod.rs", "next_wait", "nothing is waited for"),
    (
        "async/src/reactor.rs",
        "next_deadline",
        "nothing is waited for",
    ),
    ("sockets/local.rs", "next_descriptor", "none is left"),
    (
        "sockets/datagrams.rs",
        "next_datagram_error",
        "none is left",
    ),
    (
        "platform-posix/src/datagrams.rs",
        "next_error",
        "none is left",
    ),
    ("platform-posix/src/local.rs", "next", "none is left"),
    (
        "platform-linux/src/signals.rs",
        "next_signal",
        "none is left",
    ),
    ("stack/dad.rs", "next_address_change", "none is left"),
    ("stack/echo.rs", "next_echo_reply", "none is left"),
    (
        "wire/icmp.rs",
        "parse",
        "a front of something else is quoted",
    ),
    (
        "wire/icmp.rs",
        "parse_udp",
        "a front of something else is quoted",
    ),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns what is behind `pub fn` in a line, and the lines after it.
fn signature(rest: &str) -> Option<&str> {
    let mut rest = rest.trim_start().strip_prefix("pub ")?;
    for word in ["const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.strip_prefix("fn ")?.split('{').next()
}

#[test]
fn what_reads_tells_what_is_wrong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for library in [
        "core",
        "core/async",
        "platform-linux",
        "platform-posix",
        "platform-smoltcp",
        "platform-windows",
    ] {
        files(&root.join(library).join("src"), &mut found);
    }
    let mut others = OTHERS.map(|(file, name, _)| (file, name, 0));
    let mut count = 0;
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let starts = text.match_indices('\n').map(|(at, _)| &text[at + 1..]);
        for signature in starts.filter_map(signature) {
            let name = signature.split(['(', '<']).next().unwrap();
            let reads = READING.iter().any(|start| {
                let rest = name.strip_prefix(start);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            });
            if !reads {
                continue;
            }
            count += 1;
            let answer = signature.split("->").nth(1).unwrap_or_default().trim();
            if !answer.starts_with("Option") {
                continue;
            }
            let is_it =
                |(file, other, _): &&mut (&str, &str, i32)| *other == name && path.ends_with(file);
            match others.iter_mut().find(is_it) {
                Some((_, _, used)) => *used += 1,
                None => panic!("{}: {name} does not say why not", path.display()),
            }
        }
    }
    println!("{count} functions read");
    assert!(count >= 25, "{count}: the search does not find them");
    assert!(others.iter().all(|(_, _, used)| *used > 0), "{others:?}");
}
