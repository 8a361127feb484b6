//! Connects to a server by its name, and prints the first line of what it answers to an HTTP
//! request: `cargo run --release --example resolve HOST [PORT]`
//!
//! The library asks no names. A thread does (getaddrinfo, by std), which may take a while, and
//! wakes the loop with the addresses; the first that answers is taken, with the times of RFC 8305.

use core::net::SocketAddr;
use std::io::{Write, stdout};
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use usockets::{
    AllSockets, Closed, Connecting, Duration, Endpoint, Error, Handler, HappyEyeballs, Loop, Net,
    Opened, Platform, Socket, Sockets, TimerId, Waker,
};
use usockets_linux::{EventFd, Linux};

#[expect(dead_code, reason = "it serves nobody")]
mod support;

/// Time that the server has to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Addresses that are tried.
const ADDRS_MAX: usize = 16;

/// What a thread found out.
type Found = Result<Vec<SocketAddr>, String>;

/// A client that waits for addresses, and then for an answer.
struct Client {
    found: Receiver<Found>,
    host: String,
    eyeballs: HappyEyeballs<ADDRS_MAX>,
    /// What is printed in the end, or why nothing is.
    result: Result<String, String>,
}

/// What every connect is like.
fn to() -> Endpoint<'static> {
    Endpoint::tcp(SocketAddr::from(([0, 0, 0, 0], 0)))
}

impl Client {
    /// Notes how connecting goes on.
    fn note(&mut self, connecting: Connecting) {
        if let Connecting::Failed(error) = connecting {
            self.result = Err(format!("{}: {error}", self.host));
        }
    }

    /// Starts connecting to what was found.
    fn connect<P: Platform>(&mut self, net: &mut Net<'_, P, ()>, found: Found) {
        match found {
            Ok(addrs) => {
                self.eyeballs = HappyEyeballs::new(&addrs);
                let connecting = self.eyeballs.start(net, to(), ());
                self.note(connecting);
            }
            Err(error) => self.result = Err(error),
        }
    }
}

impl<P: Platform> Handler<P> for Client {
    type Ext = ();
    type Context = ();

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        if let Ok(found) = self.found.try_recv() {
            self.connect(sockets.net(), found);
            // What goes on by itself keeps the loop alive from now on.
            sockets.net().keep_alive(false);
        }
    }

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        let id = socket.id();
        self.eyeballs.on_open(socket.net(), id);
        if let Some(peer) = socket.peer_addr() {
            support::say(format_args!("connected to {peer}"));
        }
        socket.set_timeout(ANSWER_MAX);
        let request = format!(
            "HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.host
        );
        // It is short, and nothing has been sent before.
        if socket.write(request.as_bytes()) < request.len() {
            socket.close();
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), data: &mut [u8]) {
        let line = data.split(|&byte| byte == b'\r').next().unwrap_or_default();
        self.result = Ok(String::from_utf8_lossy(line).into_owned());
        socket.close();
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), closed: Closed) {
        if closed != Closed::Local(0) {
            self.result = Err(format!("{}: {closed:?}", self.host));
        }
    }

    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, _: (), error: Error) {
        let id = socket.id();
        let eyeballs = &mut self.eyeballs;
        let connecting = eyeballs.on_connect_error(socket.net(), to(), (), id, error);
        self.note(connecting);
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, timer: TimerId, _: u32) {
        let connecting = self.eyeballs.on_timer(sockets.net(), to(), (), timer);
        self.note(connecting);
    }
}

fn main() -> ExitCode {
    support::exit(run())
}

fn run() -> Result<(), support::Failure> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next();
    let host = host.ok_or_else(|| "usage: resolve HOST [PORT]".to_owned())?;
    let port = arguments.next().unwrap_or_else(|| "80".to_owned());
    let port: u16 = port.parse().map_err(|_| format!("{port}: not a port"))?;
    let waker: &'static Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new()?)));
    let (tell, found) = channel();
    let name = (host.clone(), port);
    // It is not waited for: a name that takes too long may end with the program.
    thread::spawn(move || {
        let addrs = name.to_socket_addrs().map(Iterator::collect);
        let addrs = addrs.map_err(|error| format!("{}: {error}", name.0));
        // Nobody takes it if the program is over.
        let _ = tell.send(addrs);
        waker.wake();
    });
    let mut sockets = Sockets::<Linux, Client, { ADDRS_MAX + 1 }>::new();
    let mut buffer = [0; 4_096];
    let platform = Linux::new()?.with_waker(waker)?;
    let mut client = Loop::new(platform, &mut sockets, &mut buffer);
    client.net().keep_alive(true);
    let mut handler = Client {
        found,
        eyeballs: HappyEyeballs::new(&[]),
        result: Err(format!("{host}: no answer")),
        host,
    };
    client.run(&mut handler)?;
    let line = handler.result?;
    writeln!(stdout(), "{line}").map_err(|error| error.to_string())?;
    Ok(())
}
