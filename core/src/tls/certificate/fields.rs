//! What is read of a certificate (RFC 5280, section 4.1) beside rustls-webpki's own reading.
//!
//! Enough to find a path and to check its signatures. Whatever a path is accepted for has been read
//! by rustls-webpki as well, which is the stricter of the two.

use crate::tls::crypto::der;

/// digitalSignature and keyCertSign in the first byte of a key usage (RFC 5280, section 4.2.1.3).
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;

/// Extensions of a certificate that are looked at: the last number of 2.5.29.x (RFC 5280, section
/// 4.2.1).
const SUBJECT_KEY_ID: u8 = 14;
const KEY_USAGE: u8 = 15;
const SUBJECT_ALT_NAME: u8 = 17;
const BASIC_CONSTRAINTS: u8 = 19;
const AUTHORITY_KEY_ID: u8 = 35;
const EXTENDED_KEY_USAGE: u8 = 37;

/// The tag of a DNS name among the alternative names (RFC 5280, section 4.2.1.6).
const DNS_NAME: u8 = 0x82;

/// A certificate's fields, in the certificate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Certificate<'a> {
    /// What the issuer signed: the `TBSCertificate` with its header.
    pub(crate) signed: &'a [u8],
    /// The content of the signature's `AlgorithmIdentifier`.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// The content of the serial number.
    pub(crate) serial: &'a [u8],
    /// The contents of the names.
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    /// The content of the `SubjectPublicKeyInfo`.
    pub(crate) key: &'a [u8],
    /// The first and the last second in which it is valid, since 1970.
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) subject_key_id: &'a [u8],
    pub(crate) authority_key_id: &'a [u8],
    /// Key purposes, if it says any.
    purposes: Option<&'a [u8]>,
    key_usage: Option<u8>,
    /// The content of the alternative names; empty if there are none.
    names: &'a [u8],
    pub(crate) is_ca: bool,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate in DER; `None` if it is malformed.
    pub(crate) fn parse(document: &'a [u8]) -> Option<Self> {
        let (content, rest) = der::element(document, der::SEQUENCE)?;
        let (tbs, after) = der::element(content, der::SEQUENCE)?;
        let signed = content.get(..content.len().checked_sub(after.len())?)?;
        let (algorithm, after) = der::element(after, der::SEQUENCE)?;
        let (signature, after) = der::element(after, der::BIT_STRING)?;
        let (unused, signature) = signature.split_first()?;
        if !rest.is_empty() || !after.is_empty() || *unused != 0 {
            return None;
        }
        let mut certificate = Self {
            signed,
            algorithm,
            signature,
            ..Self::default()
        };
        certificate.read_fields(tbs)?;
        Some(certificate)
    }

    /// Reads the fields of a `TBSCertificate`.
    fn read_fields(&mut self, tbs: &'a [u8]) -> Option<()> {
        let (_version, rest) = der::element(tbs, der::context(0))?;
        let (serial, rest) = der::element(rest, der::INTEGER)?;
        self.serial = serial;
        let (_algorithm, rest) = der::element(rest, der::SEQUENCE)?;
        let (issuer, rest) = der::element(rest, der::SEQUENCE)?;
        let (validity, rest) = der::element(rest, der::SEQUENCE)?;
        let (subject, rest) = der::element(rest, der::SEQUENCE)?;
        let (key, rest) = der::element(rest, der::SEQUENCE)?;
        self.issuer = issuer;
        self.subject = subject;
        self.key = key;
        let (not_before, validity) = der::time(validity)?;
        let (not_after, _) = der::time(validity)?;
        self.not_before = not_before;
        self.not_after = not_after;
        if rest.is_empty() {
            return Some(());
        }
        let (extensions, _) = der::element(rest, der::context(3))?;
        let (mut rest, _) = der::element(extensions, der::SEQUENCE)?;
        while !rest.is_empty() {
            let (extension, after) = Extension::split(rest)?;
            rest = after;
            if let [0x55, 0x1d, number] = extension.id {
                self.read_extension(*number, extension.value)?;
            }
        }
        Some(())
    }

    fn read_extension(&mut self, number: u8, value: &'a [u8]) -> Option<()> {
        match number {
            SUBJECT_KEY_ID => self.subject_key_id = der::element(value, der::OCTET_STRING)?.0,
            AUTHORITY_KEY_ID => {
                let (fields, _) = der::element(value, der::SEQUENCE)?;
                // The identifier is the first field, and may be absent.
                if let Some((id, _)) = der::element(fields, 0x80) {
                    self.authority_key_id = id;
                }
            }
            KEY_USAGE => {
                let (bits, _) = der::element(value, der::BIT_STRING)?;
                self.key_usage = Some(bits.get(1).copied().unwrap_or_default());
            }
            SUBJECT_ALT_NAME => self.names = der::element(value, der::SEQUENCE)?.0,
            BASIC_CONSTRAINTS => {
                let (fields, _) = der::element(value, der::SEQUENCE)?;
                let is_ca = der::element(fields, der::BOOLEAN);
                self.is_ca = is_ca.is_some_and(|(value, _)| value == [0xff]);
            }
            EXTENDED_KEY_USAGE => self.purposes = Some(der::element(value, der::SEQUENCE)?.0),
            _ => {}
        }
        Some(())
    }

    /// Returns true if the key may sign handshakes (RFC 8446, section 4.4.2.2).
    pub(crate) fn may_sign(&self) -> bool {
        self.allows(DIGITAL_SIGNATURE)
    }

    /// Returns true if the key may sign certificates, should its owner be an authority.
    pub(crate) fn may_certify(&self) -> bool {
        self.allows(KEY_CERT_SIGN)
    }

    fn allows(&self, usage: u8) -> bool {
        self.key_usage.is_none_or(|usages| usages & usage != 0)
    }

    /// Iterates over the DNS names that the certificate is for.
    pub(crate) const fn dns_names(&self) -> Names<'a> {
        Names { rest: self.names }
    }

    /// Returns true if the certificate says nothing of its purpose, or that `purpose` is one.
    pub(crate) fn is_for(&self, purpose: &[u8]) -> bool {
        self.purposes.is_none() || self.says_for(purpose)
    }

    /// Returns true if the certificate says that `purpose` is one of its own.
    pub(crate) fn says_for(&self, purpose: &[u8]) -> bool {
        let mut rest = self.purposes.unwrap_or_default();
        while let Some((id, after)) = der::element(rest, der::OBJECT_IDENTIFIER) {
            if id == purpose {
                return true;
            }
            rest = after;
        }
        false
    }

    /// Returns true if `issuer`, by its name and what both say of its key, may have issued this.
    /// Where one says nothing, the name alone counts.
    pub(crate) fn names_key_of(&self, issuer: &Certificate<'_>) -> bool {
        let (wanted, own) = (self.authority_key_id, issuer.subject_key_id);
        self.issuer == issuer.subject && (wanted.is_empty() || own.is_empty() || wanted == own)
    }

    /// Returns true at a time within its validity, both ends included.
    pub(crate) fn is_valid_at(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// An extension of a certificate, a list or a response (RFC 5280, section 4.1).
pub(crate) struct Extension<'a> {
    pub(crate) id: &'a [u8],
    /// Whether it must be understood by who accepts what it stands in.
    pub(crate) is_critical: bool,
    value: &'a [u8],
}

impl<'a> Extension<'a> {
    /// Splits off the first extension of some; `None` if it cannot be read.
    pub(crate) fn split(extensions: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fields, rest) = der::element(extensions, der::SEQUENCE)?;
        let (id, content) = der::element(fields, der::OBJECT_IDENTIFIER)?;
        let (is_critical, content) = match der::element(content, der::BOOLEAN) {
            Some((critical, content)) => (critical != [0], content),
            None => (false, content),
        };
        let (value, _) = der::element(content, der::OCTET_STRING)?;
        let extension = Self {
            id,
            is_critical,
            value,
        };
        Some((extension, rest))
    }
}

/// The DNS names of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Names<'a> {
    rest: &'a [u8],
}

impl Names<'_> {
    pub(crate) const NONE: Self = Self { rest: &[] };
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let tag = *self.rest.first()?;
            let (name, rest) = der::element(self.rest, tag)?;
            self.rest = rest;
            if tag == DNS_NAME {
                return Some(name);
            }
        }
    }
}
