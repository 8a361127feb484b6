//! Files and programs of tests that run other implementations.

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Leaf;

/// A directory for one test's files, removed when dropped.
pub struct Files(PathBuf);

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Files {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("usockets-tls-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Writes a PEM file with one section for each document.
    pub fn write(&self, name: &str, label: &str, documents: &[Vec<u8>]) -> PathBuf {
        let path = self.0.join(name);
        let text: String = documents.iter().map(|der| pem(label, der)).collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the certificates and the key of an identity.
    pub fn chain(&self, name: &str, leaf: &Leaf) -> [PathBuf; 2] {
        let mut key = leaf.document.clone();
        if key[2..5] == [2, 1, 1] {
            // OpenSSL 3.0 knows no key with its public half (RFC 5958): make one without.
            key = [&[0x30, 0x2e, 2, 1, 0], &key[5..48]].concat();
        }
        [
            self.write(&format!("{name}.pem"), "CERTIFICATE", &leaf.chain),
            self.write(&format!("{name}.key"), "PRIVATE KEY", &[key]),
        ]
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Returns a document as a section of PEM (RFC 7468).
pub fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let mut bits = 0_u32;
            for n in 0..3 {
                bits = bits << 8 | u32::from(three.get(n).copied().unwrap_or(0));
            }
            for n in 0..4 {
                let index = (bits >> (18 - 6 * n)) & 63;
                let is_there = n <= three.len();
                text.push(if is_there {
                    char::from(ALPHABET[index as usize])
                } else {
                    '='
                });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

/// A program that is killed when dropped.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
