//! The memory of a server's connections, lent by the program.

use usockets::{Handler, Platform, Socket, SocketId};

use super::outgoing::ROOM;
use super::service::Service;

/// Sizes of the memory of one connection.
#[derive(Debug)]
pub(crate) enum Memory<const IN: usize, const OUT: usize> {}

impl<const IN: usize, const OUT: usize> Memory<IN, OUT> {
    /// Longest receive buffer of the loop.
    pub(crate) const RECEIVE_MAX: usize = IN / 2;
}

/// Memory of a server whose pool has `N` slots: zero bytes, so that a static costs no image space.
#[derive(Debug)]
pub(crate) struct Store<const IN: usize, const OUT: usize, const N: usize> {
    inputs: [[u8; IN]; N],
    outputs: [[u8; OUT]; N],
    clients: [Option<SocketId>; N],
    draft: [u8; OUT],
}

impl<const IN: usize, const OUT: usize, const N: usize> Store<IN, OUT, N> {
    /// Bytes for each slot.
    pub(crate) const SLOT_BYTES: usize = IN + OUT + size_of::<Option<SocketId>>();

    /// Makes the memory.
    pub(crate) const fn new() -> Self {
        Self {
            inputs: [[0; IN]; N],
            outputs: [[0; OUT]; N],
            clients: [None; N],
            draft: [0; OUT],
        }
    }

    /// Returns its parts.
    pub(crate) const fn tables(&mut self) -> Tables<'_, IN, OUT> {
        Tables {
            inputs: &mut self.inputs,
            outputs: &mut self.outputs,
            clients: &mut self.clients,
            draft: &mut self.draft,
        }
    }
}

/// The memory of a server, wherever it is: an entry for each slot of the pool. One connection's is
/// not touched until it is needed.
#[derive(Debug)]
pub(crate) struct Tables<'m, const IN: usize, const OUT: usize> {
    /// What connections received and have not used.
    pub(crate) inputs: &'m mut [[u8; IN]],
    /// What clients have not taken.
    pub(crate) outputs: &'m mut [[u8; OUT]],
    /// By slot, the client that had it last.
    pub(crate) clients: &'m mut [Option<SocketId>],
    /// Where responses are made as long as the client takes them at once: all connections share
    /// it, so that it stays in the processor's cache.
    pub(crate) draft: &'m mut [u8; OUT],
}

/// Where the memory of a server's connections is: a table with an entry for each, or a pool that
/// they lease it from.
pub(crate) trait Pool {
    /// Longest response that is held.
    const OUT: usize;

    /// Returns, by slot, the client that had it last; nothing where that is never asked.
    fn clients(&mut self) -> &mut [Option<SocketId>];

    /// Returns the memory that a call of the connection works with: what it kept, or any.
    fn memory(&mut self, id: SocketId) -> Pieces<'_>;

    /// A call of the connection is over. Returns the connection that loses its memory for what this
    /// one keeps, which may be itself.
    fn after_call(&mut self, id: SocketId, kept: Kept) -> Option<SocketId>;

    /// The connection is gone.
    fn on_close(&mut self, id: SocketId);
}

/// What a connection keeps in its memory between two calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    Nothing,
    /// The beginning of a request.
    Request,
    /// Something that the client has asked for, too.
    Response,
}

/// The memory that one call of a connection works with.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    pub(crate) input: &'a mut [u8],
    pub(crate) output: &'a mut [u8],
    pub(crate) draft: &'a mut [u8],
}

impl<const IN: usize, const OUT: usize> Pool for Tables<'_, IN, OUT> {
    const OUT: usize = OUT;

    fn clients(&mut self) -> &mut [Option<SocketId>] {
        self.clients
    }

    #[inline]
    fn memory(&mut self, id: SocketId) -> Pieces<'_> {
        let input = id.entry(self.inputs).map(|input| &mut input[..]);
        let output = id.entry(self.outputs).map(|output| &mut output[..]);
        Pieces {
            input: input.unwrap_or_default(),
            output: output.unwrap_or_default(),
            draft: self.draft,
        }
    }

    #[inline]
    fn after_call(&mut self, _: SocketId, _: Kept) -> Option<SocketId> {
        None
    }

    #[inline]
    fn on_close(&mut self, _: SocketId) {}
}

/// What a server's connections work with.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    pub(crate) service: Service,
    pub(crate) pool: T,
}

impl<T: Pool> Shared<T> {
    /// Joins a service with its memory.
    pub(crate) const fn new(service: Service, pool: T) -> Self {
        const {
            assert!(T::OUT >= ROOM, "the head of a response fits");
        }
        Self { service, pool }
    }

    /// Notes a client.
    pub(crate) fn opened(&mut self, id: SocketId) {
        if let Some(client) = id.entry(self.pool.clients()) {
            *client = Some(id);
        }
    }

    /// Returns what the calls of one connection work with.
    pub(crate) fn desk<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &Socket<'_, P, H>,
    ) -> Desk<'_> {
        let Pieces {
            input,
            output,
            draft,
        } = self.pool.memory(socket.id());
        Desk {
            reply: Replying {
                service: &mut self.service,
                head_max: input.len().div_ceil(2),
                memory: output,
                draft,
            },
            input,
        }
    }
}

/// What the calls of one connection work with.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    /// What the connection received but has not used.
    pub(crate) input: &'a mut [u8],
    pub(crate) reply: Replying<'a>,
}

/// What requests are answered with.
#[derive(Debug)]
pub(crate) struct Replying<'a> {
    pub(crate) service: &'a mut Service,
    /// Longest head of a request.
    pub(crate) head_max: usize,
    /// What the client has not taken.
    pub(crate) memory: &'a mut [u8],
    /// Where responses are made as long as the client takes them at once: all connections share
    /// it, so that it stays in the processor's cache.
    pub(crate) draft: &'a mut [u8],
}

/// What one step of an exchange works with.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) service: &'a mut Service,
    pub(crate) head_max: usize,
    /// Where responses are made.
    pub(crate) output: &'a mut [u8],
}
