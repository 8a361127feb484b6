//! Echo requests that the stack in user space sends (RFC 792; RFC 4443, section 4.1).

use std::net::IpAddr;

use usockets::{Duration, Error};
use usockets_smoltcp::wire::icmp::Icmp;
use usockets_smoltcp::{ECHOES_MAX, EchoReply, Faults};
use usockets_tests::smoltcp::forge::{Stage, echo_reply};
use usockets_tests::smoltcp::{MTU, Recipe, World, a4, b4, v6};

const SECOND: Duration = Duration::from_secs(1);

/// Two stacks, of which one has never heard of the other.
#[test]
fn a_station_answers() {
    let mut world = World::new(Faults::NONE, 1);
    for (to, sequence) in [(b4(0).ip(), 7), (v6(2, 0).ip(), 8)] {
        // Nothing is sent before the neighbour is known.
        let asked = world
            .a
            .net
            .send_echo_request(to, 0x1234, sequence, b"hello");
        assert_eq!(asked, Ok(false));
        world.pass(SECOND);
        assert_eq!(world.a.net.next_echo_reply(), None);
        let asked = world
            .a
            .net
            .send_echo_request(to, 0x1234, sequence, b"hello");
        assert_eq!(asked, Ok(true));
        world.pass(SECOND);
        let reply = world.a.net.next_echo_reply().unwrap();
        let EchoReply {
            from,
            identifier,
            sequence: told,
            len,
            ..
        } = reply;
        assert_eq!((from, identifier, told, len), (to, 0x1234, sequence, 5));
        assert_eq!(world.a.net.next_echo_reply(), None);
    }
}

/// Of answers only those to requests are told, once, with the time that they took.
#[test]
fn only_what_was_asked_is_told() {
    let mut stage = Stage::new(&Recipe::new(2));
    let (from, to) = (a4(0).ip(), b4(0).ip());
    let mark = [0, 1, 0, 2];
    stage.send(&echo_reply(from, to, mark, b"early"));
    assert_eq!(stage.host.net.next_echo_reply(), None);
    assert_eq!(stage.host.net.send_echo_request(from, 1, 2, b"x"), Ok(true));
    let requests = stage.replies();
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    let wanted = Icmp::EchoRequest { mark, data: b"x" };
    assert_eq!(Icmp::parse_v4(&request[34..]), Ok(wanted));

    stage.pass(Duration::from_millis(30));
    let stranger = IpAddr::from([10, 0, 0, 9]);
    stage.send(&echo_reply(stranger, to, mark, b"x"));
    stage.send(&echo_reply(from, to, [0, 1, 0, 3], b"x"));
    stage.send(&echo_reply(from, to, [0, 2, 0, 2], b"x"));
    let mut broken = echo_reply(from, to, mark, b"x");
    broken[36] ^= 1;
    stage.send(&broken);
    assert_eq!(stage.host.net.next_echo_reply(), None);

    stage.send(&echo_reply(from, to, mark, b"x"));
    stage.send(&echo_reply(from, to, mark, b"again"));
    let reply = stage.host.net.next_echo_reply().unwrap();
    assert_eq!((reply.identifier, reply.sequence, reply.len), (1, 2, 1));
    assert_eq!(reply.round_trip, Duration::from_millis(30));
    stage.send(&echo_reply(from, to, mark, b"late"));
    assert_eq!(stage.host.net.next_echo_reply(), None);
}

/// The oldest request gives way, and the others are answered in any order.
#[test]
fn as_many_are_remembered_as_are_promised() {
    let mut stage = Stage::new(&Recipe::new(2));
    let (from, to) = (a4(0).ip(), b4(0).ip());
    let count = u16::try_from(ECHOES_MAX).unwrap() + 1;
    for sequence in 0..count {
        let asked = stage.host.net.send_echo_request(from, 5, sequence, &[]);
        assert_eq!(asked, Ok(true));
    }
    for sequence in (0..count).rev() {
        let [c, d] = sequence.to_be_bytes();
        stage.send(&echo_reply(from, to, [0, 5, c, d], &[]));
    }
    let replies = std::iter::from_fn(|| stage.host.net.next_echo_reply());
    let mut told: Vec<_> = replies.map(|reply| reply.sequence).collect();
    told.sort_unstable();
    assert!(told.iter().copied().eq(1..count), "{told:?}");
}

/// What cannot be asked is said, and nothing is sent for it.
#[test]
fn what_cannot_be_asked_is_refused() {
    let mut stage = Stage::new(&Recipe::new(2));
    let most = MTU - 28;
    for (to, len, wanted) in [
        (b4(0).ip(), 1, Error::Invalid),
        (IpAddr::from([224, 0, 0, 1]), 1, Error::Invalid),
        (IpAddr::from([10, 0, 0, 255]), 1, Error::Invalid),
        (IpAddr::from([0; 4]), 1, Error::Invalid),
        (a4(0).ip(), most + 1, Error::Invalid),
        (a4(0).ip(), usize::from(u16::MAX), Error::Invalid),
    ] {
        let asked = stage.host.net.send_echo_request(to, 1, 1, &vec![0; len]);
        assert_eq!(asked, Err(wanted), "{to}, {len} bytes");
    }
    assert!(stage.replies().is_empty());
    let data = vec![1; most];
    let asked = stage.host.net.send_echo_request(a4(0).ip(), 1, 1, &data);
    assert_eq!((asked, stage.replies().len()), (Ok(true), 1));
}

/// A neighbour that is not there is told as such, in the end.
#[test]
fn a_silent_neighbour_is_unreachable() {
    let mut stage = Stage::new(&Recipe::new(2));
    let to = IpAddr::from([10, 0, 0, 77]);
    for _ in 0..20 {
        match stage.host.net.send_echo_request(to, 1, 1, &[]) {
            Ok(sent) => assert!(!sent),
            Err(error) => return assert_eq!(error, Error::Unreachable),
        }
        stage.pass(SECOND);
    }
    panic!("the neighbour was waited for longer than a connection waits");
}
