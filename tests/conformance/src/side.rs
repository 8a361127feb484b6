//! A loop with a scripted handler, and driving several of them.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Endpoint, Error, ListenerId, Loop, Net, Platform, SocketId, Sockets};

use crate::bed::Bed;
use crate::script::Script;

/// A loop with a scripted handler, on one host.
pub struct Side<P: Platform + 'static> {
    /// The host's number.
    pub host: usize,
    /// The loop.
    pub lp: Loop<'static, P, Script<P>>,
    /// Its handler.
    pub script: Script<P>,
}

impl<P: Platform + 'static> Side<P> {
    /// Makes a loop with a pool of `N` and buffers of these sizes. The memory is never given
    /// back, as in a program that keeps it in statics.
    pub fn with<const N: usize>(host: usize, platform: P, buffer: usize, cork: usize) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<P, Script<P>, N>::new()));
        let buffer = vec![0; buffer].leak();
        let cork = vec![0; cork].leak();
        Self {
            host,
            lp: Loop::with_buffer(platform, sockets, buffer)
                .expect("a buffer")
                .with_cork(cork),
            script: Script::default(),
        }
    }

    /// Makes a loop of usual size on a further host of a bed; `host` is its number.
    pub fn new(bed: &mut impl Bed<P = P>, host: usize) -> Self {
        Self::with::<16>(host, bed.platform(), 65_536, 4_096)
    }

    /// Returns every socket, between iterations.
    pub fn net(&mut self) -> Net<'_, P, u8> {
        self.lp.net()
    }

    /// Listens on the host, on a port that the platform picks, and returns the address.
    pub fn listen(&mut self, bed: &impl Bed<P = P>, context: u8) -> (ListenerId, SocketAddr) {
        let at = Endpoint::tcp(bed.addr(self.host));
        self.listen_at(at, context)
    }

    /// Listens at an endpoint and returns the address.
    pub fn listen_at(&mut self, at: Endpoint<'_>, context: u8) -> (ListenerId, SocketAddr) {
        let listener = self.net().listen(at, context).expect("a listener");
        let addr = self.net().listening_addr(listener).expect("its address");
        (listener, addr)
    }

    /// Connects to an address.
    pub fn connect(&mut self, to: SocketAddr, context: u8) -> Result<SocketId, Error> {
        self.net().connect(Endpoint::tcp(to), context)
    }

    /// Writes bytes to a connection, and what does not go now as room comes.
    pub fn say(&mut self, id: SocketId, bytes: &[u8]) {
        let talk = self.script.talks.get_mut(&id).expect("an open socket");
        talk.to_send.extend_from_slice(bytes);
        self.script.pump(&mut self.lp.net(), id);
    }

    /// Ends our direction of a connection, after everything said.
    pub fn finish(&mut self, id: SocketId) {
        let talk = self.script.talks.get_mut(&id).expect("an open socket");
        talk.finishing = true;
        self.script.pump(&mut self.lp.net(), id);
    }

    /// Returns whether the loop may have something to do.
    pub fn is_due(&self, bed: &impl Bed<P = P>) -> bool {
        bed.is_due(self.host, self.lp.next_deadline())
    }

    /// Runs one iteration.
    pub fn turn(&mut self, bed: &impl Bed<P = P>) {
        let until = bed.patience(self.lp.platform());
        self.lp
            .poll(&mut self.script, until)
            .expect("a sound platform");
    }
}

/// Most rounds that a limit in real time stands for: enough for anything to go to and fro.
const ROUNDS_MAX: u128 = 200;

/// Returns how many rounds of so many loops a limit stands for at least. On a machine that others
/// keep busy, real time may pass without a turn: then each loop gets half of those that it has on
/// an idle one, where a turn takes 100 µs ([`Bed::patience`]).
fn rounds_in(bed: &impl Bed, limit: Duration, loops: usize) -> u128 {
    if bed.is_virtual() {
        return 0;
    }
    let rounds = limit.as_micros() / (200 * loops.max(1) as u128);
    rounds.min(ROUNDS_MAX)
}

