//! The end of a broken connection: the bytes that came before, then the true kind of end, then
//! `on_close`, whether the program reads or not.

use std::time::Duration;
use usockets::{Closed, Error, SocketId};
use usockets_conformance::suite::broken_connections::ends;
use usockets_tests::bed::Bed;
use usockets_tests::side::Side;

/// Peers of the operating system's own, which reset as it does.
#[cfg(unix)]
mod with_system_peers {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use rustix::net::sockopt::set_socket_linger;
    use usockets_tests::bed::SystemBed;
    use usockets_tests::side::run_until;

    use super::*;

    /// A listening side and a peer of the operating system's own.
    fn open() -> (SystemBed, Side<<SystemBed as Bed>::P>, SocketId, TcpStream) {
        let mut bed = SystemBed::default();
        let mut side = Side::new(&mut bed, 0);
        let (_, addr) = side.listen(&bed, 1);
        let peer = TcpStream::connect(addr).unwrap();
        let long = bed.long();
        let opened = run_until(&mut bed, &mut [&mut side], long, |sides| {
            sides[0].script.opened(0).is_some()
        });
        assert!(opened);
        let id = side.script.opened(0).unwrap();
        (bed, side, id, peer)
    }

    /// Closes a connection with a reset.
    fn reset(peer: TcpStream) {
        set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    }

    fn until_closed(
        bed: &mut SystemBed,
        side: &mut Side<<SystemBed as Bed>::P>,
        id: SocketId,
    ) -> Closed {
        let long = bed.long();
        let closed = run_until(bed, &mut [&mut *side], long, |sides| {
            sides[0].script.closed(id).is_some()
        });
        assert!(closed, "{}", side.script.tail());
        side.script.closed(id).unwrap()
    }

    /// Linux tells an error once: the failed write takes it, and reading then finds an end.
    #[test]
    fn a_reset_that_a_write_found_is_no_orderly_end() {
        let (mut bed, mut side, id, mut peer) = open();
        peer.write_all(b"half of a mess").unwrap();
        reset(peer);
        std::thread::sleep(Duration::from_millis(20));
        for _ in 0..3 {
            let _ = side.net().write(id, b"answer");
        }
        assert_eq!(
            until_closed(&mut bed, &mut side, id),
            Closed::Failed(Error::Reset)
        );
        assert_eq!(ends(&side, id), 0);
    }

    /// The peer had ended in order before it reset: its end is told, and then the failure.
    #[test]
    fn an_end_that_came_before_a_reset_is_told() {
        let (mut bed, mut side, id, peer) = open();
        side.script.finish_on_end = false;
        // Its answer to what it does not read any more is a reset.
        side.net().pause(id);
        drop(peer);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(side.net().write(id, b"a"), 1);
        std::thread::sleep(Duration::from_millis(20));
        let _ = side.net().write(id, b"b");
        assert_eq!(
            until_closed(&mut bed, &mut side, id),
            Closed::Failed(Error::BrokenPipe)
        );
        assert_eq!(ends(&side, id), 1);
    }

    /// A connect that opened, was spoken to and reset before the loop looked did open.
    #[test]
    fn a_connection_that_was_reset_before_the_loop_looked_did_open() {
        let mut bed = SystemBed::default();
        let mut side = Side::new(&mut bed, 0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let id = side.connect(listener.local_addr().unwrap(), 2).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"go away").unwrap();
        reset(peer);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(
            until_closed(&mut bed, &mut side, id),
            Closed::Failed(Error::Reset)
        );
        assert_eq!(side.script.received(id), b"go away");
    }
}
