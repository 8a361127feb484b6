//! The TCP stack in user space on a TAP of Linux, in the place of the kernel's sockets: the feature
//! `smoltcp`.
//!
//! Which TAP and which addresses says the environment: `USOCKETS_TAP=us0` and
//! `USOCKETS_IP=10.77.0.2/24`, or several of those, with commas; `USOCKETS_GATEWAY=10.77.0.1` if
//! packets leave the link. A TAP has one user, so that there is one loop.
//!
//! What there is no descriptor for is refused: sockets of the file system, and connections made
//! elsewhere. `on_pre_open`, which is about a descriptor, is not called.

use std::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;

use usockets::{
    Accepted, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv, SocketId, Waker,
};
use usockets_linux::EventFd;
use usockets_smoltcp::{
    Address, Block, Config, Listener, Memory, Neighbour, Outstanding, Secret, SizeClass, Slot,
    Stack, Tap, Working,
};

use crate::block::Reservation;
use crate::handles::LoopRef;
use crate::margins::Inner;

/// Connections of the stack, also those that only linger.
const CONNECTIONS: usize = 2048;
/// Bytes of each connection's two buffers, which take memory as they are used.
const BUFFER: usize = 65_535;
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
/// Most listeners of a stack.
const LISTENERS: usize = 255;
const MTU: usize = 1_500;
/// Frames that the TAP's memory holds: one to send, and a burst.
const FRAMES: usize = 9;
/// Bytes of the largest frame, and a little more.
const SCRATCH: usize = 65_600;

/// The address that a ready-made descriptor is listened or connected at, which is not looked at.
pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What wakes a loop.
pub(crate) type Notifier = EventFd;

type Below = Stack<'static, Tap<'static>>;

/// See the module.
pub(crate) struct Kernel {
    stack: Below,
    lp: LoopRef,
    /// A descriptor that the next `listen` or `connect` is to take, which it refuses.
    pub(crate) ready_made: Option<OwnedFd>,
    /// What is sent has more coming after it. The stack sees by itself.
    pub(crate) more: bool,
    /// What the stack uses: dropped after it.
    _memory: Kept,
}

impl Inner for Kernel {
    const DELIVERS: bool = true;
}

/// A socket of the stack.
pub(crate) struct Socket {
    below: <Below as Platform>::Socket,
    /// The core's slot, of a listener.
    slot: u32,
}

/// Returns the descriptor of a socket: there is none.
pub(crate) const fn raw(_: &Socket) -> c_int {
    -1
}

/// The memory of a stack.
struct Kept {
    slots: Table<Slot>,
    working: Table<Working>,
    outstanding: Table<Outstanding>,
    ranges: Table<Block>,
    buckets: Table<u32>,
    listeners: Table<Listener>,
    neighbours: Table<Neighbour>,
    bytes: Reservation,
    scratch: Reservation,
    frames: Reservation,
}

/// A slice on the heap, of which others have pointers.
struct Table<T>(NonNull<[T]>);

impl<T> Table<T> {
    fn new(len: usize, value: impl Fn() -> T) -> Self {
        let all: Box<[T]> = (0..len).map(|_| value()).collect();
        Self(NonNull::from(Box::leak(all)))
    }

    /// # Safety
    /// Called once, and the slice is not used after the table is dropped.
    unsafe fn lease(&self) -> &'static mut [T] {
        // SAFETY: the memory is the table's own; the rest is the caller's promise.
        unsafe { &mut *self.0.as_ptr() }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        // SAFETY: made of a box, and nobody uses it any more, by what `lease` demands.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Kept {
    fn new() -> Option<Self> {
        Some(Self {
            slots: Table::new(CONNECTIONS, || Slot::EMPTY),
            working: Table::new(CLASS.working_len(), || Working::EMPTY),
            outstanding: Table::new(CLASS.outstanding_len(), || Outstanding::EMPTY),
            ranges: Table::new(CLASS.ranges_len(), || Block::EMPTY),
            buckets: Table::new(CONNECTIONS, || 0),
            listeners: Table::new(LISTENERS, || Listener::EMPTY),
            neighbours: Table::new(256, || Neighbour::EMPTY),
            bytes: Reservation::new(CLASS.bytes())?,
            scratch: Reservation::new(SCRATCH)?,
            frames: Reservation::new(FRAMES * Tap::share(MTU, true))?,
        })
    }
}

