//! The other end of a measured program: plain blocking sockets of `std`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use usockets_tests::restart::restarted;

/// Bytes of one message.
const MESSAGE: [u8; 64] = [b'x'; 64];
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Client connections to a measured server.
pub struct Clients {
    streams: Vec<TcpStream>,
}

impl Clients {
    /// Connects `count` clients.
    pub fn connect(addr: SocketAddr, count: usize) -> io::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let streams = (0..count).map(connect).collect::<io::Result<_>>()?;
        Ok(Self { streams })
    }

    /// Each client sends one message, then each receives it back; `rounds` times.
    pub fn echo(&mut self, rounds: usize) -> io::Result<()> {
        let mut back = [0; MESSAGE.len()];
        for _ in 0..rounds {
            for stream in &mut self.streams {
                stream.write_all(&MESSAGE)?;
            }
            for stream in &mut self.streams {
                stream.read_exact(&mut back)?;
                if back != MESSAGE {
                    return Err(io::Error::other("the echo differs"));
                }
            }
        }
        Ok(())
    }

    /// Ends every client's direction, and waits until the server has ended its own.
    pub fn finish(mut self) -> io::Result<()> {
        for stream in &self.streams {
            stream.shutdown(Shutdown::Write)?;
        }
        for stream in &mut self.streams {
            if restarted(|| stream.read(&mut [0]))? != 0 {
                return Err(io::Error::other("bytes after the end"));
            }
        }
        Ok(())
    }
}

/// Reads the address that a server prints first.
pub fn printed_addr(server: &mut Child) -> io::Result<SocketAddr> {
    let output = server.stdout.as_mut();
    let mut line = String::new();
    BufReader::new(output.ok_or_else(|| io::Error::other("no output"))?).read_line(&mut line)?;
    let addr = line.trim().parse();
    addr.map_err(|_| io::Error::other(format!("no address but {line:?}")))
}

/// Accepts and keeps connections for as long as the program runs; returns where.
pub fn sink() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    Ok(addr)
}

/// Asks a program to end, and waits until it has.
pub fn end(program: &mut Child) {
    if let Some(pid) = i32::try_from(program.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = program.wait();
}
