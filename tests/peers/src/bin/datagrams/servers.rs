//! The same echo of datagrams on each library, as its users write it.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};

use mio::{Events, Interest, Poll, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use usockets::{Arrival, Datagrams, Departure, Handler, Instant, Loop, Opened, Socket, Sockets};
use usockets_linux::Linux;

/// An echo server.
pub(crate) trait Server {
    /// Returns where it listens.
    fn addr(&self) -> SocketAddr;

    /// Echoes until so many datagrams have gone back, of which those of a run count each.
    fn echo(&mut self, count: usize) -> io::Result<()>;
}

/// Bytes of memory for each datagram, or run of them: the longest, and an odd number of cache lines
/// more, so that the parts do not lie in the same places of the cache.
const PART: usize = (1 << 16) + 21 * 64;

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// This library's.
pub(crate) struct Usockets {
    server: Loop<'static, Linux, Echo>,
    echo: Echo,
    addr: SocketAddr,
}

/// Datagrams of a batch.
const BATCH: usize = 64;

struct Echo {
    memory: Vec<u8>,
    echoed: usize,
}

impl<P: Datagrams> Handler<P> for Echo {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        let mut arrivals = [Arrival::default(); BATCH];
        let count = socket.recv_batch(&mut self.memory, &mut arrivals);
        let count = count.unwrap_or_default();
        let mut departures = [Departure::default(); BATCH];
        for (index, place) in departures.iter_mut().enumerate().take(count) {
            let arrival = &arrivals[index];
            *place = Departure {
                start: index * PART,
                len: arrival.len,
                segment: arrival.segment,
                to: arrival.peer,
                ..Departure::default()
            };
            self.echoed += match usize::from(arrival.segment) {
                0 => 1,
                segment => arrival.len.div_ceil(segment),
            };
        }
        let sent = socket.send_batch(&self.memory, &departures[..count]);
        assert_eq!(
            (sent.count, sent.error),
            (count, None),
            "loopback takes all"
        );
    }
}

impl Usockets {
    pub(crate) fn new() -> io::Result<Self> {
        let failed = |error: usockets::Error| io::Error::other(error.to_string());
        let sockets = Box::leak(Box::new(Sockets::<_, _, 1>::new()));
        let buffer = Box::leak(Box::new([0; 1]));
        let mut server = Loop::new(Linux::new().map_err(failed)?, sockets, buffer);
        let id = server.net().bind(local().into(), ()).map_err(failed)?;
        let addr = server.net().local_addr(id).and_then(|addr| addr.ip());
        Ok(Self {
            server,
            echo: Echo {
                memory: vec![0; BATCH * PART],
                echoed: 0,
            },
            addr: addr.ok_or_else(|| io::Error::other("no address"))?,
        })
    }
}

impl Server for Usockets {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn echo(&mut self, count: usize) -> io::Result<()> {
        self.echo.echoed = 0;
        while self.echo.echoed < count {
            let result = self.server.poll(&mut self.echo, Some(Instant::ZERO));
            result.map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(())
    }
}

/// quinn-udp's, which has no way to wait of its own: by mio.
pub(crate) struct Quinn {
    poll: Poll,
    events: Events,
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    memory: Vec<u8>,
}

impl Quinn {
    pub(crate) fn new() -> io::Result<Self> {
        let mut socket = mio::net::UdpSocket::bind(local())?;
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut socket, Token(0), Interest::READABLE)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self {
            poll,
            events: Events::with_capacity(16),
            state,
            socket,
            memory: vec![0; BATCH_SIZE * PART],
        })
    }
}

impl Server for Quinn {
    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap_or_else(|_| local())
    }

    fn echo(&mut self, count: usize) -> io::Result<()> {
        let mut echoed = 0;
        while echoed < count {
            self.poll.poll(&mut self.events, None)?;
            loop {
                let mut parts = self.memory.chunks_exact_mut(PART);
                let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                    std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
                let mut metas = [RecvMeta::default(); BATCH_SIZE];
                let received =
                    self.state
                        .recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas);
                let received = match received {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                for (meta, bytes) in metas.iter().zip(&slices).take(received) {
                    let back = Transmit {
                        destination: meta.addr,
                        ecn: None,
                        contents: &bytes[..meta.len],
                        segment_size: (meta.stride < meta.len).then_some(meta.stride),
                        src_ip: None,
                    };
                    self.state.try_send(UdpSockRef::from(&self.socket), &back)?;
                    echoed += meta.len.div_ceil(meta.stride.max(1));
                }
            }
        }
        Ok(())
    }
}

/// mio's.
pub(crate) struct Mio {
    poll: Poll,
    events: Events,
    socket: mio::net::UdpSocket,
    memory: Vec<u8>,
}

impl Mio {
    pub(crate) fn new() -> io::Result<Self> {
        let mut socket = mio::net::UdpSocket::bind(local())?;
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut socket, Token(0), Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(16),
            socket,
            memory: vec![0; PART],
        })
    }
}

impl Server for Mio {
    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap_or_else(|_| local())
    }

    fn echo(&mut self, count: usize) -> io::Result<()> {
        let mut echoed = 0;
        while echoed < count {
            self.poll.poll(&mut self.events, None)?;
            loop {
                let (len, peer) = match self.socket.recv_from(&mut self.memory) {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                self.socket.send_to(&self.memory[..len], peer)?;
                echoed += 1;
            }
        }
        Ok(())
    }
}

/// tokio's, on its current-thread runtime.
pub(crate) struct Tokio {
    runtime: tokio::runtime::Runtime,
    socket: tokio::net::UdpSocket,
    memory: Vec<u8>,
}

impl Tokio {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_io().build()?;
        let socket = UdpSocket::bind(local())?;
        socket.set_nonblocking(true)?;
        let socket = {
            let _inside = runtime.enter();
            tokio::net::UdpSocket::from_std(socket)?
        };
        Ok(Self {
            runtime,
            socket,
            memory: vec![0; PART],
        })
    }
}

impl Server for Tokio {
    fn addr(&self) -> SocketAddr {
        self.socket.local_addr().unwrap_or_else(|_| local())
    }

    fn echo(&mut self, count: usize) -> io::Result<()> {
        let Self {
            runtime,
            socket,
            memory,
        } = self;
        runtime.block_on(async {
            for _ in 0..count {
                let (len, peer) = socket.recv_from(memory).await?;
                socket.send_to(&memory[..len], peer).await?;
            }
            Ok(())
        })
    }
}
