//! Makes copies of handlers, each with a bug, for `tests/finds_bugs.rs` to find, and of the
//! platform with its bed, for `tests/finds_broken_platforms.rs`.

use std::path::Path;
use std::{env, fs};

/// The name of a copy, the handler's source, and what is replaced by what.
const COPIES: [(&str, &str, &str, &str); 15] = [
    ("echo", ECHO, "", ""),
    (
        "echo_that_does_not_pause",
        ECHO,
        "        socket.pause();\n",
        "",
    ),
    (
        "echo_that_loses_a_byte",
        ECHO,
        "held.consume(sent)",
        "held.consume(sent + usize::from(sent > 0))",
    ),
    ("lines", LINES, "", ""),
    (
        "lines_that_sees_the_first_only",
        LINES,
        "rposition",
        "position",
    ),
    (
        "lines_that_drops_the_last",
        LINES,
        "_ if self.ended => held.len()",
        "_ if self.ended => 0",
    ),
    ("proxy", PROXY, "", ""),
    (
        "proxy_that_does_not_resume",
        PROXY,
        "            socket.net().resume(other);\n",
        "",
    ),
    (
        "proxy_that_loses_a_byte",
        PROXY,
        "held.consume(sent)",
        "held.consume(sent + usize::from(sent > 0))",
    ),
    ("frames", FRAMES, "", ""),
    (
        "frames_that_wants_its_length_alone",
        FRAMES,
        "self.input.len() < end",
        "self.input.len() <= end",
    ),
    (
        "frames_that_forgets_to_go_on",
        FRAMES,
        "        frames.advance(socket);\n    }\n}",
        "        let _ = (socket, frames);\n    }\n}",
    ),
    ("table", TABLE, "", ""),
    (
        "table_that_forgets_what_is_unsent",
        TABLE,
        "self.answers.drain(..sent)",
        "self.answers.drain(..)",
    ),
    (
        "table_that_finishes_before_its_answers",
        TABLE,
        "self.answers.is_empty() && self.ended",
        "self.ended",
    ),
];
const ECHO: &str = "../../platform-linux/examples/handlers/echo.rs";
const LINES: &str = "../../platform-linux/examples/handlers/lines.rs";
const PROXY: &str = "../../platform-linux/examples/handlers/proxy.rs";
const FRAMES: &str = "src/frames.rs";
const TABLE: &str = "src/table.rs";

/// As above, of the platform.
const PLATFORMS: [(&str, &str, &str); 9] = [
    ("pipes", "", ""),
    (
        "reports_as_much_as_there_is",
        "self.left = self.left.checked_sub(1)?;",
        "",
    ),
    (
        "reports_without_end",
        "self.left = self.left.checked_sub(1)?;
        self.reports.borrow_mut().pop_front()",
        "let mut reports = self.reports.borrow_mut();
        let ready = reports.pop_front()?;
        reports.push_back(ready);
        Some(ready)",
    ),
    (
        "forgets_facts_from_before_accept",
        "        end.report(peer);
        let peer",
        "        let peer",
    ),
    (
        "tells_of_the_end_before_the_bytes",
        "if end.input.is_empty() {",
        "if end.input.is_empty() || end.afterwards == Ok(Recv::Finished) {",
    ),
    (
        "keeps_its_error_until_all_is_read",
        "|end, _| end.afterwards).err()",
        "|end, _| end.input.is_empty().then_some(end.afterwards).unwrap_or(Ok(Recv::WouldBlock)))
            .err()",
    ),
    (
        "opens_beyond_its_backlog",
        "at.backlog.into()",
        "usize::MAX",
    ),
    (
        "forgets_who_waits",
        "        if accepting && !listener.waiting.is_empty() {
            listener.owner.report(Readiness::READABLE);
        }
",
        "",
    ),
    (
        "forgets_that_room_came_back",
        "            if was_full {
                peer.report(end);
            }
",
        "",
    ),
];
const PIPES: &str = "src/pipes.rs";
const BED: &str = "tests/bed/mod.rs";

fn main() {
    for (name, path, from, to) in COPIES {
        write_copy(name, &copy(path, from, to));
    }
    let bed = copy(BED, "use outside::pipes", "use super");
    for (name, from, to) in PLATFORMS {
        let platform = copy(PIPES, from, to);
        write_copy(name, &format!("{platform}\npub mod bed {{\n{bed}\n}}\n"));
    }
}

fn write_copy(name: &str, source: &str) {
    let out = env::var("OUT_DIR").expect("cargo says where");
    fs::write(Path::new(&out).join(name).with_extension("rs"), source).expect("a copy");
}

/// Returns a file in which `from` is replaced.
fn copy(path: &str, from: &str, to: &str) -> String {
    println!("cargo::rerun-if-changed={path}");
    let source = fs::read_to_string(path).expect("the source");
    if !from.is_empty() {
        assert_eq!(source.matches(from).count(), 1, "{path}: {from:?}");
    }
    // `include!` takes no documentation of a module.
    let lines = source.lines().filter(|line| !line.starts_with("//!"));
    let mut source = lines.collect::<Vec<_>>().join("\n");
    source.push('\n');
    match from {
        "" => source,
        from => source.replace(from, to),
    }
}
