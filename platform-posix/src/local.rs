//! What a non-blocking Unix socket does on every POSIX system (`unix(7)`): what differs from
//! [`stream`].
//!
//! A path is never removed unseen: see [`remove_if_refused`].

use core::mem::MaybeUninit;
use core::net::SocketAddr;

use heapless::Vec;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{FileType, Mode};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SocketAddrAny, SocketAddrUnix, SocketType,
};
use usockets::{Address, Error, LocalAddress, LocalEndpoint, LocalType, StalePath};

use crate::errno::error;
use crate::fd::{Fd, Kind};
use crate::options::{self, NO_SIGNAL, canonical};
use crate::stream;

/// Descriptors that are taken beside one receive. The system closes those beyond.
pub const RECEIVED_MAX: usize = 16;

/// Descriptors that one message may carry (`SCM_MAX_FD`, `unix(7)`).
const SENT_MAX: usize = 253;

/// Has received descriptors closed on `exec`, where `recvmsg` can.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOSE_ON_EXEC: RecvFlags = RecvFlags::empty();

/// Listens at a path or abstract name: `socket`, `bind`, `chmod` if there is a mode, `listen`.
///
/// Before `listen` nobody can connect, so the mode holds from the first connection on.
///
/// # Errors
/// [`Error::AddressInUse`] when somebody listens there or, under [`StalePath::Keep`], anything
/// stands at the path; [`Error::Unsupported`] for an abstract name where there are none.
pub fn listen(at: &LocalEndpoint) -> Result<Fd, Error> {
    let fd = bind(at, socket_type(at.socket_type)?)?;
    if let Err(errno) = net::listen(&fd, i32::from(at.backlog)) {
        unbind(at);
        return Err(error(errno));
    }
    Ok(Fd::new(
        fd,
        match at.socket_type {
            LocalType::Seqpacket => Kind::LocalPacketListener,
            _ => Kind::LocalListener,
        },
    ))
}

/// Makes a socket at a path or abstract name: `socket`, `bind`, `chmod` if there is a mode.
pub(crate) fn bind(at: &LocalEndpoint, kind: SocketType) -> Result<OwnedFd, Error> {
    let addr = encode(&at.addr)?;
    let fd = options::socket_of(net::AddressFamily::UNIX, kind).map_err(error)?;
    match net::bind(&fd, &addr) {
        Err(Errno::ADDRINUSE) if at.stale == StalePath::RemoveIfRefused => {
            if !remove_if_refused(&at.addr)? {
                return Err(Error::AddressInUse);
            }
            net::bind(&fd, &addr).map_err(error)?;
        }
        result => result.map_err(error)?,
    }
    if let Err(errno) = set_mode(at) {
        unbind(at);
        return Err(error(errno));
    }
    Ok(fd)
}

/// Removes the path, if there is one, of a socket that was bound a moment ago and comes to nothing,
/// since a later step failed: `unlink`.
pub fn unbind(at: &LocalEndpoint) {
    if let Some(path) = at.addr.as_path() {
        let _ = rustix::fs::unlink(path);
    }
}

fn set_mode(at: &LocalEndpoint) -> Result<(), Errno> {
    match (at.mode, at.addr.as_path()) {
        (Some(mode), Some(path)) => rustix::fs::chmod(path, Mode::from_bits_truncate(mode.into())),
        _ => Ok(()),
    }
}

/// Removes a socket from the file system if nobody listens at it any more; returns true if it did.
/// That is, if the path is a socket, a connect to it is refused, and it still is the same socket
/// afterwards. For a program that stops, after its listener has been closed, too.
///
/// What remains is the moment between the last look and the removal, and that between another
/// program's `bind` and `listen`: programs that may start at once need a lock of their own.
///
/// # Errors
/// The path cannot be looked at or removed.
pub fn remove_if_refused(addr: &LocalAddress) -> Result<bool, Error> {
    let Some(path) = addr.as_path() else {
        return Ok(false);
    };
    let Some(before) = socket_at(path)? else {
        return Ok(false);
    };
    // Whatever type listens there: another than ours is told apart from nobody (`EPROTOTYPE`).
    let probe = options::socket_of(net::AddressFamily::UNIX, SocketType::STREAM).map_err(error)?;
    match net::connect(&probe, &encode(addr)?) {
        Err(Errno::CONNREFUSED) => {}
        _ => return Ok(false),
    }
    if socket_at(path)? != Some(before) {
        return Ok(false);
    }
    match rustix::fs::unlink(path) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(error(errno)),
    }
}

/// Returns what names a socket in the file system, its device and file number; `None` for what is
/// no socket.
fn socket_at(path: &[u8]) -> Result<Option<(u64, u64)>, Error> {
    match rustix::fs::lstat(path) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Socket => {
            #[allow(
                clippy::useless_conversion,
                trivial_numeric_casts,
                reason = "the types differ from system to system"
            )]
            let number = (u64::try_from(found.st_dev), u64::try_from(found.st_ino));
            Ok(Some((
                number.0.unwrap_or_default(),
                number.1.unwrap_or_default(),
            )))
        }
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(error(errno)),
    }
}

