//! The client that embedded-tls makes: with rustls and our own server, and with bad ones.
#![cfg(feature = "embedded")]

use std::pin::pin;
use std::sync::Arc;

use rcgen::date_time_ymd;
use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, EmbeddedClient, EmbeddedError, EmbeddedLink,
    EmbeddedState, Identity, Scheme, ServerConfig, Signer, TrustAnchor,
};
use usockets_tests_tls::puppet::{Puppet, certificate, message};
use usockets_tests_tls::{Authority, Broken, Crypto, Kind, Leaf, Machine, Ours, Theirs, group};

/// A server on two byte queues.
trait Server {
    fn feed(&mut self, bytes: &[u8]);
    fn take(&mut self) -> Vec<u8>;
}

impl Server for Theirs {
    fn feed(&mut self, bytes: &[u8]) {
        Self::feed(self, bytes);
    }

    fn take(&mut self) -> Vec<u8> {
        self.take_output()
    }
}

/// One of ours, with its configuration.
struct Own<'c>(Ours, &'c Config<'c>);

impl Server for Own<'_> {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(self.1, bytes);
    }

    fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.0.output)
    }
}

/// What a test does with its client, whatever the session's type.
trait Client {
    fn receive(&mut self, bytes: &[u8]) -> usize;
    fn transmit(&mut self, target: &mut [u8]) -> usize;
    fn write(&mut self, data: &[u8]) -> usize;
    fn read(&mut self, target: &mut [u8]) -> usize;
    fn finish(&mut self);
    fn end(&mut self);
    fn state(&self) -> EmbeddedState;
}

impl<F: Future<Output = ()>, const N: usize> Client for EmbeddedClient<'_, F, N> {
    fn receive(&mut self, bytes: &[u8]) -> usize {
        Self::receive(self, bytes)
    }
    fn transmit(&mut self, target: &mut [u8]) -> usize {
        Self::transmit(self, target)
    }
    fn write(&mut self, data: &[u8]) -> usize {
        Self::write(self, data)
    }
    fn read(&mut self, target: &mut [u8]) -> usize {
        Self::read(self, target)
    }
    fn finish(&mut self) {
        Self::finish(self);
    }
    fn end(&mut self) {
        Self::end(self);
    }
    fn state(&self) -> EmbeddedState {
        Self::state(self)
    }
}

/// Runs `script` with a client that trusts `roots` and expects `name`.
fn with_client<R>(
    roots: &[TrustAnchor<'_>],
    name: &str,
    script: impl FnOnce(&mut dyn Client) -> R,
) -> R {
    with_config(&ClientConfig::new(roots), name, script)
}

fn with_config<R>(
    config: &ClientConfig<'_>,
    name: &str,
    script: impl FnOnce(&mut dyn Client) -> R,
) -> R {
    let mut crypto = Crypto::new(Machine::new(9));
    let link = EmbeddedLink::<300>::new();
    let (mut input, mut output) = (vec![0; 16_640], vec![0; 2_048]);
    let session = pin!(link.session(&mut crypto, config, name, &mut input, &mut output));
    script(&mut EmbeddedClient::new(&link, session))
}

/// Moves bytes both ways until both are quiet; returns what the client read.
fn pump(client: &mut dyn Client, server: &mut dyn Server, chunk: usize) -> Vec<u8> {
    let (mut pending, mut data) = (Vec::new(), Vec::new());
    loop {
        let mut moved = false;
        let mut buffer = vec![0; chunk];
        loop {
            let count = client.transmit(&mut buffer);
            if count == 0 {
                break;
            }
            server.feed(&buffer[..count]);
            moved = true;
        }
        pending.extend(server.take());
        let count = client.receive(&pending[..pending.len().min(chunk)]);
        pending.drain(..count);
        moved |= count > 0;
        loop {
            let count = client.read(&mut buffer);
            if count == 0 {
                break;
            }
            data.extend_from_slice(&buffer[..count]);
            moved = true;
        }
        if !moved {
            return data;
        }
    }
}

fn rustls_server(leaf: &Leaf) -> Theirs {
    let all = rustls::crypto::ring::ALL_CIPHER_SUITES;
    let groups = [group(rustls::NamedGroup::secp256r1)];
    let server = rustls::ServerConfig::builder_with_provider(Theirs::provider(all, &groups))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.rustls_chain(), leaf.rustls_key());
    Theirs::server(Arc::new(server.unwrap()))
}

