//! Groups of sockets.

use usockets::{Closed, Endpoint};
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::script::Event;
use usockets_tests::side::{Pair, Side};

on_every_platform!(
    all_of_a_context_close_and_no_others,
    what_on_close_connects_stays,
    an_adopted_socket_keeps_its_name_and_timeout,
);

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
fn all_of_a_context_close_and_no_others<B: Bed>(bed: &mut B) {
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
fn what_on_close_connects_stays<B: Bed>(bed: &mut B) {
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
fn an_adopted_socket_keeps_its_name_and_timeout<B: Bed>(bed: &mut B) {
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
