//! What the layer keeps of a socket.

use crate::id::SocketId;
use crate::tls::connection::state::Connection;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::pool::Index;

/// A socket of [`Tls`](crate::tls::Tls): the platform's, and what TLS keeps of it.
pub struct TlsSocket<S> {
    pub(crate) inner: S,
    pub(crate) connection: Connection,
    /// Bits of the socket's id, 0 if it is closed or was not secured.
    pub(crate) id: u64,
    /// See [`Self::handshake`] and [`Self::parked`]: two bytes for both, since no socket has both.
    handshake_bits: u16,
    /// See [`Self::input`] and [`Self::low_water`], likewise.
    input_bits: u16,
    pub(crate) output: Index,
    pub(crate) flags: Flags,
}

/// Whose a socket of the layer is. Everything that the layer does goes one way or the other by it.
pub(crate) enum Kind<P, S> {
    /// The platform's own: this socket passes through.
    Plain(P),
    /// TLS's, together with the platform's below.
    Secured(S),
}

const _: () = {
    let beyond = size_of::<TlsSocket<u64>>() - size_of::<u64>();
    assert!(
        beyond <= 256,
        "a secured socket costs at most 256 bytes more"
    );
};

impl<S> TlsSocket<S> {
    /// Returns a socket that is closed, around the platform's.
    pub(crate) const fn closed(inner: S) -> Self {
        Self {
            inner,
            connection: Connection::CLOSED,
            id: 0,
            handshake_bits: 0,
            input_bits: 0,
            output: Index::NONE,
            flags: Flags::NONE,
        }
    }

    /// Returns true if the socket is secured, and not a plain one that passes through.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.flags.has(Flags::SECURE)
    }

    /// Returns the socket as who is to serve it: the platform's below, or all of it.
    pub(crate) const fn kind(&self) -> Kind<&S, &Self> {
        match self.is_secure() {
            true => Kind::Secured(self),
            false => Kind::Plain(&self.inner),
        }
    }

    /// Returns the socket as [`Self::kind`] does, to be changed.
    pub(crate) const fn kind_mut(&mut self) -> Kind<&mut S, &mut Self> {
        match self.is_secure() {
            true => Kind::Secured(self),
            false => Kind::Plain(&mut self.inner),
        }
    }

    /// Returns the platform's socket below.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Returns the state of the connection's TLS.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns true if nothing but our `close_notify` is left to be sent, after the peer's. A peer
    /// that is gone by then has missed nothing.
    pub(crate) const fn is_over(&self) -> bool {
        let finishing = self.flags.has(Flags::FINISHING) && self.flags.has(Flags::NOTIFIED);
        finishing && self.connection.is_ended()
    }

    pub(crate) const fn id(&self) -> Option<SocketId> {
        SocketId::from_bits(self.id)
    }

    /// Returns the handshake that is leased.
    pub(crate) const fn handshake(&self) -> Index {
        match self.flags.has(Flags::PARKED) {
            true => Index::NONE,
            false => Index::from_bits(self.handshake_bits),
        }
    }

    /// Returns where the handshake is parked.
    pub(crate) const fn parked(&self) -> Index {
        match self.flags.has(Flags::PARKED) {
            true => Index::from_bits(self.handshake_bits),
            false => Index::NONE,
        }
    }

    /// Notes a handshake that was leased, or none.
    pub(crate) const fn set_handshake(&mut self, index: Index) {
        self.flags.clear(Flags::PARKED);
        self.handshake_bits = index.to_bits();
    }

    /// Notes where the handshake is parked.
    pub(crate) const fn set_parked(&mut self, index: Index) {
        self.flags.set(Flags::PARKED);
        self.handshake_bits = index.to_bits();
    }

    /// Returns the input that is leased.
    pub(crate) const fn input(&self) -> Index {
        match self.flags.has(Flags::MARKED) {
            true => Index::NONE,
            false => Index::from_bits(self.input_bits),
        }
    }

    /// Returns the platform's low-water mark while no input is leased, 0 if it has none.
    pub(crate) const fn low_water(&self) -> u16 {
        match self.flags.has(Flags::MARKED) {
            true => self.input_bits,
            false => 0,
        }
    }

    /// Notes an input that was leased.
    pub(crate) const fn set_input(&mut self, index: Index) {
        self.flags.clear(Flags::MARKED);
        self.input_bits = index.to_bits();
    }

    /// Notes that no input is leased, and the platform's low-water mark, 0 if it has none.
    pub(crate) const fn set_low_water(&mut self, bytes: u16) {
        match bytes {
            0 => self.flags.clear(Flags::MARKED),
            _ => self.flags.set(Flags::MARKED),
        }
        self.input_bits = bytes;
    }
}
