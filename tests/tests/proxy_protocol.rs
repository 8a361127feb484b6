//! The PROXY protocol: headers read and written, and a layer below the program that takes them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use usockets::proxy::{
    Network, Proxied, ProxyHeader, ProxyParsed, ProxyPlace, ProxyValues, ProxyVersion, Untrusted,
};
use usockets::{Endpoint, Error, Platform};
use usockets_linux::Linux;
use usockets_tests::bed::{Bed, on_proxied_linux, on_proxied_sim};
use usockets_tests::fuzz::fuzz_proxy;
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::script::Event;
#[cfg(feature = "tls")]
use usockets_tests::side::Pair;
use usockets_tests::side::{Side, run_for, run_until};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn whole(bytes: &[u8]) -> ProxyHeader {
    match ProxyHeader::parse(bytes) {
        ProxyParsed::Whole(header, len) => {
            assert_eq!(len, bytes.len());
            header
        }
        parsed => panic!("{parsed:?} of {bytes:?}"),
    }
}

fn is_invalid(bytes: &[u8]) -> bool {
    ProxyHeader::parse(bytes) == ProxyParsed::Invalid
}

/// A header of version 2 with these bytes behind the signature.
fn binary(version: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[version, family], &len, body].concat()
}

#[test]
fn lines_are_read() {
    let header = whole(b"PROXY TCP4 255.255.255.255 1.2.3.4 65535 0\r\n");
    let expected = Some((addr("255.255.255.255:65535"), addr("1.2.3.4:0")));
    assert_eq!(header.addresses, expected);
    let header = whole(b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n");
    assert_eq!(
        header.addresses,
        Some((addr("[2001:db8::1]:1"), addr("[::1]:443")))
    );
    assert_eq!(whole(b"PROXY UNKNOWN\r\n").addresses, None);
    // The longest of all, of the specification.
    let longest = b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), 107);
    assert_eq!(whole(longest).addresses, None);
}

/// An address of IPv6 may end with one of IPv4.
#[test]
fn addresses_of_both_kinds_are_read() {
    let header = whole(b"PROXY TCP6 ::ffff:1.2.3.4 64:ff9b::192.0.2.33 1 2\r\n");
    let expected = (addr("[::ffff:1.2.3.4]:1"), addr("[64:ff9b::192.0.2.33]:2"));
    assert_eq!(header.addresses, Some(expected));
}

/// Numbers have no zeros in front, whatever power of the base they are.
#[test]
fn lines_are_written_in_the_preferred_form() {
    for (client, server, line) in [
        (
            "[2001:db8::10]:1000",
            "[::]:10",
            "PROXY TCP6 2001:db8:0:0:0:0:0:10 0:0:0:0:0:0:0:0 1000 10\r\n",
        ),
        (
            "10.100.1.0:10000",
            "100.10.99.9:9",
            "PROXY TCP4 10.100.1.0 100.10.99.9 10000 9\r\n",
        ),
    ] {
        let mut bytes = [0; 128];
        let header = ProxyHeader::between(addr(client), addr(server));
        let len = header.write(ProxyVersion::One, &mut bytes).unwrap();
        assert_eq!(str::from_utf8(&bytes[..len]), Ok(line));
    }
}

/// Headers of other kinds of connections tell no addresses, and are as long as may be.
#[test]
fn binary_headers_of_other_connections_are_read() {
    for (family, len) in [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216), (0x00, 0)] {
        let header = whole(&binary(0x21, family, &vec![0; len]));
        assert_eq!(header.addresses, None);
        assert!(len == 0 || is_invalid(&binary(0x21, family, &vec![0; len - 1])));
    }
    // A value that means nothing, up to the longest header.
    let values = |len: usize| {
        let head = [0x04, ((len - 3) >> 8) as u8, (len - 3) as u8];
        binary(0x21, 0x00, &[&head, &*vec![0; len - 3]].concat())
    };
    assert_eq!(whole(&values(1_008)).addresses, None);
    assert!(is_invalid(&values(1_009)));
}

