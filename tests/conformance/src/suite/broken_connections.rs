//! The end of a broken connection: the bytes that came before, then the true kind of end, then
//! `on_close`, whether the program reads or not.

use crate::bed::Bed;
use crate::script::{At, Event};
use crate::side::{Pair, Side, run_for, turns_in};
use std::time::Duration;
use usockets::{Closed, Platform, SocketId};

const A_WHILE: Duration = Duration::from_millis(50);

/// Returns how often a side was told that its peer ended.
pub fn ends<P: Platform>(side: &Side<P>, id: SocketId) -> usize {
    side.script.count(|event| *event == Event::End(id))
}

/// The reset is known while the socket is paused. Bytes may be lost with it, where a reset throws
/// away what waits, but the close does not wait for `resume`.
pub fn a_paused_socket_that_broke_delivers_what_came_and_closes<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    pair.client.say(connected, b"before");
    pair.for_time(bed, A_WHILE);
    assert_eq!(pair.server.script.received(accepted), b"");
    pair.client.net().abort(connected, 0);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert!(matches!(
        pair.server.script.closed(accepted),
        Some(Closed::Failed(_))
    ));
    assert_eq!(ends(&pair.server, accepted), 0, "it was no orderly end");
}

/// The handler pauses at every byte, and nobody resumes.
pub fn a_reset_that_comes_with_bytes_is_told_though_they_paused<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.script.act(|at, event| {
        if let (At::Socket(socket), Event::Data(..)) = (at, event) {
            socket.pause();
        }
    });
    pair.client.say(connected, b"request");
    // Both have arrived when the server next looks, so that one report may tell of both.
    run_for(bed, &mut [&mut pair.client], A_WHILE);
    pair.client.net().abort(connected, 0);
    run_for(bed, &mut [&mut pair.client], A_WHILE);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(ends(&pair.server, accepted), 0);
}

/// The peer's orderly end is told only once the program reads again; until then the loop sleeps.
pub fn a_peers_end_waits_for_a_paused_socket<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let (accepted, connected) = (pair.accepted, pair.connected);
    pair.server.net().pause(accepted);
    pair.client.finish(connected);
    pair.for_time(bed, A_WHILE);
    let turns = turns_in(bed, &mut pair.server, A_WHILE);
    assert!(turns < 20, "{turns} iterations while nothing could be done");
    assert_eq!(ends(&pair.server, accepted), 0);
    assert_eq!(pair.server.script.closed(accepted), None);
    pair.server.net().resume(accepted);
    pair.until(bed, |server, _| server.script.closed(accepted).is_some());
    assert_eq!(ends(&pair.server, accepted), 1);
}
