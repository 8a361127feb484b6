//! An echo server for datagrams, for any platform that has them.

use core::ops::Range;

use usockets::{AllSockets, Arrival, Datagrams, Departure, Handler, Opened, Socket};

/// Datagrams that are received, and sent back, by one call.
pub(crate) const BATCH: usize = 64;

/// Sends each datagram back to where it came from, from the address it was sent to.
///
/// One that was longer than its part of the memory is not sent back: half an echo would be a wrong
/// one. What does not go out at once waits, and nothing is received meanwhile, so that the memory
/// of one batch is all there is. Errors that come back for an echo are no more than an echo that
/// nobody waits for.
#[derive(Debug)]
pub(crate) struct DatagramEcho<'m> {
    /// Memory of the caller, a part of it for each datagram of a batch.
    memory: &'m mut [u8],
    departures: [Departure; BATCH],
    /// Which of them have not gone out yet.
    waiting: Range<usize>,
}

impl<'m> DatagramEcho<'m> {
    /// Makes a server whose datagrams are at most `memory.len() / BATCH` bytes long.
    pub(crate) fn new(memory: &'m mut [u8]) -> Self {
        Self {
            memory,
            departures: [Departure::default(); BATCH],
            waiting: 0..0,
        }
    }

    /// Receives a batch and answers it.
    fn receive<P: Datagrams>(&mut self, socket: &mut Socket<'_, P, Self>) {
        let mut arrivals = [Arrival::default(); BATCH];
        let Ok(count) = socket.recv_batch(self.memory, &mut arrivals) else {
            // The platform broke; the loop ends with its error.
            return socket.close();
        };
        let part = self.memory.len() / BATCH;
        let whole = arrivals.iter().take(count).enumerate();
        let whole = whole.filter(|(_, arrival)| !arrival.truncated);
        let mut len = 0_usize;
        for (place, (index, arrival)) in self.departures.iter_mut().zip(whole) {
            *place = answer(arrival, index.saturating_mul(part));
            len = len.saturating_add(1);
        }
        self.waiting = 0..len;
        self.send(socket);
    }

    /// Sends what waits, until it would block.
    fn send<P: Datagrams>(&mut self, socket: &mut Socket<'_, P, Self>) {
        while let Some(rest) = self.departures.get_mut(self.waiting.clone()) {
            let sent = socket.send_batch(self.memory, rest);
            self.waiting.start = self.waiting.start.saturating_add(sent.count);
            if sent.error.is_none() {
                return;
            }
            match rest.get_mut(sent.count) {
                // It came to an address that nothing can be sent from, such as a broadcast one.
                Some(refused) if refused.source.is_some() => refused.source = None,
                // No route leads back, or a firewall is in the way.
                _ => self.waiting.start = self.waiting.start.saturating_add(1),
            }
        }
    }
}

/// Makes the answer to a datagram, or run of them, whose bytes start at `start`.
fn answer(arrival: &Arrival, start: usize) -> Departure {
    let source = arrival.destination.filter(|source| !source.is_multicast());
    Departure {
        start,
        len: arrival.len,
        segment: arrival.segment,
        to: arrival.peer,
        source,
        ..Departure::default()
    }
}

impl<P: Datagrams> Handler<P> for DatagramEcho<'_> {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    /// Datagram sockets have none.
    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        if self.waiting.is_empty() {
            self.receive(socket);
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.send(socket);
        if self.waiting.is_empty() {
            // What came meanwhile was told before, and is not told again.
            self.receive(socket);
        }
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all((), 0);
    }
}
