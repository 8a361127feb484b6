//! Proving who one is: `Certificate`, `CertificateVerify`, `Finished` (RFC 8446, section 4.4).

use subtle::ConstantTimeEq;

use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::verify::{Chain, Subject};
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Role, State};
use crate::tls::crypto::provider::{
    Crypto, HASH_MAX, HashAlgorithm, Hasher, Scheme, Secret, SignatureId, Signer,
};
use crate::tls::crypto::signature::scheme_of;
use crate::tls::handshake::config::{ClientAuth, Identity, Setup};
use crate::tls::handshake::exchange::{Exchange, Handshake, MESSAGE_HEADER};
use crate::tls::handshake::extension;
use crate::tls::record::schedule::finished;
use crate::tls::wire::{Output, Reader};

pub(crate) const CERTIFICATE: u8 = 11;
pub(crate) const CERTIFICATE_REQUEST: u8 = 13;
pub(crate) const CERTIFICATE_VERIFY: u8 = 15;
pub(crate) const FINISHED: u8 = 20;

/// Bytes of a `CertificateVerify` and a `Finished` besides the signature.
const SIGNATURE_EXTRA: usize = 2 * MESSAGE_HEADER + 4 + HASH_MAX;

/// What to do with a message that has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Forget it.
    Next,
    /// Keep it: the next message refers to it.
    Keep,
    /// Forget it; answer with a flight.
    Flight,
    /// Keep it and come back to it later: as many signatures as may be have been verified.
    Pause,
}

impl Connection {
    /// Returns whether the keys change with the message that may come now.
    pub(crate) const fn awaits_change(&self) -> bool {
        let is_hello = matches!(
            self.state,
            State::AwaitClientHello
                | State::AwaitSecondClientHello
                | State::AwaitServerHello
                | State::AwaitSecondServerHello
        );
        is_hello || matches!(self.state, State::AwaitFinished)
    }

    /// Reads the peer's `Certificate` and verifies the chain, perhaps in several calls.
    pub(crate) fn on_certificate<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        let chain = Chain::parse(content(message))?;
        let identity = setup
            .config
            .server
            .identity(exchange.identity, exchange.name());
        let roots = match (self.role, identity) {
            (Role::Client, _) if chain.is_empty() => return Err(Alert::DECODE_ERROR),
            (Role::Client, _) => setup.config.client.roots,
            (Role::Server, None) => return Err(Alert::INTERNAL_ERROR),
            (Role::Server, Some(identity)) if chain.is_empty() => {
                if !matches!(identity.client_auth, ClientAuth::Requested(_)) {
                    return Err(self.refuse_certificate(CertificateError::Missing));
                }
                exchange.transcript.update(message);
                self.state = State::AwaitFinished;
                return Ok(Step::Next);
            }
            (Role::Server, Some(identity)) => identity.client_auth.roots(),
        };
        let (name, path, pace) = exchange.verification();
        let subject = match self.role {
            Role::Client => Subject::Server(name),
            Role::Server => Subject::Client,
        };
        let verified = chain.verify(setup.crypto, roots, subject, path, || pace.may_verify());
        match verified {
            Ok(Some(not_after)) => exchange.not_after = not_after,
            Ok(None) => return Ok(Step::Pause),
            Err(error) => return Err(self.refuse_certificate(error)),
        }
        exchange.authenticated_at = setup.crypto.unix_seconds();
        exchange.transcript.update(message);
        self.state = State::AwaitVerify;
        Ok(Step::Keep)
    }

    /// Notes what is wrong with the peer's certificates; returns the alert.
    fn refuse_certificate(&mut self, error: CertificateError) -> Alert {
        self.certificate_error = error.number();
        error.alert()
    }

    /// Reads the peer's `CertificateVerify`, which follows the `Certificate` in `kept`.
    pub(crate) fn on_verify<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        kept: &[u8],
        message: &[u8],
    ) -> Result<Step, Alert> {
        if !exchange.pace.may_verify() {
            return Ok(Step::Pause);
        }
        let mut reader = Reader::new(content(message));
        let scheme = Scheme::from_code(reader.u16()?);
        let signature = reader.vector16()?;
        reader.end()?;
        let digest = exchange.transcript.digest();
        let signed = Signed::new(self.role.other(), digest.get(self.suite.hash()));
        let chain = Chain::parse(content(kept))?;
        chain.verify_signature::<C>(scheme, signed.get(), signature)?;
        if let (Some(peer), Some(certificate)) = (&mut setup.peer, chain.own()) {
            peer.set_certificate::<C::Hasher>(certificate);
        }
        exchange.transcript.update(message);
        exchange.is_authenticated = true;
        self.state = State::AwaitFinished;
        Ok(Step::Next)
    }

    /// Checks the peer's `Finished` and adds it to the transcript.
    pub(crate) fn check_finished<C: Crypto>(
        &self,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<(), Alert> {
        let hash = self.suite.hash();
        let content = content(message);
        if content.len() != hash.digest_len() {
            return Err(Alert::DECODE_ERROR);
        }
        if !exchange.is_finished_known {
            let transcript = exchange.transcript.digest();
            exchange.verify_data = finished::<C::Hasher>(hash, &self.receive.secret(), &transcript);
            exchange.transcript.update(message);
        }
        if !bool::from(exchange.verify_data.get(hash).ct_eq(content)) {
            return Err(Alert::DECRYPT_ERROR);
        }
        Ok(())
    }
}

