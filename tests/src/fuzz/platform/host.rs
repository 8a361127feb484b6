//! A platform whose every answer bytes decide.

use std::net::IpAddr;

use usockets::{
    Accepted, Address, Arrival, Arrivals, Credentials, DatagramError, DatagramOption, Datagrams,
    Departure, Descriptors, Ecn, Endpoint, Error, Inserted, Instant, LocalEndpoint, LocalSockets,
    Platform, Progress, Readiness, Ready, Recv, SocketId, SocketOption,
};

use super::world::World;

/// A platform that owes the loop nothing but what it may not be without:
///
/// - A socket is closed after a call that says that it made none, and after [`Platform::close`],
///   [`Platform::abort`] and a [`Descriptors::take`] that brought its descriptor. What is left in
///   a slot otherwise would be found by the next socket there.
/// - It reports a bounded number of sockets per wait.
///
/// It holds the loop to its own part: slots that are closed where they are to be, sockets of the
/// right kind in each call, ids that never come again, reports that are all taken.
pub struct Host<'w, const HOLDS: bool> {
    world: &'w World<'w>,
    number: usize,
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    #[default]
    Closed,
    Listener,
    Stream,
    Datagrams,
    Foreign,
}

/// A slot's socket.
#[derive(Debug, Default)]
pub struct HostSocket {
    kind: Kind,
    id: Option<SocketId>,
}

/// A descriptor of anything.
#[derive(Debug)]
pub struct Descriptor;

impl<'w, const HOLDS: bool> Host<'w, HOLDS> {
    pub fn new(world: &'w World<'w>, number: usize) -> Self {
        Self { world, number }
    }

    /// Opens a socket in a slot, or says why not.
    fn open_in(&self, socket: &mut HostSocket, id: SocketId, kind: Kind) -> Result<(), Error> {
        assert_eq!(socket.kind, Kind::Closed, "a slot is closed before its use");
        self.world.note_id(self.number, id);
        if self.world.seldom(8) {
            return Err(self.world.error());
        }
        self.fill(socket, id, kind);
        Ok(())
    }

    fn fill(&self, socket: &mut HostSocket, id: SocketId, kind: Kind) {
        *socket = HostSocket { kind, id: Some(id) };
        self.world.sides[self.number].live.borrow_mut().push(id);
    }

    fn empty(&self, socket: &mut HostSocket) {
        let mut live = self.world.sides[self.number].live.borrow_mut();
        live.retain(|id| Some(*id) != socket.id);
        *socket = HostSocket::default();
    }

    /// Fails unless the socket is of the kind that a call is for.
    fn check(socket: &HostSocket, kind: Kind) {
        assert_eq!(socket.kind, kind, "a call for another kind of socket");
    }

    fn progress(&self) -> Result<Progress, Error> {
        match self.world.below(8) {
            0..=3 => Ok(Progress::Done),
            4 => Ok(Progress::Again),
            5 | 6 => Ok(Progress::Pending),
            _ => Err(self.world.error()),
        }
    }

    /// Returns how many of `all` bytes are taken; more than there are, seldom.
    fn taken(&self, all: usize) -> Result<usize, Error> {
        match self.world.below(8) {
            0..=3 => Ok(all),
            4 => Ok(0),
            5 => Ok(self.world.below(all.clamp(1, 256))),
            6 => Ok(all.saturating_add(self.world.draw().into())),
            _ => Err(self.world.error()),
        }
    }

    fn result(&self) -> Result<(), Error> {
        match self.world.seldom(4) {
            true => Err(self.world.error()),
            false => Ok(()),
        }
    }

    fn received(&self, buffer: &mut [u8]) -> Result<Recv, Error> {
        assert!(!buffer.is_empty(), "there is room to receive into");
        let room = buffer.len();
        let (len, drained) = match self.world.below(16) {
            0 | 1 => return Ok(Recv::WouldBlock),
            2..=4 => (1 + self.world.below(room.min(256)), true),
            5 | 6 => (1 + self.world.below(room.min(256)), false),
            7 | 8 => (room, false),
            9 => (0, self.world.seldom(2)),
            10 => (room.saturating_add(1), self.world.seldom(2)),
            11 => return Ok(Recv::Pending),
            12 | 13 => return Ok(Recv::Finished),
            _ => return Err(self.world.error()),
        };
        for byte in buffer.iter_mut().take(len.min(16)) {
            *byte = self.world.draw();
        }
        Ok(Recv::Data { len, drained })
    }