/// # Safety
/// As [`Table::lease`]; the reservation has `bytes`.
unsafe fn bytes_of(reservation: &Reservation, bytes: usize) -> &'static mut [u8] {
    // SAFETY: zero bytes, which are the reservation's own; the rest is the caller's promise.
    unsafe { slice::from_raw_parts_mut(reservation.start::<u8>().as_ptr(), bytes) }
}

/// What the environment asks for.
struct Wanted {
    tap: String,
    addresses: Vec<Address>,
    gateway_v4: Option<Ipv4Addr>,
    gateway_v6: Option<Ipv6Addr>,
}

impl Wanted {
    fn read() -> Result<Self, Error> {
        let variable = |name| std::env::var(name).map_err(|_| Error::Invalid);
        let mut wanted = Self {
            tap: variable("USOCKETS_TAP")?,
            addresses: Vec::new(),
            gateway_v4: None,
            gateway_v6: None,
        };
        for one in variable("USOCKETS_IP")?.split(',') {
            let (ip, prefix) = one.split_once('/').ok_or(Error::Invalid)?;
            let ip = ip.parse().map_err(|_| Error::Invalid)?;
            let prefix = prefix.parse().map_err(|_| Error::Invalid)?;
            wanted.addresses.push(Address::new(ip, prefix));
        }
        for one in variable("USOCKETS_GATEWAY").unwrap_or_default().split(',') {
            match one.parse() {
                Ok(IpAddr::V4(ip)) => wanted.gateway_v4 = Some(ip),
                Ok(IpAddr::V6(ip)) => wanted.gateway_v6 = Some(ip),
                Err(_) if one.is_empty() => {}
                Err(_) => return Err(Error::Invalid),
            }
        }
        Ok(wanted)
    }

    /// A hardware address of this machine's own (IEEE 802), the same at every start.
    fn mac(&self) -> [u8; 6] {
        let last = match self.addresses.first().map(|own| own.ip) {
            Some(IpAddr::V4(ip)) => ip.octets(),
            Some(IpAddr::V6(ip)) => ip.octets().last_chunk().copied().unwrap_or_default(),
            None => [0; 4],
        };
        let [a, b, c, d] = last;
        [2, 0, a, b, c, d]
    }
}

impl Kernel {
    pub(crate) fn new(waker: &'static Waker<Notifier>, lp: LoopRef) -> Result<Self, Error> {
        let wanted = Wanted::read()?;
        let mut secret = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut secret))
            .map_err(|_| Error::Denied)?;
        let kept = Kept::new().ok_or(Error::Exhausted)?;
        // SAFETY: leased once, to the stack, which is dropped before the memory (`Kernel`).
        let (frames, memory) = unsafe {
            let memory = Memory {
                slots: kept.slots.lease(),
                working: kept.working.lease(),
                resting: &mut [],
                in_flight: &mut [],
                outstanding: kept.outstanding.lease(),
                ranges: kept.ranges.lease(),
                bytes: bytes_of(&kept.bytes, CLASS.bytes()),
                buckets: kept.buckets.lease(),
                listeners: kept.listeners.lease(),
                neighbours: kept.neighbours.lease(),
                scratch: bytes_of(&kept.scratch, SCRATCH),
            };
            (
                bytes_of(&kept.frames, FRAMES * Tap::share(MTU, true)),
                memory,
            )
        };
        let tap = Tap::open(&wanted.tap, MTU, true, frames)?.with_waker(waker);
        let mut config = Config::new(wanted.mac(), &wanted.addresses, Secret::new(secret));
        config.gateway_v4 = wanted.gateway_v4;
        config.gateway_v6 = wanted.gateway_v6;
        Ok(Self {
            stack: Stack::new(tap, &config, memory, &[CLASS])?,
            lp,
            ready_made: None,
            more: false,
            _memory: kept,
        })
    }

    /// Refuses: there are no connections made elsewhere.
    #[cfg(feature = "tls")]
    pub(crate) fn prepare_adopting(&mut self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Closes a connection made elsewhere.
    #[cfg(feature = "tls")]
    pub(crate) fn adopt(&mut self, fd: OwnedFd, _: usize) {
        drop(fd);
    }

    /// Returns true while the peers of closed sockets have not taken everything.
    pub(crate) fn is_delivering(&self) -> bool {
        self.stack.is_delivering()
    }

    /// Returns the descriptor that is readable when a frame has come.
    pub(crate) fn descriptor(&self) -> c_int {
        self.stack.device().as_fd().as_raw_fd()
    }
}

