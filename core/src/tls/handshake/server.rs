//! The server's side of the handshake (RFC 8446, section 4).

use crate::tls::alert::Alert;
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Role, State};
use crate::tls::crypto::provider::{Crypto, Group, Hasher, SHARE_MAX, Scheme, Shared, Suite};
use crate::tls::handshake::auth::{self, Step, content, put_message};
use crate::tls::handshake::config::{ClientAuth, Mismatch, Setup};
use crate::tls::handshake::exchange::{Exchange, Handshake};
use crate::tls::handshake::extension::{self, fragment_len};
use crate::tls::handshake::hello::{ClientHello, RETRY, TLS12, TLS13};
use crate::tls::handshake::ticket;
use crate::tls::record::protection::{Content, Keys, PLAINTEXT_MAX};
use crate::tls::record::schedule::finished;
use crate::tls::wire::Output;

pub(crate) const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const ENCRYPTED_EXTENSIONS: u8 = 8;

/// Most bytes of early data that are skipped: the most a client sends to a server whose tickets
/// allow none, before it learns that, is what another server allowed. Two full records.
const EARLY_MAX: usize = 2 * PLAINTEXT_MAX;

impl Connection {
    /// Reads a `ClientHello` and answers with a `ServerHello` or a `HelloRetryRequest`.
    pub(crate) fn on_client_hello<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let hello = ClientHello::parse(content(message))?;
        let suite = choose_suite(&hello)?;
        let is_second = self.state == State::AwaitSecondClientHello;
        if is_second {
            check_second(&hello, exchange, suite == self.suite)?;
            exchange.end_early();
        } else {
            self.suite = suite;
            if let Some(peer) = &mut setup.peer {
                peer.clear();
            }
            exchange.transcript = C::Hasher::new(suite.hash());
            exchange.set_session_id(hello.session_id);
            exchange.set_random(hello.random);
            if hello.early_data {
                exchange.early_left = EARLY_MAX;
            }
        }
        let group = choose_group::<C>(&hello)?;
        self.choose_identity(setup, exchange, &hello)?;
        self.choose_protocol(setup, &hello)?;
        let Some(share) = hello.share(group.code())? else {
            if is_second {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
            return self.ask_again(exchange, group, message, out);
        };
        if is_second && group.code() != exchange.group {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        exchange.group = group.code();
        self.limit_records(exchange, &hello);
        exchange.wants_tickets = hello.psk_with_exchange;
        let psk = ticket::find(setup, exchange, &hello, message, suite)?;
        exchange.transcript.update(message);
        exchange.is_resumed = psk.is_some();
        if psk.is_none() {
            exchange.authenticated_at = setup.crypto.unix_seconds();
        }
        self.is_resumed = psk.is_some();

        let mut shared = Shared::EMPTY;
        let mut ours = [0; SHARE_MAX];
        let len = setup.crypto.answer(group, share, &mut ours, &mut shared)?;
        let ours = ours.get(..len).ok_or(Alert::INTERNAL_ERROR)?;
        let mut random = [0; 32];
        setup.crypto.random(&mut random)?;
        self.put_hello(exchange, &random, out, |out| {
            extension::put(out, extension::KEY_SHARE, |out| {
                out.u16(group.code())?;
                out.vector16(|out| out.put(ours))
            })?;
            match psk {
                Some(index) => extension::put(out, extension::PRE_SHARED_KEY, |out| out.u16(index)),
                None => Ok(()),
            }
        })?;
        if !is_second {
            put_change(exchange, out)?;
        }
        self.start_keys(setup.crypto, exchange, &shared);
        Ok(Step::Flight)
    }

    /// Answers a hello without a usable key share: asks for one of `group`.
    fn ask_again<C: Crypto>(
        &mut self,
        exchange: &mut Exchange<C>,
        group: Group,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        exchange.transcript.update(message);
        exchange.wrap_transcript(self.suite.hash());
        exchange.group = group.code();
        self.put_hello(exchange, &RETRY, out, |out| {
            extension::put(out, extension::KEY_SHARE, |out| out.u16(group.code()))
        })?;
        put_change(exchange, out)?;
        self.state = State::AwaitSecondClientHello;
        Ok(Step::Next)
    }

    /// Adds a `ServerHello`, or a `HelloRetryRequest`, in a record of its own.
    fn put_hello<C: Crypto>(
        &self,
        exchange: &mut Exchange<C>,
        random: &[u8; 32],
        out: &mut Output<'_>,
        extensions: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
    ) -> Result<(), Alert> {
        let mut id = [0; 32];
        let id_len = exchange.session_id().len();
        for (target, source) in id.iter_mut().zip(exchange.session_id()) {
            *target = *source;
        }
        let id = id.get(..id_len).unwrap_or_default();
        out.put(&[Content::Handshake.code(), 3, 3])?;
        out.vector16(|out| {
            put_message(out, exchange, SERVER_HELLO, |out| {
                out.u16(TLS12)?;
                out.put(random)?;
                out.vector8(|out| out.put(id))?;
                out.u16(self.suite.code())?;
                out.u8(0)?;
                out.vector16(|out| {
                    extension::put(out, extension::SUPPORTED_VERSIONS, |out| out.u16(TLS13))?;
                    extensions(out)
                })
            })
        })
    }

    fn choose_identity<C: Crypto>(
        &self,
        setup: &Setup<'_, C>,
        exchange: &mut Exchange<C>,
        hello: &ClientHello<'_>,
    ) -> Result<(), Alert> {
        let name = hello.server_name;
        if !exchange.set_name(name.unwrap_or_default()) {
            return Err(Alert::DECODE_ERROR);
        }
        // Asked once before, so that an absent list is distinguished from an unsuitable one.
        hello.offers_scheme(0)?;
        let knows = |scheme: Scheme| matches!(hello.offers_scheme(scheme.code()), Ok(true));
        let chosen = setup.config.server.choose(name, knows);
        exchange.identity = chosen.map_err(|mismatch| match mismatch {
            Mismatch::Name => Alert::UNRECOGNIZED_NAME,
            Mismatch::Scheme => Alert::HANDSHAKE_FAILURE,
        })?;
        let server = &setup.config.server;
        exchange.uses_name = name.is_some_and(|name| server.is_named(exchange.identity, name));
        Ok(())
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

    /// Obeys the client's limit of record sizes (RFC 8449; RFC 6066, section 4).
    fn limit_records<C: Crypto>(&mut self, exchange: &mut Exchange<C>, hello: &ClientHello<'_>) {
        if let Some(limit) = hello.record_size_limit {
            exchange.record_size_limit = true;
            // The limit counts the content type.
            self.limit = limit.saturating_sub(1).min(self.limit);
        } else if let Some(code) = hello.max_fragment_length {
            self.fragment = code;
            self.limit = fragment_len(code).min(self.limit);
        }
    }

    /// Reads the client's `Finished`: the connection is open.
    pub(crate) fn on_client_finished<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        self.check_finished(exchange, message)?;
        let secret = match exchange.is_requested {
            true => &exchange.client_secret,
            false => &self.receive.secret(),
        };
        self.receive = Keys::new::<C>(self.suite, secret);
        self.state = State::Open;
        if let Some(peer) = &mut setup.peer {
            match exchange.was_parked {
                true => peer.set_known(),
                false => peer.set(self, exchange),
            }
        }
        ticket::send(self, setup, exchange, out)?;
        Ok(Step::Next)
    }
}

/// Makes the server's flight after the hello, from `EncryptedExtensions` to before `Finished`.
pub(crate) fn answer<C: Crypto>(
    connection: &Connection,
    setup: &Setup<'_, C>,
    handshake: &mut Handshake<C>,
) -> Result<(), Alert> {
    let Handshake { message, exchange } = handshake;
    let mut flight = message.output();
    let server = &setup.config.server;
    put_extensions(connection, server.protocols, exchange, &mut flight)?;
    if !exchange.is_resumed {
        let identity = server.identity(exchange.identity, exchange.name());
        let identity = identity.ok_or(Alert::INTERNAL_ERROR)?;
        if !matches!(identity.client_auth, ClientAuth::Off) {
            auth::put_request(&mut flight, exchange)?;
            exchange.is_requested = true;
        }
        auth::put_certificate(&mut flight, exchange, Some(&identity))?;
        let hash = connection.suite.hash();
        auth::put_verify(&mut flight, exchange, Role::Server, hash, identity.signer)?;
    }
    let len = flight.len();
    message.set_unsent(len);
    Ok(())
}

/// Takes the keys that follow the server's flight.
///
/// If the client shows no certificate, its `Finished` is known by now. It is computed here, and
/// all that depends on it, so that the transcript is not needed any more.
pub(crate) fn follow<C: Crypto>(
    connection: &mut Connection,
    setup: &mut Setup<'_, C>,
    exchange: &mut Exchange<C>,
) {
    connection.state = match exchange.is_requested {
        true => State::AwaitCertificate,
        false => State::AwaitFinished,
    };
    let [client, server] = connection.data_secrets(setup.crypto, exchange);
    connection.send = Keys::new::<C>(connection.suite, &server);
    if exchange.is_requested {
        exchange.client_secret = client;
        return;
    }
    let hash = connection.suite.hash();
    let transcript = exchange.transcript.digest();
    exchange.verify_data = finished::<C::Hasher>(hash, &connection.receive.secret(), &transcript);
    exchange.is_finished_known = true;
    connection.receive.set_next_secret(client);
    let content = exchange.verify_data.get(hash);
    let len = u8::try_from(content.len()).unwrap_or_default();
    exchange.transcript.update(&[auth::FINISHED, 0, 0, len]);
    exchange.transcript.update(content);
    ticket::prepare(connection.suite, setup, exchange);
    if let Some(peer) = &mut setup.peer {
        peer.set(connection, exchange);
        peer.set_unknown();
    }
}

fn put_extensions<C: Crypto>(
    connection: &Connection,
    protocols: &[&[u8]],
    exchange: &mut Exchange<C>,
    out: &mut Output<'_>,
) -> Result<(), Alert> {
    let chosen = connection.protocol().and_then(|index| protocols.get(index));
    let limited = exchange.record_size_limit;
    let uses_name = exchange.uses_name;
    let code = connection.fragment;
    put_message(out, exchange, ENCRYPTED_EXTENSIONS, |out| {
        out.vector16(|out| {
            if uses_name {
                // RFC 6066, section 3: so that the client knows.
                extension::put(out, extension::SERVER_NAME, |_| Ok(()))?;
            }
            if let Some(protocol) = chosen {
                extension::put_protocols(out, core::iter::once(*protocol))?;
            }
            if limited {
                // Our own limit is the protocol's, and counts the content type.
                let own = u16::try_from(PLAINTEXT_MAX).unwrap_or(u16::MAX);
                extension::put(out, extension::RECORD_SIZE_LIMIT, |out| {
                    out.u16(own.saturating_add(1))
                })?;
            } else if code != 0 {
                extension::put(out, extension::MAX_FRAGMENT_LENGTH, |out| out.u8(code))?;
            }
            Ok(())
        })
    })
}

/// Adds a change-cipher-spec record if the client is in middlebox compatibility mode (RFC 8446,
/// appendix D.4).
fn put_change<C: Crypto>(exchange: &Exchange<C>, out: &mut Output<'_>) -> Result<(), Alert> {
    if exchange.session_id().is_empty() {
        return Ok(());
    }
    out.put(&[Content::ChangeCipherSpec.code(), 3, 3, 0, 1, 1])
}

/// Chooses the first suite of the client that we know: all are good, and the client knows best
/// what it does fast.
fn choose_suite(hello: &ClientHello<'_>) -> Result<Suite, Alert> {
    hello
        .suites()
        .find_map(|code| Suite::ALL.iter().find(|suite| suite.code() == code))
        .copied()
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

/// Checks that a second hello is what a `HelloRetryRequest` asked for (RFC 8446, section 4.1.2).
fn check_second<C: Crypto>(
    hello: &ClientHello<'_>,
    exchange: &Exchange<C>,
    same_suite: bool,
) -> Result<(), Alert> {
    if !same_suite
        || hello.early_data
        || hello.session_id != exchange.session_id()
        || hello.server_name.unwrap_or_default() != exchange.name()
        || hello.shares_count()? != 1
    {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    Ok(())
}
