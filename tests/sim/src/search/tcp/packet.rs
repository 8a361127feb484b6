//! A segment on its way. Its text is not in it: which octet of a stream stands where is known.

use std::hash::{Hash, Hasher};

use usockets_smoltcp::tcp::{Flags, Options, Segment, Seq, Transmit};

/// The longest text.
pub(super) const TEXT_MAX: usize = 128;

/// Returns the octet at `index` of the stream that end `end` sends.
pub(super) const fn octet(end: usize, index: u32) -> u8 {
    (index as u8).wrapping_mul(37) ^ (end as u8) << 7
}

/// A segment on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) seq: Seq,
    pub(super) ack: Seq,
    pub(super) window: u16,
    pub(super) flags: Flags,
    pub(super) options: Options,
    pub(super) len: u16,
    /// When it was sent, in milliseconds.
    pub(super) at: u64,
    /// It is not from its sender, and its text is not either.
    pub(super) forged: bool,
}

impl Packet {
    pub(super) fn new(transmit: &Transmit, now: u64) -> Self {
        Self {
            seq: transmit.seq,
            ack: transmit.ack,
            window: transmit.window,
            flags: transmit.flags,
            options: transmit.options,
            len: transmit.payload_len as u16,
            at: now,
            forged: false,
        }
    }

    pub(super) fn forged(flags: Flags, seq: Seq, ack: Seq, now: u64) -> Self {
        Self {
            seq,
            ack,
            window: 0,
            flags,
            options: Options::NONE,
            len: 0,
            at: now,
            forged: true,
        }
    }

    /// Returns where its text stands in its stream, which begins behind `iss`.
    pub(super) const fn index(&self, iss: Seq) -> u32 {
        self.seq.since(iss.plus(1))
    }

    /// Returns the segment, whose text is put into `text`.
    pub(super) fn segment<'t>(
        &self,
        from: usize,
        iss: Seq,
        text: &'t mut [u8; TEXT_MAX],
    ) -> Segment<'t> {
        let text = &mut text[..usize::from(self.len)];
        let first = self.index(iss);
        for (place, index) in text.iter_mut().zip(0..) {
            let octet = octet(from, first.wrapping_add(index));
            *place = if self.forged { !octet } else { octet };
        }
        Segment {
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            flags: self.flags,
            options: self.options,
            payload: text,
        }
    }

    /// Returns the part of its text from `from` up to `to`.
    pub(super) fn part(mut self, from: u16, to: u16) -> Self {
        let last = to == self.len;
        self.seq = self.seq.plus(from.into());
        self.len = to - from;
        if !last {
            self.flags = Flags::from_bits(self.flags.bits() & !Flags::FIN.bits());
        }
        self
    }

    /// Returns what those that may come in any order are sorted by.
    pub(super) fn key(&self, iss: Seq, irs: Seq) -> (u32, u32, u8, u16, u16, u64) {
        let (seq, ack) = (self.seq.since(iss), self.ack.since(irs));
        (seq, ack, self.flags.bits(), self.len, self.window, self.at)
    }

    /// Hashes it, counted from the initial sequence numbers of its sender and its receiver, and
    /// from now; `left` is for how long it is on its way at least.
    pub(super) fn fingerprint(
        &self,
        (iss, irs): (Seq, Seq),
        now: u64,
        left: u64,
        into: &mut impl Hasher,
    ) {
        let Self {
            seq,
            ack,
            window,
            flags,
            options,
            len,
            at: _,
            forged,
        } = self;
        (seq.since(iss), window, flags.bits(), len, left, forged).hash(into);
        let ack = flags.has(Flags::ACK).then(|| ack.since(irs));
        ack.hash(into);
        let Options {
            mss,
            window_scale,
            sack_permitted,
            timestamps,
            sack,
        } = options;
        (mss, window_scale, sack_permitted).hash(into);
        let clock = now as u32;
        let age = |time: u32| (time != 0).then(|| clock.wrapping_sub(time));
        let ages = timestamps.map(|stamps| (age(stamps.value), age(stamps.echo)));
        ages.hash(into);
        for block in sack.as_slice() {
            (block.start.since(irs), block.len()).hash(into);
        }
    }
}

impl std::fmt::Display for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            (Flags::SYN, "SYN "),
            (Flags::RST, "RST "),
            (Flags::FIN, "FIN "),
        ];
        for (flag, name) in names {
            if self.flags.has(flag) {
                f.write_str(name)?;
            }
        }
        write!(f, "seq {} len {}", self.seq.get(), self.len)?;
        if self.flags.has(Flags::ACK) {
            write!(f, " ack {}", self.ack.get())?;
        }
        write!(f, " window {}", self.window)?;
        for block in self.options.sack.as_slice() {
            write!(f, " sack {}..{}", block.start.get(), block.end.get())?;
        }
        if let Some(stamps) = self.options.timestamps {
            write!(f, " time {} echo {}", stamps.value, stamps.echo)?;
        }
        Ok(())
    }
}
