//! TLS over a platform that answers anything, and its engine alone.

use core::fmt::Write;
use core::slice::from_ref;

use usockets::tls::{
    ClientAuth, ClientConfig, Config, Connection, Crypto, Event, ExchangePlace, Group, Handshake,
    HandshakeFailure, HashAlgorithm, Identity, ObserveHandshakes, OcspPolicy, Output, ParkingPlace,
    Peer, Pem, Received, Scheme, ServerConfig, Session, Setup, SignatureId, Suite, TicketKeys, Tls,
    TlsMemory, TrustAnchor,
};
use usockets::{Error, Platform, SocketId, Sockets};

use crate::anything::{self, Anything};
use crate::cryptography::{Any, alert};
use crate::hidden::{bytes, fill, hidden, len, long, text, word, yes};
use crate::outside::{Layer, Outside, Sink, duration};

/// The cryptography.
#[cfg(not(feature = "rustcrypto"))]
type Provider = Any;
/// The cryptography.
#[cfg(feature = "rustcrypto")]
type Provider = usockets::tls::RustCrypto<Any>;

static ANY: Any = Any;
static CONFIG: Config<'static> = Config::new(ServerConfig::new(&[]), ClientConfig::new(&[]));

static mut SOCKETS: Sockets<Tls<'static, Outside<false>, Provider>, Anything, 64> = Sockets::new();
static mut MEMORY: TlsMemory<Provider, 64, 2, 2, 2> = TlsMemory::NEW;
static mut HANDSHAKE: Handshake<Provider> = Handshake::EMPTY;
static mut PARKING: [ParkingPlace; 3] = [const { ParkingPlace::EMPTY }; 3];
static mut EXCHANGES: [ExchangePlace<Provider>; 3] = [const { ExchangePlace::EMPTY }; 3];
static mut SESSIONS: [[Session; 2]; 2] = [const { [const { Session::EMPTY }; 2] }; 2];
static mut PEERS: [[Peer; 2]; 2] = [const { [const { Peer::EMPTY }; 2] }; 2];
static mut RECORDS: [[u8; 16_720]; 2] = [[0; 16_720]; 2];

/// Makes any calls of any of it.
pub fn run(receive: &'static mut [u8], cork: &'static mut [u8]) -> Result<(), Error> {
    // SAFETY: the only place that names the statics, and it is entered once.
    let (sockets, memory, handshake, sessions, peers, records, parking, exchanges) = unsafe {
        (
            &mut *&raw mut SOCKETS,
            &mut *&raw mut MEMORY,
            &mut *&raw mut HANDSHAKE,
            &mut *&raw mut SESSIONS,
            &mut *&raw mut PEERS,
            &mut *&raw mut RECORDS,
            &mut *&raw mut PARKING,
            &mut *&raw mut EXCHANGES,
        )
    };
    let ([input, output], [own, lent]) = (records, sessions);
    let [[peer, _], others] = peers;
    texts(input);
    engine(provider(), handshake, own, peer, input, output);
    let layer = layer(Outside::<false>, provider(), memory, lent, parking)
        .with_exchange_parking(exchanges)
        .with_peers(others);
    let layer = match yes() {
        true => layer.with_secured_inserts(),
        false => layer,
    };
    anything::run(layer, sockets, receive, cork)
}

#[cfg(not(feature = "rustcrypto"))]
fn provider() -> Provider {
    Any
}

#[cfg(feature = "rustcrypto")]
fn provider() -> Provider {
    Provider::new(Any)
}

/// A configuration of which nothing is known: any lists of any lengths.
fn config() -> &'static Config<'static> {
    hidden(&CONFIG)
}

/// Any number of them.
fn configs() -> &'static [Config<'static>] {
    hidden(from_ref(&CONFIG))
}

/// Makes a layer.
fn layer<P: Platform, C: Crypto>(
    platform: P,
    crypto: C,
    memory: &'static mut TlsMemory<C, 64, 2, 2, 2>,
    sessions: &'static mut [Session],
    parking: &'static mut [ParkingPlace],
) -> Tls<'static, P, C> {
    let layer = match yes() {
        true => Tls::new(platform, crypto, config(), memory),
        false => Tls::with_configs(platform, crypto, configs(), memory),
    };
    let layer = layer.with_parking(parking);
    layer.with_lease_max(duration()).with_sessions(sessions)
}

impl<P: Layer, C: Crypto> Layer for Tls<'static, P, C> {
    fn call(&mut self) {
        match word() {
            0 => {
                let socket = hidden(Self::CLOSED);
                if socket.is_secure() {
                    facts(socket.connection());
                }
            }
            1 => _ = self.supply(SignatureId::from_bits(long()), bytes()),
            2 => match yes() {
                true => self.set_config(config()),
                false => self.set_configs(configs()),
            },
            3 => self.inner_mut().call(),
            4 => _ = self.inner().now(),
            5 => _ = (self.handshakes(), self.breaches()),
            6 => {
                let peer = SocketId::from_bits(long()).and_then(|id| self.peer(id));
                let _ = peer.map(Peer::is_known);
            }
            _ => {
                if let Some(session) = self.sessions_mut().get_mut(len()) {
                    session.clear();
                }
            }
        }
    }
}

