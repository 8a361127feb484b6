//! Listening.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use usockets::{Endpoint, Error, ListenerId};

use crate::context::text;
use crate::handles::us_socket_t;
use crate::handles::{ContextRef, Flags, ListenRef, LoopRef, Origin, us_listen_socket_t};
use crate::poll;

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: u16 = 512;

/// `LIBUS_LISTEN_EXCLUSIVE_PORT`.
const EXCLUSIVE: c_int = 1;

/// Whether listeners can share a port. On Windows none can.
const SHARES: bool = cfg!(unix);

/// Leaves the reason of a failure where C programs look for it.
pub(crate) fn set_errno(error: Error) {
    let number = match error {
        Error::AddressInUse => libc::EADDRINUSE,
        Error::AddressUnavailable => libc::EADDRNOTAVAIL,
        Error::Denied => libc::EACCES,
        Error::Full | Error::Exhausted => libc::ENOMEM,
        Error::Unreachable => libc::ENETUNREACH,
        Error::Refused => libc::ECONNREFUSED,
        Error::Reset => libc::ECONNRESET,
        Error::TimedOut => libc::ETIMEDOUT,
        Error::Unsupported => libc::EOPNOTSUPP,
        Error::Platform(number) => number.into(),
        _ => libc::EINVAL,
    };
    #[cfg(target_os = "linux")]
    use libc::__errno_location as place;
    #[cfg(all(unix, not(target_os = "linux")))]
    use libc::__error as place;
    #[cfg(windows)]
    unsafe extern "C" {
        #[link_name = "_errno"]
        fn place() -> *mut c_int;
    }
    // SAFETY: the running thread's own number.
    unsafe { *place() = number };
}

/// Returns nothing, and leaves why where C programs look for it.
#[cold]
pub(crate) fn none<T>(error: Error) -> Option<T> {
    set_errno(error);
    None
}

/// Returns the number of an origin, a new one if there is none like it.
pub(crate) fn origin(lp: LoopRef, context: ContextRef, ext: usize, local: bool) -> Option<usize> {
    let mut origins = lp.origins.borrow_mut();
    let wanted = Some(context);
    let mut all = origins.iter();
    let same = |one: &Origin| one.context == wanted && one.ext == ext && one.local == local;
    if let Some(number) = all.position(same) {
        return Some(number);
    }
    let origin = Origin {
        context: wanted,
        ext,
        local,
    };
    if !cfg!(feature = "tls")
        && let Some(number) = origins.iter().position(|one| one.context.is_none())
    {
        // With TLS the place stays: what was accepted for it may still shake hands.
        if let Some(place) = origins.get_mut(number) {
            *place = origin;
        }
        return Some(number);
    }
    if origins.try_reserve(1).is_err() {
        return none(Error::Exhausted);
    }
    origins.push(origin);
    Some(origins.len() - 1)
}

fn listen_at(context: ContextRef, addr: SocketAddr, options: c_int) -> Result<ListenerId, Error> {
    #[cfg(feature = "tls")]
    crate::secure::choose(context);
    let at = if context.secure {
        Endpoint::tls(addr, None)
    } else {
        Endpoint::tcp(addr)
    };
    let at = at
        .backlog(BACKLOG)
        .reuse_port(SHARES && options & EXCLUSIVE == 0);
    context
        .lp
        .reach
        .with(|net| net.listen(at, ()))
        .unwrap_or(Err(Error::Invalid))
}

/// Makes the program's side of a listener.
fn made(context: ContextRef, listener: ListenerId, origin: usize) -> Option<ListenRef> {
    let lp = context.lp;
    let block = us_listen_socket_t {
        socket: us_socket_t::new(context, None, Flags::LISTEN),
        listener: Cell::new(Some(listener)),
        fd: Cell::new(poll::descriptor_of(lp, listener.into())),
        origin,
    };
    let has_room = lp.listeners.borrow_mut().try_reserve(1).is_ok();
    let Some(block) = ListenRef::allocate(block, 0).filter(|_| has_room) else {
        lp.with(|net| net.stop_listening(listener));
        return none(Error::Exhausted);
    };
    lp.listeners.borrow_mut().push(block);
    lp.count_up();
    Some(block)
}

/// Finds the addresses of a host, without asking anyone if it is an address. This may wait.
pub(crate) fn resolve(host: &str, port: u16) -> Vec<SocketAddr> {
    (host, port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_listen(
    _ssl: c_int,
    context: ContextRef,
    host: *const c_char,
    port: c_int,
    options: c_int,
    ext: c_int,
) -> Option<ListenRef> {
    context.lp.check_thread();
    let (Ok(port), Ok(ext)) = (u16::try_from(port), usize::try_from(ext)) else {
        return none(Error::Invalid);
    };
    let mut addrs = if host.is_null() {
        vec![
            (Ipv6Addr::UNSPECIFIED, port).into(),
            (Ipv4Addr::UNSPECIFIED, port).into(),
        ]
    } else {
        text(host)
            .map(|host| resolve(host, port))
            .unwrap_or_default()
    };
    addrs.sort_by_key(SocketAddr::is_ipv4);
    let origin = origin(context.lp, context, ext, false)?;
    let mut reason = Error::AddressUnavailable;
    for addr in addrs {
        match listen_at(context, addr, options) {
            Ok(listener) => return made(context, listener, origin),
            // Another address would only hide what is wrong.
            Err(error @ (Error::AddressInUse | Error::Denied)) => {
                reason = error;
                break;
            }
            Err(error) => reason = error,
        }
    }
    none(reason)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_listen_unix(
    _ssl: c_int,
    context: ContextRef,
    path: *const c_char,
    _options: c_int,
    ext: c_int,
) -> Option<ListenRef> {
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
        let fd = crate::paths::bind_path(path)?;
        let origin = origin(context.lp, context, ext, true)?;
        context
            .lp
            .with(|net| crate::kernel(net).ready_made = Some(fd));
        match listen_at(context, crate::kernel::NOWHERE, EXCLUSIVE) {
            Ok(listener) => made(context, listener, origin),
            Err(error) => {
                context.lp.with(|net| crate::kernel(net).ready_made = None);
                none(error)
            }
        }
    }
}

/// Stops listening.
pub(crate) fn close(block: ListenRef) {
    let lp = block.socket.lp();
    let Some(listener) = block.listener.take() else {
        return;
    };
    lp.with(|net| net.stop_listening(listener));
    lp.listeners.borrow_mut().retain(|one| *one != block);
    lp.detach(block.cast());
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_listen_socket_close(_ssl: c_int, block: ListenRef) {
    close(block);
}
