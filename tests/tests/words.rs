//! What the reasons and errors say, and the calls that a handler leaves out.

use std::time::Duration;

use usockets::{
    Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Readiness, Socket, Sockets,
};
use usockets_tests::sim::{Faults, Host, Sim};

/// Each says in words what it is, with its number if it has one.
#[test]
fn everything_that_went_wrong_has_words() {
    let errors = [
        (Error::AddressInUse, "address in use"),
        (Error::AddressUnavailable, "address unavailable"),
        (Error::Denied, "denied by the operating system"),
        (Error::Full, "the socket pool is full"),
        (
            Error::Exhausted,
            "the platform is out of descriptors or memory",
        ),
        (Error::Invalid, "invalid argument or state"),
        (Error::Unreachable, "unreachable"),
        (Error::Refused, "connection refused"),
        (Error::Reset, "connection reset"),
        (Error::BrokenPipe, "connection reset after the peer's end"),
        (Error::TimedOut, "timed out"),
        (Error::Truncated, "stream truncated"),
        (
            Error::AlertReceived(40),
            "TLS alert handshake_failure (40) received",
        ),
        (
            Error::AlertSent(45),
            "TLS alert certificate_expired (45) sent",
        ),
        (Error::AlertSent(255), "TLS alert unknown (255) sent"),
        (Error::Protocol(7), "protocol error 7"),
        (Error::Unsupported, "unsupported"),
        (Error::Platform(71), "platform error 71"),
    ];
    for (error, words) in errors {
        assert_eq!(error.to_string(), words);
        assert_eq!(Closed::Failed(error).to_string(), words);
    }
    let reasons = [
        (Closed::Finished, "finished by both sides"),
        (Closed::Local(300), "closed here with code 300"),
        (Closed::TimedOut, "timed out here"),
        (Closed::Evicted, "evicted from a full pool"),
    ];
    for (reason, words) in reasons {
        assert_eq!(reason.to_string(), words);
    }
}

/// The registry's names (RFC 8446, section 6; RFC 7507, section 2).
#[test]
fn every_alert_has_its_name() {
    let names = "close_notify 0, unexpected_message 10, bad_record_mac 20, record_overflow 22, \
        handshake_failure 40, bad_certificate 42, unsupported_certificate 43, \
        certificate_revoked 44, certificate_expired 45, certificate_unknown 46, \
        illegal_parameter 47, unknown_ca 48, access_denied 49, decode_error 50, decrypt_error 51, \
        protocol_version 70, insufficient_security 71, internal_error 80, \
        inappropriate_fallback 86, user_canceled 90, missing_extension 109, \
        unsupported_extension 110, unrecognized_name 112, bad_certificate_status_response 113, \
        unknown_psk_identity 115, certificate_required 116, no_application_protocol 120";
    for name in names.split(", ") {
        let (name, number) = name.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        let error = Error::AlertReceived(number).to_string();
        assert_eq!(error, format!("TLS alert {name} ({number}) received"));
    }
}

/// Which failures are about the peer or the way to it: those that `on_connect_error` tells.
#[test]
fn failures_are_about_us_or_about_them() {
    let theirs = [
        Error::Unreachable,
        Error::Refused,
        Error::Reset,
        Error::BrokenPipe,
        Error::TimedOut,
        Error::Truncated,
        Error::AlertReceived(0),
        Error::AlertSent(0),
        Error::Protocol(0),
    ];
    let ours = [
        Error::AddressInUse,
        Error::AddressUnavailable,
        Error::Denied,
        Error::Full,
        Error::Exhausted,
        Error::Invalid,
        Error::Unsupported,
        Error::Platform(0),
    ];
    assert!(theirs.into_iter().all(Error::is_remote));
    assert!(!ours.into_iter().any(Error::is_remote));
}

/// Writes down why sockets closed; leaves everything else out.
#[derive(Default)]
struct Reasons(Vec<Closed>);

impl Handler<Host> for Reasons {
    type Ext = ();
    type Context = Duration;

    fn on_open(&mut self, socket: &mut Socket<'_, Host, Self>, opened: Opened<Duration>) {
        socket.set_timeout(opened.context());
    }

    fn on_data(&mut self, _: &mut Socket<'_, Host, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_close(&mut self, _: &mut Socket<'_, Host, Self>, (): &mut (), closed: Closed) {
        self.0.push(closed);
    }
}

/// Without an `on_timeout` a timeout closes, and says so; without an `on_end` the peer's end is
/// answered with ours.
#[test]
fn what_a_handler_leaves_out_the_loop_does() {
    let sim = Sim::new(1, Faults::none());
    let mut pools = [Sockets::new(), Sockets::<Host, Reasons, 3>::default()];
    let [a, b] = &mut pools;
    let (memory, other) = (&mut [0; 64], &mut [0; 64]);
    let mut server = Loop::new(sim.host(), a, memory);
    let mut client = Loop::new(sim.host(), b, other);
    let (mut here, mut there) = (Reasons::default(), Reasons::default());
    let at = Endpoint::tcp((sim.addresses(0)[0], 80).into());
    let second = Duration::from_secs(1);
    server.net().listen(at, second).unwrap();
    client.net().connect(at, second * 9).unwrap();
    let asked = sim.now_micros();
    while there.0.is_empty() {
        assert!(sim.now_micros() - asked < 3_000_000, "it takes too long");
        for (index, deadline) in [server.next_deadline(), client.next_deadline()]
            .into_iter()
            .enumerate()
        {
            sim.expect(index, deadline);
        }
        if sim.is_due(0) {
            server.poll(&mut here, None).unwrap();
        } else if sim.is_due(1) {
            client.poll(&mut there, None).unwrap();
        } else {
            sim.step(second);
        }
    }
    assert!(sim.now_micros() - asked >= 1_000_000);
    assert_eq!(here.0, [Closed::TimedOut]);
    assert_eq!(there.0, [Closed::Finished]);
    assert_eq!(client.stats().open + server.stats().open, 0);
}

/// Facts are sets: each is in itself and in every union with it, and nothing else is.
#[test]
fn readiness_is_a_set_of_facts() {
    let facts = [
        (Readiness::READABLE, 0x1),
        (Readiness::URGENT, 0x2),
        (Readiness::WRITABLE, 0x4),
        (Readiness::ERROR, 0x8),
        (Readiness::HUNG_UP, 0x10),
        (Readiness::ENDED, 0x2000),
    ];
    for (a, bits) in facts {
        assert_eq!(a.bits(), bits, "epoll's");
        assert_eq!(Readiness::from_bits(bits), a);
        assert_eq!((a.when(true), a.when(false)), (a, Readiness::NONE));
        assert!(a.contains(Readiness::NONE) && !Readiness::NONE.contains(a));
        for (b, _) in facts {
            let both = a.union(b);
            assert!(both.contains(a) && both.contains(b) && both.contains(both));
            assert!(both.intersects(a) && both.intersects(b));
            let same = a == b;
            let each = [a.contains(b), a.contains(both), a.intersects(b)];
            assert_eq!(each, [same, same, same]);
            assert!(a.intersects(both));
        }
    }
}

/// A pool takes what it says, slot by slot.
#[test]
fn a_pool_is_as_large_as_its_slots() {
    type Pool<const N: usize> = Sockets<Host, Reasons, N>;
    assert_eq!(size_of::<Pool<64>>(), 64 * Pool::<64>::SLOT_BYTES);
    assert!(Pool::<1>::SLOT_BYTES > size_of::<<Host as Platform>::Socket>());
}
