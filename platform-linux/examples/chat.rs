//! A chat over WebSocket (RFC 6455): what one client says, all hear. `chat [ADDR]` also serves a
//! page to chat with: open http://127.0.0.1:3000 twice.
//! `cargo run --release --example chat`
//!
//! A client that does not take what it hears is dropped as soon as its queue is full, so that it
//! costs the others nothing. Messages are texts of one frame.

use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{
    AllSockets, Duration, Endpoint, Frame, FrameError, Frames, Handler, Loop, Opened, Output,
    Platform, Socket, Sockets,
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

/// What of a client has come and what it has to hear.
type Client = Frames<{ MESSAGE_MAX + 16 + RECEIVE }, OUT>;

/// The groups of sockets, which the loop keeps: their contexts.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    /// The listener, and clients that speak HTTP.
    Guests,
    /// Clients that have gone over to WebSocket.
    Members,
}

struct Chat;

impl<P: Platform> Handler<P> for Chat {
    type Context = Group;
    type Ext = Client;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<Group>) -> Client {
        socket.set_timeout(IDLE_MAX);
        Frames::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client, data: &mut [u8]) {
        socket.set_timeout(IDLE_MAX);
        let result = client.on_data(socket, data, frame);
        give_up(socket, result);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client) {
        let result = client.on_writable(socket, frame);
        give_up(socket, result);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client) {
        let _ = client.on_end(socket, frame);
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_where(0, |_| true);
    }
}

fn give_up<P: Platform>(socket: &mut Socket<'_, P, Chat>, result: Result<(), FrameError>) {
    if result.is_err() {
        // A head without an end.
        socket.abort(1);
    }
}

/// Acts on a request or, once the client has joined, on a frame of WebSocket.
fn frame<P: Platform>(
    socket: &mut Socket<'_, P, Chat>,
    bytes: &mut [u8],
    output: &mut Output<'_>,
) -> Frame {
    if socket.context() != Some(Group::Members) {
        let frame = websocket::request(bytes, MESSAGE_MAX, PAGE, output);
        if matches!(frame, Frame::Used(_)) {
            socket.adopt(Group::Members);
        }
        return frame;
    }
    let mut text = [0; MESSAGE_MAX];
    match websocket::read(bytes, &mut text, output) {
        Sent::Text(text, len) if websocket::say(output, text) => {
            tell_others(socket.all(), text);
            Frame::Used(len)
        }
        Sent::Text(..) => Frame::NoRoom,
        Sent::Other(frame) => frame,
    }
}

/// Sends a message to every member but the one that speaks, which has it already, and drops those
/// that are too far behind.
fn tell_others<P: Platform>(sockets: &mut AllSockets<'_, P, Chat>, text: &str) {
    let (header, len) = websocket::text_header(text);
    let header = header.get(..len).unwrap_or_default();
    sockets.visit(
        |group| *group == Group::Members,
        |net, id, client| {
            if !client.send(net, id, &[header, text.as_bytes()]) {
                net.abort(id, 0);
            }
        },
    );
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
    let listener = server.net().listen(Endpoint::tcp(at), Group::Guests)?;
    support::announce(server.net().listening_addr(listener));
    server.run(&mut Chat)?;
    Ok(())
}