/// Addresses in any form, and in none, are what the standard library takes them for.
#[test]
fn addresses_are_read_as_the_standard_library_does() {
    let mut read = 0;
    let all = seeds(100_000);
    for &seed in &all {
        let mut rng = Rng::new(seed);
        let letters = (0..rng.below(24)).map(|_| b"01234589aF::::...g"[rng.below(18) as usize]);
        let text = String::from_utf8(letters.collect()).unwrap();
        let v4: Option<Ipv4Addr> = text.parse().ok();
        let v6: Option<Ipv6Addr> = text.parse().ok();
        read += u32::from(v4.is_some() || v6.is_some());
        for (family, ip) in [("TCP4", v4.map(IpAddr::V4)), ("TCP6", v6.map(IpAddr::V6))] {
            let line = format!("PROXY {family} {text} {text} 1 2\r\n");
            let parsed = match ProxyHeader::parse(line.as_bytes()) {
                ProxyParsed::Whole(header, _) => header.addresses.map(|(from, _)| from.ip()),
                _ => None,
            };
            assert_eq!(parsed, ip, "{line:?}, seed {seed}");
        }
    }
    assert!(all.len() == 1 || read > 100, "only {read} were addresses");
}

#[test]
fn lines_that_break_a_rule_are_not() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "PROXY",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 4294967297 2\r\n",
        "PROXY TCP4 1.2..4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
        "PROXY TCP6 ::00001 ::1 1 2\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7: ::1 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWN a\rb\r\n",
    ] {
        let bytes = line.as_bytes();
        if line != "PROXY" {
            assert!(is_invalid(bytes), "{line:?}");
        }
    }
    let too_long = [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 92], b"\r\n".to_vec()].concat();
    assert_eq!(too_long.len(), 108);
    assert!(is_invalid(&too_long));
    assert!(is_invalid(&too_long[..107]));
}

#[test]
fn binary_headers_are_read() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 9, 0x01, 0xbb, 0x1f, 0x90];
    let header = whole(&binary(0x21, 0x11, &v4));
    let expected = Some((addr("192.0.2.1:443"), addr("192.0.2.9:8080")));
    assert_eq!(header.addresses, expected);
    assert_eq!(whole(&binary(0x20, 0x11, &v4)).addresses, None, "LOCAL");
    assert_eq!(whole(&binary(0x20, 0, &[])).addresses, None);
    assert_eq!(whole(&binary(0x21, 0, &[])).addresses, None, "UNSPEC");
    assert_eq!(
        whole(&binary(0x21, 0x31, &[0; 216])).addresses,
        None,
        "AF_UNIX"
    );
    let mut v6 = [0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
    let header = whole(&binary(0x21, 0x21, &v6));
    assert_eq!(header.addresses, Some((addr("[::1]:3"), addr("[::2]:4"))));
}

#[test]
fn binary_headers_that_break_a_rule_are_not() {
    for version in [0x00, 0x11, 0x22, 0x31, 0xff] {
        assert!(is_invalid(&binary(version, 0x11, &[0; 12])), "{version:#x}");
    }
    for family in [0x01, 0x10, 0x13, 0x41, 0xff] {
        assert!(is_invalid(&binary(0x21, family, &[0; 216])), "{family:#x}");
    }
    assert!(is_invalid(&binary(0x21, 0x11, &[0; 11])), "too short");
    assert!(is_invalid(&binary(0x21, 0x21, &[0; 35])), "too short");
    // Values that do not end where the header does.
    assert!(is_invalid(&binary(0x21, 0, &[1, 0])));
    assert!(is_invalid(&binary(0x21, 0, &[1, 0, 2, 0])));
    assert!(is_invalid(&binary(0x21, 0, &[0; 1_009])), "too long");
}

#[test]
fn a_checksum_is_checked() {
    // The check value of CRC-32C: of "123456789" it is 0xe3069283. Here it is of a header.
    let mut header = binary(0x21, 0x00, &[0x03, 0, 4, 0, 0, 0, 0, 0x02, 0, 1, b'a']);
    let sum = reference_crc32c(&header);
    assert_eq!(reference_crc32c(b"123456789"), 0xe306_9283);
    header[19..23].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(whole(&header).addresses, None);
    header[26] = b'b';
    assert!(is_invalid(&header), "another byte");
    // It has four bytes.
    assert!(is_invalid(&binary(0x21, 0x00, &[0x03, 0, 3, 0, 0, 0])));
}

/// By long division, most significant bit last.
fn reference_crc32c(bytes: &[u8]) -> u32 {
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
    !bits.fold(!0_u32, |crc, bit| {
        let carry = (crc & 1) ^ u32::from(bit);
        (crc >> 1) ^ if carry == 1 { 0x82f6_3b78 } else { 0 }
    })
}

#[test]
fn values_are_told_apart() {
    let values = [&[0x01, 0, 2][..], b"h2", &[0x02, 0, 0], &[0xe0, 0, 1, 7]].concat();
    let header = binary(0x21, 0x11, &[&[0; 12][..], &values].concat());
    whole(&header);
    let all: Vec<_> = ProxyValues::of(&header).collect();
    assert_eq!(all, [(0x01, &b"h2"[..]), (0x02, &[]), (0xe0, &[7])]);
    assert_eq!(ProxyValues::of(b"PROXY UNKNOWN\r\n").count(), 0);
}

