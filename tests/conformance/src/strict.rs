//! A layer that keeps both sides to the contract: it panics when the loop calls what the contract
//! does not allow, and when the platform below answers what it does not.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId, SocketOption,
};

use crate::bed::Bed;

/// A platform that is watched.
#[derive(Debug)]
pub struct Strict<P> {
    inner: P,
    /// The last poll has nothing more to report.
    is_drained: bool,
    /// Reports that the last poll gave, and how many it may give.
    reports: usize,
    reports_max: usize,
    /// Who was reported as readable last.
    readable: Option<SocketId>,
}

/// How far a socket has come, as the calls about it show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Closed,
    Listening,
    Opening,
    Open,
    Lingering,
}

/// A socket that is watched.
#[derive(Debug)]
pub struct Watched<S> {
    inner: S,
    stage: Stage,
    /// The peer's end was received.
    has_ended: bool,
    /// We ended our direction.
    has_finished: bool,
}

impl<S> Watched<S> {
    /// Fails unless the loop may make this call of the socket.
    #[track_caller]
    fn demand(&self, call: &str, stages: &[Stage]) {
        let stage = self.stage;
        assert!(
            stages.contains(&stage),
            "the loop called {call} of a socket that is {stage:?}"
        );
    }

    fn close(&mut self) {
        self.stage = Stage::Closed;
        self.has_ended = false;
        self.has_finished = false;
    }
}

impl<P: Platform> Strict<P> {
    /// Watches a platform, each poll of which gives `reports_max` reports at most.
    pub const fn new(inner: P, reports_max: usize) -> Self {
        Self {
            inner,
            is_drained: true,
            reports: 0,
            reports_max,
            readable: None,
        }
    }

    /// Takes the name of who was reported as readable last, since this was last asked.
    pub const fn take_readable(&mut self) -> Option<SocketId> {
        self.readable.take()
    }

    /// Returns the platform below.
    pub const fn inner(&self) -> &P {
        &self.inner
    }

    /// Fails unless a socket that could not be opened is closed again.
    fn demand_closed(&self, call: &str, socket: &P::Socket) {
        let addr = self.inner.local_addr(socket);
        assert!(
            addr.is_err(),
            "a {call} that brought nothing left a socket at {addr:?}"
        );
    }
}

impl<P: Platform> Platform for Strict<P> {
    type Socket = Watched<P::Socket>;

    const CLOSED: Self::Socket = Watched {
        inner: P::CLOSED,
        stage: Stage::Closed,
        has_ended: false,
        has_finished: false,
    };

