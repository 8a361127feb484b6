//! Windows Sockets: one owned socket, and its calls.
#![expect(unsafe_code, reason = "calls of the system that take pointers")]

use core::ffi::c_void;
use core::num::NonZeroUsize;
use core::ptr;

use usockets::{Duration, Endpoint, Error, Keepalive, Security, SocketOption};
use windows_sys::Win32::Networking::WinSock::{
    AF_INET, AF_INET6, FIONBIO, INVALID_SOCKET, IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, LINGER,
    MSG_PEEK, SD_SEND, SEND_RECV_FLAGS, SIO_BASE_HANDLE, SIO_KEEPALIVE_VALS, SO_ERROR,
    SO_EXCLUSIVEADDRUSE, SO_KEEPALIVE, SO_LINGER, SO_RCVBUF, SO_SNDBUF, SOCK_STREAM, SOCKET,
    SOL_SOCKET, TCP_KEEPCNT, TCP_NODELAY, WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED, WSABUF,
    WSADATA, WSAEINPROGRESS, WSAEWOULDBLOCK, WSAIoctl, WSASend, WSASocketW, WSAStartup, accept,
    bind, closesocket, connect, getpeername, getsockname, getsockopt, ioctlsocket, listen, recv,
    send, setsockopt, shutdown, tcp_keepalive,
};

use crate::address::Layout;
use crate::error::{error, last_socket_error};

/// Slices of one vectored write; what is beyond goes with the next.
pub(crate) const PARTS_MAX: usize = 16;
/// Version 2.2 of Windows Sockets.
const VERSION: u16 = 0x0202;

/// Starts Windows Sockets for the process. It is never ended, as sockets may outlive their loop.
pub(crate) fn start() -> Result<(), Error> {
    let mut data = WSADATA::default();
    // SAFETY: the structure outlives the call.
    match unsafe { WSAStartup(VERSION, &raw mut data) } {
        0 => Ok(()),
        code => Err(error(code)),
    }
}

/// A socket that never blocks, closed when dropped.
#[derive(Debug)]
pub(crate) struct Owned(NonZeroUsize);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: it is open and ours.
        unsafe { closesocket(self.0.get()) };
    }
}

impl Owned {
    fn new(raw: SOCKET) -> Result<Self, Error> {
        if raw == INVALID_SOCKET {
            return Err(error(last_socket_error()));
        }
        // No handle is 0.
        NonZeroUsize::new(raw).map(Self).ok_or(Error::Invalid)
    }

    pub(crate) const fn raw(&self) -> SOCKET {
        self.0.get()
    }

    /// Makes a socket for `endpoint` with the options that a listener and a connection share.
    pub(crate) fn stream(endpoint: &Endpoint<'_>) -> Result<Self, Error> {
        let Security::Plain = endpoint.security else {
            return Err(Error::Unsupported);
        };
        let family = if endpoint.addr.is_ipv6() {
            AF_INET6
        } else {
            AF_INET
        };
        let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
        // SAFETY: no protocol is described by a structure.
        let raw = unsafe {
            WSASocketW(
                i32::from(family),
                SOCK_STREAM,
                IPPROTO_TCP,
                ptr::null(),
                0,
                flags,
            )
        };
        let socket = Self::new(raw)?;
        socket.set_non_blocking()?;
        socket.set_options(endpoint)?;
        Ok(socket)
    }

    /// Sets what differs from the system's defaults, and nothing else.
    fn set_options(&self, endpoint: &Endpoint<'_>) -> Result<(), Error> {
        if endpoint.nodelay {
            self.set(IPPROTO_TCP, TCP_NODELAY, 1_i32)?;
        }
        if let Some(bytes) = endpoint.recv_buffer {
            self.set(SOL_SOCKET, SO_RCVBUF, saturate(bytes))?;
        }
        if let Some(bytes) = endpoint.send_buffer {
            self.set(SOL_SOCKET, SO_SNDBUF, saturate(bytes))?;
        }
        if let Some(idle) = endpoint.keepalive {
            self.set_keepalive(Keepalive {
                idle,
                interval: idle,
                count: 0,
            })?;
        }
        Ok(())
    }

    /// Changes an option of an open connection.
    pub(crate) fn set_option(&self, option: SocketOption) -> Result<(), Error> {
        match option {
            SocketOption::NoDelay(on) => self.set(IPPROTO_TCP, TCP_NODELAY, i32::from(on)),
            SocketOption::Keepalive(None) => self.set(SOL_SOCKET, SO_KEEPALIVE, 0_i32),
            SocketOption::Keepalive(Some(keepalive)) => self.set_keepalive(keepalive),
            SocketOption::RecvBuffer(bytes) => self.set(SOL_SOCKET, SO_RCVBUF, saturate(bytes)),
            SocketOption::SendBuffer(bytes) => self.set(SOL_SOCKET, SO_SNDBUF, saturate(bytes)),
            _ => Err(Error::Unsupported),
        }
    }

