//! How a record becomes messages, and messages steps. No transport is known here.

use crate::invariant::impossible;
use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::connection::event::{Event, Received};
use crate::tls::connection::state::{Connection, Failure, Role, State};
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::auth::Step;
use crate::tls::handshake::client;
use crate::tls::handshake::config::Setup;
use crate::tls::handshake::exchange::{Exchange, Handshake};
use crate::tls::handshake::extension::fragment_len;
use crate::tls::handshake::message;
use crate::tls::handshake::session::Target;
use crate::tls::record::protection::{Content, HEADER, Header};
use crate::tls::wire::{Output, part, part_mut};

/// Most change-cipher-spec records of one handshake; a peer in middlebox compatibility mode
/// sends one (RFC 8446, appendix D.4).
const CHANGES_MAX: u8 = 8;

impl Connection {
    /// Starts the client's side: writes the hello to `out`, which needs room for the names of the
    /// protocols and 1.5 KiB, or 2.5 KiB with the feature `tls-mlkem`. `handshake` is to be fresh.
    /// `name` is the DNS name or IP address that the server must prove to have.
    ///
    /// # Errors
    /// `internal_error`: `name` is neither, no authority is trusted, there are no random bytes,
    /// or `out` is too small.
    pub fn client<C: Crypto>(
        setup: &mut Setup<'_, C>,
        handshake: &mut Handshake<C>,
        name: &str,
        out: &mut Output<'_>,
    ) -> Result<Self, Alert> {
        if !handshake.expect_server(name, Target::ANY) {
            return Err(Alert::INTERNAL_ERROR);
        }
        client::start(setup, &mut handshake.exchange, out)?;
        Ok(Self::started_client())
    }

