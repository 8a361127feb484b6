//! A device at the end of a path, in real time: with the faults of a wire, and a queue before its
//! bottleneck.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use usockets::{Error, Instant};
use usockets_smoltcp::{Capabilities, Faults, PollDevice, Random, TxMeta};

/// One way of the path.
struct Way {
    faults: Faults,
    /// Frames that wait for their turn; what comes then is lost.
    queue: usize,
    random: Random,
    /// When the bottleneck has sent what waits for it.
    free_at: u64,
    /// When each frame has left the bottleneck.
    waiting: VecDeque<u64>,
    /// Frames by when they arrive, and in their order.
    flying: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    count: u64,
}

impl Way {
    fn new(faults: Faults, queue: usize, seed: u64) -> Self {
        Self {
            faults,
            queue,
            random: Random::new(seed),
            free_at: 0,
            waiting: VecDeque::new(),
            flying: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Takes a frame in that comes to the path at `now`.
    fn send(&mut self, now: u64, frame: &[u8]) {
        while self.waiting.front().is_some_and(|left| *left <= now) {
            self.waiting.pop_front();
        }
        if self.random.chance(self.faults.loss) || self.waiting.len() >= self.queue {
            return;
        }
        let taken = frame.len() as u64 * 1_000_000 / self.faults.rate;
        self.free_at = self.free_at.max(now) + taken;
        self.waiting.push_back(self.free_at);
        let delay = self.faults.delay.as_micros() as u64;
        let mut at = self.free_at + delay;
        if self.random.chance(self.faults.reorder) {
            at += self.random.below(4 * delay + 1_000);
        }
        self.count += 1;
        self.flying.push(Reverse((at, self.count, frame.to_vec())));
    }

    /// Returns the next frame that has arrived by `now`.
    fn next(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.next_at()? > now {
            return None;
        }
        self.flying.pop().map(|Reverse((.., frame))| frame)
    }

    fn next_at(&self) -> Option<u64> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }
}

/// A device with a path before it.
pub struct Path<D> {
    device: D,
    towards: Way,
    from: Way,
    /// The burst that is lent.
    frames: Vec<Vec<u8>>,
    /// The frame that is lent for sending.
    slot: Vec<u8>,
}

impl<D: PollDevice> Path<D> {
    /// Puts a path before a device; neither doubles frames nor breaks them.
    pub fn new(device: D, faults: Faults, queue: usize, seed: u64) -> Self {
        Self {
            slot: vec![0; device.capabilities().frame_max()],
            device,
            towards: Way::new(faults, queue, seed),
            from: Way::new(faults, queue, seed + 1),
            frames: Vec::new(),
        }
    }

    fn micros(&self) -> u64 {
        self.device.now().as_micros()
    }

    /// Gives the device what has come to its end.
    fn pass_on(&mut self) {
        let now = self.micros();
        while let Some(frame) = self.from.next(now) {
            // The device's own queue is not the path's: what finds no room is lost.
            if let Some(slot) = self.device.slot(frame.len()) {
                slot[..frame.len()].copy_from_slice(&frame);
                self.device.commit(frame.len(), &TxMeta::NONE);
            }
        }
        self.device.flush();
    }
}

impl<D: PollDevice> PollDevice for Path<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.pass_on();
        let now = self.micros();
        for index in 0..self.device.receive(frames_max) {
            self.towards.send(now, self.device.frame(index));
        }
        self.frames.clear();
        while self.frames.len() < frames_max
            && let Some(frame) = self.towards.next(now)
        {
            self.frames.push(frame);
        }
        self.frames.len()
    }

    fn frame(&self, index: usize) -> &[u8] {
        &self.frames[index]
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        let now = self.micros();
        self.from.send(now, &self.slot[..len]);
    }

    fn flush(&mut self) {
        self.pass_on();
    }

    fn wait(&mut self, until: Option<Instant>) {
        let due = [self.towards.next_at(), self.from.next_at()];
        let due = due.into_iter().flatten().map(Instant::from_micros);
        self.device.wait(due.chain(until).min());
    }

    fn fault(&self) -> Option<Error> {
        self.device.fault()
    }

    fn now(&self) -> Instant {
        self.device.now()
    }
}
