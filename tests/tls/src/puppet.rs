//! A peer that does what a test says: keys and records as they should be, messages as they should
//! not. It shares no code with what is tested. One suite, one group:
//! `TLS_AES_128_GCM_SHA256` and X25519.

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use usockets::tls::Signer;
use x25519_dalek::{PublicKey, StaticSecret};

pub const HANDSHAKE: u8 = 22;
pub const DATA: u8 = 23;

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(data)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

fn expand(secret: &[u8], label: &str, context: &[u8], len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let mut info = u16::try_from(len).unwrap().to_be_bytes().to_vec();
    info.push(u8::try_from(label.len()).unwrap());
    info.extend_from_slice(label.as_bytes());
    info.push(u8::try_from(context.len()).unwrap());
    info.extend_from_slice(context);
    info.push(1);
    hmac(secret, &info)[..len].to_vec()
}

/// One direction's keys.
#[derive(Clone, Default)]
pub struct Keys {
    secret: Vec<u8>,
    key: Vec<u8>,
    iv: Vec<u8>,
    sequence: u64,
}

impl Keys {
    fn new(secret: Vec<u8>) -> Self {
        Self {
            key: expand(&secret, "key", &[], 16),
            iv: expand(&secret, "iv", &[], 12),
            sequence: 0,
            secret,
        }
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce: [u8; 12] = self.iv.clone().try_into().unwrap();
        for (byte, count) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.sequence += 1;
        nonce
    }

    /// Protects what is the content, the content's type and the padding.
    pub fn seal(&mut self, inner: &[u8]) -> Vec<u8> {
        let len = u16::try_from(inner.len() + 16).unwrap().to_be_bytes();
        let header = [DATA, 3, 3, len[0], len[1]];
        let mut body = inner.to_vec();
        let cipher = Aes128Gcm::new_from_slice(&self.key).unwrap();
        let tag = cipher
            .encrypt_inout_detached(&self.nonce().into(), &header, body.as_mut_slice().into())
            .unwrap();
        [&header[..], &body, &tag].concat()
    }

    /// Opens a record; returns its content and its type.
    pub fn open(&mut self, record: &[u8]) -> (Vec<u8>, u8) {
        let (header, body) = record.split_at(5);
        let (body, tag) = body.split_at(body.len() - 16);
        let tag: [u8; 16] = tag.try_into().unwrap();
        let mut body = body.to_vec();
        let cipher = Aes128Gcm::new_from_slice(&self.key).unwrap();
        cipher
            .decrypt_inout_detached(
                &self.nonce().into(),
                header,
                body.as_mut_slice().into(),
                &tag.into(),
            )
            .unwrap();
        while body.last() == Some(&0) {
            body.pop();
        }
        let content = body.pop().unwrap();
        (body, content)
    }
}

/// The peer.
#[derive(Clone)]
pub struct Puppet {
    transcript: Sha256,
    private: [u8; 32],
    handshake: [u8; 32],
    /// Keys to send with.
    pub send: Keys,
    /// Keys to receive with.
    pub receive: Keys,
    is_server: bool,
    /// The group is P-256, and not X25519.
    is_p256: bool,
}

/// Makes a handshake message.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, len[1], len[2], len[3]], body].concat()
}

/// Makes a record that is not protected.
pub fn record(content: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[content, 3, 3, len[0], len[1]], body].concat()
}

/// Makes a vector with a two-byte length.
pub fn vector16(body: &[u8]) -> Vec<u8> {
    [&u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// Makes an extension.
pub fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &vector16(body)].concat()
}

/// Makes a `Certificate` of a chain.
pub fn certificate(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut list = Vec::new();
    for certificate in chain {
        list.extend_from_slice(&u32::try_from(certificate.len()).unwrap().to_be_bytes()[1..]);
        list.extend_from_slice(certificate);
        list.extend_from_slice(&[0, 0]);
    }
    let len = u32::try_from(list.len()).unwrap().to_be_bytes();
    message(11, &[&[0], &len[1..], &list].concat())
}

