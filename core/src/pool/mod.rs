//! The caller's memory: slots, their data, and the lists that run through them.
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | [`Sockets`], and the parts that a pool of any length is made of |
//! | `slot.rs` | [`Slot`]: one slot, and finding it by its id |
//! | `flags.rs` | the phase and the latches of a slot |
//! | `free_list.rs` | slots that are free |
//! | `run_queue.rs` | sockets with work left for the next iteration |
//! | `closing.rs` | sockets whose `on_close` is due |
//! | `waiting.rs` | listeners that wait for a slot or for the platform |
//! | `wheel.rs` | deadlines |
//!
//! Each list keeps its own invariants; a slot is on at most one of them beside the run queue.

pub(crate) mod closing;
pub(crate) mod flags;
pub(crate) mod free_list;
pub(crate) mod run_queue;
pub(crate) mod slot;
pub(crate) mod waiting;
pub(crate) mod wheel;

use crate::handler::Handler;
use crate::platform::Platform;
use crate::pool::slot::{Place, Slot};

/// Memory for the `N` sockets of one loop, made at compile time and placed by the caller.
///
/// A slot holds one connection, listener, datagram socket, timer or foreign descriptor. All state
/// is zero bytes as long as [`Platform::CLOSED`] is, so a static pool lies in `.bss` and costs no
/// image space. Untouched slots are never read or written.
///
/// ```
/// use static_cell::ConstStaticCell;
/// use usockets::{Error, Handler, Loop, Opened, Platform, Socket, Sockets};
/// use usockets_linux::Linux;
///
/// struct Ignore;
///
/// impl<P: Platform> Handler<P> for Ignore {
///     type Ext = ();
///     type Context = ();
///     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
///     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// }
///
/// static SOCKETS: ConstStaticCell<Sockets<Linux, Ignore, 64>> =
///     ConstStaticCell::new(Sockets::new());
///
/// let mut buffer = [0; 4096];
/// let mut server = Loop::new(Linux::new()?, SOCKETS.take(), &mut buffer);
/// server.run(&mut Ignore)?; // Nothing listens, so it returns at once.
/// # Ok::<(), Error>(())
/// ```
pub struct Sockets<P: Platform, H: Handler<P>, const N: usize> {
    pub(crate) slots: [Slot<P::Socket, H::Context>; N],
    pub(crate) exts: [Place<H::Ext>; N],
}

impl<P: Platform, H: Handler<P>, const N: usize> Default for Sockets<P, H, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform, H: Handler<P>, const N: usize> Sockets<P, H, N> {
    /// Bytes that one slot takes, the socket's data included.
    pub const SLOT_BYTES: usize =
        size_of::<Slot<P::Socket, H::Context>>() + size_of::<Place<H::Ext>>();

    /// Makes an empty pool.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(N > 0, "a pool holds at least one socket");
            assert!(N < 0xffff_ffff, "a pool index fits 32 bits");
        }
        Self {
            slots: [const { Slot::free(P::CLOSED) }; N],
            exts: [const { Place::Vacant }; N],
        }
    }
}
