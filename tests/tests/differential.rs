//! The same random program on the simulator, on Linux and on the stack in user space: what the
//! handlers on both sides are told is the same, but for the rules below, each of which is needed.
//!
//! `SEED=17` runs one program; `RUNS=1000 FIRST=5000` a thousand, from that one on; `.ci/soak
//! differential` runs 100,000.
#![cfg(all(target_os = "linux", not(feature = "sim-only")))]

use std::fmt::Write;
use std::time::Duration;

use usockets::{Closed, Endpoint, Platform, SocketId};
use usockets_conformance::script::Event;
use usockets_conformance::side::{Side, pattern, run_until};
use usockets_sim::Faults;
use usockets_tests::bed::{Bed, LinuxBed, SimBed, UserSpaceBed};
use usockets_tests::rng::{Rng, seeds};

/// Steps of a program, at most.
const STEPS_MAX: u64 = 14;
/// Connections of a program, at most.
const CONNECTIONS: usize = 3;
/// Bytes that are said at a time, at most.
const BYTES_MAX: u64 = 20_000;
/// Bytes that are said to a side that pauses, at most: fewer than any of the platforms holds.
const HELD_MAX: usize = 6_000;

/// Programs of which platforms once told otherwise: where a peer ends and then resets, where a side
/// pauses that is reset.
const ONCE: [u64; 6] = [1_038, 2_112, 22_407, 81_007, 92_173, 93_349];

/// One step. What is done of a connection that a side does not have is nothing.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect,
    Say(usize, usize, usize),
    Finish(usize, usize),
    Close(usize, usize),
    Abort(usize, usize),
    Pause(usize, usize),
    Resume(usize, usize),
}

/// Draws a program.
fn program(seed: u64) -> Vec<Step> {
    let rng = &mut Rng::new(seed);
    let mut steps = vec![Step::Connect];
    let mut left = [[None; CONNECTIONS]; 2];
    for _ in 0..rng.between(2, STEPS_MAX) {
        let (side, at) = (rng.index(2), rng.index(CONNECTIONS));
        steps.push(match rng.below(12) {
            0 => Step::Connect,
            1..=4 => {
                let mut len = rng.between(1, BYTES_MAX) as usize;
                if let Some(left) = &mut left[1 - side][at] {
                    len = len.min(*left);
                    *left -= len;
                }
                Step::Say(side, at, len)
            }
            5 => Step::Finish(side, at),
            6 => Step::Close(side, at),
            7 => Step::Abort(side, at),
            8 | 9 => {
                left[side][at] = left[side][at].or(Some(HELD_MAX));
                Step::Pause(side, at)
            }
            _ => {
                left[side][at] = None;
                Step::Resume(side, at)
            }
        });
    }
    steps
}

/// What may differ between platforms, and how it is passed over.
const RULES: [&str; 3] = [
    "bytes may come in other pieces: those that come in a row count as one",
    "a call that tells of room comes when a platform has it: it is left out",
    "a close with bytes unread resets the peer, which the stack in user space ends in order: \
     either counts as gone, and the bytes that only a reset brings a side that pauses are left out",
];

/// One connection: what each side was told, and how many bytes each said.
#[derive(Debug, Default)]
struct Connection {
    told: [Vec<Event>; 2],
    said: [usize; 2],
    /// How much of it a side had been told when it paused, if it still does.
    held: [Option<usize>; 2],
}

impl Connection {
    /// Returns true if a side closed although bytes of the other's were unread.
    fn closed_unread(&self, side: usize) -> bool {
        let told = &self.told[side];
        let closed = |event: &Event| matches!(event, Event::Close(_, Closed::Local(_)));
        let read = |event: &Event| match event {
            Event::Data(_, bytes) => bytes.len(),
            _ => 0,
        };
        told.iter().any(closed) && told.iter().map(read).sum::<usize>() < self.said[1 - side]
    }

