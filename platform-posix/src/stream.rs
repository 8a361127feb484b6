//! What a non-blocking TCP socket does on every POSIX system.
//!
//! Each function is one step of [`Platform`](usockets::Platform) for one descriptor and makes the
//! system calls that its first line names. How readiness is learnt is not here: a platform
//! registers what these functions return with its own `epoll`, kqueue or `poll`.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, ioctl_fionbio, read};
use rustix::net::{self, RecvFlags, Shutdown, SocketAddrAny, SocketType, sockopt};
use rustix::time::{ClockId, clock_gettime};
use usockets::{
    Address, Duration, Endpoint, Error, Inserted, Instant, Progress, Readiness, Recv, SocketOption,
};

use crate::errno::{connect_error, error};
use crate::fd::{Fd, Kind};
use crate::options::{self, NO_SIGNAL, canonical, stream};

/// Slices of one vectored write; what is beyond goes with the next.
const PARTS_MAX: usize = 16;

/// Listens at an address: `socket`, options, `bind`, `listen`.
///
/// # Errors
/// The address is taken, absent or forbidden, an option is not supported, or the system is out of
/// descriptors or memory.
pub fn listen(at: &Endpoint<'_>) -> Result<Fd, Error> {
    let fd = stream(at)?;
    sockopt::set_socket_reuseaddr(&fd, true).map_err(error)?;
    if at.reuse_port {
        share_port(&fd)?;
    }
    if at.addr.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, at.v6_only).map_err(error)?;
    }
    net::bind(&fd, &at.addr).map_err(error)?;
    net::listen(&fd, i32::from(at.backlog)).map_err(error)?;
    Ok(Fd::new(fd, Kind::Listener))
}

#[cfg(not(any(target_os = "illumos", target_os = "solaris")))]
fn share_port(fd: &OwnedFd) -> Result<(), Error> {
    sockopt::set_socket_reuseport(fd, true).map_err(error)
}

#[cfg(any(target_os = "illumos", target_os = "solaris"))]
fn share_port(_: &OwnedFd) -> Result<(), Error> {
    Err(Error::Unsupported)
}

