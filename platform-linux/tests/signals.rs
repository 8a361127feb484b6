//! Signals as events of a loop.
//!
//! A process with a thread that does not block a signal is ended by it, and the usual test harness
//! has such threads: this is a program of its own, which runs its tests one after the other.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::retry_on_intr;
use rustix::process::{self, getpid, kill_process};
use usockets::{
    AllSockets, Error, Handler, Instant, Loop, Opened, Platform, Socket, Sockets, Waker,
};
use usockets_linux::{EventFd, Linux, Signal, block_signals, poll_inside};

/// Longest wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Notes what comes.
#[derive(Default)]
struct Notes {
    wakes: u32,
    signals: Vec<Signal>,
}

impl Handler<Linux> for Notes {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, Linux, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, Linux, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Linux, Self>) {
        self.wakes += 1;
        while let Some(signal) = sockets.net().platform_mut().next_signal() {
            self.signals.push(signal);
        }
    }
}

/// A loop over `linux`, and what came to it.
struct Side {
    server: Loop<'static, Linux, Notes>,
    notes: Notes,
}

impl Side {
    fn new(linux: Linux) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<_, _, 4>::new()));
        let server = Loop::new(linux, sockets, Box::leak(Box::new([0; 64])));
        Self {
            server,
            notes: Notes::default(),
        }
    }

    fn with(signals: &[Signal]) -> Self {
        Self::new(Linux::new().unwrap().with_signals(signals).unwrap())
    }

    /// Polls once, for at most `wait`.
    fn poll(&mut self, wait: Duration) {
        let until = self.server.platform().now().saturating_add(wait);
        self.server.poll(&mut self.notes, Some(until)).unwrap();
    }

    /// Polls until `count` signals have come; returns them.
    fn expect(&mut self, count: usize) -> Vec<Signal> {
        let until = std::time::Instant::now() + PATIENCE;
        while self.notes.signals.len() < count {
            assert!(std::time::Instant::now() < until, "signals are missing");
            self.poll(PATIENCE);
        }
        std::mem::take(&mut self.notes.signals)
    }

    /// Nothing comes, and the loop does not spin: its wait ends by the clock.
    fn expect_quiet(&mut self) {
        let wakes = self.notes.wakes;
        let since = std::time::Instant::now();
        self.poll(Duration::from_millis(20));
        assert!(
            since.elapsed() >= Duration::from_millis(20),
            "it did not wait"
        );
        assert_eq!(self.notes.wakes, wakes);
        assert_eq!(self.notes.signals, []);
    }
}

/// Sends a signal to this process.
fn send(signal: Signal) {
    let raw = i32::from(signal.number());
    // SIGRTMIN and above have no name.
    let signal = process::Signal::from_named_raw(raw);
    match signal {
        Some(signal) => kill_process(getpid(), signal).unwrap(),
        None => {
            let status = std::process::Command::new("kill")
                .arg(format!("-{raw}"))
                .arg(std::process::id().to_string())
                .status();
            assert!(status.unwrap().success());
        }
    }
}

fn a_signal_wakes_the_loop_once() {
    let mut side = Side::with(&[Signal::TERMINATE]);
    side.expect_quiet();
    for _ in 0..3 {
        send(Signal::TERMINATE);
        assert_eq!(side.expect(1), [Signal::TERMINATE]);
        side.expect_quiet();
    }
    assert_eq!(side.notes.wakes, 3);
}

fn two_at_once_both_come() {
    let mut side = Side::with(&[Signal::TERMINATE, Signal::HANGUP, Signal::USER_1]);
    send(Signal::TERMINATE);
    send(Signal::HANGUP);
    assert_eq!(side.expect(2), [Signal::HANGUP, Signal::TERMINATE]);
    side.expect_quiet();
}

fn one_that_came_many_times_is_one() {
    let mut side = Side::with(&[Signal::USER_1]);
    for _ in 0..1_000 {
        send(Signal::USER_1);
    }
    assert_eq!(side.expect(1), [Signal::USER_1]);
    side.expect_quiet();
}

/// More kinds than one read brings.
fn all_that_come_at_once_come() {
    let named = [
        1, 2, 3, 10, 12, 13, 14, 15, 17, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    ];
    let mut all: Vec<_> = named.into_iter().filter_map(Signal::from_number).collect();
    all.extend((40..44).filter_map(Signal::from_number));
    assert_eq!(all.len(), 24);
    let mut side = Side::with(&all);
    for &signal in all.iter().rev() {
        send(signal);
    }
    let mut got = side.expect(all.len());
    got.sort();
    assert_eq!(got, all);
    side.expect_quiet();
}

fn one_that_waits_before_the_loop_is_made_is_not_lost() {
    block_signals(&[Signal::HANGUP]).unwrap();
    send(Signal::HANGUP);
    let mut side = Side::with(&[Signal::HANGUP]);
    assert_eq!(side.expect(1), [Signal::HANGUP]);
}

fn others_do_not_come() {
    block_signals(&[Signal::HANGUP, Signal::TERMINATE]).unwrap();
    let mut side = Side::with(&[Signal::TERMINATE]);
    send(Signal::HANGUP);
    side.expect_quiet();
    // Of a loop that asked for it.
    assert_eq!(Side::with(&[Signal::HANGUP]).expect(1), [Signal::HANGUP]);
}

fn a_waker_and_signals_go_together() {
    let waker: &Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let linux = Linux::new().unwrap().with_waker(waker).unwrap();
    let mut side = Side::new(linux.with_signals(&[Signal::HANGUP]).unwrap());
    waker.wake();
    side.poll(PATIENCE);
    assert_eq!((side.notes.wakes, side.notes.signals.len()), (1, 0));
    send(Signal::HANGUP);
    assert_eq!(side.expect(1), [Signal::HANGUP]);
    waker.wake();
    send(Signal::HANGUP);
    assert_eq!(side.expect(1), [Signal::HANGUP]);
    side.expect_quiet();
}

