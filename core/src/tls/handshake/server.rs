//! The server's side of the handshake (RFC 8446, section 4).

use crate::tls::alert::Alert;
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Role, State};
use crate::tls::crypto::provider::{Crypto, Group, HASH_MAX, SHARE_MAX, Scheme, Shared, Suite};
use crate::tls::handshake::auth::{self, Shown, Step};
use crate::tls::handshake::config::{ClientAuth, Mismatch, Setup};
use crate::tls::handshake::exchange::{
    Agreed, Answering, Asked, Common, EarlyData, Exchange, Expected, Proof, Retried, Server,
    ServerStage, SessionId, Side,
};
use crate::tls::handshake::extension::{self, fragment_len};
use crate::tls::handshake::hello::{ClientHello, RETRY, TLS12, TLS13};
use crate::tls::handshake::message::{
    self, ENCRYPTED_EXTENSIONS, FINISHED, MESSAGE_HEADER, SERVER_HELLO, content, put_message,
};
use crate::tls::handshake::ticket;
use crate::tls::handshake::transcript::Transcript;
use crate::tls::record::protection::{Keys, PLAINTEXT_MAX};
use crate::tls::wire::Output;

/// Most bytes of early data that are skipped: the most a client sends to a server whose tickets
/// allow none, before it learns that, is what another server allowed. Two full records.
const EARLY_MAX: u16 = 32_768;
const _: () = assert!(2 * PLAINTEXT_MAX == 32_768, "two full records");

impl Connection {
    /// Reads a `ClientHello` and answers with a `ServerHello` or a `HelloRetryRequest`.
    #[inline(never)]
    pub(crate) fn on_client_hello<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let hello = ClientHello::parse(content(message))?;
        let suite = choose_suite(&hello)?;
        let (retried, early) = self.begin_hello(setup, exchange, &hello, suite)?;
        let common = &mut exchange.common;
        let group = choose_group::<C>(&hello)?;
        let (identity, scheme, is_named) = choose_identity(setup, common, &hello)?;
        self.choose_protocol(setup, &hello)?;
        let session_id = SessionId::of(hello.session_id);
        let Some(share) = find_share(&hello, group, retried)? else {
            let retried = Retried { session_id, group };
            return self.ask_again(exchange, early, retried, message, out);
        };
        self.limit_by(&hello);
        let psk = ticket::find(setup, common, identity, &hello, message, suite)?;
        common.transcript.update(message);
        self.is_resumed = psk.is_some();

