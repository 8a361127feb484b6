//! A handler call that unwinds, by a panic or by an exception of a program in C++, and a program
//! that goes on with the loop: nothing is lost, told twice or left behind.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::bed::Bed;
use crate::side::{Side, pattern};
use usockets::{
    AllSockets, Closed, Endpoint, Error, Handler, Incoming, ListenerId, Loop, Opened, Platform,
    PreOpen, Read, Socket, SocketId, Sockets, TimerId,
};

/// The calls that the scene surely makes.
const CALLS: [&str; 15] = [
    "pre_open",
    "open",
    "data",
    "readable",
    "writable",
    "end",
    "timeout",
    "drain",
    "close",
    "connect_error",
    "accept_error",
    "timer",
    "before_wait",
    "after_wait",
    "after_dispatch",
];

/// What a peer sends: more than one buffer, and than what a socket's turn takes.
const SAID: usize = 40_000;
/// The same in a rough network, which may bring a byte at a time.
const SAID_ROUGH: usize = 2_000;
const BUFFER: usize = 4_096;

/// What is known of one connection.
#[derive(Debug, Default)]
struct Seen {
    bytes: Vec<u8>,
    ends: u32,
    closes: u32,
}

/// A handler whose calls do their work and then, as often as asked, unwind.
#[derive(Default)]
struct Fused {
    /// The calls that are still to unwind, and after how many of their kind each.
    fuses: HashMap<&'static str, u32>,
    unwound: Vec<&'static str>,
    seen: HashMap<SocketId, Seen>,
    paused: HashSet<SocketId>,
    pulled: HashSet<SocketId>,
    /// Cloned into the data of each socket, so that data that is not dropped shows.
    alive: Arc<()>,
    /// No socket is paused or read on demand from the start.
    is_plain: bool,
    drains: u32,
    ticks: u32,
    /// The socket that the next call about another one pauses, once that has been read so often.
    pauses: Option<(SocketId, u32)>,
}

impl Fused {
    /// Leaves the call by unwinding, if it is its turn. Prints nothing.
    fn leave(&mut self, call: &'static str) {
        let Some(left) = self.fuses.get_mut(call) else {
            return;
        };
        if *left > 0 {
            *left -= 1;
            return;
        }
        self.fuses.remove(call);
        self.unwound.push(call);
        resume_unwind(Box::new(call) as Box<dyn Any + Send>);
    }

    fn seen(&mut self, id: SocketId) -> &mut Seen {
        let seen = self.seen.get_mut(&id).expect("an open socket");
        assert_eq!(seen.closes, 0, "on_close was the last call");
        seen
    }
}

impl<P: Platform> Handler<P> for Fused {
    type Ext = Arc<()>;
    type Context = u8;

