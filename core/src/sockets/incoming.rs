//! A connection that was accepted and is not open yet.

use crate::address::Address;
use crate::error::Error;
use crate::event_loop::state::State;
use crate::id::ListenerId;
use crate::platform::{Descriptors, Platform};
use crate::time::Instant;

/// A connection that a listener has accepted, of which nothing has been read, before the loop takes
/// it in. Passed to [`Handler::on_pre_open`](crate::Handler::on_pre_open).
pub struct Incoming<'a, P: Platform, C> {
    pub(crate) platform: &'a mut P,
    pub(crate) socket: &'a mut P::Socket,
    pub(crate) state: &'a mut State,
    pub(crate) listener: ListenerId,
    pub(crate) context: C,
    pub(crate) peer: Address,
    /// The program took it out.
    pub(crate) is_taken: bool,
}

impl<P: Platform, C: Copy> Incoming<'_, P, C> {
    /// Returns the peer's address. An IPv4-mapped one comes as IPv4.
    #[must_use]
    pub const fn peer(&self) -> Address {
        self.peer
    }

    /// Returns the listener that it came to.
    #[must_use]
    pub const fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Returns the context given to `listen`, which the connection would open with.
    #[must_use]
    pub const fn context(&self) -> C {
        self.context
    }

    /// Returns the local address; `None` if it has none. On Linux a system call.
    #[must_use]
    pub fn local_addr(&self) -> Option<Address> {
        self.platform.local_addr(self.socket).ok()
    }

    /// Returns the time of the running iteration, as [`Net::now`](crate::Net::now).
    #[must_use]
    pub fn now(&mut self) -> Instant {
        Instant::from_micros(self.state.now_micros(self.platform))
    }

    /// Returns the platform, for what only it can do.
    pub const fn platform_mut(&mut self) -> &mut P {
        self.platform
    }
}

impl<P: Descriptors, C> Incoming<'_, P, C> {
    /// Takes the descriptor, with all that the peer has sent, to hand it over to another loop or
    /// process: [`Net::insert`](crate::Net::insert) takes it in there. Whatever
    /// [`on_pre_open`](crate::Handler::on_pre_open) returns then, this loop forgets the
    /// connection.
    ///
    /// # Errors
    /// What [`Descriptors::take`] says; [`Error::Invalid`] the second time.
    pub fn take(&mut self) -> Result<P::Descriptor, Error> {
        if self.is_taken {
            return Err(Error::Invalid);
        }
        let (descriptor, _) = self.platform.take(self.socket, &mut [])?;
        self.is_taken = true;
        Ok(descriptor)
    }
}

/// What becomes of a connection that was accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum PreOpen {
    /// It opens in this loop.
    #[default]
    Keep,
    /// It is reset (RST), and counted in [`Stats::refused`](crate::Stats::refused).
    Refuse,
}
