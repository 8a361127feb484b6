//! The servers on polling: level-triggered, so that one read per event is enough.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;

use polling::{Event, Events, PollMode, Poller};
use slab::Slab;
use usockets_peers::{Echo, Http, READ_MAX, Role, Service, listen};

const LISTENER: usize = usize::MAX - 1;

struct Connection<S: Service> {
    stream: TcpStream,
    state: S::State,
    /// What the peer has not taken yet. Nothing is read meanwhile.
    held: Vec<u8>,
}

struct Server<S: Service> {
    poller: Poller,
    listener: TcpListener,
    connections: Slab<Connection<S>>,
    read: Vec<u8>,
    scratch: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Role::from_args()? {
        Role::Echo => Server::<Echo>::new()?.serve()?,
        Role::Http => Server::<Http>::new()?.serve()?,
        Role::Timeouts => return Err("polling has no timeouts".into()),
    }
    Ok(())
}

impl<S: Service> Server<S> {
    fn new() -> io::Result<Self> {
        let (poller, listener) = (Poller::new()?, listen()?);
        #[expect(
            unsafe_code,
            reason = "polling leaves the life of a source to its user"
        )]
        // SAFETY: the listener lives as long as the poller, until the process ends.
        unsafe {
            poller.add_with_mode(&listener, Event::readable(LISTENER), PollMode::Level)?;
        }
        Ok(Self {
            poller,
            listener,
            connections: Slab::new(),
            read: vec![0; READ_MAX],
            scratch: Vec::new(),
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(const { NonZero::new(1024).unwrap() });
        loop {
            events.clear();
            self.poller.wait(&mut events, None)?;
            for event in events.iter() {
                if event.key == LISTENER {
                    self.accept()?;
                } else if self.drive(event).is_err()
                    && let Some(connection) = self.connections.try_remove(event.key)
                {
                    self.poller.delete(&connection.stream)?;
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => continue,
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            #[expect(
                unsafe_code,
                reason = "polling leaves the life of a source to its user"
            )]
            // SAFETY: `serve` deletes the stream from the poller before it is dropped.
            unsafe {
                let readable = Event::readable(entry.key());
                self.poller
                    .add_with_mode(&stream, readable, PollMode::Level)?;
            }
            entry.insert(Connection {
                stream,
                state: S::State::default(),
                held: Vec::new(),
            });
        }
    }

    /// Does what an event allows. An error closes the connection.
    fn drive(&mut self, event: Event) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(event.key) else {
            return Ok(());
        };
        if !connection.held.is_empty() {
            let count = write(&connection.stream, &connection.held)?;
            connection.held.drain(..count);
            if connection.held.is_empty() {
                let interest = Event::readable(event.key);
                let mode = PollMode::Level;
                self.poller
                    .modify_with_mode(&connection.stream, interest, mode)?;
            }
            return Ok(());
        }
        let count = match connection.stream.read(&mut self.read) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let data = &self.read[..count];
        let answer = S::answer(&mut connection.state, data, &mut self.scratch);
        let answer = answer.ok_or(ErrorKind::InvalidData)?;
        let sent = write(&connection.stream, answer)?;
        if sent < answer.len() {
            connection.held.extend_from_slice(&answer[sent..]);
            let interest = Event::writable(event.key);
            let mode = PollMode::Level;
            self.poller
                .modify_with_mode(&connection.stream, interest, mode)?;
        }
        Ok(())
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Writes what the peer takes now.
fn write(mut stream: &TcpStream, data: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < data.len() {
        match stream.write(&data[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
