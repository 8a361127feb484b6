//! Sockets.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::net::SocketAddr;
use std::ptr;
use std::slice;

use usockets::{Closed, Duration, Error, Instant, SocketId};

use crate::block;
use crate::calls::ip_bytes;
use crate::handles::{
    ARMED, ContextRef, Flags, LoopRef, Side, SocketRef, TICK, us_listen_socket_t, us_socket_t,
};
use crate::poll::descriptor;

/// Returns the header's number of the reason why a socket is gone.
pub(crate) fn reason(closed: Closed) -> c_int {
    match closed {
        Closed::Local(_) => 0,
        Closed::Finished => 1,
        Closed::TimedOut | Closed::Failed(Error::TimedOut) => 2,
        Closed::Failed(Error::Reset) => 3,
        Closed::Failed(Error::Refused) => 4,
        Closed::Failed(Error::Unreachable) => 5,
        Closed::Failed(Error::Truncated) => 6,
        Closed::Failed(Error::AlertReceived(_) | Error::AlertSent(_) | Error::Protocol(_)) => 7,
        Closed::Failed(Error::Exhausted | Error::Full) | Closed::Evicted => 8,
        _ => 9,
    }
}

/// Returns the reason why the socket of the running `on_close` or `on_connect_error` is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_close_reason(_ssl: c_int, block: SocketRef) -> c_int {
    block.lp().reason.get()
}

/// Returns the ticks of a time, rounded down.
#[inline]
fn tick(micros: u64) -> u32 {
    (micros >> TICK & u64::from(!ARMED)) as u32
}

/// Whether a tick is not after another. Ticks go round, so they are within 200 days.
const fn is_by(one: u32, other: u32) -> bool {
    other.wrapping_sub(one) & (ARMED >> 1) == 0
}

/// Most seconds of a timeout: 200 days, within which ticks can be compared.
const SECONDS_MAX: u64 = 200 * 86_400;

/// Hands the earlier of a socket's two timeouts to the core.
///
/// What is disarmed is forgotten: the core may be armed for later than that from here on.
#[cold]
#[inline(never)]
pub(crate) fn arm(lp: LoopRef, id: SocketId) {
    let side = lp.side(id);
    for one in [&side.short, &side.long] {
        if one.get() & ARMED == 0 {
            one.set(0);
        }
    }
    let first = match (side.short.get(), side.long.get()) {
        (0, 0) => return lp.with(|net| net.set_timeout(id, Duration::ZERO)),
        (0, one) | (one, 0) => one,
        (one, other) if is_by(one, other) => one,
        (_, other) => other,
    };
    lp.with(|net| {
        let now = net.now();
        let ticks = u64::from(first.wrapping_sub(tick(now.as_micros())) & !ARMED);
        let over = now.as_micros() & ((1 << TICK) - 1);
        let after = if is_by(first, tick(now.as_micros())) {
            1
        } else {
            (ticks << TICK) - over
        };
        net.set_timeout(id, Duration::from_micros(after));
    });
}

/// Disarms a timeout. The core is not told: when its time comes, nothing is due. A program mostly
/// arms again before, which then costs a store.
#[inline]
fn disarm(one: &Cell<u32>) {
    one.set(one.get() & !ARMED);
}

/// Returns true if a timeout is over at `now`.
pub(crate) fn is_due(one: &Cell<u32>, now: Instant) -> bool {
    let due = one.get();
    due & ARMED != 0 && is_by(due, tick(now.as_micros()))
}

/// Takes the timeout of a socket if it is due at `now`.
pub(crate) fn take_due(one: &Cell<u32>, now: Instant) -> bool {
    let is_due = is_due(one, now);
    if is_due {
        one.set(0);
    }
    is_due
}

