//! A counter for each connection: `+` counts, `?` asks, and nothing else is said.

use usockets::{Closed, Handler, Opened, Platform, Socket};

/// Answers each `?` with how many `+` came before it on its connection, a line each.
#[derive(Default)]
pub struct Counters {
    /// Connections that are open.
    pub open: usize,
}

/// What a connection holds.
#[derive(Default)]
pub struct Counter {
    count: u32,
    answers: String,
    ended: bool,
}

impl Counter {
    fn flush<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) {
        let sent = socket.write(self.answers.as_bytes());
        self.answers.drain(..sent);
        if self.answers.is_empty() && self.ended {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Counters {
    type Ext = Counter;
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Counter {
        self.open += 1;
        Counter::default()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Counter, data: &mut [u8]) {
        for byte in data.iter() {
            match byte {
                b'+' => own.count += 1,
                b'?' => own.answers.push_str(&format!("{}\n", own.count)),
                _ => return socket.close(),
            }
        }
        own.flush(socket);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Counter) {
        own.flush(socket);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, own: &mut Counter) {
        own.ended = true;
        own.flush(socket);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Counter, _: Closed) {
        self.open -= 1;
    }
}
