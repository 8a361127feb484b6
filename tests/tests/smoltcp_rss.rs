//! A host of two stacks whose connections belong to one or the other by the card's hash: answers
//! come back to who connected, and what arrives elsewhere is handed over.

use std::net::SocketAddr;

use usockets::{Endpoint, Error};
use usockets_smoltcp::{
    Counters, Random, Rss, RssKey, SharedNeighbour, SharedNeighbours, SharedPacket, SharedQueues,
    SizeClass,
};
use usockets_tests::smoltcp::card::Card;
use usockets_tests::smoltcp::forge::{ACK, SYN, Seg, ip};
use usockets_tests::smoltcp::{Habit, Recipe, a4, b4, leak, pattern, seed, v6};

static KEY: RssKey = RssKey::MICROSOFT;
static TABLE: [u16; 128] = Rss::spread(2);

/// Where the peer's connections go to: the two stacks are one host.
const PORT: u16 = 80;

/// Returns who sent a frame of TCP, and where to.
fn ends(frame: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    match (&frame[12..14], frame[14 + 9], frame[14 + 6]) {
        ([8, 0], 6, _) => {
            let ip = |at: usize| <[u8; 4]>::try_from(&frame[at..at + 4]).unwrap();
            Some(((ip(26), port(34)).into(), (ip(30), port(36)).into()))
        }
        ([0x86, 0xdd], _, 6) => {
            let ip = |at: usize| <[u8; 16]>::try_from(&frame[at..at + 16]).unwrap();
            Some(((ip(22), port(54)).into(), (ip(38), port(56)).into()))
        }
        _ => None,
    }
}

/// The queue that a card chooses: what has no ports comes on the first.
fn hashed(frame: &[u8]) -> usize {
    let queue = ends(frame).and_then(|(from, to)| Rss::new(&KEY, &TABLE).queue_for(from, to));
    queue.unwrap_or(0).into()
}

fn queues() -> &'static SharedQueues {
    let queues: &'static SharedQueues<[SharedPacket; 64]> =
        &leak(1, || SharedQueues::<[SharedPacket; 64]>::new(2))[0];
    queues
}

/// Makes two stacks one host.
fn card(recipe: &Recipe) -> Card {
    let neighbours: &'static SharedNeighbours<[SharedNeighbour; 16]> =
        &leak(1, SharedNeighbours::<[SharedNeighbour; 16]>::new)[0];
    let mut card = Card::of([recipe, recipe], Some(neighbours));
    let shared = queues();
    for (stack, queue) in card.stacks.iter_mut().zip(0..) {
        let rss = Rss::new(&KEY, &TABLE);
        stack.net.share_queues(shared, rss, queue, &|_| {}).unwrap();
    }
    card.steer = Box::new(hashed);
    card
}

fn sum(card: &Card) -> Counters {
    let [first, second] = &card.stacks;
    first.net.counters().sum(*second.net.counters())
}

/// Has both stacks connect several times, and returns what they count then.
fn connect_from_both(card: &mut Card, to: SocketAddr) -> Counters {
    card.peer.listen(&Endpoint::tcp(to), Habit::Echo);
    let sent = pattern(5_000, 1);
    let ids: Vec<_> = (0..16)
        .map(|turn| card.stacks[turn % 2].connect(&Endpoint::tcp(to), &sent))
        .collect();
    card.pass(3_000);
    for (turn, id) in ids.into_iter().enumerate() {
        let conn = card.stacks[turn % 2].conn(id);
        assert_eq!((conn.open, conn.error), (true, None), "{turn}");
        assert!(conn.received == sent, "{turn}");
    }
    sum(card)
}

/// Each connects from ports whose answers the card brings to it.
#[test]
fn answers_come_to_the_queue_that_connected() {
    for to in [b4(PORT), v6(2, PORT)] {
        let mut card = card(&Recipe::new(1));
        let counted = connect_from_both(&mut card, to);
        assert_eq!((counted.handed_over, counted.hand_overs_dropped), (0, 0));
    }
}

/// Where nothing hashes, each packet may come to any of them.
#[test]
fn what_arrives_elsewhere_is_handed_over() {
    let seed = seed(1);
    for to in [b4(PORT), v6(2, PORT)] {
        let mut card = card(&Recipe::new(1));
        let mut random = Random::new(seed);
        card.steer = Box::new(move |_| random.below(2) as usize);
        let counted = connect_from_both(&mut card, to);
        assert!(counted.handed_over > 20, "{counted:?}");
    }
}

/// A server on both: wherever segments come, the connection is one.
#[test]
fn clients_are_served_wherever_their_segments_come() {
    let seed = seed(1);
    for scatter in [false, true] {
        let mut card = card(&Recipe::new(1));
        let mut random = Random::new(seed);
        if scatter {
            card.steer = Box::new(move |_| random.below(2) as usize);
        }
        for stack in &mut card.stacks {
            stack.listen(&Endpoint::tcp(a4(PORT)), Habit::Echo);
        }
        let sent = pattern(5_000, 2);
        let ids: Vec<_> = (0..16)
            .map(|_| card.peer.connect(&Endpoint::tcp(a4(PORT)), &sent))
            .collect();
        card.pass(3_000);
        for id in ids {
            assert!(card.peer.conn(id).received == sent);
        }
        let both = card.stacks.each_ref().map(|stack| stack.net.counters());
        assert!(both.iter().all(|counted| counted.established > 2));
        assert_eq!(sum(&card).established, 16);
        assert_eq!(sum(&card).handed_over > 0, scatter);
    }
}

