//! How rough a simulated network is.

use std::fmt;

use crate::rng::Rng;

/// How rough a simulated network is. Rates count per 10,000 calls or events.
///
/// All but those of the last group are harmless: they change when and in which pieces things
/// come, never whether. The last group breaks connections and calls.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Shortest one-way delay, in microseconds.
    pub latency_min: u64,
    /// Longest one-way delay, in microseconds.
    pub latency_max: u64,
    /// Most bytes that arrive together.
    pub segment_max: usize,
    /// Bytes a direction holds on the sender's side, unless the endpoint says.
    pub send_buffer: usize,
    /// Bytes a direction holds on the receiver's side, unless the endpoint says.
    pub recv_buffer: usize,
    /// Most reports per poll.
    pub batch_max: usize,
    /// A receive returns less than there is.
    pub partial_read: u16,
    /// A send takes less than fits, down to nothing.
    pub partial_write: u16,
    /// A receive says it would block although it would not; a report follows.
    pub false_block: u16,
    /// A receive or an accept that took the last says there may be more.
    pub undrained: u16,
    /// A poll adds a report that need not be true, also of a socket long closed.
    pub spurious: u16,
    /// A fact that is still latched is reported again.
    pub repeated: u16,
    /// A report's facts come one by one.
    pub split: u16,
    /// A report comes late.
    pub late_report: u16,
    /// A report goes behind others.
    pub shuffled: u16,
    /// A host that is as a layer holds the end of a stream for a while.
    pub held_end: u16,
    /// A host that is as a layer takes a while to open a connection that it accepted.
    pub handshake: u16,
    /// A host that is as a layer holds some of a connection that the program closed.
    pub farewell: u16,
    /// A listener is reported in each poll for as long as a connection waits.
    pub level_listeners: bool,
    /// The clock of a host jumps forward.
    pub clock_jump: u16,
    /// A host stands still for a while.
    pub stall: u16,
    /// A datagram goes ahead of others that were sent before it.
    pub datagram_reordering: bool,
    /// From a send or an arrival on, a connection gets no memory for its bytes for a while, as
    /// where others have all of the pool that sockets share: its sends take nothing, and nothing
    /// arrives for it. When that is over, its program is told that it can send, and what its peer
    /// sent comes.
    pub pressure: u16,

    /// A datagram is lost.
    pub datagram_loss: u16,
    /// A datagram arrives twice.
    pub datagram_copies: u16,
    /// A connection is reset while bytes are under way.
    pub reset: u16,
    /// A receive fails.
    pub recv_error: u16,
    /// Behind the peer's end a receive does not tell that the connection broke: the report does,
    /// as on Linux.
    pub end_hides_error: bool,
    /// An error is given to one call only; whoever receives after that finds the end of the stream,
    /// as on Linux.
    pub error_once: bool,
    /// Refusing a connection always fails, with this.
    pub refusal: Option<usockets::Error>,
    /// A send fails.
    pub send_error: u16,
    /// Ending our direction fails.
    pub finish_error: u16,
    /// A listen fails.
    pub listen_error: u16,
    /// A connect fails at once.
    pub connect_error: u16,
    /// A connect is never answered.
    pub connect_hang: u16,
    /// A connect is answered with a failure.
    pub connect_fail: u16,
    /// A waiting connection dies before it is accepted, or none can be accepted now.
    pub accept_error: u16,
    /// A listener cannot be told to stop or go on reporting.
    pub set_accepting_error: u16,
    /// Most sockets a host can have.
    pub descriptors: usize,
}

