//! What an owner does with a connection: SEND, RECEIVE, CLOSE and ABORT of RFC 9293, section 3.9.1.

use usockets::Instant;

use super::connection::{Broken, Connection, Marks, State};
use super::memory::{Buffers, advance, capacity, read_ring, write_ring};
use crate::number::{count, place, put_pieces};

impl Connection {
    /// Takes as much of `data` into the send buffer as there is room for, and returns how much; 0
    /// when there is none, and once our direction is closed. Octets sent before the handshake is
    /// complete wait for it (RFC 9293, section 3.10.2).
    ///
    /// After less than all was taken, [`Events::WRITABLE`](super::Events::WRITABLE) follows.
    pub fn send(&mut self, data: &[u8], buffers: &mut Buffers<'_>) -> usize {
        let open = matches!(
            self.state,
            State::SynSent | State::SynReceived | State::Established | State::CloseWait
        );
        if !open || self.marks.has(Marks::FIN_WANTED) {
            return 0;
        }
        #[cfg(feature = "bbr")]
        self.note_limited();
        let free = capacity(buffers.send).saturating_sub(self.send.queued);
        let taken = count(data.len()).min(free);
        let at = advance(buffers.send, self.send.head, self.send.queued);
        let len = place(taken);
        write_ring(buffers.send, at, data.get(..len).unwrap_or_default());
        self.send.queued = self.send.queued.saturating_add(taken);
        if len < data.len() {
            self.marks.set(Marks::SEND_SHORT);
        }
        len
    }

    /// Moves octets that have come to the front of `buffer`, and returns how many; 0 when there are
    /// none. Call it until then before believing that the stream has ended.
    pub fn receive(&mut self, buffer: &mut [u8], buffers: &mut Buffers<'_>) -> usize {
        let taken = self.peek(buffer, buffers);
        self.consume(count(taken), buffers);
        taken
    }

    /// Copies octets that have come to the front of `buffer`, and returns how many. They stay.
    pub fn peek(&self, buffer: &mut [u8], buffers: &Buffers<'_>) -> usize {
        let len = self.receive.queued.min(count(buffer.len()));
        let pieces = read_ring(buffers.receive, self.receive.head, len);
        put_pieces(buffer, pieces);
        let [first, second] = pieces;
        first.len().saturating_add(second.len())
    }

    /// Returns the octets that can be received, where they lie.
    #[must_use]
    pub fn received<'b>(&self, buffers: &'b Buffers<'_>) -> [&'b [u8]; 2] {
        read_ring(buffers.receive, self.receive.head, self.receive.queued)
    }

    /// Removes the first `octets` of what can be received.
    pub fn consume(&mut self, octets: u32, buffers: &Buffers<'_>) {
        let octets = octets.min(self.receive.queued);
        self.receive.head = advance(buffers.receive, self.receive.head, octets);
        self.receive.queued = self.receive.queued.saturating_sub(octets);
        let open = matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        );
        if octets > 0 && open && self.receive.wants_update(capacity(buffers.receive)) {
            self.marks.set(Marks::ACK_DUE);
        }
    }

    /// Returns how many octets can be received.
    #[must_use]
    pub const fn receive_len(&self) -> u32 {
        self.receive.queued
    }

    /// Returns how many octets are in the send buffer: not sent, or not acknowledged.
    #[must_use]
    pub const fn send_len(&self) -> u32 {
        self.send.queued
    }

    /// Returns true once the peer has acknowledged everything, our FIN included if it is sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let fin = self.marks.has(Marks::FIN_WANTED) && !self.is_fin_acknowledged();
        self.send.queued == 0 && !fin
    }

    /// Returns true once the peer has acknowledged our FIN.
    pub(super) fn is_fin_acknowledged(&self) -> bool {
        self.marks.has(Marks::FIN_SENT) && self.send.una == self.send.nxt
    }

    /// Ends our direction (SHUTDOWN for sending): a FIN follows what has been sent. Receiving goes
    /// on. In SYN-SENT the connection is given up instead (RFC 9293, section 3.10.4).
    pub fn shutdown(&mut self) {
        match self.state {
            State::SynSent => self.finish(Broken::Not),
            State::SynReceived | State::Established | State::CloseWait => {
                self.marks.set(Marks::FIN_WANTED);
                if self.state == State::Established {
                    self.state = State::FinWait1;
                }
            }
            _ => {}
        }
    }

    /// Ends both directions: as [`Self::shutdown`], and what still comes is discarded. If there is
    /// something that was not received, or something comes later, the peer is told by a reset that
    /// it was lost (RFC 9293, section 3.6.1; RFC 2525, section 2.17).
    pub fn close(&mut self, now: Instant, buffers: &Buffers<'_>) {
        self.timers.note_now(now.as_micros());
        if self.receive.queued > 0 {
            self.consume(u32::MAX, buffers);
            return self.abort();
        }
        self.marks.set(Marks::RECEIVE_CLOSED);
        self.shutdown();
        if self.state == State::FinWait2 {
            self.timers.start_time_wait(now.as_micros());
        }
    }

    /// Ends the connection at once; the peer is sent a reset if it knows of the connection
    /// (RFC 9293, section 3.10.5).
    pub fn abort(&mut self) {
        let known = !matches!(self.state, State::Closed | State::SynSent | State::TimeWait);
        self.finish(Broken::Not);
        if known {
            self.marks.set(Marks::RESET_DUE);
        }
    }
}
