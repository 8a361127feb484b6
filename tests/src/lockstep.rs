//! A server and its clients in one thread, in turn, so that a count of the server's instructions is
//! the same in every run: each wait of the server finds what all clients sent.

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Connections, in lockstep.
pub const CONNECTIONS: usize = 10;
/// Name of the function whose instructions are counted, for callgrind's `--toggle-collect`.
pub const COUNTED: &str = "*lockstep*counted*";
/// Bytes of one message.
const MESSAGE: [u8; 64] = [b'x'; 64];

/// Returns the number of rounds that the command line asks for.
pub fn rounds_wanted() -> Option<usize> {
    env::args().nth(1)?.parse().ok()
}

/// In each of `rounds` rounds each client sends one message, then `turn`, one iteration of the
/// server at `addr`, is called until each client has its answer.
///
/// # Errors
/// What the sockets or the server say, and an answer that differs from what was sent.
pub fn run<E: Error + 'static>(
    addr: SocketAddr,
    rounds: usize,
    mut turn: impl FnMut() -> Result<(), E>,
) -> Result<(), Box<dyn Error>> {
    let connect = |_| {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let mut streams: Vec<_> = (0..CONNECTIONS).map(connect).collect::<io::Result<_>>()?;
    for _ in 0..rounds {
        for stream in &mut streams {
            stream.write_all(&MESSAGE)?;
        }
        for stream in &mut streams {
            let mut back = [0; MESSAGE.len()];
            let mut filled = 0;
            while let Some(free) = back.get_mut(filled..).filter(|free| !free.is_empty()) {
                match stream.read(free) {
                    Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    Ok(len) => filled += len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => counted(&mut turn)?,
                    Err(error) => return Err(error.into()),
                }
            }
            if back != MESSAGE {
                return Err(io::Error::other("the echo differs").into());
            }
        }
    }
    Ok(())
}

/// Calls `turn`, under a name that a profiler sees.
#[inline(never)]
fn counted<E>(turn: &mut impl FnMut() -> Result<(), E>) -> Result<(), E> {
    turn()
}
