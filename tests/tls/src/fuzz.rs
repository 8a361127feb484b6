//! Bodies for fuzzers. Each takes any bytes and panics only if something is wrong.

use std::sync::OnceLock;

use usockets::tls::{ClientAuth, ClientConfig, Config, ServerConfig, TicketKeys, TrustAnchor};

use crate::puppet::{DATA, HANDSHAKE, Puppet, message};
use crate::{Authority, Broken, Kind, Leaf, Ours};

/// Identities, made once per process.
struct Cast {
    roots: Vec<TrustAnchor<'static>>,
    server: Leaf,
    person: Leaf,
    tickets: TicketKeys,
}

fn with_config(f: impl FnOnce(&Config<'_>, &Leaf)) {
    static CAST: OnceLock<Cast> = OnceLock::new();
    let cast = CAST.get_or_init(|| {
        let authority = Authority::new(Kind::Ed25519);
        Cast {
            roots: authority.anchors(),
            server: authority.issue(Kind::Ed25519, &["localhost"]),
            person: authority.issue(Kind::Ed25519, &["person"]),
            tickets: TicketKeys::new([4; 32], 1_000),
        }
    });
    let slices = cast.server.slices();
    let policy = ClientAuth::Requested(&cast.roots);
    let identities = [
        cast.server.identity(&slices).client_auth(policy),
        cast.server.identity(&slices).names(&["open"]),
    ];
    let server = ServerConfig::new(&identities)
        .protocols(&[b"h2", b"x"])
        .tickets(&cast.tickets);
    let person_slices = cast.person.slices();
    let person = cast.person.identity(&person_slices);
    let client = ClientConfig::new(&cast.roots)
        .protocols(&[b"x"])
        .identity(&person);
    f(&Config::new(server, client), &cast.server);
}

/// Feeds a server that waits for a hello, or for the answer to its flight.
pub fn fuzz_tls_server(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    with_config(|config, _| {
        let mut server = Ours::server(u64::from(*mode));
        if mode % 2 == 1 {
            let (_, hello) = Puppet::client("localhost", &[]);
            server.feed(config, &hello);
            assert_eq!(server.broken, None);
        }
        server.feed(config, bytes);
        // It takes keys that nobody gave to the bytes to open it.
        assert_eq!(server.opened, 0);
    });
}

/// Feeds a client that waits for a server's hello.
pub fn fuzz_tls_client(bytes: &[u8]) {
    with_config(|config, _| {
        let mut client = Ours::client(1, config, "localhost");
        client.feed(config, bytes);
        assert_eq!(client.opened, 0);
    });
}

/// Feeds a client with handshake messages from one that has the keys but no certificate: each
/// byte below 128 is the length of a message that follows, any other ends a record.
pub fn fuzz_tls_client_messages(bytes: &[u8]) {
    with_config(|config, leaf| {
        let mut client = Ours::client(1, config, "localhost");
        let hello = core::mem::take(&mut client.output);
        let (mut puppet, answer) = Puppet::server(&hello);
        client.feed(config, &answer);
        let mut rest = bytes;
        let mut record = Vec::new();
        while let Some((len, after)) = rest.split_first() {
            let (made, after) = match len {
                0..=127 => {
                    let (body, after) = after.split_at(after.len().min(usize::from(*len)));
                    let (kind, body) = body.split_first().unwrap_or((&0, &[]));
                    (message(*kind, body), after)
                }
                128 => (crate::puppet::certificate(&leaf.chain), after),
                129 => (puppet.finished(), after),
                130..=200 => {
                    let sealed = puppet.seal_as(HANDSHAKE, &record);
                    client.feed(config, &sealed);
                    record.clear();
                    (Vec::new(), after)
                }
                _ => {
                    let sealed = puppet.seal_as(len ^ DATA, &record);
                    client.feed(config, &sealed);
                    record.clear();
                    (Vec::new(), after)
                }
            };
            puppet.note(&made);
            record.extend_from_slice(&made);
            rest = after;
        }
        let sealed = puppet.seal_as(HANDSHAKE, &record);
        client.feed(config, &sealed);
        assert_eq!(client.opened, 0, "without a signature");
    });
}

/// Runs two of ours over pipes that deliver as the bytes say, next to a model of the streams.
pub fn fuzz_tls_pair(bytes: &[u8]) {
    with_config(|config, _| {
        let mut client = Ours::client(1, config, "localhost");
        let mut server = Ours::server(2);
        let mut sent = [Vec::new(), Vec::new()];
        let mut updates = [0; 2];
        let mut pipes = [Vec::new(), Vec::new()];
        for pair in bytes.chunks(2) {
            let &[op, size] = pair else { break };
            let size = usize::from(size);
            let side = usize::from(op & 1);
            let own = if side == 0 { &mut client } else { &mut server };
            match op >> 1 & 7 {
                0..=3 => {
                    let other = if side == 0 { &mut server } else { &mut client };
                    let pipe: &mut Vec<u8> = &mut pipes[side];
                    let count = pipe.len().min(size * size / 4 + 1);
                    let piece: Vec<u8> = pipe.drain(..count).collect();
                    other.feed(config, &piece);
                    updates[side] = 0;
                }
                4..=5 if own.connection.is_open() => {
                    let data: Vec<u8> = (0..size * size).map(|n| (n ^ size) as u8).collect();
                    own.send(&data);
                    sent[side].extend_from_slice(&data);
                }
                6 if own.connection.is_open() && updates[side] < 8 => {
                    own.update_keys(size % 2 == 0);
                    updates[side] += 1;
                }
                _ => {}
            }
            pipes[0].append(&mut client.output);
            pipes[1].append(&mut server.output);
        }
        // Whatever came first, everything arrives in the end.
        for _ in 0..8 {
            pipes[0].append(&mut client.output);
            pipes[1].append(&mut server.output);
            let up = core::mem::take(&mut pipes[0]);
            server.feed(config, &up);
            let down = core::mem::take(&mut pipes[1]);
            client.feed(config, &down);
        }
        for (end, stream) in [(&client, &sent[1]), (&server, &sent[0])] {
            assert_eq!(end.broken, None::<Broken>);
            assert_eq!(end.opened, 1);
            assert!(end.data == *stream, "the stream differs");
        }
    });
}
