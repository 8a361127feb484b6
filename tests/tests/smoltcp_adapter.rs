//! The platform over smoltcp's own sockets: what it gives up, what it says of it, and smoltcp's
//! other sockets beside it.

use ::smoltcp::iface::{Config, Interface, SocketStorage};
use ::smoltcp::socket::udp;
use ::smoltcp::wire::{EthernetAddress, IpCidr};
use usockets::{Duration, Endpoint, Error, Platform};
use usockets_smoltcp::{
    Faults, Limits, Smoltcp, SmoltcpEntry, SmoltcpListener, SmoltcpMemory, ToPhy,
};
use usockets_tests::smoltcp::{Device, Habit, World, b4, leak, pattern, secs, stock, v6, wire};

type Stock = Smoltcp<'static, ToPhy<'static, Device>>;

const MILLIS: Duration = Duration::from_millis(100);

/// Two hosts with so many TCP sockets each.
fn world(sockets: usize) -> World<Stock, Stock> {
    let host = |host| move |port| stock::build_on(host, sockets, 4_096, port);
    let mut world = World::mixed(Faults::NONE, 1, (host(1), host(2)));
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    world.b.listen(&at, Habit::Echo);
    world
}

/// Echoes something and ends it in order.
fn echo(world: &mut World<Stock, Stock>) {
    let sent = pattern(10_000, 1);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), &sent);
    world.a.push(id, b"", true);
    world.run(secs(20), |world| world.a.conn(id).is_done());
    assert_eq!(world.a.conn(id).error, None);
    assert!(world.a.conn(id).received == sent);
    world.a.close(id);
}

#[test]
fn every_socket_comes_back() {
    let mut world = world(4);
    echo(&mut world);
    // The listener keeps one, and TIME-WAIT lasts 10 s.
    world.pass(secs(11));
    assert_eq!((world.a.net.free_count(), world.b.net.free_count()), (4, 3));
}

/// With one socket, each connection needs that of the one before, which is in TIME-WAIT.
#[test]
fn a_socket_in_time_wait_makes_place() {
    let mut world = world(2);
    for _ in 0..20 {
        echo(&mut world);
    }
    assert!(world.wire.now().as_micros() < 3_000_000, "none has waited");
}

#[test]
fn more_connects_than_sockets_are_refused_here() {
    let mut world = world(2);
    let to = Endpoint::tcp(b4(80));
    let ids: Vec<u64> = (0..2).map(|_| world.a.connect(&to, b"")).collect();
    assert_eq!(world.a.try_connect(&to, b""), Err(Error::Exhausted));
    ids.into_iter().for_each(|id| world.a.abort(id));
    world.pass(MILLIS);
    assert_eq!(world.a.net.free_count(), 2);
}

/// Why a connect failed is what smoltcp shows of it: an answer, or none.
#[test]
fn connects_fail_for_the_reasons_that_can_be_known() {
    let mut world = world(4);
    let refused = world.a.connect(&Endpoint::tcp(b4(81)), b"");
    let silent = Endpoint::tcp(([10, 0, 0, 77], 80).into());
    let silent = world.a.connect(&silent, b"");
    let nowhere = Endpoint::tcp(([192, 0, 2, 1], 80).into());
    assert_eq!(world.a.try_connect(&nowhere, b""), Err(Error::Unreachable));
    world.pass(secs(15));
    assert_eq!(world.a.conn(refused).error, Some(Error::Refused));
    assert_eq!(world.a.conn(silent).error, Some(Error::TimedOut));
}

#[test]
fn a_peer_that_falls_silent_ends_the_connection() {
    let mut world = world(4);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"hello");
    world.pass(secs(1));
    // Nothing is to be said for a while, which is no reason.
    world.pass(secs(400));
    assert_eq!(world.a.conn(id).error, None);
    assert_eq!(world.a.conn(id).received, b"hello");
    world.wire.set_faults(Faults::NONE.loss(1_000_000));
    world.a.push(id, b"anybody there?", false);
    world.pass(secs(100));
    assert_eq!(world.a.conn(id).error, None);
    world.pass(secs(60));
    assert_eq!(world.a.conn(id).error, Some(Error::TimedOut));
}

