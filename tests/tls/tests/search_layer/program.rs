//! The program over the layer.

use usockets::{
    AllSockets, Closed, Error, Handler, ListenerId, Opened, Platform, Socket, SocketId,
};

/// What the program keeps of a connection: what it owes, and what it was told.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Talk {
    owed: [u8; 8],
    count: usize,
    ended: bool,
}

/// The program: it says again what it hears.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    pub opened: u8,
    pub closed: u8,
    /// Those of all that opened or were called; the loop knows which are stale.
    pub ids: Vec<SocketId>,
    pub wrong: Option<&'static str>,
    /// Why the last one closed.
    pub told: Option<Closed>,
}

impl Echo {
    fn pass_on<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>, talk: &mut Talk) {
        let count = socket.write(&talk.owed[..talk.count]);
        talk.owed.copy_within(count.., 0);
        talk.count -= count;
        if talk.ended && talk.count == 0 {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Echo {
    type Ext = Talk;
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Talk {
        self.opened += 1;
        if !self.ids.contains(&socket.id()) {
            self.ids.push(socket.id());
        }
        Talk::default()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, talk: &mut Talk, data: &mut [u8]) {
        if talk.ended {
            self.wrong = Some("data after the end");
        }
        for byte in data {
            talk.owed[talk.count] = *byte;
            talk.count += 1;
        }
        self.pass_on(socket, talk);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, talk: &mut Talk) {
        self.pass_on(socket, talk);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, talk: &mut Talk) {
        if std::mem::replace(&mut talk.ended, true) {
            self.wrong = Some("a second end");
        }
        self.pass_on(socket, talk);
    }

    fn on_accept_error(&mut self, _: &mut AllSockets<'_, P, Self>, _: ListenerId, error: Error) {
        self.told = Some(Closed::Failed(error));
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.told = Some(Closed::Failed(error));
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Talk, closed: Closed) {
        self.closed += 1;
        self.told = Some(closed);
        if self.closed > self.opened {
            self.wrong = Some("a close of what did not open");
        }
    }
}
