//! Answers of a platform that its contract forbids do no harm: each is counted, and the loop goes
//! on.

use std::time::Duration;

use usockets::{
    Accepted, Address, AllSockets, Descriptors, Endpoint, Error, Handler, Inserted, Instant, Loop,
    Opened, Platform, Progress, Readiness, Ready, Recv, Socket, SocketId, Sockets, TimerId,
};

/// A platform on which nothing happens but what a test says.
#[derive(Default)]
struct Scripted {
    now: u64,
    reports: Vec<Ready>,
    /// Calls that receive.
    received: u32,
}

impl Platform for Scripted {
    type Socket = ();

    const CLOSED: () = ();

    fn listen(&mut self, (): &mut (), _: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn connect(&mut self, (): &mut (), _: SocketId, _: &Endpoint<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn accept(&mut self, (): &mut (), (): &mut (), _: SocketId) -> Result<Option<Accepted>, Error> {
        Ok(None)
    }

    fn refuse(&mut self, (): &mut ()) -> Result<bool, Error> {
        Ok(false)
    }

    fn open(&mut self, (): &mut (), _: Readiness) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }

    fn take_error(&mut self, (): &mut ()) -> Option<Error> {
        None
    }

    fn recv(&mut self, (): &mut (), _: &mut [u8]) -> Result<Recv, Error> {
        self.received += 1;
        Ok(Recv::WouldBlock)
    }

    fn send(&mut self, (): &mut (), data: &[u8]) -> Result<usize, Error> {
        Ok(data.len())
    }

    fn finish(&mut self, (): &mut ()) -> Result<Progress, Error> {
        Ok(Progress::Done)
    }

    fn close(&mut self, (): &mut ()) {}

    fn abort(&mut self, (): &mut ()) {}

    fn local_addr(&self, (): &()) -> Result<Address, Error> {
        Ok(Address::Unnamed)
    }

    fn peer_addr(&self, (): &()) -> Result<Address, Error> {
        Ok(Address::Unnamed)
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<(), Error> {
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.reports.pop()
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }
}

impl Descriptors for Scripted {
    type Descriptor = ();

    fn insert(&mut self, (): &mut (), _: SocketId, (): (), _: Inserted) -> Result<(), ((), Error)> {
        Ok(())
    }

    /// Claims to have moved one byte more than there is room for.
    fn take(&mut self, (): &mut (), unread: &mut [u8]) -> Result<((), usize), Error> {
        Ok(((), unread.len() + 1))
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Noting {
    opened: Vec<SocketId>,
    timers: u32,
}

impl Handler<Scripted> for Noting {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Scripted, Self>, _: Opened<()>) {
        self.opened.push(socket.id());
    }

    fn on_data(&mut self, _: &mut Socket<'_, Scripted, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_timer(&mut self, _: &mut AllSockets<'_, Scripted, Self>, _: TimerId, _: u32) {
        self.timers += 1;
    }
}

/// Runs iterations on a platform and returns its loop's handler, with what `check` says at the end.
fn after<R>(
    platform: Scripted,
    start: impl FnOnce(&mut Loop<'_, Scripted, Noting>),
    check: impl FnOnce(&mut Loop<'_, Scripted, Noting>, &Noting) -> R,
) -> R {
    let (mut sockets, mut buffer) = (Sockets::<Scripted, Noting, 4>::new(), [0; 16]);
    let mut lp = Loop::new(platform, &mut sockets, &mut buffer);
    let mut noting = Noting::default();
    start(&mut lp);
    for _ in 0..10 {
        lp.poll(&mut noting, Some(Instant::ZERO))
            .expect("a sound wait");
    }
    check(&mut lp, &noting)
}

/// Timers are due all the same, and an iteration ends.
#[test]
fn a_clock_that_comes_to_the_end_of_time_stands_still() {
    let far = |lp: &mut Loop<'_, Scripted, Noting>| {
        for after in [Duration::from_secs(1), Duration::MAX] {
            let repeat = Duration::from_secs(1);
            lp.net().start_timer(after, repeat).expect("a slot");
        }
        lp.platform_mut().now = u64::MAX;
    };
    after(Scripted::default(), far, |lp, noting| {
        assert!(noting.timers > 0);
        assert!(lp.stats().breaches > 0);
        assert!(lp.net().now() < Instant::from_micros(u64::MAX));
    });
}

/// A loop may also begin there.
#[test]
fn a_loop_whose_clock_begins_at_the_end_of_time_runs() {
    let platform = Scripted {
        now: u64::MAX,
        ..Scripted::default()
    };
    let timer = |lp: &mut Loop<'_, Scripted, Noting>| {
        let second = Duration::from_secs(1);
        lp.net().start_timer(second, second).expect("a slot");
    };
    after(platform, timer, |lp, noting| {
        assert_eq!(noting.timers, 0, "no time passes");
        assert!(lp.stats().breaches > 0);
    });
}

/// The highest bit of a report is the loop's own: with it, a listener would be read from.
#[test]
fn a_report_with_the_loops_own_mark_is_no_read() {
    let listen = |lp: &mut Loop<'_, Scripted, Noting>| {
        let any = Endpoint::tcp(([10, 0, 0, 1], 80).into());
        let listener = lp.net().listen(any, ()).expect("a slot");
        let readiness = Readiness::from_bits(1 << 31);
        let id = listener.into();
        lp.platform_mut().reports.push(Ready { id, readiness });
    };
    after(Scripted::default(), listen, |lp, _| {
        assert_eq!(lp.platform().received, 0);
        assert_eq!(lp.stats().breaches, 1);
    });
}

/// The program is told of no more bytes than there was room for.
#[test]
fn a_descriptor_that_comes_with_more_bytes_than_there_is_room_for_has_as_many() {
    let insert = |lp: &mut Loop<'_, Scripted, Noting>| {
        lp.net().insert((), ()).expect("a slot");
    };
    after(Scripted::default(), insert, |lp, noting| {
        let mut unread = [0; 3];
        let taken = lp.net().take(noting.opened[0], &mut unread);
        assert_eq!(taken, Ok(((), 3)));
        assert_eq!(lp.stats().breaches, 1);
    });
}
