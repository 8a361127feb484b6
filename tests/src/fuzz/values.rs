//! Values of the core that any bytes make: addresses, endpoints, words for what is wrong, limits.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use usockets::{
    Address, AddressLimit, AddressLimits, Budget, Closed, Endpoint, Error, FrameError, Instant,
    LocalAddress, LocalEndpoint, LocalType, OverLimit, Security, StalePath, WhenFull,
};

use crate::behaviour::frame_queues::{answers, run};

/// Most connections of an address.
const CONNECTIONS_MAX: u32 = 4;
/// How many may come at once, and in how many milliseconds one more.
const BURST: u64 = 3;
const INTERVAL: u64 = 10;
/// Entries that one address can be in, at least.
const ENTRIES_OF_ONE: usize = 8;

/// Makes values of bytes, of which the first says which.
///
/// # Panics
/// One of them says another thing than it was made of.
pub fn fuzz_values(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => address(bytes),
        1 => endpoints(bytes),
        2 => reasons(bytes),
        _ => limits(bytes),
    }
}

/// Serves a client that sends the bytes behind the first, which are the network's seed, and
/// compares its answers with a plain model's.
///
/// # Panics
/// They differ, or the connection does not end as it should.
pub fn fuzz_frame_queues(bytes: &[u8]) {
    let Some((seed, stream)) = bytes.split_first() else {
        return;
    };
    let (got, server) = run(u64::from(*seed), stream);
    let (wanted, count) = answers(stream);
    match server.error {
        Some(FrameError::TooLong) => assert!(wanted.starts_with(&got)),
        None => {
            assert_eq!((got, server.frames), (wanted, count));
            assert_eq!(server.closed, Some(Closed::Finished));
        }
        Some(_) => assert_eq!((got, server.frames), (wanted, count)),
    }
}

/// An address of a Unix socket is what it was made of, or refused.
fn address(bytes: &[u8]) {
    let fits = !bytes.is_empty() && bytes.len() <= 107;
    let path = LocalAddress::path(bytes);
    assert_eq!(path.is_ok(), fits && !bytes.contains(&0));
    let name = LocalAddress::abstract_name(bytes);
    assert_eq!(name.is_ok(), fits);
    let escaped = bytes.escape_ascii().to_string();
    if let Ok(path) = path {
        assert_eq!(
            (path.as_path(), path.as_abstract_name()),
            (Some(bytes), None)
        );
        assert_eq!(Address::from(path).to_string(), escaped);
        assert_eq!(format!("{path:?}"), escaped);
    }
    if let Ok(name) = name {
        assert_eq!(
            (name.as_path(), name.as_abstract_name()),
            (None, Some(bytes))
        );
        assert_eq!(Address::from(name).to_string(), format!("@{escaped}"));
        assert_eq!(Address::from(name).ip(), None);
    }
    assert_eq!(Address::Unnamed.to_string(), "unnamed");
}

/// An endpoint has what was set, and nothing else is changed.
fn endpoints(bytes: &[u8]) {
    let Some(([kind, ip @ .., low, high], _)) = bytes.split_first_chunk::<19>() else {
        return;
    };
    let number = u16::from_be_bytes([*high, *low]);
    let ip: [u8; 16] = *ip;
    let ip = match kind % 2 {
        0 => IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])),
        _ => IpAddr::V6(Ipv6Addr::from(ip)),
    };
    let addr = SocketAddr::new(ip, number);
    assert_eq!(Address::from(addr).to_string(), addr.to_string());
    assert!(Address::from(addr) == addr);
    let when_full = [WhenFull::Pause, WhenFull::Refuse, WhenFull::EvictIdle];
    let when_full = when_full[usize::from(*kind) % 3];
    let many = u32::from(number);
    let at = Endpoint::tls(addr, Some("name"))
        .source(addr)
        .config(number);
    let at = at.when_full(when_full).reserve(many).connections_max(many);
    assert_eq!((at.addr, at.source, at.config), (addr, Some(addr), number));
    assert_eq!((at.reserve, at.connections_max), (many, many));
    assert_eq!(at.when_full, when_full);
    assert!(matches!(
        at.security,
        Security::Tls {
            server_name: Some("name")
        }
    ));
    let Ok(path) = LocalAddress::path(b"/run/a") else {
        panic!("a path is refused");
    };
    let at = LocalEndpoint::datagrams(path).mode(number).backlog(number);
    let at = at.stale(StalePath::RemoveIfRefused).when_full(when_full);
    let at = at.reserve(many).connections_max(many);
    assert_eq!((at.addr, at.socket_type), (path, LocalType::Datagrams));
    assert_eq!(
        (at.mode, at.backlog, at.stale),
        (Some(number), number, StalePath::RemoveIfRefused)
    );
    assert_eq!((at.reserve, at.connections_max), (many, many));
    let each = Budget::of::<u16>().times(usize::from(number));
    let sum = Budget::NONE.and(each).and(Budget::of::<u8>()).bytes();
    assert_eq!(sum, 2 * usize::from(number) + 1);
}

