//! One thing done many times on the Linux platform, for `budget` to count the system calls of:
//! `scenario connect|close|timers|timeouts|idle|datagrams COUNT ADDR`. Something must listen at
//! `ADDR`.

use std::env;
use std::net::SocketAddr;
use std::process;

use usockets::{
    Arrival, Departure, Duration, Endpoint, Error, Handler, Instant, Loop, Opened, Platform,
    Socket, SocketId, Sockets,
};
use usockets_linux::Linux;

/// Far away.
const HOUR: Duration = Duration::from_secs(3_600);

/// Notes who opened.
#[derive(Default)]
struct Open(Vec<SocketId>);

impl<P: Platform> Handler<P> for Open {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.0.push(socket.id());
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
}

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1);
    let scene = arguments.next().ok_or(Error::Invalid)?;
    let count = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .ok_or(Error::Invalid)?;
    let addr = arguments
        .next()
        .and_then(|addr| addr.parse().ok())
        .ok_or(Error::Invalid)?;
    let mut sockets: Box<Sockets<Linux, Open, 1024>> = Box::default();
    let mut buffer = vec![0; 4_096];
    let mut server = Loop::with_buffer(Linux::new()?, &mut sockets, &mut buffer)?;
    let mut open = Open::default();
    // The same in every scene, so that it drops out of differences.
    open.0.reserve(1024);
    match scene.as_str() {
        "connect" => connect(&mut server, &mut open, count, addr)?,
        "close" => {
            connect(&mut server, &mut open, count, addr)?;
            for id in open.0 {
                server.net().close(id);
            }
        }
        "timers" => {
            for _ in 0..count {
                server.net().start_timer(HOUR, HOUR)?;
            }
        }
        "timeouts" => {
            connect(&mut server, &mut open, 1, addr)?;
            for _ in 0..count {
                server.net().set_timeout(open.0[0], HOUR);
                server.poll(&mut open, Some(Instant::ZERO))?;
            }
        }
        "idle" => {
            let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
            server.net().listen(Endpoint::tcp(anywhere), ())?;
            connect(&mut server, &mut open, count, addr)?;
            server.net().set_timeout(open.0[0], HOUR);
            server.net().start_timer(HOUR, HOUR)?;
            server.run(&mut open)?;
        }
        "datagrams" => datagrams(&mut server, &mut open, count)?,
        _ => return Err(Error::Invalid),
    }
    // Returning would close every connection, and that is a figure of its own.
    process::exit(0)
}

/// Sends 64 datagrams at once and receives them at once, `count` times.
fn datagrams(
    server: &mut Loop<'_, Linux, Open>,
    open: &mut Open,
    count: usize,
) -> Result<(), Error> {
    const BATCH: usize = 64;

    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let from = server.net().bind(anywhere.into(), ())?;
    let to = server.net().bind(anywhere.into(), ())?;
    let departure = Departure {
        len: BATCH,
        to: server.net().local_addr(to).ok_or(Error::Invalid)?,
        ..Departure::default()
    };
    let (mut memory, mut arrivals) = ([0; 64 * BATCH], [Arrival::default(); BATCH]);
    for _ in 0..count {
        let sent = server.net().send_batch(from, &[1; 64], &[departure; BATCH]);
        let mut received = 0;
        while received == 0 {
            server.poll(open, Some(Instant::ZERO))?;
            received = server.net().recv_batch(to, &mut memory, &mut arrivals)?;
        }
        if (sent.count, received) != (BATCH, BATCH) {
            return Err(Error::Truncated);
        }
    }
    Ok(())
}

/// Connects `count` times at once and waits until all are open.
fn connect(
    server: &mut Loop<'_, Linux, Open>,
    open: &mut Open,
    count: usize,
    addr: SocketAddr,
) -> Result<(), Error> {
    for _ in 0..count {
        server.net().connect(Endpoint::tcp(addr), ())?;
    }
    while open.0.len() < count {
        server.poll(open, None)?;
    }
    Ok(())
}
