//! What always holds of a connection, for tests, fuzzing and simulators to check.

use super::connection::{Connection, Marks, State};
use super::memory::{Buffers, capacity};
use super::outstanding::Outstanding;
use super::timers::Main;

impl Connection {
    /// Checks what holds between calls, whatever was sent, received and lost. It goes through the
    /// whole tables, so it is for tests, fuzzing and simulation.
    ///
    /// # Errors
    /// The first sentence that is not true.
    pub fn check(&self, buffers: &Buffers<'_>) -> Result<(), &'static str> {
        if self.state == State::Closed {
            return Ok(());
        }
        require(
            self.state.is_opening() || !self.marks.has(Marks::SYN_DUE),
            "no SYN is sent after the handshake",
        )?;
        self.check_send(buffers)?;
        self.check_board(buffers)?;
        self.check_receive(buffers)
    }

    fn check_send(&self, buffers: &Buffers<'_>) -> Result<(), &'static str> {
        let send = &self.send;
        require(
            !send.nxt.is_before(send.una),
            "SND.UNA is not after SND.NXT",
        )?;
        require(
            send.queued <= capacity(buffers.send),
            "the send buffer holds no more than it has room for",
        )?;
        let waits = self.timers.main != Main::Stopped;
        require(
            !waits || self.state.is_opening() || self.flight() > 0 || send.queued > 0,
            "nothing is waited for that is neither on its way nor to be sent",
        )?;
        let fin = u32::from(self.marks.has(Marks::FIN_SENT) && send.una != send.nxt);
        let sent = send.nxt.since(self.first_octet()).saturating_sub(fin);
        require(
            self.state.is_opening() || sent <= send.queued,
            "what is sent and not acknowledged is in the send buffer",
        )?;
        require(
            self.state.is_opening() || self.congestion.window > 0,
            "the congestion window is never closed",
        )
    }

    fn check_board(&self, buffers: &Buffers<'_>) -> Result<(), &'static str> {
        if self.state.is_opening() {
            return require(self.board.is_empty(), "only SYN is on its way at first");
        }
        let (mut seq, mut sacked, mut lost, mut entries) = (self.send.una, 0_u32, 0_u32, 0_u32);
        for index in 0..self.board.len() {
            let Some(entry) = self.board.get(buffers.outstanding, index) else {
                return Err("every entry in use is in the table");
            };
            require(entry.seq == seq, "the table has no gaps")?;
            require(entry.len > 0, "no entry is empty")?;
            seq = entry.end();
            let octets = u32::from(entry.len);
            if entry.has_any(Outstanding::SACKED) {
                sacked = sacked.saturating_add(octets);
                entries = entries.saturating_add(1);
                require(
                    !entry.has_any(Outstanding::LOST),
                    "what has arrived is not lost",
                )?;
            } else if entry.has_any(Outstanding::LOST) {
                lost = lost.saturating_add(octets);
            }
        }
        // The octet of a zero-window probe that was taken has no entry.
        require(
            seq == self.send.nxt,
            "the table reaches from SND.UNA to SND.NXT",
        )?;
        require(sacked == self.board.sacked, "SACKED octets are counted")?;
        require(
            entries == self.board.sacked_len(),
            "SACKED entries are counted",
        )?;
        require(lost == self.board.lost, "LOST octets are counted")
    }

    fn check_receive(&self, buffers: &Buffers<'_>) -> Result<(), &'static str> {
        let receive = &self.receive;
        require(
            !self.timers.delays_ack() || !receive.is_acknowledged(),
            "no acknowledgement waits of what is acknowledged",
        )?;
        require(
            receive.queued.saturating_add(receive.window())
                <= capacity(buffers.receive).saturating_add(1),
            "the window promises no more than there is room for",
        )?;
        receive.check_ranges(buffers.ranges)
    }
}

/// Returns `what` as an error unless it `holds`.
pub(super) const fn require(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
