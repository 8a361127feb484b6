//! Memory pressure: times in which a connection gets no memory for its bytes, as where all of a
//! pool that sockets share is with others.

use crate::network::{Event, Network};
use crate::rng::Rng;

/// Longest that it lasts, in microseconds.
const SPANS: [u64; 3] = [200, 3_000, 30_000];

/// What one end of a connection knows of it.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// It gets no memory.
    lasts: bool,
    /// What it could not send the last time has not moved since.
    owes_send: bool,
    /// What could not arrive the last time has not moved since.
    owes_arrival: bool,
}

impl Pressure {
    /// Bytes of the program's were taken.
    pub(super) const fn on_send(&mut self) {
        self.owes_send = false;
    }

    /// Bytes of the peer's arrived.
    pub(super) const fn on_arrival(&mut self) {
        self.owes_arrival = false;
    }
}

/// Makes the generator that decides when a network is under pressure. It is apart from the other,
/// so that a network that is not draws what it drew before there was any pressure.
pub(super) fn generator(seed: u64) -> Rng {
    Rng::new(seed ^ 0x7072_6573_7375_7265)
}

impl Network {
    /// Returns true if this end gets no memory now, which may begin with this very question.
    ///
    /// Both directions get some between two times in which they wait for it, so that whatever the
    /// rate is, neither starves.
    pub(super) fn lacks_memory(&mut self, key: u32) -> bool {
        let rate = self.faults.pressure;
        let Some(stream) = self.stream(key) else {
            return false;
        };
        let pressure = &stream.pressure;
        if pressure.lasts {
            return true;
        }
        let owes = pressure.owes_send || pressure.owes_arrival;
        if owes || !self.pressure_rng.chance(rate) {
            return false;
        }
        let most = self.pressure_rng.pick(&SPANS);
        let micros = self.pressure_rng.between(1, most);
        if let Some(stream) = self.stream(key) {
            stream.pressure.lasts = true;
        }
        self.note("pressure", u64::from(key), micros);
        self.schedule(self.now + micros, Event::Memory { key });
        true
    }

    /// Returns true if this end gets no memory now.
    pub(super) fn is_under_pressure(&mut self, key: u32) -> bool {
        self.stream(key).is_some_and(|stream| stream.pressure.lasts)
    }

    /// This end gets memory again: what waited for it goes on, on both sides.
    pub(super) fn end_pressure(&mut self, key: u32) {
        let Some(stream) = self.stream(key) else {
            return;
        };
        let (peer, blocked) = (stream.peer, stream.blocked);
        let waits = self
            .stream(peer)
            .is_some_and(|peer| !peer.outgoing.is_empty());
        if let Some(stream) = self.stream(key) {
            stream.pressure = Pressure {
                lasts: false,
                owes_send: blocked,
                owes_arrival: waits,
            };
        }
        self.tell_room(key);
        self.kick(peer);
    }
}
