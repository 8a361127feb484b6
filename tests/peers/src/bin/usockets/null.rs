//! A platform without a network: connections open at once and never carry anything.

use std::net::{Ipv4Addr, SocketAddr};

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId,
};

/// Where every socket of [`Null`] seems to be.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// No network, and a clock that jumps to where the loop would have waited until.
#[derive(Debug, Default)]
pub(crate) struct Null {
    now: Instant,
    /// Sockets that are to be told that they are open.
    opening: Vec<SocketId>,
}

impl Platform for Null {
    type Socket = ();

    const CLOSED: () = ();

    fn listen(&mut self, (): &mut (), _: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn connect(&mut self, (): &mut (), id: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        self.opening.push(id);
        Ok(())
    }

    fn accept(&mut self, (): &mut (), (): &mut (), _: SocketId) -> Result<Option<Accepted>, Error> {
        Ok(None)
    }

    fn refuse(&mut self, (): &mut ()) -> Result<bool, Error> {
        Ok(false)
    }

    fn open(&mut self, (): &mut (), _: Readiness) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }

    fn take_error(&mut self, (): &mut ()) -> Option<Error> {
        None
    }

    fn recv(&mut self, (): &mut (), _: &mut [u8]) -> Result<Recv, Error> {
        Ok(Recv::WouldBlock)
    }

    fn send(&mut self, (): &mut (), _: &[u8]) -> Result<usize, Error> {
        Ok(0)
    }

    fn finish(&mut self, (): &mut ()) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }

    fn close(&mut self, (): &mut ()) {}

    fn abort(&mut self, (): &mut ()) {}

    fn local_addr(&self, (): &()) -> Result<Address, Error> {
        Ok(NOWHERE.into())
    }

    fn peer_addr(&self, (): &()) -> Result<Address, Error> {
        Ok(NOWHERE.into())
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if let Some(until) = until {
            self.now = self.now.max(until);
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let id = self.opening.pop()?;
        let readiness = Readiness::WRITABLE;
        Some(Ready { id, readiness })
    }

    fn now(&self) -> Instant {
        self.now
    }
}