impl Platform for Kernel {
    type Socket = Socket;
    const CLOSED: Socket = Socket {
        below: Below::CLOSED,
        slot: 0,
    };
    const HOLDS_OUTPUT: bool = Below::HOLDS_OUTPUT;

    fn listen(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if self.ready_made.take().is_some() {
            return Err(Error::Unsupported);
        }
        socket.slot = id.index();
        // Ports are shared between loops by the kernel, and here there is one loop.
        self.stack
            .listen(&mut socket.below, id, &at.reuse_port(false))
    }

    fn connect(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if self.ready_made.take().is_some() {
            return Err(Error::Unsupported);
        }
        self.stack.connect(&mut socket.below, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Socket,
        socket: &mut Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let lp = self.lp;
        let accepted = self
            .stack
            .accept(&mut listener.below, &mut socket.below, id)?;
        if accepted.is_some() {
            let all = lp.listeners.borrow();
            let is_own = |one: &crate::handles::ListenRef| {
                let own = one.listener.get().map(SocketId::from);
                own.is_some_and(|own| own.index() == listener.slot)
            };
            let number = all
                .iter()
                .copied()
                .find(is_own)
                .ok_or(Error::Invalid)?
                .origin;
            lp.note_accepted(id, number);
        }
        Ok(accepted)
    }

    fn refuse(&mut self, listener: &mut Socket) -> Result<bool, Error> {
        self.stack.refuse(&mut listener.below)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.stack.set_accepting(&mut listener.below, id, accepting)
    }

    fn open(&mut self, socket: &mut Socket, ready: Readiness) -> Result<Progress, Error> {
        self.stack.open(&mut socket.below, ready)
    }

    fn flush(&mut self, socket: &mut Socket) -> Result<Progress, Error> {
        self.stack.flush(&mut socket.below)
    }

    fn take_error(&mut self, socket: &mut Socket) -> Option<Error> {
        self.stack.take_error(&mut socket.below)
    }

    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.stack.recv(&mut socket.below, buffer)
    }

    fn send(&mut self, socket: &mut Socket, data: &[u8]) -> Result<usize, Error> {
        self.stack.send(&mut socket.below, data)
    }

    fn send_vectored(&mut self, socket: &mut Socket, parts: &[&[u8]]) -> Result<usize, Error> {
        self.stack.send_vectored(&mut socket.below, parts)
    }

    fn finish(&mut self, socket: &mut Socket) -> Result<Progress, Error> {
        self.stack.finish(&mut socket.below)
    }

    fn close(&mut self, socket: &mut Socket) {
        self.stack.close(&mut socket.below);
    }

    fn linger(&mut self, socket: &mut Socket) -> bool {
        self.stack.linger(&mut socket.below)
    }

    fn abort(&mut self, socket: &mut Socket) {
        self.stack.abort(&mut socket.below);
    }

    fn local_addr(&self, socket: &Socket) -> Result<usockets::Address, Error> {
        self.stack.local_addr(&socket.below)
    }

    fn peer_addr(&self, socket: &Socket) -> Result<usockets::Address, Error> {
        self.stack.peer_addr(&socket.below)
    }

    fn protocol(&self, socket: &Socket) -> &[u8] {
        self.stack.protocol(&socket.below)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.stack.poll(until)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.stack.next_deadline()
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.stack.next_ready()
    }

    fn woken(&mut self) -> bool {
        self.stack.woken()
    }

    fn now(&self) -> Instant {
        self.stack.now()
    }
}
