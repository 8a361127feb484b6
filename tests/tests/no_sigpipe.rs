//! Writing to a peer that is gone raises no signal.
#![cfg(target_os = "linux")]

use std::net::TcpListener;

use usockets::{Closed, Error};
use usockets_tests::bed::{Bed, LinuxBed};
use usockets_tests::side::{Side, run_until};

/// Plain, vectored and corked writes to a connection that the peer reset: 0 bytes, `on_close`
/// with the reason, and the process lives although SIGPIPE would end it (W6, W21).
#[test]
fn writes_to_a_reset_peer_raise_no_signal() {
    // SAFETY: no handler is installed; the default action ends the process, which is the test.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let bed = &mut LinuxBed::default();
    let mut side = Side::new(bed, 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for way in 0..3 {
        let id = side.connect(listener.local_addr().unwrap(), 2).unwrap();
        let (peer, _) = listener.accept().unwrap();
        let long = bed.long();
        assert!(run_until(bed, &mut [&mut side], long, |sides| {
            sides[0].script.opened(way).is_some()
        }));
        assert_eq!(side.net().write(id, b"never read"), 10);
        peer.peek(&mut [0; 10]).unwrap();
        // Closing with unread bytes resets.
        drop(peer);
        std::thread::sleep(std::time::Duration::from_millis(20));
        for _ in 0..3 {
            let mut net = side.net();
            let count = match way {
                0 => net.write(id, b"gone?"),
                1 => net.write_vectored(id, &[b"go", b"ne?"]),
                _ => {
                    net.cork(id);
                    let _ = net.write(id, b"gone?");
                    net.uncork(id);
                    net.write(id, b"!")
                }
            };
            assert_eq!(count, 0);
        }
        assert!(run_until(bed, &mut [&mut side], long, |sides| {
            sides[0].script.closed(id).is_some()
        }));
        assert_eq!(side.script.closed(id), Some(Closed::Failed(Error::Reset)));
    }
}
