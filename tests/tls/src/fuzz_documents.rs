//! Bodies for fuzzers: documents that come from files or from peers, PEM, private keys, lists of
//! revoked certificates and OCSP's responses. Each panics only if something is wrong.

use std::sync::OnceLock;

use usockets::tls::{
    Alert, ClientConfig, Config, EcdsaP256Key, Ed25519Key, OcspPolicy, Pem, RevocationList, Signer,
    TrustAnchor,
};

use crate::files::pem;
use crate::identity::fixed_key;
use crate::ocsp::Response;
use crate::puppet::{Puppet, extension, message, vector16};
use crate::{Authority, Broken, Crypto, Leaf, Ours};

/// Returns a good document, changed as the bytes say, or the bytes themselves in its place: the
/// first byte chooses, and three each are a place and what it is changed by.
fn changed(good: &[u8], bytes: &[u8]) -> Vec<u8> {
    let Some((0, edits)) = bytes.split_first() else {
        return bytes.get(1..).unwrap_or_default().to_vec();
    };
    let mut document = good.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]]));
        match document.get_mut(at) {
            Some(byte) => *byte ^= edit[2],
            // Behind its end, it is cut.
            None => document.truncate(at % (good.len() + 1)),
        }
    }
    document
}

/// Reads PEM: any text, and a section of the bytes themselves among them, which must come out.
pub fn fuzz_tls_pem(bytes: &[u8]) {
    let mut memory = vec![0; bytes.len()];
    for label in ["CERTIFICATE", "PRIVATE KEY", ""] {
        let mut pem = Pem::new(bytes);
        let mut count = 0;
        loop {
            match pem.next(label, &mut memory) {
                Ok(None) => break,
                Ok(Some(document)) => assert!(document.len() <= bytes.len() / 4 * 3),
                Err(_) => {}
            }
            count += 1;
            assert!(count <= bytes.len(), "more sections than there are bytes");
        }
    }
    let (text, document) = bytes.split_at(bytes.len() / 2);
    // What is before must end its line, and not begin a section.
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
    let section = pem("CERTIFICATE", document);
    let text = [&text[..], b"\n", section.as_bytes()].concat();
    let mut memory = vec![0; text.len()];
    let found = Pem::new(&text).next("CERTIFICATE", &mut memory);
    assert_eq!(found.unwrap().as_deref(), Some(document));
    let mut short = vec![0; document.len().saturating_sub(1)];
    let found = Pem::new(&text).next("CERTIFICATE", &mut short);
    assert_eq!(found.is_err(), !document.is_empty());
}

/// Reads private keys. One that is taken can sign.
pub fn fuzz_tls_key(bytes: &[u8]) {
    const SEC1: [u8; 7] = [0x30, 0x25, 2, 1, 1, 4, 32];
    let (kind, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let pkcs8 = fixed_key(5).serialize_der();
    let sec1 = [&SEC1[..], &[7; 32]].concat();
    let good = if kind % 2 == 0 { &pkcs8 } else { &sec1 };
    let document = changed(good, rest);
    let signer: Option<Box<dyn Signer>> = match EcdsaP256Key::from_der(&document) {
        Ok(key) => Some(Box::new(key)),
        Err(_) => match Ed25519Key::from_der(&document) {
            Ok(key) => Some(Box::new(key)),
            Err(error) => {
                assert_ne!(document, *good, "{error}");
                None
            }
        },
    };
    if let Some(signer) = signer {
        let len = signer.sign(b"message", &mut [0; 128]);
        assert!(len.is_some_and(|len| len > 0));
    }
}

struct Cast {
    roots: Vec<TrustAnchor<'static>>,
    leaf: Leaf,
    response: Vec<u8>,
    list: Vec<u8>,
}

/// The same documents every time.
fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(|| {
        let authority = Authority::fixed();
        Cast {
            roots: authority.anchors(),
            leaf: authority.issue_fixed(2, &["localhost"]),
            response: Response::good(1).sign_ed25519(&authority),
            list: authority.issue_list(&[1, 2, 3], |_| {}),
        }
    })
}

/// Reads lists of revoked certificates. Only the good one is taken.
pub fn fuzz_tls_crl(bytes: &[u8]) {
    let cast = cast();
    let document = changed(&cast.list, bytes);
    let list = RevocationList::read::<Crypto>(&document, &cast.roots[0]);
    assert!(list.is_ok() || document != cast.list);
    // Behind the header, whose length can be written in several ways.
    assert!(list.is_err() || document.ends_with(&cast.list[4..]));
}

/// Shows a client what OCSP says of a certificate. Nothing but a good response is taken, and
/// whatever is shown is no fault of the client's.
pub fn fuzz_tls_ocsp(bytes: &[u8]) {
    let cast = cast();
    let document = changed(&cast.response, bytes);
    let client = ClientConfig::new(&cast.roots).ocsp(OcspPolicy::Required);
    let config = Config::client(client);
    let mut client = Ours::client(1, &config, "localhost");
    let hello = core::mem::take(&mut client.output);
    let (mut puppet, answer) = Puppet::server(&hello);
    client.feed(&config, &answer);
    let shown = show(&cast.leaf.chain[0], &document);
    client.feed(&config, &puppet.seal(&message(8, &[0, 0])));
    for record in shown.chunks(16_000) {
        client.feed(&config, &puppet.seal(record));
    }
    assert_ne!(client.broken, Some(Broken::Sent(Alert::INTERNAL_ERROR)));
    let is_taken = client.broken.is_none();
    assert!(is_taken || document != cast.response, "{:?}", client.broken);
    // Behind the headers of what is signed, whose lengths can be written in several ways.
    assert!(!is_taken || document.ends_with(&cast.response[34..]));
}

/// Makes a `Certificate` message of one certificate and what OCSP says of it.
fn show(certificate: &[u8], response: &[u8]) -> Vec<u8> {
    let vector24 = |bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&len[1..], bytes].concat()
    };
    let status = extension(5, &[&[1], &vector24(response)[..]].concat());
    let entry = [vector24(certificate), vector16(&status)].concat();
    message(11, &[&[0], &vector24(&entry)[..]].concat())
}