#[test]
fn data_goes_both_ways_with_rustls() {
    let root = Authority::new(Kind::P256);
    let between = root.issue_authority(Kind::P384, true);
    let roots = root.anchors();
    for kind in [Kind::P256, Kind::Ed25519] {
        for chunk in [1, 7, 4_096] {
            let leaf = between.issue(kind, &["localhost"]);
            let mut server = rustls_server(&leaf);
            with_client(&roots, "localhost", |client| {
                assert_eq!(client.write(b"early"), 0);
                pump(client, &mut server, chunk);
                assert!(matches!(client.state(), EmbeddedState::Open), "{kind:?}");
                let sent: Vec<u8> = (0..20_000_u32).map(|n| (n * 7) as u8).collect();
                let mut rest = &sent[..];
                while !rest.is_empty() {
                    let taken = client.write(rest);
                    rest = &rest[taken..];
                    pump(client, &mut server, chunk);
                }
                assert!(server.data == sent);
                server.send(&sent);
                assert!(pump(client, &mut server, chunk) == sent);
                client.finish();
                pump(client, &mut server, chunk);
                assert!(server.has_finished);
                assert!(matches!(client.state(), EmbeddedState::Finished));
            });
        }
    }
}

#[test]
fn our_own_server_speaks_with_it() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let chain = leaf.slices();
    let identities = [leaf.identity(&chain)];
    let config = Config::server(ServerConfig::new(&identities));
    let mut server = Own(Ours::server(3), &config);
    with_client(&roots, "localhost", |client| {
        pump(client, &mut server, 1_000);
        assert!(matches!(client.state(), EmbeddedState::Open));
        assert_eq!(client.write(b"hello"), 5);
        pump(client, &mut server, 1_000);
        assert_eq!(server.0.data, b"hello");
        server.0.send(b"and back");
        assert_eq!(pump(client, &mut server, 1_000), b"and back");
        server.0.finish();
        pump(client, &mut server, 1_000);
        assert!(matches!(client.state(), EmbeddedState::Finished));
        assert_eq!(server.0.broken, None);
    });
}

/// Signs nothing.
struct Mute;

impl Signer for Mute {
    fn scheme(&self) -> Scheme {
        Scheme::ECDSA_P256_SHA256
    }

    fn sign(&self, _: &[u8], _: &mut [u8]) -> Option<usize> {
        None
    }
}

#[test]
fn a_server_that_asks_is_shown_a_certificate() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let chain = leaf.slices();
    let policy = ClientAuth::Required(&roots);
    let identities = [leaf.identity(&chain).client_auth(policy)];
    let config = Config::server(ServerConfig::new(&identities));
    let ask = |client: ClientConfig<'_>| {
        let mut server = Own(Ours::server(3), &config);
        let state = with_config(&client, "localhost", |client| {
            pump(client, &mut server, 1_000);
            client.state()
        });
        (state, server.0)
    };
    for kind in [Kind::P256, Kind::Ed25519] {
        let person = authority.issue(kind, &["person"]);
        let chain = person.slices();
        let identity = person.identity(&chain);
        let (state, server) = ask(ClientConfig::new(&roots).identity(&identity));
        assert!(matches!(state, EmbeddedState::Open), "{kind:?}: {state:?}");
        assert!(server.connection.is_open(), "{kind:?}");
    }

    let (_, server) = ask(ClientConfig::new(&roots));
    let refusal = Some(Broken::Sent(Alert::CERTIFICATE_REQUIRED));
    assert_eq!(server.broken, refusal);
    let (person, mute) = (authority.issue(Kind::P256, &["person"]), Mute);
    let chain = person.slices();
    let identity = Identity::new(&chain, &mute);
    let (state, server) = ask(ClientConfig::new(&roots).identity(&identity));
    let unsigned = matches!(
        state,
        EmbeddedState::Failed(EmbeddedError::Refused(Alert::INTERNAL_ERROR))
    );
    assert!(unsigned, "{state:?}");
    assert!(!server.connection.is_open());
}

