//! What the TAP examples with datagrams share: the sockets' memory.

use static_cell::ConstStaticCell;
use usockets::Error;
use usockets_smoltcp::{DatagramMemory, DatagramSlot, PollDevice, Stack};

/// Datagram sockets, and the bytes of each for what has come and for what waits for a neighbour.
const SOCKETS: usize = 2;
const RECEIVED: usize = 262_144;
const HELD: usize = 16_384;

static SLOTS: ConstStaticCell<[DatagramSlot; SOCKETS]> =
    ConstStaticCell::new([const { DatagramSlot::EMPTY }; SOCKETS]);
static BUCKETS: ConstStaticCell<[u32; SOCKETS]> = ConstStaticCell::new([0; SOCKETS]);
static RECEIVED_BYTES: ConstStaticCell<[u8; SOCKETS * RECEIVED]> =
    ConstStaticCell::new([0; SOCKETS * RECEIVED]);
static HELD_BYTES: ConstStaticCell<[u8; SOCKETS * HELD]> =
    ConstStaticCell::new([0; SOCKETS * HELD]);

/// Gives a stack its datagram sockets.
pub(crate) fn start<D: PollDevice>(stack: &mut Stack<'static, D>) -> Result<(), Error> {
    stack.start_datagrams(DatagramMemory {
        sockets: SLOTS.take(),
        buckets: BUCKETS.take(),
        received: RECEIVED_BYTES.take(),
        held: HELD_BYTES.take(),
    })
}
