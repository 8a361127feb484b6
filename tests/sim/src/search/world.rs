//! A loop, its program and its network: one state of a search.

use usockets::{Loop, Place, Slot};

use super::app::{App, Book, Known};
use super::choices::Choices;
use super::explorer::{Fingerprint, Searched, calm_down};
use super::rules::{Act, Rules};
use super::wire::{Deed, Key, LINES_MAX, Line, Stage, Wire, listening};

/// Times of its own that a loop may wait for until everything is over.
const WAITS_MAX: usize = 400;

/// The memory of one loop.
pub(super) struct Memory<const HOLDS: bool> {
    slots: Vec<Slot<Key, ()>>,
    exts: Vec<Place<u8>>,
    buffer: Vec<u8>,
    cork: Vec<u8>,
}

impl<const HOLDS: bool> Memory<HOLDS> {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            slots: (0..rules.slots)
                .map(|_| Slot::free(Key::default()))
                .collect(),
            exts: (0..rules.slots).map(|_| Place::Vacant).collect(),
            buffer: vec![0; rules.buffer],
            cork: vec![0; rules.cork],
        }
    }
}

/// One state.
pub(super) struct World<'s, const HOLDS: bool> {
    lp: Loop<'s, Wire<HOLDS>, App>,
    app: App,
    rules: Rules,
    choices: Choices,
    /// How often the clock may move on, and the program act by itself.
    times: u8,
    tries: u8,
}

/// One thing that can happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Poll,
    Deed(usize, Deed),
    Act(usize, Act),
    /// The clock moves to the loop's next deadline, and by as much beyond.
    Time(u64),
}

impl<'s, const HOLDS: bool> World<'s, HOLDS> {
    /// Makes the first state, in which the listeners listen.
    pub(super) fn new(rules: Rules, choices: &Choices, memory: &'s mut Memory<HOLDS>) -> Self {
        let wire = Wire::new(rules, choices);
        let Memory {
            slots,
            exts,
            buffer,
            cork,
        } = memory;
        let lp = Loop::with_slices(wire, slots, exts, buffer);
        let mut lp = lp.expect("memory of some size").with_cork(cork);
        for (number, listener) in rules.listeners.iter().enumerate() {
            let at = listening(number).when_full(listener.when_full);
            let at = at.reserve(listener.reserve);
            lp.net().listen(at, ()).expect("a slot for each listener");
        }
        let now = lp.platform().now;
        Self {
            lp,
            app: App::new(rules, choices, now),
            rules,
            choices: choices.clone(),
            times: rules.times,
            tries: rules.tries,
        }
    }

