//! What a random program does, and what the model expects of the answers.

use std::time::Duration;

use usockets::{Endpoint, Error, Net, Security, SocketId, WhenFull};

use super::books::{Books, Conn, Listening, State, Timing, bytes};
use super::calls::Calls;
use crate::rng::Rng;
use crate::sim::Host;

impl Books {
    /// Does something random, most often to `own`.
    pub(super) fn act<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        rng: &mut Rng,
        own: Option<SocketId>,
    ) {
        let Some(id) = self.choose(rng, own) else {
            return self.act_alone(calls.net(), rng);
        };
        match rng.below(22) {
            0..=5 => self.write(calls, rng, id),
            6 => self.finish(calls, id),
            7 => {
                let code = rng.below(65_536) as u16;
                self.close(calls, id, if code.is_multiple_of(16) { 0 } else { code });
            }
            8 if rng.chance(5_000) => self.abort(calls, id, rng.below(9) as u16),
            9 | 10 => self.pause(calls, id),
            11 | 12 => self.resume(calls, id),
            13 | 14 => self.time(calls, rng, id),
            15 => self.adopt(calls, id, rng.below(4) as u8),
            16 => self.cork(calls, id),
            17 => calls.uncork(id),
            18 => self.bother_the_dead(calls, rng),
            19 => self.look(calls, id),
            _ => self.act_alone(calls.net(), rng),
        }
    }

    /// A connection to act on.
    fn choose(&self, rng: &mut Rng, own: Option<SocketId>) -> Option<SocketId> {
        if own.is_some() && rng.chance(6_000) {
            return own;
        }
        let index = rng.index(self.conns.len().max(1));
        self.conns.keys().nth(index).copied()
    }

    /// Does something that needs no connection.
    fn act_alone<const HOLDS: bool>(&mut self, net: &mut Net<'_, Host<HOLDS>, u8>, rng: &mut Rng) {
        match rng.below(12) {
            0..=3 => self.connect(net, rng),
            4 => self.listen(net, rng),
            5 if rng.chance(3_000) => self.stop_listening(net, rng),
            6 => self.start_timer(net, rng),
            7 => self.stop_timer(net, rng),
            8 if rng.chance(1_000) => self.close_all(net, rng),
            _ => {}
        }
    }

    pub(super) fn write<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        rng: &mut Rng,
        id: SocketId,
    ) {
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let open = conn.state == State::Open;
        let (may, blocked) = (open && !conn.finished, conn.blocked);
        let most = rng.pick(&[1, 10, 100, 3_000]);
        let len = rng.between(1, most) as usize;
        let data = bytes(conn.key.unwrap_or_default(), conn.sent, len);
        let count = if rng.chance(3_000) {
            let (a, b) = data.split_at(rng.index(len + 1));
            let (b, c) = b.split_at(rng.index(b.len() + 1));
            calls.write_vectored(id, &[a, b, c])
        } else {
            calls.write(id, &data)
        };
        self.check(count <= len, || format!("write took {count} of {len}"));
        self.check(may || count == 0, || {
            format!("write to {id:?}, which is not open")
        });
        self.check(!blocked || count == 0, || {
            format!("write to {id:?} before on_writable")
        });
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.sent += count as u64;
            conn.blocked |= may && count < len;
        }
    }

    pub(super) fn finish<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
    ) {
        calls.finish(id);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.finished |= conn.state == State::Open;
        }
    }

    fn close<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
        code: u16,
    ) {
        calls.close(id, code);
        self.closed(id, code);
        let open = calls.net().is_open(id);
        self.check(!open, || format!("{id:?} is open after close"));
        let context = calls.net().context(id);
        self.check(context.is_none(), || {
            format!("{id:?} has {context:?} after close")
        });
    }

    fn abort<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
        code: u16,
    ) {
        calls.abort(id, code);
        self.closed(id, code);
    }

    /// The program closed a connection.
    fn closed(&mut self, id: SocketId, code: u16) {
        match self.conns.get_mut(&id) {
            Some(conn) if conn.state == State::Open => {
                conn.state = State::Closing(code);
                conn.deadline = None;
            }
            Some(conn) if conn.state == State::Connecting => {
                self.bury(id);
            }
            _ => {}
        }
    }

    fn cork<'a, const HOLDS: bool>(&mut self, calls: &mut impl Calls<'a, HOLDS>, id: SocketId) {
        calls.cork(id);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.corked = true;
        }
    }

    fn pause<'a, const HOLDS: bool>(&mut self, calls: &mut impl Calls<'a, HOLDS>, id: SocketId) {
        calls.pause(id);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.paused |= conn.state == State::Open;
        }
    }

    pub(super) fn resume<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
    ) {
        calls.resume(id);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.paused = false;
        }
    }

    fn time<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        rng: &mut Rng,
        id: SocketId,
    ) {
        let micros = match rng.below(4) {
            0 => 0,
            1 => rng.below(3_000),
            2 => rng.below(100_000),
            _ => rng.next() >> rng.between(20, 50),
        };
        self.set_timeout(calls, id, micros);
    }

    pub(super) fn set_timeout<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
        micros: u64,
    ) {
        calls.set_timeout(id, Duration::from_micros(micros));
        let now = calls.net().now().as_micros();
        if let Some(conn) = self.conns.get_mut(&id)
            && !matches!(conn.state, State::Closing(_))
        {
            conn.deadline = (micros > 0).then(|| now.saturating_add(micros));
        }
    }

    fn adopt<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
        context: u8,
    ) {
        calls.adopt(id, context);
        if let Some(conn) = self.conns.get_mut(&id)
            && !matches!(conn.state, State::Closing(_))
        {
            conn.context = context;
        }
    }

    /// Calls by names that are used up: nothing happens.
    fn bother_the_dead<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        rng: &mut Rng,
    ) {
        if self.dead.is_empty() {
            return;
        }
        let id = self.dead[rng.index(self.dead.len())];
        let count = calls.write(id, b"to the dead");
        self.check(count == 0, || {
            format!("{id:?} is stale and took {count} bytes")
        });
        let count = calls.write_vectored(id, &[b"to ", b"the dead"]);
        self.check(count == 0, || {
            format!("{id:?} is stale and took {count} bytes")
        });
        calls.finish(id);
        calls.pause(id);
        calls.resume(id);
        calls.cork(id);
        calls.uncork(id);
        calls.adopt(id, 77);
        calls.set_timeout(id, Duration::from_micros(1));
        calls.abort(id, 99);
        calls.close(id, 99);
        let known = calls.net().is_open(id)
            || calls.net().context(id).is_some()
            || calls.net().peer_addr(id).is_some();
        self.check(!known, || format!("{id:?} is stale and known"));
    }

    fn look<'a, const HOLDS: bool>(&mut self, calls: &mut impl Calls<'a, HOLDS>, id: SocketId) {
        let Some(conn) = self.conns.get(&id).cloned() else {
            return;
        };
        let (open, context) = (calls.net().is_open(id), calls.context(id));
        let known = open && conn.state == State::Open;
        if known || conn.state == State::Connecting {
            self.check(open == known, || format!("{id:?} is open before on_open"));
            self.check(context == Some(conn.context), || {
                format!("{id:?} has {context:?}")
            });
        }
        if let State::Closing(_) = conn.state {
            self.check(!open, || format!("{id:?} is open after close"));
        }
        if known {
            let [local, peer] = calls.addresses(id);
            self.check(peer.is_some(), || format!("{id:?} has no peer"));
            self.check(local.is_some(), || format!("{id:?} is nowhere"));
        }
        let protocol = calls.protocol(id);
        self.check(protocol.is_empty(), || {
            format!("{id:?} speaks {protocol:?}")
        });
        let name = calls.name_in_data(id);
        self.check(name.is_none_or(|name| name == id), || {
            format!("{id:?} has the data of {name:?}")
        });
        let bits = id.to_bits();
        let whole = SocketId::from_bits(bits) == Some(id);
        let half = SocketId::from_bits(bits & 0xffff_ffff);
        self.check(whole && half.is_none(), || {
            format!("{id:?} is not its bits, {bits:x}")
        });
    }

    fn connect<const HOLDS: bool>(&mut self, net: &mut Net<'_, Host<HOLDS>, u8>, rng: &mut Rng) {
        if self.addrs.is_empty() {
            return;
        }
        let to = self.addrs[rng.index(self.addrs.len())];
        let context = rng.below(4) as u8;
        let mut endpoint = self.variety.of_connect(Endpoint::tcp(to));
        if rng.chance(3_000) {
            endpoint = endpoint
                .send_buffer(1 + rng.index(50))
                .recv_buffer(1 + rng.index(50));
        }
        let plain = endpoint.security == Security::Plain;
        let id = match net.connect(endpoint, context) {
            Ok(id) => id,
            Err(error) => {
                return self.failed(error);
            }
        };
        self.check(plain, || "TLS over TCP as it is".into());
        self.name(id);
        let mut conn = Conn::new(State::Connecting, context);
        conn.deadline = Some(net.now().as_micros() + 10_000_000);
        self.conns.insert(id, conn);
        self.note_free();
    }

    /// A call failed at once, which can only be for a reason on our side.
    fn failed(&mut self, error: Error) {
        let words = error.to_string();
        self.check(!error.is_remote(), || format!("a call failed: {words}"));
    }

    pub(super) fn listen<const HOLDS: bool>(
        &mut self,
        net: &mut Net<'_, Host<HOLDS>, u8>,
        rng: &mut Rng,
    ) {
        if self.listeners.len() >= 3 {
            return;
        }
        let policy = rng.pick(&[
            WhenFull::Pause,
            WhenFull::Pause,
            WhenFull::Refuse,
            WhenFull::EvictIdle,
        ]);
        let context = rng.below(4) as u8;
        let at = ([0, 0, 0, 0], 1_000 + rng.below(3) as u16).into();
        let at = self.variety.of_listen(Endpoint::tcp(at));
        let at = at.when_full(policy).backlog(rng.between(1, 5) as u16);
        let listener = match net.listen(at, context) {
            Ok(listener) => listener,
            Err(error) => {
                return self.failed(error);
            }
        };
        self.evicts |= policy == WhenFull::EvictIdle;
        self.contexts.insert(context);
        self.listeners
            .insert(listener, Listening { context, policy });
        self.note_free();
    }

    fn stop_listening<const HOLDS: bool>(
        &mut self,
        net: &mut Net<'_, Host<HOLDS>, u8>,
        rng: &mut Rng,
    ) {
        let index = rng.index(self.listeners.len().max(1));
        if let Some(listener) = self.listeners.keys().nth(index).copied() {
            net.stop_listening(listener);
            self.listeners.remove(&listener);
            self.turns.forget(listener.into());
            let addr = net.listening_addr(listener);
            self.check(addr.is_none(), || format!("{listener:?} still listens"));
        }
    }

    fn start_timer<const HOLDS: bool>(
        &mut self,
        net: &mut Net<'_, Host<HOLDS>, u8>,
        rng: &mut Rng,
    ) {
        if self.timers.len() >= 2 {
            return;
        }
        let after = rng.next() >> rng.between(42, 60);
        let millis = if rng.chance(5_000) { 0 } else { rng.below(200) };
        let repeat = Duration::from_millis(millis);
        let now = net.now().as_micros();
        if let Ok(timer) = net.start_timer(Duration::from_micros(after), repeat) {
            let timing = Timing {
                due: (now + after).max(1),
                period: millis * 1_000,
            };
            let other = self.timers.insert(timer, timing);
            self.note_free();
            self.check(other.is_none(), || format!("two timers are {timer:?}"));
        }
    }

    fn stop_timer<const HOLDS: bool>(&mut self, net: &mut Net<'_, Host<HOLDS>, u8>, rng: &mut Rng) {
        let index = rng.index(self.timers.len().max(1));
        if let Some(timer) = self.timers.keys().nth(index).copied() {
            net.stop_timer(timer);
            self.timers.remove(&timer);
        }
    }

    fn close_all<const HOLDS: bool>(&mut self, net: &mut Net<'_, Host<HOLDS>, u8>, rng: &mut Rng) {
        let (context, code) = (rng.below(4) as u8, rng.below(100) as u16);
        net.close_all(context, code);
        let (listeners, turns) = (&mut self.listeners, &mut self.turns);
        listeners.retain(|listener, listening| {
            let stays = listening.context != context;
            if !stays {
                turns.forget((*listener).into());
            }
            stays
        });
        let all = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.context == context);
        for id in all.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.closed(id, code);
        }
    }

    /// Brings everything to its end: what a program does that stops.
    pub(super) fn wind_up<const HOLDS: bool>(&mut self, net: &mut Net<'_, Host<HOLDS>, u8>) {
        for timer in std::mem::take(&mut self.timers).into_keys() {
            net.stop_timer(timer);
        }
        if self.drains {
            return self.drain(net);
        }
        while self.listeners.len() >= self.capacity {
            // What waits there could never be accepted.
            if let Some((listener, _)) = self.listeners.pop_first() {
                net.stop_listening(listener);
            }
        }
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            self.let_go(net, id);
        }
    }

    fn states(&self) -> Vec<(SocketId, State)> {
        let conns = self.conns.iter();
        conns.map(|(id, conn)| (*id, conn.state)).collect()
    }

    /// Leaves the end to the loop, which has more time than anything takes.
    fn drain<const HOLDS: bool>(&mut self, net: &mut Net<'_, Host<HOLDS>, u8>) {
        for (id, state) in self.states() {
            if state == State::Connecting {
                // The program's to end.
                self.let_go(net, id);
            } else {
                self.resume(net, id);
                self.set_timeout(net, id, 0);
            }
        }
        net.drain(Duration::from_secs(1_000_000));
        let draining = net.is_draining();
        self.check(draining, || "it does not drain".into());
    }

    /// Ends our direction of a connection, but not before a write that was cut short may go on.
    pub(super) fn let_go<'a, const HOLDS: bool>(
        &mut self,
        calls: &mut impl Calls<'a, HOLDS>,
        id: SocketId,
    ) {
        self.resume(calls, id);
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        match conn.state {
            State::Connecting => self.set_timeout(calls, id, 2_000_000),
            State::Open if !conn.blocked => {
                self.set_timeout(calls, id, 0);
                self.finish(calls, id);
            }
            State::Open => self.set_timeout(calls, id, 0),
            State::Closing(_) => {}
        }
    }
}
