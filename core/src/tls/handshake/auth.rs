//! Proving who one is: `Certificate`, `CertificateVerify`, `Finished` (RFC 8446, section 4.4).

use subtle::ConstantTimeEq;

use crate::injected_bug::injected_bug;
use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::ocsp::{OCSP, OcspPolicy, STATUS_REQUEST};
use crate::tls::certificate::verify::{Chain, Subject, Trust};
use crate::tls::connection::state::Connection;
use crate::tls::connection::state::{Role, State};
use crate::tls::crypto::provider::{
    Crypto, HASH_MAX, HashAlgorithm, Hasher, Scheme, Secret, SignatureId, Signer,
};
use crate::tls::crypto::signature::scheme_of;
use crate::tls::handshake::config::{ClientAuth, Identity, Setup};
use crate::tls::handshake::exchange::{
    Asked, Common, Exchange, Handshake, Proof, Server, ServerStage, Side, Signing,
};
use crate::tls::handshake::extension;
use crate::tls::handshake::message::{
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, FINISHED, MESSAGE_HEADER, content,
    put_message,
};
use crate::tls::handshake::session::Authentication;
use crate::tls::handshake::transcript::Transcript;
use crate::tls::record::schedule::finished;
use crate::tls::wire::{Output, Reader, numbers, part};

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
    #[inline(never)]
    pub(crate) fn on_certificate<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        message: &[u8],
    ) -> Result<Step, Alert> {
        let client = &setup.config.client;
        let is_asked = self.is_client() && client.ocsp != OcspPolicy::Off;
        let chain = Chain::parse(content(message), is_asked)?;
        let Exchange { common, side } = exchange;
        let trust = match side {
            Side::Client(_) if chain.is_empty() => return Err(Alert::DECODE_ERROR),
            Side::Client(_) => Trust {
                roots: client.roots,
                revoked: client.revoked,
                ocsp: client.ocsp,
            },
            Side::Server(Server {
                stage: ServerStage::Asked(Asked { identity, .. }),
                ..
            }) => {
                let config = &setup.config.server;
                let identity = config.identity(*identity, common.name.get());
                let identity = identity.ok_or(Alert::INTERNAL_ERROR)?;
                let client_auth = identity.client_auth;
                if chain.is_empty() {
                    if !matches!(client_auth, ClientAuth::Requested(_)) {
                        return Err(self.refuse_certificate(CertificateError::Missing));
                    }
                    common.transcript.update(message);
                    self.state = State::AwaitFinished;
                    return Ok(Step::Next);
                }
                Trust {
                    roots: client_auth.roots(),
                    revoked: identity.revoked,
                    ocsp: OcspPolicy::Off,
                }
            }
            Side::Server(_) | Side::None => return Err(Alert::INTERNAL_ERROR),
        };
        let (name, path, pace) = common.verification();
        let subject = match self.role {
            Role::Client => Subject::Server(name),
            Role::Server => Subject::Client,
        };
        let verified = chain.verify(setup.crypto, &trust, subject, path, || pace.may_verify());
        let not_after = match verified {
            Ok(Some(not_after)) => not_after,
            Ok(None) => return Ok(Step::Pause),
            Err(error) => return Err(self.refuse_certificate(error)),
        };
        let (common, agreed) = exchange.agreed()?;
        agreed.proof = Proof::Chain(Authentication {
            at: setup.crypto.unix_seconds(),
            not_after,
        });
        common.transcript.update(message);
        if injected_bug!(UnprovedKey) {
            self.state = State::AwaitFinished;
            return Ok(Step::Next);
        }
        self.state = State::AwaitVerify;
        Ok(Step::Keep)
    }

    /// Notes what is wrong with the peer's certificates; returns the alert.
    pub(crate) fn refuse_certificate(&mut self, error: CertificateError) -> Alert {
        self.certificate_error = error.number();
        error.alert()
    }

    /// Reads the peer's `CertificateVerify`, which follows the `Certificate` in `kept`.
    #[inline(never)]
    pub(crate) fn on_verify<C: Crypto>(
        &mut self,
        setup: &mut Setup<'_, C>,
        exchange: &mut Exchange<C>,
        kept: &[u8],
        message: &[u8],
    ) -> Result<Step, Alert> {
        let (common, agreed) = exchange.agreed()?;
        let Proof::Chain(authentication) = agreed.proof else {
            return Err(Alert::INTERNAL_ERROR);
        };
        if !common.pace.may_verify() {
            return Ok(Step::Pause);
        }
        let mut reader = Reader::new(content(message));
        let scheme = Scheme::from_code(reader.u16()?);
        let signature = reader.vector16()?;
        reader.end()?;
        let digest = common.transcript.digest();
        let signed = Signed::new(self.role.other(), digest.get(self.suite.hash()));
        // What may be in it has been checked when it was read.
        let chain = Chain::parse(content(kept), true)?;
        chain.verify_signature::<C>(scheme, signed.get(), signature)?;
        if let (Some(peer), Some(certificate)) = (&mut setup.peer, chain.own()) {
            peer.set_certificate::<C::Hasher>(certificate);
        }
        common.transcript.update(message);
        agreed.proof = Proof::Certificate(authentication);
        self.state = State::AwaitFinished;
        Ok(Step::Next)
    }

    /// Returns the content of the peer's `Finished` as it must be after the messages that
    /// `transcript` digests.
    pub(crate) fn peer_finished<C: Crypto>(&self, transcript: &Secret) -> Secret {
        finished::<C::Hasher>(self.suite.hash(), &self.receive.secret(), transcript)
    }

    /// Checks the peer's `Finished`, whose content must be what is expected.
    pub(crate) fn check_finished(&self, expected: &Secret, message: &[u8]) -> Result<(), Alert> {
        let expected = expected.get(self.suite.hash());
        let content = content(message);
        if content.len() != expected.len() {
            return Err(Alert::DECODE_ERROR);
        }
        match bool::from(expected.ct_eq(content)) || injected_bug!(UncheckedFinished) {
            true => Ok(()),
            false => Err(Alert::DECRYPT_ERROR),
        }
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
        let Signing::Awaited {
            id: awaited,
            scheme,
        } = exchange.common.signing
        else {
            return false;
        };
        if id != awaited {
            return false;
        }
        let mut out = message.flight_output();
        let room = signature.len().saturating_add(SIGNATURE_EXTRA);
        if out.room() < room {
            return false;
        }
        let common = &mut exchange.common;
        let transcript = &mut common.transcript;
        let written = put_signature(&mut out, transcript, scheme, |out| out.put(signature));
        let len = out.len();
        common.signing = match signature.is_empty() || written.is_err() {
            true => Signing::GivenUp,
            false => Signing::None,
        };
        message.keep_written(len);
        true
    }
}