    /// Probes an idle peer as often as is wanted.
    fn set_keepalive(&self, keepalive: Keepalive) -> Result<(), Error> {
        if keepalive.count != 0 {
            // First, as Windows has it only since version 1703.
            self.set(IPPROTO_TCP, TCP_KEEPCNT, i32::from(keepalive.count))?;
        }
        let mut values = tcp_keepalive {
            onoff: 1,
            keepalivetime: whole_millis(keepalive.idle),
            keepaliveinterval: whole_millis(keepalive.interval),
        };
        self.control(SIO_KEEPALIVE_VALS, Some(&mut values), None::<&mut u32>)
    }

    /// Keeps every other socket of the machine from the address, as other systems do by default.
    pub(crate) fn set_exclusive(&self) -> Result<(), Error> {
        self.set(SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1_i32)
    }

    pub(crate) fn set_v6_only(&self, on: bool) -> Result<(), Error> {
        self.set(IPPROTO_IPV6, IPV6_V6ONLY, i32::from(on))
    }

    /// Has closing reset the connection.
    pub(crate) fn set_no_linger(&self) -> Result<(), Error> {
        let value = LINGER {
            l_onoff: 1,
            l_linger: 0,
        };
        self.set(SOL_SOCKET, SO_LINGER, value)
    }

    pub(crate) fn bind(&self, address: &Layout) -> Result<(), Error> {
        // SAFETY: the address outlives the call.
        let result = unsafe { bind(self.raw(), address.as_ptr().cast(), address.len()) };
        check(result).map(drop).map_err(error)
    }

    pub(crate) fn listen(&self, backlog: u16) -> Result<(), Error> {
        // SAFETY: the socket is open.
        let result = unsafe { listen(self.raw(), i32::from(backlog)) };
        check(result).map(drop).map_err(error)
    }

    /// Starts connecting.
    pub(crate) fn connect(&self, address: &Layout) -> Result<(), Error> {
        // SAFETY: the address outlives the call.
        let result = unsafe { connect(self.raw(), address.as_ptr().cast(), address.len()) };
        match check(result) {
            Ok(_) | Err(WSAEWOULDBLOCK | WSAEINPROGRESS) => Ok(()),
            Err(code) => Err(error(code)),
        }
    }

    /// Takes a waiting connection; `None` when none waits.
    pub(crate) fn accept(&self) -> Result<Option<(Self, Layout)>, Error> {
        let mut layout = Layout::EMPTY;
        let mut len = layout.len();
        // SAFETY: there is room for `len` bytes at the address, which outlives the call.
        let raw = unsafe { accept(self.raw(), layout.as_mut_ptr().cast(), &raw mut len) };
        if raw == INVALID_SOCKET {
            return match last_socket_error() {
                WSAEWOULDBLOCK => Ok(None),
                code => Err(error(code)),
            };
        }
        let socket = Self::new(raw)?;
        socket.set_non_blocking()?;
        Ok(Some((socket, layout)))
    }

