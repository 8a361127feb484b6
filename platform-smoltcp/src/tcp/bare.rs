//! What a connection does while there is no memory for it: neither buffers nor tables.
//!
//! A [`Quiet`] connection has none, and of what may happen to it only new text, coming or going,
//! needs some. All else is done here with a control block for the length of a call: segments
//! without new text are taken, be they keep-alive probes, resets or the peer's FIN; deadlines are
//! kept; acknowledgements, probes, resets and our FIN are sent.
//!
//! Our FIN is not counted by SND.NXT here until the peer has acknowledged it, since what is on its
//! way takes a table. Its retransmission timer is the one that is for keep-alive otherwise.

use usockets::Instant;

use super::connection::{Broken, Connection, Marks, State, scale_for};
use super::cookies::Cookie;
use super::memory::Buffers;
use super::outstanding::Outstanding;
use super::quiet::Quiet;
use super::segment::{Events, Flags, Segment, Transmit};
use super::settings::Settings;
use super::timers::millis;
use crate::number::count;

/// Entries that [`Buffers::outstanding`] has at least; one is used, for FIN.
const ENTRIES: usize = 4;

impl Quiet {
    /// Opens the connection whose handshake a cookie stood for, as [`Connection::accept_cookie`];
    /// `capacity` is the length of the receive buffer that the peer was told of. Text is not taken.
    /// Returns `None` if the segment does not open it.
    pub(crate) fn accept_cookie(
        now: Instant,
        settings: &Settings,
        cookie: &Cookie,
        segment: &Segment<'_>,
        capacity: u32,
    ) -> Option<(Self, Events)> {
        let mut quiet = Self::CLOSED;
        let segment = if segment.payload.is_empty() {
            *segment
        } else {
            segment.without_text()
        };
        let events = quiet.work(|connection, buffers| {
            connection.prepare_cookie(now, settings, cookie, &segment, buffers);
            if connection.marks.has(Marks::SCALING) {
                connection.receive.shift = scale_for(capacity);
            }
            connection.complete_cookie(now, &segment, capacity, buffers)
        });
        let is_open = !quiet.state.is_opening() && quiet.state != State::Closed;
        is_open.then_some((quiet, events))
    }

    /// Takes a segment, as [`Connection::on_segment`]; returns `None` if it brings text that there
    /// is no memory for. It is as if the network had lost that.
    pub(crate) fn on_segment(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Events> {
        if self.needs_memory(segment) {
            return None;
        }
        let (owed, timers) = (self.owes_fin(), self.timers);
        let waits = owed && timers.runs();
        let events = self.work(|connection, buffers| {
            if waits && segment.ack == connection.send.una.plus(1) {
                // As it was when our FIN had gone.
                connection.timers.stop_life();
                connection.transmit_new(now.as_micros(), 0, buffers);
            }
            let events = connection.on_segment(now, segment, buffers);
            if waits && connection.state == State::FinWait2 && !connection.timers.runs() {
                connection.timers.start_keepalive(now.as_micros());
            }
            events
        });
        if waits && self.owes_fin() {
            self.timers = self.timers.as_before(&timers);
        }
        Some(events)
    }

    /// Returns true if a segment brings new text that the owner is to receive.
    fn needs_memory(&self, segment: &Segment<'_>) -> bool {
        let end = segment.seq.plus(count(segment.payload.len()));
        let takes = matches!(
            self.state,
            State::Established | State::FinWait1 | State::FinWait2
        );
        takes && end.is_after(segment.seq.later(self.nxt)) && !self.marks.has(Marks::RECEIVE_CLOSED)
    }

    /// Does what is due by `now`, as [`Connection::on_timer`].
    pub(crate) fn on_timer(&mut self, now: Instant) -> Events {
        let owed = self.owes_fin();
        self.work(|connection, buffers| {
            if owed {
                connection.on_fin_timer(now.as_micros())
            } else {
                connection.on_timer(now, buffers)
            }
        })
    }

    /// Returns the next segment to send, as [`Connection::poll_transmit`]; it has no text.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let fin = self.owes_fin() && !self.timers.runs();
        self.work(|connection, buffers| connection.transmit_bare(now.as_micros(), fin, buffers))
    }

    /// Returns true if [`Self::poll_transmit`] may have something to send.
    pub(crate) const fn may_transmit(&self) -> bool {
        self.marks.has(Marks::DUE) || (self.owes_fin() && !self.timers.runs())
    }

