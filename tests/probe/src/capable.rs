//! Calls that only platforms with more capabilities have: datagrams, and Unix sockets.

use usockets::{
    Address, Arrival, Credentials, DatagramOption, Datagrams, Departure, Ecn, Handler,
    LocalAddress, LocalEndpoint, LocalSockets, LocalType, Net, Socket, SocketId, StalePath,
    WhenFull,
};

use crate::hidden::{bytes, len, word, yes};
use crate::outside::{addr, address};

/// Datagrams of one call.
const BATCH: usize = 3;

/// Makes any call about datagrams on sockets by name.
pub fn datagrams<P: Datagrams>(net: &mut Net<'_, P, u32>, id: SocketId) {
    match word() {
        0 => _ = net.bind(any_address(), word()),
        1 => _ = net.set_peer(id, any_address()),
        2 => {
            let mut memory = [0; 64];
            let room = memory.get_mut(..len()).unwrap_or_default();
            let _ = net.recv_batch(id, room, &mut [Arrival::default(); BATCH]);
        }
        3 => _ = net.send_batch(id, bytes(), &[departure(), departure(), departure()]),
        4 => _ = net.next_datagram_error(id).map(|error| error.path_mtu),
        _ => _ = net.set_datagram_option(id, option()),
    }
}

/// Makes any call about datagrams on the socket that a call is about, which may be none of them.
pub fn own_datagrams<P: Datagrams, H: Handler<P>>(socket: &mut Socket<'_, P, H>) {
    match word() {
        0 => {
            let mut arrivals = [Arrival::default(); BATCH];
            let memory = &mut [0; 16 * BATCH];
            let Ok(count) = socket.recv_batch(memory, &mut arrivals) else {
                return;
            };
            // What an echo does with what a platform told.
            let mut back = [Departure::default(); BATCH];
            for (place, arrival) in back.iter_mut().zip(&arrivals).take(count) {
                *place = Departure {
                    len: arrival.len,
                    segment: arrival.segment,
                    to: arrival.peer,
                    source: arrival.destination,
                    ..departure()
                };
            }
            let back = back.get(..count).unwrap_or_default();
            let sent = socket.send_batch(memory, back);
            let _ = back.get(sent.count..);
        }
        1 => _ = socket.send_batch(bytes(), &[departure()]),
        _ => _ = socket.next_datagram_error(),
    }
}

/// Makes any call about Unix sockets.
pub fn local<P>(net: &mut Net<'_, P, u32>, id: SocketId)
where
    P: LocalSockets<Descriptor = u32> + Datagrams,
{
    let Some(endpoint) = local_endpoint() else {
        return;
    };
    match word() {
        0 => _ = net.listen_local(endpoint, word()),
        1 => _ = net.connect_local(endpoint, word()),
        2 => _ = net.bind_local(endpoint, word()),
        3 => {
            if let Ok(Credentials { process, user, .. }) = net.peer_credentials(id) {
                let _ = process ^ user;
            }
        }
        4 => {
            let descriptors = [&word(), &word()];
            let passed = descriptors.get(..len()).unwrap_or_default();
            let _ = net.write_with_descriptors(id, bytes(), passed);
        }
        5 => {
            let descriptors = [&word(), &word()];
            let passed = descriptors.get(..len()).unwrap_or_default();
            let _ = net.send_with_descriptors(id, bytes(), &departure(), passed);
        }
        _ => {
            while let Some(descriptor) = net.next_descriptor(id) {
                let _ = net.watch(descriptor, word());
            }
        }
    }
}

fn local_address() -> Option<LocalAddress> {
    let address = if yes() {
        LocalAddress::path(bytes())
    } else {
        LocalAddress::abstract_name(bytes())
    };
    address.ok()
}

fn local_endpoint() -> Option<LocalEndpoint> {
    let policy = match word() {
        0 => WhenFull::Pause,
        1 => WhenFull::Refuse,
        _ => WhenFull::EvictIdle,
    };
    let endpoint = LocalEndpoint::stream(local_address()?);
    let endpoint = match word() {
        0 => endpoint,
        1 => endpoint.socket_type(LocalType::Seqpacket),
        _ => LocalEndpoint::datagrams(endpoint.addr),
    };
    let endpoint = endpoint.when_full(policy).reserve(word());
    let endpoint = endpoint.connections_max(word()).mode(word() as u16);
    Some(endpoint.stale(StalePath::RemoveIfRefused))
}

fn any_address() -> Address {
    match local_address() {
        Some(local) if yes() => local.into(),
        _ => address(),
    }
}

fn departure() -> Departure {
    Departure {
        start: len(),
        len: len(),
        segment: word() as u16,
        to: any_address(),
        source: yes().then(|| addr().ip()),
        interface: word(),
        ecn: Ecn::Ect0,
    }
}

fn option() -> DatagramOption {
    let (group, source) = (addr().ip(), yes().then(|| addr().ip()));
    let interface = word();
    match word() {
        0 => DatagramOption::Broadcast(yes()),
        1 => DatagramOption::Join {
            group,
            source,
            interface,
        },
        2 => DatagramOption::Leave {
            group,
            source,
            interface,
        },
        3 => DatagramOption::MulticastLoop(yes()),
        4 => DatagramOption::MulticastHops(word() as u8),
        5 => DatagramOption::Hops(word() as u8),
        _ => DatagramOption::MtuProbing(yes()),
    }
}
