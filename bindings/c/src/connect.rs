//! Connecting, and connections that were made elsewhere.

use std::ffi::{c_char, c_int, c_uint};
use std::net::SocketAddr;

use usockets::{Duration, Endpoint, Error, SocketId};

use crate::context::text;
use crate::handles::{ContextRef, Descriptor, Flags, SocketRef};
#[cfg(unix)]
use crate::kernel::NOWHERE;
use crate::listen::{none, resolve};
use crate::socket::arm;

/// What is left to try of a connect to a host that has several addresses.
pub(crate) struct Attempt {
    block: SocketRef,
    to: Target,
}

/// The addresses of a host, and from where to connect to them.
struct Target {
    host: String,
    secure: bool,
    /// The last is tried next.
    addrs: Vec<SocketAddr>,
    sources: Option<Vec<SocketAddr>>,
}

impl Target {
    /// Starts a connection to the next address to which one can be started; why not, if there is
    /// none.
    fn next(&mut self, context: ContextRef) -> Result<SocketId, Error> {
        let mut reason = Error::Unreachable;
        while let Some(addr) = self.addrs.pop() {
            let mut at = if self.secure {
                Endpoint::tls(addr, Some(&self.host))
            } else {
                Endpoint::tcp(addr)
            };
            if let Some(sources) = &self.sources {
                let mut sources = sources.iter();
                let Some(source) = sources.find(|one| one.is_ipv4() == addr.is_ipv4()) else {
                    reason = Error::AddressUnavailable;
                    continue;
                };
                at = at.source(*source);
            }
            match begin(context, at) {
                // There is room for no other either.
                result @ (Ok(_) | Err(Error::Full | Error::Exhausted)) => return result,
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}

/// Starts a connection, to which the program sets its own time, or none.
fn begin(context: ContextRef, at: Endpoint<'_>) -> Result<SocketId, Error> {
    #[cfg(feature = "tls")]
    crate::secure::choose(context);
    let id = context.lp.reach.with(|net| {
        let id = net.connect(at, ())?;
        net.set_timeout(id, Duration::ZERO);
        Ok(id)
    });
    id.unwrap_or(Err(Error::Invalid))
}

/// Makes the program's side of a connection that was started.
fn made(context: ContextRef, id: SocketId, ext: usize, flags: Flags) -> Option<SocketRef> {
    let lp = context.lp;
    let block = lp.make_socket(context, id, ext, flags);
    if block.is_none() {
        lp.side(id).socket.set(std::ptr::null_mut());
        lp.with(|net| net.abort(id, 0));
        return none(Error::Exhausted);
    }
    block
}

/// Takes the descriptor that is ready for a connection.
#[cfg(unix)]
fn start(context: ContextRef, at: Endpoint<'_>, ext: usize, flags: Flags) -> Option<SocketRef> {
    match begin(context, at) {
        Ok(id) => made(context, id, ext, flags),
        Err(error) => {
            let lp = context.lp;
            lp.with(|net| crate::kernel(net).ready_made = None);
            none(error)
        }
    }
}

/// Tries the next address for a socket of this name that did not connect. Returns true if one is
/// being tried; the socket's timeouts go on.
#[cold]
pub(crate) fn try_next(block: SocketRef, before: SocketId, error: Error) -> bool {
    let lp = block.lp();
    let side = lp.side(before);
    let (short, long) = (side.short.get(), side.long.get());
    if !matches!(error, Error::Refused | Error::Unreachable | Error::TimedOut) {
        // It was reached, and something else is wrong.
        return false;
    }
    let mut attempts = lp.attempts.borrow_mut();
    let Some(place) = attempts.iter().position(|one| one.block == block) else {
        return false;
    };
    let mut attempt = attempts.swap_remove(place);
    let Ok(id) = attempt.to.next(block.context.get()) else {
        block.clear(Flags::RETRIES);
        return false;
    };
    if attempt.to.addrs.is_empty() {
        block.clear(Flags::RETRIES);
    } else {
        // There was room for it before.
        attempts.push(attempt);
    }
    side.socket.set(std::ptr::null_mut());
    block.rename(id);
    lp.take_place(id, block);
    let side = lp.side(id);
    side.short.set(short);
    side.long.set(long);
    arm(lp, id);
    true
}

/// Tries no further address for a socket.
#[cold]
pub(crate) fn forget(block: SocketRef) {
    block.clear(Flags::RETRIES);
    let lp = block.lp();
    lp.attempts.borrow_mut().retain(|one| one.block != block);
}

/// Has further addresses be tried for the block that a socket moved to.
pub(crate) fn moved(block: SocketRef, to: SocketRef) {
    if block.any(Flags::RETRIES) {
        let lp = block.lp();
        let mut attempts = lp.attempts.borrow_mut();
        for one in attempts.iter_mut().filter(|one| one.block == block) {
            one.block = to;
        }
        block.clear(Flags::RETRIES);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_connect(
    _ssl: c_int,
    context: ContextRef,
    host: *const c_char,
    port: c_int,
    source: *const c_char,
    _options: c_int,
    ext: c_int,
) -> Option<SocketRef> {
    let lp = context.lp;
    lp.check_thread();
    let (Some(host), Ok(port), Ok(ext)) = (text(host), u16::try_from(port), usize::try_from(ext))
    else {
        return none(Error::Invalid);
    };
    let mut addrs = resolve(host, port);
    addrs.reverse();
    let mut to = Target {
        host: host.to_owned(),
        secure: context.secure,
        addrs,
        sources: text(source).map(|source| resolve(source, 0)),
    };
    let id = match to.next(context) {
        Ok(id) => id,
        Err(error) => return none(error),
    };
    let block = made(context, id, ext, Flags::CONNECTING)?;
    if !to.addrs.is_empty() && lp.attempts.borrow_mut().try_reserve(1).is_ok() {
        block.set(Flags::RETRIES);
        lp.attempts.borrow_mut().push(Attempt { block, to });
    }
    Some(block)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_connect_unix(
    _ssl: c_int,
    context: ContextRef,
    path: *const c_char,
    _options: c_int,
    ext: c_int,
) -> Option<SocketRef> {
    context.lp.check_thread();
    #[cfg(not(unix))]
    {
        let _ = (path, ext);
        none(Error::Unsupported)
    }
    #[cfg(unix)]
    {
        let Ok(ext) = usize::try_from(ext) else {
            return none(Error::Invalid);
        };
        let fd = crate::paths::connect_path(path)?;
        context
            .lp
            .with(|net| crate::kernel(net).ready_made = Some(fd));
        let at = if context.secure {
            Endpoint::tls(NOWHERE, None)
        } else {
            Endpoint::tcp(NOWHERE)
        };
        start(context, at, ext, Flags::CONNECTING)
    }
}

/// Takes over a connection. It is the library's from here on, whatever is returned.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_adopt_accepted_socket(
    _ssl: c_int,
    context: ContextRef,
    fd: Descriptor,
    ext: c_uint,
    ip: *mut c_char,
    ip_length: c_int,
) -> Option<SocketRef> {
    context.lp.check_thread();
    adopt(context, fd, ext as usize, ip, ip_length)
}

/// Closes it: the platform takes nothing over.
#[cfg(windows)]
fn adopt(_: ContextRef, fd: Descriptor, _: usize, _: *mut c_char, _: c_int) -> Option<SocketRef> {
    // SAFETY: the program gives the socket up.
    unsafe { windows_sys::Win32::Networking::WinSock::closesocket(fd) };
    none(Error::Unsupported)
}

#[cfg(unix)]
fn adopt(
    context: ContextRef,
    fd: Descriptor,
    ext: usize,
    ip: *mut c_char,
    ip_length: c_int,
) -> Option<SocketRef> {
    use std::os::fd::{FromRawFd, OwnedFd};

    if fd < 0 {
        return none(Error::Invalid);
    }
    // SAFETY: the program gives the descriptor up.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Connections of our own listeners have both already; others may not. A socket of the file
    // system has no such option.
    let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
    if let Err(errno) = rustix::io::ioctl_fionbio(&fd, true) {
        return none(crate::paths::platform(errno));
    }
    #[cfg(feature = "tls")]
    if context.secure {
        return crate::secure::adopt(context, fd, ext);
    }
    let lp = context.lp;
    lp.with(|net| crate::kernel(net).ready_made = Some(fd));
    let block = start(context, Endpoint::tcp(NOWHERE), ext, Flags::ADOPTED)?;
    let id = block.id();
    if let Some(callback) = context.on_open.get() {
        // SAFETY: the program's callback, with what it expects.
        unsafe { callback(block, 0, ip, ip_length) };
    }
    // It may have been moved by adopting, or closed, so that another one has its slot.
    let moved = id.and_then(|id| lp.socket(id));
    Some(moved.filter(|one| one.id() == id).unwrap_or(block))
}

/// Gives a connection up that has not opened: no `on_close` follows.
pub(crate) fn close_connecting(block: SocketRef) {
    if block.any(Flags::CLOSED.with(Flags::LISTEN)) {
        return;
    }
    let lp = block.lp();
    lp.check_thread();
    let Some(id) = block.id() else {
        return;
    };
    lp.detach(block);
    lp.with(|net| net.close(id));
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_close_connecting(
    _ssl: c_int,
    block: SocketRef,
) -> SocketRef {
    close_connecting(block);
    block
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_is_established(_ssl: c_int, block: SocketRef) -> c_int {
    c_int::from(!block.any(Flags::CONNECTING.with(Flags::LISTEN)))
}