    fn on_pre_open(&mut self, _: &mut Incoming<'_, P, u8>) -> PreOpen {
        self.leave("pre_open");
        PreOpen::Keep
    }

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<u8>) -> Arc<()> {
        let id = socket.id();
        // The first two of those that open.
        let nth = self.seen.len();
        let (pauses, pulls) = (nth == 0 && !self.is_plain, nth == 1 && !self.is_plain);
        socket.set_timeout(Duration::from_millis(15));
        // More than goes at once, so that room is told of.
        while socket.write(&[7; 4_096]) == 4_096 {}
        if pauses {
            socket.pause();
        } else if pulls {
            socket.set_pull(true);
        }
        self.leave("open");
        if pauses {
            self.paused.insert(id);
        } else if pulls {
            self.pulled.insert(id);
        }
        self.seen.insert(id, Seen::default());
        self.alive.clone()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>, data: &mut [u8]) {
        let id = socket.id();
        assert!(!self.paused.contains(&id), "data of a paused socket");
        let seen = self.seen(id);
        assert_eq!(seen.ends, 0, "data after the end");
        seen.bytes.extend_from_slice(data);
        if let Some((other, left)) = self.pauses
            && other != id
        {
            self.pauses = (left > 0).then(|| (other, left - 1));
            if left == 0 {
                socket.net().pause(other);
                self.paused.insert(other);
                self.fuses.insert("data", 0);
            }
        }
        self.leave("data");
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>) {
        let id = socket.id();
        assert!(self.pulled.contains(&id), "it is read by the loop");
        let mut buffer = [0; 1_000];
        loop {
            match socket.read(&mut buffer) {
                Ok(Read::Data(len)) => self.seen(id).bytes.extend_from_slice(&buffer[..len]),
                Ok(Read::End) => {
                    self.seen(id).ends += 1;
                    socket.finish();
                    break;
                }
                Ok(Read::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.leave("readable");
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>) {
        self.seen(socket.id());
        self.leave("writable");
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>) {
        let seen = self.seen(socket.id());
        seen.ends += 1;
        assert_eq!(seen.ends, 1, "a second end");
        socket.finish();
        self.leave("end");
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>) {
        self.seen(socket.id());
        self.leave("timeout");
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>) {
        self.seen(socket.id());
        self.drains += 1;
        socket.finish();
        self.leave("drain");
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Arc<()>, closed: Closed) {
        assert_eq!(closed, Closed::Finished);
        self.seen(socket.id()).closes += 1;
        self.leave("close");
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, _: u8, _: Error) {
        self.leave("connect_error");
    }

    fn on_accept_error(&mut self, _: &mut AllSockets<'_, P, Self>, _: ListenerId, _: Error) {
        self.leave("accept_error");
    }

    fn on_timer(&mut self, all: &mut AllSockets<'_, P, Self>, timer: TimerId, _: u32) {
        self.ticks += 1;
        if self.ticks == 20 {
            all.net().stop_timer(timer);
        }
        self.leave("timer");
    }

    fn before_wait(&mut self, _: &mut AllSockets<'_, P, Self>) {
        self.leave("before_wait");
    }

    fn after_wait(&mut self, _: &mut AllSockets<'_, P, Self>) {
        self.leave("after_wait");
    }

    fn after_dispatch(&mut self, _: &mut AllSockets<'_, P, Self>) {
        self.leave("after_dispatch");
    }
}

/// A loop with such a handler, and what connects to it.
struct Scene<B: Bed> {
    server: Loop<'static, B::P, Fused>,
    host: usize,
    handler: Fused,
    client: Side<B::P>,
}

impl<B: Bed> Scene<B> {
    fn new(bed: &mut B, host: usize) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<B::P, Fused, 8>::new()));
        let buffer = vec![0; BUFFER].leak();
        let server = Loop::with_buffer(bed.platform(), sockets, buffer).expect("a buffer");
        let client = Side::with::<32>(host + 1, bed.platform(), 65_536, 0);
        let handler = Fused::default();
        Self {
            server,
            host,
            handler,
            client,
        }
    }

    /// Listens on the server, with context 1.
    fn listen(&mut self, bed: &B) -> std::net::SocketAddr {
        let at = Endpoint::tcp(bed.addr(self.host));
        let listener = self.server.net().listen(at, 1).expect("a listener");
        let addr = self.server.net().listening_addr(listener);
        addr.expect("its address")
    }

    /// Runs one iteration of the server, and catches what unwinds out of it.
    fn turn(&mut self, bed: &B) {
        let until = bed.patience(self.server.platform());
        let (server, handler) = (&mut self.server, &mut self.handler);
        let caught = catch_unwind(AssertUnwindSafe(|| server.poll(handler, until)));
        match caught {
            Ok(polled) => polled.expect("a sound platform"),
            Err(unwound) => {
                if !CALLS.contains(&text(&*unwound)) {
                    resume_unwind(unwound);
                }
            }
        }
    }

    /// Runs both until `done`, for at most this long. Returns true if it was.
    fn run(
        &mut self,
        bed: &mut B,
        most: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = bed.now() + most;
        loop {
            if bed.is_due(self.host, self.server.next_deadline()) {
                self.turn(bed);
            }
            if self.client.is_due(bed) {
                self.client.turn(bed);
            }
            if done(self) {
                return true;
            }
            if bed.now() >= end {
                return false;
            }
            let is_due = bed.is_due(self.host, self.server.next_deadline());
            if !is_due && !self.client.is_due(bed) {
                bed.pass(end - bed.now());
            }
        }
    }

    /// Connections come, more than there is room for, say something and end; one is paused and one
    /// read on demand; a connect fails; timers tick; and then the loop drains. What is seen is
    /// whole, whichever calls unwound.
    fn play(&mut self, bed: &mut B) {
        let addr = self.listen(bed);
        let millis = Duration::from_millis;
        let mut net = self.server.net();
        net.start_timer(millis(2), millis(2)).expect("a slot");
        let at = Endpoint::tcp(bed.addr(self.host));
        let gone = net.listen(at, 8).expect("a listener");
        let nobody = net.listening_addr(gone).expect("its address");
        net.stop_listening(gone);
        let nobody = Endpoint::tcp(bed.nowhere().unwrap_or(nobody));
        let _ = net.connect(nobody, 3);
        let what = pattern(if bed.is_smooth() { SAID } else { SAID_ROUGH });
        let ids: Vec<_> = (0..12)
            .map(|_| self.client.connect(addr, 2).expect("a slot"))
            .collect();
        let mut said = HashSet::new();
        let long = bed.long();
        // All but the one that is paused say what they have to say, and end.
        let ended = self.run(bed, long, |scene| {
            scene.say_and_end(&ids, &what, &mut said);
            scene.client.lp.stats().in_use <= 1
        });
        assert!(ended, "{:?}", self.handler.summary());
        self.run(bed, millis(20), |_| false);
        for id in &self.handler.paused {
            assert!(self.handler.seen[id].bytes.is_empty());
        }
        self.server.net().drain(bed.long());
        let drains = self.run(bed, long, |scene| scene.handler.drains > 0);
        assert!(drains, "{:?}", self.handler.summary());
        let paused: Vec<_> = self.handler.paused.drain().collect();
        for id in paused {
            self.server.net().resume(id);
        }
        let ended = self.run(bed, long, |scene| scene.server.stats().in_use == 0);
        assert!(ended, "{:?}", self.handler.summary());
        let stats = self.server.stats();
        assert_eq!((stats.open, stats.breaches), (0, 0));
        assert_eq!(Arc::strong_count(&self.handler.alive), 1);
        assert_eq!(self.handler.ticks, 20);
        for (id, seen) in &self.handler.seen {
            assert_eq!((seen.ends, seen.closes), (1, 1), "{id:?}");
            assert!(seen.bytes == what, "{id:?} got {}", seen.bytes.len());
        }
    }

    /// Has each connection of the client that is open and new say `what` and end.
    fn say_and_end(&mut self, ids: &[SocketId], what: &[u8], said: &mut HashSet<SocketId>) {
        for id in ids {
            if self.client.net().is_open(*id) && said.insert(*id) {
                self.client.say(*id, what);
                self.client.finish(*id);
            }
        }
    }
}

