//! HTTP that goes over to another protocol on the same connection, for any platform.
//!
//! A program that includes this file has `http` and `lines` among its root modules.

use usockets::{AllSockets, Handler, Opened, Platform, Socket};

use crate::http::connection::Connection;
use crate::http::head::{Head, Method};
use crate::http::memory::{Shared, Store, Tables};
use crate::http::reply::{Reply, Status};
use crate::http::service::Service;
use crate::lines::Lines;

/// The name of the line echo in the field Upgrade.
const PROTOCOL: &str = "line-echo";

/// What a connection is, and its data as that.
#[derive(Debug)]
pub(crate) enum Connected {
    /// A client of the HTTP server.
    Http(Connection),
    /// A client of the line echo, in the memory for HTTP's input.
    Lines(Lines),
}

/// What a socket is, without its data. Listen with [`Self::Http`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It belongs to the HTTP server.
    Http,
    /// It belongs to the line echo.
    Lines,
}

/// An HTTP server that can go over to echoing lines.
#[derive(Debug)]
pub(crate) struct Upgrading<'m, const IN: usize, const OUT: usize> {
    shared: Shared<Tables<'m, IN, OUT>>,
}

impl<'m, const IN: usize, const OUT: usize> Upgrading<'m, IN, OUT> {
    /// Makes a server of `service`, whose requests go to [`route`] and whose pool has at most `N`
    /// slots.
    pub(crate) const fn new<const N: usize>(
        service: Service,
        store: &'m mut Store<IN, OUT, N>,
    ) -> Self {
        Self {
            shared: Shared::new(service, store.tables()),
        }
    }
}

/// Answers a request: "Upgrade: line-echo" at `/` is agreed to.
pub(crate) fn route(head: &Head<'_>) -> Reply {
    if head.path != "/" {
        return Reply::Status(Status::NotFound);
    }
    if !matches!(head.method, Method::Get | Method::Head) {
        return Reply::Allow("GET, HEAD");
    }
    let agreed = head
        .offers()
        .any(|offer| offer.eq_ignore_ascii_case(PROTOCOL));
    if agreed && head.method == Method::Get {
        return Reply::Upgrade(PROTOCOL);
    }
    Reply::Text("Ask for \"Upgrade: line-echo\".\n")
}

impl<P: Platform, const IN: usize, const OUT: usize> Handler<P> for Upgrading<'_, IN, OUT> {
    type Ext = Connected;
    type Context = Kind;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<Kind>) -> Connected {
        Connected::Http(Connection::open(socket, &self.shared.service))
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        connected: &mut Connected,
        data: &mut [u8],
    ) {
        let mut desk = self.shared.desk(socket);
        match connected {
            Connected::Http(http) => http.on_data(socket, &mut desk, data),
            Connected::Lines(lines) => return lines.on_data(socket, desk.input, data),
        }
        go_over(socket, connected, desk.input);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, connected: &mut Connected) {
        let mut desk = self.shared.desk(socket);
        match connected {
            Connected::Http(http) => http.on_writable(socket, &mut desk),
            Connected::Lines(lines) => return lines.on_writable(socket, desk.input),
        }
        go_over(socket, connected, desk.input);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, connected: &mut Connected) {
        let mut desk = self.shared.desk(socket);
        match connected {
            Connected::Http(http) => http.on_end(socket, &mut desk),
            Connected::Lines(lines) => lines.on_end(socket, desk.input),
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, connected: &mut Connected) {
        let mut desk = self.shared.desk(socket);
        match connected {
            Connected::Http(http) => http.on_timeout(socket, &mut desk),
            Connected::Lines(_) => return socket.close(),
        }
        go_over(socket, connected, desk.input);
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all(Kind::Http, 0);
        sockets.net().close_all(Kind::Lines, 0);
    }
}

/// Makes the connection the line echo's, once the client has been told: other data takes the
/// place of HTTP's, and another context stands for the socket.
fn go_over<P: Platform, const IN: usize, const OUT: usize>(
    socket: &mut Socket<'_, P, Upgrading<'_, IN, OUT>>,
    connected: &mut Connected,
    input: &mut [u8],
) {
    if let Connected::Http(http) = connected
        && let Some(received) = http.upgraded()
    {
        let lines = Lines::adopt(socket, input, received);
        *connected = Connected::Lines(lines);
        socket.adopt(Kind::Lines);
    }
}
