//! What the example servers share: their memory, two executors, and the sites of two HTTP servers.

pub mod edge;
pub mod embassy;
pub mod pico;
pub mod pool;

use std::net::SocketAddr;

use embedded_io_async::{Read, Write};
use static_cell::ConstStaticCell;
use usockets::{Endpoint, Error, Sockets};
use usockets_async::{Listener, Reactor, Stream, Tasks, Waiters};
use usockets_linux::Linux;

/// Slots of the pool: a listener, connections and timers.
pub const SLOTS: usize = 1_100;

/// A reactor that lives as long as the program.
pub type Shared = &'static Reactor<'static, Linux>;
/// A connection of it.
pub type Connection = Stream<'static, 'static, Linux>;

/// Makes the reactor of the program, in its statics; the second call panics.
///
/// # Errors
/// What [`Linux::new`] says.
pub fn reactor(platform: Linux) -> Shared {
    static SOCKETS: ConstStaticCell<Sockets<Linux, Tasks<'static>, SLOTS>> =
        ConstStaticCell::new(Sockets::new());
    static WAITERS: ConstStaticCell<[Waiters; SLOTS]> =
        ConstStaticCell::new([const { Waiters::new() }; SLOTS]);
    static BUFFER: ConstStaticCell<[u8; 1]> = ConstStaticCell::new([0]);
    let reactor = Reactor::new(platform, SOCKETS.take(), WAITERS.take(), BUFFER.take());
    Box::leak(Box::new(reactor))
}

/// Listens at the address that the program was given, or at a port that the system chooses, and
/// says where.
///
/// # Errors
/// The address cannot be used.
pub fn listen(reactor: Shared) -> Result<Listener<'static, 'static, Linux>, Error> {
    let at = std::env::args().nth(1);
    let at: Option<SocketAddr> = at.and_then(|at| at.parse().ok());
    let at = at.unwrap_or(([127, 0, 0, 1], 0).into());
    let listener = reactor.listen(Endpoint::tcp(at))?;
    if let Some(addr) = listener.local_addr() {
        println!("{addr}");
    }
    Ok(listener)
}

/// Bytes that [`echo`] reads at a time.
pub const ECHO_MAX: usize = 2_048;

/// Sends back what comes, to the peer's end.
///
/// # Errors
/// Why the connection broke.
pub async fn echo<S: Read + Write>(mut stream: S) -> Result<(), S::Error> {
    let mut buffer = [0; ECHO_MAX];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            len => stream.write_all(&buffer[..len]).await?,
        }
    }
}
