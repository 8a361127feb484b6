//! Several stacks that are one host: a card with two receive queues, and a stack for each.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use usockets::{Duration, Endpoint, Error, Instant};
use usockets_smoltcp::{
    Capabilities, Medium, PollDevice, SharedNeighbour, SharedNeighbours, Stack, TxMeta,
};
use usockets_tests::smoltcp::forge::arp;
use usockets_tests::smoltcp::{A4, B4, Habit, Host, MTU, Recipe, b4, leak, mac, pattern};

type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One queue each way, and the clock that all share.
struct Queue {
    inbox: Frames,
    outbox: Frames,
    burst: Vec<Vec<u8>>,
    slot: Vec<u8>,
    now: Rc<Cell<u64>>,
}

impl PollDevice for Queue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Medium::Ethernet, MTU)
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let mut inbox = self.inbox.borrow_mut();
        let count = inbox.len().min(frames_max);
        self.burst = inbox.drain(..count).collect();
        count
    }

    fn frame(&self, index: usize) -> &[u8] {
        &self.burst[index]
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        self.outbox
            .borrow_mut()
            .push_back(self.slot[..len].to_vec());
    }

    fn wait(&mut self, _: Option<Instant>) {}

    fn now(&self) -> Instant {
        Instant::from_micros(self.now.get())
    }
}

type Net = Stack<'static, Queue>;

/// A host of two stacks, and its peer on the link.
struct Card {
    stacks: [Host<Net>; 2],
    peer: Host<Net>,
    inboxes: [Frames; 2],
    peer_inbox: Frames,
    outbox: Frames,
    peer_outbox: Frames,
    now: Rc<Cell<u64>>,
}

impl Card {
    fn new(shared: Option<&'static SharedNeighbours>) -> Self {
        let now = Rc::new(Cell::new(1_000_000));
        let frames = Frames::default;
        let (outbox, peer_outbox, peer_inbox) = (frames(), frames(), frames());
        let inboxes = [frames(), frames()];
        let queue = |inbox: &Frames, outbox: &Frames| Queue {
            inbox: inbox.clone(),
            outbox: outbox.clone(),
            burst: Vec::new(),
            slot: vec![0; MTU + 14],
            now: now.clone(),
        };
        let stacks = [0, 1].map(|number| {
            let mut stack = Recipe::new(1).build_on(queue(&inboxes[number], &outbox));
            if let Some(shared) = shared {
                stack.share_neighbours(shared);
            }
            Host::new(stack)
        });
        let peer = Host::new(Recipe::new(2).build_on(queue(&peer_inbox, &peer_outbox)));
        Self {
            stacks,
            peer,
            inboxes,
            peer_inbox,
            outbox,
            peer_outbox,
            now,
        }
    }

    /// Every millisecond everybody acts. ARP comes on queue 0, all else on queue 1.
    fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.peer.step();
            self.stacks.iter_mut().for_each(|stack| {
                stack.step();
            });
            self.peer_inbox
                .borrow_mut()
                .append(&mut self.outbox.borrow_mut());
            for frame in self.peer_outbox.borrow_mut().drain(..) {
                let queue = usize::from(frame[12..14] != [8, 6]);
                self.inboxes[queue].borrow_mut().push_back(frame);
            }
            self.now.set(self.now.get() + 1_000);
        }
    }
}

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