fn refused(leaf: &Leaf, roots: &[TrustAnchor<'_>], name: &str, alert: Alert) {
    let mut server = rustls_server(leaf);
    with_client(roots, name, |client| {
        pump(client, &mut server, 1_000);
        match client.state() {
            EmbeddedState::Failed(EmbeddedError::Refused(told)) => assert_eq!(told, alert),
            other => panic!("{other:?}"),
        }
        assert_eq!(client.write(b"nothing"), 0);
    });
    assert!(!server.is_open());
}

#[test]
fn bad_identities_are_refused() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    refused(&leaf, &roots, "other.example", Alert::CERTIFICATE_UNKNOWN);
    let strangers = Authority::new(Kind::P256).anchors();
    refused(&leaf, &strangers, "localhost", Alert::UNKNOWN_CA);
    let expired = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.not_after = date_time_ymd(2027, 1, 14);
    });
    refused(&expired, &roots, "localhost", Alert::CERTIFICATE_EXPIRED);
    let impostor = authority.issue_authority(Kind::P256, false);
    let forged = impostor.issue(Kind::P256, &["localhost"]);
    let mut server = rustls_server(&forged);
    with_client(&roots, "localhost", |client| {
        pump(client, &mut server, 1_000);
        let state = client.state();
        assert!(matches!(
            state,
            EmbeddedState::Failed(EmbeddedError::Refused(_))
        ));
    });
}

/// An end of the transport is told from one of the session.
#[test]
fn an_end_without_close_notify_is_truncation() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let mut server = rustls_server(&leaf);
    with_client(&roots, "localhost", |client| {
        pump(client, &mut server, 1_000);
        client.end();
        let state = client.state();
        assert!(matches!(
            state,
            EmbeddedState::Failed(EmbeddedError::Truncated)
        ));
    });
}

#[test]
fn records_that_cannot_be_are_stopped() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let bad: [&[u8]; 3] = [&[22, 3, 3, 0, 0], &[21, 3, 3, 0, 0], &[23, 3, 3, 0, 16]];
    for start in bad {
        with_client(&roots, "localhost", |client| {
            client.transmit(&mut [0; 2_000]);
            client.receive(start);
            let state = client.state();
            let stopped = matches!(state, EmbeddedState::Failed(EmbeddedError::Record));
            assert!(stopped, "{start:?}: {state:?}");
        });
    }
}

/// A part of a server's flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Extensions,
    Certificate,
    Verify,
    Finished,
}

/// Plays the parts, which are hashed as sent, to a client; returns its state.
fn play(leaf: &Leaf, roots: &[TrustAnchor<'_>], parts: &[Part]) -> EmbeddedState {
    with_client(roots, "localhost", |client| {
        let mut hello = vec![0; 2_000];
        let len = client.transmit(&mut hello);
        let (mut puppet, answer) = Puppet::server(&hello[..len]);
        let send = |client: &mut dyn Client, bytes: &[u8]| {
            let mut rest = bytes;
            loop {
                let taken = client.receive(rest);
                rest = &rest[taken..];
                if taken == 0 || rest.is_empty() {
                    return;
                }
            }
        };
        send(client, &answer);
        for part in parts {
            let made = match part {
                Part::Extensions => message(8, &[0, 0]),
                Part::Certificate => certificate(&leaf.chain),
                Part::Verify => puppet.verify(leaf.signer.as_ref()),
                Part::Finished => puppet.finished(),
            };
            puppet.note(&made);
            let sealed = puppet.seal(&made);
            send(client, &sealed);
        }
        client.state()
    })
}

/// Only the whole proof opens a session. (Without extensions it is as whole: they say nothing.)
#[test]
fn a_server_that_leaves_something_out_opens_nothing() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let all = [
        Part::Extensions,
        Part::Certificate,
        Part::Verify,
        Part::Finished,
    ];
    let state = play(&leaf, &roots, &all);
    assert!(matches!(state, EmbeddedState::Open), "{state:?}");
    for left_out in [Part::Certificate, Part::Verify, Part::Finished] {
        let parts: Vec<_> = all.into_iter().filter(|part| *part != left_out).collect();
        let state = play(&leaf, &roots, &parts);
        assert!(!matches!(state, EmbeddedState::Open), "{left_out:?}");
    }
    let unsigned = [Part::Extensions, Part::Finished];
    let state = play(&leaf, &roots, &unsigned);
    let unproved = matches!(state, EmbeddedState::Failed(EmbeddedError::Unproved));
    assert!(unproved, "{state:?}");
}
