//! Where a test runs: some hosts of one platform on one network.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Instant, Platform};

/// Some hosts of one platform on one network, their time, and what the platform can do.
///
/// Time is real or virtual. A bed with real time has `is_virtual` return false and may leave
/// [`Self::is_due`], [`Self::edge`], [`Self::patience`] and [`Self::pass`] at their defaults: one
/// thread then polls the loops in turn, each for a moment. With virtual time hours cost nothing,
/// and more is checked; such a bed says when a loop is due, and moves time when none is.
pub trait Bed {
    /// The platform under test.
    type P: Platform + 'static;

    /// Makes the platform of a further host. Hosts count from 0.
    fn platform(&mut self) -> Self::P;

    /// Returns an address to listen at on a host, IPv4 with port 0.
    fn addr(&self, host: usize) -> SocketAddr;

    /// Returns the time since some start.
    fn now(&self) -> Duration;

    /// Returns more bytes than one direction of a connection holds on its way, but no more than
    /// arrive soon. A platform whose sends never come back short for want of room fails.
    fn plenty(&self) -> usize;

    /// Returns the most reports that one poll gives ([`Platform::next_ready`]): best a number that
    /// does not grow with the sockets, at most that of the sockets. Some 280 become ready at once
    /// in a test.
    fn reports_max(&self) -> usize {
        256
    }

    /// Returns true if time is virtual, so that hours cost nothing.
    fn is_virtual(&self) -> bool;

    /// Returns true if the loop of a host, which next has something to do by itself at `deadline`,
    /// may have something to do now.
    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        let _ = (host, deadline);
        true
    }

    /// Returns true if something came for a host from outside since the last call, as an
    /// edge-triggered watcher of its platform's wait handle is told. Where there is no such handle,
    /// true if there may be something.
    fn edge(&mut self, host: usize) -> bool {
        let _ = host;
        true
    }

    /// Returns until when a loop is to be polled, at most, while others also want their turn.
    /// `None` where [`Platform::poll`] does not wait, as time is virtual.
    fn patience(&self, platform: &Self::P) -> Option<Instant> {
        (!self.is_virtual()).then(|| platform.now().saturating_add(Duration::from_micros(100)))
    }

    /// Lets the time go on, to the next thing that comes about but at most by `most`. Called when
    /// no host is due.
    fn pass(&mut self, most: Duration) {
        let _ = most;
    }

    /// Returns how many iterations opening a connection and saying a word may take a loop that
    /// does not spin.
    fn opening_turns(&self) -> u64 {
        200
    }

    /// Returns a time long enough for anything that is to happen.
    fn long(&self) -> Duration {
        if self.is_virtual() {
            Duration::from_secs(40_000)
        } else {
            Duration::from_secs(60)
        }
    }

    /// Returns true if every report is true when it is given, and everything comes soon. (A false
    /// report of a listener may cost an eviction.)
    fn is_smooth(&self) -> bool {
        true
    }

    /// Returns true if a platform learns what its peers did without being polled, as one in an
    /// operating system does.
    fn learns_unasked(&self) -> bool {
        true
    }

    /// Returns an IPv6 address of a host, with port 0; `None` where there is no IPv6.
    ///
    /// Where there is, a listener at `[::]` takes IPv4 too, unless
    /// [`Endpoint::v6_only`](usockets::Endpoint::v6_only).
    fn addr_v6(&self, host: usize) -> Option<SocketAddr> {
        let _ = host;
        None
    }

    /// Returns true if listeners can share a port
    /// ([`Endpoint::reuse_port`](usockets::Endpoint::reuse_port)).
    fn shares_ports(&self) -> bool {
        true
    }

    /// Returns true if a listener whose queue is full leaves a connect without answer, so that the
    /// peer tries again, and false if it refuses it.
    fn drops_surplus(&self) -> bool {
        true
    }

    /// Returns an address to which connects fail at once, where those to an own address that
    /// nobody listens at do not.
    fn nowhere(&self) -> Option<SocketAddr> {
        None
    }

    /// Returns tests that do not hold on the platform, and why. They are left out, and say so. Each
    /// is named by its function alone, without its module: `the_end_comes_once`.
    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// Forwards to the bed in a field what every bed that wraps another leaves to it: addresses, time
/// and what the network is like. Stands inside an `impl Bed for`; `0` or another name is the field.
#[macro_export]
macro_rules! forward_bed {
    ($inner:tt) => {
        fn addr(&self, host: usize) -> ::core::net::SocketAddr {
            self.$inner.addr(host)
        }

        fn addr_v6(&self, host: usize) -> ::core::option::Option<::core::net::SocketAddr> {
            self.$inner.addr_v6(host)
        }

        fn is_due(
            &self,
            host: usize,
            deadline: ::core::option::Option<::usockets::Instant>,
        ) -> bool {
            self.$inner.is_due(host, deadline)
        }

        fn edge(&mut self, host: usize) -> bool {
            self.$inner.edge(host)
        }

        fn pass(&mut self, most: ::core::time::Duration) {
            self.$inner.pass(most);
        }

        fn now(&self) -> ::core::time::Duration {
            self.$inner.now()
        }

        fn reports_max(&self) -> usize {
            self.$inner.reports_max()
        }

        fn is_smooth(&self) -> bool {
            self.$inner.is_smooth()
        }

        fn is_virtual(&self) -> bool {
            self.$inner.is_virtual()
        }
    };
}
