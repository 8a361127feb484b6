//! Connections that do not come about.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, Side, run_for, run_until};
use std::net::SocketAddr;
use std::time::Duration;
use usockets::{Closed, Endpoint, Error};

/// Returns the connects that failed.
pub fn errors<B: Bed>(side: &Side<B::P>) -> Vec<Event> {
    let is_error = |event: &&Event| matches!(event, Event::ConnectError(..));
    side.script.events().filter(is_error).cloned().collect()
}

/// Nobody listens: `on_connect_error` once, with `Refused`; nothing else (W19, W21).
pub fn refused_is_told_once<B: Bed>(bed: &mut B) {
    let mut server = Side::new(bed, 0);
    let mut client = Side::new(bed, 1);
    let (listener, addr) = server.listen(bed, 1);
    server.net().stop_listening(listener);
    let id = client.connect(addr, 2).unwrap();
    let long = bed.long();
    let both = &mut [&mut server, &mut client];
    assert!(run_until(bed, both, long, |sides| !sides[1]
        .script
        .log
        .is_empty()));
    run_for(bed, both, Duration::from_millis(50));
    let events: Vec<_> = both[1].script.events().cloned().collect();
    assert_eq!(events, [Event::ConnectError(id, 2, Error::Refused)]);
    assert_eq!(both[1].lp.stats().in_use, 0);
    assert_eq!(both[1].lp.stats().failed, 1);
}

/// A listener whose queue is full does not answer; the connect ends with the time it was given.
/// smoltcp refuses it instead.
pub fn a_connect_can_be_given_less_time<B: Bed>(bed: &mut B) {
    let mut server = Side::with::<1>(0, bed.platform(), 4_096, 0);
    let mut client = Side::new(bed, 1);
    let at = Endpoint::tcp(bed.addr(0)).backlog(1);
    let (_, addr) = server.listen_at(at, 1);
    let ids: Vec<_> = (0..6).map(|_| client.connect(addr, 2).unwrap()).collect();
    let time = Duration::from_millis(300);
    for id in &ids {
        client.net().set_timeout(*id, time);
    }
    let asked = client.net().now();
    run_for(
        bed,
        &mut [&mut server, &mut client],
        Duration::from_millis(700),
    );
    let late = errors::<B>(&client);
    assert!(!late.is_empty(), "some were not answered");
    for (at, event) in &client.script.log {
        if let Event::ConnectError(id, 2, error) = event {
            assert!(ids.contains(id));
            if !bed.drops_surplus() && *error == Error::Refused {
                continue;
            }
            assert_eq!(*error, Error::TimedOut);
            assert!(at.saturating_since(asked) >= time, "never early");
        }
    }
}

/// A connection that is reset after it opened closes with `Failed(Reset)`, once, and leaves nothing
/// on either side (W19, W21).
pub fn reset_is_told_as_reset<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().abort(accepted, 9);
    pair.until(bed, |_, client| client.script.closed(connected).is_some());
    let reset = Closed::Failed(Error::Reset);
    assert_eq!(pair.client.script.closed(connected), Some(reset));
    assert_eq!(pair.server.script.closed(accepted), Some(Closed::Local(9)));
    assert_eq!(errors::<B>(&pair.client), []);
    let in_use = [&pair.server, &pair.client].map(|side| side.lp.stats().in_use);
    assert_eq!(in_use, [1, 0], "the listener is left");
}

/// What is wrong on this side comes back from `connect` and `listen`, and uses no slot (W23).
pub fn what_is_wrong_here_is_told_at_once<B: Bed>(bed: &mut B) {
    let mut side = Side::new(bed, 0);
    let (_, addr) = side.listen(bed, 1);
    let taken = side.net().listen(Endpoint::tcp(addr), 1);
    assert_eq!(taken.err(), Some(Error::AddressInUse));
    let foreign: SocketAddr = ([192, 0, 2, 1], 0).into();
    let absent = side.net().listen(Endpoint::tcp(foreign), 1);
    assert_eq!(absent.err(), Some(Error::AddressUnavailable));
    let from_nowhere = Endpoint::tcp(addr).source(foreign);
    let result = side.net().connect(from_nowhere, 1);
    assert_eq!(result, Err(Error::AddressUnavailable));
    let result = side.net().connect(Endpoint::tls(addr, None), 1);
    assert_eq!(result, Err(Error::Unsupported));
    let stats = side.net().stats();
    assert_eq!((stats.in_use, stats.failed), (1, 0));
}
