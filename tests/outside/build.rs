//! Makes copies of handlers, each with a bug, for `tests/finds_bugs.rs` to find.

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

fn main() {
    let out = env::var("OUT_DIR").expect("cargo says where");
    for (name, path, from, to) in COPIES {
        println!("cargo::rerun-if-changed={path}");
        let source = fs::read_to_string(path).expect("the handler's source");
        assert!(source.contains(from), "{path} has no {from:?} any more");
        // `include!` takes no documentation of a module.
        let lines = source.lines().filter(|line| !line.starts_with("//!"));
        let mut source = lines.collect::<Vec<_>>().join("\n");
        source.push('\n');
        if !from.is_empty() {
            assert_eq!(source.matches(from).count(), 1, "{path}: {from:?}");
            source = source.replace(from, to);
        }
        fs::write(Path::new(&out).join(name).with_extension("rs"), source).expect("a copy");
    }
}