    /// Receives into `buffer`; `None` when nothing is there.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        self.recv_with(buffer, 0)
    }

    /// Receives without taking anything away.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        self.recv_with(buffer, MSG_PEEK)
    }

    fn recv_with(&self, buffer: &mut [u8], flags: SEND_RECV_FLAGS) -> Result<Option<usize>, Error> {
        let len = saturate(buffer.len());
        // SAFETY: there is room for `len` bytes in the buffer.
        let result = unsafe { recv(self.raw(), buffer.as_mut_ptr(), len, flags) };
        would_block(result)
    }

    /// Takes bytes for sending; `None` when there is no room.
    pub(crate) fn send(&self, data: &[u8]) -> Result<Option<usize>, Error> {
        let len = saturate(data.len());
        // SAFETY: there are `len` bytes in the slice.
        let result = unsafe { send(self.raw(), data.as_ptr(), len, 0) };
        would_block(result)
    }

    /// Takes the bytes of up to [`PARTS_MAX`] slices; `None` when there is no room.
    pub(crate) fn send_vectored(&self, parts: &[&[u8]]) -> Result<Option<usize>, Error> {
        const EMPTY: WSABUF = WSABUF {
            len: 0,
            buf: ptr::null_mut(),
        };
        let mut buffers = [EMPTY; PARTS_MAX];
        let mut count = 0_u32;
        for (buffer, part) in buffers.iter_mut().zip(parts) {
            buffer.len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            buffer.buf = part.as_ptr().cast_mut();
            count = count.saturating_add(1);
        }
        let mut sent = 0;
        // SAFETY: the first `count` buffers name slices that outlive the call and are only read;
        // without an `OVERLAPPED` it is over when it returns.
        let result = unsafe {
            WSASend(
                self.raw(),
                buffers.as_ptr(),
                count,
                &raw mut sent,
                0,
                ptr::null_mut(),
                None,
            )
        };
        Ok(would_block(result)?.map(|_| usize::try_from(sent).unwrap_or_default()))
    }

    /// Ends our direction; the number of the error if it fails.
    pub(crate) fn shutdown(&self) -> Result<(), i32> {
        // SAFETY: the socket is open.
        check(unsafe { shutdown(self.raw(), SD_SEND) }).map(drop)
    }

    /// Takes the error that waits on the socket, if any.
    pub(crate) fn take_error(&self) -> Result<Option<Error>, Error> {
        let mut code = 0_i32;
        let mut len = length_of::<i32>();
        // SAFETY: there is room for `len` bytes at `code`.
        let result = unsafe {
            getsockopt(
                self.raw(),
                SOL_SOCKET,
                SO_ERROR,
                (&raw mut code).cast(),
                &raw mut len,
            )
        };
        check(result).map_err(error)?;
        Ok((code != 0).then(|| error(code)))
    }

    pub(crate) fn local_addr(&self) -> Result<Layout, Error> {
        let mut layout = Layout::EMPTY;
        let mut len = layout.len();
        // SAFETY: there is room for `len` bytes at the address.
        let result = unsafe { getsockname(self.raw(), layout.as_mut_ptr().cast(), &raw mut len) };
        check(result).map(|_| layout).map_err(error)
    }

    pub(crate) fn peer_addr(&self) -> Result<Layout, Error> {
        let mut layout = Layout::EMPTY;
        let mut len = layout.len();
        // SAFETY: there is room for `len` bytes at the address.
        let result = unsafe { getpeername(self.raw(), layout.as_mut_ptr().cast(), &raw mut len) };
        check(result).map(|_| layout).map_err(error)
    }

    /// Returns what the driver knows the socket by, below all that may be layered on it.
    pub(crate) fn base(&self) -> Result<SOCKET, Error> {
        let mut base = INVALID_SOCKET;
        self.control(SIO_BASE_HANDLE, None::<&mut u32>, Some(&mut base))?;
        Ok(base)
    }

    fn set_non_blocking(&self) -> Result<(), Error> {
        let mut on = 1;
        // SAFETY: the argument outlives the call.
        let result = unsafe { ioctlsocket(self.raw(), FIONBIO, &raw mut on) };
        check(result).map(drop).map_err(error)
    }

    fn set<T>(&self, level: i32, name: i32, value: T) -> Result<(), Error> {
        let bytes = (&raw const value).cast();
        // SAFETY: there are as many bytes as are said at the value, which outlives the call.
        let result = unsafe { setsockopt(self.raw(), level, name, bytes, length_of::<T>()) };
        check(result).map(drop).map_err(error)
    }

    fn control<I, O>(
        &self,
        code: u32,
        input: Option<&mut I>,
        output: Option<&mut O>,
    ) -> Result<(), Error> {
        let (input, input_len) = argument(input);
        let (output, output_len) = argument(output);
        let mut written = 0;
        // SAFETY: both arguments have the lengths that are said, and outlive the call, which is
        // over when it returns, as no `OVERLAPPED` is named.
        let result = unsafe {
            WSAIoctl(
                self.raw(),
                code,
                input.cast_const(),
                input_len,
                output,
                output_len,
                &raw mut written,
                ptr::null_mut(),
                None,
            )
        };
        check(result).map(drop).map_err(error)
    }
}

/// Returns where an argument is, and its length.
fn argument<T>(argument: Option<&mut T>) -> (*mut c_void, u32) {
    match argument {
        Some(value) => (
            ptr::from_mut(value).cast(),
            u32::try_from(size_of::<T>()).unwrap_or_default(),
        ),
        None => (ptr::null_mut(), 0),
    }
}

fn length_of<T>() -> i32 {
    saturate(size_of::<T>())
}

/// Returns a length in the calls' form; what is beyond 2 GiB goes with the next call.
fn saturate(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

/// Returns a time in whole milliseconds, at least one, rounded up.
fn whole_millis(time: Duration) -> u32 {
    let millis = time.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).unwrap_or(u32::MAX).max(1)
}

fn check(result: i32) -> Result<i32, i32> {
    if result < 0 {
        return Err(last_socket_error());
    }
    Ok(result)
}

/// Returns how many bytes a call moved; `None` if it only has to wait.
fn would_block(result: i32) -> Result<Option<usize>, Error> {
    match check(result) {
        Ok(len) => Ok(Some(usize::try_from(len).unwrap_or_default())),
        Err(WSAEWOULDBLOCK) => Ok(None),
        Err(code) => Err(error(code)),
    }
}