        let mut shared = Shared::EMPTY;
        let mut ours = [0; SHARE_MAX];
        let len = setup.crypto.answer(group, share, &mut ours, &mut shared)?;
        let ours = ours.get(..len).ok_or(Alert::INTERNAL_ERROR)?;
        let mut random = [0; 32];
        setup.crypto.random(&mut random)?;
        self.put_hello(common, &session_id, &random, out, |out| {
            extension::put(out, extension::KEY_SHARE, |out| {
                out.u16(group.code())?;
                out.vector16(|out| out.put(ours))
            })?;
            match &psk {
                Some(psk) => {
                    extension::put(out, extension::PRE_SHARED_KEY, |out| out.u16(psk.index))
                }
                None => Ok(()),
            }
        })?;
        if retried.is_none() {
            put_change(&session_id, out)?;
        }
        let key = psk.as_ref().map(|psk| &psk.key);
        let authenticated_at = psk.as_ref().map(|psk| psk.authenticated_at);
        let schedule = self.start_keys(setup.crypto, common, key, &shared);
        let answering = Answering {
            agreed: Agreed {
                schedule,
                group,
                proof: Proof::None,
            },
            identity,
            scheme,
            is_named,
            wants_status: hello.status_request,
            limits_records: hello.record_size_limit.is_some(),
            wants_ticket: hello.psk_with_exchange,
            asks_client: false,
            authenticated_at: authenticated_at.unwrap_or_else(|| setup.crypto.unix_seconds()),
        };
        exchange.side = Side::Server(Server {
            early,
            stage: ServerStage::Answering(answering),
        });
        Ok(Step::Flight)
    }

    /// Takes what a hello begins with, and checks a second one; returns what that had to be like,
    /// and what early data may be there to be skipped.
    fn begin_hello<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        hello: &ClientHello<'_>,
        suite: Suite,
    ) -> Result<(Option<Retried>, EarlyData), Alert> {
        let common = &mut exchange.common;
        match (&exchange.side, self.state) {
            (Side::None, State::AwaitClientHello) => {
                self.suite = suite;
                if let Some(peer) = &mut setup.peer {
                    peer.clear();
                }
                common.transcript = Transcript::new(suite.hash());
                common.set_random(hello.random);
                let early = match hello.early_data {
                    true => EarlyData::Skipped(EARLY_MAX),
                    false => EarlyData::None,
                };
                Ok((None, early))
            }
            (
                Side::Server(Server {
                    early,
                    stage: ServerStage::Retried(retried),
                }),
                State::AwaitSecondClientHello,
            ) => {
                check_second(hello, common, retried, suite == self.suite)?;
                Ok((Some(*retried), early.after_second_hello()))
            }
            // Not the handshake that the connection began with.
            _ => Err(Alert::INTERNAL_ERROR),
        }
    }

    /// Answers a hello without a usable key share: asks for one of the group.
    #[inline(never)]
    fn ask_again<C: Crypto>(
        &mut self,
        exchange: &mut Exchange<C>,
        early: EarlyData,
        retried: Retried,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let common = &mut exchange.common;
        common.transcript.update(message);
        common.transcript.wrap(self.suite.hash());
        self.put_hello(common, &retried.session_id, &RETRY, out, |out| {
            let code = retried.group.code();
            extension::put(out, extension::KEY_SHARE, |out| out.u16(code))
        })?;
        put_change(&retried.session_id, out)?;
        exchange.side = Side::Server(Server {
            early,
            stage: ServerStage::Retried(retried),
        });
        self.state = State::AwaitSecondClientHello;
        Ok(Step::Next)
    }

    /// Adds a `ServerHello`, or a `HelloRetryRequest`.
    fn put_hello<C: Crypto>(
        &self,
        common: &mut Common<C>,
        session_id: &SessionId,
        random: &[u8; 32],
        out: &mut Output<'_>,
        extensions: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        message::put_hello(out, 3, |out| {
            put_message(out, &mut common.transcript, SERVER_HELLO, |out| {
                out.u16(TLS12)?;
                out.put(random)?;
                out.vector8(|out| out.put(session_id.get()))?;
                out.u16(self.suite.code())?;
                out.u8(0)?;
                out.vector16(|out| {
                    extension::put(out, extension::SUPPORTED_VERSIONS, |out| out.u16(TLS13))?;
                    extensions(out)
                })
            })
        })
    }

    /// Chooses the first of our protocols that the client speaks (RFC 7301, section 3.2).
    fn choose_protocol<C: Crypto>(
        &mut self,
        setup: &Setup<'_, C>,
        hello: &ClientHello<'_>,
    ) -> Result<(), Alert> {
        let mut has_choice = false;
        // Of a first hello, that another has followed.
        self.protocol = 0;
        for (protocol, index) in setup.config.server.protocols.iter().zip(1..=u8::MAX) {
            match hello.offers_protocol(protocol) {
                None => return Ok(()),
                Some(true) => {
                    self.protocol = index;
                    return Ok(());
                }
                Some(false) => has_choice = true,
            }
        }
        if has_choice {
            return Err(Alert::NO_APPLICATION_PROTOCOL);
        }
        Ok(())
    }

    /// Obeys the client's limits of record sizes (RFC 8449; RFC 6066, section 4).
    fn limit_by(&mut self, hello: &ClientHello<'_>) {
        if let Some(limit) = hello.record_size_limit {
            self.limit_records(limit);
        } else if let Some(code) = hello.max_fragment_length {
            self.fragment = code;
            self.limit = fragment_len(code).min(self.limit);
        }
    }

    /// Reads the client's `Finished`: the connection is open.
    #[inline(never)]
    pub(crate) fn on_client_finished<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let (common, server) = exchange.server()?;
        match &server.stage {
            ServerStage::Expecting { expected, .. } | ServerStage::Unparked(expected) => {
                self.check_finished(&expected.verify_data, message)?;
                self.receive = Keys::new::<C>(self.suite, &self.receive.secret());
                if let Some(peer) = &mut setup.peer {
                    peer.set_known();
                }
                ticket::send(self, setup, expected, out)?;
            }
            ServerStage::Asked(asked) => {
                let expected = self.peer_finished::<C>(&common.transcript.digest());
                self.check_finished(&expected, message)?;
                self.receive = Keys::new::<C>(self.suite, &asked.secret);
                if let Some(peer) = &mut setup.peer {
                    peer.set(self, common.name.get(), &asked.agreed, &asked.exporter);
                }
            }
            ServerStage::Retried(_) | ServerStage::Answering(_) | ServerStage::Open { .. } => {
                return Err(Alert::INTERNAL_ERROR);
            }
        }
        if let ServerStage::Expecting { exporter, .. }
        | ServerStage::Asked(Asked { exporter, .. }) = &server.stage
        {
            let exporter = exporter.clone();
            server.stage = ServerStage::Open { exporter };
        }
        self.state = State::Open;
        Ok(Step::Next)
    }
}