/// Connects to a path or abstract name: `socket`, `connect`. It is open at once, or not at all.
///
/// # Errors
/// [`Error::Refused`] when nobody listens there, [`Error::Exhausted`] when the listener's queue is
/// full, and what the file system says of the path.
pub fn connect(to: &LocalEndpoint) -> Result<Fd, Error> {
    let addr = encode(&to.addr)?;
    let kind = socket_type(to.socket_type)?;
    let fd = options::socket_of(net::AddressFamily::UNIX, kind).map_err(error)?;
    loop {
        match net::connect(&fd, &addr) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            // There is no socket at all.
            Err(Errno::NOENT) => return Err(Error::Refused),
            Err(Errno::AGAIN) => return Err(Error::Exhausted),
            Err(errno) => return Err(error(errno)),
        }
    }
    Ok(Fd::new(
        fd,
        match to.socket_type {
            LocalType::Seqpacket => Kind::LocalPackets,
            _ => Kind::Local,
        },
    ))
}

/// Takes a waiting connection and its peer's address; `None` when none waits: `accept4`.
///
/// # Errors
/// As [`stream::accept`].
pub fn accept(listener: &Fd) -> Result<Option<(OwnedFd, Address)>, Error> {
    let Some((fd, peer)) = stream::take(listener.get()?)? else {
        return Ok(None);
    };
    Ok(Some((fd, peer.map_or(Ok(Address::Unnamed), decode)?)))
}

/// Descriptors that came beside the bytes of the last receive, and whose socket it was. They are
/// closed unless they are taken before the next receive by a Unix socket of the same platform.
#[derive(Debug)]
pub struct Received {
    owner: RawFd,
    list: Vec<OwnedFd, RECEIVED_MAX, u8>,
}

impl Received {
    /// None.
    pub const NONE: Self = Self {
        owner: -1,
        list: Vec::new(),
    };

    /// Takes the next descriptor that came to `socket`.
    pub fn next(&mut self, socket: &Fd) -> Option<OwnedFd> {
        if socket.get().ok()?.as_raw_fd() != self.owner || self.list.is_empty() {
            return None;
        }
        Some(self.list.remove(0))
    }

    /// Closes what came to `socket` and was not taken.
    pub fn close(&mut self, socket: &Fd) {
        if socket.get().is_ok_and(|fd| fd.as_raw_fd() == self.owner) {
            self.list.clear();
        }
    }
}

/// Receives into `buffer`, which is not empty, and takes the descriptors that come beside:
/// `recvmsg`. Returns how many bytes came, and what number of them means that there may be more,
/// for [`stream::received`].
///
/// # Errors
/// Why nothing came; `EMSGSIZE` when a packet is longer than the buffer, and what is beyond is
/// lost.
pub fn recv(
    socket: &Fd,
    buffer: &mut [u8],
    received: &mut Received,
) -> Result<(usize, usize), Errno> {
    let fd = socket.get().map_err(|_| Errno::INVAL)?;
    let room = buffer.len();
    let message = receive(fd, buffer, received)?;
    if message.truncated {
        received.list.clear();
        return Err(Errno::MSGSIZE);
    }
    // A read stops at the bytes that descriptors came with, and more may be behind them.
    let may_be_more = message.has_descriptors || socket.kind() == Kind::LocalPackets;
    Ok((message.len, if may_be_more { message.len } else { room }))
}

/// What one `recvmsg` of a Unix socket brought.
pub(crate) struct Message {
    /// Bytes received.
    pub(crate) len: usize,
    /// Its sender; none of a stream.
    pub(crate) peer: Option<SocketAddrAny>,
    /// The end of a packet or datagram is lost.
    pub(crate) truncated: bool,
    /// Descriptors came beside it, taken or not.
    pub(crate) has_descriptors: bool,
}

/// Receives into `buffer`, and takes the descriptors that come beside: `recvmsg`. Closes those that
/// came before.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    received: &mut Received,
) -> Result<Message, Errno> {
    received.list.clear();
    received.owner = fd.as_raw_fd();
    let room = buffer.len();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RECEIVED_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let slices = &mut [IoSliceMut::new(buffer)];
    let message = net::recvmsg(fd, slices, &mut control, CLOSE_ON_EXEC)?;
    let mut has_descriptors = message.flags.contains(ReturnFlags::CTRUNC);
    for part in control.drain() {
        has_descriptors = true;
        let RecvAncillaryMessage::ScmRights(descriptors) = part else {
            continue;
        };
        for descriptor in descriptors {
            close_on_exec(&descriptor);
            // One beyond the bound is closed.
            let _ = received.list.push(descriptor);
        }
    }
    Ok(Message {
        len: message.bytes.min(room),
        peer: message.address,
        truncated: message.flags.contains(ReturnFlags::TRUNC),
        has_descriptors,
    })
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const fn close_on_exec(_: &OwnedFd) {}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn close_on_exec(fd: &OwnedFd) {
    let _ = rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC);
}

/// Takes up to `data.len()` bytes for sending and returns how many: `sendto`.
///
/// # Errors
/// Why it took none.
pub fn send(socket: &Fd, data: &[u8]) -> Result<usize, Errno> {
    net::send(socket.get().map_err(|_| Errno::INVAL)?, data, NO_SIGNAL)
}

