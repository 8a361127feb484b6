//! Conformance of TLS over another platform: every endpoint is secured on the way down.

use std::time::Duration;

use usockets::tls::{ParkingPlace, RustCrypto, Tls, TlsMemory, TlsSocket};
use usockets::{
    Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Endpoint,
    Error, Instant, Platform, Security, SocketId, SocketOption,
};
use usockets_linux::zeroed;

use super::{Bed, LinuxBed, SimBed, UserSpaceBed};
use crate::forward::forward;
use crate::rng::seeds;
use crate::sim::Faults;
use crate::steady::{Crypto, NAME, Steady, config};

/// Rough networks that each test is run on.
const ROUGH: u64 = 6;

/// TLS over `P`, where plain endpoints are secured too.
pub struct Secured<P: Platform>(Tls<'static, P, Crypto>);

/// Hosts of another bed, secured.
pub struct SecuredBed<'b, B> {
    inner: &'b mut B,
    hosts: u64,
}

/// Runs a test with TLS on a smooth simulated network and on some rough ones.
pub fn on_secured_sim(mut test: impl FnMut(&mut SecuredBed<'_, SimBed>) + Send) {
    with_stack(|| {
        let mut run = |mut inner: SimBed| {
            test(&mut SecuredBed {
                inner: &mut inner,
                hosts: 0,
            });
        };
        run(SimBed::new(0, Faults::none()));
        for seed in seeds(ROUGH) {
            println!("SEED={seed}");
            run(SimBed::new(seed, Faults::rough(seed)));
        }
    });
}

/// Runs a test with TLS on Linux.
pub fn on_secured_linux(mut test: impl FnMut(&mut SecuredBed<'_, LinuxBed>) + Send) {
    with_stack(|| {
        test(&mut SecuredBed {
            inner: &mut LinuxBed::default(),
            hosts: 0,
        });
    });
}

/// Runs a test with TLS on stacks of our own.
pub fn on_secured_user_space(mut test: impl FnMut(&mut SecuredBed<'_, UserSpaceBed>) + Send) {
    with_stack(|| {
        for delay in [0, 30] {
            test(&mut SecuredBed {
                inner: &mut UserSpaceBed::new(Duration::from_micros(delay), 0, 1),
                hosts: 0,
            });
        }
    });
}

/// Runs a test with TLS above the layer of the PROXY protocol, on Linux.
#[cfg(target_os = "linux")]
pub fn on_secured_proxied(
    mut test: impl FnMut(&mut SecuredBed<'_, super::ProxiedBed<'_, LinuxBed>>) + Send,
) {
    with_stack(|| {
        super::on_proxied_linux(|inner| test(&mut SecuredBed { inner, hosts: 0 }));
    });
}

/// Tests that do not hold, or cannot be run, with TLS, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "what_is_wrong_here_is_told_at_once",
        "it expects that there is no TLS",
    ),
    (
        "a_failed_write_still_delivers_what_came_before",
        "it lets time pass while the server, whose handshake has just ended, is due",
    ),
    (
        "a_full_pool_pauses_the_listener_and_loses_nobody",
        "a connection that waits to be accepted cannot open",
    ),
];

/// Runs `f` with enough stack for the layer's memory on its way to the heap.
fn with_stack(f: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        let thread = thread.spawn_scoped(scope, f).expect("a thread");
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

impl<B: Bed> Bed for SecuredBed<'_, B> {
    type P = Secured<B::P>;

    fn platform(&mut self) -> Self::P {
        self.hosts += 1;
        let memory = zeroed::<TlsMemory<Crypto, 512, 160, 32, 32>>();
        let memory = Box::leak(memory.expect("memory"));
        let places = (0..1_280).map(|_| ParkingPlace::EMPTY);
        let places = Box::leak(places.collect::<Vec<_>>().into_boxed_slice());
        let crypto = RustCrypto::new(Steady(self.hosts));
        let layer = Tls::new(self.inner.platform(), crypto, config(), memory);
        Secured(layer.with_parking(places))
    }

    usockets_conformance::forward_bed!(inner);

    fn patience(&self, platform: &Self::P) -> Option<Instant> {
        self.inner.patience(platform.0.inner())
    }

    fn plenty(&self) -> usize {
        self.inner.plenty() + 100_000
    }

    fn opening_turns(&self) -> u64 {
        // Where buffers hold a byte, each of a handshake's takes a few.
        self.inner.opening_turns() + 8_000
    }

    fn long(&self) -> Duration {
        self.inner.long()
    }

    fn learns_unasked(&self) -> bool {
        self.inner.learns_unasked()
    }

    fn exceptions(&self) -> &'static [(&'static str, &'static str)] {
        EXCEPTIONS
    }
}

/// The same endpoint, secured.
fn secured<'a>(endpoint: &Endpoint<'a>, name: Option<&'a str>) -> Endpoint<'a> {
    let mut endpoint = *endpoint;
    if endpoint.security == Security::Plain {
        endpoint.security = Security::Tls { server_name: name };
    }
    endpoint
}

impl<P: Platform> Platform for Secured<P> {
    type Socket = TlsSocket<P::Socket>;

    const CLOSED: Self::Socket = Tls::<'static, P, Crypto>::CLOSED;
    const HOLDS_OUTPUT: bool = true;

    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.0.listen(socket, id, &secured(at, None))
    }

    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.0.connect(socket, id, &secured(to, Some(NAME)))
    }

    fn send_vectored(
        &mut self,
        socket: &mut Self::Socket,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        self.0.send_vectored(socket, parts)
    }

    fn set_option(&mut self, socket: &mut Self::Socket, option: SocketOption) -> Result<(), Error> {
        self.0.set_option(socket, option)
    }

    fn linger(&mut self, socket: &mut Self::Socket) -> bool {
        self.0.linger(socket)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    forward!();
}

/// Datagrams pass through the layer.
impl<P: Datagrams> Datagrams for Secured<P> {
    fn bind(&mut self, s: &mut Self::Socket, id: SocketId, at: Address) -> Result<(), Error> {
        self.0.bind(s, id, at)
    }

    fn set_peer(&mut self, socket: &mut Self::Socket, peer: Address) -> Result<(), Error> {
        self.0.set_peer(socket, peer)
    }

    fn recv_batch(
        &mut self,
        socket: &mut Self::Socket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        self.0.recv_batch(socket, memory, arrivals)
    }

    fn send_batch(
        &mut self,
        socket: &mut Self::Socket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        self.0.send_batch(socket, memory, departures)
    }

    fn await_room(&mut self, socket: &mut Self::Socket, id: SocketId, on: bool) {
        self.0.await_room(socket, id, on);
    }

    fn next_error(&mut self, socket: &mut Self::Socket) -> Option<DatagramError> {
        self.0.next_error(socket)
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut Self::Socket,
        option: DatagramOption,
    ) -> Result<(), Error> {
        self.0.set_datagram_option(socket, option)
    }
}
