//! Connecting, and connections that were made elsewhere.

use std::ffi::{c_char, c_int, c_uint};

use usockets::{Duration, Endpoint, Error};

use crate::context::text;
use crate::handles::{ContextRef, Descriptor, Flags, SocketRef};
#[cfg(unix)]
use crate::kernel::NOWHERE;
use crate::listen::{none, resolve, set_errno};

/// Starts a connection, or takes the descriptor that is ready.
fn start(context: ContextRef, at: Endpoint<'_>, ext: usize, flags: Flags) -> Option<SocketRef> {
    let lp = context.lp;
    #[cfg(feature = "tls")]
    crate::secure::choose(context);
    let id = lp.reach.with(|net| {
        let id = net.connect(at, ())?;
        // The program sets its own time, or none.
        net.set_timeout(id, Duration::ZERO);
        Ok(id)
    });
    let id = match id.unwrap_or(Err(Error::Invalid)) {
        Ok(id) => id,
        Err(error) => {
            #[cfg(unix)]
            lp.with(|net| crate::kernel(net).ready_made = None);
            return none(error);
        }
    };
    let block = lp.make_socket(context, id, ext, flags);
    if block.is_none() {
        lp.side(id).socket.set(std::ptr::null_mut());
        lp.with(|net| net.abort(id, 0));
        set_errno(Error::Exhausted);
    }
    block
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
    context.lp.check_thread();
    let (Some(host), Ok(port), Ok(ext)) = (text(host), u16::try_from(port), usize::try_from(ext))
    else {
        return none(Error::Invalid);
    };
    let Some(addr) = resolve(host, port).first().copied() else {
        return none(Error::Unreachable);
    };
    let mut at = if context.secure {
        Endpoint::tls(addr, Some(host))
    } else {
        Endpoint::tcp(addr)
    };
    if let Some(source) = text(source) {
        let mut sources = resolve(source, 0).into_iter();
        let Some(source) = sources.find(|one| one.is_ipv4() == addr.is_ipv4()) else {
            return none(Error::AddressUnavailable);
        };
        at = at.source(source);
    }
    start(context, at, ext, Flags::CONNECTING)
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
