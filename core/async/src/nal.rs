//! The trait of `embedded-nal-async`.

use core::net::SocketAddr;

use embedded_nal_async::TcpConnect;
use usockets::{Endpoint, Platform};

use crate::error::IoError;
use crate::reactor::Reactor;
use crate::stream::Stream;

impl<'s, P: Platform> TcpConnect for Reactor<'s, P> {
    type Error = IoError;
    type Connection<'a>
        = Stream<'a, 's, P>
    where
        Self: 'a;

    async fn connect<'a>(&'a self, remote: SocketAddr) -> Result<Stream<'a, 's, P>, IoError> {
        Reactor::connect(self, Endpoint::tcp(remote)).await
    }
}