    const HOLDS_OUTPUT: bool = P::HOLDS_OUTPUT;

    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        socket.demand("listen", &[Stage::Closed]);
        let result = self.inner.listen(&mut socket.inner, id, at);
        match result {
            Ok(()) => socket.stage = Stage::Listening,
            Err(_) => self.demand_closed("listen", &socket.inner),
        }
        result
    }

    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        socket.demand("connect", &[Stage::Closed]);
        let result = self.inner.connect(&mut socket.inner, id, to);
        match result {
            Ok(()) => socket.stage = Stage::Opening,
            Err(_) => self.demand_closed("connect", &socket.inner),
        }
        result
    }

    fn accept(
        &mut self,
        listener: &mut Self::Socket,
        socket: &mut Self::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        listener.demand("accept", &[Stage::Listening]);
        socket.demand("accept into", &[Stage::Closed]);
        let accepted = self
            .inner
            .accept(&mut listener.inner, &mut socket.inner, id);
        match accepted {
            Ok(Some(_)) => socket.stage = Stage::Opening,
            Ok(None) | Err(_) => self.demand_closed("accept", &socket.inner),
        }
        accepted
    }

    fn refuse(&mut self, listener: &mut Self::Socket) -> Result<bool, Error> {
        listener.demand("refuse", &[Stage::Listening]);
        self.inner.refuse(&mut listener.inner)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Self::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        listener.demand("set_accepting", &[Stage::Listening]);
        self.inner.set_accepting(&mut listener.inner, id, accepting)
    }

    fn open(&mut self, socket: &mut Self::Socket, ready: Readiness) -> Result<Progress, Error> {
        socket.demand("open", &[Stage::Opening]);
        let progress = self.inner.open(&mut socket.inner, ready);
        if progress == Ok(Progress::Done) {
            socket.stage = Stage::Open;
        }
        progress
    }

    fn flush(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        socket.demand("flush", &[Stage::Open, Stage::Lingering]);
        self.inner.flush(&mut socket.inner)
    }

    fn take_error(&mut self, socket: &mut Self::Socket) -> Option<Error> {
        socket.demand("take_error", &[Stage::Open]);
        self.inner.take_error(&mut socket.inner)
    }

    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        socket.demand("recv", &[Stage::Open]);
        assert!(!buffer.is_empty(), "the loop received into nothing");
        let received = self.inner.recv(&mut socket.inner, buffer);
        match received {
            Ok(Recv::Data { len, .. }) => {
                assert!((1..=buffer.len()).contains(&len), "{len} bytes received");
                assert!(!socket.has_ended, "bytes came after the peer's end");
            }
            Ok(Recv::Finished) => socket.has_ended = true,
            _ => {}
        }
        received
    }

    fn peek(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        socket.demand("peek", &[Stage::Open]);
        self.inner.peek(&mut socket.inner, buffer)
    }

    fn set_low_water(&mut self, socket: &mut Self::Socket, bytes: usize) -> Result<(), Error> {
        socket.demand("set_low_water", &[Stage::Open]);
        self.inner.set_low_water(&mut socket.inner, bytes)
    }

    fn set_option(&mut self, socket: &mut Self::Socket, option: SocketOption) -> Result<(), Error> {
        socket.demand("set_option", &[Stage::Open]);
        self.inner.set_option(&mut socket.inner, option)
    }

    fn send(&mut self, socket: &mut Self::Socket, data: &[u8]) -> Result<usize, Error> {
        socket.demand("send", &[Stage::Open]);
        assert!(!socket.has_finished, "the loop sent after its end");
        let sent = self.inner.send(&mut socket.inner, data);
        assert!(sent.is_ok_and(|count| count <= data.len()) || sent.is_err());
        sent
    }

    fn send_vectored(
        &mut self,
        socket: &mut Self::Socket,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        socket.demand("send_vectored", &[Stage::Open]);
        assert!(!socket.has_finished, "the loop sent after its end");
        self.inner.send_vectored(&mut socket.inner, parts)
    }

    fn finish(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        socket.demand("finish", &[Stage::Open]);
        assert!(!socket.has_finished, "the loop ended twice");
        socket.has_finished = true;
        self.inner.finish(&mut socket.inner)
    }

    fn close(&mut self, socket: &mut Self::Socket) {
        // Of a socket in any stage, and again of one that is closed.
        self.inner.close(&mut socket.inner);
        self.demand_closed("close", &socket.inner);
        self.inner.close(&mut socket.inner);
        socket.close();
    }

    fn linger(&mut self, socket: &mut Self::Socket) -> bool {
        socket.demand("linger", &[Stage::Open]);
        let holds = self.inner.linger(&mut socket.inner);
        socket.stage = Stage::Lingering;
        holds
    }

    fn abort(&mut self, socket: &mut Self::Socket) {
        socket.demand("abort", &[Stage::Opening, Stage::Open, Stage::Lingering]);
        self.inner.abort(&mut socket.inner);
        self.demand_closed("abort", &socket.inner);
        socket.close();
    }

    fn local_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.local_addr(&socket.inner)
    }

    fn peer_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.peer_addr(&socket.inner)
    }

    fn protocol(&self, socket: &Self::Socket) -> &[u8] {
        self.inner.protocol(&socket.inner)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        assert!(
            self.is_drained,
            "the loop waits before it took every report"
        );
        self.is_drained = false;
        self.reports = 0;
        self.inner.poll(until)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.inner.next_deadline()
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let ready = self.inner.next_ready();
        self.is_drained = ready.is_none();
        self.reports += usize::from(ready.is_some());
        if let Some(ready) = ready.filter(|ready| ready.readiness.intersects(Readiness::READABLE)) {
            self.readable = Some(ready.id);
        }
        assert!(
            self.reports <= self.reports_max,
            "one poll gave more than {} reports (Bed::reports_max)",
            self.reports_max
        );
        ready
    }

    fn woken(&mut self) -> bool {
        self.inner.woken()
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }
}

/// The hosts of another bed, each behind a [`Strict`].
#[derive(Debug)]
pub struct StrictBed<'b, B>(pub &'b mut B);

impl<B: Bed> Bed for StrictBed<'_, B> {
    type P = Strict<B::P>;

    fn platform(&mut self) -> Self::P {
        Strict::new(self.0.platform(), self.0.reports_max())
    }

    crate::forward_bed!(0);

    fn patience(&self, platform: &Self::P) -> Option<Instant> {
        self.0.patience(platform.inner())
    }

    fn plenty(&self) -> usize {
        self.0.plenty()
    }

    fn opening_turns(&self) -> u64 {
        self.0.opening_turns()
    }

    fn long(&self) -> Duration {
        self.0.long()
    }

    fn learns_unasked(&self) -> bool {
        self.0.learns_unasked()
    }

    fn shares_ports(&self) -> bool {
        self.0.shares_ports()
    }

    fn drops_surplus(&self) -> bool {
        self.0.drops_surplus()
    }

    fn nowhere(&self) -> Option<SocketAddr> {
        self.0.nowhere()
    }
}
