//! The memory that a TLS layer leases to its connections.

use crate::time::Instant;
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::exchange::Handshake;
use crate::tls::layer::buffers::{Buffers, Marks};
use crate::tls::layer::pool::{Entry, Pool, RoomDue};
use crate::tls::layer::slab::{ExchangePlace, ParkingPlace, Slab};
use crate::tls::record::protection::RECORD_MAX;

/// Least bytes of an output: the flight of a client without a certificate, or an alert.
const OUTPUT_MIN: usize = 256;

/// Everything that a [`Tls`](crate::tls::Tls) layer leases, handed over once.
///
/// - `SOCKETS`: connections that may wait for their turn at once. With the pool's number of
///   sockets none is ever turned away; 24 bytes each.
/// - `HANDSHAKES`: hellos that may be answered at once, and handshakes that take longer: of
///   clients, and of servers that wait for a signature or for what has no place to be parked; the
///   others wait. 9,328 bytes each.
/// - `INPUTS`: records that may be read at once. One that has come in part takes an input as long
///   as half of them are free, or of a connection whose last one came as a whole, as long as
///   another is; then it waits in the platform. 16.3 KiB each.
/// - `OUTPUTS`: connections whose peers may be slow to take what was sent at once; the others
///   cannot write meanwhile. `OUTPUT` bytes each, and 72 more.
/// - `OUTPUT`: the length of an output, and so of the longest record that is sent; at most
///   [`RECORD_MAX`], as by default. A short one costs 22 bytes and a seal for each record more. Our
///   own flight has to fit it: with 2,560 bytes a server may have certificates of 500 (with feature
///   `tls-mlkem` it takes 3,840), and [`Net::listen`](crate::Net::listen) fails with
///   [`Error::Invalid`](crate::Error::Invalid) if they are longer. 256 do for a client that has no
///   certificate. Peers choose the length of their records, so inputs are always of the largest
///   size.
///
/// Each of the others is at least 1 and of use up to 65,535. All zero bytes, so a static one takes
/// no space in the image.
pub struct TlsMemory<
    C: Crypto,
    const SOCKETS: usize,
    const HANDSHAKES: usize,
    const INPUTS: usize,
    const OUTPUTS: usize,
    const OUTPUT: usize = RECORD_MAX,
> {
    handshakes: [Entry<Handshake<C>>; HANDSHAKES],
    inputs: [Entry<Marks>; INPUTS],
    input_bytes: [[u8; RECORD_MAX]; INPUTS],
    outputs: [Entry<Marks>; OUTPUTS],
    output_bytes: [[u8; OUTPUT]; OUTPUTS],
    waiting: [[u64; SOCKETS]; 3],
}

impl<C, const S: usize, const H: usize, const I: usize, const O: usize, const L: usize>
    TlsMemory<C, S, H, I, O, L>
where
    C: Crypto,
{
    /// Memory with nothing leased.
    #[expect(
        clippy::large_stack_arrays,
        reason = "a constant, only ever the content of a static or of its caller's memory"
    )]
    pub const NEW: Self = {
        () = Self::CHECKED;
        Self {
            handshakes: [const { Entry::new(Handshake::EMPTY) }; H],
            inputs: [const { Entry::new(Marks::NONE) }; I],
            input_bytes: [[0; RECORD_MAX]; I],
            outputs: [const { Entry::new(Marks::NONE) }; O],
            output_bytes: [[0; L]; O],
            waiting: [[0; S]; 3],
        }
    };

    const CHECKED: () = {
        assert!(
            S > 0 && H > 0 && I > 0 && O > 0,
            "each number is at least 1"
        );
        assert!(
            OUTPUT_MIN <= L && L <= RECORD_MAX,
            "an output holds the shortest flight, and is no longer than a record"
        );
    };

    /// Takes back what was leased before, and makes pools of it all for one layer.
    pub(crate) fn pools(&mut self) -> Pools<'_, C> {
        // It may have been made of zero bytes.
        const { Self::CHECKED };
        let Self {
            handshakes,
            inputs,
            input_bytes,
            outputs,
            output_bytes,
            waiting,
        } = self;
        let [for_handshakes, for_inputs, for_outputs] = waiting;
        Pools {
            handshakes: Pool::new(handshakes, for_handshakes, Handshake::reset),
            parked: Slab::new(&mut []),
            exchanges: Slab::new(&mut []),
            inputs: Buffers::new(inputs, input_bytes, for_inputs),
            outputs: Buffers::new(outputs, output_bytes, for_outputs),
        }
    }
}

