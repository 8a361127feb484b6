//! A small web server over a TCP stack of our own on a TAP of Linux; see `tap_echo` for how to
//! start it, on port 80.
//!
//! `GET /` answers with a page, `GET /N` with N bytes, of which the one at place `i` is
//! `i * 7 + i / 251`, modulo 256. Connections are kept alive.

mod support;

use static_cell::ConstStaticCell;
use support::CONNECTIONS;
use usockets::{
    Buffer, Duration, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets,
};
use usockets_smoltcp::{Pcap, Stack, Tap};

const PAGE: &[u8] = b"<!doctype html><title>usockets</title><p>Served by a stack of our own.\n";
const IDLE_MAX: Duration = Duration::from_secs(60);

struct Http;

/// One client.
struct Client {
    /// The request's head so far, up to its empty line.
    head: Buffer<1024>,
    /// The answer's head, as far as it is not sent.
    answer: Buffer<128>,
    body: Body,
    /// Bytes of the body sent, and of all.
    sent: u64,
    len: u64,
    last: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Page,
    Bytes,
}

impl<P: Platform> Handler<P> for Http {
    type Context = ();
    type Ext = Client;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Client {
        socket.set_timeout(IDLE_MAX);
        Client {
            head: Buffer::EMPTY,
            answer: Buffer::EMPTY,
            body: Body::Page,
            sent: 0,
            len: 0,
            last: false,
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client, data: &mut [u8]) {
        socket.set_timeout(IDLE_MAX);
        if client.head.push(data) < data.len() {
            return socket.close();
        }
        client.go_on(socket);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client) {
        socket.set_timeout(IDLE_MAX);
        client.go_on(socket);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, client: &mut Client) {
        client.last = true;
        client.go_on(socket);
    }
}

impl Client {
    /// Sends what is left of the answer, then answers the next request.
    fn go_on<P: Platform>(&mut self, socket: &mut Socket<'_, P, Http>) {
        loop {
            if !self.answer.is_empty() {
                self.answer.consume(socket.write(self.answer.filled()));
            }
            while self.answer.is_empty() && self.sent < self.len {
                let mut part = [0; 8_192];
                let count = self.fill(&mut part);
                let taken = socket.write(part.get(..count).unwrap_or_default());
                self.sent = self.sent.saturating_add(u64::try_from(taken).unwrap_or(0));
                if taken < count {
                    return;
                }
            }
            if !self.answer.is_empty() {
                return;
            }
            if !self.next_request() {
                break;
            }
        }
        if self.last {
            socket.finish();
        }
    }

    /// Copies the next bytes of the body and returns how many.
    fn fill(&self, part: &mut [u8]) -> usize {
        if let Body::Page = self.body {
            let rest = usize::try_from(self.sent)
                .ok()
                .and_then(|sent| PAGE.get(sent..));
            let rest = rest.unwrap_or_default();
            part.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            return rest.len();
        }
        let mut count = 0_usize;
        for (byte, place) in part.iter_mut().zip(self.sent..self.len) {
            let [low, ..] = place
                .wrapping_mul(7)
                .wrapping_add(place / 251)
                .to_le_bytes();
            *byte = low;
            count = count.saturating_add(1);
        }
        count
    }

    /// Takes a whole request out of the head and prepares its answer; false without one.
    fn next_request(&mut self) -> bool {
        let head = self.head.filled();
        let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return false;
        };
        let target = core::str::from_utf8(head.get(..end).unwrap_or_default())
            .ok()
            .and_then(|head| head.split(' ').nth(1));
        let asked = target.and_then(|target| target.strip_prefix('/'));
        let (status, body, len) = match asked {
            Some("") => ("200 OK", Body::Page, PAGE.len().try_into().unwrap_or(0)),
            Some(number) => match number.parse() {
                Ok(len) => ("200 OK", Body::Bytes, len),
                Err(_) => ("404 Not Found", Body::Bytes, 0),
            },
            None => ("400 Bad Request", Body::Bytes, 0),
        };
        self.head.consume(end.saturating_add(4));
        (self.body, self.sent, self.len) = (body, 0, len);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n");
        self.answer.push(head.as_bytes()) == head.len()
    }
}

#[expect(clippy::type_complexity, reason = "spelt out, to be seen whole")]
static SOCKETS: ConstStaticCell<
    Sockets<Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, Http, CONNECTIONS>,
> = ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 1_024]> = ConstStaticCell::new([0; 1_024]);

fn main() -> Result<(), Error> {
    let mut server = Loop::new(support::stack()?, SOCKETS.take(), BUFFER.take());
    server
        .net()
        .listen(Endpoint::tcp(([0_u16; 8], 80).into()), ())?;
    server.run(&mut Http)
}
