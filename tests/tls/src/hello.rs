//! A hello taken apart, changed and put together again.

use crate::puppet::{HANDSHAKE, extension, message, record, vector16};

/// The fields of a `ClientHello` or, with one suite and no list of compressions, a `ServerHello`
/// (RFC 8446, section 4.1).
#[derive(Clone, Debug)]
pub struct Hello {
    is_client: bool,
    pub version: [u8; 2],
    pub random: Vec<u8>,
    pub session_id: Vec<u8>,
    pub suites: Vec<u8>,
    pub compressions: Vec<u8>,
    pub extensions: Vec<(u16, Vec<u8>)>,
    /// What follows them.
    pub after: Vec<u8>,
}

impl Hello {
    /// Takes the hello in the record at the front of `bytes` apart.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut rest = &bytes[5 + 4..];
        let is_client = bytes[5] == 1;
        let mut take = |len: usize| {
            let (front, after) = rest.split_at(len);
            rest = after;
            front.to_vec()
        };
        let version = take(2).try_into().unwrap();
        let random = take(32);
        let len = take(1)[0];
        let session_id = take(usize::from(len));
        let number = |bytes: Vec<u8>| u16::from_be_bytes(bytes.try_into().unwrap());
        let suites_len = if is_client { number(take(2)) } else { 2 };
        let suites = take(usize::from(suites_len));
        let compressions_len = if is_client { take(1)[0] } else { 1 };
        let compressions = take(usize::from(compressions_len));
        let mut left = usize::from(number(take(2)));
        let mut extensions = Vec::new();
        while left > 0 {
            let kind = number(take(2));
            let len = usize::from(number(take(2)));
            extensions.push((kind, take(len)));
            left -= 4 + len;
        }
        Self {
            is_client,
            version,
            random,
            session_id,
            suites,
            compressions,
            extensions,
            after: Vec::new(),
        }
    }

    /// Returns the content of an extension.
    pub fn get(&mut self, number: u16) -> &mut Vec<u8> {
        let mut all = self.extensions.iter_mut();
        &mut all.find(|(kind, _)| *kind == number).unwrap().1
    }

    /// Takes an extension out.
    pub fn remove(&mut self, number: u16) {
        self.extensions.retain(|(kind, _)| *kind != number);
    }

    /// Adds an extension at the end.
    pub fn add(&mut self, number: u16, content: &[u8]) {
        self.extensions.push((number, content.to_vec()));
    }

    /// Puts it together, in a record.
    pub fn record(&self) -> Vec<u8> {
        record(HANDSHAKE, &self.message())
    }

    /// Puts it together, without a record.
    pub fn message(&self) -> Vec<u8> {
        let short = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let list = self.extensions.iter();
        let list: Vec<u8> = list
            .flat_map(|(kind, content)| extension(*kind, content))
            .collect();
        let (suites, compressions) = match self.is_client {
            true => (vector16(&self.suites), short(&self.compressions)),
            false => (self.suites.clone(), self.compressions.clone()),
        };
        let body = [
            &self.version[..],
            &self.random,
            &short(&self.session_id),
            &suites,
            &compressions,
            &vector16(&list),
            &self.after,
        ];
        message(if self.is_client { 1 } else { 2 }, &body.concat())
    }
}