    /// Moves the clock: mostly to where the loop wants to wait, or not at all; far, or back.
    fn pass(&self, until: Option<Instant>) {
        let now = &self.world.sides[self.number].now;
        let before = now.get();
        now.set(match self.world.below(12) {
            0..=3 => until.map_or(before, |until| before.max(until.as_micros())),
            4 | 5 => before,
            6 => before.saturating_add(u64::from(self.world.draw())),
            7 => before.saturating_add(1_000 * u64::from(self.world.draw())),
            8 => before.saturating_add(1_000_000 * u64::from(self.world.draw())),
            9 => before.saturating_sub(1_000 * u64::from(self.world.draw())),
            10 => before.saturating_add(1 << (self.world.draw() % 32)),
            _ => match self.world.below(32) {
                29 => before.saturating_add(1 << (self.world.draw() % 64)),
                30 => u64::MAX - u64::from(self.world.draw() % 2),
                31 => 0,
                _ => before,
            },
        });
    }

    fn readiness(&self) -> Readiness {
        let facts = [
            Readiness::READABLE,
            Readiness::WRITABLE,
            Readiness::ERROR,
            Readiness::HUNG_UP,
            Readiness::ENDED,
            Readiness::URGENT,
        ];
        let draw = self.world.draw();
        match draw {
            // The highest bit, which is the loop's own, alone and among any others.
            254 => return Readiness::from_bits(1 << 31),
            255 => return Readiness::from_bits(self.world.word()),
            _ => {}
        }
        let of = |number: usize| facts[number].when(draw >> number & 1 == 1);
        let more = (0..facts.len()).fold(Readiness::NONE, |sum, number| sum.union(of(number)));
        match draw >> 6 {
            0 => Readiness::READABLE,
            1 => Readiness::READABLE.union(Readiness::WRITABLE),
            _ => more,
        }
    }
}

