//! Datagram sockets (`us_udp_*`), and the buffers that they receive into and send from.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_ushort, c_void};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;
use std::slice;

use usockets::{Address, Arrival, Departure, Ecn};

use crate::block::{self, Reservation};
use crate::calls::ip_bytes;
use crate::context;
use crate::context::text;
use crate::handles::{ContextRef, Flags, LoopRef, Ref, SocketRef, us_socket_t};
use crate::listen::{none, resolve, set_errno};
use crate::sockaddr::{Storage, address, storage};
use crate::socket;

/// `LIBUS_UDP_MAX_NUM`: datagrams of a buffer.
const PACKETS: usize = 1024;
/// Bytes for each: at least the longest datagram, 65,527 bytes over IPv6, and less than what the
/// platform takes for leave to put runs together.
const PART: usize = 65_528;

pub type UdpRef = Ref<us_udp_socket_t>;
pub type BufferRef = Ref<us_udp_packet_buffer_t>;
type OnDatagrams = Option<unsafe extern "C-unwind" fn(UdpRef, BufferRef, c_int)>;
type OnDrain = Option<unsafe extern "C-unwind" fn(UdpRef)>;

/// A datagram socket. It has a context of its own, without callbacks, so that it may be seen as a
/// socket and as a poll.
#[repr(C, align(16))]
pub struct us_udp_socket_t {
    socket: us_socket_t,
    buffer: BufferRef,
    owns_buffer: bool,
    port: c_int,
    on_data: OnDatagrams,
    on_drain: OnDrain,
    user: *mut c_void,
}

/// Datagrams that were received, or are to be sent.
#[repr(C, align(16))]
pub struct us_udp_packet_buffer_t {
    memory: Reservation,
    packets: RefCell<Packets>,
}

struct Packets {
    arrivals: Vec<Arrival>,
    departures: Vec<Departure>,
    peers: Vec<Cell<Storage>>,
}

impl Packets {
    fn new() -> Option<Self> {
        let mut packets = Self {
            arrivals: Vec::new(),
            departures: Vec::new(),
            peers: Vec::new(),
        };
        let arrivals = packets.arrivals.try_reserve_exact(PACKETS);
        let departures = packets.departures.try_reserve_exact(PACKETS);
        let peers = packets.peers.try_reserve_exact(PACKETS);
        if arrivals.and(departures).and(peers).is_err() {
            return none(usockets::Error::Exhausted);
        }
        packets.arrivals.resize(PACKETS, Arrival::default());
        packets.departures.resize(PACKETS, Departure::default());
        // SAFETY: all zero bytes are an address of no family.
        let nobody = || Cell::new(unsafe { mem::zeroed() });
        packets.peers.resize_with(PACKETS, nobody);
        Some(packets)
    }
}

impl Ref<us_udp_packet_buffer_t> {
    fn make() -> Option<Self> {
        Self::allocate(
            us_udp_packet_buffer_t {
                memory: Reservation::new(PACKETS * PART)?,
                packets: RefCell::new(Packets::new()?),
            },
            0,
        )
    }

    /// # Safety
    /// Nobody uses it afterwards.
    unsafe fn free(self) {
        // SAFETY: the caller's promise.
        unsafe {
            ptr::drop_in_place(self.as_ptr());
            block::free(self.block());
        }
    }

    /// Returns where a datagram begins; the first, if there is no such.
    fn start(&self, index: c_int) -> *mut u8 {
        let index = usize::try_from(index).ok().filter(|index| *index < PACKETS);
        let first = self.memory.start::<u8>().as_ptr();
        first.wrapping_add(index.unwrap_or(0) * PART)
    }