impl Faults {
    /// Makes a network without faults and without randomness: 50 µs from host to host, large
    /// buffers, everything reported once and in order.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            latency_min: 50,
            latency_max: 50,
            segment_max: 65_536,
            send_buffer: 65_536,
            recv_buffer: 65_536,
            batch_max: 256,
            partial_read: 0,
            partial_write: 0,
            false_block: 0,
            undrained: 0,
            spurious: 0,
            repeated: 0,
            split: 0,
            late_report: 0,
            shuffled: 0,
            held_end: 0,
            handshake: 0,
            farewell: 0,
            level_listeners: false,
            clock_jump: 0,
            stall: 0,
            datagram_reordering: false,
            pressure: 0,
            datagram_loss: 0,
            datagram_copies: 0,
            reset: 0,
            recv_error: 0,
            end_hides_error: false,
            error_once: false,
            refusal: None,
            send_error: 0,
            finish_error: 0,
            listen_error: 0,
            connect_error: 0,
            connect_hang: 0,
            connect_fail: 0,
            accept_error: 0,
            set_accepting_error: 0,
            descriptors: usize::MAX,
        }
    }

    /// Draws a network that is rough but loses nothing: every connection opens, every byte
    /// arrives.
    #[must_use]
    pub fn rough(seed: u64) -> Self {
        let rng = &mut Rng::new(seed ^ 0x0072_6f75_6768);
        let latency_min = rng.below(200);
        let segment_max = rng.pick(&[1, 3, 100, 1_460, 65_536]);
        let buffer_max = segment_max * 300;
        Self {
            latency_min,
            latency_max: latency_min + rng.pick(&[0, 50, 1_000, 30_000]),
            segment_max,
            send_buffer: buffer_max.min(rng.pick(&[1, 7, 200, 4_096, 65_536])),
            recv_buffer: buffer_max.min(rng.pick(&[1, 5, 300, 4_096, 65_536])),
            batch_max: rng.pick(&[1, 2, 8, 256]),
            partial_read: rate(rng, 5_000),
            partial_write: rate(rng, 5_000),
            false_block: rate(rng, 2_000),
            undrained: rate(rng, 10_000),
            spurious: rate(rng, 3_000),
            repeated: rate(rng, 3_000),
            split: rate(rng, 5_000),
            late_report: rate(rng, 3_000),
            shuffled: rate(rng, 5_000),
            level_listeners: rng.chance(5_000),
            held_end: rate(rng, 10_000),
            handshake: rate(rng, 10_000),
            farewell: rate(rng, 10_000),
            pressure: rate(&mut Rng::new(seed ^ 0x6d65_6d6f_7279), 1_000),
            ..Self::none()
        }
    }

    /// Draws a network in which, on top of [`Self::rough`], anything may break.
    #[must_use]
    pub fn hostile(seed: u64) -> Self {
        let rng = &mut Rng::new(seed ^ 0x0068_6f73_7469_6c65);
        Self {
            clock_jump: rate(rng, 100),
            stall: rate(rng, 100),
            reset: rate(rng, 300),
            recv_error: rate(rng, 100),
            end_hides_error: rng.chance(5_000),
            error_once: rng.chance(5_000),
            send_error: rate(rng, 100),
            finish_error: rate(rng, 1_000),
            listen_error: rate(rng, 3_000),
            connect_error: rate(rng, 2_000),
            connect_hang: rate(rng, 2_000),
            connect_fail: rate(rng, 2_000),
            accept_error: rate(rng, 2_000),
            set_accepting_error: rate(rng, 5_000),
            descriptors: rng.pick(&[usize::MAX, usize::MAX, 3, 6, 10]),
            ..Self::rough(seed)
        }
    }

    /// Returns true if connections, calls or clocks can break.
    #[must_use]
    pub fn is_harmful(&self) -> bool {
        let rates = [
            self.clock_jump,
            self.stall,
            self.reset,
            self.recv_error,
            self.send_error,
            self.finish_error,
            self.listen_error,
            self.connect_error,
            self.connect_hang,
            self.connect_fail,
            self.accept_error,
            self.set_accepting_error,
        ];
        rates.iter().any(|rate| *rate > 0)
            || self.refusal.is_some()
            || self.descriptors != usize::MAX
    }

    /// Removes what breaks connections, calls and clocks; what is harmless stays.
    #[must_use]
    pub fn without_harm(self) -> Self {
        let none = Self::none();
        Self {
            clock_jump: 0,
            stall: 0,
            datagram_reordering: false,
            datagram_loss: 0,
            datagram_copies: 0,
            reset: 0,
            recv_error: 0,
            send_error: 0,
            finish_error: 0,
            listen_error: 0,
            connect_error: 0,
            connect_hang: 0,
            connect_fail: 0,
            accept_error: 0,
            refusal: None,
            set_accepting_error: 0,
            descriptors: none.descriptors,
            ..self
        }
    }
}

/// Draws a rate: none for half of the seeds, anything up to `most` for the others.
fn rate(rng: &mut Rng, most: u64) -> u16 {
    if rng.chance(5_000) {
        return 0;
    }
    u16::try_from(rng.below(most)).unwrap_or(10_000)
}

/// What differs from [`Faults::none`], by the names of the fields.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = Self::none();
        let mut has_any = false;
        // Each field once: the pattern has no rest, so that one that is new must be named.
        macro_rules! differing {
            ($($field:ident)*) => {
                let Self { $($field),* } = self;
                $(
                    if *$field != none.$field {
                        let comma = if has_any { ", " } else { "" };
                        write!(f, "{comma}{}: {:?}", stringify!($field), $field)?;
                        has_any = true;
                    }
                )*
            };
        }
        differing! {
            latency_min latency_max segment_max send_buffer recv_buffer batch_max partial_read
            partial_write false_block undrained spurious repeated split late_report shuffled
            held_end handshake farewell level_listeners clock_jump stall datagram_reordering
            pressure datagram_loss datagram_copies reset recv_error end_hides_error error_once
            refusal send_error finish_error listen_error connect_error connect_hang connect_fail
            accept_error set_accepting_error descriptors
        }
        match has_any {
            true => Ok(()),
            false => f.write_str("no faults"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        assert_eq!(Faults::none().to_string(), "no faults");
        let faults = Faults {
            refusal: Some(usockets::Error::Full),
            level_listeners: true,
            latency_min: 3,
            ..Faults::none()
        };
        let said = "latency_min: 3, level_listeners: true, refusal: Some(Full)";
        assert_eq!(faults.to_string(), said);
    }
}