/// What is written is read again, and each beginning of it is the beginning of a header.
#[test]
fn what_is_written_is_read() {
    for seed in seeds(200) {
        let mut rng = Rng::new(seed);
        let mut any = |is_v4: bool| {
            let bits = u128::from(rng.next()) << 64 | u128::from(rng.next());
            let bits = if rng.below(4) == 0 {
                bits >> rng.below(128)
            } else {
                bits
            };
            let port = u16::try_from(rng.below(65_536)).unwrap();
            match is_v4 {
                true => SocketAddr::new(std::net::Ipv4Addr::from_bits(bits as u32).into(), port),
                false => SocketAddr::new(std::net::Ipv6Addr::from_bits(bits).into(), port),
            }
        };
        let is_v4 = seed % 2 == 0;
        let header = match seed % 7 {
            0 => ProxyHeader::default(),
            _ => ProxyHeader::between(any(is_v4), any(is_v4)),
        };
        for version in [ProxyVersion::One, ProxyVersion::Two] {
            let mut bytes = [0xaa; 107];
            let len = header.write(version, &mut bytes).unwrap();
            assert_eq!(ProxyHeader::parse(&bytes), ProxyParsed::Whole(header, len));
            for end in 0..len {
                match ProxyHeader::parse(&bytes[..end]) {
                    ProxyParsed::Partial(need) => assert!(need > end && need <= len, "{end}"),
                    parsed => panic!("{parsed:?} of {:?}", &bytes[..end]),
                }
                assert_eq!(header.write(version, &mut bytes[..end]), None);
                header.write(version, &mut bytes).unwrap();
            }
        }
    }
    let mixed = ProxyHeader::between(addr("1.2.3.4:1"), addr("[::1]:2"));
    assert_eq!(mixed.write(ProxyVersion::Two, &mut [0; 107]), None);
}

#[test]
fn networks_contain_what_begins_as_they_do() {
    let ten = Network::new([10, 0, 0, 0].into(), 8);
    assert!(ten.contains([10, 255, 0, 1].into()) && !ten.contains([11, 0, 0, 1].into()));
    assert!(
        ten.contains("::ffff:10.0.0.1".parse().unwrap()),
        "a mapped address"
    );
    assert!(!ten.contains("a00::".parse().unwrap()));
    let one = Network::new("2001:db8::7".parse().unwrap(), 128);
    assert!(one.contains("2001:db8::7".parse().unwrap()));
    assert!(!one.contains("2001:db8::6".parse().unwrap()));
    let all = Network::new([0; 4].into(), 0);
    assert!(all.contains([255; 4].into()) && !all.contains("::1".parse().unwrap()));
    let site = Network::new("2001:db8::".parse().unwrap(), 33);
    assert!(site.contains("2001:db8:7fff::1".parse().unwrap()));
    assert!(!site.contains("2001:db8:8000::1".parse().unwrap()));
}

#[test]
fn any_bytes_are_parsed_without_harm() {
    for seed in seeds(2_000) {
        let mut rng = Rng::new(seed);
        let start = rng.pick(&[
            &b""[..],
            b"PROXY ",
            b"PROXY TCP4 ",
            b"PROXY UNKNOWN ",
            SIGNATURE,
        ]);
        let len = rng.below(64);
        let rest: Vec<_> = (0..len).map(|_| rng.next() as u8).collect();
        fuzz_proxy(&[start, &rest].concat());
    }
}

/// What a client sends, and what is to come of it.
struct Case<'a> {
    /// Written one after the other, each when the one before has gone.
    parts: &'a [&'a [u8]],
    /// The peer that the server sees if it is not the client itself, and what it receives; `None`
    /// if nothing opens.
    seen: Option<(Option<&'a str>, &'a [u8])>,
}