/// Starts connecting: `socket`, options, `bind` if there is a source, `connect`.
///
/// `before_bind` sets what only one system has, on a socket that is about to be bound.
///
/// # Errors
/// The connection cannot even be started; see [`connect_error`].
pub fn connect(
    to: &Endpoint<'_>,
    before_bind: impl FnOnce(BorrowedFd<'_>, &SocketAddr),
) -> Result<Fd, Error> {
    let fd = stream(to)?;
    if let Some(source) = &to.source {
        sockopt::set_socket_reuseaddr(&fd, true).map_err(error)?;
        before_bind(rustix::fd::AsFd::as_fd(&fd), source);
        net::bind(&fd, source).map_err(error)?;
    }
    match net::connect(&fd, &to.addr) {
        // An interrupted connect goes on by itself (`connect(2)`).
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(connect_error(errno, &to.addr)),
    }
    Ok(if may_meet_itself(to) {
        Fd::connecting_locally(fd, to.addr.port())
    } else {
        Fd::new(fd, Kind::Connecting)
    })
}

/// Takes a waiting connection and its peer's address; `None` when none waits: `accept4`.
///
/// # Errors
/// [`Error::Exhausted`] when there is no descriptor or memory for it: it keeps waiting. Any other
/// error is about a connection that died while it waited.
pub fn accept(listener: &Fd) -> Result<Option<(OwnedFd, Address)>, Error> {
    let Some((fd, peer)) = take(listener.get()?)? else {
        return Ok(None);
    };
    // Some systems give no address when the peer has gone meanwhile.
    let peer = peer.ok_or(Error::Reset)?;
    let peer = SocketAddr::try_from(peer).map_err(error)?;
    Ok(Some((fd, canonical(peer).into())))
}

/// Takes a waiting connection and resets it; returns true if there was one: `accept4`,
/// `setsockopt`, `close`.
///
/// # Errors
/// As [`accept`].
pub fn refuse(listener: &Fd) -> Result<bool, Error> {
    let Some((fd, _)) = take(listener.get()?)? else {
        return Ok(false);
    };
    reset(&fd)?;
    Ok(true)
}

/// Lets the descriptor's `close` reset its connection.
///
/// # Errors
/// The system refuses the option.
pub fn reset(fd: &OwnedFd) -> Result<(), Error> {
    sockopt::set_socket_linger(fd, Some(Duration::ZERO)).map_err(error)
}

/// Carries on with opening a connection, of which `ready` was reported. No call if it opened,
/// unless it goes to this host: then `getsockname`.
///
/// # Errors
/// It could not be opened, and why. [`Error::Refused`] also if nobody listens at a port of this
/// host and the system gave the connection that very port, so that it met itself.
#[inline]
pub fn open(socket: &mut Fd, ready: Readiness) -> Result<Progress, Error> {
    if !matches!(socket.kind(), Kind::Connecting | Kind::ConnectingLocally) {
        return Ok(Progress::Done);
    }
    if ready.intersects(Readiness::ERROR.union(Readiness::HUNG_UP)) {
        return match take_error(socket) {
            // A connection that is refused says so. One that is reset had opened before.
            Some(error @ (Error::Reset | Error::BrokenPipe)) => {
                socket.set_open();
                socket.keep_error(error);
                Ok(Progress::Done)
            }
            Some(error) => Err(error),
            None => Ok(Progress::Pending),
        };
    }
    if !ready.intersects(Readiness::WRITABLE) {
        return Ok(Progress::Pending);
    }
    if let Some(port) = socket.local_port()
        && met_itself(socket, port)
    {
        // Its port is free again at once, for whoever was to listen there.
        let _ = sockopt::set_socket_linger(socket.get()?, Some(Duration::ZERO));
        return Err(Error::Refused);
    }
    socket.set_open();
    Ok(Progress::Done)
}

/// Returns true if a connection to `to` comes from the address it goes to, so that it meets itself
/// if it is given the same port: from the source it names, or on the loopback interface.
fn may_meet_itself(to: &Endpoint<'_>) -> bool {
    let to_ip = to.addr.ip();
    match &to.source {
        Some(source) => source.ip() == to_ip,
        None => to_ip == Ipv4Addr::LOCALHOST || to_ip == Ipv6Addr::LOCALHOST,
    }
}

/// Returns true if a connection that goes to `port` of its own address comes from there too.
#[cold]
fn met_itself(socket: &Fd, port: u16) -> bool {
    local_addr(socket).is_ok_and(|local| local.ip().is_some_and(|local| local.port() == port))
}

/// Takes the error that broke a connection, if any: `getsockopt`.
#[must_use]
pub fn take_error(socket: &Fd) -> Option<Error> {
    match sockopt::socket_error(socket.get().ok()?) {
        Ok(Ok(())) => socket.kept_error(),
        Ok(Err(errno)) | Err(errno) => Some(error(errno)),
    }
}

/// Makes a descriptor that was made elsewhere non-blocking if it is what it is said to be; of a
/// socket that carries a stream, `listens` tells whether it listens.
///
/// # Errors
/// [`Error::Invalid`]: it is something else.
pub fn check_inserted(
    fd: BorrowedFd<'_>,
    kind: Inserted,
    listens: impl FnOnce(BorrowedFd<'_>) -> bool,
) -> Result<Kind, Error> {
    let is_stream = || {
        matches!(
            sockopt::socket_type(fd),
            Ok(SocketType::STREAM | SocketType::SEQPACKET)
        )
    };
    let kind = match kind {
        Inserted::Foreign => Kind::Foreign,
        Inserted::Listener if is_stream() && listens(fd) => Kind::Listener,
        Inserted::Connected if is_stream() && net::getpeername(fd).is_ok() => Kind::Stream,
        _ => return Err(Error::Invalid),
    };
    ioctl_fionbio(fd, true).map_err(error)?;
    Ok(kind)
}

/// Returns true if a socket that carries a stream listens (`SO_ACCEPTCONN`). Apple's systems do not
/// tell: there one that has no peer is believed to, and if it does not, nobody ever comes.
pub(crate) fn listens(fd: BorrowedFd<'_>) -> bool {
    #[cfg(not(target_vendor = "apple"))]
    let listens = sockopt::socket_acceptconn(fd) == Ok(true);
    #[cfg(target_vendor = "apple")]
    let listens = net::getpeername(fd).is_err();
    listens
}

/// Receives into `buffer`, which is not empty: `read`.
///
/// # Errors
/// The connection broke.
#[inline]
pub fn recv(socket: &Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
    let room = buffer.len();
    let Some(fd) = socket.stream() else {
        return Err(Error::Invalid);
    };
    // On a socket `read` is `recv` without flags, and has three arguments fewer.
    received(socket, read(fd, buffer), room)
}

/// Says what a receive by any system call means that brought as many bytes as `returned` says, 0
/// for the end. The platform may have more if that is `full`.
///
/// # Errors
/// The connection broke; [`Error::Truncated`] after `EMSGSIZE`.
#[inline]
pub fn received(socket: &Fd, returned: Result<usize, Errno>, full: usize) -> Result<Recv, Error> {
    match returned {
        Ok(0) => end_of_stream(socket),
        Ok(len) => Ok(Recv::Data {
            len,
            // Not `<`: that the bytes fit is checked when they are handed on.
            drained: len != full,
        }),
        Err(errno) => not_received(errno).map(|()| Recv::WouldBlock),
    }
}

#[cold]
#[inline(never)]
fn not_received(errno: Errno) -> Result<(), Error> {
    match errno {
        // No stream has packets, and a packet's end is lost.
        Errno::MSGSIZE => Err(Error::Truncated),
        errno => would_block(errno),
    }
}

/// Tells the end of what can be received: the peer's, or the error that was kept.
#[cold]
fn end_of_stream(socket: &Fd) -> Result<Recv, Error> {
    match socket.kept_error() {
        None | Some(Error::BrokenPipe) => Ok(Recv::Finished),
        Some(error) => Err(error),
    }
}

/// Receives into `buffer` and leaves the bytes where they are: `recvfrom`.
///
/// # Errors
/// The connection broke.
pub fn peek(socket: &Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
    match net::recv(socket.get()?, &mut *buffer, RecvFlags::PEEK) {
        Ok((_, 0)) => Ok(Recv::Finished),
        Ok((_, len)) => Ok(Recv::Data {
            len,
            drained: false,
        }),
        Err(errno) => would_block(errno).map(|()| Recv::WouldBlock),
    }
}

/// Changes an option of an open connection: one to four times `setsockopt`.
///
/// # Errors
/// As [`Platform::set_option`](usockets::Platform::set_option).
pub fn set_option(socket: &Fd, option: SocketOption) -> Result<(), Error> {
    options::set_option(socket.get()?, option)
}

/// Takes up to `data.len()` bytes for sending and returns how many: `sendto`.
///
/// # Errors
/// The connection broke.
#[inline]
pub fn send(socket: &Fd, data: &[u8]) -> Result<usize, Error> {
    let Some(fd) = socket.stream() else {
        return Err(Error::Invalid);
    };
    sent(net::send(fd, data, NO_SIGNAL))
}

/// Says how many bytes any system call took for sending; 0 if it would block.
///
/// # Errors
/// The connection broke.
#[inline]
pub fn sent(returned: Result<usize, Errno>) -> Result<usize, Error> {
    match returned {
        Ok(count) => Ok(count),
        Err(errno) => would_block(errno).map(|()| 0),
    }
}

/// Takes the bytes of `parts` in order and returns how many: one `sendmsg` for 16 parts.
///
/// # Errors
/// The connection broke.
pub fn send_vectored(socket: &mut Fd, parts: &[&[u8]]) -> Result<usize, Error> {
    let mut slices = [IoSlice::new(&[]); PARTS_MAX];
    let mut sum = 0_usize;
    for parts in parts.chunks(PARTS_MAX) {
        let mut len = 0_usize;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            len = len.saturating_add(part.len());
        }
        let slices = slices.get(..parts.len()).unwrap_or_default();
        let count = match send_slices(socket.get()?, slices) {
            Ok(count) => count,
            // What was taken counts; a later call tells of the error.
            Err(errno) if sum > 0 => {
                socket.keep_error(error(errno));
                return Ok(sum);
            }
            Err(errno) => return Err(error(errno)),
        };
        sum = sum.saturating_add(count);
        if count < len {
            break;
        }
    }
    Ok(sum)
}

/// Ends our direction of the stream: `shutdown`.
///
/// # Errors
/// The connection broke.
pub fn finish(socket: &Fd) -> Result<Progress, Error> {
    match net::shutdown(socket.get()?, Shutdown::Write) {
        // Not connected any more: the report that says why is on its way.
        Ok(()) | Err(Errno::NOTCONN) => Ok(Progress::Done),
        Err(errno) => Err(error(errno)),
    }
}

/// Lets the following close reset the connection: `setsockopt`.
pub fn abort(socket: &Fd) {
    if let Ok(fd) = socket.get() {
        // Without lingering, `close` resets (`socket(7)`). If that fails it still closes.
        let _ = sockopt::set_socket_linger(fd, Some(Duration::ZERO));
    }
}

/// Returns the local address of a socket or listener: `getsockname`.
///
/// # Errors
/// The socket is closed.
pub fn local_addr(socket: &Fd) -> Result<Address, Error> {
    address(net::getsockname(socket.get()?))
}

/// Returns the peer's address: `getpeername`.
///
/// # Errors
/// The socket is not connected.
pub fn peer_addr(socket: &Fd) -> Result<Address, Error> {
    match net::getpeername(socket.get()?).map_err(error)? {
        Some(addr) => address(Ok(addr)),
        None => Err(Error::Unsupported),
    }
}

/// Returns the present on the system's monotonic clock: `clock_gettime`.
#[inline]
#[must_use]
pub fn now() -> Instant {
    let now = clock_gettime(ClockId::Monotonic);
    // Never negative: the clock counts from when the system started.
    let secs = now.tv_sec.cast_unsigned();
    #[allow(clippy::useless_conversion, reason = "elsewhere it has 32 bits")]
    let nanos = u64::from(now.tv_nsec.cast_unsigned());
    // Of 30 bits, as it always is, they are divided with one multiplication less.
    let nanos = nanos & 0xffff_ffff;
    Instant::from_micros(secs.wrapping_mul(1_000_000).wrapping_add(nanos / 1_000))
}

/// Returns an error unless a call only has to wait. A socket that never blocks is never
/// interrupted by a signal either (`signal(7)`).
#[cold]
#[inline(never)]
pub(crate) fn would_block(errno: Errno) -> Result<(), Error> {
    match errno {
        Errno::AGAIN => Ok(()),
        errno => Err(error(errno)),
    }
}

/// Takes a waiting connection; `None` when none waits.
pub(crate) fn take(
    listener: BorrowedFd<'_>,
) -> Result<Option<(OwnedFd, Option<SocketAddrAny>)>, Error> {
    loop {
        match accept_one(listener) {
            Ok(accepted) => return Ok(Some(accepted)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error(errno)),
        }
    }
}

#[cfg(not(target_vendor = "apple"))]
fn accept_one(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    use rustix::net::SocketFlags;

    net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
}

/// Apple's systems have no `accept4`.
#[cfg(target_vendor = "apple")]
fn accept_one(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    let (fd, peer) = net::acceptfrom(listener)?;
    options::set_quiet(&fd)?;
    Ok((fd, peer))
}

fn send_slices(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    loop {
        let mut control = net::SendAncillaryBuffer::default();
        match net::sendmsg(fd, slices, &mut control, NO_SIGNAL) {
            Ok(count) => return Ok(count),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[inline(never)]
fn address(addr: Result<SocketAddrAny, Errno>) -> Result<Address, Error> {
    let addr = SocketAddr::try_from(addr.map_err(error)?).map_err(error)?;
    Ok(canonical(addr).into())
}
