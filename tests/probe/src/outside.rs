//! A platform that answers anything.

use core::fmt::Write;
use core::net::SocketAddr;

use usockets::{
    Accepted, Address, Arrival, Arrivals, Credentials, DatagramError, DatagramOption, Datagrams,
    Departure, Descriptors, Duration, Ecn, Endpoint, Error, Handler, Incoming, Inserted, Instant,
    LocalEndpoint, LocalSockets, Net, Notify, Platform, Progress, Readiness, Ready, Recv, Socket,
    SocketId, SocketOption,
};

use crate::capable;
use crate::hidden::{fill, hidden, len, long, word, yes};

/// Returns some time.
pub fn duration() -> Duration {
    Duration::new(long(), word() % 1_000_000_000)
}

/// Returns some address.
pub fn addr() -> SocketAddr {
    let port = word() as u16;
    if yes() {
        (word().to_be_bytes(), port).into()
    } else {
        (u128::from(long()).to_be_bytes(), port).into()
    }
}

/// Returns some address of any kind.
pub fn address() -> Address {
    match word() {
        0 => Address::Unnamed,
        _ => addr().into(),
    }
}

/// Returns some error.
pub fn error() -> Error {
    match word() {
        0 => Error::AddressInUse,
        1 => Error::AddressUnavailable,
        2 => Error::Denied,
        3 => Error::Full,
        4 => Error::Exhausted,
        5 => Error::Invalid,
        6 => Error::Unreachable,
        7 => Error::Refused,
        8 => Error::Reset,
        9 => Error::TimedOut,
        10 => Error::Truncated,
        11 => Error::AlertReceived(word() as u8),
        12 => Error::AlertSent(word() as u8),
        13 => Error::Protocol(word() as u16),
        14 => Error::Unsupported,
        _ => Error::Platform(word() as u16),
    }
}

/// Returns `value`, or some error.
pub fn or_error<T>(value: T) -> Result<T, Error> {
    if yes() { Ok(value) } else { Err(error()) }
}

fn progress() -> Result<Progress, Error> {
    or_error(match word() {
        0 => Progress::Pending,
        1 => Progress::Again,
        _ => Progress::Done,
    })
}

/// A platform that may answer anything, also what the contract forbids. `HOLDS` as a layer does.
pub struct Outside<const HOLDS: bool>;

impl<const HOLDS: bool> Platform for Outside<HOLDS> {
    type Socket = u32;

    const CLOSED: u32 = 0;
    const HOLDS_OUTPUT: bool = HOLDS;

