//! What a client has sent and what a server answers, for libraries that read and write streams.

use std::io::{self, Read, Write};

/// Two queues of bytes.
#[derive(Default)]
pub struct Wire {
    input: Vec<u8>,
    /// Bytes of the input that have been read.
    read: usize,
    pub output: Vec<u8>,
    /// What is written goes nowhere.
    pub drops: bool,
}

impl Wire {
    /// Adds what the client has sent.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.drain(..self.read);
        self.read = 0;
        self.input.extend_from_slice(bytes);
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.input[self.read..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.drops {
            self.output.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
