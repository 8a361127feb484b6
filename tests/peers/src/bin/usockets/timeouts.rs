//! Timeouts of a million connections.

use static_cell::ConstStaticCell;
use usockets::{Duration, Endpoint, Handler, Instant, Loop, Opened, Platform, Socket, Sockets};
use usockets_peers::timeouts::{COUNT, Timeouts};
use usockets_peers::{any_port, timeouts};

use crate::null::Null;

static SOCKETS: ConstStaticCell<Sockets<Null, Count, { COUNT as usize }>> =
    ConstStaticCell::new(Sockets::new());

/// Counts the timeouts that are over.
struct Count(u32);

impl<P: Platform> Handler<P> for Count {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_timeout(&mut self, _: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.0 += 1;
    }
}

/// A loop full of connections.
struct Connections<'s> {
    sockets: Loop<'s, Null, Count>,
    ids: Vec<usockets::SocketId>,
}

/// Measures them.
pub(crate) fn measure() {
    let mut buffer = [0];
    let mut sockets = Loop::new(Null::default(), SOCKETS.take(), &mut buffer);
    let ids = (0..COUNT).map(|_| {
        let connected = sockets.net().connect(Endpoint::tcp(any_port()), ());
        connected.expect("the pool has room for all")
    });
    let ids: Vec<_> = ids.collect();
    for _ in 0..COUNT {
        let at_once = Some(Instant::ZERO);
        sockets
            .poll(&mut Count(0), at_once)
            .expect("the platform works");
        if sockets.stats().open == COUNT {
            break;
        }
    }
    // The time to open is disarmed, and forgotten by the wheel too, so that nothing is prepared.
    for id in &ids {
        sockets.net().set_timeout(*id, Duration::ZERO);
    }
    run_out(&mut sockets, &mut Count(0));
    timeouts::measure(&mut Connections { sockets, ids });
}

impl Timeouts for Connections<'_> {
    fn arm(&mut self, key: u32, after: u64) {
        let id = self.ids[key as usize];
        self.sockets
            .net()
            .set_timeout(id, Duration::from_millis(after));
    }

    fn rearm(&mut self, key: u32, after: u64) {
        self.arm(key, after);
    }

    fn expire(&mut self) -> u32 {
        let mut count = Count(0);
        run_out(&mut self.sockets, &mut count);
        count.0
    }
}

/// Lets time pass until nothing is armed any more.
fn run_out(sockets: &mut Loop<'_, Null, Count>, count: &mut Count) {
    while sockets.next_deadline().is_some() {
        sockets.poll(count, None).expect("the platform works");
    }
}
