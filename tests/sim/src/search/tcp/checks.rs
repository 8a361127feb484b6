//! What must hold in each state of two connections, after each step, and in the end.

use usockets::Error;
use usockets_smoltcp::tcp::State;

use super::end::End;
use super::world::{Action, World};

/// Challenge acknowledgements a second (RFC 5961, section 7).
const CHALLENGES_MAX: u8 = 10;
/// Silence after which what is sent again is sent because of a retransmission timeout, in
/// milliseconds.
const SILENCE: u64 = 150;

impl World {
    /// Checks that a connection goes to CLOSED for a reason.
    pub(super) fn check_state(&self, number: usize, before: State) -> Result<(), String> {
        let (end, peer) = (&self.ends[number], &self.ends[1 - number]);
        if end.tcp.state() != State::Closed || before == State::Closed {
            return Ok(());
        }
        let facts = &end.facts;
        match end.tcp.error() {
            Some(Error::Reset | Error::Refused) if peer.facts.reset => return Ok(()),
            Some(Error::BrokenPipe) if peer.facts.reset && before == State::CloseWait => {
                return Ok(());
            }
            Some(error) => return Err(format!("{number} breaks without a reason: {error}")),
            None => {}
        }
        if facts.aborted || facts.closed || peer.facts.reset || !facts.established {
            return Ok(());
        }
        let arrived = peer.facts.closed || peer.taken() == facts.written;
        if !facts.ended || !facts.peer_ended || !arrived || !peer.facts.peer_ended {
            return Err(format!("{number} is closed before both directions ended"));
        }
        Ok(())
    }

