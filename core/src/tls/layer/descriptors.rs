//! Descriptors that go in and out below TLS.

use crate::error::Error;
use crate::id::SocketId;
use crate::platform::{Descriptors, Inserted};
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::flags::Flags;
use crate::tls::layer::platform::Tls;
use crate::tls::layer::socket::{Kind, TlsSocket};

/// What is inserted is plain, or secured as a server's by the first configuration if
/// [`Tls::with_secured_inserts`] says so. What is secured can be taken out before the first byte of
/// its handshake has been read, as in [`on_pre_open`](crate::Handler::on_pre_open): afterwards its
/// keys are here.
impl<P: Descriptors, C: Crypto> Descriptors for Tls<'_, P, C> {
    type Descriptor = P::Descriptor;

    fn insert(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        id: SocketId,
        descriptor: P::Descriptor,
        kind: Inserted,
    ) -> Result<(), (P::Descriptor, Error)> {
        let is_secured = self.secures_inserts && kind != Inserted::Foreign;
        if is_secured && !self.serves(0) {
            return Err((descriptor, Error::Invalid));
        }
        self.inner.insert(&mut socket.inner, id, descriptor, kind)?;
        if is_secured {
            socket.config = 0;
            socket.flags.set(Flags::SECURE);
            if kind == Inserted::Connected {
                socket.id = id.to_bits();
                socket.connection = Connection::server();
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Unsupported`] for a socket whose handshake has begun.
    fn take(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        unread: &mut [u8],
    ) -> Result<(P::Descriptor, usize), Error> {
        if let Kind::Secured(socket) = socket.kind_mut() {
            let is_listener = socket.id == 0;
            let has_begun = socket.flags.has(Flags::CONNECTED) || socket.flags.has(Flags::STARTING);
            if has_begun && !is_listener {
                return Err(Error::Unsupported);
            }
        }
        let taken = self.inner.take(&mut socket.inner, unread)?;
        self.forget(socket);
        Ok(taken)
    }
}
