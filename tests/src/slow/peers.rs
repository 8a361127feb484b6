//! Who takes part in an attack by slow peers: an echo, honest clients, attackers.

use std::time::Duration;

use usockets::{Closed, Error, Handler, Opened, Platform, Socket};

/// The server closes a connection on which nothing comes for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Sends back what comes, as far as the peer takes it; reads no more until it does.
pub struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Vec<u8>;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Vec<u8> {
        socket.set_timeout(IDLE);
        Vec::new()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, unsent: &mut Vec<u8>, data: &mut [u8]) {
        socket.set_timeout(IDLE);
        let taken = socket.write(data);
        if taken < data.len() {
            unsent.extend_from_slice(&data[taken..]);
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, unsent: &mut Vec<u8>) {
        let taken = socket.write(unsent);
        unsent.drain(..taken);
        if unsent.is_empty() {
            socket.resume();
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Vec<u8>) {
        socket.close();
    }
}

/// What an honest client's connection has done.
#[derive(Default)]
pub struct Asks {
    pub opened: usize,
    pub heard: usize,
    pub closed: Vec<Closed>,
    pub failed: Vec<Error>,
}

impl<P: Platform> Handler<P> for Asks {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.heard += data.len();
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed.push(closed);
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.failed.push(error);
    }
}

/// Sends pieces of data, one every few seconds, on each connection that opens.
pub struct Attacker {
    pub piece: Vec<u8>,
    pub period: Duration,
    pub opened: usize,
    pub ended: usize,
}

impl<P: Platform> Handler<P> for Attacker {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.opened += 1;
        let _taken = socket.write(&self.piece);
        socket.set_timeout(self.period);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        let _taken = socket.write(&self.piece);
        socket.set_timeout(self.period);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: Closed) {
        self.ended += 1;
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), _: Error) {
        self.ended += 1;
    }
}