    /// Checks what one step has done.
    pub(super) fn check_step(&mut self, action: Action) -> Result<(), String> {
        for number in 0..2 {
            let sent = self.ends[number].step;
            let full = self.wires[number].len() >= self.rules.in_flight;
            let late = full || !matches!(action, Action::Deadline);
            if late && (full || sent.counts) {
                // Not all that it sends goes when it is due.
                self.ends[number].facts.silences = 0;
            }
            match action {
                Action::Deadline if sent.counts && !full => self.check_silence(number)?,
                Action::Deliver(from, _) | Action::Copy(from, _) if from != number => {
                    self.check_repair(number)?
                }
                Action::Forge(to, _) if to == number => {
                    let facts = &mut self.ends[number].facts;
                    facts.answers += sent.segments as u8;
                    if self.rules.times == 0 && facts.answers > CHALLENGES_MAX {
                        return Err("forged segments are answered without limit".into());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Each silence is longer than the one before (RFC 6298, section 5.5), and after it little is
    /// sent (RFC 5681, section 3.1).
    fn check_silence(&mut self, number: usize) -> Result<(), String> {
        let (now, rules) = (self.now, self.rules);
        let end = &mut self.ends[number];
        let (step, full) = (end.step, End::full(&rules));
        let outstanding = end.acknowledged().map_or(0, |una| end.facts.sent - una);
        let facts = &mut end.facts;
        facts.silences = facts.silences.saturating_add(1);
        let silent = now - facts.silent_at;
        if facts.silences > 2 && silent * 2 < facts.silent_for * 3 {
            return Err(format!(
                "after {} ms a timeout comes within {silent}",
                facts.silent_for
            ));
        }
        let late = facts.silences > 1 && silent >= SILENCE;
        if late && outstanding > full && step.octets > full {
            return Err(format!("{} octets are sent after a timeout", step.octets));
        }
        (facts.silent_at, facts.silent_for) = (now, silent);
        Ok(())
    }

    /// A partial acknowledgement tells of the next loss (RFC 6582, section 3.2).
    fn check_repair(&mut self, number: usize) -> Result<(), String> {
        if self.rules.sack || self.rules.reorder {
            return Ok(());
        }
        let end = &mut self.ends[number];
        let una = end.acknowledged().unwrap_or(0);
        let facts = &mut end.facts;
        if una > end.step.before && una < facts.repairs_to && end.step.again != Some(una) {
            return Err("a partial acknowledgement repairs nothing".into());
        }
        if end.step.again.is_some() && facts.repairs_to == 0 {
            facts.repairs_to = facts.sent;
        }
        if una >= facts.repairs_to {
            facts.repairs_to = 0;
        }
        Ok(())
    }

    /// Checks what holds in every state.
    pub(super) fn check(&mut self) -> Result<(), String> {
        for number in 0..2 {
            let stuck = self.wires[number].len() < self.rules.in_flight;
            let end = &mut self.ends[number];
            let checked = end.with(|tcp, buffers| tcp.check(buffers));
            checked.map_err(|what| format!("{number}: not true: {what}"))?;
            end.check_received()?;
            if stuck {
                self.check_waits(number)?;
            }
            let (end, peer) = (&self.ends[number], &self.ends[1 - number]);
            let known = peer.facts.closed || peer.tcp.state() == State::Closed;
            if let Some(una) = end.acknowledged()
                && una > peer.taken()
                && !known
            {
                return Err(format!(
                    "{una} octets are acknowledged, {} came",
                    peer.taken()
                ));
            }
            let least = u64::from(end.tcp.least_round_trip());
            if least > 0 && least < self.rules.latency * 2_000 {
                return Err(format!("a round trip of {least} us"));
            }
        }
        if self.rules.scaled {
            self.check_scaled()?;
        }
        Ok(())
    }

    /// A connection that has sent what it could, and waits for something, has a deadline.
    fn check_waits(&self, number: usize) -> Result<(), String> {
        let end = &self.ends[number];
        let (tcp, facts) = (&end.tcp, &end.facts);
        if tcp.state() == State::Closed || tcp.deadline().is_some() {
            return Ok(());
        }
        if !tcp.is_drained() || tcp.state().is_opening() || tcp.state() == State::TimeWait {
            return Err(format!(
                "{number} waits in {:?} without a deadline",
                tcp.state()
            ));
        }
        if facts.acked < end.next() && !facts.closed {
            return Err(format!(
                "{number} has not acknowledged, and has no deadline"
            ));
        }
        if facts.short && tcp.send_len() == 0 {
            return Err(format!("{number} has room, and does not report it"));
        }
        Ok(())
    }

    /// What fits in a window that is told in larger units is sent at once.
    fn check_scaled(&self) -> Result<(), String> {
        let (sender, receiver) = (&self.ends[0], &self.ends[1].facts);
        let quiet = self.wires.iter().all(Vec::is_empty);
        let facts = &sender.facts;
        let open = sender.acknowledged().is_some();
        let told = receiver.acked + (receiver.edge - receiver.acked) / 2 * 2;
        if quiet && open && facts.sent < facts.written && told >= facts.written {
            return Err("what fits in the window waits".into());
        }
        Ok(())
    }

    /// Does the next thing that brings everything to its end; returns false if nothing is left.
    pub(super) fn finish_turn(&mut self) -> Result<bool, String> {
        for number in 0..2 {
            let end = &mut self.ends[number];
            if !end.facts.closed && end.read(super::world::STREAM)? > 0 {
                return Ok(true);
            }
            if end.facts.established && !end.facts.ended {
                end.facts.ended = true;
                end.tcp.shutdown();
                return Ok(true);
            }
        }
        if let Some(from) = (0..2).find(|from| !self.wires[*from].is_empty()) {
            self.deliver(from, 0)?;
            return Ok(true);
        }
        let waits = self.first_deadline().is_some();
        self.on_deadline()?;
        Ok(waits)
    }

    /// Checks that everything came to its end.
    pub(super) fn check_finished(&self) -> Result<(), String> {
        let is_calm = |end: &End| {
            end.facts.began && end.facts.established && !end.facts.reset && !end.facts.aborted
        };
        for number in 0..2 {
            let (end, peer) = (&self.ends[number], &self.ends[1 - number]);
            // Who has nothing to send does not learn of a reset that was lost.
            let unaware = peer.facts.reset && end.tcp.state() == State::FinWait2;
            if end.tcp.state() != State::Closed && !unaware {
                return Err(format!("{number} stays in {:?}", end.tcp.state()));
            }
            if !is_calm(end) || !is_calm(peer) || end.facts.closed {
                continue;
            }
            if end.facts.read != peer.facts.written || !end.facts.peer_ended {
                let (read, written) = (end.facts.read, peer.facts.written);
                return Err(format!("{number} has read {read} of {written} octets"));
            }
        }
        Ok(())
    }
}