impl<const HOLDS: bool> Platform for Host<'_, HOLDS> {
    type Socket = HostSocket;

    const CLOSED: HostSocket = HostSocket {
        kind: Kind::Closed,
        id: None,
    };

    const HOLDS_OUTPUT: bool = HOLDS;

    fn listen(
        &mut self,
        socket: &mut HostSocket,
        id: SocketId,
        _: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.open_in(socket, id, Kind::Listener)
    }

    fn connect(
        &mut self,
        socket: &mut HostSocket,
        id: SocketId,
        _: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.open_in(socket, id, Kind::Stream)
    }

    fn accept(
        &mut self,
        listener: &mut HostSocket,
        socket: &mut HostSocket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        Self::check(listener, Kind::Listener);
        assert_eq!(socket.kind, Kind::Closed, "a slot is closed before its use");
        self.world.note_id(self.number, id);
        match self.world.below(8) {
            0 | 1 => return Ok(None),
            7 => return Err(self.world.error()),
            _ => {}
        }
        self.fill(socket, id, Kind::Stream);
        Ok(Some(Accepted {
            peer: self.world.address(),
            drained: self.world.seldom(8),
        }))
    }

    fn refuse(&mut self, listener: &mut HostSocket) -> Result<bool, Error> {
        Self::check(listener, Kind::Listener);
        match self.world.below(8) {
            0..=3 => Ok(false),
            7 => Err(self.world.error()),
            _ => Ok(true),
        }
    }

    fn set_accepting(
        &mut self,
        listener: &mut HostSocket,
        _: SocketId,
        _: bool,
    ) -> Result<(), Error> {
        Self::check(listener, Kind::Listener);
        self.result()
    }

    fn open(&mut self, socket: &mut HostSocket, _: Readiness) -> Result<Progress, Error> {
        assert!(matches!(socket.kind, Kind::Stream | Kind::Datagrams));
        self.progress()
    }

    fn flush(&mut self, socket: &mut HostSocket) -> Result<Progress, Error> {
        assert!(matches!(socket.kind, Kind::Stream | Kind::Datagrams));
        self.progress()
    }

    fn take_error(&mut self, socket: &mut HostSocket) -> Option<Error> {
        Self::check(socket, Kind::Stream);
        self.world.seldom(2).then(|| self.world.error())
    }

    fn recv(&mut self, socket: &mut HostSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        Self::check(socket, Kind::Stream);
        self.received(buffer)
    }

    fn peek(&mut self, socket: &mut HostSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        Self::check(socket, Kind::Stream);
        let len = match self.world.below(4) {
            // A whole header, or a part of one.
            1 | 2 => HEADER.len() - self.world.below(HEADER.len()),
            3 => return self.received(buffer),
            _ => return Ok(Recv::WouldBlock),
        };
        let drained = false;
        match buffer.get_mut(..len) {
            Some(place) => place.copy_from_slice(&HEADER[..len]),
            None => return Ok(Recv::WouldBlock),
        }
        Ok(Recv::Data { len, drained })
    }

    fn set_low_water(&mut self, socket: &mut HostSocket, _: usize) -> Result<(), Error> {
        Self::check(socket, Kind::Stream);
        self.result()
    }

    fn set_option(&mut self, socket: &mut HostSocket, _: SocketOption) -> Result<(), Error> {
        assert_ne!(socket.kind, Kind::Closed);
        self.result()
    }

    fn send(&mut self, socket: &mut HostSocket, data: &[u8]) -> Result<usize, Error> {
        Self::check(socket, Kind::Stream);
        self.taken(data.len())
    }

    fn finish(&mut self, socket: &mut HostSocket) -> Result<Progress, Error> {
        Self::check(socket, Kind::Stream);
        self.progress()
    }

    fn close(&mut self, socket: &mut HostSocket) {
        self.empty(socket);
    }

    fn linger(&mut self, socket: &mut HostSocket) -> bool {
        assert_ne!(socket.kind, Kind::Closed);
        self.world.seldom(2)
    }

    fn abort(&mut self, socket: &mut HostSocket) {
        self.empty(socket);
    }

    fn local_addr(&self, socket: &HostSocket) -> Result<Address, Error> {
        match socket.kind == Kind::Closed || self.world.seldom(8) {
            true => Err(Error::Invalid),
            false => Ok(self.world.address()),
        }
    }

    fn peer_addr(&self, socket: &HostSocket) -> Result<Address, Error> {
        self.local_addr(socket)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let mut reports = self.world.sides[self.number].reports.borrow_mut();
        assert!(reports.is_empty(), "every report is taken before a wait");
        self.pass(until);
        if self.world.seldom(64) {
            return Err(self.world.error());
        }
        for _ in 0..self.world.below(8) {
            if let Some(id) = self.world.id(self.number) {
                let readiness = self.readiness();
                reports.push(Ready { id, readiness });
            }
        }
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.world.below(4) {
            0 | 1 => None,
            2 => Some(Instant::ZERO),
            _ => Some(Instant::from_micros(self.world.word().into())),
        }
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.world.sides[self.number].reports.borrow_mut().pop()
    }

    fn woken(&mut self) -> bool {
        self.world.seldom(8)
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.world.sides[self.number].now.get())
    }
}

/// A header of the PROXY protocol.
const HEADER: &[u8] = b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n";

impl<const HOLDS: bool> Descriptors for Host<'_, HOLDS> {
    type Descriptor = Descriptor;

    fn insert(
        &mut self,
        socket: &mut HostSocket,
        id: SocketId,
        descriptor: Descriptor,
        kind: Inserted,
    ) -> Result<(), (Descriptor, Error)> {
        let kind = match kind {
            Inserted::Listener => Kind::Listener,
            Inserted::Connected => Kind::Stream,
            _ => Kind::Foreign,
        };
        match self.open_in(socket, id, kind) {
            Ok(()) => Ok(()),
            Err(error) => Err((descriptor, error)),
        }
    }

    fn take(
        &mut self,
        socket: &mut HostSocket,
        unread: &mut [u8],
    ) -> Result<(Descriptor, usize), Error> {
        assert!(matches!(socket.kind, Kind::Stream | Kind::Foreign));
        if self.world.seldom(8) {
            return Err(self.world.error());
        }
        self.empty(socket);
        Ok((Descriptor, self.taken(unread.len()).unwrap_or(0)))
    }
}

