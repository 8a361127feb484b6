//! What Linux tells of datagrams beyond what every platform does, and what it does with runs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Time};

use usockets::{
    Address, Arrival, DatagramError, DatagramOption, Datagrams, Departure, Ecn, Error, Handler,
    Instant, Loop, Opened, Platform, Socket, SocketId, Sockets,
};
use usockets_linux::Linux;

#[path = "support/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::has_ipv6;

/// Keeps what came.
struct Keep {
    got: Vec<(Arrival, Vec<u8>)>,
    errors: Vec<DatagramError>,
    writable: usize,
    part: usize,
    parts: usize,
}

impl<P: Datagrams> Handler<P> for Keep {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
        while let Some(error) = socket.next_datagram_error() {
            self.errors.push(error);
        }
        let mut memory = vec![0; self.part * self.parts];
        let mut arrivals = vec![Arrival::default(); self.parts];
        let count = socket.recv_batch(&mut memory, &mut arrivals).unwrap();
        for (arrival, bytes) in arrivals.iter().zip(memory.chunks(self.part)).take(count) {
            self.got.push((*arrival, bytes[..arrival.len].to_vec()));
        }
    }

    fn on_writable(&mut self, _: &mut Socket<'_, P, Self>, _: &mut ()) {
        self.writable += 1;
    }
}

/// A loop on Linux.
struct Host {
    lp: Loop<'static, Linux, Keep>,
    keep: Keep,
}

impl Host {
    fn new() -> Self {
        let sockets = Box::leak(Box::new(Sockets::new()));
        let sockets: &'static mut Sockets<Linux, Keep, 8> = sockets;
        Self {
            lp: Loop::with_buffer(Linux::new().unwrap(), sockets, vec![0; 64].leak()).unwrap(),
            keep: Keep {
                got: Vec::new(),
                errors: Vec::new(),
                writable: 0,
                part: 2_048,
                parts: 16,
            },
        }
    }

    fn bind(&mut self, at: &str) -> (SocketId, SocketAddr) {
        let at: SocketAddr = at.parse().unwrap();
        let id = self.lp.net().bind(at.into(), ()).unwrap();
        let addr = self.lp.net().local_addr(id).unwrap().ip().unwrap();
        (id, addr)
    }

    fn set(&mut self, id: SocketId, option: DatagramOption) -> Result<(), Error> {
        self.lp.net().set_datagram_option(id, option)
    }

    /// Runs until `done`, for 10 s at most.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let start = Time::now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(10), "it never came");
            self.turn();
        }
    }

    fn turn(&mut self) {
        let until = self.lp.platform().now();
        let until = until.saturating_add(Duration::from_millis(5));
        self.lp.poll(&mut self.keep, Some(until)).unwrap();
    }

    fn send(&mut self, id: SocketId, bytes: &[u8], departure: Departure) {
        let departure = Departure {
            len: bytes.len(),
            ..departure
        };
        let sent = self.lp.net().send_batch(id, bytes, &[departure]);
        assert_eq!((sent.count, sent.error), (1, None));
    }
}

/// Destination, interface, hops and congestion mark come with a datagram, and source and mark go
/// with one, for both families and for IPv4 on a socket of IPv6.
#[test]
fn control_messages_go_both_ways() {
    let mut sides = vec![("127.0.0.1:0", "127.0.0.1")];
    sides.push(("0.0.0.0:0", "127.0.0.3"));
    if has_ipv6() {
        sides.push(("[::1]:0", "::1"));
        sides.push(("[::]:0", "127.0.0.3"));
    }
    for (at, ip) in sides {
        let ip: IpAddr = ip.parse().unwrap();
        let mut host = Host::new();
        let (id, addr) = host.bind(at);
        let to = SocketAddr::new(ip, addr.port());
        for ecn in [
            Ecn::NotEct,
            Ecn::Ect1,
            Ecn::Ect0,
            Ecn::CongestionExperienced,
        ] {
            let marked = Departure {
                to: to.into(),
                ecn,
                source: Some(ip),
                ..Departure::default()
            };
            host.send(id, b"marked", marked);
            host.until(|host| !host.keep.got.is_empty());
            let (arrival, bytes) = host.keep.got.remove(0);
            assert_eq!(bytes, b"marked");
            assert_eq!(arrival.ecn, ecn, "{at}");
            assert_eq!(arrival.destination, Some(ip), "{at}");
            assert_eq!(arrival.peer, to, "{at}");
            assert_eq!(arrival.hops, Some(64), "{at}");
            assert_eq!(arrival.interface, 1, "{at}");
        }
        host.set(id, DatagramOption::Hops(9)).unwrap();
        let plain = Departure {
            to: to.into(),
            ..Departure::default()
        };
        host.send(id, b"near", plain);
        host.until(|host| !host.keep.got.is_empty());
        assert_eq!(host.keep.got[0].0.hops, Some(9), "{at}");
    }
}

