//! Pools whose length is decided at run time, and pools that another loop left behind.

use std::time::Duration;

use usockets::{Endpoint, Error, Loop, Place, Platform, Slot, Sockets};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::script::Script;
use usockets_tests::sim::{Faults, Host};

/// Slots and data of unequal lengths: the shorter counts.
#[test]
fn a_loop_runs_over_slices_of_any_length() {
    for (slots, data, pool) in [(3, 3, 3), (5, 2, 2), (1, 9, 1)] {
        let mut bed = SimBed::new(0, Faults::none());
        let mut slots: Vec<_> = (0..slots)
            .map(|_| Slot::free(<Host as Platform>::CLOSED))
            .collect();
        let mut data: Vec<_> = (0..data).map(|_| Place::Vacant).collect();
        let mut buffer = [0; 16];
        let mut lp: Loop<'_, Host, Script<Host>> =
            Loop::with_slices(bed.platform(), &mut slots, &mut data, &mut buffer).unwrap();
        for _ in 0..pool {
            let timer = lp.net().start_timer(Duration::from_secs(1), Duration::ZERO);
            assert!(timer.is_ok());
        }
        let timer = lp.net().start_timer(Duration::from_secs(1), Duration::ZERO);
        assert_eq!(timer, Err(Error::Full));
        assert_eq!(lp.stats().in_use as usize, pool);
    }
}

/// What no loop can work with is refused where it is given, not by the first `poll`.
#[test]
fn memory_of_no_length_is_refused_where_it_is_given() {
    let mut bed = SimBed::new(0, Faults::none());
    for (slots, data, buffer) in [(0, 4, 16), (4, 0, 16), (4, 4, 0)] {
        let mut slots: Vec<_> = (0..slots)
            .map(|_| Slot::free(<Host as Platform>::CLOSED))
            .collect();
        let mut data: Vec<_> = (0..data).map(|_| Place::Vacant).collect();
        let mut buffer = vec![0; buffer];
        let made: Result<Loop<'_, Host, Script<Host>>, Error> =
            Loop::with_slices(bed.platform(), &mut slots, &mut data, &mut buffer);
        assert_eq!(made.err(), Some(Error::Invalid));
    }
    let mut sockets = Sockets::<Host, Script<Host>, 2>::new();
    let made = Loop::with_buffer(bed.platform(), &mut sockets, &mut []);
    assert_eq!(made.err(), Some(Error::Invalid));
    let mut one = [0];
    assert!(Loop::with_buffer(bed.platform(), &mut sockets, &mut one).is_ok());
}

/// A loop that is leaked leaves its pool in use; the next one starts afresh, and ids of the first
/// mean nothing to it.
#[test]
fn a_leaked_loop_leaves_nothing_in_its_pool() {
    let mut bed = SimBed::new(0, Faults::none());
    let mut slots: Vec<_> = (0..6)
        .map(|_| Slot::free(<Host as Platform>::CLOSED))
        .collect();
    let mut data: Vec<_> = (0..6).map(|_| Place::Vacant).collect();
    let mut buffer = [0; 16];
    let mut first: Loop<'_, Host, Script<Host>> =
        Loop::with_slices(bed.platform(), &mut slots, &mut data, &mut buffer).unwrap();
    let at = Endpoint::tcp(bed.addr(0));
    let old = first.net().listen(at, 1).unwrap();
    first
        .net()
        .start_timer(Duration::from_secs(1), Duration::ZERO)
        .unwrap();
    std::mem::forget(first);
    let mut buffer = [0; 16];
    let mut second: Loop<'_, Host, Script<Host>> =
        Loop::with_slices(bed.platform(), &mut slots, &mut data, &mut buffer).unwrap();
    assert_eq!(second.net().listening_addr(old), None);
    let timers: Vec<_> = (0..6)
        .map(|_| {
            second
                .net()
                .start_timer(Duration::from_secs(1), Duration::ZERO)
                .unwrap()
        })
        .collect();
    for (nth, timer) in timers.iter().enumerate() {
        assert!(!timers[..nth].contains(timer), "a slot was given out twice");
    }
    let more = second
        .net()
        .start_timer(Duration::from_secs(1), Duration::ZERO);
    assert_eq!(more, Err(Error::Full));
}
/// A loop can be sent to another thread if its parts can.
#[test]
fn a_loop_is_send() {
    const fn is_send<T: Send>() {}
    is_send::<Loop<'static, usockets_linux::Linux, Quiet>>();
}

/// A handler without anything that is bound to a thread.
struct Quiet;

impl<P: Platform> usockets::Handler<P> for Quiet {
    type Ext = ();
    type Context = ();
    fn on_open(&mut self, _: &mut usockets::Socket<'_, P, Self>, _: usockets::Opened<()>) {}
    fn on_data(&mut self, _: &mut usockets::Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
}