/// Each error, and each reason, has words of its own.
fn reasons(bytes: &[u8]) {
    let [low, high, ..] = *bytes else {
        return;
    };
    let number = u16::from_le_bytes([low, high]);
    let errors = [
        Error::AddressInUse,
        Error::AddressUnavailable,
        Error::Denied,
        Error::Full,
        Error::Exhausted,
        Error::Invalid,
        Error::Unreachable,
        Error::Refused,
        Error::Reset,
        Error::BrokenPipe,
        Error::TimedOut,
        Error::Truncated,
        Error::AlertReceived(low),
        Error::AlertSent(low),
        Error::Protocol(number),
        Error::Unsupported,
        Error::Platform(number),
    ];
    let closed = [
        Closed::Finished,
        Closed::Local(number),
        Closed::TimedOut,
        Closed::Evicted,
        Closed::Taken,
    ];
    let of_errors = errors.map(|error| error.to_string());
    for (error, words) in errors.iter().zip(&of_errors) {
        assert_eq!(Closed::Failed(*error).to_string(), *words);
    }
    let of_frames = [FrameError::TooLong, FrameError::Cut].map(|error| error.to_string());
    let of_closed = closed.map(|closed| closed.to_string());
    let mut all = [&of_errors[..], &of_closed, &of_frames].concat();
    // A timeout is one, be it here or there.
    assert!(all.iter().all(|words| !words.is_empty()));
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "two have the same words");
}

/// Connections of a few addresses come and go: each is admitted or not as a plain count says, as
/// long as there is an entry for it. How far its rate is used up is forgotten of an address without
/// connections, if others want its entry; so the count has it between two bounds.
fn limits(bytes: &[u8]) {
    let limit = AddressLimit::connections(CONNECTIONS_MAX);
    let limit = limit.rate(BURST as u32, Duration::from_millis(INTERVAL));
    let mut limits = AddressLimits::<16>::new(limit, [1, 2]);
    let mut open = HashMap::<IpAddr, u32>::new();
    let mut due = HashMap::<IpAddr, [u64; 2]>::new();
    let mut now = 1;
    for step in bytes.chunks_exact(2) {
        let [what, time] = *step else { break };
        now += u64::from(time % 8);
        let host = what / 2 % 32;
        let peer = match host < 16 {
            true => IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
            false => IpAddr::V6(Ipv6Addr::new(1, 2, 3, host.into(), 0, 0, 0, time.into())),
        };
        // All of a network are one.
        let key = match peer {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            peer => peer,
        };
        if what % 2 == 1 {
            let count = open.entry(key).or_default();
            if *count > 0 {
                *count -= 1;
                limits.closed(peer);
                assert_eq!(limits.connections(peer), *count);
            }
            continue;
        }
        // So few find an entry each, wherever theirs are.
        let may_forget = due.len() > ENTRIES_OF_ONE;
        let count = open.entry(key).or_default();
        let [least, most] = due.entry(key).or_default();
        if may_forget && *count == 0 {
            *least = 0;
        }
        let latest = now + INTERVAL * (BURST - 1);
        let admitted = limits.admit(peer, Instant::from_micros(1_000 * now));
        match admitted {
            Err(OverLimit::Table) => assert_eq!(*count, 0, "who is connected has an entry"),
            Err(OverLimit::Connections) => assert_eq!(*count, CONNECTIONS_MAX),
            Err(OverLimit::Rate) => {
                assert!(*count < CONNECTIONS_MAX && *most > latest);
                *least = (latest + 1).max(*least);
            }
            Ok(()) => assert!(*count < CONNECTIONS_MAX && *least <= latest),
            Err(other) => panic!("{other:?}"),
        }
        if admitted.is_ok() {
            *least = now.max(*least) + INTERVAL;
            *most = now.max(latest.min(*most)) + INTERVAL;
            *count += 1;
            limits.opened(peer);
            assert_eq!(limits.connections(peer), *count);
        }
    }
}