/// What ICMP says of a segment comes on any queue, and ends the connect that it is about.
#[test]
fn icmp_errors_reach_the_connection_they_are_about() {
    let mut card = card(&Recipe::new(1));
    // So that the neighbour is known, and a connect sends its SYN at once.
    connect_from_both(&mut card, b4(PORT));
    for owner in [0, 1] {
        card.outbox.borrow_mut().clear();
        let id = card.stacks[owner].connect(&Endpoint::tcp(b4(9)), b"");
        card.stacks[owner].step();
        let syn = card.outbox.borrow_mut().pop_back().unwrap();
        // Port unreachable (RFC 792), with the header and 64 bits of what it is about.
        let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
        message.extend(&syn[14..14 + 28]);
        let sum = message.chunks(2).fold(0_u32, |sum, pair| {
            sum + u32::from(u16::from_be_bytes([pair[0], pair[1]]))
        });
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let frame = ip(b4(0).ip(), a4(0).ip(), 1, &message, 2, 1);
        card.inboxes[1 - owner].borrow_mut().push_back(frame);
        let before = sum_of_handed(&card);
        card.stacks[1 - owner].step();
        card.stacks[owner].step();
        assert_eq!(card.stacks[owner].conn(id).error, Some(Error::Refused));
        assert_eq!(sum_of_handed(&card), before + 1);
    }
}

fn sum_of_handed(card: &Card) -> u64 {
    sum(card).handed_over
}

/// The card's table changes while a handshake is under way that only a cookie remembers: it was
/// sent by one stack, and what it stands for opens at the other.
#[test]
fn a_cookie_of_one_opens_at_the_other() {
    static TURNED: [u16; 2] = [1, 0];
    static FIRST: [u16; 2] = [0, 1];
    let class = SizeClass::new(8, 4_096, 4_096).half_open(0);
    let recipe = Recipe::new(1).classes(&[class]);
    for shares in [false, true] {
        let mut card = Card::of([&recipe, &recipe], None);
        let shared = queues();
        for (stack, table) in card.stacks.iter_mut().zip([&FIRST, &TURNED]) {
            stack.listen(&Endpoint::tcp(a4(PORT)), Habit::Echo);
            let queue = u16::from(std::ptr::eq(table, &TURNED));
            let shared = if shares { shared } else { queues() };
            let rss = Rss::new(&KEY, table);
            stack.net.share_queues(shared, rss, queue, &|_| {}).unwrap();
        }
        let port =
            (1_000..).find(|port| Rss::new(&KEY, &FIRST).queue_for(b4(*port), a4(PORT)) == Some(0));
        let from = b4(port.unwrap());
        let syn = Seg::new(from, a4(PORT), SYN, 100, 0).frame(2, 1);
        card.inboxes[0].borrow_mut().push_back(syn);
        card.stacks[0].step();
        assert_eq!(card.stacks[0].net.counters().cookies_sent, 1);
        let answer = card.outbox.borrow_mut().pop_back().unwrap();
        let seq = u32::from_be_bytes(answer[38..42].try_into().unwrap());
        let ack = Seg::new(from, a4(PORT), ACK, 101, seq.wrapping_add(1)).payload(b"hello");
        card.inboxes[1].borrow_mut().push_back(ack.frame(2, 1));
        card.stacks[1].step();
        card.stacks[1].step();
        let counted = card.stacks[1].net.counters();
        assert_eq!(counted.cookies_taken, u64::from(shares));
        assert_eq!(counted.handed_over, 0);
        assert_eq!(card.stacks[1].conns.len(), usize::from(shares));
    }
}

/// One of them tells the link of the addresses that all have.
#[test]
fn one_announces_the_addresses() {
    let mut recipe = Recipe::new(1);
    recipe.announce = true;
    let mut card = card(&recipe);
    for (queue, frames) in [(1, 0), (0, 2)] {
        card.stacks[queue].step();
        assert_eq!(card.outbox.borrow_mut().drain(..).count(), frames);
    }
}

/// A port whose answers come to another stack is not connected from.
#[test]
fn a_port_of_another_queue_is_refused() {
    let mut card = card(&Recipe::new(1));
    let rss = Rss::new(&KEY, &TABLE);
    for port in 5_000..5_020 {
        let owner = rss.queue_for(b4(PORT), a4(port)).unwrap();
        for queue in [0, 1] {
            let to = Endpoint::tcp(b4(PORT)).source(a4(port));
            let made = card.stacks[usize::from(queue)].try_connect(&to, b"");
            let refused = Err(Error::AddressUnavailable);
            assert_eq!(
                made.map(|_| ()),
                if queue == owner { Ok(()) } else { refused }
            );
        }
    }
}

/// What does not fit together is refused.
#[test]
fn a_table_that_does_not_lead_here_is_refused() {
    static THREE: [u16; 4] = Rss::spread(3);
    let mut card = Card::new(None);
    let mut share = |table: &'static [u16], queue| {
        let rss = Rss::new(&KEY, table);
        card.stacks[0]
            .net
            .share_queues(queues(), rss, queue, &|_| {})
    };
    assert_eq!(share(&TABLE, 2), Err(Error::Invalid));
    assert_eq!(
        share(&THREE, 0),
        Err(Error::Invalid),
        "no places for queue 2"
    );
    assert_eq!(share(&[], 0), Err(Error::Invalid));
    assert_eq!(share(&TABLE, 1), Ok(()));
}