impl Case<'_> {
    fn run<P: Platform + 'static, B: Bed<P = Proxied<'static, P>>>(&self, bed: &mut B) {
        let mut server = Side::new(bed, 0);
        let mut client = Side::new(bed, 1);
        client.lp.platform_mut().send_header(None);
        let (_, addr) = server.listen(bed, 1);
        let id = client.connect(addr, 2).unwrap();
        let long = bed.long().min(Duration::from_secs(60));
        let both = &mut [&mut server, &mut client];
        for (part, index) in self.parts.iter().zip(0..) {
            let is_out = run_until(bed, both, long, |sides| {
                let talk = sides[1].script.talks.get(&id);
                talk.is_some_and(|talk| talk.sent == talk.to_send.len())
            });
            assert!(is_out, "part {index} goes out");
            if both[1].script.closed(id).is_none() {
                both[1].say(id, part);
                run_for(bed, both, Duration::from_millis(3));
            }
        }
        if self.seen.is_none() && both[1].script.closed(id).is_none() {
            both[1].finish(id);
        }
        let came = run_until(bed, both, long, |sides| match self.seen {
            Some((_, data)) => {
                let id = sides[0].script.opened(0);
                id.is_some_and(|id| sides[0].script.received(id) == data)
            }
            None => sides[1].script.closed(id).is_some(),
        });
        assert!(came, "{:?}\n{:?}", both[0].script, both[1].script);
        let server = &mut *both[0];
        let Some((peer, _)) = self.seen else {
            assert_eq!(server.script.opened(0), None);
            assert_eq!(server.lp.platform().invalid(), 1);
            return;
        };
        let Some(&Event::Open(id, 1, Some(got))) = server.script.events().next() else {
            panic!("{:?}", server.script);
        };
        let asked = server.net().peer_addr(id).and_then(|peer| peer.ip());
        assert_eq!(asked, Some(got));
        match peer {
            Some(peer) => assert_eq!(got, addr_of(peer)),
            None => assert_ne!(got.port(), 0),
        }
    }

    fn on_sim(&self) {
        on_proxied_sim(|bed| self.run(bed));
    }

    fn on_all(&self) {
        self.on_sim();
        on_proxied_linux(|bed| self.run(bed));
    }
}

