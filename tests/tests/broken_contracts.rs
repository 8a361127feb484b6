//! The suite is able to fail: each rule of the contract that a platform here breaks is noticed by
//! the test that stands for it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId,
};
use usockets_conformance::{forward_bed, suite};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::sim::{Faults, Host, SimSocket};

/// What a platform does that it must not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Breach {
    /// Nothing: it keeps to the contract.
    Nothing,
    /// A reset is told as the peer's end.
    EndForReset,
    /// What came before an error is lost if the connection was still opening.
    LossWhileConnecting,
    /// A socket is left in the slot by an accept that brought nothing.
    SocketLeftByAccept,
    /// A socket is left in the slot by a close.
    SocketLeftByClose,
    /// Says that it is exhausted, of a connection that it has taken and loses.
    LossWhenExhausted,
    /// Never tells why a connection broke.
    ErrorHidden,
    /// Does not tell of an error in the report that tells of bytes.
    ErrorLeftOut,
    /// Does not report who waits when it is to report a listener again.
    WaitingLeftOut,
}

/// A simulated host that breaks one rule.
#[derive(Debug)]
struct Broken {
    inner: Host,
    breach: Breach,
    /// A host of the network broke the rule, where once is enough.
    is_done: Rc<Cell<bool>>,
}

#[derive(Debug)]
struct Slot {
    inner: SimSocket,
    /// A socket was left in it.
    is_left: bool,
}

impl Platform for Broken {
    type Socket = Slot;

    const CLOSED: Slot = Slot {
        inner: <Host>::CLOSED,
        is_left: false,
    };

    fn listen(&mut self, socket: &mut Slot, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        self.inner.listen(&mut socket.inner, id, at)
    }

    fn connect(&mut self, socket: &mut Slot, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        self.inner.connect(&mut socket.inner, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Slot,
        socket: &mut Slot,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let taken = self
            .inner
            .accept(&mut listener.inner, &mut socket.inner, id);
        let loses = self.breach == Breach::LossWhenExhausted && matches!(taken, Ok(Some(_)));
        if loses && !self.is_done.replace(true) {
            self.inner.close(&mut socket.inner);
            return Err(Error::Exhausted);
        }
        socket.is_left = self.breach == Breach::SocketLeftByAccept && taken == Ok(None);
        taken
    }

    fn refuse(&mut self, listener: &mut Slot) -> Result<bool, Error> {
        self.inner.refuse(&mut listener.inner)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Slot,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        if self.breach == Breach::WaitingLeftOut && accepting {
            return Ok(());
        }
        self.inner.set_accepting(&mut listener.inner, id, accepting)
    }

    fn open(&mut self, socket: &mut Slot, ready: Readiness) -> Result<Progress, Error> {
        let broke = ready.intersects(Readiness::ERROR.union(Readiness::HUNG_UP));
        if self.breach == Breach::LossWhileConnecting && broke {
            return Err(Error::Reset);
        }
        self.inner.open(&mut socket.inner, ready)
    }

    fn take_error(&mut self, socket: &mut Slot) -> Option<Error> {
        let error = self.inner.take_error(&mut socket.inner);
        error.filter(|_| self.breach != Breach::ErrorHidden)
    }

    fn recv(&mut self, socket: &mut Slot, buffer: &mut [u8]) -> Result<Recv, Error> {
        let received = self.inner.recv(&mut socket.inner, buffer);
        match received {
            Err(_) if self.breach == Breach::EndForReset => Ok(Recv::Finished),
            received => received,
        }
    }

    fn send(&mut self, socket: &mut Slot, data: &[u8]) -> Result<usize, Error> {
        self.inner.send(&mut socket.inner, data)
    }

    fn finish(&mut self, socket: &mut Slot) -> Result<Progress, Error> {
        self.inner.finish(&mut socket.inner)
    }

    fn close(&mut self, socket: &mut Slot) {
        self.inner.close(&mut socket.inner);
        // Once, as loops that are dropped close what they have.
        let leaves = self.breach == Breach::SocketLeftByClose;
        socket.is_left = leaves && !self.is_done.replace(true);
    }

    fn abort(&mut self, socket: &mut Slot) {
        self.inner.abort(&mut socket.inner);
    }

    fn local_addr(&self, socket: &Slot) -> Result<Address, Error> {
        if socket.is_left {
            return Ok(SocketAddr::from(([127, 0, 0, 1], 1)).into());
        }
        self.inner.local_addr(&socket.inner)
    }

    fn peer_addr(&self, socket: &Slot) -> Result<Address, Error> {
        self.inner.peer_addr(&socket.inner)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.inner.poll(until)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let mut ready = self.inner.next_ready()?;
        if self.breach == Breach::ErrorLeftOut && ready.readiness.intersects(Readiness::READABLE) {
            ready.readiness = Readiness::READABLE;
        }
        Some(ready)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }
}

/// Hosts that all break the same rule.
struct BrokenBed {
    inner: SimBed,
    breach: Breach,
    is_done: Rc<Cell<bool>>,
}

impl Bed for BrokenBed {
    type P = Broken;

