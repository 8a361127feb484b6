//! Timeouts of a million connections, in memory, for `budget` to count the instructions of:
//! `expiries arm` arms them, each twice as a server does that is spoken to, and `expiries expire`
//! lets all of them pass too.

use std::env;

use usockets::{
    Duration, Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Slot, Socket, SocketId,
};

#[path = "../../peers/src/bin/usockets/null.rs"]
mod null;

use null::Null;

/// Timeouts that are armed at the same time.
const COUNT: u32 = 1_000_000;
/// Milliseconds that the deadlines are spread over.
const SPREAD: u64 = 1 << 16;
/// Milliseconds that every timeout is put off by when it is armed again.
const LATER: u64 = 30_000;

/// Counts the timeouts that are over.
#[derive(Default)]
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

fn main() -> Result<(), Error> {
    let expires = match env::args().nth(1).as_deref() {
        Some("arm") => false,
        Some("expire") => true,
        _ => return Err(Error::Invalid),
    };
    let mut slots: Vec<_> = (0..COUNT).map(|_| Slot::free(Null::CLOSED)).collect();
    let mut data: Vec<_> = (0..COUNT).map(|_| usockets::Place::Vacant).collect();
    let mut buffer = [0];
    let platform = Null::default();
    let mut sockets = Loop::with_slices(platform, &mut slots, &mut data, &mut buffer)?;
    let mut count = Count::default();
    let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], 1));
    let connected: Result<Vec<SocketId>, _> = (0..COUNT)
        .map(|_| sockets.net().connect(Endpoint::tcp(nowhere), ()))
        .collect();
    let ids = connected?;
    while sockets.stats().open < COUNT {
        sockets.poll(&mut count, Some(Instant::ZERO))?;
    }
    for id in &ids {
        sockets.net().set_timeout(*id, Duration::ZERO);
    }
    run_out(&mut sockets, &mut count)?;
    for key in 0..COUNT {
        arm(&mut sockets, &ids, key, spread(key))?;
    }
    for step in 0..COUNT {
        // Every key once, in no order that a table could profit from.
        let key = step.wrapping_mul(514_229) % COUNT;
        arm(&mut sockets, &ids, key, spread(key) + LATER)?;
    }
    if expires {
        run_out(&mut sockets, &mut count)?;
        assert_eq!(count.0, COUNT, "timeouts were lost");
    }
    Ok(())
}

fn arm(
    sockets: &mut Loop<'_, Null, Count>,
    ids: &[SocketId],
    key: u32,
    after: u64,
) -> Result<(), Error> {
    let id = usize::try_from(key).ok().and_then(|key| ids.get(key));
    let after = Duration::from_millis(after);
    sockets.net().set_timeout(*id.ok_or(Error::Invalid)?, after);
    Ok(())
}

/// Lets time pass until nothing is armed any more.
fn run_out(sockets: &mut Loop<'_, Null, Count>, count: &mut Count) -> Result<(), Error> {
    while sockets.next_deadline().is_some() {
        sockets.poll(count, None)?;
    }
    Ok(())
}

/// Milliseconds that look random.
fn spread(key: u32) -> u64 {
    let mixed = u64::from(key)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 + (mixed >> 32) % SPREAD
}
