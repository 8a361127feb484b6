//! A card with two receive queues and a stack for each, and their peer on the link.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use usockets::Instant;
use usockets_smoltcp::{Capabilities, Medium, PollDevice, SharedNeighbours, Stack, TxMeta};

use super::{Host, MTU, Recipe};

pub type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;
/// Chooses the queue for a frame.
pub type Steer = Box<dyn FnMut(&[u8]) -> usize>;

/// One queue each way, and the clock that all share.
pub struct Queue {
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

pub type Net = Stack<'static, Queue>;

/// A host of two stacks, and its peer on the link.
pub struct Card {
    pub stacks: [Host<Net>; 2],
    pub peer: Host<Net>,
    pub inboxes: [Frames; 2],
    pub outbox: Frames,
    pub now: Rc<Cell<u64>>,
    /// Chooses the queue for a frame that comes.
    pub steer: Steer,
    peer_inbox: Frames,
    peer_outbox: Frames,
}

impl Card {
    /// ARP comes on queue 0, all else on queue 1, until something else is said.
    pub fn new(shared: Option<&'static SharedNeighbours>) -> Self {
        let recipe = Recipe::new(1);
        Self::of([&recipe, &recipe], shared)
    }

    /// The same with stacks made by these two.
    pub fn of(recipes: [&Recipe; 2], shared: Option<&'static SharedNeighbours>) -> Self {
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
            let mut stack = recipes[number].build_on(queue(&inboxes[number], &outbox));
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
            steer: Box::new(|frame| usize::from(frame[12..14] != [8, 6])),
        }
    }

    /// Every millisecond everybody acts.
    pub fn pass(&mut self, millis: u64) {
        for _ in 0..millis {
            self.peer.step();
            self.stacks.iter_mut().for_each(|stack| {
                stack.step();
            });
            self.peer_inbox
                .borrow_mut()
                .append(&mut self.outbox.borrow_mut());
            for frame in self.peer_outbox.borrow_mut().drain(..) {
                let queue = (self.steer)(&frame);
                self.inboxes[queue].borrow_mut().push_back(frame);
            }
            self.now.set(self.now.get() + 1_000);
        }
    }
}