    /// Processes the record at the front of `input`, which is decrypted in place.
    ///
    /// `handshake` is needed until the connection [is open](Self::is_open), and always the same.
    /// What is to be sent is added to `out`. During the handshake it needs room for
    /// [`MESSAGE_MAX`](crate::tls::MESSAGE_MAX) and 4 KiB more, as the client may want small
    /// records; afterwards nothing is added.
    ///
    /// # Errors
    /// The alert that the peer is to be sent by [`Self::send_alert`], after what was added to
    /// `out`. The connection is then over, and every further call says the same.
    pub fn receive<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        handshake: Option<&mut Handshake<C>>,
        input: &mut [u8],
        out: &mut Output<'_>,
    ) -> Result<Received, Alert> {
        if self.state == State::Failed {
            return match self.failure {
                Failure::Sent(alert) => Err(alert),
                Failure::NoRoom => Err(Alert::DECODE_ERROR),
                Failure::Received(alert) => Ok(Received {
                    consumed: 0,
                    event: Event::Failed(alert),
                }),
            };
        }
        let received = self.receive_record(setup, handshake, input, out);
        if let Err(alert) = received {
            self.state = State::Failed;
            if !self.lacks_room() {
                self.failure = Failure::Sent(alert);
            }
        }
        received
    }

    fn receive_record<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        mut handshake: Option<&mut Handshake<C>>,
        input: &mut [u8],
        out: &mut Output<'_>,
    ) -> Result<Received, Alert> {
        if self.state == State::AwaitSignature {
            let handshake = handshake.ok_or(Alert::INTERNAL_ERROR)?;
            if !handshake.awaits_signature() {
                out.all_or_nothing(|out| self.finish_flight(setup, handshake, out))?;
            }
            return Ok(Received {
                consumed: 0,
                event: self.progress(),
            });
        }
        if let Some(handshake) = handshake.as_mut()
            && handshake.exchange.common.pace.is_paused()
        {
            self.on_whole_messages(setup, handshake, true, out)?;
            return Ok(Received {
                consumed: 0,
                event: self.progress(),
            });
        }
        let present = input.len();
        let Some(header) = Header::read(input)? else {
            return Ok(Received::incomplete(HEADER));
        };
        let consumed = HEADER.wrapping_add(header.len);
        if present < consumed {
            return Ok(Received::incomplete(consumed));
        }
        let Some((head, rest)) = input.split_first_chunk_mut::<HEADER>() else {
            impossible!("a header that was read is not there");
            return Err(Alert::INTERNAL_ERROR);
        };
        let body = part_mut(rest, ..header.len);
        let event = if self.is_ended {
            Event::Nothing
        } else {
            self.record(setup, handshake, header.content, head, body, out)?
        };
        Ok(Received { consumed, event })
    }

    /// Processes one whole record.
    fn record<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        handshake: Option<&mut Handshake<C>>,
        content: Content,
        head: &[u8; HEADER],
        body: &mut [u8],
        out: &mut Output<'_>,
    ) -> Result<Event, Alert> {
        if self.state == State::Open {
            return match content {
                Content::Data => self.protected(setup, None, head, body, out),
                _ => Err(Alert::UNEXPECTED_MESSAGE),
            };
        }
        if self.state == State::Closed {
            return Err(Alert::INTERNAL_ERROR);
        }
        let handshake = handshake.ok_or(Alert::INTERNAL_ERROR)?;
        if content != Content::Handshake && handshake.message.is_partial() && !self.can_open {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        match content {
            Content::ChangeCipherSpec => self.on_change(handshake, body),
            Content::Alert if !self.has_opened => self.on_alert(body),
            Content::Handshake if !self.can_open => self.on_messages(setup, handshake, body, out),
            Content::Data if self.can_open => {
                self.protected(setup, Some(handshake), head, body, out)
            }
            Content::Data if self.state == State::AwaitSecondClientHello => {
                handshake.exchange.skip_early(body.len())?;
                Ok(Event::Nothing)
            }
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }

    /// Checks a change-cipher-spec record, which means nothing (RFC 8446, section 5).
    fn on_change<C: Crypto>(
        &self,
        handshake: &mut Handshake<C>,
        body: &[u8],
    ) -> Result<Event, Alert> {
        let changes = handshake.exchange.common.changes;
        if body != [1] || changes >= CHANGES_MAX || self.state == State::AwaitClientHello {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        handshake.exchange.common.changes = changes.saturating_add(1);
        Ok(Event::Nothing)
    }

    /// Opens a protected record and processes what is in it.
    fn protected<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        mut handshake: Option<&mut Handshake<C>>,
        head: &[u8; HEADER],
        body: &mut [u8],
        out: &mut Output<'_>,
    ) -> Result<Event, Alert> {
        let sealed_len = body.len();
        let opened = self.receive.open(setup.crypto, self.suite, head, body);
        let (content, len) = match opened {
            Ok(opened) => opened,
            Err(Alert::BAD_RECORD_MAC) if !self.has_opened => {
                let handshake = handshake.as_mut().ok_or(Alert::BAD_RECORD_MAC)?;
                handshake.exchange.skip_early(sealed_len)?;
                return Ok(Event::Nothing);
            }
            Err(alert) => return Err(alert),
        };
        self.has_opened = true;
        if self.fragment != 0 && len > usize::from(fragment_len(self.fragment)) {
            return Err(Alert::RECORD_OVERFLOW);
        }
        let body = part(body, ..len);
        let partial = match &handshake {
            Some(handshake) => handshake.message.is_partial(),
            None => self.header_len > 0,
        };
        match content {
            Content::Handshake => match handshake {
                Some(handshake) => self.on_messages(setup, handshake, body, out),
                None => self.on_later_messages(setup, body),
            },
            _ if partial => Err(Alert::UNEXPECTED_MESSAGE),
            Content::Alert => self.on_alert(body),
            Content::Data if handshake.is_none() => self.on_data(body),
            Content::Data | Content::ChangeCipherSpec => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }

    /// Puts messages of the handshake together and processes those that are complete.
    fn on_messages<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        handshake: &mut Handshake<C>,
        bytes: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Event, Alert> {
        if bytes.is_empty() {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = handshake.message.append(rest);
            if taken == 0 {
                return Err(Alert::HANDSHAKE_FAILURE);
            }
            rest = part(rest, taken..);
            let has_stopped = self.on_whole_messages(setup, handshake, rest.is_empty(), out)?;
            if has_stopped {
                break;
            }
        }
        Ok(self.progress())
    }

    /// Processes the messages that are complete; returns true if it stopped before the last, to
    /// answer or to pause. `is_all` tells that nothing more of the record is to come.
    fn on_whole_messages<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        handshake: &mut Handshake<C>,
        is_all: bool,
        out: &mut Output<'_>,
    ) -> Result<bool, Alert> {
        handshake.exchange.common.pace.start(is_all);
        loop {
            let complete = handshake.message.complete(|kind| self.expects(kind));
            let total = match complete {
                Ok(Some(total)) => total,
                Ok(None) => return Ok(false),
                Err(alert) => return Err(self.refuse_message(handshake.message.kind(), alert)),
            };
            // RFC 8446, section 5.1: no message may span a change of keys. Before ours change,
            // so that the peer can read the alert.
            let is_last = is_all && handshake.message.ends_with(total);
            if self.awaits_change() && !is_last {
                return Err(Alert::UNEXPECTED_MESSAGE);
            }
            let (kept, message) = handshake.message.current(total);
            let exchange = &mut handshake.exchange;
            let step =
                out.all_or_nothing(|out| self.on_message(setup, exchange, kept, message, out))?;
            match step {
                Step::Keep => handshake.message.keep(total),
                Step::Next => handshake.message.consume(total),
                Step::Flight => {
                    handshake.message.consume(total);
                    out.all_or_nothing(|out| self.begin_flight(setup, handshake, out))?;
                    return Ok(true);
                }
                // What is left of the record has no place to wait.
                Step::Pause if !is_all => return Err(Alert::HANDSHAKE_FAILURE),
                Step::Pause => {
                    handshake.exchange.common.pace.pause();
                    return Ok(true);
                }
            }
        }
    }

    /// Notes that a message is longer than there is room for, if that is why it is refused, and
    /// whether the peer's certificates are; returns the alert.
    fn refuse_message(&mut self, kind: Option<u8>, alert: Alert) -> Alert {
        if alert != Alert::DECODE_ERROR {
            return alert;
        }
        self.failure = Failure::NoRoom;
        // The certificates are kept in front of what proves that they are the peer's.
        match kind {
            Some(message::CERTIFICATE | message::CERTIFICATE_VERIFY) => {
                self.refuse_certificate(CertificateError::TooLong)
            }
            _ => alert,
        }
    }

    /// Returns how far the handshake is.
    const fn progress(&self) -> Event {
        match self.state {
            State::Open => Event::Open,
            State::AwaitSignature => Event::Signing,
            _ => Event::Nothing,
        }
    }

    /// Returns whether a message of this kind may come now.
    const fn expects(&self, kind: u8) -> bool {
        match self.state {
            State::AwaitClientHello | State::AwaitSecondClientHello => {
                kind == message::CLIENT_HELLO
            }
            State::AwaitServerHello | State::AwaitSecondServerHello => {
                kind == message::SERVER_HELLO
            }
            State::AwaitExtensions => kind == message::ENCRYPTED_EXTENSIONS,
            State::AwaitRequest => {
                kind == message::CERTIFICATE_REQUEST || kind == message::CERTIFICATE
            }
            State::AwaitCertificate => kind == message::CERTIFICATE,
            State::AwaitVerify => kind == message::CERTIFICATE_VERIFY,
            State::AwaitFinished => kind == message::FINISHED,
            State::Closed | State::AwaitSignature | State::Open | State::Failed => false,
        }
    }

    // Each step is a function of its own (`inline(never)`), so that none has another's variables on
    // the stack: 1,136 bytes for a client's hello instead of 1,392 (frames of a Cortex-M3).
    fn on_message<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        kept: &[u8],
        message: &[u8],
        out: &mut Output<'_>,
    ) -> Result<Step, Alert> {
        let kind = message.first().copied();
        match (self.state, self.role) {
            (State::AwaitClientHello | State::AwaitSecondClientHello, _) => {
                self.on_client_hello(setup, exchange, message, out)
            }
            (State::AwaitServerHello | State::AwaitSecondServerHello, _) => {
                self.on_server_hello(setup, exchange, message, out)
            }
            (State::AwaitExtensions, _) => self.on_extensions(setup, exchange, message),
            (State::AwaitRequest, _) if kind == Some(message::CERTIFICATE_REQUEST) => {
                self.on_request(setup, exchange, message)
            }
            (State::AwaitRequest | State::AwaitCertificate, _) => {
                self.on_certificate(setup, exchange, message)
            }
            (State::AwaitVerify, _) => self.on_verify(setup, exchange, kept, message),
            (State::AwaitFinished, Role::Server) => {
                self.on_client_finished(setup, exchange, message, out)
            }
            (State::AwaitFinished, Role::Client) => {
                self.on_server_finished(setup, exchange, message)
            }
            (State::Closed | State::AwaitSignature | State::Open | State::Failed, _) => {
                impossible!("a message is processed that was not expected");
                Err(Alert::INTERNAL_ERROR)
            }
        }
    }
}