/// Sets one of the two timeouts, 0 for none. A listener has none.
#[inline(always)]
fn set_timeout(block: SocketRef, seconds: u64, one: impl Fn(&Side) -> &Cell<u32>) {
    if block.any(Flags::CLOSED.with(Flags::LISTEN)) {
        return;
    }
    let lp = block.lp();
    if seconds.wrapping_sub(1) >= SECONDS_MAX {
        return set_unusual(block, seconds, one);
    }
    match lp.now.get() {
        0 => set_by_clock(block, seconds, one),
        now => set_due(block, one(lp.side_at(block.index())), now, seconds),
    }
}

/// Sets a timeout, where `now` is the time of the running iteration, in microseconds.
#[inline(always)]
fn set_due(block: SocketRef, own: &Cell<u32>, now: u64, seconds: u64) {
    // Rounded up to a tick.
    let after = seconds.wrapping_mul(1_000_000).wrapping_add(1 << TICK);
    let due = tick(now.wrapping_add(after)) | ARMED;
    let before = own.replace(due);
    if before == 0 || !is_by(before, due) {
        arm_again(block);
    }
    // Else the core is armed for then or earlier, and asks again.
}

/// Sets the first timeout of an iteration, or one between iterations. Out of line, to keep the
/// others short.
#[inline(never)]
fn set_by_clock(block: SocketRef, seconds: u64, one: impl Fn(&Side) -> &Cell<u32>) {
    let lp = block.lp();
    let now = lp.known_now().or_else(|| {
        let now = lp.inside(|net| net.now());
        now.inspect(|&now| lp.set_now(now))
    });
    let now = now.unwrap_or_else(|| lp.now());
    set_due(
        block,
        one(lp.side_at(block.index())),
        now.as_micros(),
        seconds,
    );
}

/// Disarms a timeout, or sets the longest. Out of line, to keep the others short.
#[inline(never)]
fn set_unusual(block: SocketRef, seconds: u64, one: impl Fn(&Side) -> &Cell<u32>) {
    if seconds > 0 {
        return set_by_clock(block, seconds.min(SECONDS_MAX), one);
    }
    disarm(one(block.lp().side_at(block.index())));
    if block.any(Flags::CONNECTING) {
        // Here the core's time is the time to connect.
        arm_again(block);
    }
}

