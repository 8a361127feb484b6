//! Datagram sockets beside connections: they pass through, as DTLS is not here.

use crate::address::Address;
use crate::error::Error;
use crate::id::SocketId;
use crate::platform::{Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure};
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::platform::Tls;
use crate::tls::layer::socket::TlsSocket;

/// Datagrams are never secured.
impl<P: Datagrams, C: Crypto> Datagrams for Tls<'_, P, C> {
    fn bind(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        id: SocketId,
        at: Address,
    ) -> Result<(), Error> {
        self.inner.bind(&mut socket.inner, id, at)
    }

    fn set_peer(&mut self, socket: &mut TlsSocket<P::Socket>, peer: Address) -> Result<(), Error> {
        self.inner.set_peer(&mut socket.inner, peer)
    }

    fn recv_batch(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        self.inner.recv_batch(&mut socket.inner, memory, arrivals)
    }

    fn send_batch(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        self.inner.send_batch(&mut socket.inner, memory, departures)
    }

    fn await_room(&mut self, socket: &mut TlsSocket<P::Socket>, id: SocketId, on: bool) {
        self.inner.await_room(&mut socket.inner, id, on);
    }

    fn next_error(&mut self, socket: &mut TlsSocket<P::Socket>) -> Option<DatagramError> {
        self.inner.next_error(&mut socket.inner)
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut TlsSocket<P::Socket>,
        option: DatagramOption,
    ) -> Result<(), Error> {
        self.inner.set_datagram_option(&mut socket.inner, option)
    }
}