/// Finds the extension in the extensions of a hello, given as a message.
fn find(hello: &[u8], is_client: bool, number: u16) -> Option<Vec<u8>> {
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    if is_client {
        at += 2 + usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        at += 1 + usize::from(hello[at]);
    } else {
        at += 3;
    }
    at += 2;
    while at < hello.len() {
        let found = u16::from_be_bytes([hello[at], hello[at + 1]]);
        let len = usize::from(u16::from_be_bytes([hello[at + 2], hello[at + 3]]));
        if found == number {
            return Some(hello[at + 4..at + 4 + len].to_vec());
        }
        at += 4 + len;
    }
    None
}

impl Puppet {
    fn new(is_server: bool) -> Self {
        Self {
            transcript: Sha256::new(),
            private: [0x42; 32],
            handshake: [0; 32],
            send: Keys::default(),
            receive: Keys::default(),
            is_server,
            is_p256: false,
        }
    }

    /// Makes a server that answers `hello`, a record; returns its `ServerHello` too, as a record.
    pub fn server(hello: &[u8]) -> (Self, Vec<u8>) {
        let mut puppet = Self::new(true);
        let hello = &hello[5..];
        let shares = find(hello, true, 51).unwrap();
        puppet.is_p256 = shares[2..6] == [0, 0x17, 0, 65];
        let is_x25519 = shares[2..6] == [0, 0x1d, 0, 32];
        assert!(puppet.is_p256 || is_x25519, "a share of a group it knows");
        let id_len = usize::from(hello[38]);
        let id = &hello[38..39 + id_len];
        puppet.transcript.update(hello);
        let answer = puppet.server_hello(id);
        puppet.transcript.update(&answer);
        let len = usize::from(shares[5]);
        puppet.agree(&shares[6..6 + len]);
        (puppet, record(HANDSHAKE, &answer))
    }

