//! The load of short connections: connect, one exchange, close.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, bind, connect, shutdown, socket_with,
};
use rustix::time::Timespec;

use crate::Failure;
use crate::client::Run;

/// Connections open at a time.
const AT_ONCE: usize = 64;
/// Local addresses taken in turn. The side that closes first keeps its port for a minute; 28,000
/// ports of one address would be used up in two seconds.
const SOURCES: u8 = 100;
/// How long a connection may take, however slow the machine is.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Opens, uses and closes connections to one server.
pub(crate) struct Churn {
    epoll: OwnedFd,
    server: SocketAddr,
    request: Vec<u8>,
    source: u8,
    connections: Vec<(TcpStream, Instant)>,
}

impl Churn {
    /// Prepares connections that send `request` and get it back.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new(server: SocketAddr, request: &[u8]) -> Result<Self, Failure> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            server,
            request: request.to_vec(),
            source: 0,
            connections: Vec::with_capacity(AT_ONCE),
        })
    }

    /// Keeps connections coming and going for this long, and then lets the last ones end.
    ///
    /// # Errors
    /// A connection failed.
    pub(crate) fn run(&mut self, window: Duration) -> Result<Run, Failure> {
        let mut run = Run::new()?;
        let start = Instant::now();
        self.connections.clear();
        for index in 0..AT_ONCE {
            let opened = self.open(index)?;
            self.connections.push(opened);
        }
        let mut waiting = AT_ONCE;
        while waiting > 0 {
            let again = run.elapsed < window;
            let served = self.wait(&mut run, again)?;
            if !again {
                waiting -= served;
            }
            run.elapsed = start.elapsed();
            if run.elapsed > window + CONNECTION_MAX {
                return Err("not every connection is answered".into());
            }
        }
        self.connections.clear();
        Ok(run)
    }

    fn wait(&mut self, run: &mut Run, again: bool) -> Result<usize, Failure> {
        let empty = epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        let mut events = [empty; AT_ONCE];
        let at_once = Timespec::default();
        let count = epoll::wait(&self.epoll, &mut events[..], Some(&at_once))?;
        let mut reply = [0; 1024];
        for event in &events[..count] {
            let data = event.data;
            let index = usize::try_from(data.u64())?;
            let (stream, since) = &mut self.connections[index];
            let received = stream.read(&mut reply)?;
            if reply[..received] != self.request {
                return Err("not an echo".into());
            }
            let nanos = since.elapsed().as_nanos();
            run.latency.saturating_record(nanos.try_into()?);
            run.requests += 1;
            if again {
                // Closes the old connection.
                self.connections[index] = self.open(index)?;
            } else {
                shutdown(&*stream, Shutdown::Both)?;
                epoll::delete(&self.epoll, &*stream)?;
            }
        }
        Ok(count)
    }

    /// Connects and sends. Over loopback the handshake is done when `connect` returns.
    fn open(&mut self, index: usize) -> Result<(TcpStream, Instant), Failure> {
        let since = Instant::now();
        let fd = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        set_socket_reuseaddr(&fd, true)?;
        set_tcp_nodelay(&fd, true)?;
        self.source = self.source % SOURCES + 1;
        bind(
            &fd,
            &SocketAddr::from((Ipv4Addr::new(127, 0, 1, self.source), 0)),
        )?;
        connect(&fd, &self.server)?;
        let mut stream = TcpStream::from(fd);
        stream.write_all(&self.request)?;
        let data = EventData::new_u64(index.try_into()?);
        epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
        Ok((stream, since))
    }
}
