//! Far more connections than buffers for them: all are open at once and served, also while half of
//! them send half a request, and while more than there are buffers for take nothing and others
//! reset in the middle of an answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use usockets::{Duration as Span, Loop};
use usockets_linux::{Linux, zeroed_slice};
use usockets_tests::rng::Rng;

use crate::asker::{Asker, Habit, Question};
use crate::client::Outcome;
use crate::{equal, number, pattern, settled, status, step};

/// Connections that wait for an answer at once, and that are being made: a half of the server's
/// sets is for handshakes.
const AT_ONCE: usize = 400;
const CONNECTING: usize = 200;
/// Longest time for each step, on a machine that is busy with other things.
const STEP_MAX: Duration = Duration::from_secs(180);
/// How long those that sent half a request are waited for, once all others have been served. Who
/// loses its connection while the stack has no set is told nothing.
const TOLD_MAX: Duration = Duration::from_secs(12);
/// Longest time that a client waits for its answer while others hold all the buffers: they lose
/// theirs after 10 s, and a request that was lost comes again with growing waits.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Bytes received at once.
const BUFFER: usize = 16_384;

/// The connections and their loop.
struct Crowd<'m> {
    network: Loop<'m, Linux, Asker>,
    asker: Asker,
    random: Rng,
    count: usize,
}

/// Runs every step with so many connections. Returns the status page.
pub(crate) fn run(at: &str, count: usize, seed: u64) -> Outcome<String> {
    let to: SocketAddr = at.parse().map_err(|_| format!("{at} is no address"))?;
    let words = |error: usockets::Error| error.to_string();
    let mut slots = zeroed_slice(count).map_err(words)?;
    let mut data = zeroed_slice(count).map_err(words)?;
    let mut buffer = zeroed_slice(BUFFER).map_err(words)?;
    let linux = Linux::new().map_err(words)?;
    let network = Loop::with_slices(linux, &mut slots, &mut data, &mut buffer);
    let mut crowd = Crowd {
        network: network.map_err(words)?,
        asker: Asker::new(to, count),
        random: Rng::new(seed),
        count,
    };
    let boot = status(at)?;
    let (slots, sets) = (number(&boot, "slots")?, number(&boot, "sets")?);
    let kept = usize::try_from(number(&boot, "http_sets")?).unwrap_or(0);
    step("all connect", || crowd.ask_all("/", CONNECTING))?;
    step("all are served again", || {
        crowd.ask_all("/bytes/3000", AT_ONCE)
    })?;
    step("half of them send half a request", || {
        crowd.half_requests(kept)
    })?;
    step("they connect again", || crowd.ask_all("/", CONNECTING))?;
    let deaf = usize::try_from(sets + sets / 8).unwrap_or(0);
    step("many take nothing, send half a request, or reset", || {
        crowd.trouble(deaf.min(count / 2))
    })?;
    step("all close", || crowd.close(at, (slots, sets)))?;
    status(at)
}