    /// Returns what can happen now. That the loop runs comes first.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(16);
        steps.push(Step::Poll);
        for line in 0..self.rules.lines.len() {
            let can = |deed: &Deed| self.lp.platform().can(line, *deed);
            let deeds = Deed::ALL.into_iter().filter(can);
            steps.extend(deeds.map(|deed| Step::Deed(line, deed)));
        }
        if self.tries > 0 {
            for line in 0..self.rules.lines.len() {
                let can = |act: &&Act| self.app.can(line, **act) && (line == 0 || is_own(**act));
                let acts = self.rules.between.iter().filter(can);
                steps.extend(acts.map(|act| Step::Act(line, *act)));
            }
        }
        if self.times > 0 && self.next_time().is_some() {
            steps.extend([Step::Time(0), Step::Time(700)]);
        }
        steps
    }

    /// Returns when the loop next has something to do by itself, if not now.
    fn next_time(&self) -> Option<u64> {
        let at = self.lp.next_deadline()?.as_micros();
        (at > self.lp.platform().now).then_some(at)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Poll => self.poll(),
            Step::Deed(line, deed) => self.lp.platform_mut().happen(line, deed),
            Step::Act(line, act) => {
                self.tries -= 1;
                self.app.act(&mut self.lp.net(), line, act);
            }
            Step::Time(beyond) => {
                self.times -= 1;
                let at = self.next_time().unwrap_or_default() + beyond;
                self.set_time(at);
            }
        }
    }

    fn set_time(&mut self, at: u64) {
        self.choices.note(|| format!("clock: {at} µs"));
        self.lp.platform_mut().now = at;
        self.app.now = at;
    }

    fn poll(&mut self) {
        self.choices.note(|| "loop: polls".to_owned());
        self.app.now = self.lp.platform().now;
        let polled = self.lp.poll(&mut self.app, None);
        assert_eq!(polled, Ok(()), "the network does not fail");
        assert!(!self.app.is_late(), "a call of the clock does not come");
    }

    /// Checks what must hold in every state.
    fn check(&self) -> Result<(), String> {
        let wrong = self.app.wrong.or(self.lp.platform().wrong);
        let wrong = wrong.or_else(|| self.check_quiet().err());
        match wrong {
            None if self.lp.stats().breaches > 0 => Err("the contract is broken".to_owned()),
            None => Ok(()),
            Some(wrong) => Err(wrong.to_owned()),
        }
    }

    /// Whether nothing is to be reported, and the loop has nothing to do until its next deadline.
    fn is_quiet(&self) -> bool {
        let now = self.lp.platform().now;
        let works = self
            .lp
            .next_deadline()
            .is_some_and(|at| at.as_micros() <= now);
        !works && !self.lp.platform().is_pending()
    }

    /// Checks that nothing was forgotten, if all that was reported has been served.
    fn check_quiet(&self) -> Result<(), &'static str> {
        if !self.is_quiet() {
            return Ok(());
        }
        let wire = self.lp.platform();
        for (line, book) in wire.lines.iter().zip(&self.app.books) {
            self.check_line(line, book)?;
        }
        let held = wire.lines.iter().filter(|line| line.is_held()).count();
        let expected = held + wire.listening() + self.app.timers();
        let stats = self.lp.stats();
        check(
            stats.in_use as usize == expected,
            "a slot is not counted, or kept",
        )?;
        let open = self.app.books.iter();
        let open = open.filter(|book| book.known == Known::Open).count();
        check(stats.open as usize == open, "open sockets are not counted")?;
        let retries = self.rules.faults > 0 && self.lp.next_deadline().is_some();
        for (at, listener) in self.rules.listeners.iter().enumerate() {
            let free = self.rules.slots.saturating_sub(stats.in_use as usize);
            let may_take = free > listener.reserve as usize
                || (listener.when_full == usockets::WhenFull::EvictIdle && open > 0)
                || listener.when_full == usockets::WhenFull::Refuse;
            let waits = wire.has_waiting(at) && may_take && !retries;
            check(!waits, "a connection waits although there is room for it")?;
        }
        Ok(())
    }

    fn check_line(&self, line: &Line, book: &Book) -> Result<(), &'static str> {
        let is_kept = line.is_held() && book.known == Known::Closed;
        check(!is_kept || line.holds, "a line is kept that nobody needs")?;
        if line.stage == Stage::Open && line.is_held() {
            check(book.known != Known::No, "a connection does not open")?;
        }
        let is_answered = line.stage == Stage::Open || line.error.is_some();
        let asked = book.known == Known::Asked;
        check(!asked || !is_answered, "a connect is not told of")?;
        if book.known != Known::Open {
            return Ok(());
        }
        let knows = book.pulls && book.readable;
        let is_read = !book.paused && !knows;
        check(line.unread() == 0 || !is_read, "bytes are forgotten")?;
        let ends = line.peer_ended && !book.ended && is_read;
        check(!ends, "the peer's end is forgotten")?;
        check(line.error.is_none() || knows, "a break is forgotten")?;
        let writes = book.short && !book.finished && line.room(&self.rules) > 0;
        check(!writes, "on_writable is forgotten")?;
        let is_over = book.ended && line.finished && !line.holds;
        check(!is_over, "a close is forgotten")
    }

    /// Runs the loop until it is quiet.
    fn calm_down(&mut self) -> Result<(), String> {
        calm_down(|| {
            self.poll();
            self.check()?;
            Ok(self.is_quiet())
        })
    }
}

/// Returns true for what is about one line.
const fn is_own(act: Act) -> bool {
    !matches!(
        act,
        Act::Nothing | Act::Timer(_) | Act::Connect | Act::WriteStale | Act::Drain
    )
}

fn check(condition: bool, what: &'static str) -> Result<(), &'static str> {
    if condition { Ok(()) } else { Err(what) }
}

impl<const HOLDS: bool> Searched for World<'_, HOLDS> {
    fn copy_from(&mut self, other: &Self) {
        self.lp.copy_from(&other.lp).expect("pools of one length");
        self.app.clone_from(&other.app);
        self.times = other.times;
        self.tries = other.tries;
    }

    fn step(&mut self) -> Result<bool, String> {
        let steps = self.steps();
        self.take(steps[self.choices.pick(steps.len())]);
        self.check()?;
        Ok(true)
    }

    fn fingerprint(&self, into: &mut Fingerprint) {
        use std::hash::{Hash as _, Hasher as _};
        self.lp.fingerprint(into);
        self.app.hash(into);
        into.write_u8(self.times);
        into.write_u8(self.tries);
    }

    fn finish(&mut self) -> Result<(), String> {
        self.calm_down()?;
        for line in 0..LINES_MAX {
            // A layer does not hold anything for ever.
            for deed in [Deed::LetGo, Deed::Take, Deed::Take, Deed::Take] {
                if self.lp.platform().can(line, deed) {
                    self.lp.platform_mut().happen(line, deed);
                }
            }
            for act in [Act::Resume, Act::ReadAll] {
                if self.app.can(line, act) {
                    self.app.act(&mut self.lp.net(), line, act);
                    self.check()?;
                }
            }
        }
        self.calm_down()?;
        for _ in 0..WAITS_MAX {
            let Some(at) = self.next_time() else {
                return Ok(());
            };
            self.set_time(at);
            self.calm_down()?;
        }
        Err("the loop waits for ever".to_owned())
    }
}
