//! TIME-WAIT: what is left of a connection until its last segments have died out.

use super::connection::{Broken, Connection, Marks, State};
use super::injected_bug::injected_bug;
use super::segment::{Events, Flags, Segment};
use super::timers::Main;

impl Connection {
    /// Goes to TIME-WAIT for twice the MSL (RFC 9293, section 3.6, MUST-13).
    pub(super) fn enter_time_wait(&mut self, now: u64) {
        self.state = State::TimeWait;
        if self.timers.main != Main::Stopped {
            self.timers.stop();
        }
        self.timers.start_time_wait(now);
    }

    /// Takes a segment in TIME-WAIT (RFC 9293, section 3.10.7.4; RFC 1337; RFC 6191).
    pub(super) fn on_time_wait(&mut self, now: u64, segment: &Segment<'_>) -> Events {
        // A reset would let old segments in (RFC 1337, section 3, fix F1).
        if segment.flags.has(Flags::RST) {
            if injected_bug!(Assassination) {
                self.finish(Broken::Not);
                return Events::CLOSED;
            }
            return Events::NONE;
        }
        if segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK) {
            if self.is_newer(now, segment) {
                return Events::NEW_SYN;
            }
            self.challenge(now);
            return Events::NONE;
        }
        // The peer's FIN again: our acknowledgement of it was lost.
        let again =
            segment.flags.has(Flags::FIN) && segment.seq.plus(segment.len()) == self.receive.nxt;
        if again {
            self.timers.start_time_wait(now);
            self.marks.set(Marks::ACK_DUE);
        } else if !self.receive.is_acceptable(segment.seq, segment.len()) {
            self.challenge(now);
        }
        Events::NONE
    }

    /// Returns true if a SYN cannot be of the old connection: its timestamp is later (RFC 6191,
    /// section 2), or its sequence number (RFC 1122, section 4.2.2.13).
    fn is_newer(&self, now: u64, segment: &Segment<'_>) -> bool {
        if self.marks.has(Marks::TIMESTAMPS)
            && let Some(timestamps) = segment.options.timestamps
        {
            let ahead = timestamps.value.wrapping_sub(self.clock.recent);
            let later = ahead != 0 && ahead <= i32::MAX.cast_unsigned();
            let outdated = self.is_recent_outdated(now);
            if later || outdated {
                return true;
            }
            return ahead == 0 && segment.seq.is_after(self.receive.nxt);
        }
        segment.seq.is_after(self.receive.nxt)
    }
}