/// A thread started later inherits the mask: no signal ends the process.
fn threads_do_not_get_it() {
    let mut side = Side::with(&[Signal::TERMINATE]);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || stopped.recv());
    for _ in 0..50 {
        send(Signal::TERMINATE);
        assert_eq!(side.expect(1), [Signal::TERMINATE]);
    }
    drop(stop);
    assert!(other.join().unwrap().is_err());
}

fn each_of_two_loops_has_its_own() {
    let mut one = Side::with(&[Signal::HANGUP]);
    let mut two = Side::with(&[Signal::TERMINATE]);
    send(Signal::TERMINATE);
    send(Signal::HANGUP);
    assert_eq!(two.expect(1), [Signal::TERMINATE]);
    assert_eq!(one.expect(1), [Signal::HANGUP]);
    one.expect_quiet();
    two.expect_quiet();
}

fn of_two_loops_with_the_same_one_gets_it() {
    let mut sides = [Side::with(&[Signal::HANGUP]), Side::with(&[Signal::HANGUP])];
    for _ in 0..10 {
        send(Signal::HANGUP);
        for side in &mut sides {
            side.poll(Duration::from_millis(5));
        }
        let mut got = sides
            .iter_mut()
            .map(|side| side.notes.signals.drain(..).count());
        assert_eq!(got.by_ref().sum::<usize>(), 1);
    }
    sides.iter_mut().for_each(Side::expect_quiet);
}

/// Inside a loop by `poll(2)`, which is level-triggered.
fn inside_another_loop() {
    let mut side = Side::with(&[Signal::HANGUP, Signal::TERMINATE]);
    let is_ready = |side: &Side, wait: i64| {
        let mut fds = [PollFd::new(side.server.platform(), PollFlags::IN)];
        let wait = Timespec {
            tv_sec: wait,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&wait)).unwrap() == 1
    };
    assert!(!is_ready(&side, 0));
    send(Signal::HANGUP);
    send(Signal::TERMINATE);
    assert!(is_ready(&side, 10));
    poll_inside(&mut side.server, &mut side.notes).unwrap();
    assert_eq!(side.notes.signals, [Signal::HANGUP, Signal::TERMINATE]);
    assert!(!is_ready(&side, 0));
}

/// Inside an edge-triggered one, with more signals than one read brings: each comes, although the
/// outer loop is told once.
fn inside_an_edge_triggered_loop() {
    let all: Vec<_> = [
        1, 2, 3, 10, 12, 13, 14, 15, 17, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    ]
    .into_iter()
    .filter_map(Signal::from_number)
    .collect();
    let mut side = Side::with(&all);
    let outer = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    let data = epoll::EventData::new_u64(1);
    epoll::add(&outer, side.server.platform().as_fd(), data, flags).unwrap();
    for &signal in &all {
        send(signal);
    }
    let mut events = Vec::with_capacity(4);
    let wait = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    // A stop of the machine interrupts it, which no handler sees (signal(7)).
    retry_on_intr(|| {
        let room = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(&outer, room, Some(&wait))
    })
    .unwrap();
    assert_eq!(events.len(), 1);
    // What a host does: polls while the loop is due.
    for _ in 0..10 {
        poll_inside(&mut side.server, &mut side.notes).unwrap();
        if side.server.next_deadline() != Some(Instant::ZERO) {
            break;
        }
    }
    side.notes.signals.sort();
    assert_eq!(side.notes.signals, all);
}

fn a_second_set_is_refused() {
    let linux = Linux::new().unwrap();
    let linux = linux.with_signals(&[Signal::HANGUP]).unwrap();
    assert_eq!(
        linux.with_signals(&[Signal::QUIT]).err(),
        Some(Error::Invalid)
    );
}

/// A loop that is gone leaves the signal blocked, and waiting for the next.
fn what_a_loop_did_not_take_is_left_to_the_next() {
    let side = Side::with(&[Signal::HANGUP]);
    send(Signal::HANGUP);
    drop(side);
    assert_eq!(Side::with(&[Signal::HANGUP]).expect(1), [Signal::HANGUP]);
}

fn main() {
    let tests: [(&str, fn()); _] = [
        ("a_signal_wakes_the_loop_once", a_signal_wakes_the_loop_once),
        ("two_at_once_both_come", two_at_once_both_come),
        (
            "one_that_came_many_times_is_one",
            one_that_came_many_times_is_one,
        ),
        ("all_that_come_at_once_come", all_that_come_at_once_come),
        (
            "one_that_waits_before_the_loop_is_made_is_not_lost",
            one_that_waits_before_the_loop_is_made_is_not_lost,
        ),
        ("others_do_not_come", others_do_not_come),
        (
            "a_waker_and_signals_go_together",
            a_waker_and_signals_go_together,
        ),
        ("threads_do_not_get_it", threads_do_not_get_it),
        (
            "each_of_two_loops_has_its_own",
            each_of_two_loops_has_its_own,
        ),
        (
            "of_two_loops_with_the_same_one_gets_it",
            of_two_loops_with_the_same_one_gets_it,
        ),
        ("inside_another_loop", inside_another_loop),
        (
            "inside_an_edge_triggered_loop",
            inside_an_edge_triggered_loop,
        ),
        ("a_second_set_is_refused", a_second_set_is_refused),
        (
            "what_a_loop_did_not_take_is_left_to_the_next",
            what_a_loop_did_not_take_is_left_to_the_next,
        ),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}
