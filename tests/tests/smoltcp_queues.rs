//! Several stacks that are one host share what the link told one of them: a card with two receive
//! queues, and a stack for each.

use usockets::{Duration, Endpoint, Error, Instant};
use usockets_smoltcp::{SharedNeighbour, SharedNeighbours};
use usockets_tests::smoltcp::card::Card;
use usockets_tests::smoltcp::forge::arp;
use usockets_tests::smoltcp::{A4, B4, Habit, b4, leak, mac, pattern};

fn table() -> &'static SharedNeighbours {
    let table: &'static SharedNeighbours<[SharedNeighbour; 16]> =
        &leak(1, SharedNeighbours::<[SharedNeighbour; 16]>::new)[0];
    table
}

/// Without the table the answer is lost on the stack that asked nothing.
#[test]
fn a_neighbour_that_answers_on_another_queue_is_reached() {
    for shares in [false, true] {
        let mut card = Card::new(shares.then(table));
        card.peer.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
        let sent = pattern(10_000, 1);
        let id = card.stacks[1].connect(&Endpoint::tcp(b4(80)), &sent);
        card.pass(20);
        assert_eq!(card.stacks[1].conn(id).open, shares);
        card.pass(5_000);
        let conn = card.stacks[1].conn(id);
        assert_eq!(conn.error, (!shares).then_some(Error::Unreachable));
        assert_eq!(conn.received == sent, shares);
    }
}

/// A stack that waits is awake in time, and one that knows its neighbours sleeps.
#[test]
fn who_waits_for_a_neighbour_looks_again_soon() {
    let mut card = Card::new(Some(table()));
    let due = |card: &Card| {
        let due = usockets::Platform::next_deadline(&card.stacks[1].net);
        due.map(|due| due.saturating_since(Instant::from_micros(card.now.get())))
    };
    card.stacks[1].connect(&Endpoint::tcp(b4(80)), b"");
    card.stacks[1].step();
    assert_eq!(due(&card), Some(Duration::from_millis(1)));
    card.pass(20);
    assert!(due(&card) != Some(Duration::from_millis(1)));
}

/// What an address has moved to is heard on one queue and followed by all.
#[test]
fn a_neighbour_that_moves_is_followed_by_all() {
    let mut card = Card::new(Some(table()));
    card.peer.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    let id = card.stacks[1].connect(&Endpoint::tcp(b4(80)), b"before");
    card.pass(50);
    assert_eq!(card.stacks[1].conn(id).received, b"before");
    // Another machine announces the address as its own.
    card.inboxes[0].borrow_mut().push_back(arp(1, B4, 77, B4));
    card.pass(5);
    card.stacks[1].push(id, b"after", false);
    card.stacks[1].step();
    let frame = card.outbox.borrow_mut().pop_back().unwrap();
    assert_eq!((&frame[..6], &frame[30..34]), (&mac(77)[..], &B4[..]));
    assert_eq!(frame[26..30], A4);
}

/// Nobody learns from what none of the stacks has asked for.
#[test]
fn answers_that_nobody_asked_for_are_not_shared() {
    let mut card = Card::new(Some(table()));
    card.inboxes[0].borrow_mut().push_back(arp(2, B4, 77, A4));
    card.pass(5);
    card.stacks[1].connect(&Endpoint::tcp(b4(80)), b"");
    card.stacks[1].step();
    let frame = card.outbox.borrow_mut().pop_back().unwrap();
    assert_eq!(frame[12..14], [8, 6], "it asks");
}
