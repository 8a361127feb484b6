//! The two hellos (RFC 8446, section 4.1), as they are on the wire.

use crate::tls::alert::Alert;
use crate::tls::certificate::ocsp::{OCSP, STATUS_REQUEST};
use crate::tls::handshake::extension::{self, Extensions};
use crate::tls::wire::{Reader, even, numbers};

/// TLS 1.3 in `supported_versions`.
pub(crate) const TLS13: u16 = 0x0304;
/// TLS 1.2 where TLS 1.3 hides behind it.
pub(crate) const TLS12: u16 = 0x0303;
/// SSL 3.0, which nobody may speak any more.
const SSL3: u16 = 0x0300;
/// The random of a `ServerHello` that is a `HelloRetryRequest` (RFC 8446, section 4.1.3).
pub(crate) const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// Names that are longer are no names of the DNS (RFC 1035, section 2.3.4).
pub(crate) const NAME_MAX: usize = 255;

/// Most key shares in one hello. Browsers send three.
const SHARES_MAX: usize = 32;

/// A parsed `ClientHello`. Lists are checked for form, and borrowed from the message.
#[derive(Debug, Default)]
pub(crate) struct ClientHello<'a> {
    pub(crate) random: &'a [u8],
    pub(crate) session_id: &'a [u8],
    suites: &'a [u8],
    groups: Option<&'a [u8]>,
    shares: Option<&'a [u8]>,
    schemes: Option<&'a [u8]>,
    protocols: Option<&'a [u8]>,
    pub(crate) server_name: Option<&'a [u8]>,
    pub(crate) psk: Option<PreSharedKeys<'a>>,
    pub(crate) psk_with_exchange: bool,
    psk_modes: bool,
    pub(crate) early_data: bool,
    /// The client asks what OCSP says of the certificate.
    pub(crate) status_request: bool,
    pub(crate) record_size_limit: Option<u16>,
    pub(crate) max_fragment_length: Option<u8>,
}

/// What a client offers to resume (RFC 8446, section 4.2.11).
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreSharedKeys<'a> {
    pub(crate) identities: Reader<'a>,
    pub(crate) binders: Reader<'a>,
    /// Bytes of the binder list with its length, at the message's end.
    pub(crate) binders_len: usize,
}

