//! Memory pressure on a network where nothing else goes wrong: streams stay whole, nobody starves,
//! and a handler that only works where every write is taken is found.

use std::collections::HashMap;
use std::time::Duration;

use usockets::{Buffer, Handler, Opened, Platform, Socket};
use usockets_sim::rng::seeds;
use usockets_sim::{Case, Driver, Faults, Outcome, Peer, Step, Wrong};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    LosesTheRest,
    NeverResumes,
}

/// An echo with a bug, or without.
struct Echo(Bug);

impl<P: Platform> Handler<P> for Echo {
    type Ext = Buffer<2_048>;
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = socket.write(data);
        if self.0 != Bug::LosesTheRest && held.push(&data[sent..]) > 0 {
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() && self.0 != Bug::NeverResumes {
            socket.resume();
        }
    }
}

/// 2,000 bytes of which none is like those around it.
fn text(from: u32) -> Vec<u8> {
    (from..from + 2_000)
        .map(|number| (number * 7 % 251) as u8)
        .collect()
}

fn driver(bug: Bug) -> Driver<Echo> {
    Driver::listening(move || Echo(bug), ())
        .peer(Peer::given(text(1)).expects(<[u8]>::to_vec))
        .peer(Peer::given(text(7)).slow().expects(<[u8]>::to_vec))
}

/// Three peers talk, in pieces of up to 500 bytes, on a network whose one fault is pressure.
fn case(driver: &Driver<Echo>, seed: u64, pressure: u16) -> Case {
    let mut case = driver.case(seed);
    case.faults = Faults {
        pressure,
        ..Faults::none()
    };
    case.steps = (0..3)
        .map(|line| Step::Open {
            line,
            peer: line % 2,
        })
        .collect();
    for turn in 0..12 {
        let line = turn % 3;
        case.steps.push(Step::Say { line, bytes: 500 });
        case.steps.push(Step::Wait(Duration::from_millis(1)));
    }
    case
}

/// How often a connection got no memory.
fn pressures(outcome: &Outcome) -> usize {
    let is_one = |line: &&String| line.contains(": pressure ");
    outcome.trace.iter().filter(is_one).count()
}

/// A line of a trace: when, what, and of which sockets or how much.
fn parse(line: &str) -> Option<(u64, &str, u64, u64)> {
    let (micros, rest) = line.split_once(" µs  ")?;
    let (_, rest) = rest.split_once(": ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [what, a, b] = words[..] else { return None };
    Some((
        micros.trim().parse().ok()?,
        what,
        a.parse().ok()?,
        b.parse().ok()?,
    ))
}

/// Sends that took something, and arrivals, of connections that got no memory at that time.
fn moved_under_pressure(outcome: &Outcome) -> Vec<&str> {
    let (mut peers, mut until) = (HashMap::new(), HashMap::new());
    let mut moved = Vec::new();
    for line in &outcome.trace {
        let Some((now, what, a, b)) = parse(line) else {
            continue;
        };
        let taker = match what {
            "opened" => {
                peers.extend([(a, b), (b, a)]);
                continue;
            }
            "pressure" => {
                until.insert(a, now + b);
                continue;
            }
            "send" => a,
            "bytes" => peers[&a],
            _ => continue,
        };
        if b > 0 && until.get(&taker).is_some_and(|until| now < *until) {
            moved.push(line.as_str());
        }
    }
    moved
}

/// Also where each send and each arrival begins it anew, as nothing but pressure would happen then
/// if neither direction had its turn in between.
#[test]
fn streams_are_whole_and_nobody_starves() {
    let driver = driver(Bug::None);
    for seed in seeds(100) {
        for rate in [500, 5_000, 10_000] {
            let outcome = driver
                .run_case(&case(&driver, seed, rate))
                .unwrap_or_else(|failure| {
                    panic!("{failure}");
                });
            assert_eq!(
                (outcome.opened, outcome.said, outcome.heard),
                (3, 6_000, 6_000)
            );
        }
    }
}

#[test]
fn it_comes_and_goes() {
    let driver = driver(Bug::None);
    let calm = driver.replay(&case(&driver, 3, 0));
    let short = driver.replay(&case(&driver, 3, 3_000));
    assert_eq!(moved_under_pressure(&short), [""; 0]);
    assert_eq!(pressures(&calm), 0);
    assert!(pressures(&short) > 5, "{}", short.trace.join("\n"));
    // Without it, no send is taken in part or not at all.
    let blocked = |outcome: &Outcome| {
        outcome
            .trace
            .iter()
            .any(|line| line.ends_with(" 0") && line.contains(": send "))
    };
    assert!(blocked(&short) && !blocked(&calm));
    assert!(short.time > calm.time, "{:?} {:?}", short.time, calm.time);
    assert_eq!(calm.heard, short.heard);
}

/// Networks that are drawn have it, half of them, as they have other faults.
#[test]
fn it_is_drawn_with_the_other_faults() {
    let rates = (0..200).map(|seed| Faults::rough(seed).pressure);
    let without = rates.clone().filter(|rate| *rate == 0).count();
    assert!((80..120).contains(&without), "{without} of 200 have none");
    assert!(rates.clone().all(|rate| rate < 1_000) && rates.max() > Some(900));
    let driver = driver(Bug::None);
    let found = (0..40).filter(|seed| pressures(&driver.replay(&driver.case(*seed))) > 0);
    assert!(found.count() > 5);
}

#[test]
fn handlers_that_rely_on_memory_are_found() {
    for bug in [Bug::LosesTheRest, Bug::NeverResumes] {
        let driver = driver(bug);
        let found = (0..20).find_map(|seed| {
            let calm = driver.run_case(&case(&driver, seed, 0));
            assert!(calm.is_ok(), "{bug:?} needs pressure to show");
            driver.run_case(&case(&driver, seed, 500)).err()
        });
        let failure = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?}: {failure}");
        assert!(
            !matches!(failure.wrong, Wrong::Differs | Wrong::Panicked(_)),
            "{failure}"
        );
        assert_ne!(failure.case.faults.pressure, 0, "{failure}");
    }
}
