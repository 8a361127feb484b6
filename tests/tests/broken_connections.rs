//! The end of a broken connection: the bytes that came before, then the true kind of end, then
//! `on_close`, whether the program reads or not.

use std::time::Duration;

use usockets::{Closed, Error, Platform, SocketId};
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::script::{At, Event};
use usockets_tests::side::{Pair, Side};

on_every_platform!(
    a_paused_socket_that_broke_delivers_what_came_and_closes,
    a_reset_that_comes_with_bytes_is_told_though_they_paused,
    a_peers_end_waits_for_a_paused_socket,
);

const A_WHILE: Duration = Duration::from_millis(50);

fn ends<P: Platform>(side: &Side<P>, id: SocketId) -> usize {
    side.script.count(|event| *event == Event::End(id))
}

/// The reset is known while the socket is paused. Bytes may be lost with it, where a reset throws
/// away what waits, but the close does not wait for `resume`.
fn a_paused_socket_that_broke_delivers_what_came_and_closes<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    pair.client.say(connected, b"before");
    pair.for_time(bed, A_WHILE);
    assert_eq!(pair.server.script.received(accepted), b"");
    pair.client.net().abort(connected, 0);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(matches!(
        pair.server.script.closed(accepted),
        Some(Closed::Failed(_))
    ));
    assert_eq!(ends(&pair.server, accepted), 0, "it was no orderly end");
}

/// The handler pauses at every byte, and nobody resumes.
fn a_reset_that_comes_with_bytes_is_told_though_they_paused<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.script.act(|at, event| {
        if let (At::Socket(socket), Event::Data(..)) = (at, event) {
            socket.pause();
        }
    });
    pair.client.say(connected, b"request");
    pair.client.net().abort(connected, 0);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(ends(&pair.server, accepted), 0);
}

fn a_peers_end_waits_for_a_paused_socket<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    pair.client.finish(connected);
    pair.for_time(bed, A_WHILE);
    assert_eq!(ends(&pair.server, accepted), 0);
    assert_eq!(pair.server.script.closed(accepted), None);
    pair.server.net().resume(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(ends(&pair.server, accepted), 1);
}

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