/// Makes the server's flight after the hello, from `EncryptedExtensions` to before `Finished`.
pub(crate) fn put_flight<C: Crypto>(
    connection: &Connection,
    setup: &Setup<'_, C>,
    exchange: &mut Exchange<C>,
    flight: &mut Output<'_>,
) -> Result<(), Alert> {
    let (common, server) = exchange.server()?;
    let ServerStage::Answering(answering) = &mut server.stage else {
        return Err(Alert::INTERNAL_ERROR);
    };
    let config = &setup.config.server;
    put_extensions(connection, config.protocols, common, answering, flight)?;
    if connection.is_resumed {
        return Ok(());
    }
    let identity = config.identity(answering.identity, common.name.get());
    let identity = identity.ok_or(Alert::INTERNAL_ERROR)?;
    if !matches!(identity.client_auth, ClientAuth::Off) {
        auth::put_request(flight, common)?;
        answering.asks_client = true;
    }
    let now = setup.crypto.unix_seconds();
    let is_shown =
        |response: &&[u8]| answering.wants_status && identity.shows_status::<C>(response, now);
    let shown = Shown {
        identity: &identity,
        scheme: answering.scheme,
        ocsp: identity.ocsp.filter(is_shown),
    };
    let hash = connection.suite.hash();
    auth::put_proof(flight, common, Role::Server, hash, Some(&shown))
}

/// Takes the keys that follow the server's flight.
///
/// If the client is asked for no certificate, its `Finished` is known by now. It is computed here,
/// and all that depends on it, so that the transcript is not needed any more.
pub(crate) fn follow<C: Crypto>(
    connection: &mut Connection,
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
) -> Result<(), Alert> {
    let (common, server) = exchange.server()?;
    let ServerStage::Answering(answering) = &server.stage else {
        return Err(Alert::INTERNAL_ERROR);
    };
    let digest = common.transcript.digest();
    let secrets = connection.data_secrets(setup.crypto, common, &answering.agreed, &digest);
    connection.send = Keys::new::<C>(connection.suite, &secrets.server);
    if answering.asks_client {
        server.stage = ServerStage::Asked(Asked {
            agreed: answering.agreed.clone(),
            identity: answering.identity,
            secret: secrets.client,
            exporter: secrets.exporter,
        });
        connection.state = State::AwaitCertificate;
        return Ok(());
    }
    let hash = connection.suite.hash();
    let verify_data = connection.peer_finished::<C>(&digest);
    connection.receive.set_next_secret(secrets.client);
    let content = verify_data.get(hash);
    let mut room = [0; MESSAGE_HEADER + HASH_MAX];
    put_message(
        &mut Output::new(&mut room),
        &mut common.transcript,
        FINISHED,
        |out| out.put(content),
    )?;
    if let Some(peer) = &mut setup.peer {
        let agreed = &answering.agreed;
        peer.set(connection, common.name.get(), agreed, &secrets.exporter);
        peer.set_unknown();
    }
    let expected = Expected {
        ticket: ticket::prepare(hash, setup, common, answering),
        verify_data,
        authenticated_at: answering.authenticated_at,
    };
    server.stage = ServerStage::Expecting {
        expected,
        exporter: secrets.exporter,
    };
    connection.state = State::AwaitFinished;
    Ok(())
}

