//! A loop inside another one that is edge-triggered and knows only the platform's wait handle and
//! `next_deadline`: nothing is forgotten, nothing comes late, and nothing spins.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::Side;
use crate::strict::{Strict, StrictBed};
use std::time::Duration;
use usockets::{Error, Instant, Platform};

/// More than one wait of any platform brings.
const MANY: usize = 280;

/// A loop and how often the outer one has polled it.
pub struct Inner<P: Platform + 'static> {
    /// The loop.
    pub side: Side<P>,
    /// How often it was polled.
    pub polls: u32,
}

impl<P: Platform + 'static> Inner<P> {
    /// Makes a loop on a further host of a bed; `host` is its number.
    pub fn new(bed: &mut impl Bed<P = P>, host: usize) -> Self {
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
pub fn run<B: Bed>(
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

/// Many sockets become ready together, on both sides, and each is served (255 of 700 were). No poll
/// gives more reports than the bed says.
pub fn more_ready_sockets_than_one_wait_holds_are_all_served<B: Bed>(bed: &mut B) {
    let bed = &mut StrictBed(bed);
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
    let opened = |side: &Side<Strict<B::P>>| side.lp.stats().open as usize == MANY;
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
        let heard = |inner: &Inner<Strict<B::P>>| inner.side.lp.stats().received;
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
pub fn timers_come_and_nothing_else_does<B: Bed>(bed: &mut B) {
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