impl<const HOLDS: bool> Datagrams for Host<'_, HOLDS> {
    fn bind(&mut self, socket: &mut HostSocket, id: SocketId, _: Address) -> Result<(), Error> {
        self.open_in(socket, id, Kind::Datagrams)
    }

    fn set_peer(&mut self, socket: &mut HostSocket, _: Address) -> Result<(), Error> {
        Self::check(socket, Kind::Datagrams);
        self.result()
    }

    fn recv_batch(
        &mut self,
        socket: &mut HostSocket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        Self::check(socket, Kind::Datagrams);
        let count = self.taken(arrivals.len())?;
        for arrival in arrivals.iter_mut().take(count) {
            *arrival = Arrival {
                len: self.taken(memory.len())?,
                segment: self.world.draw().into(),
                peer: self.world.address(),
                destination: self.world.seldom(2).then(|| IpAddr::from([10, 0, 0, 1])),
                interface: self.world.draw().into(),
                ecn: Ecn::Ect0,
                hops: None,
                truncated: self.world.seldom(2),
            };
        }
        Ok(Arrivals {
            count,
            drained: !self.world.seldom(2),
        })
    }

    fn send_batch(
        &mut self,
        socket: &mut HostSocket,
        _: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        Self::check(socket, Kind::Datagrams);
        self.taken(departures.len())
    }

    fn await_room(&mut self, socket: &mut HostSocket, _: SocketId, _: bool) {
        Self::check(socket, Kind::Datagrams);
    }

    fn next_error(&mut self, socket: &mut HostSocket) -> Option<DatagramError> {
        Self::check(socket, Kind::Datagrams);
        self.world.seldom(2).then(|| {
            DatagramError::new(self.world.address(), self.world.error(), self.world.word())
        })
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut HostSocket,
        _: DatagramOption,
    ) -> Result<(), Error> {
        Self::check(socket, Kind::Datagrams);
        self.result()
    }
}

impl<const HOLDS: bool> LocalSockets for Host<'_, HOLDS> {
    fn listen_local(
        &mut self,
        socket: &mut HostSocket,
        id: SocketId,
        _: &LocalEndpoint,
    ) -> Result<(), Error> {
        self.open_in(socket, id, Kind::Listener)
    }

    fn connect_local(
        &mut self,
        socket: &mut HostSocket,
        id: SocketId,
        _: &LocalEndpoint,
    ) -> Result<(), Error> {
        self.open_in(socket, id, Kind::Stream)
    }

    fn bind_local(
        &mut self,
        socket: &mut HostSocket,
        id: SocketId,
        _: &LocalEndpoint,
    ) -> Result<(), Error> {
        self.open_in(socket, id, Kind::Datagrams)
    }

    fn peer_credentials(&self, socket: &HostSocket) -> Result<Credentials, Error> {
        Self::check(socket, Kind::Stream);
        self.result()?;
        let number = self.world.draw().into();
        Ok(Credentials {
            process: number,
            user: number,
            group: number,
        })
    }

    fn send_with_descriptors(
        &mut self,
        socket: &mut HostSocket,
        data: &[u8],
        _: &[&Descriptor],
    ) -> Result<usize, Error> {
        Self::check(socket, Kind::Stream);
        self.taken(data.len())
    }

    fn send_datagram_with_descriptors(
        &mut self,
        socket: &mut HostSocket,
        _: &[u8],
        _: &Departure,
        _: &[&Descriptor],
    ) -> Result<bool, Error> {
        Self::check(socket, Kind::Datagrams);
        self.taken(1).map(|count| count > 0)
    }

    fn next_descriptor(&mut self, socket: &mut HostSocket) -> Option<Descriptor> {
        assert!(matches!(socket.kind, Kind::Stream | Kind::Datagrams));
        self.world.seldom(2).then_some(Descriptor)
    }
}
