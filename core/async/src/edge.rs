//! The traits of `edge-nal`.

use core::net::SocketAddr;

use edge_nal::{Close, Readable, TcpAccept, TcpBind, TcpConnect, TcpShutdown, TcpSplit};
use embedded_io_async::Read;
use usockets::{Endpoint, Platform};

use crate::error::IoError;
use crate::listener::Listener;
use crate::reactor::Reactor;
use crate::stream::{ReadHalf, Stream, WriteHalf};

impl<'s, P: Platform> TcpConnect for Reactor<'s, P> {
    type Error = IoError;
    type Socket<'a>
        = Stream<'a, 's, P>
    where
        Self: 'a;

    async fn connect(&self, remote: SocketAddr) -> Result<Stream<'_, 's, P>, IoError> {
        Reactor::connect(self, Endpoint::tcp(remote)).await
    }
}

impl<'s, P: Platform> TcpBind for Reactor<'s, P> {
    type Error = IoError;
    type Accept<'a>
        = Listener<'a, 's, P>
    where
        Self: 'a;

    async fn bind(&self, local: SocketAddr) -> Result<Listener<'_, 's, P>, IoError> {
        self.listen(Endpoint::tcp(local))
    }
}

impl<'r, 's, P: Platform> TcpAccept for Listener<'r, 's, P> {
    type Error = IoError;
    type Socket<'a>
        = Stream<'r, 's, P>
    where
        Self: 'a;

    async fn accept(&self) -> Result<(SocketAddr, Stream<'r, 's, P>), IoError> {
        loop {
            let stream = Listener::accept(self).await?;
            // One that was reset already has no address, and nobody to talk to.
            if let Some(peer) = stream.peer_addr() {
                return Ok((peer, stream));
            }
        }
    }
}

impl<P: Platform> Readable for Stream<'_, '_, P> {
    async fn readable(&mut self) -> Result<(), IoError> {
        Stream::readable(self).await
    }
}

impl<P: Platform> Readable for ReadHalf<'_, '_, '_, P> {
    async fn readable(&mut self) -> Result<(), IoError> {
        ReadHalf::readable(self).await
    }
}

impl<'r, 's, P: Platform> TcpSplit for Stream<'r, 's, P> {
    type Read<'a>
        = ReadHalf<'a, 'r, 's, P>
    where
        Self: 'a;
    type Write<'a>
        = WriteHalf<'a, 'r, 's, P>
    where
        Self: 'a;

    fn split(&mut self) -> (Self::Read<'_>, Self::Write<'_>) {
        Stream::split(self)
    }
}

impl<P: Platform> TcpShutdown for Stream<'_, '_, P> {
    /// Ends our direction, reads to the peer's end, or both. Ending ours returns at once: the
    /// platform delivers what was written, as far as it can.
    async fn close(&mut self, what: Close) -> Result<(), IoError> {
        if matches!(what, Close::Write | Close::Both) {
            self.finish();
        }
        if matches!(what, Close::Read | Close::Both) {
            let mut unread = [0; 64];
            while self.read(&mut unread).await? > 0 {}
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), IoError> {
        Stream::abort(self);
        Ok(())
    }
}
