//! Who is talking to whom.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Side, run_until};
use std::net::SocketAddr;
use usockets::{Endpoint, Error};

/// An IPv4 peer of an IPv6 listener appears as IPv4, everywhere, and an IPv6 peer beside it as what
/// it is.
pub fn a_mapped_peer_appears_as_ipv4<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    // An address is known only of a host that is there.
    let Some(v6) = bed.addr_v6(0) else {
        return;
    };
    let any: SocketAddr = "[::]:0".parse().unwrap();
    let (_, addr) = server.listen_at(Endpoint::tcp(any), 1);
    let to = SocketAddr::new(bed.addr(0).ip(), addr.port());
    let id = client.connect(to, 2).unwrap();
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides.iter().all(|side| side.script.opened(0).is_some()) }
    ));
    let Some(Event::Open(accepted, 1, Some(peer))) = server.script.events().next().cloned() else {
        panic!("{}", server.script.tail());
    };
    assert!(peer.is_ipv4(), "{peer}");
    assert_eq!(server.net().peer_addr(accepted), Some(peer.into()));
    assert_eq!(client.net().local_addr(id), Some(peer.into()));
    assert_eq!(client.net().peer_addr(id), Some(to.into()));
    let to = SocketAddr::new(v6.ip(), addr.port());
    let other = client.connect(to, 3).unwrap();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| {
        sides.iter().all(|side| side.script.opened(1).is_some())
    }));
    let taken = server.script.opened(1).unwrap();
    let from = client.net().local_addr(other).and_then(|at| at.ip());
    assert!(from.is_some_and(|from| from.is_ipv6()), "{from:?}");
    assert_eq!(server.net().peer_addr(taken).and_then(|at| at.ip()), from);
    assert_eq!(server.net().peer_addr(accepted), Some(peer.into()));
}

/// With `v6_only` the same connect is refused, and one by IPv6 is not.
pub fn a_v6_only_listener_takes_no_ipv4<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let Some(v6) = bed.addr_v6(0) else {
        return;
    };
    let any: SocketAddr = "[::]:0".parse().unwrap();
    let (_, addr) = server.listen_at(Endpoint::tcp(any).v6_only(true), 1);
    let refused = SocketAddr::new(bed.addr(0).ip(), addr.port());
    let id = client.connect(refused, 2).unwrap();
    let taken = SocketAddr::new(v6.ip(), addr.port());
    let other = client.connect(taken, 3).unwrap();
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides[1].script.log.len() == 2 }
    ));
    let mut events: Vec<_> = client.script.events().cloned().collect();
    events.sort_by_key(|event| matches!(event, Event::ConnectError(..)));
    let expected = [
        Event::Open(other, 3, None),
        Event::ConnectError(id, 2, Error::Refused),
    ];
    assert_eq!(events, expected);
}

/// The local address can be chosen, with its port.
pub fn a_connect_comes_from_its_source<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (_, addr) = server.listen(bed, 1);
    // A port that is free now.
    let (probe, free) = client.listen(bed, 9);
    client.net().stop_listening(probe);
    let source = SocketAddr::new(bed.addr(1).ip(), free.port());
    let id = client
        .net()
        .connect(Endpoint::tcp(addr).source(source), 2)
        .unwrap();
    let long = bed.long();
    assert!(run_until(
        bed,
        &mut [&mut server, &mut client],
        long,
        |sides| { sides.iter().all(|side| side.script.opened(0).is_some()) }
    ));
    assert_eq!(client.net().local_addr(id), Some(source.into()));
    let accepted = server.script.opened(0).unwrap();
    assert_eq!(server.net().peer_addr(accepted), Some(source.into()));
}

/// Two listeners share a port only if both ask for it (W24).
pub fn a_shared_port_is_opt_in<B: Bed>(bed: &mut B) {
    let mut side = Side::new(bed, 0);
    let (_, addr) = side.listen(bed, 1);
    let exclusive = side.net().listen(Endpoint::tcp(addr), 1);
    assert_eq!(exclusive.err(), Some(Error::AddressInUse));
    let shared = side.net().listen(Endpoint::tcp(addr).reuse_port(true), 1);
    if !bed.shares_ports() {
        assert_eq!(shared.err(), Some(Error::Unsupported));
        return;
    }
    assert_eq!(shared.err(), Some(Error::AddressInUse));
    let (_, addr) = side.listen_at(Endpoint::tcp(bed.addr(0)).reuse_port(true), 1);
    let exclusive = side.net().listen(Endpoint::tcp(addr), 1);
    assert_eq!(exclusive.err(), Some(Error::AddressInUse));
    assert!(
        side.net()
            .listen(Endpoint::tcp(addr).reuse_port(true), 1)
            .is_ok()
    );
}