#[test]
fn idle_peers_are_asked_only_if_the_program_wants_it() {
    for (asks, error) in [(true, Some(Error::TimedOut)), (false, None)] {
        let mut world = world(4);
        let mut to = Endpoint::tcp(v6(2, 80));
        if asks {
            to = to.keepalive(secs(5));
        }
        let id = world.a.connect(&to, b"");
        world.pass(secs(60));
        assert!(world.a.conn(id).open && world.a.conn(id).error.is_none());
        world.wire.set_faults(Faults::NONE.loss(1_000_000));
        world.pass(secs(60));
        assert_eq!(world.a.conn(id).error, error);
    }
}

/// What its owner has closed does not keep a socket for a peer that never answers.
#[test]
fn a_closed_connection_without_an_answer_is_given_up() {
    let mut world = world(4);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), b"");
    world.pass(secs(1));
    world.wire.set_faults(Faults::NONE.loss(1_000_000));
    world.a.push(id, b"the last words", true);
    world.a.close(id);
    assert_eq!(world.a.net.free_count(), 3);
    world.pass(secs(200));
    assert_eq!(world.a.net.free_count(), 4);
}

#[test]
fn what_the_sockets_cannot_do_is_said() {
    let mut world = world(2);
    let mut socket = Stock::CLOSED;
    let id = world.a.id();
    let any = Endpoint::tcp(([0_u16; 8], 80).into());
    let mut listen = |at: &Endpoint<'_>| world.a.net.listen(&mut socket, id, at);
    assert_eq!(listen(&any.reuse_port(true)), Err(Error::Unsupported));
    assert_eq!(listen(&any.recv_buffer(5_000)), Err(Error::Invalid));
    let elsewhere = Endpoint::tcp(b4(80));
    assert_eq!(listen(&elsewhere), Err(Error::AddressUnavailable));
}

fn make(entries: usize, places: usize, bytes: usize) -> Result<Stock, Error> {
    let medium = usockets_smoltcp::Medium::Ethernet;
    let (_, [device, _]) = wire(Faults::NONE, 1, medium);
    let mut device = ToPhy::new(device, leak(2_000, || 0));
    let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 9]).into());
    let mut interface = Interface::new(config, &mut device, ::smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|all| {
        let own = std::net::IpAddr::from([10, 0, 0, 9]);
        all.push(IpCidr::new(own.into(), 24)).unwrap();
    });
    let memory = SmoltcpMemory {
        entries: leak(entries, || SmoltcpEntry::EMPTY),
        storage: leak(places, || SocketStorage::EMPTY),
        bytes: leak(bytes, || 0),
        listeners: leak(1, || SmoltcpListener::EMPTY),
    };
    Smoltcp::new(device, interface, Limits::DEFAULT, memory)
}

#[test]
fn memory_that_does_not_do_is_refused() {
    for (entries, places, bytes) in [(0, 0, 0), (2, 1, 4_000), (2, 2, 3), (1, 1, 2 * 65_536)] {
        assert_eq!(make(entries, places, bytes).err(), Some(Error::Invalid));
    }
    assert!(make(1, 1, 2 * 65_535).is_ok());
    assert!(make(2, 2, 4).is_ok());
}

fn udp_socket() -> udp::Socket<'static> {
    let buffer = || {
        let about = leak(4, || udp::PacketMetadata::EMPTY);
        udp::PacketBuffer::new(about, leak(1_024, || 0))
    };
    udp::Socket::new(buffer(), buffer())
}

/// smoltcp's datagrams, beside connections on the same interface.
#[test]
fn smoltcps_other_sockets_work_beside_connections() {
    let mut world = world(4);
    let here = world.a.net.add(udp_socket()).unwrap();
    let there = world.b.net.add(udp_socket()).unwrap();
    // One place is left for them, and is taken.
    assert!(world.a.net.add(udp_socket()).is_err());
    let (socket, _) = world.a.net.socket::<udp::Socket<'_>>(here).unwrap();
    socket.bind(5_000).unwrap();
    socket.send_slice(b"datagram", b4(6_000)).unwrap();
    let (socket, _) = world.b.net.socket::<udp::Socket<'_>>(there).unwrap();
    socket.bind(6_000).unwrap();
    echo(&mut world);
    world.pass(MILLIS);
    let (socket, _) = world.b.net.socket::<udp::Socket<'_>>(there).unwrap();
    assert_eq!(socket.recv().unwrap().0, b"datagram");
    assert!(world.a.net.remove(here).is_some());
    assert!(world.a.net.remove(here).is_none());
    assert!(world.a.net.add(udp_socket()).is_ok());
}
