//! Certificates and keys from files, with words for what is wrong with them. Features `std` and
//! `tls-small`.

extern crate std;

use core::fmt;
use std::boxed::Box;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::vec;
use std::vec::Vec;

use usockets::tls::{EcdsaP256Key, Ed25519Key, Identity, KeyError, Pem, PemError, Signer};

#[cfg(feature = "aws-lc-rs")]
use crate::AwsLcKey;

/// id-ecPublicKey with secp384r1 (RFC 5480, section 2.1.1.1), and rsaEncryption (RFC 8017, appendix
/// A.1), as they are in keys: to say which feature a key wants.
#[cfg(not(feature = "aws-lc-rs"))]
const WANT_AWS_LC: [&[u8]; 2] = [
    &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
];

/// What keys are labelled with in PEM: PKCS #8 (RFC 5958), SEC 1 (RFC 5915), PKCS #1 (RFC 8017).
const LABELS: [&str; 3] = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"];

/// A certificate chain and its private key, from two PEM files, which may be the same one.
///
/// Keys are P-256 and Ed25519; with the feature `aws-lc-rs` also P-384 and RSA of 2,048 to 8,192
/// bits. They are in PKCS #8, SEC 1 or PKCS #1, and not encrypted.
///
/// ```no_run
/// use usockets::tls::{Config, RustCrypto, ServerConfig};
/// use usockets_linux::{KeyFiles, LinuxMachine};
///
/// # fn main() -> Result<(), Box<dyn core::error::Error>> {
/// let crypto = RustCrypto::new(LinuxMachine::new());
/// let files = KeyFiles::read("server.pem", "server.key")?;
/// let chain = files.chain();
/// let names = files.names(&chain);
/// let identity = files.identity(&chain).names(&names);
/// // Here, and not at the first client.
/// identity.check(&crypto, &[])?;
/// let identities = [identity];
/// let config = Config::server(ServerConfig::new(&identities));
/// # Ok(())
/// # }
/// ```
pub struct KeyFiles {
    certificates: Vec<Vec<u8>>,
    signer: Box<dyn Signer + Send>,
}

impl fmt::Debug for KeyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyFiles");
        shown.field("certificates", &self.certificates.len());
        shown.finish_non_exhaustive()
    }
}

impl KeyFiles {
    /// Reads the chain in `certificates`, the own certificate first, and the key in `key`.
    ///
    /// # Errors
    /// Which of the files cannot be used, and why.
    pub fn read(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, KeyFileError> {
        let (certificates, key) = (certificates.as_ref(), key.as_ref());
        let of = |path: &Path| {
            let path = path.to_path_buf();
            move |reason| KeyFileError { path, reason }
        };
        let text = fs::read(certificates);
        let text = text.map_err(|error| of(certificates)(KeyFileReason::Unreadable(error)))?;
        let certificates = read_certificates(&text).map_err(of(certificates))?;
        let text = fs::read(key).map_err(|error| of(key)(KeyFileReason::Unreadable(error)))?;
        let text = Wiped(text);
        let signer = read_key(&text.0).map_err(of(key))?;
        Ok(Self {
            certificates,
            signer,
        })
    }

    /// Reads a chain and a key from texts.
    ///
    /// # Errors
    /// Why one of them cannot be used.
    pub fn parse(certificates: &[u8], key: &[u8]) -> Result<Self, KeyFileReason> {
        Ok(Self {
            certificates: read_certificates(certificates)?,
            signer: read_key(key)?,
        })
    }

    /// Returns the certificates, for [`Self::identity`].
    #[must_use]
    pub fn chain(&self) -> Vec<&[u8]> {
        self.certificates.iter().map(Vec::as_slice).collect()
    }

    /// Returns the names that the own certificate is for, for [`Identity::names`].
    #[must_use]
    pub fn names<'a>(&'a self, chain: &'a [&'a [u8]]) -> Vec<&'a str> {
        self.identity(chain).certificate_names().collect()
    }

    /// Returns the identity, for no particular name. It has not been
    /// [checked](Identity::check).
    #[must_use]
    pub fn identity<'a>(&'a self, chain: &'a [&'a [u8]]) -> Identity<'a> {
        Identity::new(chain, &*self.signer)
    }
}

/// Which file cannot be used, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: KeyFileReason,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl core::error::Error for KeyFileError {}

/// Why a file with certificates or a key cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyFileReason {
    /// It cannot be read.
    Unreadable(io::Error),
    /// A section of it is cut, malformed or encrypted.
    Pem(PemError),
    /// It has no section `CERTIFICATE`.
    NoCertificate,
    /// It has no private key.
    NoKey,
    /// It is a document in DER, where one in PEM is wanted.
    Der,
    /// The key is encrypted with a password. `openssl pkey -in FILE` decrypts it.
    Encrypted,
    /// The key is of a kind that wants the feature `aws-lc-rs`: RSA or P-384.
    WantsAwsLc,
    /// The key is an RSA one of less than 2,048 bits, which no peer should believe.
    ShortRsa,
    /// The key is malformed, or of no kind that is known here.
    Key(KeyError),
}

impl fmt::Display for KeyFileReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Pem(error) => error.fmt(f),
            Self::NoCertificate => f.write_str("there is no certificate in it"),
            Self::NoKey => f.write_str("there is no private key in it"),
            Self::Der => f.write_str(
                "it is in DER, and PEM is wanted: `openssl x509 -inform DER` or `openssl pkey \
                 -inform DER` makes that of it",
            ),
            Self::ShortRsa => f.write_str(
                "the private key is an RSA one of less than 2,048 bits, which is too short",
            ),
            Self::Encrypted => f.write_str(
                "the private key is encrypted with a password; `openssl pkey` decrypts it",
            ),
            Self::WantsAwsLc => f.write_str(
                "the private key is an RSA or P-384 one, which wants the feature aws-lc-rs",
            ),
            Self::Key(KeyError::OtherKind) => {
                f.write_str("the private key is of no kind that is known here")
            }
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for KeyFileReason {}