/// A peer's link is kept: an answer to a link-local address needs it (W27).
#[test]
fn a_whole_ipv6_address_arrives() {
    if !has_ipv6() {
        return;
    }
    let mut host = Host::new();
    let (_, addr) = host.bind("[::1]:0");
    let peer = UdpSocket::bind("[::1]:0").unwrap();
    peer.send_to(b"x", addr).unwrap();
    host.until(|host| !host.keep.got.is_empty());
    assert_eq!(host.keep.got[0].0.peer, peer.local_addr().unwrap());
}

/// A run goes and comes in one piece where the memory is large enough, and as datagrams where it is
/// not, or where others receive.
#[test]
fn runs_go_and_come() {
    let memory: Vec<u8> = (0..=250).cycle().take(60_500).collect();
    for (part, parts) in [(65_535, 4), (2_048, 16)] {
        let mut host = Host::new();
        (host.keep.part, host.keep.parts) = (part, parts);
        let (from, _) = host.bind("127.0.0.1:0");
        let (to, addr) = host.bind("127.0.0.1:0");
        // The socket learns how large the memory is when it first receives.
        let hello = Departure {
            to: addr.into(),
            ..Departure::default()
        };
        host.send(from, b"hello", hello);
        host.until(|host| host.keep.got.len() == 1);
        host.keep.got.clear();
        let run = Departure {
            segment: 1_000,
            ..hello
        };
        host.send(from, &memory, run);
        host.until(|host| host.lp.stats().received == 60_505);
        let all: Vec<u8> = host
            .keep
            .got
            .iter()
            .flat_map(|(_, bytes)| bytes.clone())
            .collect();
        assert!(all == memory);
        let first = host.keep.got[0].0;
        if part == 65_535 {
            assert_eq!((first.segment, first.truncated), (1_000, false));
            assert!(host.keep.got.len() < 61);
        } else {
            assert_eq!(host.keep.got.len(), 61);
            assert!(
                host.keep
                    .got
                    .iter()
                    .all(|(arrival, _)| arrival.segment == 0)
            );
        }
        host.lp.net().close(to);
    }
}

/// Datagrams in a row that are alike arrive each by itself, and a shorter one ends a row: whatever
/// the lengths, destinations and marks, as many come as were sent.
#[test]
fn datagrams_that_are_alike_stay_themselves() {
    let mut host = Host::new();
    let (from, _) = host.bind("127.0.0.1:0");
    let (to, addr) = host.bind("127.0.0.1:0");
    let (_, other) = host.bind("127.0.0.1:0");
    let memory: Vec<u8> = (0..=250).cycle().take(20_000).collect();
    for lens in [
        &[1_000; 70][..],
        &[100, 100, 100, 60, 100, 100, 60, 60, 60, 0, 0, 60, 100],
        // What fits a packet of Ethernet, and what does not.
        &[
            1_452, 1_452, 1_453, 1_453, 1_452, 1_500, 1_500, 1_400, 1_400,
        ],
        &[9_000, 9_000, 9_000],
    ] {
        for ecn in [Ecn::NotEct, Ecn::Ect0] {
            let batch = lens.iter().enumerate().map(|(index, len)| Departure {
                start: index,
                len: *len,
                to: addr.into(),
                ecn: if index % 5 == 4 { ecn } else { Ecn::NotEct },
                ..Departure::default()
            });
            let mut batch: Vec<_> = batch.collect();
            // One for another in between, which is not looked at.
            batch.insert(
                batch.len() / 2,
                Departure {
                    to: other.into(),
                    ..batch[0]
                },
            );
            (host.keep.part, host.keep.parts) = (10_000, 16);
            let sent = host.lp.net().send_batch(from, &memory, &batch);
            assert_eq!((sent.count, sent.error), (batch.len(), None));
            host.until(|host| host.keep.got.len() == batch.len());
            let got = std::mem::take(&mut host.keep.got);
            let mine = batch.iter().filter(|sent| sent.to == Address::from(addr));
            let came = got
                .iter()
                .filter(|(arrival, _)| arrival.destination.is_some() && arrival.interface == 1);
            assert_eq!(came.count(), batch.len());
            let mut rest: Vec<_> = got.iter().collect();
            for wanted in mine {
                let bytes = &memory[wanted.start..wanted.start + wanted.len];
                let at = rest.iter().position(|(arrival, got)| {
                    got == bytes && arrival.ecn == wanted.ecn && arrival.segment == 0
                });
                let at = at.expect("each comes as it was sent");
                rest.remove(at);
            }
            assert_eq!(rest.len(), 1);
        }
    }
    assert!(host.lp.net().is_open(to));
}