/// Drives loops until `done`, for at most `limit` of the bed's time; whether it was. Where time is
/// real, a limit also stands for some rounds.
pub fn run_until<B: Bed>(
    bed: &mut B,
    sides: &mut [&mut Side<B::P>],
    limit: Duration,
    mut done: impl FnMut(&mut [&mut Side<B::P>]) -> bool,
) -> bool {
    let end = bed.now() + limit;
    let mut rounds = rounds_in(bed, limit, sides.len());
    loop {
        let mut idle = true;
        for side in &mut *sides {
            if side.is_due(bed) {
                side.turn(bed);
            }
        }
        if done(sides) {
            return true;
        }
        if bed.now() >= end && rounds == 0 {
            return false;
        }
        rounds = rounds.saturating_sub(1);
        for side in &*sides {
            idle &= !side.is_due(bed);
        }
        if idle {
            bed.pass(end.saturating_sub(bed.now()));
        }
    }
}

/// Drives loops for this long.
pub fn run_for<B: Bed>(bed: &mut B, sides: &mut [&mut Side<B::P>], time: Duration) {
    run_until(bed, sides, time, |_| false);
}

/// Drives one loop for this long as a program of its own would: it waits for as long as there is
/// nothing to do. Returns the number of iterations.
pub fn turns_in<B: Bed>(bed: &mut B, side: &mut Side<B::P>, time: Duration) -> u64 {
    let before = side.lp.stats().iterations;
    let end = bed.now() + time;
    while bed.now() < end {
        let left = end - bed.now();
        if !bed.is_virtual() {
            let until = side.lp.platform().now().saturating_add(left);
            side.lp
                .poll(&mut side.script, Some(until))
                .expect("a sound platform");
        } else if side.is_due(bed) {
            side.turn(bed);
        } else {
            bed.pass(left);
        }
    }
    side.lp.stats().iterations - before
}

/// Two hosts with one connection from the second to the first.
pub struct Pair<P: Platform + 'static> {
    /// The host that listens.
    pub server: Side<P>,
    /// The host that connects.
    pub client: Side<P>,
    /// The listener.
    pub listener: ListenerId,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The connection on the server.
    pub accepted: SocketId,
    /// The connection on the client.
    pub connected: SocketId,
}

impl<P: Platform + 'static> Pair<P> {
    /// Makes the hosts and waits for the connection to open. Contexts are 1 and 2.
    pub fn open<B: Bed<P = P>>(bed: &mut B) -> Self {
        let server = Side::new(bed, 0);
        let client = Side::new(bed, 1);
        Self::of(bed, server, client)
    }

    /// Connects `client` to `server`, which are new.
    pub fn of<B: Bed<P = P>>(bed: &mut B, mut server: Side<P>, mut client: Side<P>) -> Self {
        let (listener, addr) = server.listen(bed, 1);
        let connected = client.connect(addr, 2).expect("a connect under way");
        let both = run_until(bed, &mut [&mut server, &mut client], bed.long(), |sides| {
            sides.iter().all(|side| side.script.opened(0).is_some())
        });
        assert!(both, "the connection opens on both sides");
        let accepted = server.script.opened(0).expect("it opened");
        Self {
            server,
            client,
            listener,
            addr,
            accepted,
            connected,
        }
    }

    /// Drives both until `done`; fails when it does not come about.
    #[track_caller]
    pub fn until<B: Bed<P = P>>(
        &mut self,
        bed: &mut B,
        mut done: impl FnMut(&mut Side<P>, &mut Side<P>) -> bool,
    ) {
        let sides = &mut [&mut self.server, &mut self.client];
        let done = run_until(bed, sides, bed.long(), |sides| {
            let [server, client] = sides else {
                return false;
            };
            done(server, client)
        });
        if !done {
            let (server, client) = (self.server.script.tail(), self.client.script.tail());
            panic!("it did not come about\nserver:\n{server}\nclient:\n{client}");
        }
    }

    /// Drives both for this long.
    pub fn for_time<B: Bed<P = P>>(&mut self, bed: &mut B, time: Duration) {
        run_for(bed, &mut [&mut self.server, &mut self.client], time);
    }
}

/// Returns `len` bytes in which no stretch repeats for a long time.
#[must_use]
pub fn pattern(len: usize) -> Vec<u8> {
    // The finalizer of SplitMix64.
    let mix = |index: usize| {
        let index = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (index ^ (index >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (index ^ (index >> 27)) as u8
    };
    (0..len).map(mix).collect()
}
