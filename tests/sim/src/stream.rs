//! Bytes, ends and resets on their way from one end to the other.

use usockets::{Error, Readiness};

use crate::end::{End, Kind, Opening};
use crate::network::{Event, Network};

impl Network {
    /// Sees to it that what this end sends gets under way.
    pub(super) fn kick(&mut self, from: u32) {
        let Some(stream) = self.stream(from) else {
            return;
        };
        let nothing = stream.outgoing.is_empty() && (!stream.finished || stream.finish_arrived);
        if stream.moving || nothing || stream.peer == 0 || stream.error.is_some() {
            return;
        }
        stream.moving = true;
        let at = self.arrival(from);
        self.schedule(at, Event::Arrival { from });
    }

    /// Bytes, or the end, of this sender reach the other end.
    pub(super) fn arrive(&mut self, from: u32) {
        let Some(end) = self.end(from) else { return };
        let host = end.host;
        let Some(stream) = end.stream() else { return };
        stream.moving = false;
        let to = stream.peer;
        if stream.error.is_some() {
            return;
        }
        let other = self.end(to).map_or(host, |end| end.host);
        if self.hosts[host].unplugged || self.hosts[other].unplugged {
            // Lost; sent again when the cable is back.
            return;
        }
        if self.rng.chance(self.faults.reset) {
            return self.break_both(from, to, Error::Reset);
        }
        let gone = self.end(to).is_none_or(|end| end.id.is_some() && !end.held);
        let arrived = if gone {
            self.arrive_nowhere(from)
        } else {
            self.arrive_at(from, to)
        };
        if arrived {
            self.kick(from);
        }
    }

    /// The other program has closed its end: bytes are answered with a reset, the end with
    /// nothing.
    fn arrive_nowhere(&mut self, from: u32) -> bool {
        let Some(stream) = self.stream(from) else {
            return false;
        };
        if stream.outgoing.is_empty() {
            stream.finish_arrived |= stream.finished;
            return false;
        }
        stream.outgoing.clear();
        let to = stream.peer;
        if let Some(gone) = self.stream(to) {
            // RFC 9293, section 3.10.7.1: what the closed end had still to say is lost as well.
            gone.error = gone.error.or(Some(Error::Reset));
            gone.outgoing.clear();
        }
        let at = self.now + self.latency();
        self.schedule(at, Event::Reset { to: from });
        false
    }

    /// Whether something arrived.
    fn arrive_at(&mut self, from: u32, to: u32) -> bool {
        let len = self.stream(from).map_or(0, |stream| stream.outgoing.len());
        let room = match len > 0 && self.lacks_memory(to) {
            true => 0,
            false => self.stream(to).map_or(0, |stream| {
                stream.incoming_max.saturating_sub(stream.incoming.len())
            }),
        };
        let most = len.min(room).min(self.faults.segment_max);
        let ragged = self.faults.segment_max < 65_536 && most > 0;
        let count = if ragged {
            self.rng.between(1, most as u64) as usize
        } else {
            most
        };
        let Some(stream) = self.stream(from) else {
            return false;
        };
        if len == 0 {
            stream.finish_arrived = true;
            self.note("end", u64::from(from), u64::from(to));
            if let Some(stream) = self.stream(to) {
                stream.ended = true;
            }
            self.mark(to, Readiness::ENDED.union(Readiness::READABLE));
            return false;
        }
        let bytes: Vec<u8> = stream.outgoing.drain(..count).collect();
        self.note("bytes", u64::from(from), count as u64);
        let mut enough = false;
        if let Some(stream) = self.stream(to) {
            stream.incoming.extend(bytes);
            enough = stream.incoming.len() >= stream.low_water;
        }
        if count > 0 {
            if let Some(stream) = self.stream(to) {
                stream.pressure.on_arrival();
            }
            if enough {
                self.mark(to, Readiness::READABLE);
            }
            self.tell_room(from);
        }
        count > 0
    }

