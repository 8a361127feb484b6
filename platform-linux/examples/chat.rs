//! A chat over WebSocket (RFC 6455): what one client says, all hear. `chat [ADDR]` also serves a
//! page to chat with: open http://127.0.0.1:3000 twice.
//! `cargo run --release --example chat`
//!
//! A client that does not take what it hears is dropped as soon as its queue is full, so that it
//! costs the others nothing. Messages are texts of one frame.

use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{
    AllSockets, Closed, Duration, Endpoint, Frame, FrameError, Frames, Handler, Loop, Opened,
    Output, Platform, Socket, SocketId, Sockets,
};
use usockets_linux::Linux;

mod support;
#[path = "handlers/websocket.rs"]
mod websocket;

use websocket::Sent;

/// Longest message, and longest head of a request.
const MESSAGE_MAX: usize = 2_048;
/// Bytes read at once.
const RECEIVE: usize = 4_096;
/// Bytes that a client may be behind.
const OUT: usize = 16_384;
const CLIENTS_MAX: usize = 1_024;
/// Time in which a client must say something, if only a ping.
const IDLE_MAX: Duration = Duration::from_secs(600);
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
    <!doctype html><title>chat</title><form><input autofocus></form><pre></pre><script>\
    let it = new WebSocket(location.href.replace('http', 'ws'));\
    it.onmessage = event => document.querySelector('pre').textContent += event.data + '\\n';\
    document.forms[0].onsubmit = event => { event.preventDefault();\
    it.send(event.target[0].value); event.target.reset() }</script>\n";

/// A client: at first of HTTP, then of the chat.
struct Client {
    frames: Frames<{ MESSAGE_MAX + 16 + RECEIVE }, OUT>,
    joined: bool,
}

/// Which slots of the pool are clients of the chat.
struct Chat {
    members: [Option<SocketId>; CLIENTS_MAX],
}

impl<P: Platform> Handler<P> for Chat {
    type Context = ();
    type Ext = Client;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Client {
        socket.set_timeout(IDLE_MAX);
        let frames = Frames::EMPTY;
        Client {
            frames,
            joined: false,
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client, data: &mut [u8]) {
        socket.set_timeout(IDLE_MAX);
        let Client { frames, joined } = client;
        let result = frames.on_data(socket, data, |socket, bytes, output| {
            self.frame(socket, joined, bytes, output)
        });
        give_up(socket, result);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client) {
        let Client { frames, joined } = client;
        let result = frames.on_writable(socket, |socket, bytes, output| {
            self.frame(socket, joined, bytes, output)
        });
        give_up(socket, result);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client) {
        let Client { frames, joined } = client;
        let _ = frames.on_end(socket, |socket, bytes, output| {
            self.frame(socket, joined, bytes, output)
        });
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Client, _: Closed) {
        if let Some(member) = socket.id().entry(&mut self.members) {
            *member = None;
        }
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all((), 0);
    }
}

fn give_up<P: Platform>(socket: &mut Socket<'_, P, Chat>, result: Result<(), FrameError>) {
    if result.is_err() {
        // A head without an end.
        socket.abort(1);
    }
}

impl Chat {
    /// Acts on a request or, once the client has joined, on a frame of WebSocket.
    fn frame<P: Platform>(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        joined: &mut bool,
        bytes: &mut [u8],
        output: &mut Output<'_>,
    ) -> Frame {
        if !*joined {
            let frame = websocket::request(bytes, MESSAGE_MAX, PAGE, output);
            *joined = matches!(frame, Frame::Used(_));
            if *joined && let Some(member) = socket.id().entry(&mut self.members) {
                *member = Some(socket.id());
            }
            return frame;
        }
        let mut text = [0; MESSAGE_MAX];
        match websocket::read(bytes, &mut text, output) {
            Sent::Text(text, len) if websocket::say(output, text) => {
                self.tell_others(socket, text);
                Frame::Used(len)
            }
            Sent::Text(..) => Frame::NoRoom,
            Sent::Other(frame) => frame,
        }
    }

    /// Sends a message to every other member, and drops those that are too far behind.
    fn tell_others<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>, text: &str) {
        let (header, len) = websocket::text_header(text);
        let header = header.get(..len).unwrap_or_default();
        for member in self.members.iter_mut() {
            // The one that speaks has it already.
            let Some((id, (net, client))) = member.and_then(|id| Some((id, socket.other(id)?)))
            else {
                continue;
            };
            if !client.frames.send(net, id, &[header, text.as_bytes()]) {
                net.abort(id, 0);
                *member = None;
            }
        }
    }
}

static SOCKETS: ConstStaticCell<Sockets<Linux, Chat, CLIENTS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    support::raise_descriptors(CLIENTS_MAX);
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let listener = server.net().listen(Endpoint::tcp(at), ())?;
    support::announce(server.net().listening_addr(listener));
    let members = [None; CLIENTS_MAX];
    server.run(&mut Chat { members })?;
    Ok(())
}
