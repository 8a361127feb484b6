//! What every POSIX system does with options, groups and wishes of datagrams, on `poll(2)`.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use usockets::{
    Arrival, DatagramOption, Datagrams, Departure, Ecn, Error, Handler, Loop, Opened, Platform,
    Socket, SocketId, Sockets,
};
use usockets_posix::{Poll, Posix};

/// Does nothing.
struct Idle;

impl<P: Datagrams> Handler<P> for Idle {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
}

type Host = Loop<'static, Posix<Poll<4>>, Idle>;

fn host() -> Host {
    let sockets = Box::leak(Box::new(Sockets::<_, _, 4>::new()));
    Loop::new(
        Posix::new(Poll::new()),
        sockets,
        Box::leak(Box::new([0; 64])),
    )
}

fn bind(host: &mut Host, at: &str) -> (SocketId, SocketAddr) {
    let at: SocketAddr = at.parse().unwrap();
    let id = host.net().bind(at.into(), ()).unwrap();
    let addr = host.net().local_addr(id).unwrap().ip().unwrap();
    (id, addr)
}

/// Receives one datagram, within ten seconds.
fn receive(host: &mut Host, id: SocketId) -> Option<(Arrival, Vec<u8>)> {
    let end = host
        .platform()
        .now()
        .saturating_add(Duration::from_secs(10));
    while host.platform().now() < end {
        let mut memory = [0; 2_000];
        let mut arrivals = [Arrival::default()];
        if host.net().recv_batch(id, &mut memory, &mut arrivals) == Ok(1) {
            let len = arrivals[0].len;
            return Some((arrivals[0], memory[..len].to_vec()));
        }
        host.poll(&mut Idle, Some(end)).unwrap();
    }
    None
}

fn sent_with(host: &mut Host, id: SocketId, departure: Departure) -> Option<Error> {
    let departure = Departure {
        len: 1,
        ..departure
    };
    host.net().send_batch(id, b"x", &[departure]).error
}

#[test]
fn what_cannot_be_done_for_a_datagram_is_refused() {
    let mut host = host();
    let (id, addr) = bind(&mut host, "127.0.0.1:0");
    let plain = Departure {
        to: addr.into(),
        ..Departure::default()
    };
    let ecn = Ecn::Ect0;
    let marked = Departure { ecn, ..plain };
    assert_eq!(sent_with(&mut host, id, marked), Some(Error::Unsupported));
    let interface = 1;
    let through = Departure { interface, ..plain };
    assert_eq!(sent_with(&mut host, id, through), Some(Error::Unsupported));
    let from = |ip: [u8; 4]| Departure {
        source: Some(IpAddr::from(ip)),
        ..plain
    };
    let other = from([127, 0, 0, 2]);
    assert_eq!(sent_with(&mut host, id, other), Some(Error::Unsupported));
    // It is bound to that one.
    assert_eq!(sent_with(&mut host, id, from([127, 0, 0, 1])), None);
    assert!(receive(&mut host, id).is_some());
    let probing = DatagramOption::MtuProbing(true);
    let refused = host.net().set_datagram_option(id, probing);
    assert_eq!(refused, Err(Error::Unsupported));
}

#[test]
fn broadcast_is_an_option() {
    let mut host = host();
    let (id, _) = bind(&mut host, "0.0.0.0:0");
    let all = Departure {
        to: SocketAddr::from(([127, 255, 255, 255], 9)).into(),
        ..Departure::default()
    };
    assert_eq!(sent_with(&mut host, id, all), Some(Error::Denied));
    let on = DatagramOption::Broadcast(true);
    host.net().set_datagram_option(id, on).unwrap();
    assert_eq!(sent_with(&mut host, id, all), None);
}

/// What is sent to a group comes to a socket that has joined it, for all sources or for this one,
/// and no more once it has left.
#[test]
#[cfg(target_os = "linux")]
fn groups_are_joined_heard_and_left() {
    let group = IpAddr::from([239, 9, 8, 7]);
    let own = IpAddr::from([127, 0, 0, 1]);
    for source in [None, Some(own)] {
        let mut host = host();
        let (id, addr) = bind(&mut host, "239.9.8.7:0");
        // By number only for all sources; otherwise where the route to the group leads.
        let interface = u32::from(source.is_none());
        let join = DatagramOption::Join {
            group,
            source,
            interface,
        };
        let leave = DatagramOption::Leave {
            group,
            source,
            interface,
        };
        let joined = host.net().set_datagram_option(id, join);
        if source.is_some() && joined == Err(Error::Platform(19)) {
            println!("skipped for one source: no route leads to a group");
            continue;
        }
        assert_eq!(joined, Ok(()), "{source:?}");
        assert!(host.net().set_datagram_option(id, join).is_err());
        if source.is_none() {
            let sender = UdpSocket::bind((own, 0)).unwrap();
            // From an address of the loopback interface, it goes there.
            sender.send_to(b"all", addr).unwrap();
            assert_eq!(receive(&mut host, id).unwrap().1, b"all");
        }
        assert_eq!(host.net().set_datagram_option(id, leave), Ok(()));
        assert!(host.net().set_datagram_option(id, leave).is_err());
    }
}

#[test]
fn hops_and_loops_are_options_of_both_families() {
    let mut host = host();
    for at in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        if UdpSocket::bind(at).is_err() {
            println!("skipped for {at}: there is no such address");
            continue;
        }
        let (id, _) = bind(&mut host, at);
        for option in [
            DatagramOption::Hops(9),
            DatagramOption::MulticastHops(1),
            DatagramOption::MulticastLoop(false),
        ] {
            assert_eq!(host.net().set_datagram_option(id, option), Ok(()), "{at}");
        }
        host.net().close(id);
    }
}

#[test]
fn a_port_is_not_shared() {
    let mut host = host();
    let (_, addr) = bind(&mut host, "127.0.0.1:0");
    let again = host.net().bind(addr.into(), ());
    assert_eq!(again, Err(Error::AddressInUse));
}
