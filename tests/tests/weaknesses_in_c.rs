//! What is wrong with µSockets in C, by number, and how it is in the C library of this project:
//! which of its tests show that it is not so, and what its header says.
//!
//! A test in `bindings/c/tests` is a stretch of a program, from where it says its name to the next.
//! A comment on the line before names the weaknesses that it is about, as in `/* (W4, W21) */`; on
//! the first line of a file it is about the whole program. The table below and these names must
//! agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

mod written;

use self::Answer::{Kept, Measured, RuledOut, Tested};

/// What is done about a weakness.
enum Answer {
    /// These tests, as `file.c::name`; or of the core, as `file::function`, where it alone does it.
    Tested(&'static [&'static str]),
    /// `figures.py` holds a figure of this name.
    Measured(&'static str),
    /// It stays as it was, for this reason, and the header says so.
    Kept(&'static str),
    /// It cannot come about, for this reason.
    RuledOut(&'static str),
}

/// Number; what the header says of it, or nothing if a program in C cannot see it; answer.
const TABLE: [(u32, &str, Answer); 34] = [
    (
        1,
        "a socket that moves keeps its events",
        Tested(&[
            "adopting.c::a paused one that is reset",
            "adopting.c::into a larger block",
        ]),
    ),
    (
        2,
        "A pointer to a socket that moved or closed does nothing until the iteration is over",
        Tested(&[
            "adopting.c::a descriptor of elsewhere that moves in on_open, and whose peer is gone",
            "adopting.c::in on_open",
            "adopting.c::into a larger block",
        ]),
    ),
    (
        3,
        "Without free descriptors or sockets a listener pauses and goes on when there are some",
        Tested(&["limits.c::a full pool", "limits.c::no descriptors"]),
    ),
    (
        4,
        "Bytes that came before the peer's end, a hang-up or an error are delivered first",
        Tested(&[
            "adopting.c::a descriptor of elsewhere that moves in on_open, and whose peer is gone",
            "connecting.c::a path whose peer writes and goes at once",
            "streams.c::bytes that come with the peer's end, after our end",
        ]),
    ),
    (
        5,
        "A write that came short is always followed by on_writable, after us_socket_write2 as well",
        Tested(&["streams.c::more than the kernel takes, in two parts"]),
    ),
    (
        6,
        "no write raises SIGPIPE",
        Tested(&["streams.c::writes to a peer that has gone"]),
    ),
    (
        7,
        "Of room that others have a socket is not told",
        Tested(&["streams.c::room of another"]),
    ),
    (
        8,
        "A write to a socket that still connects takes nothing, and it opens all the same",
        Tested(&[
            "connecting.c::a write before it opens",
            "connecting.c::closing the context of one that connects",
        ]),
    ),
    (
        9,
        "closing a fallthrough timer does not end it",
        Tested(&["times.c::fallthrough timers that are closed end nothing"]),
    ),
    (
        10,
        "us_socket_context_close closes every socket, whatever on_close does meanwhile",
        Tested(&[
            "closing.c::all, while on_close closes siblings",
            "closing.c::while it connects",
        ]),
    ),
    (
        11,
        "on_end comes once. A short write neither resumes a paused socket nor a finished one",
        Tested(&[
            "streams.c::an end, then more than the kernel takes",
            "streams.c::ends",
        ]),
    ),
    (
        12,
        "none is put aside: each is read, timed and closed, also while others shake hands",
        Tested(&[
            "fairness::all_of_many_senders_are_done",
            "tls/layer::many_connections_with_little_memory",
        ]),
    ),
    (
        13,
        "Timeouts and timers never fire early",
        Tested(&[
            "clock.c::a time from before the wait",
            "long_timeouts.cpp",
            "names.c::an address that does not answer",
            "times.c::a timeout from on_timeout",
            "times.c::a timeout, whatever it was before",
        ]),
    ),
    (
        14,
        "Nothing ticks in an idle loop",
        Tested(&[
            "far_deadlines::an_idle_loop_is_not_polled",
            "loops.c::nothing ticks in an idle loop",
        ]),
    ),
    (
        15,
        "A timer is no descriptor",
        Tested(&["limits.c::a full pool"]),
    ),
    (16, "", Tested(&["closing.c::another socket, and oneself"])),
    (17, "", Measured("system calls of a short connection")),
    (
        18,
        "Waits for the resolver unless host is an address",
        Kept("the call returns the socket, or why there is none"),
    ),
    (
        19,
        "Every address of a host is tried, to listen and to connect, until one can be had",
        Tested(&[
            "connecting.c::nobody there",
            "names.c::an address that does not answer",
            "names.c::from an address of the other family",
            "names.c::none answers",
            "names.c::the last address answers",
        ]),
    ),
    (
        20,
        "A listener, and a socket that is read, yield to the others",
        Tested(&[
            "fairness::a_firehose_does_not_starve_another_connection",
            "fairness::a_flood_of_connections_does_not_starve_an_open_one",
        ]),
    ),
    (
        21,
        "us_socket_close_reason says why the library closed a socket",
        Tested(&["connecting.c::nobody there", "streams.c::a reset"]),
    ),
    (
        22,
        "A path that is too long for a socket of the file system is refused",
        Tested(&[
            "connecting.c::a path of something else",
            "connecting.c::a path that is too long, a name that is none",
        ]),
    ),
    (
        23,
        "Any callback may be left out or be NULL: nothing is called then",
        Tested(&[
            "limits.c::no callbacks",
            "limits.c::no descriptors",
            "limits.c::no memory",
        ]),
    ),
    (
        24,
        "Other listeners may share the port (SO_REUSEPORT), as threads of one server do",
        Tested(&["connecting.c::a port that is taken, or shared"]),
    ),
    (
        25,
        "Listens at the first address of a host that can be, IPv6 ones first",
        Tested(&[
            "connecting.c::every address",
            "names.c::listens at the address that there is",
        ]),
    ),
    (
        26,
        "A buffer takes the memory that is written to, whatever its size",
        RuledOut("buffers are reserved addresses, of which the kernel gives what is touched"),
    ),
    (
        27,
        "Datagrams: IPv6 addresses are whole, drain_cb is called",
        Tested(&[
            "datagrams.c::both families",
            "datagrams.c::many, and the longest",
            "datagrams.c::what cannot be sent, and what comes back",
        ]),
    ),
    (
        28,
        "TLS clients verify the server's name. A server with ca_file_name demands a certificate of \
         every client",
        Tested(&[
            "tls.c::a certificate for another name",
            "tls.c::a certificate for the name",
            "tls.c::a client that should and does not",
            "tls/layer::an_end_without_close_notify_is_truncation",
            "tls/refusals::clients_by_policy_and_name",
        ]),
    ),
    (
        29,
        "from then on everything knows by itself whether it is secured",
        Tested(&["hammer.c"]),
    ),
    (
        30,
        "A context in which nothing is left may be freed inside of any callback",
        Tested(&["times.c::a context freed by a timeout, among others that are due"]),
    ),
    (
        31,
        "returns how many were taken, 0 to length",
        Tested(&["streams.c::writes to a peer that has gone"]),
    ),
    (
        32,
        "A listener is no socket: what a function of sockets does to it is nothing",
        Tested(&["times.c::a listener has none"]),
    ),
    (
        33,
        "What is not here, on purpose: QUIC",
        RuledOut("QUIC is not built"),
    ),
    (
        34,
        "The library prints nothing",
        Tested(&["datagrams.c::both families"]),
    ),
];

fn bindings() -> PathBuf {
    written::repository().join("bindings/c")
}

/// The numbers of a comment that names weaknesses, and nothing else.
fn numbers(line: &str) -> Vec<u32> {
    let text = line
        .trim()
        .trim_start_matches("/* ")
        .trim_start_matches("// ");
    let text = text.trim_end_matches(" */");
    let inside = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let words = inside.unwrap_or_default().split(", ");
    let numbers = words.map(|word| word.strip_prefix('W')?.parse().ok());
    numbers.collect::<Option<_>>().unwrap_or_default()
}

/// The name that a line gives to the test that begins there.
fn name(line: &str) -> Option<&str> {
    let begins = ["begin(", "begin_at(", "begin_alone(", "start(", "SAY(\"-- "];
    let line = line.trim();
    begins.iter().find(|word| line.starts_with(**word))?;
    let text = line.split('"').nth(1)?;
    Some(text.trim_start_matches("-- "))
}

/// What the programs say to test: the number of each weakness, and the test. Faults go to `faults`.
fn in_programs(faults: &mut Vec<String>) -> BTreeSet<(u32, String)> {
    let runs = fs::read_to_string(bindings().join("test.sh")).unwrap();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(bindings().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !file.ends_with(".c") && !file.ends_with(".cpp") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let prints = text
            .split_once("/* Prints:")
            .map_or("", |(_, prints)| prints);
        let mut pending = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let new = numbers(line);
            if at == 0 {
                found.extend(new.into_iter().map(|number| (number, file.clone())));
                continue;
            }
            if !new.is_empty() && !pending.is_empty() {
                faults.push(format!("{file}:{at}: no test begins"));
            }
            pending.extend(new);
            if let Some(name) = name(line)
                && !pending.is_empty()
            {
                if !prints.lines().any(|line| line == format!("-- {name}")) || !runs.contains(&file)
                {
                    faults.push(format!("{file}::{name} is not run"));
                }
                let test = format!("{file}::{name}");
                found.extend(pending.drain(..).map(|number| (number, test.clone())));
            }
        }
        if !pending.is_empty() {
            faults.push(format!("{file}: no test begins at its end"));
        }
    }
    found
}

#[test]
fn the_table_and_the_programs_agree() {
    let mut faults = Vec::new();
    let in_programs = in_programs(&mut faults);
    let tests_in_rust = written::test_paths();
    let mut in_table = BTreeSet::new();
    for (number, _, answer) in &TABLE {
        let Tested(tests) = answer else {
            continue;
        };
        assert!(!tests.is_empty(), "nothing tests W{number}");
        for test in *tests {
            if test.contains(".c") {
                in_table.insert((*number, (*test).to_owned()));
            } else if !tests_in_rust.contains(*test) {
                faults.push(format!("W{number}: there is no test {test}"));
            }
        }
    }
    for (number, test) in in_programs.difference(&in_table) {
        faults.push(format!("the table's line {number} lacks {test:?}"));
    }
    for (number, test) in in_table.difference(&in_programs) {
        faults.push(format!(
            "{test} is in the table's line {number} and does not name it"
        ));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Every number is in the table, with an answer, and the header says what the table says that it
/// does.
#[test]
fn every_weakness_has_an_answer_and_the_header_says_it() {
    let header = fs::read_to_string(bindings().join("include/libusockets.h")).unwrap();
    let words = header
        .split_whitespace()
        .filter(|word| !["*", "/*", "*/", "-"].contains(word));
    let header = words.collect::<Vec<_>>().join(" ");
    let figures = fs::read_to_string(bindings().join("tests/figures.py")).unwrap();
    for ((number, said, answer), expected) in TABLE.iter().zip(1..) {
        assert_eq!(*number, expected);
        assert!(
            header.contains(said),
            "W{number}: the header does not say {said:?}"
        );
        match answer {
            Tested(tests) => assert!(!tests.is_empty()),
            Measured(figure) => assert!(figures.contains(&format!("hold(\"{figure}\""))),
            Kept(reason) => assert!(!reason.is_empty() && !said.is_empty(), "W{number}"),
            RuledOut(reason) => assert!(!reason.is_empty()),
        }
    }
}
