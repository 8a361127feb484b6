//! What the layer keeps of a socket.

use crate::id::SocketId;
use crate::tls::connection::state::Connection;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::pool::Index;

/// A socket of [`Tls`](crate::tls::Tls): the platform's, and what TLS keeps of it.
#[cfg_attr(feature = "search", derive(Clone))]
pub struct TlsSocket<S> {
    pub(crate) inner: S,
    pub(crate) connection: Connection,
    /// Bits of the socket's id, 0 if it is closed or was not secured.
    pub(crate) id: u64,
    /// See [`Self::handshake`] and [`Self::parked`]: two bytes for both, since no socket has both.
    handshake_bits: u16,
    /// See [`Self::input`] and [`Self::wait`], likewise.
    input_bits: u16,
    pub(crate) output: Index,
    pub(crate) flags: Flags,
    /// Which of the layer's configurations it goes by; a listener's is that of who comes.
    pub(crate) config: u16,
}

/// In the bits of a parked socket's place: it is one for an exchange.
const EXCHANGE: u16 = 1 << 15;

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
            config: 0,
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

    /// Returns the bits of what is leased, for a fingerprint.
    #[cfg(feature = "search")]
    pub(crate) const fn leased_bits(&self) -> (u16, u16) {
        (self.handshake_bits, self.input_bits)
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

    /// Returns where the handshake, or the end of a record, is parked.
    pub(crate) const fn parked(&self) -> Index {
        match self.flags.has(Flags::PARKED) {
            true => Index::from_bits(self.handshake_bits & !EXCHANGE),
            false => Index::NONE,
        }
    }

    /// Returns true if what is parked is a whole exchange, and in a place for that.
    pub(crate) const fn is_exchange_parked(&self) -> bool {
        self.flags.has(Flags::PARKED) && self.handshake_bits & EXCHANGE != 0
    }

    /// Notes where the exchange is parked.
    pub(crate) const fn set_exchange_parked(&mut self, index: Index) {
        self.flags.set(Flags::PARKED);
        self.handshake_bits = index.to_bits() | EXCHANGE;
    }

    /// Notes a handshake that was leased, or none.
    pub(crate) const fn set_handshake(&mut self, index: Index) {
        self.flags.clear(Flags::PARKED);
        self.handshake_bits = index.to_bits();
    }

    /// Notes where the handshake, or the end of a record, is parked.
    pub(crate) const fn set_parked(&mut self, index: Index) {
        self.flags.set(Flags::PARKED);
        self.handshake_bits = index.to_bits();
    }

    /// Returns the input that is leased.
    pub(crate) const fn input(&self) -> Index {
        match self.flags.has(Flags::WAIT_KNOWN) {
            true => Index::NONE,
            false => Index::from_bits(self.input_bits),
        }
    }

    /// Returns how records come while no input is leased.
    pub(crate) const fn wait(&self) -> Wait {
        match self.flags.has(Flags::WAIT_KNOWN) {
            true => Wait(self.input_bits),
            false => Wait::NONE,
        }
    }

    /// Notes an input that was leased.
    pub(crate) const fn set_input(&mut self, index: Index) {
        self.flags.clear(Flags::WAIT_KNOWN);
        self.input_bits = index.to_bits();
    }

    /// Notes that no input is leased, and how records come.
    pub(crate) const fn set_wait(&mut self, wait: Wait) {
        self.flags.set(Flags::WAIT_KNOWN);
        self.input_bits = wait.0;
    }
}

/// How a connection's records come.
///
/// | | means | until |
/// |---|---|---|
/// | [`Self::NONE`] | nothing is known | a record has come |
/// | a number | a part waits in the platform, marked for so many bytes | it is taken |
/// | [`Self::PART`] | one that is being read has come in parts | it has been read |
/// | [`Self::WHOLE`] | the last one came as a whole | one does not |
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Wait(u16);

/// The largest number that is a mark.
const MARK_MAX: u16 = u16::MAX - 3;

impl Wait {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const PART: Self = Self(u16::MAX - 1);
    pub(crate) const WHOLE: Self = Self(u16::MAX - 2);

    /// Returns what is known once a mark of so many bytes has been set, at most a few records'.
    pub(crate) fn with_mark(bytes: usize) -> Self {
        Self(u16::try_from(bytes).map_or(MARK_MAX, |bytes| bytes.min(MARK_MAX)))
    }

    /// Returns the mark that has been set.
    pub(crate) fn mark(self) -> Option<usize> {
        (1..=MARK_MAX)
            .contains(&self.0)
            .then(|| usize::from(self.0))
    }

    pub(crate) const fn is_whole(self) -> bool {
        self.0 == Self::WHOLE.0
    }

    /// Returns what is known when bytes have been taken from the platform.
    pub(crate) const fn after_receive(self) -> Self {
        match self {
            Self::NONE | Self::WHOLE => self,
            _ => Self::PART,
        }
    }

    /// Returns what is known when the last record has been read.
    pub(crate) const fn after_record(self) -> Self {
        match self {
            Self::PART => Self::NONE,
            _ => Self::WHOLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_in_parts_is_forgiven_after_a_whole_one() {
        assert_eq!(Wait::with_mark(5).after_receive(), Wait::PART);
        assert_eq!(Wait::with_mark(16_645).mark(), Some(16_645));
        for wait in [Wait::NONE, Wait::PART, Wait::WHOLE] {
            assert_eq!(wait.mark(), None);
        }
        assert_eq!(Wait::PART.after_record(), Wait::NONE);
        assert_eq!(Wait::NONE.after_receive().after_record(), Wait::WHOLE);
    }
}
