//! Second hellos, which `HelloRetryRequest` asks for (RFC 8446, section 4.1.4).

use sha2::{Digest, Sha256};
use usockets::tls::{ClientConfig, Config, ServerConfig};
use usockets_tests_tls::puppet::{HANDSHAKE, Puppet, extension, message, record, vector16};
use usockets_tests_tls::{Authority, Kind, Ours};

/// Where the length of a `ClientHello`'s extensions is, in the record that carries it.
fn extensions_at(hello: &[u8]) -> usize {
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    at + 1 + usize::from(hello[at])
}

/// Makes a `HelloRetryRequest`, in a record, with `extensions` besides the version.
fn retry(hello: &[u8], extensions: &[u8]) -> Vec<u8> {
    let at = 5 + 4 + 2 + 32;
    let id = &hello[at..at + 1 + usize::from(hello[at])];
    let extensions = vector16(&[&extension(43, &[3, 4]), extensions].concat());
    // Its random is the hash of its name (RFC 8446, section 4.1.3).
    let random = Sha256::digest(b"HelloRetryRequest");
    let body = [&[3, 3], &random[..], id, &[0x13, 1, 0], &extensions].concat();
    record(HANDSHAKE, &message(2, &body))
}

/// A server that asks for nothing but a cookie gets the same hello and the cookie (RFC 8446,
/// section 4.1.2), with the same share of a key.
#[test]
fn a_cookie_is_all_that_is_added() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots).protocols(&[b"x"]));
    let mut client = Ours::client(1, &config, "localhost");
    let first = core::mem::take(&mut client.output);
    let cookie = extension(44, &vector16(b"crumbs"));
    client.feed(&config, &retry(&first, &cookie));
    assert_eq!(client.broken, None);
    let change = [20, 3, 3, 0, 1, 1];
    let mut second = client.output.strip_prefix(&change).unwrap().to_vec();
    let at = second.windows(cookie.len()).position(|part| part == cookie);
    let at = at.expect("the cookie");
    second.drain(at..at + cookie.len());
    let lengths = extensions_at(&first);
    assert_eq!(lengths, extensions_at(&second));
    let len = |hello: &[u8]| usize::from(u16::from_be_bytes([hello[lengths], hello[lengths + 1]]));
    assert_eq!(len(&second), len(&first) + cookie.len());
    assert_eq!(second[9..lengths], first[9..lengths]);
    assert_eq!(second[lengths + 2..], first[lengths + 2..]);
    // Asked for nothing, or for what it has sent, it does not say the same again.
    let share = extension(51, &[0, 0x1d]);
    for extensions in [&[][..], &share] {
        let mut client = Ours::client(1, &config, "localhost");
        let hello = core::mem::take(&mut client.output);
        client.feed(&config, &retry(&hello, extensions));
        assert!(client.broken.is_some());
    }
}

/// What a second hello does not offer any more is not chosen.
#[test]
fn a_protocol_that_is_not_offered_again_is_not_chosen() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities).protocols(&[b"y", b"x"]));
    let offer = extension(16, &vector16(b"\x01x"));
    for (again, chosen) in [(Some(offer.clone()), Some(1)), (None, None)] {
        let (_, mut first) = Puppet::client("localhost", std::slice::from_ref(&offer));
        // A share of a group that nobody knows.
        let share = [0, 36, 0, 0x1d, 0, 32];
        let at = first.windows(6).position(|part| part == share).unwrap();
        first[at + 2] = 0x77;
        let mut server = Ours::server(3);
        server.feed(&config, &first);
        let (_, second) = Puppet::client("localhost", again.as_slice());
        server.feed(&config, &second);
        assert_eq!(server.broken, None);
        assert!(
            server.output.windows(2).any(|part| part == [23, 3]),
            "a flight"
        );
        assert_eq!(server.connection.protocol(), chosen);
    }
}