    fn platform(&mut self) -> Broken {
        Broken {
            inner: self.inner.platform(),
            breach: self.breach,
            is_done: Rc::clone(&self.is_done),
        }
    }

    forward_bed!(inner);

    fn plenty(&self) -> usize {
        self.inner.plenty()
    }
}

/// Networks that a test is run on: a smooth one and rough ones.
const NETWORKS: u64 = 25;

/// Fails unless the test fails for the breach on some network, and holds without it on all of them.
fn is_noticed(breach: Breach, test: fn(&mut BrokenBed)) {
    let run = |seed: u64, breach| {
        let faults = match seed {
            0 => Faults::none(),
            _ => Faults::rough(seed),
        };
        let mut bed = BrokenBed {
            inner: SimBed::new(seed, faults),
            breach,
            is_done: Rc::default(),
        };
        catch_unwind(AssertUnwindSafe(|| test(&mut bed))).is_ok()
    };
    let holds = |breach| (0..NETWORKS).all(|seed| run(seed, breach));
    assert!(!holds(breach), "{breach:?} goes unnoticed");
    assert!(
        holds(Breach::Nothing),
        "the test fails without {breach:?} as well"
    );
}

#[test]
fn a_reset_that_is_told_as_an_end_is_noticed() {
    is_noticed(Breach::EndForReset, suite::contract::a_reset_is_no_end);
}

#[test]
fn bytes_that_are_lost_while_connecting_are_noticed() {
    let test = suite::contract::what_came_before_an_error_while_connecting_is_delivered;
    is_noticed(Breach::LossWhileConnecting, test);
}

#[test]
fn a_socket_that_an_accept_leaves_is_noticed() {
    let test = suite::contract::an_accept_that_finds_none_leaves_the_slot_closed;
    is_noticed(Breach::SocketLeftByAccept, test);
}

#[test]
fn a_socket_that_a_close_leaves_is_noticed() {
    let test = suite::contract::sockets_end_in_every_way;
    is_noticed(Breach::SocketLeftByClose, test);
}

#[test]
fn a_connection_that_is_lost_when_exhausted_is_noticed() {
    let test = suite::full_pool::a_full_pool_pauses_the_listener_and_loses_nobody;
    is_noticed(Breach::LossWhenExhausted, test);
}

#[test]
fn an_error_that_is_never_told_is_noticed() {
    let test = suite::broken_connections::a_paused_socket_that_broke_delivers_what_came_and_closes;
    is_noticed(Breach::ErrorHidden, test);
}

#[test]
fn a_reset_in_one_report_with_bytes_that_is_left_out_is_noticed() {
    let test = suite::broken_connections::a_reset_that_comes_with_bytes_is_told_though_they_paused;
    is_noticed(Breach::ErrorHidden, test);
    is_noticed(Breach::ErrorLeftOut, test);
}

#[test]
fn who_waits_and_is_never_reported_again_is_noticed() {
    let test = suite::contract::who_waits_is_reported_when_accepting_goes_on;
    is_noticed(Breach::WaitingLeftOut, test);
}
