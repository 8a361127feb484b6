//! A body for fuzzers: certificates that a server shows.

use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use usockets::tls::{Alert, ClientConfig, Config, Crypto as Provider, TrustAnchor};

use crate::identity::fixed_key;
use crate::puppet::{Puppet, certificate, message};
use crate::{Broken, Counting, Crypto, NOW, Ours, verifications};

/// Longest path and one signature more.
const VERIFICATIONS_MAX: usize = 8;

/// Certificates to choose from, the same every time.
struct Cast {
    roots: Vec<TrustAnchor<'static>>,
    certificates: Vec<Vec<u8>>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf() -> CertificateParams {
    CertificateParams::new(vec!["localhost".to_string()]).unwrap()
}

fn anchor(document: &[u8]) -> TrustAnchor<'static> {
    let document = CertificateDer::from(document);
    webpki::anchor_from_trusted_cert(&document)
        .unwrap()
        .to_owned()
}

fn cast() -> Cast {
    let mut certificates = Vec::new();
    let mut issue = |params: &CertificateParams, key: u8, issuer: &CertificateParams, by: u8| {
        let key = fixed_key(key);
        let by = fixed_key(by);
        let issuer = Issuer::from_params(issuer, &by);
        let made = params.signed_by(&key, &issuer).unwrap();
        certificates.push(made.der().to_vec());
    };
    let (root, other) = (authority("root"), authority("other"));
    let (one, two) = (authority("one"), authority("two"));
    let mut linked = authority("two");
    linked.use_authority_key_identifier_extension = true;
    let mut expired = authority("one");
    expired.not_after = rcgen::date_time_ymd(2_026, 1, 1);
    let mut short = authority("one");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut usage = leaf();
    usage.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    let mut both = leaf();
    both.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Leaves: of the root, of one, of two, for no signatures, its own authority.
    issue(&leaf(), 10, &root, 1);
    issue(&leaf(), 10, &one, 3);
    issue(&leaf(), 10, &two, 4);
    issue(&usage, 10, &one, 3);
    issue(&both, 11, &both, 11);
    // Authorities: one under the root, two under one, roots and those that cross.
    issue(&one, 3, &root, 1);
    issue(&two, 4, &one, 3);
    issue(&linked, 4, &one, 3);
    issue(&root, 1, &root, 1);
    issue(&root, 1, &other, 2);
    issue(&other, 2, &root, 1);
    // Some that are not as good, and some of the same names by others' keys.
    issue(&expired, 3, &root, 1);
    issue(&short, 3, &root, 1);
    issue(&one, 20, &root, 21);
    issue(&one, 22, &one, 22);
    issue(&root, 23, &one, 22);
    let roots = vec![
        anchor(&certificates[8]),
        anchor(&certificates[10]),
        anchor(&certificates[4]),
    ];
    Cast {
        roots,
        certificates,
    }
}

/// Shows a client certificates of a fixed list, in an order and with changes that the bytes say: a
/// byte below 128 chooses a certificate, any other changes the last one. Panics if it costs more
/// signatures than a good path, or is taken though rustls-webpki, which searches on its own, finds
/// no path.
pub fn fuzz_tls_chain(bytes: &[u8]) {
    static CAST: OnceLock<Cast> = OnceLock::new();
    let cast = CAST.get_or_init(cast);
    let chain = chosen(cast, bytes);
    let config = Config::client(ClientConfig::new(&cast.roots));
    let crypto = Counting::new(1);
    let mut client = Ours::client_of(crypto, &config, "localhost", Vec::new());
    let hello = core::mem::take(&mut client.output);
    let (mut puppet, answer) = Puppet::server(&hello);
    client.feed(&config, &answer);
    let extensions = message(8, &[0, 0]);
    let shown = certificate(&chain);
    let before = verifications();
    client.feed(&config, &puppet.seal(&extensions));
    for record in shown.chunks(16_000) {
        client.feed(&config, &puppet.seal(record));
    }
    let verified = verifications() - before;
    assert!(verified <= VERIFICATIONS_MAX, "{verified} signatures");
    assert_eq!(client.opened, 0);
    assert_ne!(client.broken, Some(Broken::Sent(Alert::INTERNAL_ERROR)));
    let is_taken = client.broken.is_none();
    assert!(!is_taken || client.connection.certificate_error().is_none());
    if is_taken {
        assert!(is_good(cast, &chain), "taken, and no path leads there");
    }
}

/// Returns the certificates that the bytes choose.
fn chosen(cast: &Cast, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chain: Vec<Vec<u8>> = Vec::new();
    let mut rest = bytes;
    while let [op, after @ ..] = rest {
        rest = after;
        if *op < 128 {
            let index = usize::from(*op) % cast.certificates.len();
            chain.push(cast.certificates[index].clone());
        } else if let (Some(last), [high, low, value, after @ ..]) = (chain.last_mut(), rest) {
            rest = after;
            let place = usize::from(u16::from_be_bytes([*high, *low])) % last.len().max(1);
            match op % 4 {
                0 | 1 if place < last.len() => last[place] ^= value,
                2 => last.truncate(place),
                _ => last.insert(place.min(last.len()), *value),
            }
        }
    }
    chain
}

/// Returns whether a path leads from the first certificate to a root.
fn is_good(cast: &Cast, chain: &[Vec<u8>]) -> bool {
    let documents: Vec<CertificateDer<'_>> = chain
        .iter()
        .map(|document| CertificateDer::from(document.as_slice()))
        .collect();
    // Its own authority, which rustls-webpki does not take for a peer.
    if chain[0] == cast.certificates[4] {
        return true;
    }
    let Ok(peer) = webpki::EndEntityCert::try_from(&documents[0]) else {
        return false;
    };
    let verified = peer.verify_for_usage(
        <Crypto as Provider>::ALGORITHMS,
        &cast.roots,
        &documents[1..],
        UnixTime::since_unix_epoch(core::time::Duration::from_secs(NOW)),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    );
    let name = ServerName::try_from("localhost").unwrap();
    // It gives up where it is made to try a hundred signatures, as it can be.
    if matches!(verified, Err(webpki::Error::MaximumSignatureChecksExceeded)) {
        return true;
    }
    verified.is_ok() && peer.verify_is_valid_for_subject_name(&name).is_ok()
}