/// Sends bytes with descriptors beside the first; returns how many bytes were taken: `sendmsg`.
///
/// # Errors
/// [`Error::Invalid`] for no bytes, more than 253 descriptors, or a socket that is no Unix socket;
/// [`Error::Exhausted`] when too many descriptors are on their way; otherwise the connection broke.
pub fn send_with_descriptors(
    socket: &Fd,
    data: &[u8],
    descriptors: &[&OwnedFd],
) -> Result<usize, Error> {
    let fd = socket.get()?;
    if data.is_empty() || !socket.is_local() {
        return Err(Error::Invalid);
    }
    let bytes = &[IoSlice::new(data)];
    match with_descriptors(descriptors, |control| {
        net::sendmsg(fd, bytes, control, NO_SIGNAL)
    })? {
        Ok(count) => Ok(count),
        Err(Errno::TOOMANYREFS) => Err(Error::Exhausted),
        Err(errno) => stream::would_block(errno).map(|()| 0),
    }
}

/// Makes a call with a control message of descriptors.
///
/// # Errors
/// [`Error::Invalid`] for more than 253.
pub(crate) fn with_descriptors<R>(
    descriptors: &[&OwnedFd],
    call: impl FnOnce(&mut SendAncillaryBuffer<'_, '_, '_>) -> R,
) -> Result<R, Error> {
    let mut list = Vec::<BorrowedFd<'_>, SENT_MAX>::new();
    for descriptor in descriptors {
        list.push(descriptor.as_fd()).map_err(|_| Error::Invalid)?;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SENT_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !list.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&list)) {
        return Err(Error::Invalid);
    }
    Ok(call(&mut control))
}

/// Returns the local address of a Unix socket: `getsockname`.
///
/// # Errors
/// The socket is closed.
pub fn local_addr(socket: &Fd) -> Result<Address, Error> {
    decode(net::getsockname(socket.get()?).map_err(error)?)
}

/// Returns the peer's address of a Unix socket: `getpeername`.
///
/// # Errors
/// The socket is not connected.
pub fn peer_addr(socket: &Fd) -> Result<Address, Error> {
    let peer = net::getpeername(socket.get()?).map_err(error)?;
    peer.map_or(Ok(Address::Unnamed), decode)
}

/// Takes over a descriptor that was made elsewhere, as a Unix socket if it is one.
#[must_use]
pub fn adopt(fd: OwnedFd, kind: Kind) -> Fd {
    let is_local = || {
        net::getsockname(&fd).is_ok_and(|addr| addr.address_family() == net::AddressFamily::UNIX)
    };
    let is_of_packets = || net::sockopt::socket_type(&fd) == Ok(SocketType::SEQPACKET);
    let kind = match kind {
        Kind::Stream if is_local() && is_of_packets() => Kind::LocalPackets,
        Kind::Stream if is_local() => Kind::Local,
        Kind::Listener if is_local() && is_of_packets() => Kind::LocalPacketListener,
        Kind::Listener if is_local() => Kind::LocalListener,
        kind => kind,
    };
    Fd::new(fd, kind)
}

fn socket_type(of: LocalType) -> Result<SocketType, Error> {
    match of {
        LocalType::Stream => Ok(SocketType::STREAM),
        LocalType::Seqpacket => Ok(SocketType::SEQPACKET),
        _ => Err(Error::Unsupported),
    }
}

/// Puts an address into the system's form. A path that is too long for it is [`Error::Invalid`].
pub(crate) fn encode(addr: &LocalAddress) -> Result<SocketAddrUnix, Error> {
    match addr.as_path() {
        Some(path) => SocketAddrUnix::new(path).map_err(|_| Error::Invalid),
        None => encode_abstract(addr),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn encode_abstract(addr: &LocalAddress) -> Result<SocketAddrUnix, Error> {
    let name = addr.as_abstract_name().unwrap_or_default();
    SocketAddrUnix::new_abstract_name(name).map_err(|_| Error::Invalid)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn encode_abstract(_: &LocalAddress) -> Result<SocketAddrUnix, Error> {
    Err(Error::Unsupported)
}

/// Reads an address from the system's form. One that is longer than [`LocalAddress`] holds comes
/// as unnamed.
pub(crate) fn decode(addr: SocketAddrAny) -> Result<Address, Error> {
    if addr.address_family() != net::AddressFamily::UNIX {
        let addr = SocketAddr::try_from(addr).map_err(error)?;
        return Ok(canonical(addr).into());
    }
    let addr = SocketAddrUnix::try_from(addr).map_err(error)?;
    let local = match (addr.path_bytes(), abstract_name(&addr)) {
        (Some(path), _) => LocalAddress::path(path),
        (None, Some(name)) => LocalAddress::abstract_name(name),
        (None, None) => return Ok(Address::Unnamed),
    };
    Ok(local.map_or(Address::Unnamed, Address::Local))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(addr: &SocketAddrUnix) -> Option<&[u8]> {
    addr.abstract_name()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn abstract_name(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}
