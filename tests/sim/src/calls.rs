//! What a host's program asks of the network.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use usockets::{Accepted, Endpoint, Error, Progress, Readiness, Recv, Security, SocketId};

use crate::end::{Busy, End, Kind, Listener, Opening, Stream, Work};
use crate::network::{CONNECT_ERRORS, Event, Network};

/// What any call may fail with.
const BREAKS: [Error; 16] = [
    Error::Exhausted,
    Error::Reset,
    Error::TimedOut,
    Error::Unreachable,
    Error::Denied,
    Error::Platform(5),
    Error::Truncated,
    Error::AlertReceived(40),
    Error::AlertSent(50),
    Error::Protocol(7),
    Error::AddressInUse,
    Error::AddressUnavailable,
    Error::Full,
    Error::Invalid,
    Error::Refused,
    Error::Unsupported,
];
/// Longest that a layer sends what it holds of a closed stream, in microseconds. The loop waits for
/// 30 s, even for one that never comes to its end.
const FAREWELLS: [u64; 4] = [1, 3_000, 100_000, 80_000_000_000];
/// How long after a layer is done, and the host goes on, it must have been asked.
const NEGLECT: u64 = 8_000_000;

impl Network {
    pub(super) fn listen(
        &mut self,
        host: usize,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<u32, Error> {
        if at.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        if self.rng.chance(self.faults.listen_error) {
            return Err(self
                .rng
                .pick(&[Error::Exhausted, Error::Denied, Error::AddressInUse]));
        }
        let local = self.bind(host, at)?;
        self.take_descriptor(host)?;
        let listener = Listener {
            waiting: VecDeque::new(),
            backlog: usize::from(at.backlog).max(1),
            accepting: true,
            v6_only: at.v6_only,
            reuse_port: at.reuse_port,
            recv_buffer: at.recv_buffer.unwrap_or(self.faults.recv_buffer),
            send_buffer: at.send_buffer.unwrap_or(self.faults.send_buffer),
        };
        let mut end = End::new(host, local, Kind::Listener(listener));
        end.id = Some(id);
        end.held = true;
        let key = self.add(end);
        self.listeners.push(key);
        self.note("listen", u64::from(key), id.to_bits());
        Ok(key)
    }

    pub(super) fn connect(
        &mut self,
        host: usize,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<u32, Error> {
        if to.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        if self.rng.chance(self.faults.connect_error) {
            return Err(self.rng.pick(&[
                Error::Exhausted,
                Error::Denied,
                Error::AddressUnavailable,
                Error::Unreachable,
                Error::Refused,
            ]));
        }
        let local = self.source(host, to)?;
        self.take_descriptor(host)?;
        self.serials += 1;
        let remote = SocketAddr::new(to.addr.ip().to_canonical(), to.addr.port());
        let incoming = to.recv_buffer.unwrap_or(self.faults.recv_buffer);
        let outgoing = to.send_buffer.unwrap_or(self.faults.send_buffer);
        let mut stream = Stream::new(remote, self.serials, incoming, outgoing);
        stream.client = true;
        let mut end = End::new(host, local, Kind::Stream(stream));
        end.id = Some(id);
        end.held = true;
        let client = self.add(end);
        self.names.insert((host, id), client);
        self.note("connect", u64::from(client), id.to_bits());
        let at = self.now + self.latency();
        if self.rng.chance(self.faults.connect_fail) {
            let error = self.rng.index(CONNECT_ERRORS.len()) as u8;
            self.schedule(at, Event::Failed { client, error });
        } else if !self.rng.chance(self.faults.connect_hang) {
            self.schedule(at, Event::Syn { client, attempt: 0 });
        }
        Ok(client)
    }

    /// Takes a waiting connection and says whether `drained`.
    pub(super) fn accept(
        &mut self,
        listener: u32,
        id: SocketId,
        holds: bool,
    ) -> Result<Option<(u32, Accepted)>, Error> {
        let host = self.end(listener).ok_or(Error::Invalid)?.host;
        let listening = |end: &mut End| end.listener().map(|listener| listener.waiting.len());
        let waiting = self
            .end(listener)
            .and_then(listening)
            .ok_or(Error::Invalid)?;
        if waiting == 0 {
            self.reread(listener, true);
            return Ok(None);
        }
        if self.hosts[host].descriptors >= self.faults.descriptors {
            return Err(Error::Exhausted);
        }
        if self.rng.chance(self.faults.accept_error) {
            if self.rng.chance(5_000) {
                return Err(Error::Exhausted);
            }
            self.take_waiting(listener);
            return Err(self
                .rng
                .pick(&[Error::Reset, Error::Denied, Error::Platform(71)]));
        }
        let Some(server) = self.next_waiting(listener) else {
            return Err(Error::Invalid);
        };
        self.take_descriptor(host)?;
        let undrained = self.rng.chance(self.faults.undrained);
        let drained = if waiting == 1 { !undrained } else { undrained };
        if drained {
            self.reread(listener, waiting == 1);
        }
        self.note("accept", u64::from(server), id.to_bits());
        self.names.insert((host, id), server);
        let Some(end) = self.end(server) else {
            return Err(Error::Invalid);
        };
        end.id = Some(id);
        end.held = true;
        let Some(stream) = end.stream() else {
            return Err(Error::Invalid);
        };
        let peer = canonical(stream.remote).into();
        if holds && self.rng.chance(self.faults.handshake) {
            // One that takes no time is asked until it is through.
            let time = self.rng.pick(&[0, 3_000]);
            let time = self.rng.below(time);
            self.begin(server, Busy::Handshake, time);
        } else {
            self.tell_all(server);
        }
        Ok(Some((server, Accepted { peer, drained })))
    }

    pub(super) fn refuse_one(&mut self, listener: u32) -> Result<bool, Error> {
        if let Some(error) = self.faults.refusal {
            return Err(error);
        }
        if self.rng.chance(self.faults.accept_error) {
            return Err(if self.rng.chance(5_000) {
                Error::Exhausted
            } else {
                self.rng.pick(&BREAKS)
            });
        }
        let taken = self.take_waiting(listener);
        if !taken {
            self.reread(listener, true);
        }
        Ok(taken)
    }

    /// Loses the connection that waits longest; whether there was one.
    fn take_waiting(&mut self, listener: u32) -> bool {
        let Some(server) = self.next_waiting(listener) else {
            return false;
        };
        self.note("refuse", u64::from(server), 0);
        self.refuse(server);
        true
    }

    fn next_waiting(&mut self, listener: u32) -> Option<u32> {
        self.end(listener)?.listener()?.waiting.pop_front()
    }

    /// From now on a readable listener or stream is reported again; at once if it is.
    fn reread(&mut self, key: u32, empty: bool) {
        let Some(end) = self.end(key) else { return };
        end.told = false;
        if !empty {
            self.mark(key, Readiness::READABLE);
        }
    }

    pub(super) fn set_accepting(&mut self, key: u32, accepting: bool) -> Result<(), Error> {
        let level = self.faults.level_listeners;
        if self.rng.chance(self.faults.set_accepting_error) {
            return Err(self.rng.pick(&BREAKS));
        }
        let end = self.end(key).ok_or(Error::Invalid)?;
        let listener = end.listener().ok_or(Error::Invalid)?;
        listener.accepting = accepting || !level;
        let waiting = !listener.waiting.is_empty();
        end.told &= !accepting;
        if accepting && waiting {
            self.mark(key, Readiness::READABLE);
        }
        Ok(())
    }

    pub(super) fn advance(&mut self, key: u32) -> Result<Progress, Error> {
        let now = self.now;
        if self.is_mail(key) {
            return Ok(Progress::Done);
        }
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        match (stream.error, stream.opening, &mut stream.busy) {
            (Some(error), Opening::Asked, _) | (Some(error), _, Some(_)) => Err(error),
            // It did open, and broke after that.
            (Some(_), Opening::Open, None) => Ok(Progress::Done),
            (None, Opening::Asked, _) => Ok(Progress::Pending),
            (None, Opening::Open, None) => Ok(Progress::Done),
            (None, Opening::Open, Some(work)) if work.until > now => {
                Ok(self.rng.pick(&[Progress::Pending, Progress::Again]))
            }
            (None, Opening::Open, Some(work)) if work.asks > 0 => {
                work.asks -= 1;
                Ok(Progress::Again)
            }
            (None, Opening::Open, Some(work)) => {
                if work.what == Busy::End {
                    self.let_end_go(key);
                } else {
                    let opened = work.what == Busy::Handshake;
                    self.not_hidden(key);
                    if opened {
                        self.tell_all(key);
                    }
                }
                Ok(Progress::Done)
            }
        }
    }

    /// Sends what the host, as a layer, holds.
    pub(super) fn flush(&mut self, key: u32) -> Result<Progress, Error> {
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        if let Some(error) = stream.error {
            stream.error_told = true;
            return Err(error);
        }
        self.advance(key)
    }

    /// Returns why a stream broke.
    pub(super) fn take_error(&mut self, key: u32) -> Option<Error> {
        let once = self.faults.error_once;
        let stream = self.stream(key)?;
        let told = std::mem::replace(&mut stream.error_told, stream.error.is_some());
        stream.error.filter(|_| !(once && told))
    }

    /// Reports everything that holds of a stream.
    fn tell_all(&mut self, key: u32) {
        let facts = self.end(key).map_or(Readiness::NONE, |end| end.facts());
        if facts != Readiness::NONE {
            self.mark(key, facts);
        }
    }

    /// A layer is busy with a stream: for so many microseconds, of whose end it tells, and then
    /// until it was asked a few times.
    fn begin(&mut self, key: u32, what: Busy, micros: u64) {
        let until = self.now.saturating_add(micros);
        let asks = self.rng.below(4);
        let Some(end) = self.end(key) else { return };
        let host = end.host;
        if let Some(stream) = end.stream() {
            stream.busy = Some(Work { what, until, asks });
            self.hosts[host].hidden += usize::from(what.is_hidden());
            self.note("busy", u64::from(key), micros);
        }
        if micros > 0 {
            self.schedule(until, Event::Done { key });
        }
    }

    /// What a layer did out of the program's sight is over.
    pub(super) fn not_hidden(&mut self, key: u32) {
        let now = self.now;
        let Some(end) = self.end(key) else { return };
        let host = end.host;
        if let Some(stream) = end.stream()
            && let Some(work) = stream.busy.filter(|work| work.what.is_hidden())
        {
            stream.busy = None;
            let host = &mut self.hosts[host];
            let done = work.until.max(host.stalled_until);
            host.hidden -= 1;
            host.neglected += usize::from(done.saturating_add(NEGLECT) < now);
        }
    }

    /// The program closed a stream; whether a layer still holds some of it.
    pub(super) fn linger(&mut self, key: u32) -> bool {
        let sound = self
            .stream(key)
            .is_some_and(|stream| stream.error.is_none());
        if !sound || !self.rng.chance(self.faults.farewell) {
            return false;
        }
        let most = self.rng.pick(&FAREWELLS);
        let time = 1 + self.rng.below(most);
        self.begin(key, Busy::Farewell, time);
        true
    }

    pub(super) fn recv(&mut self, key: u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        let there = self.stream(key).ok_or(Error::Invalid)?.incoming.len();
        if there > 0 && self.rng.chance(self.faults.false_block) {
            self.reread(key, true);
            let at = self.now + self.rng.below(2_000);
            self.schedule(at, Event::Retell { key });
            return Ok(Recv::WouldBlock);
        }
        if there == 0 {
            return self.recv_nothing(key);
        }
        let most = there.min(buffer.len());
        let len = match self.rng.chance(self.faults.partial_read) {
            true => self.rng.between(1, most as u64) as usize,
            false => most,
        };
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        for (to, from) in buffer.iter_mut().zip(stream.incoming.drain(..len)) {
            *to = from;
        }
        stream.received += len as u64;
        let peer = stream.peer;
        let drained = len == there && !self.rng.chance(self.faults.undrained);
        if drained {
            self.reread(key, true);
        }
        self.note("recv", u64::from(key), len as u64);
        self.kick(peer);
        Ok(Recv::Data { len, drained })
    }

    /// Receives, and leaves the bytes where they are.
    pub(super) fn peek(&mut self, key: u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        let there = self.stream(key).ok_or(Error::Invalid)?.incoming.len();
        if there == 0 {
            return self.recv_nothing(key);
        }
        let most = there.min(buffer.len());
        let len = match self.rng.chance(self.faults.partial_read) {
            true => self.rng.between(1, most as u64) as usize,
            false => most,
        };
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        for (to, from) in buffer.iter_mut().zip(&stream.incoming).take(len) {
            *to = *from;
        }
        self.note("peek", u64::from(key), len as u64);
        Ok(Recv::Data {
            len,
            drained: false,
        })
    }

    /// Reports a stream as readable only when so many bytes have arrived.
    pub(super) fn set_low_water(&mut self, key: u32, bytes: usize) -> Result<(), Error> {
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        if bytes > stream.incoming_max {
            return Err(Error::Invalid);
        }
        stream.low_water = bytes.max(1);
        let enough = stream.incoming.len() >= stream.low_water;
        let last = stream.ended || stream.error.is_some();
        self.note("low water", u64::from(key), bytes as u64);
        self.reread(key, !enough && !last);
        Ok(())
    }

    fn recv_nothing(&mut self, key: u32) -> Result<Recv, Error> {
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        let (error, ended, told) = (stream.error, stream.ended, stream.error_told);
        let is_whole = matches!(error, None | Some(Error::BrokenPipe));
        if ended && (is_whole || self.faults.end_hides_error) {
            return Ok(Recv::Finished);
        }
        if told && self.faults.error_once {
            // As Linux: whoever asked first has the error, and others find the end.
            return Ok(Recv::Finished);
        }
        let faulty = error.is_none() && self.rng.chance(self.faults.recv_error);
        if let Some(error) = if faulty { Some(self.fault(key)) } else { error } {
            return Err(error);
        }
        self.reread(key, true);
        Ok(Recv::WouldBlock)
    }

    /// Breaks the connection by a call that fails; with this.
    fn fault(&mut self, key: u32) -> Error {
        let error = self.rng.pick(&BREAKS);
        let peer = self.stream(key).map_or(0, |stream| stream.peer);
        if let Some(stream) = self.stream(key) {
            stream.error = Some(error);
            stream.outgoing.clear();
            stream.blocked = false;
        }
        self.note("fault", u64::from(key), 0);
        let at = self.arrival(key);
        self.schedule(at, Event::Reset { to: peer });
        error
    }

    /// Whether the connection is good for sending, which may end with this very call.
    fn check(&mut self, key: u32, rate: u16) -> Result<(), Error> {
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        if let Some(error) = stream.error {
            stream.error_told = true;
            return Err(error);
        }
        if self.rng.chance(rate) {
            let error = self.fault(key);
            if let Some(stream) = self.stream(key) {
                stream.error_told = true;
            }
            return Err(error);
        }
        Ok(())
    }

    pub(super) fn send(&mut self, key: u32, parts: &[&[u8]]) -> Result<usize, Error> {
        self.check(key, self.faults.send_error)?;
        let all: usize = parts.iter().map(|part| part.len()).sum();
        let room = match all > 0 && self.lacks_memory(key) {
            true => 0,
            false => self.stream(key).ok_or(Error::Invalid)?.room(),
        };
        let most = all.min(room);
        let count = match self.rng.chance(self.faults.partial_write) {
            true => self.rng.below(most as u64 + 1) as usize,
            false => most,
        };
        let stream = self.stream(key).ok_or(Error::Invalid)?;
        let bytes = parts.iter().flat_map(|part| part.iter().copied());
        stream.outgoing.extend(bytes.take(count));
        stream.sent += count as u64;
        if count > 0 {
            stream.pressure.on_send();
        }
        if count < all {
            stream.blocked = true;
            if count < most {
                // Nothing will arrive that makes room: it is there already.
                let at = self.now + self.rng.below(2_000);
                self.schedule(at, Event::Room { key });
            }
        }
        self.note("send", u64::from(key), count as u64);
        self.kick(key);
        Ok(count)
    }

    pub(super) fn finish(&mut self, key: u32, holds: bool) -> Result<Progress, Error> {
        self.check(key, self.faults.finish_error)?;
        if holds && self.rng.chance(self.faults.held_end) {
            let time = 1 + self.rng.below(3_000);
            self.begin(key, Busy::End, time);
            return Ok(Progress::Pending);
        }
        self.let_end_go(key);
        Ok(Progress::Done)
    }

    /// The end of this sender's stream follows its last byte.
    fn let_end_go(&mut self, key: u32) {
        if let Some(stream) = self.stream(key) {
            stream.busy = None;
            stream.finished = true;
        }
        self.note("finish", u64::from(key), 0);
        self.kick(key);
    }
}

/// An IPv4-mapped address as IPv4.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), addr.port()),
        IpAddr::V6(_) => addr,
    }
}