    fn listen(&mut self, socket: &mut u32, _: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn connect(&mut self, socket: &mut u32, _: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn accept(
        &mut self,
        listener: &mut u32,
        socket: &mut u32,
        _: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        (*listener, *socket) = (word(), word());
        let accepted = Accepted {
            peer: address(),
            drained: yes(),
        };
        or_error(yes().then_some(accepted))
    }

    fn refuse(&mut self, listener: &mut u32) -> Result<bool, Error> {
        *listener = word();
        or_error(yes())
    }

    fn set_accepting(&mut self, listener: &mut u32, _: SocketId, _: bool) -> Result<(), Error> {
        *listener = word();
        or_error(())
    }

    fn open(&mut self, socket: &mut u32, _: Readiness) -> Result<Progress, Error> {
        *socket = word();
        progress()
    }

    fn flush(&mut self, socket: &mut u32) -> Result<Progress, Error> {
        *socket = word();
        progress()
    }

    fn take_error(&mut self, socket: &mut u32) -> Option<Error> {
        *socket = word();
        yes().then(error)
    }

    fn peek(&mut self, socket: &mut u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.recv(socket, buffer)
    }

    fn set_low_water(&mut self, socket: &mut u32, _: usize) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn set_option(&mut self, socket: &mut u32, _: SocketOption) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn recv(&mut self, socket: &mut u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        *socket = word();
        fill(buffer);
        or_error(match word() {
            0 => Recv::WouldBlock,
            1 => Recv::Finished,
            2 => Recv::Pending,
            _ => Recv::Data {
                len: len(),
                drained: yes(),
            },
        })
    }

    fn send(&mut self, socket: &mut u32, _: &[u8]) -> Result<usize, Error> {
        *socket = word();
        or_error(len())
    }

    fn finish(&mut self, socket: &mut u32) -> Result<Progress, Error> {
        *socket = word();
        progress()
    }

    fn linger(&mut self, socket: &mut u32) -> bool {
        *socket = word();
        yes()
    }

    fn close(&mut self, socket: &mut u32) {
        *socket = word();
    }

    fn abort(&mut self, socket: &mut u32) {
        *socket = word();
    }

    fn local_addr(&self, _: &u32) -> Result<Address, Error> {
        or_error(address())
    }

    fn peer_addr(&self, _: &u32) -> Result<Address, Error> {
        or_error(address())
    }

    fn protocol(&self, _: &u32) -> &[u8] {
        if yes() { b"h2" } else { &[] }
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<(), Error> {
        or_error(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let readiness = Readiness::from_bits(word());
        let id = SocketId::from_bits(long())?;
        yes().then_some(Ready { id, readiness })
    }

    fn woken(&mut self) -> bool {
        yes()
    }

    fn now(&self) -> Instant {
        Instant::from_micros(long())
    }
}

impl<const HOLDS: bool> Descriptors for Outside<HOLDS> {
    type Descriptor = u32;

    fn insert(
        &mut self,
        socket: &mut u32,
        _: SocketId,
        descriptor: u32,
        _: Inserted,
    ) -> Result<(), (u32, Error)> {
        *socket = word();
        or_error(()).map_err(|error| (descriptor, error))
    }

    fn take(&mut self, socket: &mut u32, unread: &mut [u8]) -> Result<(u32, usize), Error> {
        *socket = word();
        fill(unread);
        or_error((word(), len()))
    }
}

impl<const HOLDS: bool> Datagrams for Outside<HOLDS> {
    fn bind(&mut self, socket: &mut u32, _: SocketId, _: Address) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn set_peer(&mut self, socket: &mut u32, _: Address) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn recv_batch(
        &mut self,
        socket: &mut u32,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        *socket = word();
        fill(memory);
        for place in arrivals {
            *place = Arrival {
                len: len(),
                segment: word() as u16,
                peer: address(),
                destination: yes().then(|| addr().ip()),
                interface: word(),
                ecn: hidden(Ecn::NotEct),
                hops: yes().then_some(word() as u8),
                truncated: yes(),
            };
        }
        or_error(Arrivals {
            count: len(),
            drained: yes(),
        })
    }

    fn send_batch(&mut self, socket: &mut u32, _: &[u8], _: &[Departure]) -> Result<usize, Error> {
        *socket = word();
        or_error(len())
    }

    fn await_room(&mut self, socket: &mut u32, _: SocketId, _: bool) {
        *socket = word();
    }

    fn next_error(&mut self, socket: &mut u32) -> Option<DatagramError> {
        *socket = word();
        yes().then(|| DatagramError::new(address(), error(), word()))
    }

    fn set_datagram_option(&mut self, socket: &mut u32, _: DatagramOption) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }
}

impl<const HOLDS: bool> LocalSockets for Outside<HOLDS> {
    fn listen_local(
        &mut self,
        socket: &mut u32,
        _: SocketId,
        _: &LocalEndpoint,
    ) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn connect_local(
        &mut self,
        socket: &mut u32,
        _: SocketId,
        _: &LocalEndpoint,
    ) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn bind_local(
        &mut self,
        socket: &mut u32,
        _: SocketId,
        _: &LocalEndpoint,
    ) -> Result<(), Error> {
        *socket = word();
        or_error(())
    }

    fn peer_credentials(&self, _: &u32) -> Result<Credentials, Error> {
        or_error(Credentials {
            process: word(),
            user: word(),
            group: word(),
        })
    }

    fn send_with_descriptors(
        &mut self,
        socket: &mut u32,
        _: &[u8],
        _: &[&u32],
    ) -> Result<usize, Error> {
        *socket = word();
        or_error(len())
    }

    fn send_datagram_with_descriptors(
        &mut self,
        socket: &mut u32,
        _: &[u8],
        _: &Departure,
        _: &[&u32],
    ) -> Result<bool, Error> {
        *socket = word();
        or_error(yes())
    }

    fn next_descriptor(&mut self, socket: &mut u32) -> Option<u32> {
        *socket = word();
        yes().then(word)
    }
}

/// A platform with calls of its own.
pub trait Layer: Platform + Sized {
    /// Makes any of them.
    fn call(&mut self) {}

    /// Makes any call that only a platform of more capabilities has, on sockets by name.
    fn more(net: &mut Net<'_, Self, u32>, id: SocketId) {
        let _ = (net, id);
    }

    /// Makes any such call on the socket that a call is about.
    fn more_own<H: Handler<Self>>(socket: &mut Socket<'_, Self, H>) {
        let _ = socket;
    }

    /// Makes any such call on a connection that is not open yet.
    fn more_incoming(incoming: &mut Incoming<'_, Self, u32>) {
        let _ = incoming;
    }
}

impl<const HOLDS: bool> Layer for Outside<HOLDS> {
    fn more(net: &mut Net<'_, Self, u32>, id: SocketId) {
        if yes() {
            capable::datagrams(net, id);
        } else {
            capable::local(net, id);
        }
    }

    fn more_own<H: Handler<Self>>(socket: &mut Socket<'_, Self, H>) {
        capable::own_datagrams(socket);
    }

    fn more_incoming(incoming: &mut Incoming<'_, Self, u32>) {
        if yes() {
            let _ = incoming.take();
        }
    }
}

impl<const HOLDS: bool> Layer for &mut Outside<HOLDS> {
    fn call(&mut self) {
        (**self).call();
    }

    fn more(net: &mut Net<'_, Self, u32>, id: SocketId) {
        capable::datagrams(net, id);
    }

    fn more_own<H: Handler<Self>>(socket: &mut Socket<'_, Self, H>) {
        capable::own_datagrams(socket);
    }
}

impl<const HOLDS: bool> Notify for Outside<HOLDS> {
    fn notify(&self) {
        word();
    }
}

/// Takes text and forgets it.
pub struct Sink;

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        if text.len() == len() {
            Err(core::fmt::Error)
        } else {
            Ok(())
        }
    }
}