/// A run that the kernel refuses, because each piece is longer than a packet, is split here.
#[test]
fn a_run_of_large_datagrams_goes() {
    let mut host = Host::new();
    (host.keep.part, host.keep.parts) = (65_535, 4);
    let (from, _) = host.bind("127.0.0.1:0");
    let (_, addr) = host.bind("127.0.0.1:0");
    let memory = vec![3; 120_000];
    let run = Departure {
        to: addr.into(),
        segment: 60_000,
        ..Departure::default()
    };
    host.send(from, &memory, run);
    host.until(|host| host.lp.stats().received == 120_000);
    assert_eq!(host.keep.got.len(), 2);
}

/// Nobody listens at a port: the error comes back for the datagram, although no peer is fixed.
#[test]
fn an_error_names_its_destination() {
    let mut ats = vec!["127.0.0.1:0", "0.0.0.0:0"];
    if has_ipv6() {
        ats.extend(["[::1]:0", "[::]:0"]);
    }
    for at in ats {
        let mut host = Host::new();
        let (id, addr) = host.bind(at);
        let local: IpAddr = match addr.ip() {
            IpAddr::V6(ip) if ip == Ipv6Addr::LOCALHOST => ip.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        let gone = UdpSocket::bind((local, 0)).unwrap();
        let nobody = gone.local_addr().unwrap();
        drop(gone);
        let lost = Departure {
            to: nobody.into(),
            ..Departure::default()
        };
        for _ in 0..3 {
            host.send(id, b"lost", lost);
        }
        host.until(|host| host.keep.errors.len() == 3);
        for error in &host.keep.errors {
            assert_eq!(
                (error.to, error.error),
                (Address::from(nobody), Error::Refused)
            );
            assert_eq!(error.path_mtu, 0);
        }
        assert_eq!(host.keep.got, []);
    }
}

/// Errors among datagrams end no batch before its time, and are told of none. Once they are taken,
/// the loop sleeps.
#[test]
fn errors_between_datagrams_lose_none() {
    let mut host = Host::new();
    let (id, addr) = host.bind("127.0.0.1:0");
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let mut batch = Vec::new();
    for at in 0..100 {
        let to = if at % 2 == 0 { addr } else { nobody };
        batch.push(Departure {
            start: at,
            len: 1,
            to: to.into(),
            ..Departure::default()
        });
    }
    let memory: Vec<u8> = (0..100).collect();
    let mut rest = &batch[..];
    while !rest.is_empty() {
        let sent = host.lp.net().send_batch(id, &memory, rest);
        assert_eq!(sent.error, None);
        rest = &rest[sent.count..];
    }
    host.until(|host| host.keep.got.len() == 50 && host.keep.errors.len() == 50);
    let got: Vec<u8> = host.keep.got.iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(got, (0..100).step_by(2).collect::<Vec<u8>>());
    host.turn();
    let until = host.lp.platform().now();
    let until = until.saturating_add(Duration::from_millis(50));
    host.lp.poll(&mut host.keep, Some(until)).unwrap();
    assert!(host.lp.platform().now() >= until, "something woke the loop");
}

/// A datagram that may not be fragmented and is too long for the path says so.
#[test]
fn a_probe_that_is_too_long_says_so() {
    let mut host = Host::new();
    let (id, addr) = host.bind("127.0.0.1:0");
    host.set(id, DatagramOption::MtuProbing(true)).unwrap();
    let memory = vec![0; 65_508];
    let long = Departure {
        len: memory.len(),
        to: addr.into(),
        ..Departure::default()
    };
    let sent = host.lp.net().send_batch(id, &memory, &[long]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
    host.set(id, DatagramOption::MtuProbing(false)).unwrap();
    host.send(
        id,
        b"x",
        Departure {
            to: addr.into(),
            ..Departure::default()
        },
    );
    host.until(|host| host.keep.got.len() == 1);
}

/// A group is joined once, for one source or for all, and left with the same values.
#[test]
fn groups_are_joined_and_left() {
    let mut groups = vec![("0.0.0.0:0", "239.1.2.3", None)];
    groups.push(("0.0.0.0:0", "239.1.2.3", Some("127.0.0.1")));
    if has_ipv6() {
        groups.push(("[::]:0", "ff01::77", None));
        groups.push(("[::]:0", "239.1.2.3", None));
    }
    for (at, group, source) in groups {
        let mut host = Host::new();
        let (id, _) = host.bind(at);
        let group: IpAddr = group.parse().unwrap();
        let source: Option<IpAddr> = source.map(|source| source.parse().unwrap());
        let interface = 1;
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
        assert!(host.set(id, leave).is_err(), "{at} {group}");
        assert_eq!(host.set(id, join), Ok(()), "{at} {group}");
        assert!(host.set(id, join).is_err(), "{at} {group}");
        assert_eq!(host.set(id, leave), Ok(()), "{at} {group}");
        assert!(host.set(id, leave).is_err(), "{at} {group}");
        assert_eq!(host.set(id, DatagramOption::MulticastHops(1)), Ok(()));
        assert_eq!(host.set(id, DatagramOption::MulticastLoop(false)), Ok(()));
    }
}

#[test]
fn broadcast_is_an_option() {
    let mut host = Host::new();
    let (id, _) = host.bind("0.0.0.0:0");
    let everyone = Departure {
        len: 1,
        to: SocketAddr::from(([255; 4], 9)).into(),
        interface: 1,
        ..Departure::default()
    };
    let sent = host.lp.net().send_batch(id, b"x", &[everyone]);
    assert_eq!(sent.error, Some(Error::Denied));
    host.set(id, DatagramOption::Broadcast(true)).unwrap();
    let sent = host.lp.net().send_batch(id, b"x", &[everyone]);
    assert_ne!(sent.error, Some(Error::Denied));
}

/// A socket whose buffer is full is told of room once, and sends on. On the loopback interface no
/// send ever blocks; what waits for a neighbour that does not answer fills a buffer, until it is
/// given up. That takes an interface of its own, in a namespace of its own.
#[test]
fn room_is_told_once_after_a_send_would_block() {
    const WIRE: &str = "
        ip link add d0 type veth peer name d1
        ip addr add 10.9.8.1/24 dev d0
        ip link set d0 up
        ip link set d1 up
        ip link set lo up";
    let own = "room_is_told_once_after_a_send_would_block";
    namespace::run_apart(own, WIRE, in_a_namespace);
}

fn in_a_namespace() {
    let mut host = Host::new();
    let (id, _) = host.bind("10.9.8.1:0");
    host.turn();
    let small = usockets::SocketOption::SendBuffer(4_608);
    host.lp.net().set_option(id, small).unwrap();
    let memory = vec![0; 1_000];
    let batch = [Departure {
        len: 1_000,
        to: SocketAddr::from(([10, 9, 8, 2], 9)).into(),
        ..Departure::default()
    }; 64];
    // Datagrams that are alike are one to the buffer.
    let mut batches = 0;
    let mut sent = 64;
    while sent == 64 && batches < 20 {
        let taken = host.lp.net().send_batch(id, &memory, &batch);
        assert_eq!(taken.error, None);
        sent = taken.count;
        batches += 1;
    }
    assert!(sent < 64 && batches < 20, "{sent} in batch {batches}");
    for _ in 0..3 {
        host.turn();
    }
    assert_eq!(host.keep.writable, 0);
    // The neighbour is given up after some seconds, and each datagram's error comes back.
    host.until(|host| host.keep.writable > 0);
    for _ in 0..20 {
        host.turn();
    }
    assert_eq!(host.keep.writable, 1);
    assert!(!host.keep.errors.is_empty());
    for error in &host.keep.errors {
        assert_eq!(error.error, Error::Unreachable);
    }
    // It sends, and room that nobody waits for wakes no loop.
    let (to, addr) = host.bind("127.0.0.1:0");
    let (from, _) = host.bind("127.0.0.1:0");
    host.turn();
    let one = Departure {
        to: addr.into(),
        ..Departure::default()
    };
    host.send(from, b"x", one);
    host.until(|host| !host.keep.got.is_empty());
    host.lp.net().close(to);
    host.turn();
    let until = host.lp.platform().now();
    let until = until.saturating_add(Duration::from_millis(50));
    host.lp.poll(&mut host.keep, Some(until)).unwrap();
    assert!(host.lp.platform().now() >= until, "something woke the loop");
    assert_eq!(host.keep.writable, 1);
}

/// What is bound at an address is bound there alone.
#[test]
fn a_port_is_not_shared() {
    let mut host = Host::new();
    let (_, addr) = host.bind("0.0.0.0:0");
    let again = host.lp.net().bind(addr.into(), ());
    assert_eq!(again, Err(Error::AddressInUse));
    assert_eq!(host.lp.poll(&mut host.keep, Some(Instant::ZERO)), Ok(()));
}
