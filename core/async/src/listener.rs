//! Waiting for connections.

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll};

use usockets::{ListenerId, Platform, SocketId};

use crate::error::IoError;
use crate::reactor::Reactor;
use crate::stream::Stream;
use crate::waiters::ListenerKey;

/// A listener. Made by [`Reactor::listen`]; dropped, it stops listening, and the connections that
/// no task has taken are closed.
pub struct Listener<'r, 's, P: Platform> {
    reactor: &'r Reactor<'s, P>,
    id: ListenerId,
    key: ListenerKey,
}

impl<P: Platform> fmt::Debug for Listener<'_, '_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<'r, 's, P: Platform> Listener<'r, 's, P> {
    pub(crate) const fn new(reactor: &'r Reactor<'s, P>, id: ListenerId, key: ListenerKey) -> Self {
        Self { reactor, id, key }
    }

    /// Waits for a connection, and takes it. Connections come in the order in which they opened.
    ///
    /// A connection belongs to the task that this returns to: dropping the future before loses
    /// none. Several tasks may wait for the same listener, one of them gets each connection; more
    /// than [`ACCEPTORS_MAX`](crate::ACCEPTORS_MAX) would keep waking one another.
    ///
    /// # Errors
    /// [`Error::Invalid`](usockets::Error::Invalid) inside a call of the reactor.
    pub async fn accept(&self) -> Result<Stream<'r, 's, P>, IoError> {
        let id = poll_fn(|context| self.poll_accept(context)).await?;
        Ok(Stream::new(self.reactor, id))
    }

    fn poll_accept(&self, context: &Context<'_>) -> Poll<Result<SocketId, IoError>> {
        self.reactor
            .poll_with(|inner| match inner.tasks.take_accepted(self.key) {
                Some(id) => Poll::Ready(Ok(id)),
                None => {
                    inner.tasks.wait_to_accept(self.key, context);
                    Poll::Pending
                }
            })
    }

    /// Returns where it listens, with the port that the platform chose, if it did.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        let addr = self.reactor.with_net(|net| net.listening_addr(self.id));
        addr.ok().flatten()
    }
}

impl<P: Platform> Drop for Listener<'_, '_, P> {
    fn drop(&mut self) {
        let _ = self.reactor.with(|inner| {
            let mut net = inner.net.net();
            net.stop_listening(self.id);
            while let Some(id) = inner.tasks.take_accepted(self.key) {
                net.close(id);
                inner.tasks.end(id);
            }
            Ok(())
        });
    }
}