    /// Returns what is known of a datagram that was received.
    fn arrival(&self, index: c_int) -> Option<Arrival> {
        let packets = self.packets.borrow();
        packets.arrivals.get(usize::try_from(index).ok()?).copied()
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_create_udp_packet_buffer() -> Option<BufferRef> {
    BufferRef::make()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_packet_buffer_free(buffer: BufferRef) {
    // SAFETY: the program was told that it is gone.
    unsafe { buffer.free() };
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_packet_buffer_payload(
    buffer: BufferRef,
    index: c_int,
) -> *mut c_char {
    buffer.start(index).cast()
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_packet_buffer_payload_length(
    buffer: BufferRef,
    index: c_int,
) -> c_int {
    let length = buffer.arrival(index).map_or(0, |arrival| arrival.len);
    c_int::try_from(length).unwrap_or(c_int::MAX)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_packet_buffer_local_ip(
    buffer: BufferRef,
    index: c_int,
    ip: *mut c_char,
) -> c_int {
    let destination = buffer
        .arrival(index)
        .and_then(|arrival| arrival.destination);
    let Some(destination) = destination else {
        return 0;
    };
    let mut bytes = [0; 16];
    let count = ip_bytes(destination.to_canonical(), &mut bytes);
    let copied = usize::try_from(count).unwrap_or(0);
    // SAFETY: the program's memory, with room for an address.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), ip.cast::<u8>(), copied) };
    count
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_packet_buffer_peer(
    buffer: BufferRef,
    index: c_int,
) -> *mut c_char {
    let packets = buffer.packets.borrow();
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let peer = packets.peers.get(index);
    // The memory of the vector, which never grows, stays where it is.
    peer.map_or(ptr::null_mut(), |peer| peer.as_ptr().cast())
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_packet_buffer_ecn(buffer: BufferRef, index: c_int) -> c_int {
    match buffer.arrival(index).map(|arrival| arrival.ecn) {
        None | Some(Ecn::NotEct) => 0,
        Some(Ecn::Ect1) => 1,
        Some(Ecn::Ect0) => 2,
        Some(Ecn::CongestionExperienced) => 3,
    }
}

/// Puts a datagram into a buffer; it is left out when it is sent if it does not fit.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_buffer_set_packet_payload(
    buffer: BufferRef,
    index: c_int,
    offset: c_int,
    payload: *const c_void,
    length: c_int,
    peer: *const c_void,
) {
    let (Ok(place), Ok(offset), Ok(length)) = (
        usize::try_from(index),
        usize::try_from(offset),
        usize::try_from(length),
    ) else {
        return;
    };
    let mut packets = buffer.packets.borrow_mut();
    let Some(departure) = packets.departures.get_mut(place) else {
        return;
    };
    // SAFETY: the program's memory, which stays until the call returns.
    let to = unsafe { address(peer) };
    let end = offset.checked_add(length).filter(|end| *end <= PART);
    let (Some(to), Some(end)) = (to, end) else {
        // Nothing can be sent from there.
        *departure = Departure::default();
        return;
    };
    *departure = Departure {
        start: place * PART,
        len: end,
        to: Address::from(to),
        ..Departure::default()
    };
    // SAFETY: inside the buffer's memory, to which nobody else refers.
    unsafe {
        let at = buffer.start(index).wrapping_add(offset);
        ptr::copy(payload.cast::<u8>(), at, length);
    }
}

/// Frees what a datagram socket has beside its block.
///
/// # Safety
/// The socket has closed, and its block is freed next.
pub(crate) unsafe fn free_parts(socket: SocketRef) {
    let context = socket.context.get();
    let udp: UdpRef = socket.cast();
    // SAFETY: nobody but the socket has them.
    unsafe {
        block::free(context.block());
        if udp.owns_buffer {
            udp.buffer.free();
        }
    }
}

/// Makes the program's side of a datagram socket, and binds it to the first address that can be.
fn make(
    context: ContextRef,
    addrs: &[SocketAddr],
    made: impl FnOnce(us_socket_t, c_int) -> Option<UdpRef>,
) -> Option<UdpRef> {
    let lp = context.lp;
    let mut reason = usockets::Error::AddressUnavailable;
    for addr in addrs {
        let bound = lp.reach.with(|net| net.bind(Address::from(*addr), ()));
        let id = match bound.unwrap_or(Err(usockets::Error::Invalid)) {
            Ok(id) => id,
            Err(error) => {
                reason = error;
                continue;
            }
        };
        let local = lp.with(|net| net.local_addr(id)).and_then(|addr| addr.ip());
        let port = local.map_or(-1, |addr| addr.port().into());
        let Some(udp) = made(us_socket_t::new(context, Some(id), Flags::DATAGRAMS), port) else {
            lp.with(|net| net.close(id));
            reason = usockets::Error::Exhausted;
            break;
        };
        lp.place(id, udp.cast());
        return Some(udp);
    }
    none(reason)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_create_udp_socket(
    lp: LoopRef,
    buffer: Option<BufferRef>,
    on_data: OnDatagrams,
    on_drain: OnDrain,
    host: *const c_char,
    port: c_ushort,
    user: *mut c_void,
) -> Option<UdpRef> {
    let mut addrs = if host.is_null() {
        vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        ]
    } else {
        text(host)
            .map(|host| resolve(host, port))
            .unwrap_or_default()
    };
    addrs.sort_by_key(SocketAddr::is_ipv4);
    let context = context::create(lp, false, None, 0)?;
    let owns_buffer = buffer.is_none();
    let Some(buffer) = buffer.or_else(BufferRef::make) else {
        // SAFETY: nobody has seen it.
        unsafe { block::free(context.block()) };
        return None;
    };
    let udp = make(context, &addrs, |socket, port| {
        let value = us_udp_socket_t {
            socket,
            buffer,
            owns_buffer,
            port,
            on_data,
            on_drain,
            user,
        };
        UdpRef::allocate(value, 0)
    });
    if udp.is_none() {
        // SAFETY: nobody has seen them, but for a buffer of the program's.
        unsafe {
            block::free(context.block());
            if owns_buffer {
                buffer.free();
            }
        }
    }
    udp
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_socket_close(udp: UdpRef) {
    socket::close(udp.cast(), 0, ptr::null_mut());
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_socket_user(udp: UdpRef) -> *mut c_void {
    udp.user
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_socket_bound_port(udp: UdpRef) -> c_int {
    udp.port
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_socket_receive(udp: UdpRef, buffer: BufferRef) -> c_int {
    let Some(id) = udp.socket.id().filter(|_| !udp.socket.any(Flags::CLOSED)) else {
        return 0;
    };
    let Ok(mut packets) = buffer.packets.try_borrow_mut() else {
        return 0;
    };
    let packets = &mut *packets;
    // SAFETY: the buffer's memory, which the program does not refer to while this runs.
    let memory =
        unsafe { slice::from_raw_parts_mut(buffer.memory.start::<u8>().as_ptr(), PACKETS * PART) };
    let arrivals = packets.arrivals.as_mut_slice();
    let received = udp
        .socket
        .lp()
        .with(|net| net.recv_batch(id, memory, arrivals).ok());
    let count = received.unwrap_or(0);
    for (peer, arrival) in packets.peers.iter().zip(&packets.arrivals).take(count) {
        if let Some(addr) = arrival.peer.ip() {
            peer.set(storage(addr));
        }
    }
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_udp_socket_send(
    udp: UdpRef,
    buffer: BufferRef,
    count: c_int,
) -> c_int {
    let Some(id) = udp.socket.id().filter(|_| !udp.socket.any(Flags::CLOSED)) else {
        return 0;
    };
    let packets = buffer.packets.borrow();
    let count = usize::try_from(count).unwrap_or(0).min(PACKETS);
    let departures = packets.departures.get(..count).unwrap_or_default();
    // SAFETY: the buffer's memory, which is not written to while this runs.
    let memory =
        unsafe { slice::from_raw_parts(buffer.memory.start::<u8>().as_ptr(), PACKETS * PART) };
    let sent = udp
        .socket
        .lp()
        .with(|net| Some(net.send_batch(id, memory, departures)));
    let Some(sent) = sent else {
        return 0;
    };
    match sent.error {
        Some(error) if sent.count == 0 => {
            set_errno(error);
            -1
        }
        _ => c_int::try_from(sent.count).unwrap_or(c_int::MAX),
    }
}

/// Receives, and calls the program with what came.
pub(crate) fn readable(socket: SocketRef) {
    let udp: UdpRef = socket.cast();
    // SAFETY: the library's own, both.
    let count = unsafe { us_udp_socket_receive(udp, udp.buffer) };
    if count > 0
        && let Some(callback) = udp.on_data
    {
        // SAFETY: the program's callback, with what it expects.
        unsafe { callback(udp, udp.buffer, count) };
    }
}

/// Tells the program that there is room again.
pub(crate) fn drained(socket: SocketRef) {
    let udp: UdpRef = socket.cast();
    if let Some(callback) = udp.on_drain {
        // SAFETY: the program's callback, with what it expects.
        unsafe { callback(udp) };
    }
}