impl Crowd<'_> {
    /// Has all connections ask for a page, in random order, and sees that all are open then.
    fn ask_all(&mut self, path: &str, at_once: usize) -> Outcome<()> {
        self.ask((0..self.count).collect(), (path, at_once))?;
        match self.asker.open() {
            open if open == self.count => Ok(()),
            open => Err(format!("{open} are open")),
        }
    }

    /// Has the given connections ask for a page, in random order.
    fn ask(&mut self, numbers: Vec<usize>, (path, at_once): (&str, usize)) -> Outcome<()> {
        let body = match path.strip_prefix("/bytes/") {
            Some(len) => pattern(len.parse().unwrap_or(0)),
            None => b"Hello from usockets!\n".to_vec(),
        };
        let numbers = self.shuffled(numbers);
        let question = Question::get(path, &body);
        let mut net = self.network.net();
        self.asker.ask(&mut net, numbers, (question, at_once));
        self.until(Asker::is_done)?;
        let slowest = self.asker.slowest;
        eprintln!("  the slowest answer took {slowest:.2?}");
        if slowest > ANSWER_MAX {
            return Err("that is too slow".to_string());
        }
        Ok(())
    }

    /// Half of the connections send a part of a request and wait. The others are served meanwhile;
    /// all but as many as the handler can keep are told at once that it took too long.
    fn half_requests(&mut self, kept: usize) -> Outcome<()> {
        let mut honest = self.shuffled((0..self.count).collect());
        let slow = honest.split_off(self.count / 2);
        let halves = slow.iter().map(|number| (*number, Habit::Half));
        self.asker.annoy_by_turns(halves.collect());
        self.ask(honest, ("/bytes/3000", AT_ONCE))?;
        let (count, ended) = (slow.len(), slow.len().saturating_sub(kept));
        let start = Instant::now();
        self.until(|asker| asker.told + asker.broken >= ended || start.elapsed() > TOLD_MAX)?;
        let told = core::mem::take(&mut self.asker.told);
        let reset = core::mem::take(&mut self.asker.broken);
        eprintln!("  {told} of {count} with half a request were told, {reset} reset");
        if told < ended / 2 {
            return Err("most of them were told nothing".to_string());
        }
        self.asker.close(&mut self.network.net(), &slow);
        let served = self.count - count;
        self.until(|asker| asker.open() == served)
    }

    /// So many connections ask for much and read nothing: more than there are sets of buffers. A
    /// quarter of all send half a request or reset in the middle of an answer. The others are
    /// served all the same.
    fn trouble(&mut self, deaf: usize) -> Outcome<()> {
        let mut honest = self.shuffled((0..self.count).collect());
        let others = honest.split_off(self.count - deaf - self.count / 4);
        let (deaf, others) = others.split_at(deaf);
        for number in deaf {
            let mut net = self.network.net();
            self.asker.annoy(&mut net, *number, Habit::Deaf);
        }
        // Their buffers fill.
        self.pass(Duration::from_secs(2))?;
        let habits = [Habit::Half, Habit::Fickle].into_iter().cycle();
        let troublesome = others.iter().copied().zip(habits);
        self.asker.annoy_by_turns(troublesome.collect());
        self.ask(honest, ("/bytes/3000", AT_ONCE))
    }

    /// Ends all connections, after which nothing of them is left. That their slots are free again
    /// takes a minute of TIME-WAIT: a crowd that needs all slots waits for it.
    fn close(&mut self, at: &str, (slots, sets): (u64, u64)) -> Outcome<()> {
        let numbers = self.shuffled((0..self.count).collect());
        self.asker.close(&mut self.network.net(), &numbers);
        self.until(|asker| asker.open() == 0)?;
        if usize::try_from(slots) == Ok(self.count) {
            settled(at, slots)?;
        }
        let start = Instant::now();
        loop {
            let status = status(at)?;
            let left =
                equal(&status, "open", 1).and_then(|()| equal(&status, "sets_free", sets - 1));
            match left {
                Err(fault) if start.elapsed() > STEP_MAX => return Err(fault),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Runs the loop until `done`.
    fn until(&mut self, done: impl Fn(&Asker) -> bool) -> Outcome<()> {
        let start = Instant::now();
        while !done(&self.asker) {
            self.poll()?;
            if start.elapsed() > STEP_MAX {
                return Err(format!("too slow, {} are open", self.asker.open()));
            }
        }
        Ok(())
    }

    /// Runs the loop for so long.
    fn pass(&mut self, time: Duration) -> Outcome<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.poll()?;
        }
        Ok(())
    }

    fn poll(&mut self) -> Outcome<()> {
        let until = self.network.net().now();
        let until = until.saturating_add(Span::from_millis(100));
        let polled = self.network.poll(&mut self.asker, Some(until));
        polled.map_err(|error| error.to_string())?;
        self.asker.fault.take().map_or(Ok(()), Err)
    }

    fn shuffled(&mut self, mut numbers: Vec<usize>) -> Vec<usize> {
        for last in (1..numbers.len()).rev() {
            numbers.swap(last, self.random.index(last + 1));
        }
        numbers
    }
}
