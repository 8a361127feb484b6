//! Descriptors that somebody else holds too, as a child does between `fork` and `exec`: closing
//! ours ends what we are told of them.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use usockets::{Platform, SocketId};
use usockets_posix::Fd;
use usockets_tests::bed::{Bed, LinuxBed, PosixBed, on_linux, on_poll};
use usockets_tests::side::{Side, run_for, run_until, turns_in};

/// Whose sockets are descriptors.
trait Descriptor {
    fn fd(&self) -> &Fd;
}

impl Descriptor for Fd {
    fn fd(&self) -> &Fd {
        self
    }
}

impl Descriptor for usockets_posix::PosixSocket {
    fn fd(&self) -> &Fd {
        self.fd()
    }
}

/// Duplicates the descriptor of a socket that is about to be closed.
fn duplicate<P: Platform>(side: &mut Side<P>, id: SocketId) -> OwnedFd
where
    P::Socket: Descriptor,
{
    let mut net = side.net();
    let (_, socket) = net.platform_socket(id).expect("an open socket");
    let fd = socket.fd().get().expect("a descriptor");
    fd.try_clone_to_owned().expect("a second descriptor")
}

/// Listeners and connections that are closed, aborted and stopped while a copy of each lives: what
/// arrives at the copies costs no more iterations than it has messages. (It was 1.3 million per
/// second.)
fn copies_cost_nothing<B: Bed>(bed: &mut B)
where
    <B::P as Platform>::Socket: Descriptor,
{
    let mut server = Side::with::<16>(0, bed.platform(), 4_096, 0);
    let (listener, addr) = server.listen(bed, 1);
    let mut peers: Vec<_> = (0..4).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let long = bed.long();
    let sides = &mut [&mut server];
    assert!(run_until(bed, sides, long, |sides| {
        sides[0].lp.stats().open == 4
    }));
    let ids: Vec<_> = (0..4)
        .map(|nth| server.script.opened(nth).unwrap())
        .collect();
    let mut copies = vec![duplicate(&mut server, listener.into())];
    copies.extend(ids.iter().map(|id| duplicate(&mut server, *id)));
    server.net().stop_listening(listener);
    server.net().close(ids[0]);
    server.net().close(ids[1]);
    server.net().abort(ids[2], 0);
    server.net().abort(ids[3], 0);
    run_for(bed, &mut [&mut server], Duration::from_millis(50));
    assert_eq!(server.lp.stats().in_use, 0);
    // Each arrives at a copy, and connections wait at that of the listener.
    for peer in &mut peers {
        let _ = peer.write_all(b"hello");
    }
    let _waiting: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let turns = turns_in(bed, &mut server, Duration::from_millis(500));
    assert!(turns <= 20, "{turns} iterations with nothing to do");
    drop(copies);
}

#[test]
fn copies_cost_nothing_on_linux() {
    on_linux(|bed: &mut LinuxBed| copies_cost_nothing(bed));
}

#[test]
fn copies_cost_nothing_on_poll() {
    on_poll(|bed: &mut PosixBed<_>| copies_cost_nothing(bed));
}
