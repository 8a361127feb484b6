//! What a connection takes to be accepted, to time out, to be closed and to be forgotten beside so
//! many others that are silent.

use std::time::Instant as Clock;

use static_cell::ConstStaticCell;
use usockets::{Closed, Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets::{Instant, SocketId};
use usockets_smoltcp::{Address, Config, Limits, Secret};
use usockets_tests::smoltcp::leak;
use usockets_tests::smoltcp::peers::{PORT, Peers, SERVER, cpu_nanos};

use crate::server::{BUFFER, MOST, Net, SETS, TIME_MAX, stack};

/// Connections that come and go at a time, and how often they do.
const SOME: usize = 64;
const ROUNDS: usize = 16;
/// Their timeout, and that of the others.
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(24 * 3_600);
/// How long before and after the time at which a step is due it begins and ends: several ticks of
/// both wheels.
const AROUND: Duration = Duration::from_millis(250);
/// What is measured, in the order of a connection's life.
const NAMES: [&str; 4] = [
    "accept",
    "timeout that is over",
    "close",
    "end of TIME-WAIT",
];

/// One of them, beside so many.
type Step = fn(&mut Server, usize);
type Slots = Sockets<Net<Peers>, Timed, { MOST + SOME + 1 }>;

/// The listener has a place as well. All zero bytes: untouched, it takes no memory.
static SOCKETS: ConstStaticCell<Slots> = ConstStaticCell::new(Sockets::new());

/// Gives every connection a timeout, as servers do.
struct Timed {
    timeout: Duration,
    opened: Vec<SocketId>,
    expired: usize,
    closed: usize,
}

impl<P: Platform> Handler<P> for Timed {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        socket.set_timeout(self.timeout);
        self.opened.push(socket.id());
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_timeout(&mut self, _: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.expired += 1;
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: Closed) {
        self.closed += 1;
    }
}

struct Server {
    net: Loop<'static, Net<Peers>, Timed>,
    handler: Timed,
    start: Clock,
}

/// Prints the processor time that each takes beside `count` others: the median of all rounds, the
/// lowest and the highest. For the instructions, `budget` runs it under callgrind.
pub(crate) fn measure(count: usize) {
    let mut server = Server::new(count);
    let mut all = [const { Vec::new() }; NAMES.len()];
    for _ in 0..ROUNDS {
        // How long the step is waited for.
        let steps: [(Step, _); 4] = [
            (accept, Duration::ZERO),
            (time_out, SHORT),
            (close, Duration::ZERO),
            (forget, Limits::DEFAULT.time_wait),
        ];
        for (times, (step, wait)) in all.iter_mut().zip(steps) {
            server.pass(wait.saturating_sub(AROUND));
            server.poll();
            let start = cpu_nanos();
            step(&mut server, count);
            times.push((cpu_nanos() - start) as f64 / SOME as f64);
        }
    }
    // To drop it would close all of them at once, each of which then waits for a set.
    std::mem::forget(server);
    println!("beside {count} connections, ns each of {ROUNDS} times {SOME}, median (min–max):");
    for (name, mut times) in NAMES.into_iter().zip(all) {
        times.sort_by(f64::total_cmp);
        let (median, most) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("  {name:<22} {median:>6.0} ({:.0}–{most:.0})", times[0]);
    }
}

/// From their SYNs until they are open and silent.
#[inline(never)]
fn accept(server: &mut Server, count: usize) {
    let numbers = count as u32..(count + SOME) as u32;
    server.device().state.connect(numbers);
    server.until(|net, handler| handler.opened.len() == SOME && net.free_sets() == SETS);
}

/// From the time at which their timeouts are over until the program knows.
#[inline(never)]
fn time_out(server: &mut Server, _: usize) {
    server.pass(2 * AROUND);
    server.until(|_, handler| handler.expired == SOME);
}

/// From the program's call until both ends are acknowledged.
#[inline(never)]
fn close(server: &mut Server, _: usize) {
    let goal = server.device().state.echoes + SOME as u64;
    for id in server.handler.opened.drain(..) {
        server.net.net().close(id);
    }
    server.until(|net, handler| handler.closed == SOME && net.device().state.echoes == goal);
    (server.handler.expired, server.handler.closed) = (0, 0);
}

/// From the time at which TIME-WAIT is over until their slots are free.
#[inline(never)]
fn forget(server: &mut Server, _: usize) {
    server.pass(2 * AROUND);
    server.until(|net, _| net.free_count() == SOME);
}

impl Server {
    /// One with so many connections that are silent.
    fn new(count: usize) -> Self {
        let mut peers = Peers::new(count + SOME);
        peers.state.polite = true;
        peers.state.silent = true;
        peers.state.hold_back(count);
        let addresses = [Address::new(SERVER.into(), 8)];
        let config = Config::new([0; 6], &addresses, Secret::new([7; 16]));
        let stack = stack(peers, &config, count + SOME);
        let buffer = leak(BUFFER, || 0).first_chunk_mut::<BUFFER>().unwrap();
        let mut net = Loop::new(stack, SOCKETS.take(), buffer);
        let at = Endpoint::tcp((SERVER, PORT).into()).backlog(1_024);
        net.net().listen(at, ()).unwrap();
        let mut server = Self {
            net,
            handler: Timed {
                timeout: LONG,
                opened: Vec::with_capacity(count),
                expired: 0,
                closed: 0,
            },
            start: Clock::now(),
        };
        server.until(|net, handler| handler.opened.len() == count && net.free_sets() == SETS);
        server.handler.opened.clear();
        server.handler.timeout = SHORT;
        server.make_up();
        server
    }

    /// Lets pass what is due within an hour. A slot may lie on a list that comes up long before its
    /// deadline, as those do whose timeout was longer than that of the handshake; each is moved
    /// once then, which none of the measured steps is to pay for.
    fn make_up(&mut self) {
        let hour = Duration::from_secs(3_600);
        loop {
            let now = self.net.platform().now();
            let wait = self.net.next_deadline().map(|at| at.saturating_since(now));
            match wait.filter(|wait| *wait < hour) {
                Some(wait) => self.pass(wait),
                None => return,
            }
            self.poll();
        }
    }

    fn device(&mut self) -> &mut Peers {
        self.net.platform_mut().device_mut()
    }

    /// Lets time go by without a poll.
    fn pass(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).expect("less than a day");
        self.device().pass(micros);
    }

    fn poll(&mut self) {
        let result = self.net.poll(&mut self.handler, Some(Instant::ZERO));
        result.expect("a loop without faults");
    }

    fn until(&mut self, mut done: impl FnMut(&Net<Peers>, &Timed) -> bool) {
        while !done(self.net.platform(), &self.handler) {
            self.poll();
            assert!(self.start.elapsed() < TIME_MAX, "{:?}", self.net.platform());
        }
    }
}