/// Adds a `CertificateRequest`.
pub(crate) fn put_request<C: Crypto>(
    out: &mut Output<'_>,
    common: &mut Common<C>,
) -> Result<(), Alert> {
    put_message(out, &mut common.transcript, CERTIFICATE_REQUEST, |out| {
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

/// What a flight of ours shows of an identity.
pub(crate) struct Shown<'a> {
    pub(crate) identity: &'a Identity<'a>,
    /// By which it signs.
    pub(crate) scheme: Scheme,
    /// What OCSP says of the first certificate, if that is shown too.
    pub(crate) ocsp: Option<&'a [u8]>,
}

/// Chooses the scheme by which a signer signs for a peer that knows those on the list: the
/// signer's preferred one, or else the first of the peer's that it has.
pub(crate) fn choose_scheme(signer: &dyn Signer, list: &[u8]) -> Option<Scheme> {
    let preferred = signer.scheme();
    if numbers(list).any(|code| code == preferred.code()) {
        return Some(preferred);
    }
    let mut offered = numbers(list).map(Scheme::from_code);
    offered.find(|scheme| scheme.signs_handshakes() && signer.signs_by(*scheme))
}

/// Adds our proof of who we are: the `Certificate` of an identity and its `CertificateVerify`, or
/// an empty `Certificate`.
pub(crate) fn put_proof<C: Crypto>(
    out: &mut Output<'_>,
    common: &mut Common<C>,
    role: Role,
    hash: HashAlgorithm,
    shown: Option<&Shown<'_>>,
) -> Result<(), Alert> {
    put_message(out, &mut common.transcript, CERTIFICATE, |out| {
        out.u8(0)?;
        out.vector24(|out| {
            let Some(shown) = shown else {
                return Ok(());
            };
            let mut ocsp = shown.ocsp;
            for certificate in shown.identity.chain {
                out.vector24(|out| out.put(certificate))?;
                // With the first certificate, whose it is.
                let ocsp = ocsp.take();
                out.vector16(|out| ocsp.map_or(Ok(()), |response| put_status(response, out)))?;
            }
            Ok(())
        })
    })?;
    match shown {
        Some(shown) => put_verify(out, common, role, hash, shown),
        None => Ok(()),
    }
}

/// Adds what OCSP says of a certificate (RFC 6066, section 8).
fn put_status(response: &[u8], out: &mut Output<'_>) -> Result<(), Alert> {
    extension::put(out, STATUS_REQUEST, |out| {
        out.u8(OCSP)?;
        out.vector24(|out| out.put(response))
    })
}

/// Adds our `CertificateVerify`, or notes that its signature comes later.
fn put_verify<C: Crypto>(
    out: &mut Output<'_>,
    common: &mut Common<C>,
    role: Role,
    hash: HashAlgorithm,
    shown: &Shown<'_>,
) -> Result<(), Alert> {
    let digest = common.transcript.digest();
    let signed = Signed::new(role, digest.get(hash));
    let id = SignatureId::of(digest.get(hash));
    let scheme = shown.scheme;
    let signer = shown.identity.signer;
    if signer.begin_by(scheme, id, signed.get()) {
        common.signing = Signing::Awaited { id, scheme };
        return Ok(());
    }
    put_signature(out, &mut common.transcript, scheme, |out| {
        let len = signer
            .sign_by(scheme, signed.get(), out.spare())
            .ok_or(Alert::INTERNAL_ERROR)?;
        out.commit(len)
    })
}

/// Adds a `CertificateVerify` whose signature `body` writes.
fn put_signature<H: Hasher>(
    out: &mut Output<'_>,
    transcript: &mut Transcript<H>,
    scheme: Scheme,
    body: impl FnOnce(&mut Output<'_>) -> Result<(), Alert>,
) -> Result<(), Alert> {
    put_message(out, transcript, CERTIFICATE_VERIFY, |out| {
        out.u16(scheme.code())?;
        out.vector16(body)
    })
}

/// Adds our `Finished`; `base` is the traffic secret of our handshake keys.
pub(crate) fn put_finished<H: Hasher>(
    out: &mut Output<'_>,
    transcript: &mut Transcript<H>,
    hash: HashAlgorithm,
    base: &Secret,
) -> Result<(), Alert> {
    let content = finished::<H>(hash, base, &transcript.digest());
    put_message(out, transcript, FINISHED, |out| out.put(content.get(hash)))
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
        part(&self.bytes, ..self.len)
    }
}