impl<'a> ClientHello<'a> {
    /// Parses the content of the message, without its header.
    // Not inlined: 224 bytes of stack less while keys are exchanged (frames of a Cortex-M3).
    #[inline(never)]
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self, Alert> {
        let mut reader = Reader::new(content);
        // RFC 8446, appendix D.5; above that the extension alone decides.
        if reader.u16()? <= SSL3 {
            return Err(Alert::PROTOCOL_VERSION);
        }
        let random = reader.take(32)?;
        let session_id = reader.vector8()?;
        if session_id.len() > 32 {
            return Err(Alert::DECODE_ERROR);
        }
        let suites = even(reader.vector16()?)?;
        let compressions = reader.vector8()?;
        if reader.is_empty() {
            return Err(Alert::PROTOCOL_VERSION);
        }
        let mut hello = Self {
            random,
            session_id,
            suites,
            ..Self::default()
        };
        let mut versions = None;
        let mut extensions = Extensions::new(&mut reader)?;
        while let Some((number, content)) = extensions.next()? {
            if number == extension::SUPPORTED_VERSIONS {
                versions = Some(version_list(content)?);
            } else {
                hello.extension(number, content)?;
            }
            // RFC 8446, section 4.2.11: nothing may follow what the binders do not cover.
            if hello.psk.is_some() && !extensions.is_last() {
                return Err(Alert::ILLEGAL_PARAMETER);
            }
        }
        if !versions.is_some_and(|list| numbers(list).any(|version| version == TLS13)) {
            return Err(Alert::PROTOCOL_VERSION);
        }
        if compressions != [0] {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        if hello.psk.is_some() && !hello.psk_modes {
            return Err(Alert::MISSING_EXTENSION);
        }
        Ok(hello)
    }

    fn extension(&mut self, number: u16, mut content: Reader<'a>) -> Result<(), Alert> {
        match number {
            extension::SERVER_NAME => self.server_name = Some(host_name(content)?),
            extension::MAX_FRAGMENT_LENGTH => {
                let code = content.u8()?;
                content.end()?;
                if !(1..=4).contains(&code) {
                    return Err(Alert::ILLEGAL_PARAMETER);
                }
                self.max_fragment_length = Some(code);
            }
            STATUS_REQUEST => {
                // RFC 6066, section 8: OCSP, whose lists of responders and extensions ask for
                // nothing that we could do; other kinds are not known.
                self.status_request = content.u8()? == OCSP;
                if self.status_request {
                    content.vector16()?;
                    content.vector16()?;
                    content.end()?;
                }
            }
            extension::SUPPORTED_GROUPS => self.groups = Some(content.numbers16()?),
            extension::SIGNATURE_ALGORITHMS => self.schemes = Some(content.numbers16()?),
            extension::APPLICATION_PROTOCOL => {
                self.protocols = Some(extension::protocols(&mut content)?);
            }
            extension::RECORD_SIZE_LIMIT => {
                self.record_size_limit = Some(extension::record_size_limit(&mut content)?);
            }
            extension::PRE_SHARED_KEY => self.psk = Some(PreSharedKeys::parse(content)?),
            extension::EARLY_DATA => {
                content.end()?;
                self.early_data = true;
            }
            extension::PSK_KEY_EXCHANGE_MODES => {
                let modes = content.vector8()?;
                content.end()?;
                if modes.is_empty() {
                    return Err(Alert::DECODE_ERROR);
                }
                self.psk_modes = true;
                self.psk_with_exchange = modes.contains(&1);
            }
            extension::KEY_SHARE => {
                let list = content.vector16()?;
                content.end()?;
                check_shares(list)?;
                self.shares = Some(list);
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the numbers of the client's suites, its preferred first.
    pub(crate) fn suites(&self) -> impl Iterator<Item = u16> + '_ {
        numbers(self.suites)
    }

    /// Returns whether the client knows the group.
    pub(crate) fn offers_group(&self, code: u16) -> Result<bool, Alert> {
        let groups = self.groups.ok_or(Alert::MISSING_EXTENSION)?;
        Ok(numbers(groups).any(|offered| offered == code))
    }

    /// Returns the list of the schemes whose signatures the client can verify.
    pub(crate) fn schemes(&self) -> Result<&'a [u8], Alert> {
        self.schemes.ok_or(Alert::MISSING_EXTENSION)
    }

    /// Returns the client's share of the group, if it sent one.
    pub(crate) fn share(&self, code: u16) -> Result<Option<&'a [u8]>, Alert> {
        let mut shares = Reader::new(self.shares.ok_or(Alert::MISSING_EXTENSION)?);
        while !shares.is_empty() {
            let group = shares.u16()?;
            let share = shares.vector16()?;
            if group == code {
                return Ok(Some(share));
            }
        }
        Ok(None)
    }

    /// Returns the number of key shares.
    pub(crate) fn shares_count(&self) -> Result<usize, Alert> {
        let mut shares = Reader::new(self.shares.ok_or(Alert::MISSING_EXTENSION)?);
        let mut count = 0_usize;
        while !shares.is_empty() {
            shares.u16()?;
            shares.vector16()?;
            count = count.wrapping_add(1);
        }
        Ok(count)
    }

    /// Returns whether the client speaks `protocol`; `None` if it does not do ALPN.
    pub(crate) fn offers_protocol(&self, protocol: &[u8]) -> Option<bool> {
        let mut rest = Reader::new(self.protocols?);
        while let Ok(offered) = rest.vector8() {
            if offered == protocol {
                return Some(true);
            }
        }
        Some(false)
    }
}

impl<'a> PreSharedKeys<'a> {
    fn parse(mut content: Reader<'a>) -> Result<Self, Alert> {
        let identities = Reader::new(content.vector16()?);
        let binders_len = content.len();
        let binders = Reader::new(content.vector16()?);
        content.end()?;
        let mut counts = [0_usize; 2];
        let [identities_count, binders_count] = &mut counts;
        let mut rest = identities;
        while !rest.is_empty() {
            if rest.vector16()?.is_empty() {
                return Err(Alert::DECODE_ERROR);
            }
            rest.u32()?;
            *identities_count = identities_count.wrapping_add(1);
        }
        let mut rest = binders;
        while !rest.is_empty() {
            if rest.vector8()?.len() < 32 {
                return Err(Alert::DECODE_ERROR);
            }
            *binders_count = binders_count.wrapping_add(1);
        }
        if *identities_count == 0 || *binders_count == 0 {
            return Err(Alert::DECODE_ERROR);
        }
        if identities_count != binders_count {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        Ok(Self {
            identities,
            binders,
            binders_len,
        })
    }
}

fn version_list(mut content: Reader<'_>) -> Result<&[u8], Alert> {
    let list = content.vector8()?;
    content.end()?;
    even(list)
}

/// Reads the one host name of `server_name` (RFC 6066, section 3).
fn host_name(mut content: Reader<'_>) -> Result<&[u8], Alert> {
    let mut list = Reader::new(content.vector16()?);
    content.end()?;
    let kind = list.u8()?;
    let name = list.vector16()?;
    list.end()?;
    if kind != 0 || name.is_empty() || name.len() > NAME_MAX || name.contains(&0) {
        return Err(Alert::DECODE_ERROR);
    }
    Ok(name)
}

/// Checks the form of a share list, and that no group comes twice (RFC 8446, section 4.2.8).
fn check_shares(list: &[u8]) -> Result<(), Alert> {
    let mut seen = [0_u16; SHARES_MAX];
    let mut rest = Reader::new(list);
    for count in 0..SHARES_MAX {
        if rest.is_empty() {
            return Ok(());
        }
        let group = rest.u16()?;
        if rest.vector16()?.is_empty() {
            return Err(Alert::DECODE_ERROR);
        }
        if seen.iter().take(count).any(|earlier| *earlier == group) {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        if let Some(slot) = seen.get_mut(count) {
            *slot = group;
        }
    }
    rest.end()
}

/// A parsed `ServerHello`, or `HelloRetryRequest`.
#[derive(Debug, Default)]
pub(crate) struct ServerHello<'a> {
    pub(crate) is_retry: bool,
    pub(crate) session_id: &'a [u8],
    pub(crate) suite: u16,
    /// The group, and in a `ServerHello` the share.
    pub(crate) share: Option<(u16, &'a [u8])>,
    pub(crate) cookie: Option<&'a [u8]>,
    pub(crate) psk: Option<u16>,
}

impl<'a> ServerHello<'a> {
    /// Parses the content of the message, without its header.
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self, Alert> {
        let mut reader = Reader::new(content);
        let version = reader.u16()?;
        let random = reader.take(32)?;
        let session_id = reader.vector8()?;
        let suite = reader.u16()?;
        let compression = reader.u8()?;
        if session_id.len() > 32 {
            return Err(Alert::DECODE_ERROR);
        }
        // A server of TLS 1.2 or older: no extension says otherwise.
        if reader.is_empty() || version != TLS12 {
            return Err(Alert::PROTOCOL_VERSION);
        }
        let mut hello = Self {
            is_retry: random == RETRY,
            session_id,
            suite,
            ..Self::default()
        };
        let mut is_tls13 = false;
        let mut refusal = None;
        let mut extensions = Extensions::new(&mut reader)?;
        while let Some((number, mut content)) = extensions.next()? {
            match (number, hello.is_retry) {
                (extension::SUPPORTED_VERSIONS, _) => {
                    if content.u16()? != TLS13 {
                        return Err(Alert::ILLEGAL_PARAMETER);
                    }
                    is_tls13 = true;
                }
                (extension::KEY_SHARE, true) => hello.share = Some((content.u16()?, &[])),
                (extension::KEY_SHARE, false) => {
                    hello.share = Some((content.u16()?, content.vector16()?));
                }
                (extension::COOKIE, true) => {
                    let cookie = content.vector16()?;
                    if cookie.is_empty() {
                        return Err(Alert::DECODE_ERROR);
                    }
                    hello.cookie = Some(cookie);
                }
                (extension::PRE_SHARED_KEY, false) => hello.psk = Some(content.u16()?),
                _ => {
                    // Perhaps TLS 1.2, whose extensions are others; the version decides below.
                    refusal = refusal.or(Some(extension::misplaced(number)));
                    content.all();
                }
            }
            content.end()?;
        }
        if !is_tls13 {
            return Err(Alert::PROTOCOL_VERSION);
        }
        if let Some(alert) = refusal {
            return Err(alert);
        }
        if compression != 0 {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        Ok(hello)
    }
}
