//! A server's clients in the server's thread, in turn with it, so that a count of the server's
//! instructions is the same in every run: each wait finds what all clients sent.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Connections, in lockstep.
pub const CONNECTIONS: usize = 10;
/// What callgrind has to be told so that it counts all but the clients. In this order: the first
/// has it count nothing at the start, the second all.
pub const WITHOUT_CLIENTS: [&str; 2] = [
    "--toggle-collect=*lockstep*Clients*turn*",
    "--collect-atstart=yes",
];
/// Bytes of one message.
const MESSAGE: [u8; 64] = [b'x'; 64];

/// Returns the number of rounds that the command line asks for.
pub fn rounds_wanted() -> Option<usize> {
    env::args().nth(1)?.parse().ok()
}

/// Clients of an echo server. In each round each sends one message, and each waits for its answer.
#[derive(Debug)]
pub struct Clients {
    streams: Vec<TcpStream>,
    /// Of the round's first client without its whole answer.
    at: usize,
    /// What it has of it.
    answer: Vec<u8>,
    rounds: usize,
}

impl Clients {
    /// Connects to the server at `addr`, for `rounds` rounds.
    ///
    /// # Errors
    /// What the sockets say.
    pub fn connect(addr: SocketAddr, rounds: usize) -> io::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        Ok(Self {
            streams: (0..CONNECTIONS).map(connect).collect::<io::Result<_>>()?,
            at: CONNECTIONS,
            answer: Vec::with_capacity(MESSAGE.len()),
            rounds,
        })
    }

    /// Goes on until the server has to do something; returns false when all rounds are over.
    ///
    /// # Errors
    /// What the sockets say, and an answer that differs from what was sent.
    #[inline(never)]
    pub fn turn(&mut self) -> io::Result<bool> {
        loop {
            let Some(stream) = self.streams.get_mut(self.at) else {
                if self.rounds == 0 {
                    return Ok(false);
                }
                self.rounds -= 1;
                self.at = 0;
                for stream in &mut self.streams {
                    stream.write_all(&MESSAGE)?;
                }
                return Ok(true);
            };
            let mut bytes = [0; MESSAGE.len()];
            match stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.answer.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
            if !MESSAGE.starts_with(&self.answer) {
                return Err(io::Error::other("the echo differs"));
            }
            if self.answer.len() == MESSAGE.len() {
                self.answer.clear();
                self.at += 1;
            }
        }
    }
}