    fn server_hello(&self, id: &[u8]) -> Vec<u8> {
        let share = if self.is_p256 {
            let public = self.p256().public_key().to_sec1_point(false);
            [&[0, 0x17, 0, 65], public.as_bytes()].concat()
        } else {
            let public = PublicKey::from(&StaticSecret::from(self.private));
            [&[0, 0x1d, 0, 32], &public.as_bytes()[..]].concat()
        };
        let extensions = [extension(43, &[3, 4]), extension(51, &share)].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            id,
            &[0x13, 1, 0],
            &vector16(&extensions),
        ];
        message(2, &body.concat())
    }

    /// Makes a client; returns its hello too, as a record. `more` are extensions.
    pub fn client(name: &str, more: &[Vec<u8>]) -> (Self, Vec<u8>) {
        let mut puppet = Self::new(false);
        let public = PublicKey::from(&StaticSecret::from(puppet.private));
        let share = [&[0, 36, 0, 0x1d, 0, 32], &public.as_bytes()[..]].concat();
        let name = [&[0][..], &vector16(name.as_bytes())].concat();
        let mut extensions = vec![
            extension(0, &vector16(&name)),
            extension(43, &[2, 3, 4]),
            extension(10, &[0, 2, 0, 0x1d]),
            extension(13, &[0, 4, 4, 3, 8, 7]),
            extension(51, &share),
        ];
        extensions.extend_from_slice(more);
        let body = [
            &[3, 3][..],
            &[9; 32],
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &vector16(&extensions.concat()),
        ];
        let hello = message(1, &body.concat());
        puppet.transcript.update(&hello);
        (puppet, record(HANDSHAKE, &hello))
    }

    /// Reads the server's flight: its hello and what follows, which is returned in the clear.
    pub fn read_flight(&mut self, flight: &[u8]) -> Vec<u8> {
        let mut rest = flight;
        let mut clear = Vec::new();
        while !rest.is_empty() {
            let len = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            let (record, after) = rest.split_at(len);
            rest = after;
            match record[0] {
                22 => {
                    self.transcript.update(&record[5..]);
                    let share = find(&record[5..], false, 51).unwrap();
                    self.agree(&share[4..]);
                }
                23 => {
                    let (body, content) = self.receive.open(record);
                    assert_eq!(content, HANDSHAKE);
                    clear.extend_from_slice(&body);
                }
                other => assert_eq!(other, 20),
            }
        }
        self.transcript.update(&clear);
        clear
    }

    fn p256(&self) -> p256::SecretKey {
        p256::SecretKey::from_slice(&self.private).unwrap()
    }

    fn agree(&mut self, theirs: &[u8]) {
        let shared = if self.is_p256 {
            let theirs = p256::PublicKey::from_sec1_bytes(theirs).unwrap();
            self.p256()
                .diffie_hellman(&theirs)
                .raw_secret_bytes()
                .to_vec()
        } else {
            let theirs: [u8; 32] = theirs.try_into().unwrap();
            let ours = StaticSecret::from(self.private);
            ours.diffie_hellman(&theirs.into()).as_bytes().to_vec()
        };
        let empty = Sha256::digest([]);
        let early = hmac(&[0; 32], &[0; 32]);
        let salt = expand(&early, "derived", &empty, 32);
        self.handshake = hmac(&salt, &shared);
        let digest = self.digest();
        let client = Keys::new(expand(&self.handshake, "c hs traffic", &digest, 32));
        let server = Keys::new(expand(&self.handshake, "s hs traffic", &digest, 32));
        self.set(client, server);
    }

    fn set(&mut self, client: Keys, server: Keys) {
        (self.send, self.receive) = if self.is_server {
            (server, client)
        } else {
            (client, server)
        };
    }

    fn digest(&self) -> Vec<u8> {
        self.transcript.clone().finalize().to_vec()
    }

    /// Hashes a message as sent.
    pub fn note(&mut self, message: &[u8]) {
        self.transcript.update(message);
    }

    /// Makes a `CertificateVerify` for what has been sent.
    pub fn verify(&self, signer: &dyn Signer) -> Vec<u8> {
        let mut signed = vec![0x20; 64];
        signed.extend_from_slice(if self.is_server {
            b"TLS 1.3, server CertificateVerify\0"
        } else {
            b"TLS 1.3, client CertificateVerify\0"
        });
        signed.extend_from_slice(&self.digest());
        let mut signature = [0; 128];
        let len = signer.sign(&signed, &mut signature).unwrap();
        let scheme = signer.scheme().code().to_be_bytes();
        message(15, &[&scheme[..], &vector16(&signature[..len])].concat())
    }

    /// Makes a `Finished` for what has been sent.
    pub fn finished(&self) -> Vec<u8> {
        let key = expand(&self.send.secret, "finished", &[], 32);
        message(20, &hmac(&key, &self.digest()))
    }

    /// Protects handshake messages in one record.
    pub fn seal(&mut self, messages: &[u8]) -> Vec<u8> {
        self.seal_as(HANDSHAKE, messages)
    }

    pub fn seal_as(&mut self, content: u8, body: &[u8]) -> Vec<u8> {
        let inner = [body, &[content]].concat();
        self.send.seal(&inner)
    }

    /// Returns the keys of data, client's and server's, as of what has been hashed, which for
    /// both sides is everything up to the server's `Finished`.
    pub fn data_keys(&self) -> (Keys, Keys) {
        let empty = Sha256::digest([]);
        let salt = expand(&self.handshake, "derived", &empty, 32);
        let master = hmac(&salt, &[0; 32]);
        let digest = self.digest();
        let client = Keys::new(expand(&master, "c ap traffic", &digest, 32));
        let server = Keys::new(expand(&master, "s ap traffic", &digest, 32));
        (client, server)
    }

    /// Takes the keys of data.
    pub fn take(&mut self, (client, server): (Keys, Keys)) {
        self.set(client, server);
    }
}