    /// What a side was told, in words.
    fn words(&self, side: usize, rules: [bool; RULES.len()]) -> String {
        let mut words = Vec::new();
        let mut run = 0;
        let told = &self.told[side];
        let is_local = matches!(told.last(), Some(Event::Close(_, Closed::Local(_))));
        let is_gone = rules[2] && self.closed_unread(1 - side) && !is_local;
        let told = match self.held[side] {
            Some(held) if is_gone => &told[..held],
            _ => told,
        };
        for event in told {
            if let Event::Data(_, bytes) = event {
                run += bytes.len();
                if rules[0] {
                    continue;
                }
            }
            if matches!(event, Event::Writable(_)) && rules[1] {
                continue;
            }
            if run > 0 {
                words.push(format!("{run} bytes"));
                run = 0;
            }
            match event {
                Event::Data(..) => {}
                Event::Open(..) => words.push("open".into()),
                Event::Writable(_) => words.push("room".into()),
                Event::End(_) => words.push("end".into()),
                Event::Close(_, closed) => words.push(format!("close {closed:?}")),
                other => words.push(format!("{other:?}")),
            }
        }
        if run > 0 {
            words.push(format!("{run} bytes"));
        }
        if is_gone {
            words.retain(|word| word != "end" && !word.starts_with("close"));
            words.push("gone".into());
        }
        words.join("; ")
    }
}

/// The connections of a program, in the order of opening.
type Trace = Vec<Connection>;

fn words(trace: &Trace, rules: [bool; RULES.len()]) -> Vec<[String; 2]> {
    let both = |one: &Connection| [0, 1].map(|side| one.words(side, rules));
    trace.iter().map(both).collect()
}

/// Lets everything come about: until nothing did for `quiet`, or three virtual seconds.
fn let_come<B: Bed>(bed: &mut B, sides: &mut [&mut Side<B::P>], quiet: Duration) {
    let quiet = match bed.is_virtual() {
        true => Duration::from_secs(3),
        false => quiet,
    };
    let calls = |sides: &[&mut Side<B::P>]| sides.iter().map(|side| side.script.log.len()).sum();
    loop {
        let before: usize = calls(sides);
        run_until(bed, sides, quiet, |_| false);
        if calls(sides) == before {
            return;
        }
    }
}

/// Plays a program, whose steps are apart by the time in which nothing comes any more.
fn play<B: Bed>(bed: &mut B, steps: &[Step], quiet: Duration) -> Trace {
    let (mut server, mut client) = (Side::new(bed, 0), Side::new(bed, 1));
    let (_, addr) = server.listen(bed, 1);
    // Ids of each connection on the server and on the client.
    let mut ids: Vec<[SocketId; 2]> = Vec::new();
    let mut held = vec![[None; 2]; CONNECTIONS];
    for step in steps {
        let mut act = |side: usize, at: usize, does: &mut dyn FnMut(&mut Side<B::P>, SocketId)| {
            let side_of = if side == 0 { &mut server } else { &mut client };
            let Some(id) = ids.get(at).map(|ids| ids[side]) else {
                return;
            };
            if side_of.script.talks[&id].closed.is_none() {
                does(side_of, id);
            }
        };
        match *step {
            Step::Connect if ids.len() < CONNECTIONS => {
                let id = client.net().connect(Endpoint::tcp(addr), 2).unwrap();
                let count = ids.len();
                let long = bed.long();
                let opened = run_until(bed, &mut [&mut server, &mut client], long, |sides| {
                    sides.iter().all(|side| side.script.opened(count).is_some())
                });
                assert!(opened, "a connection opens");
                ids.push([server.script.opened(count).unwrap(), id]);
            }
            Step::Connect => {}
            Step::Say(side, at, len) => act(side, at, &mut |side, id| {
                if !side.script.talks[&id].finishing {
                    side.say(id, &pattern(len));
                }
            }),
            Step::Finish(side, at) => act(side, at, &mut |side, id| side.finish(id)),
            Step::Close(side, at) => act(side, at, &mut |side, id| side.net().close(id)),
            Step::Abort(side, at) => act(side, at, &mut |side, id| side.net().abort(id, 7)),
            Step::Pause(number, at) => act(number, at, &mut |side, id| {
                held[at][number] = held[at][number].or(Some(told(side, id).len()));
                side.net().pause(id);
            }),
            Step::Resume(number, at) => act(number, at, &mut |side, id| {
                held[at][number] = None;
                side.net().resume(id);
            }),
        }
        let_come(bed, &mut [&mut server, &mut client], quiet);
    }
    let connection = |([one, other], held): (&[SocketId; 2], &[Option<usize>; 2])| Connection {
        told: [told(&server, *one), told(&client, *other)],
        held: *held,
        said: [
            server.script.talks[one].sent,
            client.script.talks[other].sent,
        ],
    };
    ids.iter().zip(&held).map(connection).collect()
}