fn put_extensions<C: Crypto>(
    connection: &Connection,
    protocols: &[&[u8]],
    common: &mut Common<C>,
    answering: &Answering,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let chosen = connection.protocol().and_then(|index| protocols.get(index));
    let code = connection.fragment;
    put_message(out, &mut common.transcript, ENCRYPTED_EXTENSIONS, |out| {
        out.vector16(|out| {
            if answering.is_named {
                // RFC 6066, section 3: so that the client knows.
                extension::put(out, extension::SERVER_NAME, |_| Ok(()))?;
            }
            if let Some(protocol) = chosen {
                extension::put_protocols(out, core::iter::once(*protocol))?;
            }
            if answering.limits_records {
                extension::put_record_size_limit(out)?;
            } else if code != 0 {
                extension::put(out, extension::MAX_FRAGMENT_LENGTH, |out| out.u8(code))?;
            }
            Ok(())
        })
    })
}

/// Adds a change-cipher-spec record if the client is in middlebox compatibility mode (RFC 8446,
/// appendix D.4).
fn put_change(session_id: &SessionId, out: &mut Output<'_>) -> Result<(), Alert> {
    match session_id.get().is_empty() {
        true => Ok(()),
        false => message::put_change(out),
    }
}

/// Keeps the name that the client asks for and chooses an identity; returns its index, the scheme
/// of its signature, and whether it was chosen by the name.
fn choose_identity<C: Crypto>(
    setup: &Setup<'_, C>,
    common: &mut Common<C>,
    hello: &ClientHello<'_>,
) -> Result<(usize, Scheme, bool), Alert> {
    let name = hello.server_name;
    if !common.name.set(name.unwrap_or_default()) {
        return Err(Alert::DECODE_ERROR);
    }
    let schemes = hello.schemes()?;
    let server = &setup.config.server;
    let (identity, scheme) = server
        .choose(name, |signer| auth::choose_scheme(signer, schemes))
        .map_err(|mismatch| match mismatch {
            Mismatch::Name => Alert::UNRECOGNIZED_NAME,
            Mismatch::Scheme => Alert::HANDSHAKE_FAILURE,
        })?;
    let is_named = name.is_some_and(|name| server.is_named(identity, name));
    Ok((identity, scheme, is_named))
}

/// Chooses the first suite of the client that we know: all are good, and the client knows best
/// what it does fast.
fn choose_suite(hello: &ClientHello<'_>) -> Result<Suite, Alert> {
    hello
        .suites()
        .find_map(Suite::from_code)
        .ok_or(Alert::HANDSHAKE_FAILURE)
}

/// Chooses a group that the client sent a share of, or else knows; our preferred first.
fn choose_group<C: Crypto>(hello: &ClientHello<'_>) -> Result<Group, Alert> {
    let mut known = None;
    for group in C::GROUPS {
        if hello.offers_group(group.code())? {
            if hello.share(group.code())?.is_some() {
                return Ok(*group);
            }
            known = known.or(Some(*group));
        }
    }
    // Asked even if no group is known: its absence is the greater fault.
    hello.share(0)?;
    known.ok_or(Alert::HANDSHAKE_FAILURE)
}

/// Returns the client's share of the group; `None` if it is to be asked for, which a second hello
/// answers already.
fn find_share<'a>(
    hello: &ClientHello<'a>,
    group: Group,
    retried: Option<Retried>,
) -> Result<Option<&'a [u8]>, Alert> {
    let share = hello.share(group.code())?;
    match retried {
        Some(retried) if share.is_none() || group != retried.group => Err(Alert::ILLEGAL_PARAMETER),
        _ => Ok(share),
    }
}

/// Checks that a second hello is what a `HelloRetryRequest` asked for (RFC 8446, section 4.1.2).
fn check_second<C: Crypto>(
    hello: &ClientHello<'_>,
    common: &Common<C>,
    retried: &Retried,
    same_suite: bool,
) -> Result<(), Alert> {
    if !same_suite
        || hello.early_data
        || hello.session_id != retried.session_id.get()
        || hello.server_name.unwrap_or_default() != common.name.get()
        || hello.shares_count()? != 1
    {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    Ok(())
}
