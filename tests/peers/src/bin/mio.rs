//! The servers on mio: edge-triggered, one registration per connection.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use usockets_peers::timeouts::{COUNT, Timeouts, measure};
use usockets_peers::{Echo, Http, READ_MAX, Role, Service, listen};

/// Time between two looks at which connections' time is over.
const LOOK: Duration = Duration::from_secs(1);
const LISTENER: Token = Token(usize::MAX);

struct Connection<S: Service> {
    stream: TcpStream,
    state: S::State,
    /// What the peer has not taken yet. Nothing is read meanwhile.
    held: Vec<u8>,
}

/// Buffers that all connections share.
struct Buffers {
    read: Vec<u8>,
    scratch: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Role::from_args()? {
        Role::Echo => serve::<Echo>()?,
        Role::Http => serve::<Http>()?,
        Role::Timeouts => measure(&mut Table::default()),
    }
    Ok(())
}

fn serve<S: Service>() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::from_std(listen()?);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections = Slab::<Connection<S>>::new();
    let mut buffers = Buffers {
        read: vec![0; READ_MAX],
        scratch: Vec::new(),
    };
    let mut looked = Instant::now();
    loop {
        match poll.poll(&mut events, Some(LOOK)) {
            // A tracer that comes or goes interrupts it.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut connections)?;
                continue;
            }
            let key = event.token().0;
            let Some(connection) = connections.get_mut(key) else {
                continue;
            };
            if drive(connection, event, &mut buffers).is_err() {
                // Closing the descriptor ends its registration.
                connections.remove(key);
            }
        }
        let now = Instant::now();
        if now - looked >= LOOK {
            looked = now;
            connections.retain(|_, connection| !S::is_over(&connection.state, now));
        }
    }
}

fn accept<S: Service>(
    poll: &Poll,
    listener: &TcpListener,
    connections: &mut Slab<Connection<S>>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => continue,
        };
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(entry.key()), interest)?;
        entry.insert(Connection {
            stream,
            state: S::State::default(),
            held: Vec::new(),
        });
    }
}

/// Does what an event allows. An error closes the connection.
fn drive<S: Service>(
    connection: &mut Connection<S>,
    event: &Event,
    buffers: &mut Buffers,
) -> io::Result<()> {
    let mut drain = event.is_read_closed();
    if !connection.held.is_empty() {
        if !event.is_writable() {
            return Ok(());
        }
        let count = write(&mut connection.stream, &connection.held)?;
        connection.held.drain(..count);
        if !connection.held.is_empty() {
            return Ok(());
        }
        drain = true;
    } else if !event.is_readable() {
        return Ok(());
    }
    loop {
        let count = match connection.stream.read(&mut buffers.read) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let data = &buffers.read[..count];
        let answer = S::answer(&mut connection.state, data, &mut buffers.scratch);
        let answer = answer.ok_or(ErrorKind::InvalidData)?;
        let sent = write(&mut connection.stream, answer)?;
        if sent < answer.len() {
            connection.held.extend_from_slice(&answer[sent..]);
            return Ok(());
        }
        // A read that leaves room has drained an edge-triggered socket (epoll(7)), which saves
        // the one that finds nothing.
        if count < READ_MAX && !drain {
            return Ok(());
        }
    }
}

/// Writes what the peer takes now.
fn write(stream: &mut TcpStream, data: &[u8]) -> io::Result<usize> {
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

/// mio has no timeouts; its users take the ordered map of the standard library.
#[derive(Default)]
struct Table {
    now: u64,
    order: BTreeMap<(u64, u32), ()>,
    deadlines: Vec<u64>,
}

impl Timeouts for Table {
    fn arm(&mut self, key: u32, after: u64) {
        if self.deadlines.is_empty() {
            self.deadlines = vec![0; COUNT as usize];
        }
        self.deadlines[key as usize] = self.now + after;
        self.order.insert((self.now + after, key), ());
    }

    fn rearm(&mut self, key: u32, after: u64) {
        let deadline = &mut self.deadlines[key as usize];
        self.order.remove(&(*deadline, key));
        *deadline = self.now + after;
        self.order.insert((*deadline, key), ());
    }

    fn expire(&mut self) -> u32 {
        let mut count = 0;
        while let Some(((deadline, _), ())) = self.order.pop_first() {
            self.now = deadline;
            count += 1;
        }
        count
    }
}
