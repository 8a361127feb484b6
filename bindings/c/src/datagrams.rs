//! The capability of datagrams, passed through the outermost layer and the kernel's.

use usockets::{
    Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Error,
    SocketId,
};

use crate::kernel::Kernel;
use crate::margins::{Inner, Margins};

/// Passes datagrams on to the platform in `$below` that has `$socket`.
macro_rules! pass {
    ($below:ident) => {
        fn bind(
            &mut self,
            socket: &mut Self::Socket,
            id: SocketId,
            at: Address,
        ) -> Result<(), Error> {
            self.$below().bind(socket, id, at)
        }

        fn set_peer(&mut self, socket: &mut Self::Socket, peer: Address) -> Result<(), Error> {
            self.$below().set_peer(socket, peer)
        }

        fn recv_batch(
            &mut self,
            socket: &mut Self::Socket,
            memory: &mut [u8],
            arrivals: &mut [Arrival],
        ) -> Result<Arrivals, Error> {
            self.$below().recv_batch(socket, memory, arrivals)
        }

        fn send_batch(
            &mut self,
            socket: &mut Self::Socket,
            memory: &[u8],
            departures: &[Departure],
        ) -> Result<usize, Error> {
            self.$below().send_batch(socket, memory, departures)
        }

        fn await_room(&mut self, socket: &mut Self::Socket, id: SocketId, on: bool) {
            self.$below().await_room(socket, id, on);
        }

        fn next_error(&mut self, socket: &mut Self::Socket) -> Option<DatagramError> {
            self.$below().next_error(socket)
        }

        fn set_datagram_option(
            &mut self,
            socket: &mut Self::Socket,
            option: DatagramOption,
        ) -> Result<(), Error> {
            self.$below().set_datagram_option(socket, option)
        }
    };
}

impl<P: Inner + Datagrams> Datagrams for Margins<P> {
    pass!(inner_mut);
}

#[cfg(all(unix, not(feature = "smoltcp")))]
impl Datagrams for Kernel {
    pass!(datagrams);
}

/// There are none on Windows, nor has the stack in user space any.
#[cfg(not(all(unix, not(feature = "smoltcp"))))]
impl Datagrams for Kernel {
    fn bind(&mut self, _: &mut Self::Socket, _: SocketId, _: Address) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn set_peer(&mut self, _: &mut Self::Socket, _: Address) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn recv_batch(
        &mut self,
        _: &mut Self::Socket,
        _: &mut [u8],
        _: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        Err(Error::Unsupported)
    }

    fn send_batch(
        &mut self,
        _: &mut Self::Socket,
        _: &[u8],
        _: &[Departure],
    ) -> Result<usize, Error> {
        Err(Error::Unsupported)
    }

    fn next_error(&mut self, _: &mut Self::Socket) -> Option<DatagramError> {
        None
    }

    fn set_datagram_option(
        &mut self,
        _: &mut Self::Socket,
        _: DatagramOption,
    ) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}