    /// The connection breaks, at this end.
    pub(super) fn break_end(&mut self, key: u32, error: Error) {
        let Some(end) = self.end(key) else { return };
        let Some(stream) = end.stream() else { return };
        // An end that closed in order on both sides has nothing left to break.
        if stream.error.is_some() || (stream.ended && stream.finish_arrived) {
            return;
        }
        // A reset is told otherwise where the peer has ended and we have not.
        let after_end = error == Error::Reset && stream.ended && !stream.finished;
        stream.error = Some(if after_end { Error::BrokenPipe } else { error });
        stream.outgoing.clear();
        stream.blocked = false;
        self.note("broken", u64::from(key), 0);
        let both = Readiness::READABLE.union(Readiness::WRITABLE);
        self.mark(key, both.union(Readiness::ERROR));
    }

    /// The connection breaks, at both ends.
    pub(super) fn break_both(&mut self, a: u32, b: u32, error: Error) {
        self.break_end(a, error);
        self.break_end(b, error);
    }

    /// The program gives the end up.
    pub(super) fn release(&mut self, key: u32, reset: bool) {
        let Some(end) = self.end(key) else { return };
        if !end.held {
            return;
        }
        end.held = false;
        let host = end.host;
        let stale = end.queued.then_some((end.id, end.pending));
        end.queued = false;
        end.pending = Readiness::NONE;
        self.hosts[host].descriptors -= 1;
        self.not_hidden(key);
        self.note("release", u64::from(key), u64::from(reset));
        if let Some((Some(id), readiness)) = stale {
            self.hosts[host].ready.retain(|other| *other != key);
            if self.rng.chance(self.faults.spurious) {
                let ready = usockets::Ready { id, readiness };
                self.hosts[host].extra.push_back(ready);
            }
        }
        match self.end(key).map(|end| &mut end.kind) {
            Some(Kind::Stream(_)) => self.release_stream(key, reset),
            Some(Kind::Listener(listener)) => {
                let waiting = std::mem::take(&mut listener.waiting);
                self.listeners.retain(|other| *other != key);
                for server in waiting {
                    self.refuse(server);
                }
            }
            // What it sent goes on.
            Some(Kind::Mail(_)) | None => {}
        }
    }

    /// Resets a connection that was never accepted.
    pub(super) fn refuse(&mut self, server: u32) {
        let client = self.stream(server).map_or(0, |stream| stream.peer);
        self.break_end(server, Error::Reset);
        let at = self.arrival(server);
        self.schedule(at, Event::Reset { to: client });
    }

    fn release_stream(&mut self, key: u32, reset: bool) {
        let Some(stream) = self.stream(key) else {
            return;
        };
        let unread = !stream.incoming.is_empty();
        stream.incoming = std::collections::VecDeque::new();
        if stream.error.is_some() || stream.opening == Opening::Asked {
            return;
        }
        stream.blocked = false;
        if reset || unread {
            // RFC 1122, section 4.2.2.13: bytes that nobody will read are answered with a reset.
            stream.outgoing.clear();
            stream.error = Some(Error::Reset);
            let peer = stream.peer;
            let at = self.arrival(key);
            return self.schedule(at, Event::Reset { to: peer });
        }
        stream.finished = true;
        self.kick(key);
        let peer = self.stream(key).map_or(0, |stream| stream.peer);
        // What the other end could not pass on for want of room is answered now.
        self.kick(peer);
    }

    /// Whether an end still has something to do: to be forgotten by nobody.
    pub(super) fn is_settled(end: &mut End) -> bool {
        let held = end.held;
        if matches!(end.kind, Kind::Mail(_)) {
            return !held;
        }
        end.stream().is_none_or(|stream| {
            let sent = stream.outgoing.is_empty() && (!stream.finished || stream.finish_arrived);
            !held && (sent || stream.error.is_some())
        })
    }
}