impl Fused {
    /// What has come about, for messages.
    fn summary(&self) -> Vec<(SocketId, usize, u32, u32)> {
        let seen = self.seen.iter();
        seen.map(|(id, seen)| (*id, seen.bytes.len(), seen.ends, seen.closes))
            .collect()
    }
}

fn text(unwound: &(dyn Any + Send)) -> &'static str {
    unwound
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("")
}

/// Each call in turn unwinds, the first of its kind.
pub fn the_loop_goes_on_after_every_call<B: Bed>(bed: &mut B) {
    let mut host = 0;
    for call in CALLS {
        let mut scene = Scene::new(bed, host);
        host += 2;
        scene.handler.fuses.insert(call, 0);
        scene.play(bed);
        // In a rough network, and on a busy machine, not everything comes about so often.
        let surely = bed.is_smooth() && bed.is_virtual();
        let unwound = scene.handler.unwound == [call];
        assert!(unwound || !surely, "no call {call:?}");
    }
}

/// All of them do in one run, so that one iteration begins where another had been left.
pub fn the_loop_goes_on_although_every_call_unwinds_once<B: Bed>(bed: &mut B) {
    let mut scene = Scene::new(bed, 0);
    scene.handler.fuses = CALLS.map(|call| (call, 0)).into();
    scene.play(bed);
    let surely = bed.is_smooth() && bed.is_virtual();
    let left = &scene.handler.fuses;
    assert!(left.is_empty() || !surely, "these did not unwind: {left:?}");
}

/// One socket has been read as often as it may be in an iteration, and another's call pauses it and
/// unwinds in the midst of its own reads.
pub fn a_paused_socket_is_not_read_for_one_whose_call_unwound<B: Bed>(bed: &mut B) {
    for (round, reads) in (0..4).enumerate() {
        let mut scene = Scene::new(bed, 2 * round);
        scene.handler.is_plain = true;
        let addr = scene.listen(bed);
        let ids = [0, 1].map(|_| scene.client.connect(addr, 2).expect("a slot"));
        let long = bed.long();
        assert!(scene.run(bed, long, |scene| scene.handler.seen.len() == 2
            && ids.iter().all(|id| scene.client.net().is_open(*id))));
        let mut accepted: Vec<_> = scene.handler.seen.keys().copied().collect();
        accepted.sort_by_key(|id| id.index());
        scene.handler.pauses = Some((accepted[0], reads));
        let what = pattern(SAID);
        for id in ids {
            scene.client.say(id, &what);
        }
        let paused = scene.run(bed, long, |scene| !scene.handler.paused.is_empty());
        assert!(paused, "the call that pauses was made");
        let other = accepted[1];
        let done = scene.run(bed, long, |scene| {
            scene.handler.seen[&other].bytes.len() == SAID
        });
        assert!(
            done,
            "what came for the one whose call unwound: {:?}",
            scene.handler.summary()
        );
        assert_eq!(scene.handler.unwound, ["data"]);
        scene.handler.paused.clear();
        scene.server.net().resume(accepted[0]);
        let both = |scene: &mut Scene<B>| {
            let mut seen = scene.handler.seen.values();
            seen.all(|seen| seen.bytes.len() == SAID)
        };
        assert!(scene.run(bed, long, both), "{:?}", scene.handler.summary());
    }
}
