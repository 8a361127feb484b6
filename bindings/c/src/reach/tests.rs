//! Calls inside of calls, on the real core over a platform of a few lines, for Miri.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use usockets::{
    Accepted, Address, AllSockets, Closed, Endpoint, Error, Handler, Instant, Loop, Opened,
    Platform, Progress, Readiness, Ready, Recv, Socket, SocketId, Sockets,
};

use super::Reach;

/// Connects to itself: every connect opens at once, and has a byte to read after each write.
#[derive(Default)]
struct Mirror {
    reports: VecDeque<Ready>,
}

impl Platform for Mirror {
    /// The name, and bytes to read.
    type Socket = (u64, u32);
    const CLOSED: (u64, u32) = (0, 0);

    fn listen(&mut self, _: &mut (u64, u32), _: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    fn connect(
        &mut self,
        socket: &mut (u64, u32),
        id: SocketId,
        _: &Endpoint<'_>,
    ) -> Result<(), Error> {
        *socket = (id.to_bits(), 0);
        self.reports.push_back(Ready {
            id,
            readiness: Readiness::WRITABLE,
        });
        Ok(())
    }

    fn accept(
        &mut self,
        _: &mut (u64, u32),
        _: &mut (u64, u32),
        _: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        Ok(None)
    }

    fn refuse(&mut self, _: &mut (u64, u32)) -> Result<bool, Error> {
        Ok(false)
    }

    fn open(&mut self, _: &mut (u64, u32), _: Readiness) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }

    fn take_error(&mut self, _: &mut (u64, u32)) -> Option<Error> {
        None
    }

    fn recv(&mut self, socket: &mut (u64, u32), buffer: &mut [u8]) -> Result<Recv, Error> {
        if socket.1 == 0 {
            return Ok(Recv::WouldBlock);
        }
        socket.1 -= 1;
        buffer.fill(7);
        Ok(Recv::Data {
            len: 1,
            drained: socket.1 == 0,
        })
    }

    fn send(&mut self, socket: &mut (u64, u32), data: &[u8]) -> Result<usize, Error> {
        socket.1 += 1;
        let id = SocketId::from_bits(socket.0).ok_or(Error::Invalid)?;
        self.reports.push_back(Ready {
            id,
            readiness: Readiness::READABLE,
        });
        Ok(data.len())
    }

    fn finish(&mut self, _: &mut (u64, u32)) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }

    fn close(&mut self, socket: &mut (u64, u32)) {
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut (u64, u32)) {
        self.close(socket);
    }

    fn local_addr(&self, _: &(u64, u32)) -> Result<Address, Error> {
        Ok(Address::Unnamed)
    }

    fn peer_addr(&self, _: &(u64, u32)) -> Result<Address, Error> {
        Ok(Address::Unnamed)
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<(), Error> {
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.reports.pop_front()
    }

    fn now(&self) -> Instant {
        Instant::from_micros(1)
    }
}

type Way = Rc<RefCell<Option<&'static Reach<Mirror, Program>>>>;

/// Does what a C program does: reaches the sockets from inside its calls, and deeper.
struct Program {
    way: Way,
    names: Vec<SocketId>,
    seen: u32,
    throws: bool,
}

impl Program {
    fn reach(&self) -> &'static Reach<Mirror, Self> {
        self.way.borrow().unwrap()
    }
}

fn somewhere() -> Endpoint<'static> {
    Endpoint::tcp(([127, 0, 0, 1], 1).into())
}

/// Reaches from inside of a closure that has the sockets already: nothing happens.
fn reach_deeper(reach: &Reach<Mirror, Program>, id: SocketId) {
    let inner = reach.with(|net| {
        let own = net.is_open(id);
        let other = reach.with(|net| net.is_open(id));
        assert_eq!(other, None);
        assert!(reach.peek(|_| ()).is_none());
        own
    });
    assert!(inner.is_some());
}

impl Handler<Mirror> for Program {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Mirror, Self>, _: Opened<()>) {
        let (reach, id) = (self.reach(), socket.id());
        self.names.push(id);
        reach.during(socket.net(), || {
            assert_eq!(reach.with(|net| net.write(id, b"x")), Some(1));
            reach_deeper(reach, id);
        });
        // The core's own borrow is as good as before.
        assert_eq!(socket.write(b"y"), 1);
    }

    fn on_data(&mut self, socket: &mut Socket<'_, Mirror, Self>, (): &mut (), data: &mut [u8]) {
        let (reach, id) = (self.reach(), socket.id());
        self.seen += 1;
        let (seen, throws) = (self.seen, self.throws);
        let other = self.names.iter().copied().find(|name| *name != id);
        reach.during(socket.net(), || {
            data.fill(1);
            if let Some(other) = other {
                reach.with(|net| net.close(other));
            }
            assert!(throws || seen < 100);
            assert!(!throws, "as the program wants it");
            if seen > 3 {
                reach.with(|net| net.close(id));
            } else {
                let _ = reach.with(|net| net.write(id, b"z"));
            }
            // A run inside of a run is refused.
            assert!(reach.hold().is_none());
        });
        data.fill(2);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, Mirror, Self>, (): &mut (), _: Closed) {
        let (reach, id) = (self.reach(), socket.id());
        reach.during(socket.net(), || {
            assert_eq!(reach.with(|net| net.write(id, b"x")), Some(0));
        });
    }

    fn after_dispatch(&mut self, all: &mut AllSockets<'_, Mirror, Self>) {
        let reach = self.reach();
        reach.during(all.net(), || {
            let _ = reach.with(|net| net.now());
        });
    }
}

