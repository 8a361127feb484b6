//! OCSP responses, as an authority's server makes them (RFC 6960, section 4.2.1).

use crate::{Authority, Leaf};

/// What a response says, and how.
#[derive(Clone)]
pub struct Response<'a> {
    pub serial: u8,
    /// The state's tag and content: 0x80 good, 0xa1 revoked, 0x82 unknown.
    pub state: Vec<u8>,
    pub this_update: &'a str,
    pub next_update: Option<&'a str>,
    /// The responder, who signs in the authority's place.
    pub responder: Option<&'a Leaf>,
    /// Extensions of what is said of the certificate, and of the whole: empty or their element.
    pub extensions: [Vec<u8>; 2],
}

impl Response<'_> {
    /// One that says until the 20th of January that the certificate is good.
    pub fn good(serial: u8) -> Self {
        Self {
            serial,
            state: vec![0x80, 0],
            this_update: "20270114000000Z",
            next_update: Some("20270120000000Z"),
            responder: None,
            extensions: [Vec::new(), Vec::new()],
        }
    }

    /// … that it has been revoked.
    pub fn revoked(serial: u8) -> Self {
        Self {
            state: der(0xa1, &[time("20270102000000Z")]),
            ..Self::good(serial)
        }
    }

    /// Makes the response in DER; the keys are of P-256.
    pub fn sign(&self, authority: &Authority) -> Vec<u8> {
        const ECDSA_SHA256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        self.sign_with(authority, &ECDSA_SHA256)
    }

    /// … the authority's key is of Ed25519.
    pub fn sign_ed25519(&self, authority: &Authority) -> Vec<u8> {
        self.sign_with(authority, &[6, 3, 0x2b, 0x65, 0x70])
    }

    fn sign_with(&self, authority: &Authority, algorithm: &[u8]) -> Vec<u8> {
        const SHA1: [u8; 7] = [6, 5, 0x2b, 0x0e, 3, 2, 0x1a];
        const BASIC: [u8; 11] = [6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
        let [of_single, of_all] = &self.extensions;
        let id = der(
            0x30,
            &[
                der(0x30, &[SHA1.to_vec()]),
                der(4, &[vec![7; 20]]),
                der(4, &[vec![8; 20]]),
                der(2, &[vec![self.serial]]),
            ],
        );
        let next = self.next_update.map(|next| der(0xa0, &[time(next)]));
        let single = der(
            0x30,
            &[
                id,
                self.state.clone(),
                time(self.this_update),
                next.unwrap_or_default(),
                of_single.clone(),
            ],
        );
        let data = der(
            0x30,
            &[
                der(0xa2, &[der(4, &[vec![9; 20]])]),
                time(self.this_update),
                der(0x30, &[single]),
                of_all.clone(),
            ],
        );
        let signature = match self.responder {
            Some(responder) => {
                let mut signature = [0; 128];
                let len = responder.signer.sign(&data, &mut signature).unwrap();
                signature[..len].to_vec()
            }
            None => authority.sign(&data),
        };
        let certificates = self
            .responder
            .map(|responder| der(0xa0, &[der(0x30, &[responder.chain[0].clone()])]));
        let basic = der(
            0x30,
            &[
                data,
                der(0x30, &[algorithm.to_vec()]),
                der(3, &[vec![0], signature]),
                certificates.unwrap_or_default(),
            ],
        );
        let bytes = der(0x30, &[BASIC.to_vec(), der(4, &[basic])]);
        der(0x30, &[vec![0x0a, 1, 0], der(0xa0, &[bytes])])
    }
}

/// Makes an element `[1]` with one extension, the object 1.2.3.
pub fn extension(is_critical: bool) -> Vec<u8> {
    let critical = match is_critical {
        true => der(1, &[vec![0xff]]),
        false => Vec::new(),
    };
    let fields = [der(6, &[vec![0x2a, 3]]), critical, der(4, &[vec![5, 0]])];
    der(0xa1, &[der(0x30, &[der(0x30, &fields)])])
}

fn time(text: &str) -> Vec<u8> {
    der(0x18, &[text.as_bytes().to_vec()])
}

/// Makes an element of its parts.
pub fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let len = match content.len() {
        len @ 0..=0x7f => vec![u8::try_from(len).unwrap()],
        len => {
            let len = u16::try_from(len).unwrap().to_be_bytes();
            vec![0x82, len[0], len[1]]
        }
    };
    [vec![tag], len, content].concat()
}
