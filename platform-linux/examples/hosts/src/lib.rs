//! The server that each example runs inside another event loop: an echo and a timer.
#![cfg(target_os = "linux")]

use core::error::Error;
use core::net::SocketAddr;

use static_cell::ConstStaticCell;
use usockets::{
    AllSockets, Buffer, Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets,
    TimerId,
};
use usockets_linux::Linux;

/// What the timer's period is.
const TICK: Duration = Duration::from_millis(100);

/// What may go wrong in an example.
pub type Failure = Box<dyn Error>;

/// The loop with memory for 1,023 connections, which it keeps as long as the program runs.
pub type Server = Loop<'static, Linux, Echo>;

/// Echoes; answers `ticks` with how often the timer came.
#[derive(Debug, Default)]
pub struct Echo {
    ticks: u32,
}

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Buffer<4096>;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let ticks = format!("{}\n", self.ticks);
        let answer = if data == b"ticks" {
            ticks.as_bytes()
        } else {
            data
        };
        let sent = socket.write(answer);
        if held.push(answer.get(sent..).unwrap_or_default()) > 0 {
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() {
            socket.resume();
        }
    }

    fn on_timer(&mut self, _: &mut AllSockets<'_, P, Self>, _: TimerId, missed: u32) {
        self.ticks = self.ticks.saturating_add(missed).saturating_add(1);
    }
}

/// The memory of all connections.
type Pool = Sockets<Linux, Echo, 1024>;

static SOCKETS: ConstStaticCell<Pool> = ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);

/// Makes the server of an example, once. It listens at the program's argument or 127.0.0.1:3000,
/// and prints where.
///
/// # Errors
/// The argument is no address, or it cannot be listened at.
pub fn server() -> Result<Server, Failure> {
    let at = std::env::args().nth(1);
    let at: SocketAddr = at.as_deref().unwrap_or("127.0.0.1:3000").parse()?;
    let mut server = Loop::new(Linux::new()?, SOCKETS.take(), BUFFER.take());
    let listener = server.net().listen(Endpoint::tcp(at), ())?;
    server.net().start_timer(TICK, TICK)?;
    let at = server.net().listening_addr(listener);
    println!("listening on {}", at.ok_or(usockets::Error::Invalid)?);
    Ok(server)
}