impl<C: Crypto> Handshake<C> {
    /// Hands over the signature that [`Signer::begin`] was asked for under `id`; an empty one
    /// gives up. `false`, and nothing happened, if the handshake waits for no such signature or
    /// has no room for it.
    ///
    /// [`Connection::receive`] then goes on, with any input.
    ///
    /// [`Signer::begin`]: crate::tls::Signer::begin
    #[must_use]
    pub fn supply(&mut self, id: SignatureId, signature: &[u8]) -> bool {
        let Self { message, exchange } = self;
        if id == SignatureId::NONE || exchange.signing != id {
            return false;
        }
        let mut out = message.flight_output();
        let room = signature.len().saturating_add(SIGNATURE_EXTRA);
        if out.room() < room {
            return false;
        }
        let scheme = exchange.scheme;
        let written = put_signature(&mut out, exchange, scheme, |out| out.put(signature));
        let len = out.len();
        exchange.signing = SignatureId::NONE;
        exchange.is_unsigned = signature.is_empty() || written.is_err();
        message.set_unsent(len);
        true
    }
}

/// Returns a message's content, without its header.
pub(crate) fn content(message: &[u8]) -> &[u8] {
    message.get(MESSAGE_HEADER..).unwrap_or_default()
}

/// Adds a handshake message whose content `body` writes, and hashes it.
pub(crate) fn put_message<C: Crypto>(
    out: &mut Output<'_>,
    exchange: &mut Exchange<C>,
    kind: u8,
    body: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    let start = out.len();
    out.u8(kind)?;
    out.vector24(body)?;
    exchange.transcript.update(out.written(start)?);
    Ok(())
}

/// Adds a `CertificateRequest`.
pub(crate) fn put_request<C: Crypto>(
    out: &mut Output<'_>,
    exchange: &mut Exchange<C>,
) -> Result<(), Alert> {
    put_message(out, exchange, CERTIFICATE_REQUEST, |out| {
        out.u8(0)?;
        out.vector16(put_schemes::<C>)
    })
}

/// Adds the extension with the schemes we can verify.
pub(crate) fn put_schemes<C: Crypto>(out: &mut Output<'_>) -> Result<(), Alert> {
    extension::put(out, extension::SIGNATURE_ALGORITHMS, |out| {
        out.vector16(|out| {
            for algorithm in C::ALGORITHMS {
                if let Some(scheme) = scheme_of(*algorithm) {
                    out.u16(scheme.code())?;
                }
            }
            Ok(())
        })
    })
}

/// Adds our `Certificate`: the chain of `identity`, or an empty one.
pub(crate) fn put_certificate<C: Crypto>(
    out: &mut Output<'_>,
    exchange: &mut Exchange<C>,
    identity: Option<&Identity<'_>>,
) -> Result<(), Alert> {
    put_message(out, exchange, CERTIFICATE, |out| {
        out.u8(0)?;
        out.vector24(|out| {
            for certificate in identity.map(|identity| identity.chain).unwrap_or_default() {
                out.vector24(|out| out.put(certificate))?;
                out.u16(0)?;
            }
            Ok(())
        })
    })
}

/// Adds our `CertificateVerify`, or notes in the exchange that its signature comes later.
pub(crate) fn put_verify<C: Crypto>(
    out: &mut Output<'_>,
    exchange: &mut Exchange<C>,
    role: Role,
    hash: HashAlgorithm,
    signer: &dyn Signer,
) -> Result<(), Alert> {
    let digest = exchange.transcript.digest();
    let signed = Signed::new(role, digest.get(hash));
    let id = SignatureId::of(digest.get(hash));
    let scheme = signer.scheme();
    if signer.begin(id, signed.get()) {
        exchange.signing = id;
        exchange.scheme = scheme;
        return Ok(());
    }
    put_signature(out, exchange, scheme, |out| {
        let len = signer
            .sign(signed.get(), out.spare())
            .ok_or(Alert::INTERNAL_ERROR)?;
        out.commit(len)
    })
}

/// Adds a `CertificateVerify` whose signature `body` writes.
pub(crate) fn put_signature<C: Crypto>(
    out: &mut Output<'_>,
    exchange: &mut Exchange<C>,
    scheme: Scheme,
    body: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    put_message(out, exchange, CERTIFICATE_VERIFY, |out| {
        out.u16(scheme.code())?;
        out.vector16(body)
    })
}

/// Adds our `Finished`; `base` is the traffic secret of our handshake keys.
pub(crate) fn put_finished<C: Crypto>(
    out: &mut Output<'_>,
    exchange: &mut Exchange<C>,
    hash: HashAlgorithm,
    base: &Secret,
) -> Result<(), Alert> {
    let transcript = exchange.transcript.digest();
    let content = finished::<C::Hasher>(hash, base, &transcript);
    put_message(out, exchange, FINISHED, |out| out.put(content.get(hash)))
}

/// Bytes in front of the digest in what a `CertificateVerify` signs.
const SIGNED_PREFIX: usize = 64 + 34;

/// What a `CertificateVerify` signs (RFC 8446, section 4.4.3).
pub(crate) struct Signed {
    bytes: [u8; SIGNED_PREFIX + HASH_MAX],
    len: usize,
}

impl Signed {
    pub(crate) fn new(role: Role, digest: &[u8]) -> Self {
        let context: &[u8; 34] = match role {
            Role::Server => b"TLS 1.3, server CertificateVerify\0",
            Role::Client => b"TLS 1.3, client CertificateVerify\0",
        };
        let mut bytes = [0x20; SIGNED_PREFIX + HASH_MAX];
        let tail = bytes.iter_mut().skip(64);
        for (target, source) in tail.zip(context.iter().chain(digest)) {
            *target = *source;
        }
        let len = SIGNED_PREFIX.saturating_add(digest.len());
        Self { bytes, len }
    }

    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