fn read_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, KeyFileReason> {
    let mut pem = Pem::new(text);
    let mut memory = vec![0; text.len()];
    let mut certificates = Vec::new();
    while let Some(found) = pem.next("CERTIFICATE", &mut memory).map_err(pem_reason)? {
        certificates.push(found.to_vec());
    }
    match certificates.is_empty() {
        true if is_der(text) => Err(KeyFileReason::Der),
        true => Err(KeyFileReason::NoCertificate),
        false => Ok(certificates),
    }
}

fn read_key(text: &[u8]) -> Result<Box<dyn Signer + Send>, KeyFileReason> {
    let mut memory = Wiped(vec![0; text.len()]);
    for label in LABELS {
        let found = Pem::new(text).next(label, &mut memory.0);
        if let Some(document) = found.map_err(pem_reason)? {
            return signer(document);
        }
    }
    let encrypted = Pem::new(text).next("ENCRYPTED PRIVATE KEY", &mut memory.0);
    match encrypted.map_err(pem_reason)? {
        Some(_) => Err(KeyFileReason::Encrypted),
        None if is_der(text) => Err(KeyFileReason::Der),
        None => Err(KeyFileReason::NoKey),
    }
}

/// Returns true if the whole of a file is one sequence of ASN.1, as certificates and keys are.
fn is_der(text: &[u8]) -> bool {
    let Some((0x30, rest)) = text.split_first() else {
        return false;
    };
    der_length(rest).is_some_and(|(len, content)| len == content.len())
}

/// Reads the length of an element in DER; returns what is behind it too.
fn der_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [len @ 0..=0x7f, rest @ ..] | [0x81, len, rest @ ..] => Some((usize::from(*len), rest)),
        [0x82, high, low, rest @ ..] => {
            Some((usize::from(u16::from_be_bytes([*high, *low])), rest))
        }
        _ => None,
    }
}

/// Returns true if a document has an RSA key, in PKCS #1 or around that, of less than 2,048 bits.
fn is_short_rsa(document: &[u8]) -> bool {
    // A long sequence of version 0 and a number: the modulus.
    let begins = |part: &[u8]| matches!(part, [0x30, 0x82, _, _, 0x02, 0x01, 0x00, 0x02]);
    let at = document.windows(8).position(begins);
    let modulus = at.and_then(|at| document.get(at..)?.get(8..));
    modulus.and_then(der_length).is_some_and(|(len, modulus)| {
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        // Of as many bytes as one of 2,048 bits, it may still lack the highest.
        let is_less = modulus.get(zeros).is_none_or(|byte| *byte < 0x80);
        let len = len.saturating_sub(zeros);
        len < 256 || len == 256 && is_less
    })
}

fn pem_reason(error: PemError) -> KeyFileReason {
    match error {
        PemError::Encrypted => KeyFileReason::Encrypted,
        error => KeyFileReason::Pem(error),
    }
}

#[cfg(feature = "aws-lc-rs")]
fn signer(document: &[u8]) -> Result<Box<dyn Signer + Send>, KeyFileReason> {
    if let Ok(key) = AwsLcKey::from_der(document) {
        return Ok(Box::new(key));
    }
    if is_short_rsa(document) {
        return Err(KeyFileReason::ShortRsa);
    }
    match Ed25519Key::from_der(document) {
        Ok(key) => Ok(Box::new(key)),
        // What aws-lc refuses the core does not sign with, but it may know why. If it does not, the
        // public key in the document is that of another.
        Err(KeyError::OtherKind) => {
            let reason = EcdsaP256Key::from_der(document).err();
            Err(key_reason(reason.unwrap_or(KeyError::Malformed)))
        }
        Err(error) => Err(key_reason(error)),
    }
}

#[cfg(not(feature = "aws-lc-rs"))]
fn signer(document: &[u8]) -> Result<Box<dyn Signer + Send>, KeyFileReason> {
    let error = match small_signer(document) {
        Err(KeyFileReason::Key(KeyError::OtherKind)) => KeyError::OtherKind,
        other => return other,
    };
    if is_short_rsa(document) {
        return Err(KeyFileReason::ShortRsa);
    }
    let has = |id: &&[u8]| document.windows(id.len()).any(|part| part == *id);
    // PKCS #1 names no algorithm, and begins with version 0 and a long number.
    let is_pkcs1 = matches!(document, [0x30, 0x82, _, _, 0x02, 0x01, 0x00, 0x02, ..]);
    Err(match is_pkcs1 || WANT_AWS_LC.iter().any(has) {
        true => KeyFileReason::WantsAwsLc,
        false => KeyFileReason::Key(error),
    })
}

/// Returns a key that the core signs with.
#[cfg(not(feature = "aws-lc-rs"))]
fn small_signer(document: &[u8]) -> Result<Box<dyn Signer + Send>, KeyFileReason> {
    match EcdsaP256Key::from_der(document) {
        Ok(key) => return Ok(Box::new(key)),
        Err(KeyError::OtherKind) => {}
        Err(error) => return Err(key_reason(error)),
    }
    let key = Ed25519Key::from_der(document).map_err(key_reason)?;
    Ok(Box::new(key))
}

fn key_reason(error: KeyError) -> KeyFileReason {
    match error {
        KeyError::Encrypted => KeyFileReason::Encrypted,
        error => KeyFileReason::Key(error),
    }
}

/// Bytes that are zero when it is dropped, as far as the compiler lets them be.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        core::hint::black_box(&self.0);
    }
}