impl<C, const S: usize, const H: usize, const I: usize, const O: usize, const L: usize> Default
    for TlsMemory<C, S, H, I, O, L>
where
    C: Crypto,
{
    fn default() -> Self {
        Self::NEW
    }
}

/// What a layer leases.
pub(crate) struct Pools<'s, C: Crypto> {
    pub(crate) handshakes: Pool<'s, Handshake<C>>,
    /// Nobody waits for these: who gets none keeps what it has leased.
    pub(crate) parked: Slab<'s, ParkingPlace>,
    /// Likewise, of which each has more.
    pub(crate) exchanges: Slab<'s, ExchangePlace<C>>,
    pub(crate) inputs: Buffers<'s>,
    pub(crate) outputs: Buffers<'s>,
}

impl<C: Crypto> Pools<'_, C> {
    /// Sets the time, by which leases end.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.handshakes.set_now(now.as_micros());
        self.inputs.set_now(now.as_micros());
        self.outputs.set_now(now.as_micros());
        self.parked.set_now(now.as_micros());
        self.exchanges.set_now(now.as_micros());
    }

    /// Starts an iteration; returns when the next lease will be over, in microseconds, if others
    /// wait for it.
    pub(crate) fn begin_iteration(&mut self, lease_max: u64) -> Option<u64> {
        let room_due = self.room_due();
        let dues = [
            self.handshakes.begin_iteration(lease_max),
            self.inputs.begin_iteration(lease_max),
            self.outputs.begin_iteration(lease_max),
            // Whoever found no place to park in may find one then.
            self.handshakes.ask_one(room_due),
        ];
        dues.into_iter().flatten().min()
    }

    /// Returns when a socket is next to be reported, in microseconds; in the past if one is now.
    pub(crate) fn due(&self, lease_max: u64) -> Option<u64> {
        let room_due = self.room_due();
        let dues = [
            self.handshakes.due(lease_max),
            self.inputs.due(lease_max),
            self.outputs.due(lease_max),
            self.handshakes.ask_due(room_due),
        ];
        dues.into_iter().flatten().min()
    }

    /// Returns from when on a handshake that is wanted finds room to be parked in.
    fn room_due(&self) -> RoomDue {
        RoomDue {
            parking_place: self.parked.room_due(),
            exchange_place: self.exchanges.room_due(),
        }
    }

    /// Returns how many sockets are to be reported.
    pub(crate) fn reports(&self) -> u32 {
        let reports = [
            self.handshakes.reports(),
            self.inputs.reports(),
            self.outputs.reports(),
        ];
        let sum = |sum: u32, count: &u16| sum.saturating_add(u32::from(*count));
        reports.iter().fold(0, sum)
    }
}

#[cfg(feature = "search")]
impl<C: Crypto + Clone> Pools<'_, C>
where
    C::Room: Clone,
{
    /// Makes these pools what `other`'s are; false if they are of other lengths.
    pub(crate) fn copy_from(&mut self, other: &Self) -> bool {
        self.handshakes.copy_from(&other.handshakes)
            && self.inputs.copy_from(&other.inputs)
            && self.outputs.copy_from(&other.outputs)
            && self.parked.copy_from(&other.parked)
            && self.exchanges.copy_from(&other.exchanges)
    }
}

#[cfg(feature = "search")]
impl<C: Crypto + core::hash::Hash> core::hash::Hash for Pools<'_, C> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self {
            handshakes,
            parked,
            exchanges,
            inputs,
            outputs,
        } = self;
        handshakes.hash(into);
        (parked, exchanges).hash(into);
        (inputs, outputs).hash(into);
    }
}
