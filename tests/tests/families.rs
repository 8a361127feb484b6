//! Which address family a listener serves, on Linux.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use usockets::Endpoint;
use usockets_tests::bed::{Bed, LinuxBed, on_linux};
use usockets_tests::side::{Side, run_until};

/// Whether a client that connects to `to` is accepted.
fn takes(bed: &mut LinuxBed, side: &mut Side<usockets_linux::Linux>, to: SocketAddr) -> bool {
    let before = side.lp.stats().accepted;
    let Ok(_client) = TcpStream::connect(to) else {
        return false;
    };
    let limit = bed.long();
    assert!(run_until(bed, &mut [side], limit, |sides| {
        sides[0].lp.stats().accepted > before
    }));
    true
}

/// An endpoint's address alone says which family is served: `[::]` both, with `v6_only` or IPv4
/// just the one; nothing is tried in another's place (W25).
#[test]
fn a_listener_serves_the_family_it_names() {
    on_linux(|bed| {
        let local_v6 = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let local_v4 = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut side = Side::new(bed, 0);
        let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let port = side.listen_at(Endpoint::tcp(any_v4), 1).1.port();
        assert!(takes(bed, &mut side, local_v4(port)));
        assert!(!takes(bed, &mut side, local_v6(port)));
        if TcpListener::bind(local_v6(0)).is_err() {
            println!("no IPv6 here: the rest is not checked");
            return;
        }
        let any_v6 = Endpoint::tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
        let port = side.listen_at(any_v6, 1).1.port();
        assert!(takes(bed, &mut side, local_v4(port)));
        assert!(takes(bed, &mut side, local_v6(port)));
        let port = side.listen_at(any_v6.v6_only(true), 1).1.port();
        assert!(!takes(bed, &mut side, local_v4(port)));
        assert!(takes(bed, &mut side, local_v6(port)));
    });
}