fn addr_of(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.9 56324 443\r\n";

#[test]
fn a_connection_opens_with_the_address_of_the_client() {
    let all = [LINE, b"hello"].concat();
    let (whole, cut) = (
        &[&all[..]],
        [&all[..3], &all[3..20], &all[20..42], &all[42..]],
    );
    for parts in [&whole[..], &cut] {
        let seen = Some((Some("192.0.2.7:56324"), &b"hello"[..]));
        Case { parts, seen }.on_all();
    }
    let v6: Vec<_> = (1..=36).collect();
    let header = binary(0x21, 0x21, &v6);
    let seen = Some((
        Some("[102:304:506:708:90a:b0c:d0e:f10]:8482"),
        &b"hello"[..],
    ));
    Case {
        parts: &[&header[..13], &header[13..], b"hello"],
        seen,
    }
    .on_all();
}

/// Everything behind the header is the stream, also if it looks like one.
#[test]
fn what_follows_a_header_is_data() {
    let seen = Some((Some("192.0.2.7:56324"), LINE));
    Case {
        parts: &[&[LINE, LINE].concat()],
        seen,
    }
    .on_all();
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_peer() {
    for header in [binary(0x20, 0, &[]), b"PROXY UNKNOWN\r\n".to_vec()] {
        let seen = Some((None, &b"alive?"[..]));
        Case {
            parts: &[&header, b"alive?"],
            seen,
        }
        .on_all();
    }
}

#[test]
fn a_connection_without_a_valid_header_never_opens() {
    for parts in [
        &[&b"GET / HTTP/1.1\r\n\r\n"[..]][..],
        &[b"PROXY TCP4 1.2.3.4", b" 1.2.3.4 1 65536\r\n"],
        &[SIGNATURE, &[0x31, 0x11, 0, 12], &[0; 12]],
        &[b""],
    ] {
        Case { parts, seen: None }.on_all();
    }
}

/// One who ends within a header is let go, at once or when the time to open is over, and costs no
/// more than a few looks.
#[test]
fn a_header_that_ends_too_early_never_opens() {
    let parts = &[b"PROXY TCP4 1.2.3.4".as_slice()];
    Case { parts, seen: None }.on_sim();
}

/// A platform with its own sockets, for what needs a layer of a certain kind.
fn with_layer(
    make: impl Fn(Linux) -> Proxied<'static, Linux>,
) -> (Side<Proxied<'static, Linux>>, SocketAddr) {
    let mut server = Side::with::<8>(0, make(Linux::new().unwrap()), 4_096, 0);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, 1).unwrap();
    let addr = server.net().listening_addr(listener).unwrap();
    (server, addr)
}

/// Polls the server until `done`.
fn poll_until(
    server: &mut Side<Proxied<'static, Linux>>,
    done: impl Fn(&Side<Proxied<'static, Linux>>) -> bool,
) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !done(server) {
        assert!(std::time::Instant::now() < end, "{:?}", server.script);
        let until = server
            .lp
            .platform()
            .now()
            .saturating_add(Duration::from_millis(10));
        server.lp.poll(&mut server.script, Some(until)).unwrap();
    }
}

#[test]
fn who_is_not_trusted_is_reset() {
    let (mut server, addr) = with_layer(|linux| Proxied::new(linux, &[]));
    let mut client = TcpStream::connect(addr).unwrap();
    let _ = client.write_all(LINE);
    poll_until(&mut server, |server| server.lp.platform().invalid() == 1);
    assert_eq!(server.script.opened(0), None);
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn who_is_not_trusted_may_come_directly() {
    let (mut server, addr) =
        with_layer(|linux| Proxied::new(linux, &[]).with_untrusted(Untrusted::Direct));
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(LINE).unwrap();
    poll_until(&mut server, |server| {
        let id = server.script.opened(0);
        id.is_some_and(|id| server.script.received(id) == LINE)
    });
    let own = client.local_addr().unwrap();
    assert!(
        server
            .script
            .events()
            .any(|event| matches!(event, Event::Open(_, 1, peer) if *peer == Some(own)))
    );
}

const LOCAL: &[Network] = &[Network::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    8,
)];

#[test]
fn values_are_kept_where_there_is_room() {
    let places: &'static mut [ProxyPlace] = Box::leak(Box::new([ProxyPlace::EMPTY; 8]));
    let places = std::cell::Cell::new(Some(places));
    let (mut server, addr) =
        with_layer(|linux| Proxied::new(linux, LOCAL).with_values(places.take().unwrap()));
    let values = [&[0x01, 0, 2][..], b"h2", &[0x02, 0, 7], b"example"].concat();
    let header = binary(0x21, 0x11, &[&[9; 12][..], &values].concat());
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(&header).unwrap();
    poll_until(&mut server, |server| server.script.opened(0).is_some());
    let id = server.script.opened(0).unwrap();
    let values: Vec<_> = server.lp.platform().values(id).collect();
    assert_eq!(values, [(1, &b"h2"[..]), (2, b"example")]);
    // Of a header longer than a place, the addresses count.
    let long = binary(
        0x21,
        0x11,
        &[&[9; 12][..], &[4, 1, 244], &[0; 500]].concat(),
    );
    let mut second = TcpStream::connect(addr).unwrap();
    second.write_all(&long).unwrap();
    poll_until(&mut server, |server| server.script.opened(1).is_some());
    let id = server.script.opened(1).unwrap();
    assert_eq!(server.lp.platform().values(id).count(), 0);
    let mut net = server.net();
    let (_, socket) = net.platform_socket(id).unwrap();
    let both = addr_of("9.9.9.9:2313");
    assert_eq!(socket.header().addresses, Some((both, both)));
}

/// As a sender: the header comes before all that the program sends, of either version.
#[test]
fn connects_begin_with_a_header() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (mut client, _) = with_layer(|linux| Proxied::new(linux, &[]));
    let header = ProxyHeader::between(addr("192.0.2.7:56324"), addr("192.0.2.9:443"));
    for version in [ProxyVersion::One, ProxyVersion::Two] {
        client
            .lp
            .platform_mut()
            .send_header(Some((header, version)));
        let id = client.connect(at, 2).unwrap();
        poll_until(&mut client, |client| client.script.talks.contains_key(&id));
        client.say(id, b"hello");
        assert_eq!(
            client.net().peer_addr(id).and_then(|peer| peer.ip()),
            Some(at)
        );
        client.finish(id);
        let (mut server, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        server.read_to_end(&mut bytes).unwrap();
        let front = bytes.strip_suffix(b"hello").unwrap();
        assert_eq!(whole(front), header);
    }
    let mixed = ProxyHeader::between(addr("192.0.2.7:56324"), addr("[::1]:443"));
    client
        .lp
        .platform_mut()
        .send_header(Some((mixed, ProxyVersion::Two)));
    assert_eq!(client.connect(at, 2), Err(Error::Invalid));
}

/// Below TLS: the header goes before the handshake, both ways are secured, and the proxy's word on
/// the client is known when the handshake is done.
#[test]
#[cfg(feature = "tls")]
fn it_is_below_tls() {
    usockets_tests::bed::on_secured_proxied(|bed| {
        let mut pair = Pair::open(bed);
        let (accepted, connected) = (pair.accepted, pair.connected);
        pair.client.say(connected, b"hello");
        pair.until(bed, |server, _| {
            server.script.received(accepted) == b"hello"
        });
        pair.server.say(accepted, b"welcome");
        pair.until(bed, |_, client| {
            client.script.received(connected) == b"welcome"
        });
    });
}
