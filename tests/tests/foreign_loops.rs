//! A loop inside another one that is edge-triggered and knows only the platform's wait handle and
//! `next_deadline`: nothing is forgotten, nothing comes late, and nothing spins.

use std::time::Duration;

use usockets::{Closed, Error, Instant, Platform};
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::script::Event;
use usockets_tests::side::Side;

on_every_platform!(
    more_ready_sockets_than_one_wait_holds_are_all_served,
    timers_come_and_nothing_else_does,
);

/// More than one wait of any platform brings.
const MANY: usize = 280;

/// A loop and how often the outer one has polled it.
struct Inner<P: Platform + 'static> {
    side: Side<P>,
    polls: u32,
}

impl<P: Platform + 'static> Inner<P> {
    fn new(bed: &mut impl Bed<P = P>, host: usize) -> Self {
        let platform = bed.platform();
        let side = Side::with::<300>(host, platform, 4_096, 0);
        Self { side, polls: 0 }
    }

    /// Returns true if the loop has something to do by itself.
    fn is_due(&self, bed: &impl Bed<P = P>) -> bool {
        let deadline = self.side.lp.next_deadline();
        // A simulated network is told until when to go on.
        bed.is_due(self.side.host, deadline);
        deadline.is_some_and(|deadline| deadline <= self.side.lp.platform().now())
    }

    /// Polls the loop if the outer one has reason to.
    fn turn(&mut self, bed: &mut impl Bed<P = P>) -> bool {
        let is_due = self.is_due(bed) | bed.edge(self.side.host);
        if is_due {
            self.polls += 1;
            let (lp, script) = (&mut self.side.lp, &mut self.side.script);
            lp.poll(script, Some(Instant::ZERO))
                .expect("a sound platform");
        }
        is_due
    }
}

/// The outer loop: runs until `done`, for at most `limit` of the bed's time; whether it was.
fn run<B: Bed>(
    bed: &mut B,
    inner: &mut [&mut Inner<B::P>],
    limit: Duration,
    mut done: impl FnMut(&[&mut Inner<B::P>]) -> bool,
) -> bool {
    let end = bed.now() + limit;
    while bed.now() < end {
        let mut idle = true;
        for one in &mut *inner {
            idle &= !one.turn(bed);
        }
        if done(inner) {
            return true;
        }
        if idle {
            bed.pass(end.saturating_sub(bed.now()));
        }
    }
    false
}

/// Many sockets become ready together, on both sides, and each is served (255 of 700 were).
fn more_ready_sockets_than_one_wait_holds_are_all_served<B: Bed>(bed: &mut B) {
    let mut server = Inner::new(bed, 0);
    let mut client = Inner::new(bed, 1);
    server.side.script.echo = true;
    let (_, addr) = server.side.listen(bed, 1);
    let both = &mut [&mut server, &mut client];
    let long = bed.long();
    let mut ids = Vec::new();
    while ids.len() < MANY {
        match both[1].side.connect(addr, 2) {
            Ok(id) => ids.push(id),
            // A layer has memory for some handshakes at a time.
            Err(error) => {
                assert_eq!(error, Error::Exhausted);
                run(bed, both, Duration::from_millis(5), |_| false);
            }
        }
    }
    let opened = |side: &Side<B::P>| side.lp.stats().open as usize == MANY;
    assert!(
        run(bed, both, long, |both| {
            both.iter().all(|inner| opened(&inner.side))
        }),
        "{} and {} opened",
        both[0].side.lp.stats().open,
        both[1].side.lp.stats().open,
    );
    for round in 1..=2 {
        for id in &ids {
            both[1].side.say(*id, b"hello");
        }
        let heard = |inner: &Inner<B::P>| inner.side.lp.stats().received;
        let all = 5 * MANY as u64 * round;
        assert!(
            run(bed, both, long, |both| heard(both[1]) >= all),
            "{} and {} of {all} bytes arrived",
            heard(both[0]),
            heard(both[1]),
        );
    }
}

/// A timer that repeats comes on time; without one, and with a connection that is idle, the outer
/// loop sleeps.
fn timers_come_and_nothing_else_does<B: Bed>(bed: &mut B) {
    let mut server = Inner::new(bed, 0);
    let mut client = Inner::new(bed, 1);
    let (_, addr) = server.side.listen(bed, 1);
    client.side.connect(addr, 2).unwrap();
    let both = &mut [&mut server, &mut client];
    let long = bed.long();
    assert!(run(bed, both, long, |both| {
        both.iter().all(|inner| inner.side.lp.stats().open == 1)
    }));
    run(bed, both, Duration::from_millis(200), |_| false);
    let tick = Duration::from_millis(20);
    let started = bed.now();
    both[1].side.net().start_timer(tick, tick).unwrap();
    run(bed, both, Duration::from_millis(500), |_| false);
    let expected = ((bed.now() - started).as_millis() / tick.as_millis()) as usize;
    let come = |event: &Event| match event {
        Event::Timer(_, missed) => *missed as usize + 1,
        _ => 0,
    };
    let ticks: usize = both[1].side.script.events().map(come).sum();
    let range = expected.saturating_sub(5)..=expected;
    assert!(range.contains(&ticks), "{ticks} of {expected} ticks");
    let has_handle = bed.is_virtual() || !bed.edge(0);
    if has_handle && bed.is_smooth() {
        let before = both[0].polls;
        run(bed, both, Duration::from_millis(500), |_| false);
        let polls = both[0].polls - before;
        assert!(polls <= 5, "{polls} polls of a loop that has nothing to do");
    }
}

/// A wake-up from another thread reaches a loop inside another one.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn a_wake_up_is_an_edge_too() {
    use usockets::Waker;
    use usockets_linux::{EventFd, Linux};
    use usockets_tests::bed::LinuxBed;

    let waker: &'static _ = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let bed = &mut LinuxBed::default();
    let platform: Linux = bed.platform().with_waker(waker).unwrap();
    let side = Side::with::<1>(0, platform, 16, 0);
    let mut inner = Inner { side, polls: 0 };
    run(bed, &mut [&mut inner], Duration::from_millis(20), |_| false);
    for wakes in 1..=3 {
        let thread = std::thread::spawn(|| waker.wake());
        let long = Duration::from_secs(10);
        let told = |event: &Event| *event == Event::Wake;
        assert!(run(bed, &mut [&mut inner], long, |inner| {
            inner[0].side.script.count(told) == wakes
        }));
        thread.join().unwrap();
    }
}

/// Nobody answers a connect: its deadline is the outer loop's too.
#[test]
fn a_connect_that_nobody_answers_ends_in_time() {
    usockets_tests::bed::on_user_space(|bed| {
        let mut client = Inner::new(bed, 0);
        let _silent = bed.platform();
        let addr = bed.addr(1);
        let id = client.side.connect((addr.ip(), 80).into(), 2).unwrap();
        let minute = Duration::from_secs(60);
        assert!(run(bed, &mut [&mut client], minute, |inner| {
            inner[0].side.script.events().next().is_some()
        }));
        let events: Vec<_> = client.side.script.events().cloned().collect();
        let [Event::ConnectError(told, 2, error)] = events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(told, id);
        assert!(matches!(error, Error::TimedOut | Error::Unreachable));
        assert_eq!(client.side.script.closed(id), None::<Closed>);
        let took = bed.now();
        assert!(took < Duration::from_secs(13), "{took:?}");
    });
}
