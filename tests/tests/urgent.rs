//! Urgent data (RFC 9293, section 3.8.5), at whose mark Linux stops a read.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::net::TcpStream;

use rustix::net::{SendFlags, send};
use usockets_tests::bed::{Bed, LinuxBed};
use usockets_tests::side::{Side, run_until};

/// What comes behind the mark is received although nothing else follows that would tell of it; the
/// urgent byte itself is left out, as by `read(2)`.
#[test]
fn what_follows_urgent_data_is_received() {
    let bed = &mut LinuxBed::default();
    let mut server = Side::with::<8>(0, bed.platform(), 4_096, 0);
    let (_, addr) = server.listen(bed, 1);
    let mut peer = TcpStream::connect(addr).unwrap();
    let long = bed.long();
    let sides = &mut [&mut server];
    assert!(run_until(bed, sides, long, |sides| {
        sides[0].lp.stats().open == 1
    }));
    let id = sides[0].script.opened(0).unwrap();
    for round in 1..4 {
        peer.write_all(b"before").unwrap();
        assert_eq!(send(&peer, b"!", SendFlags::OOB), Ok(1));
        peer.write_all(b"behind").unwrap();
        assert!(run_until(bed, sides, long, |sides| {
            sides[0].script.received(id) == b"beforebehind".repeat(round)
        }));
    }
}