    /// Returns true unless our FIN is to be delivered: there is nothing else that could be.
    pub(crate) const fn is_drained(&self) -> bool {
        !self.owes_fin()
    }

    /// Ends our direction, as [`Connection::shutdown`].
    pub(crate) fn shutdown(&mut self, now: Instant) {
        self.end(now, |connection, _| connection.shutdown());
    }

    /// Ends both directions, as [`Connection::close`].
    pub(crate) fn close(&mut self, now: Instant) {
        self.end(now, |connection, buffers| connection.close(now, buffers));
    }

    fn end(&mut self, now: Instant, end: impl FnOnce(&mut Connection, &mut Buffers<'_>)) {
        let owed = self.owes_fin();
        self.work(|connection, buffers| {
            end(connection, buffers);
            let owes = connection.marks.has(Marks::FIN_WANTED) && !owed;
            if owes && !connection.marks.has(Marks::FIN_SENT) {
                connection.timers.stop_life();
                connection.timers.progress_ms = millis(now.as_micros());
            }
        });
    }

    /// Ends the connection at once, as [`Connection::abort`].
    pub(crate) fn abort(&mut self) {
        self.work(|connection, _| connection.abort());
    }

    /// Returns true if our FIN is wanted and the peer has not acknowledged it.
    const fn owes_fin(&self) -> bool {
        self.marks.has(Marks::FIN_WANTED)
            && !self.marks.has(Marks::FIN_SENT)
            && matches!(
                self.state,
                State::FinWait1 | State::CloseWait | State::Closing
            )
    }

    /// Makes a control block for the length of a call.
    fn work<R>(&mut self, call: impl FnOnce(&mut Connection, &mut Buffers<'_>) -> R) -> R {
        let mut outstanding = [Outstanding::EMPTY; ENTRIES];
        let mut buffers = Buffers {
            send: &mut [],
            receive: &mut [],
            outstanding: &mut outstanding,
            ranges: &mut [],
        };
        let mut connection = self.resume();
        let result = call(&mut connection, &mut buffers);
        *self = connection.without_memory();
        result
    }
}

impl Connection {
    /// Returns what remains of a connection without memory after a call. What is to be sent is
    /// remembered; of what is on its way there is only our FIN, which is to be sent again.
    fn without_memory(mut self) -> Quiet {
        if self.state != State::Closed && self.flight() > 0 {
            self.marks.clear(Marks::FIN_SENT);
            if self.state == State::LastAck {
                self.state = State::CloseWait;
            }
        }
        if !self.state.has_peer_fin() {
            // One that came ahead of text comes again with it.
            self.marks.clear(Marks::PEER_FIN_KNOWN);
        }
        if self.timers.stop_ack() {
            self.marks.set(Marks::ACK_DUE);
        }
        self.marks.clear(
            Marks::OF_FLIGHT
                | Marks::TAIL_PROBE_DUE
                | Marks::WINDOW_PROBE_DUE
                | Marks::FIRST_AGAIN
                | Marks::PACE_WAITS,
        );
        self.kept()
    }

    /// Sends what is due without text, and our FIN if `fin` says so. The whole of
    /// [`Connection::poll_transmit`] has one caller only, and is faster for it.
    fn transmit_bare(&mut self, now: u64, fin: bool, buffers: &Buffers<'_>) -> Option<Transmit> {
        self.timers.note_now(now);
        if self.state == State::Closed {
            return self.transmit_reset();
        }
        if fin {
            self.start_fin_timer(now);
            let flags = Flags::FIN | Flags::ACK;
            return Some(self.segment(now, (self.send.nxt, 0), flags, buffers));
        }
        self.transmit_keepalive(now, buffers)
            .or_else(|| self.transmit_ack(now, buffers))
    }

    /// Starts the retransmission timer of a FIN that no table has.
    fn start_fin_timer(&mut self, now: u64) {
        let after = self.rtt.timeout().checked_div(1_000).unwrap_or(0);
        self.timers.start_life(now, after);
    }

    /// Lets that FIN go again once its timer has run out, or gives up (RFC 9293, section 3.8.3).
    fn on_fin_timer(&mut self, now: u64) -> Events {
        let due = self.timers.is_life_due(now);
        self.timers.note_now(now);
        if !due {
            return Events::NONE;
        }
        self.timers.stop_life();
        if !self.is_given_up(now) {
            self.rtt.back_off();
            return Events::NONE;
        }
        self.finish(Broken::TimedOut);
        self.marks.set(Marks::RESET_DUE);
        Events::CLOSED
    }
}
