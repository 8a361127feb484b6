//! Groups of sockets.

use crate::bed::Bed;
use crate::script::Event;
use crate::side::{Pair, Side};
use usockets::{Closed, Endpoint};

/// Opens `count` connections; returns the names on the client, whose contexts are 10, 11, …
fn opened<B: Bed>(bed: &mut B, count: u8) -> (Pair<B::P>, Vec<usockets::SocketId>) {
    let mut pair = Pair::open(bed);
    let to = pair.addr;
    let client = &mut pair.client;
    let ids: Vec<_> = (10..10 + count)
        .map(|context| client.connect(to, context).unwrap())
        .collect();
    let all = 1 + u32::from(count);
    pair.until(bed, |server, client| {
        server.lp.stats().open == all && client.lp.stats().open == all
    });
    (pair, ids)
}

/// `close_all` closes open, opening and listening sockets of its context, adopted ones included,
/// and leaves the rest (W10).
pub fn all_of_a_context_close_and_no_others<B: Bed>(bed: &mut B) {
    let (mut pair, ids) = opened(bed, 4);
    let listener = pair
        .client
        .net()
        .listen(Endpoint::tcp(bed.addr(1)), 77)
        .unwrap();
    let opening = pair.client.connect(pair.addr, 77).unwrap();
    let mut net = pair.client.net();
    net.adopt(ids[0], 77);
    net.adopt(ids[1], 77);
    net.close_all(77, 5);
    assert_eq!(net.listening_addr(listener), None);
    assert_eq!(net.context(opening), None);
    assert_eq!((net.is_open(ids[0]), net.is_open(ids[2])), (false, true));
    pair.until(bed, |_, client| client.script.closed(ids[1]).is_some());
    for id in &ids[..2] {
        assert_eq!(pair.client.script.closed(*id), Some(Closed::Local(5)));
    }
    for id in &ids[2..] {
        assert_eq!(pair.client.script.closed(*id), None);
    }
    assert_eq!(pair.client.script.closed(opening), None);
}

/// A socket that `on_close` connects, with the context that is being closed, is not closed (W10).
pub fn what_on_close_connects_stays<B: Bed>(bed: &mut B) {
    let (mut pair, ids) = opened(bed, 2);
    let to = pair.addr;
    pair.client.script.act(move |at, event| {
        if let Event::Close(..) = event {
            at.net().connect(Endpoint::tcp(to), 10).unwrap();
        }
    });
    pair.client.net().close_all(10, 1);
    pair.until(bed, |_, client| {
        client.script.closed(ids[0]).is_some() && client.lp.stats().open == 3
    });
    assert_eq!(pair.client.script.closed(ids[1]), None);
}

/// Adopting in place: the name, the data and the timeout stay, and events go on (W1).
pub fn an_adopted_socket_keeps_its_name_and_timeout<B: Bed>(bed: &mut B) {
    let mut pair = Pair::open(bed);
    let id = pair.connected;
    let millis = std::time::Duration::from_millis(5);
    pair.client.script.keep_on_timeout = true;
    pair.client.net().set_timeout(id, millis);
    pair.client.net().adopt(id, 9);
    pair.server.say(pair.accepted, b"hello");
    let side: fn(&Side<B::P>) -> bool = |client| {
        client
            .script
            .count(|event| matches!(event, Event::Timeout(_)))
            == 1
    };
    pair.until(bed, |_, client| {
        side(client) && client.script.received(id) == b"hello"
    });
    assert_eq!(pair.client.net().context(id), Some(9));
}

/// One write to each member; one that is held up is handed over with what it took, and takes
/// nothing more until it has room.
pub fn a_group_is_counted_written_to_and_visited<B: Bed>(bed: &mut B) {
    let (mut pair, ids) = opened(bed, 4);
    let is_meant = |context: &u8| (10..13).contains(context);
    let mut net = pair.client.net();
    assert_eq!(net.count_where(is_meant), 3);
    let sent = net.stats().sent;
    let (mut short, mut taken) = (Vec::new(), 0);
    let complete = net.write_each(b"hello", is_meant, |net, id, count| {
        assert!(count < 5 && net.is_open(id));
        taken += count as u64;
        short.push(id);
    });
    assert_eq!(complete + short.len(), 3);
    assert!(short.iter().all(|id| ids[..3].contains(id)));
    assert_eq!(net.stats().sent - sent, taken + 5 * complete as u64);
    // More than any network takes, in the end; and then nothing.
    let bytes = vec![b'x'; bed.plenty()];
    let mut held = Vec::new();
    for _ in 0..100 {
        net.write_each(&bytes, is_meant, |_, id, _| held.push(id));
    }
    assert!(ids[..3].iter().all(|id| held.contains(id)) && !held.contains(&ids[3]));
    let mut again = Vec::new();
    let complete = net.write_each(b"more", is_meant, |_, id, count| again.push((id, count)));
    assert_eq!((complete, again.len()), (0, 3));
    assert!(again.iter().all(|(_, count)| *count == 0));
    let mut seen = Vec::new();
    let mut all = pair.client.lp.all_sockets();
    all.visit(is_meant, |net, id, _| {
        seen.push(id);
        net.abort(id, 1);
    });
    assert_eq!(all.net().count_where(is_meant), 0);
    seen.sort_by_key(|id| ids.iter().position(|other| other == id));
    assert_eq!(seen, ids[..3]);
}
