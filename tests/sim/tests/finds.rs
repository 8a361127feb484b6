//! The driver finds what is wrong with a handler, makes it small, and lets what is right pass.

use usockets::{Buffer, Handler, Opened, Platform, Socket};
use usockets_sim::{Driver, Faults, Peer, Step, Wrong};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    LosesTheRest,
    NeverResumes,
    ForgetsToPause,
    Panics,
    ForgetsTheEnd,
    Random,
}

/// An echo with a bug, or without.
struct Echo(Bug, u64);

impl<P: Platform> Handler<P> for Echo {
    type Ext = Buffer<1_024>;
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        if self.0 == Bug::ForgetsTheEnd {
            socket.set_timeout(usockets::Duration::from_secs(3_600));
        }
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = socket.write(data);
        if self.0 == Bug::LosesTheRest || sent == data.len() {
            return;
        }
        assert!(self.0 != Bug::Panics, "not all was taken");
        let _ = held.push(&data[sent..]);
        if self.0 != Bug::ForgetsToPause {
            socket.pause();
        }
        if self.0 == Bug::Random {
            let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            self.1 = clock.unwrap().as_nanos() as u64;
            socket.set_timeout(usockets::Duration::from_micros(self.1 % 1_000));
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() && self.0 != Bug::NeverResumes {
            socket.resume();
        }
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Self::Ext) {
        if self.0 != Bug::ForgetsTheEnd {
            socket.finish();
        }
    }
}

fn driver(bug: Bug) -> Driver<Echo> {
    Driver::listening(move || Echo(bug, 0), ())
        .peer(Peer::random(4_000).expects(<[u8]>::to_vec))
        .peer(Peer::random(4_000).slow().expects(<[u8]>::to_vec))
        .peer(Peer::random(500).half_closing().expects(<[u8]>::to_vec))
        .peer(Peer::random(500).resetting().expects(<[u8]>::to_vec))
        .peer(Peer::silent())
}

#[test]
fn what_is_right_passes() {
    let report = driver(Bug::None).check();
    assert_eq!(report.seeds, 200);
    assert!(report.opened > 200 && report.heard > 50_000, "{report:?}");
}

#[test]
fn what_is_right_passes_with_cuts_pauses_and_jumps() {
    let report = driver(Bug::None).disturbed().check();
    assert!(report.heard > 50_000, "{report:?}");
}

#[test]
fn every_bug_is_found_and_made_small() {
    use Bug::*;
    for bug in [
        LosesTheRest,
        NeverResumes,
        ForgetsToPause,
        Panics,
        ForgetsTheEnd,
    ] {
        let failure = driver(bug).run().expect_err("a bug");
        println!("{bug:?}: {failure}");
        assert!(failure.case.steps.len() <= 20, "{bug:?}: {failure}");
        let right = match bug {
            Panics => matches!(failure.wrong, Wrong::Panicked(_)),
            ForgetsTheEnd => matches!(failure.wrong, Wrong::KeepsOpen { .. }),
            NeverResumes => matches!(failure.wrong, Wrong::Talk { .. } | Wrong::NeverRead { .. }),
            _ => matches!(failure.wrong, Wrong::Talk { .. }),
        };
        assert!(right, "{bug:?}: {failure}");
    }
}

#[test]
fn what_depends_on_something_outside_is_found() {
    let failure = driver(Bug::Random).run().expect_err("a difference");
    println!("{failure}");
}

/// A case is the same whoever runs it, and whichever thread.
#[test]
fn a_case_repeats() {
    let driver = driver(Bug::None);
    for seed in 0..20 {
        let case = driver.case(seed);
        let (one, other) = (driver.replay(&case), driver.replay(&case));
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.trace, other.trace);
        assert!(one.trace.iter().any(|line| line.contains("step open")));
    }
}

/// Any bytes of a fuzzer are a case, and an echo that is right passes it.
#[test]
fn bytes_of_a_fuzzer_are_cases() {
    let driver = driver(Bug::None);
    let rng = &mut usockets_sim::rng::Rng::new(usockets_sim::rng::seed_or(5));
    for _ in 0..60 {
        let bytes: Vec<u8> = (0..rng.below(300)).map(|_| rng.next() as u8).collect();
        driver
            .run_case(&driver.from_bytes(&bytes))
            .expect("a right echo");
    }
}

/// "At 3 s, cut the link for 2 s": what is said then comes when the link is whole again.
#[test]
fn a_scripted_cut_delays_what_is_said_meanwhile() {
    use std::time::Duration;
    let driver = Driver::listening(|| Echo(Bug::None, 0), ())
        .peer(Peer::given(*b"hello").expects(<[u8]>::to_vec))
        .at(Duration::from_secs(3), Step::Cut(Duration::from_secs(2)))
        .at(
            Duration::from_millis(3_500),
            Step::Say { line: 0, bytes: 5 },
        );
    let mut case = driver.case(0);
    case.steps = vec![Step::Open { line: 0, peer: 0 }];
    let outcome = driver.replay(&case);
    assert_eq!(outcome.wrong, None);
    assert_eq!(outcome.heard, 5);
    assert!(outcome.time > Duration::from_secs(5));
    println!("{}", outcome.trace.join("\n"));
}

/// The message says what a person looks for: what is wrong, a script in words, who did what, and
/// only those properties of the network that are not usual.
#[test]
fn a_failure_is_told_in_words() {
    let driver = driver(Bug::LosesTheRest);
    // Under pressure it may be a part in the middle that is lost, which is told otherwise.
    let failure = (0..200).find_map(|seed| {
        let mut case = driver.case(seed);
        case.faults.pressure = 0;
        driver.run_case(&case).err()
    });
    let text = failure.expect("a bug").to_string();
    for words in [
        "bytes never came",
        "peer",
        "connects",
        "handler: send",
        "peers:   report #",
        "readable",
        "again: SEED=",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    let usual = Faults::none();
    assert_eq!(usual.to_string(), "no faults");
    let mut narrow = usual;
    (narrow.send_buffer, narrow.recv_buffer) = (1, 1);
    assert_eq!(narrow.to_string(), "send_buffer: 1, recv_buffer: 1");
}

/// A network that takes and delivers one byte at a time is no hang, and finds bugs too.
#[test]
fn networks_of_one_byte_are_no_hang() {
    for (bug, is_right) in [(Bug::None, true), (Bug::LosesTheRest, false)] {
        let driver = driver(bug);
        let mut case = driver.case(5);
        case.faults = Faults::none();
        case.faults.segment_max = 1;
        (case.faults.send_buffer, case.faults.recv_buffer) = (1, 1);
        case.steps = vec![
            Step::Open { line: 0, peer: 0 },
            Step::Pause { line: 0 },
            Step::Say {
                line: 0,
                bytes: 4_000,
            },
            Step::Wait(std::time::Duration::from_secs(1)),
            Step::Resume { line: 0 },
        ];
        let outcome = driver.replay(&case);
        assert_eq!(outcome.wrong.is_none(), is_right, "{:?}", outcome.wrong);
        assert!(!is_right || outcome.heard > 100, "{outcome:?}");
    }
}