/// A loop, which the test frees.
struct Made {
    way: Way,
    reach: *mut Reach<Mirror, Program>,
    pool: *mut Sockets<Mirror, Program, 4>,
    buffer: *mut [u8; 16],
}

impl Made {
    fn new() -> Self {
        let pool = Box::into_raw(Box::new(Sockets::new()));
        let buffer = Box::into_raw(Box::new([0; 16]));
        // SAFETY: freed after the loop, by `drop`.
        let inner = unsafe { Loop::new(Mirror::default(), &mut *pool, &mut *buffer) };
        let reach = Box::into_raw(Box::new(Reach::new(inner)));
        let way = Way::default();
        // SAFETY: freed by `drop`, after the last use.
        way.replace(Some(unsafe { &*reach }));
        Self {
            way,
            reach,
            pool,
            buffer,
        }
    }

    fn reach(&self) -> &'static Reach<Mirror, Program> {
        self.way.borrow().unwrap()
    }

    fn program(&self, throws: bool) -> Program {
        Program {
            way: self.way.clone(),
            names: Vec::new(),
            seen: 0,
            throws,
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and not used any more. The loop goes before what it uses.
        unsafe {
            drop(Box::from_raw(self.reach));
            drop(Box::from_raw(self.pool));
            drop(Box::from_raw(self.buffer));
        }
    }
}

fn iterate(reach: &Reach<Mirror, Program>, program: &mut Program) -> Result<(), Error> {
    reach.hold().unwrap().poll(program, Some(Instant::ZERO))
}

#[test]
fn calls_inside_of_calls_reach_every_socket() {
    let made = Made::new();
    let reach = made.reach();
    let mut program = made.program(false);
    for _ in 0..3 {
        assert!(
            reach
                .with(|net| net.connect(somewhere(), ()))
                .unwrap()
                .is_ok()
        );
    }
    for _ in 0..8 {
        iterate(reach, &mut program).unwrap();
    }
    assert!(program.seen > 3);
    assert_eq!(reach.peek(|inner| inner.stats().open), Some(0));
}

#[test]
fn between_iterations_the_loop_is_reached() {
    let made = Made::new();
    let reach = made.reach();
    let id = reach
        .with(|net| net.connect(somewhere(), ()))
        .unwrap()
        .unwrap();
    let inner = Cell::new(Some(true));
    reach.with(|_| inner.set(reach.with(|net| net.is_open(id))));
    assert_eq!(inner.get(), None);
    reach.with(|net| net.close(id));
    iterate(reach, &mut made.program(false)).unwrap();
    assert_eq!(reach.peek(|inner| inner.stats().in_use), Some(0));
}

#[test]
fn a_loop_that_is_held_is_reached_by_nobody_else_between_its_iterations() {
    let made = Made::new();
    let reach = made.reach();
    let id = reach
        .with(|net| net.connect(somewhere(), ()))
        .unwrap()
        .unwrap();
    let mut program = made.program(false);
    let mut held = reach.hold().unwrap();
    for _ in 0..3 {
        assert!(reach.hold().is_none());
        assert_eq!(reach.with(|net| net.is_open(id)), None);
        assert!(reach.peek(|_| ()).is_none());
        held.poll(&mut program, Some(Instant::ZERO)).unwrap();
    }
    drop(held);
    assert!(reach.with(|net| net.close(id)).is_some());
    iterate(reach, &mut program).unwrap();
    assert_eq!(reach.peek(|inner| inner.stats().in_use), Some(0));
}

#[test]
fn a_call_that_unwinds_leaves_no_way_behind() {
    let made = Made::new();
    let reach = made.reach();
    let mut program = made.program(true);
    assert!(
        reach
            .with(|net| net.connect(somewhere(), ()))
            .unwrap()
            .is_ok()
    );
    let result = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..4 {
            iterate(reach, &mut program).unwrap();
        }
    }));
    assert!(result.is_err());
    assert_eq!(program.seen, 1);
    // Nothing is left of the call: the loop itself is reached, and goes on.
    program.throws = false;
    let id = program.names[0];
    assert_eq!(reach.with(|net| net.is_open(id)), Some(true));
    reach.with(|net| net.close(id));
    iterate(reach, &mut program).unwrap();
    assert_eq!(reach.peek(|inner| inner.stats().in_use), Some(0));
}