#[cold]
#[inline(never)]
fn arm_again(block: SocketRef) {
    if let Some(id) = block.id() {
        arm(block.lp(), id);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_timeout(_ssl: c_int, block: SocketRef, seconds: c_uint) {
    set_timeout(block, seconds.into(), |side| &side.short);
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_long_timeout(
    _ssl: c_int,
    block: SocketRef,
    minutes: c_uint,
) {
    set_timeout(block, u64::from(minutes) * 60, |side| &side.long);
}

/// What `us_socket_write` cannot write to, or has more to do for.
const NOT_USUAL: Flags = NOT_WRITABLE.with(Flags::CONNECTING).with(Flags::ADOPTED);

/// What no write has an effect on.
const NOT_WRITABLE: Flags = Flags::CLOSED.with(Flags::SHUT).with(Flags::LISTEN);

/// Whether a write can have an effect.
fn is_writable(block: SocketRef) -> bool {
    !block.any(NOT_WRITABLE)
}

#[inline]
fn bytes<'a>(data: *const c_char, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: the program's memory, which stays until the call returns.
        Ok(length) if length > 0 => unsafe { slice::from_raw_parts(data.cast::<u8>(), length) },
        _ => &[],
    }
}

#[cold]
#[inline(never)]
fn taken(block: SocketRef, count: usize, length: usize) -> c_int {
    if count < length {
        block.set(Flags::SHORT);
    }
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_write(
    _ssl: c_int,
    block: SocketRef,
    data: *const c_char,
    length: c_int,
    more: c_int,
) -> c_int {
    if more == 0
        && length > 0
        && !block.any(NOT_USUAL)
        && let Some(id) = block.id()
    {
        block.lp().check_thread();
        let bytes = bytes(data, length);
        // SAFETY: sending calls nothing of the program's.
        if let Some(count) = unsafe { block.lp().reach.leaf(|net| net.write(id, bytes)) } {
            // If it is less, the core knows that the socket is blocked.
            return count as c_int;
        }
    }
    write_rare(block, data, length, more)
}

/// Writes between iterations, with more to come, or to what is not open yet.
#[cold]
#[inline(never)]
fn write_rare(block: SocketRef, data: *const c_char, length: c_int, more: c_int) -> c_int {
    let (true, Some(id)) = (is_writable(block), block.id()) else {
        return 0;
    };
    let data = bytes(data, length);
    let count = block.lp().with(|net| {
        if more == 0 {
            return net.write(id, data);
        }
        // In parts, which only one of, so that the platform's usual `send` has no look at it.
        crate::kernel(net).more = true;
        let count = net.write_vectored(id, &[data]);
        crate::kernel(net).more = false;
        count
    });
    taken(block, count, data.len())
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_write2(
    _ssl: c_int,
    block: SocketRef,
    header: *const c_char,
    header_length: c_int,
    payload: *const c_char,
    payload_length: c_int,
) -> c_int {
    let (true, Some(id)) = (is_writable(block), block.id()) else {
        return 0;
    };
    let (header, payload) = (bytes(header, header_length), bytes(payload, payload_length));
    let count = block
        .lp()
        .with(|net| net.write_vectored(id, &[header, payload]));
    taken(block, count, header.len() + payload.len())
}

/// Sends what `msg_more` held back.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_flush(_ssl: c_int, block: SocketRef) {
    // Elsewhere nothing was held back.
    #[cfg(not(target_os = "linux"))]
    let _ = block;
    #[cfg(target_os = "linux")]
    if is_writable(block) {
        let off: c_int = 0;
        let length = libc::socklen_t::try_from(size_of::<c_int>()).unwrap_or(0);
        // SAFETY: a plain system call. Without a descriptor it fails.
        unsafe {
            let level = libc::IPPROTO_TCP;
            let off = (&raw const off).cast();
            libc::setsockopt(descriptor(block), level, libc::TCP_CORK, off, length);
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_ext(_ssl: c_int, block: SocketRef) -> *mut c_void {
    block.ext()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context(_ssl: c_int, block: SocketRef) -> ContextRef {
    block.context.get()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_shutdown(_ssl: c_int, block: SocketRef) {
    let not = Flags::CLOSED
        .with(Flags::SHUT)
        .with(Flags::CONNECTING)
        .with(Flags::LISTEN);
    if block.any(not) {
        return;
    }
    block.set(Flags::SHUT);
    if let Some(id) = block.id() {
        block.lp().with(|net| net.finish(id));
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_shutdown_read(_ssl: c_int, block: SocketRef) {
    if block.any(Flags::CLOSED.with(Flags::LISTEN)) {
        return;
    }
    // SAFETY: a plain system call. Without a descriptor it fails.
    #[cfg(unix)]
    unsafe {
        libc::shutdown(descriptor(block), libc::SHUT_RD)
    };
    // SAFETY: as above.
    #[cfg(windows)]
    unsafe {
        use windows_sys::Win32::Networking::WinSock::{SD_RECEIVE, shutdown};
        shutdown(descriptor(block), SD_RECEIVE)
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_is_shut_down(_ssl: c_int, block: SocketRef) -> c_int {
    c_int::from(block.any(Flags::SHUT))
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_is_closed(_ssl: c_int, block: SocketRef) -> c_int {
    c_int::from(block.any(Flags::CLOSED))
}

/// Closes a socket, and calls its `on_close` with these values before it returns.
pub(crate) fn close(block: SocketRef, code: c_int, reason: *mut c_void) -> SocketRef {
    if block.any(Flags::CLOSED.with(Flags::LISTEN)) {
        return block;
    }
    let lp = block.lp();
    lp.check_thread();
    let Some(id) = block.id() else {
        return block;
    };
    lp.detach(block);
    lp.with(|net| net.close(id));
    match block.context.get().on_close.get() {
        // SAFETY: the program's callback, with what it expects.
        Some(callback) => unsafe { callback(block, code, reason) }.unwrap_or(block),
        None => block,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_close(
    _ssl: c_int,
    block: SocketRef,
    code: c_int,
    reason: *mut c_void,
) -> SocketRef {
    let lp = block.lp();
    let _before = Before(lp, lp.reason.replace(0));
    close(block, code, reason)
}

/// The reason of the call that closed another socket, which is told again afterwards, also when
/// the other's `on_close` threw.
struct Before(LoopRef, c_int);

impl Drop for Before {
    fn drop(&mut self) {
        self.0.reason.set(self.1);
    }
}

/// Moves a socket to another context, with room for `ext` bytes of data.
///
/// It stays where it is if its block has that room. Otherwise a new block takes its place, and
/// the old one is inert until the iteration is over.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_context_adopt_socket(
    _ssl: c_int,
    context: ContextRef,
    block: SocketRef,
    ext: c_int,
) -> Option<SocketRef> {
    let (Some(id), Ok(ext)) = (block.id(), usize::try_from(ext)) else {
        return Some(block);
    };
    if block.any(Flags::CLOSED) {
        return Some(block);
    }
    let lp = block.lp();
    lp.check_thread();
    // SAFETY: a block of the library's that lives.
    let room = unsafe { block::room(block.block()) };
    let mut moved = block;
    if ext > room {
        let value = us_socket_t::new(context, Some(id), block.flags());
        moved = SocketRef::allocate(value, ext)?;
        // SAFETY: the old block's data fits into the new one's, which is larger and another.
        unsafe { ptr::copy_nonoverlapping(block.ext().cast::<u8>(), moved.ext().cast(), room) };
        lp.side(id).socket.set(moved.as_ptr());
        crate::connect::moved(block, moved);
        lp.bury(block);
    }
    moved.context.set(context);
    let side = lp.side(id);
    disarm(&side.short);
    disarm(&side.long);
    Some(moved)
}

fn address(block: SocketRef, local: bool) -> Option<SocketAddr> {
    let lp = block.lp();
    if block.any(Flags::LISTEN) {
        let listener = block.cast::<us_listen_socket_t>().listener.get()?;
        lp.with(|net| net.listening_addr(listener).filter(|_| local))
    } else if block.any(Flags::CLOSED) {
        None
    } else {
        let id = block.id()?;
        let addr = lp.with(|net| {
            if local {
                net.local_addr(id)
            } else {
                net.peer_addr(id)
            }
        });
        addr.and_then(|addr| addr.ip())
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_local_port(_ssl: c_int, block: SocketRef) -> c_int {
    address(block, true).map_or(-1, |addr| addr.port().into())
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_remote_port(_ssl: c_int, block: SocketRef) -> c_int {
    address(block, false).map_or(-1, |addr| addr.port().into())
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_remote_address(
    _ssl: c_int,
    block: SocketRef,
    buffer: *mut c_char,
    length: *mut c_int,
) {
    let mut ip = [0; 16];
    let count = address(block, false).map_or(0, |addr| ip_bytes(addr.ip(), &mut ip));
    // SAFETY: the program's memory, with as much room as it says.
    unsafe {
        if count > *length {
            *length = 0;
            return;
        }
        *length = count;
        let count = usize::try_from(count).unwrap_or(0);
        ptr::copy_nonoverlapping(ip.as_ptr(), buffer.cast::<u8>(), count);
    }
}

/// Returns the descriptor as a pointer. There is no `SSL` behind a socket.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_get_native_handle(
    _ssl: c_int,
    block: SocketRef,
) -> *mut c_void {
    #[cfg(unix)]
    let fd = isize::try_from(descriptor(block))
        .unwrap_or(-1)
        .cast_unsigned();
    #[cfg(windows)]
    let fd = descriptor(block);
    ptr::without_provenance_mut(fd)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_socket_server_name_userdata(
    _ssl: c_int,
    block: SocketRef,
) -> *mut c_void {
    #[cfg(feature = "tls")]
    return crate::secure::chosen(block);
    #[cfg(not(feature = "tls"))]
    {
        let _ = block;
        ptr::null_mut()
    }
}
