//! The memory of a server's connections, lent by the program.

use usockets::{Handler, Platform, Socket, SocketId};

use super::outgoing::ROOM;
use super::service::Service;

/// Memory of one connection. Until it is needed it is not touched.
#[derive(Debug)]
pub(crate) struct Memory<const IN: usize, const OUT: usize> {
    input: [u8; IN],
    output: [u8; OUT],
}

impl<const IN: usize, const OUT: usize> Memory<IN, OUT> {
    /// Longest receive buffer of the loop.
    pub(crate) const RECEIVE_MAX: usize = IN / 2;

    const ZERO: Self = Self {
        input: [0; IN],
        output: [0; OUT],
    };
}

/// Memory of a server whose pool has `N` slots: zero bytes, so that a static costs no image space.
#[derive(Debug)]
pub(crate) struct Store<const IN: usize, const OUT: usize, const N: usize> {
    connections: [Memory<IN, OUT>; N],
    clients: [Option<SocketId>; N],
    draft: [u8; OUT],
}

impl<const IN: usize, const OUT: usize, const N: usize> Store<IN, OUT, N> {
    /// Makes the memory.
    pub(crate) const fn new() -> Self {
        const {
            assert!(OUT >= ROOM, "the head of a response fits");
        }
        Self {
            connections: [const { Memory::ZERO }; N],
            clients: [None; N],
            draft: [0; OUT],
        }
    }
}

/// What a server's connections work with.
#[derive(Debug)]
pub(crate) struct Shared<'m, const IN: usize, const OUT: usize> {
    pub(crate) service: Service,
    connections: &'m mut [Memory<IN, OUT>],
    /// By slot, the client that had it last.
    pub(crate) clients: &'m mut [Option<SocketId>],
    draft: &'m mut [u8],
}

impl<'m, const IN: usize, const OUT: usize> Shared<'m, IN, OUT> {
    /// Joins a service with its memory.
    pub(crate) const fn new<const N: usize>(
        service: Service,
        store: &'m mut Store<IN, OUT, N>,
    ) -> Self {
        Self {
            service,
            connections: &mut store.connections,
            clients: &mut store.clients,
            draft: &mut store.draft,
        }
    }

    /// Notes a client.
    pub(crate) fn opened(&mut self, id: SocketId) {
        if let Some(client) = id.entry(self.clients) {
            *client = Some(id);
        }
    }

    /// Returns what the calls of one connection work with.
    pub(crate) fn desk<P: Platform, H: Handler<P>>(
        &mut self,
        socket: &Socket<'_, P, H>,
    ) -> Desk<'_> {
        let (input, output) = match socket.id().entry(self.connections) {
            Some(Memory { input, output }) => (&mut input[..], &mut output[..]),
            None => <(&mut [u8], &mut [u8])>::default(),
        };
        Desk {
            reply: Replying {
                service: &mut self.service,
                head_max: input.len().div_ceil(2),
                memory: output,
                draft: self.draft,
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