/// Returns what a side was told of a connection.
fn told<P: Platform>(side: &Side<P>, id: SocketId) -> Vec<Event> {
    let own = side.script.events().filter(|event| event.id() == Some(id));
    own.cloned().collect()
}

/// Plays a program everywhere, each with its platform's name.
fn everywhere(seed: u64, quiet: Duration) -> Vec<(&'static str, Trace)> {
    let steps = &program(seed);
    let mut user_space = UserSpaceBed::new(Duration::from_micros(30), 0, 1);
    vec![
        (
            "simulator",
            play(&mut SimBed::new(0, Faults::none()), steps, quiet),
        ),
        ("Linux", play(&mut LinuxBed::default(), steps, quiet)),
        ("user space", play(&mut user_space, steps, quiet)),
    ]
}

/// Returns true if the platforms do not tell the same.
fn differs(traces: &[(&str, Trace)], rules: [bool; RULES.len()]) -> bool {
    let first = words(&traces[0].1, rules);
    traces.iter().any(|(_, trace)| words(trace, rules) != first)
}

/// Writes what each platform told.
fn describe(seed: u64, traces: &[(&str, Trace)]) -> String {
    let mut text = format!("SEED={seed}: {:?}\n", program(seed));
    for (name, trace) in traces {
        let lines = words(trace, [true; RULES.len()]);
        for (at, [server, client]) in lines.into_iter().enumerate() {
            writeln!(
                text,
                "  {at} {name}\n    server: {server}\n    client: {client}"
            )
            .unwrap();
        }
    }
    text
}

/// Each program is played once everywhere, and compared with all rules and without each. One that
/// differs is played again with longer silences, as Linux may be late on a busy machine.
#[test]
fn platforms_tell_the_same_but_for_rules_that_are_needed() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = number("FIRST", 0);
    let seeds = seeds(number("RUNS", 120));
    let all = [true; RULES.len()];
    let mut wrong = String::new();
    let mut is_needed = [false; RULES.len()];
    let is_first = first == 0 && seeds.len() >= 100;
    let once = if is_first { &ONCE[..] } else { &[] };
    let programs = seeds.iter().map(|seed| first + seed);
    for seed in programs.chain(once.iter().copied()) {
        let mut traces = everywhere(seed, Duration::from_micros(1_500));
        if differs(&traces, all) {
            traces = everywhere(seed, Duration::from_millis(50));
        }
        if differs(&traces, all) {
            wrong += &describe(seed, &traces);
        }
        for (at, is_needed) in is_needed.iter_mut().enumerate() {
            let mut without = all;
            without[at] = false;
            *is_needed |= differs(&traces, without);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // There are too few in some hundreds of programs that need one of them.
    if is_first {
        let needless = RULES.iter().zip(is_needed).filter(|(_, needed)| !needed);
        let needless: Vec<_> = needless.map(|(rule, _)| rule).collect();
        assert!(needless.is_empty(), "no program needs: {needless:?}");
    }
}