fn policy<'a>(anchors: &'a [TrustAnchor<'a>]) -> ClientAuth<'a> {
    match word() {
        0 => ClientAuth::Off,
        1 => ClientAuth::Requested(anchors),
        _ => ClientAuth::Required(anchors),
    }
}

fn ocsp_policy() -> OcspPolicy {
    match word() {
        0 => OcspPolicy::Off,
        1 => OcspPolicy::Requested,
        _ => OcspPolicy::Required,
    }
}

/// Makes any call about an identity.
fn facts_of<C: Crypto>(identity: &Identity<'_>, crypto: &C, anchors: &[TrustAnchor<'_>]) {
    let _ = identity
        .check(crypto, anchors)
        .map_err(|error| write!(Sink, "{error}"));
    let _ = identity.certificate_names().last();
}

/// Makes any call of the engine, at any time.
fn engine<C: Crypto>(
    mut crypto: C,
    handshake: &mut Handshake<C>,
    sessions: &mut [Session],
    peer: &mut Peer,
    input: &mut [u8],
    output: &mut [u8],
) {
    let anchors = config().client.roots;
    let tickets = TicketKeys::new(hidden([0; 32]), word()).with_previous(hidden([1; 32]));
    let (chain, names, protocols) = (hidden(&[][..]), hidden(&[][..]), hidden(&[][..]));
    let policy = policy(anchors);
    let (response, revoked) = (hidden(&[][..]), hidden(&[][..]));
    let identity = Identity::new(chain, &ANY).names(names).client_auth(policy);
    let identity = identity.ocsp(response).revoked(revoked);
    facts_of(&identity, &crypto, anchors);
    let identities = [identity];
    let server = ServerConfig::new(&identities).protocols(protocols);
    let server = server.known_names_only(yes());
    let server = server.missing(&ANY).tickets(&tickets);
    let client = ClientConfig::new(anchors).protocols(protocols);
    let client = client.identity(&identity).ocsp(ocsp_policy());
    let client = client.revoked(revoked);
    let config = match word() {
        0 => Config::server(server),
        1 => Config::client(client),
        _ => Config::new(server, client),
    };
    let config = config.observer(&ANY);
    let mut setup = Setup {
        crypto: &mut crypto,
        config: &config,
        sessions,
        peer: Some(peer),
    };
    let mut out = Output::new(output);
    let mut connection = Connection::server();
    for _ in 0..long() {
        match word() {
            0 => {
                if let Ok(client) = Connection::client(&mut setup, handshake, text(), &mut out) {
                    connection = client;
                }
            }
            1 => {
                let lent = yes().then_some(&mut *handshake);
                fill(input);
                let front = input.get_mut(..len()).unwrap_or_default();
                if let Ok(received) = connection.receive(&mut setup, lent, front, &mut out) {
                    data(received, input);
                }
            }
            2 => _ = connection.send(setup.crypto, bytes(), &mut out),
            3 => _ = connection.update_keys(setup.crypto, yes(), &mut out),
            4 => _ = connection.send_alert(setup.crypto, alert(), &mut out),
            5 => {
                let mut key = [0; 64];
                let key = key.get_mut(..len()).unwrap_or_default();
                let _ = handshake.export(&connection, bytes(), bytes(), key);
            }
            6 => _ = handshake.supply(SignatureId::from_bits(long()), bytes()),
            7 => handshake.reset(),
            8 => _ = write!(Sink, "{}", alert()),
            9 => setup.peer.iter_mut().for_each(|peer| know::<C>(peer)),
            _ => facts(&connection),
        }
        let _ = handshake.server_name().len();
        let _ = (out.is_empty(), out.room(), out.len(), out.filled().len());
    }
}

/// Looks at the plaintext that came.
fn data(received: Received, input: &[u8]) {
    match received.event {
        Event::Data { start, len } => {
            let end = start.saturating_add(len);
            let _ = input.get(start..end).map(|data| data.first());
        }
        Event::Failed(alert) => _ = write!(Sink, "{} {}", alert.name(), alert.code()),
        _ => {}
    }
}

/// Asks all that a handshake tells of a peer.
fn know<C: Crypto>(peer: &mut Peer) {
    let mut key = [0; 64];
    let key = key.get_mut(..len()).unwrap_or_default();
    let _ = peer.export::<C::Hasher>(bytes(), bytes(), key);
    let _ = peer.is_known() | peer.is_authenticated() | peer.is_resumed();
    let lens = [
        peer.certificate().map(<[u8]>::len),
        peer.fingerprint().map(|digest| digest.len()),
        peer.public_key().map(<[u8]>::len),
        peer.subject().map(<[u8]>::len),
        Some(peer.server_name().len()),
    ];
    let _ = (lens, peer.suite(), peer.group().map(Group::code));
    for name in peer.dns_names() {
        let _ = write!(Sink, "{name}");
    }
    peer.clear();
}

impl ObserveHandshakes for Any {
    fn on_failure(&self, failure: &HandshakeFailure) {
        let _ = write!(Sink, "{failure}");
    }
}

fn facts(connection: &Connection) {
    if let Some(error) = connection.certificate_error() {
        let _ = write!(Sink, "{error}{}", error.alert());
    }
    let suite = connection.suite();
    let _ = (
        suite.code(),
        suite.key_len(),
        suite.hash().digest_len(),
        suite.hash().block_len(),
    );
    let known = Suite::ALL.iter().any(|known| *known == suite);
    let _ = (known, connection.protocol(), connection.owes_update());
    let _ = connection.is_client() | connection.is_open() | connection.is_ended();
    let _ = connection.lacks_room() | connection.is_resumed() && Scheme::from_code(0).code() == 0;
    let _ = HashAlgorithm::Sha256.digest_len();
}

/// Reads certificates in text.
fn texts(memory: &mut [u8]) {
    let mut pem = Pem::new(bytes());
    while let Ok(Some(found)) = pem.next(text(), memory) {
        fill(found);
    }
}
