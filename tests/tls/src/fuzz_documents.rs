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
    const SEC1: [u8; 7] = [0x30, 49, 2, 1, 1, 4, 32];
    const CURVE: [u8; 12] = [
        0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let (kind, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let pkcs8 = fixed_key(5).serialize_der();
    let sec1 = [&SEC1[..], &[7; 32], &CURVE].concat();
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

/// Returns the inputs from which a fuzzer of documents starts, by the name of its target. Made by
/// counting, so that they are the same every time.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    match target {
        "tls_pem" => texts(),
        // The first byte chooses between the two good keys.
        "tls_key" => [0, 1]
            .iter()
            .flat_map(|kind| {
                edits(80)
                    .into_iter()
                    .map(|edit| [&[*kind], &edit[..]].concat())
            })
            .collect(),
        _ => edits(400),
    }
}

/// Changes of a good document of about `len` bytes: none, of a byte at many places, of many bytes,
/// and cuts; and documents that are nothing but the bytes.
fn edits(len: u16) -> Vec<Vec<u8>> {
    let edit = |at: u16, by: u8| [&at.to_be_bytes()[..], &[by]].concat();
    let mut edits = vec![
        vec![0],
        vec![],
        vec![1],
        vec![1, 0x30, 0x80],
        vec![1, 0x30, 0x03, 2, 1, 0],
    ];
    for at in (0..12).chain((12..len).step_by(usize::from(len / 12))) {
        edits.push([&[0], &edit(at, 1)[..]].concat());
        edits.push([&[0], &edit(at, 0x80)[..]].concat());
    }
    // Behind the end of any of them.
    edits.extend((0..6).map(|cut| [&[0], &edit(60_000 + 37 * cut, 0)[..]].concat()));
    let many = (0..len).step_by(7).flat_map(|at| edit(at, 0x55));
    edits.push([0].into_iter().chain(many).collect());
    edits
}

/// Texts that are PEM or nearly so.
fn texts() -> Vec<Vec<u8>> {
    let good = pem("CERTIFICATE", &[7; 100]);
    let key = pem("PRIVATE KEY", &[9; 48]);
    let mut texts = vec![
        String::new(),
        good.clone(),
        key.clone(),
        format!("{good}{key}"),
        format!("of a text before it\n{good}"),
        good.replace('\n', "\r\n"),
        good.replace('\n', "\n\n"),
        good.replace('B', "!"),
        good.replace("END CERT", "END CART"),
        good.replace("-----END", "----END"),
        good.replacen("-----\n", "-----", 1),
        key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        key.replacen(
            "-----\n",
            "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
            1,
        ),
        pem("", &[1]),
        pem("CERTIFICATE", &[]),
        "-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----\n".to_owned(),
        "-----BEGIN CERTIFICATE-----\nAB==\n-----END CERTIFICATE-----\n".to_owned(),
        "-----BEGIN ".repeat(8),
        "-".repeat(40),
    ];
    texts.extend((1..9).map(|cut| good[..good.len() * cut / 9].to_owned()));
    texts.into_iter().map(String::into_bytes).collect()
}
