//! Two devices and a wire between them, in memory, with faults drawn from a seed.

use core::cell::{Cell, RefCell};

use usockets::{Duration, Instant};

use crate::device::{Capabilities, PollDevice, TxMeta};
use crate::number::{count, place};
use crate::random::Random;

/// No flight.
const NONE: u32 = u32::MAX;

/// What a wire does to frames. Chances are in parts per million.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Faults {
    /// Chance that a frame is lost.
    pub loss: u32,
    /// Chance that a frame comes twice.
    pub duplicate: u32,
    /// Chance that one bit of a frame is flipped.
    pub corrupt: u32,
    /// Chance that a frame is held back by up to four times [`Self::delay`] and a millisecond.
    pub reorder: u32,
    /// Time that every frame travels.
    pub delay: Duration,
    /// Bytes that one direction carries in a second; 0 for any number.
    pub rate: u64,
}

impl Faults {
    /// A wire without faults or delay.
    pub const NONE: Self = Self {
        loss: 0,
        duplicate: 0,
        corrupt: 0,
        reorder: 0,
        delay: Duration::ZERO,
        rate: 0,
    };

    /// Sets [`Self::loss`].
    #[must_use]
    pub const fn loss(mut self, ppm: u32) -> Self {
        self.loss = ppm;
        self
    }

    /// Sets [`Self::duplicate`].
    #[must_use]
    pub const fn duplicate(mut self, ppm: u32) -> Self {
        self.duplicate = ppm;
        self
    }

    /// Sets [`Self::corrupt`].
    #[must_use]
    pub const fn corrupt(mut self, ppm: u32) -> Self {
        self.corrupt = ppm;
        self
    }

    /// Sets [`Self::reorder`].
    #[must_use]
    pub const fn reorder(mut self, ppm: u32) -> Self {
        self.reorder = ppm;
        self
    }

    /// Sets [`Self::delay`].
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`Self::rate`].
    #[must_use]
    pub const fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = bytes_per_second;
        self
    }
}

/// One frame's place on a wire, lent by the caller as [`Flight::EMPTY`].
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    due: u64,
    len: usize,
    prev: u32,
    next: u32,
}

impl Flight {
    /// A place without a frame.
    pub const EMPTY: Self = Self {
        due: 0,
        len: 0,
        prev: NONE,
        next: NONE,
    };
}

/// A wire with two ends and a clock of its own that only [`Self::advance`] moves.
///
/// The same seed and the same calls give the same faults. Frames that find no free place are lost.
pub struct Wire<'m> {
    link: RefCell<Link<'m>>,
    now: Cell<u64>,
    /// When each end wants to be looked at again, by its last [`PollDevice::wait`].
    wakes: [Cell<Option<u64>>; 2],
}

struct Link<'m> {
    faults: Faults,
    random: Random,
    flights: &'m mut [Flight],
    bytes: &'m mut [u8],
    cell: usize,
    free: u32,
    /// First and last frame towards each end, by when they are due.
    lines: [(u32, u32); 2],
    /// When each direction has carried what it was given.
    idle_at: [u64; 2],
    lost: u64,
}

impl<'m> Wire<'m> {
    /// Makes a wire that holds as many frames as `flights`, each of at most an equal share of
    /// `bytes`.
    #[must_use]
    pub fn new(faults: Faults, seed: u64, flights: &'m mut [Flight], bytes: &'m mut [u8]) -> Self {
        let cell = bytes.len().checked_div(flights.len()).unwrap_or(0);
        let last = count(flights.len()).saturating_sub(1);
        for (index, flight) in flights.iter_mut().enumerate() {
            let index = count(index);
            *flight = Flight {
                next: if index == last {
                    NONE
                } else {
                    index.saturating_add(1)
                },
                ..Flight::EMPTY
            };
        }
        let free = if flights.is_empty() { NONE } else { 0 };
        Self {
            link: RefCell::new(Link {
                faults,
                random: Random::new(seed),
                flights,
                bytes,
                cell,
                free,
                lines: [(NONE, NONE); 2],
                idle_at: [0; 2],
                lost: 0,
            }),
            // Not at zero, which is every past deadline.
            now: Cell::new(1_000_000),
            wakes: [Cell::new(None), Cell::new(None)],
        }
    }

    /// Makes the two ends, each with memory for one frame to send and at least one received, of
    /// `capabilities.frame_max()` bytes each.
    pub fn ends<'w>(
        &'w self,
        capabilities: Capabilities,
        memories: [&'m mut [u8]; 2],
    ) -> [End<'w, 'm>; 2] {
        let [a, b] = memories;
        [
            End::new(self, 0, capabilities, a),
            End::new(self, 1, capabilities, b),
        ]
    }

    /// Changes the faults of all frames sent from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.with(|link| link.faults = faults);
    }

    /// Moves the clock to when something happens next: a frame arrives, or an end's wait is over.
    /// Returns false, with the clock as it is, when nothing ever will.
    pub fn advance(&self) -> bool {
        let arrival = self
            .with(|link| link.lines.map(|(first, _)| link.due(first)))
            .unwrap_or_default();
        let wakes = self.wakes.each_ref().map(Cell::get);
        let next = arrival.into_iter().chain(wakes).flatten().min();
        if let Some(next) = next {
            self.now.set(next.max(self.now.get()));
        }
        next.is_some()
    }

    /// Moves the clock on, whatever happens meanwhile.
    pub fn pass(&self, time: Duration) {
        let later = Instant::from_micros(self.now.get()).saturating_add(time);
        self.now.set(later.as_micros());
    }

    /// Returns the present.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.now.get())
    }

    /// Returns the number of frames lost, by chance or for want of a place.
    #[must_use]
    pub fn lost_count(&self) -> u64 {
        self.with(|link| link.lost).unwrap_or(0)
    }

    /// Returns the number of frames on their way.
    #[must_use]
    pub fn flying_count(&self) -> usize {
        self.flying_to(0).saturating_add(self.flying_to(1))
    }

    /// Returns the number of frames on their way to one end: 0 for the first, 1 for the second.
    #[must_use]
    pub fn flying_to(&self, end: usize) -> usize {
        self.with(|link| link.flying_to(end)).unwrap_or(0)
    }

    fn with<R>(&self, step: impl FnOnce(&mut Link<'m>) -> R) -> Option<R> {
        self.link
            .try_borrow_mut()
            .ok()
            .map(|mut link| step(&mut link))
    }
}

impl core::fmt::Debug for Wire<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Wire")
            .field("now", &self.now.get())
            .field("flying", &self.flying_count())
            .finish_non_exhaustive()
    }
}

impl Link<'_> {
    fn due(&self, index: u32) -> Option<u64> {
        self.flights.get(place(index)).map(|flight| flight.due)
    }

    fn flying_to(&self, end: usize) -> usize {
        let first = self.lines.get(end).map_or(NONE, |(first, _)| *first);
        let follow = |index: &u32| self.flights.get(place(*index)).map(|flight| flight.next);
        core::iter::successors(Some(first), follow)
            .take_while(|index| *index != NONE)
            .count()
    }

    /// Sends a frame towards an end, with what the faults make of it.
    fn send(&mut self, to: usize, frame: &[u8], now: u64) {
        let faults = self.faults;
        if self.random.chance(faults.loss) {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let copies = if self.random.chance(faults.duplicate) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let due = self.arrival(to, frame.len(), now);
            if !self.launch(to, frame, due) {
                self.lost = self.lost.saturating_add(1);
            }
        }
    }

    fn arrival(&mut self, to: usize, len: usize, now: u64) -> u64 {
        let faults = self.faults;
        let start = self.idle_at.get(to).copied().unwrap_or(0).max(now);
        let micros = u64::from(count(len)).saturating_mul(1_000_000);
        let sent = start.saturating_add(micros.checked_div(faults.rate).unwrap_or(0));
        if let Some(idle_at) = self.idle_at.get_mut(to) {
            *idle_at = sent;
        }
        let delay = u64::try_from(faults.delay.as_micros()).unwrap_or(u64::MAX);
        let mut due = sent.saturating_add(delay);
        if self.random.chance(faults.reorder) {
            let most = delay.saturating_mul(4).saturating_add(1_000);
            due = due.saturating_add(self.random.below(most));
        }
        due
    }

    /// Puts a frame on the wire; false when it has no place for it.
    fn launch(&mut self, to: usize, frame: &[u8], due: u64) -> bool {
        let index = self.free;
        let at = place(index).saturating_mul(self.cell);
        let cell = self
            .bytes
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..frame.len()));
        let Some(cell) = cell.filter(|_| frame.len() <= self.cell) else {
            return false;
        };
        cell.copy_from_slice(frame);
        if self.random.chance(self.faults.corrupt) {
            let bits = u64::from(count(frame.len())).saturating_mul(8);
            let bit = self.random.below(bits);
            let byte = usize::try_from(bit >> 3).unwrap_or(0);
            if let Some(byte) = cell.get_mut(byte) {
                *byte ^= 1_u8.rotate_left(u32::try_from(bit & 7).unwrap_or(0));
            }
        }
        let Some(flight) = self.flights.get_mut(place(index)) else {
            return false;
        };
        self.free = flight.next;
        flight.due = due;
        flight.len = frame.len();
        self.insert(to, index, due);
        true
    }

    /// Puts a flight in its place in a line, from behind: most belong there.
    fn insert(&mut self, to: usize, index: u32, due: u64) {
        let Some((first, last)) = self.lines.get_mut(to) else {
            return;
        };
        let mut before = *last;
        while let Some(flight) = self.flights.get(place(before)) {
            if flight.due <= due {
                break;
            }
            before = flight.prev;
        }
        let after = match self.flights.get_mut(place(before)) {
            Some(flight) => core::mem::replace(&mut flight.next, index),
            None => core::mem::replace(first, index),
        };
        match self.flights.get_mut(place(after)) {
            Some(flight) => flight.prev = index,
            None => *last = index,
        }
        if let Some(flight) = self.flights.get_mut(place(index)) {
            flight.prev = before;
            flight.next = after;
        }
    }

    /// Takes the next frame that has arrived at an end into `memory`; returns its length.
    fn land(&mut self, end: usize, now: u64, memory: &mut [u8]) -> Option<usize> {
        let (first, last) = self.lines.get_mut(end)?;
        let index = *first;
        let flight = self
            .flights
            .get_mut(place(index))
            .filter(|flight| flight.due <= now)?;
        let (len, next) = (flight.len, flight.next);
        flight.next = self.free;
        self.free = index;
        *first = next;
        match self.flights.get_mut(place(next)) {
            Some(flight) => flight.prev = NONE,
            None => *last = NONE,
        }
        let at = place(index).saturating_mul(self.cell);
        let frame = self.bytes.get(at..)?.get(..len)?;
        memory.get_mut(..len)?.copy_from_slice(frame);
        Some(len)
    }
}

/// One end of a [`Wire`].
pub struct End<'w, 'm> {
    wire: &'w Wire<'m>,
    side: usize,
    capabilities: Capabilities,
    slot: &'m mut [u8],
    inbox: &'m mut [u8],
    lens: [usize; BURST_MAX],
    count: usize,
    /// Frames that it still takes before it is full; for tests of full devices.
    room: Option<usize>,
}

/// Most frames of one burst.
const BURST_MAX: usize = 64;

impl<'w, 'm> End<'w, 'm> {
    fn new(
        wire: &'w Wire<'m>,
        side: usize,
        capabilities: Capabilities,
        memory: &'m mut [u8],
    ) -> Self {
        let frame = capabilities.frame_max().min(memory.len());
        let (slot, inbox) = memory.split_at_mut_checked(frame).unwrap_or_default();
        Self {
            wire,
            side,
            capabilities,
            slot,
            inbox,
            lens: [0; BURST_MAX],
            count: 0,
            room: None,
        }
    }

    /// Makes the device full after so many more frames; `None` for never.
    pub const fn set_room(&mut self, frames: Option<usize>) {
        self.room = frames;
    }

    /// Puts a frame of anybody's on the wire, towards the other end.
    pub fn inject(&mut self, frame: &[u8]) {
        let (to, now) = (self.side ^ 1, self.wire.now.get());
        self.wire.with(|link| link.send(to, frame, now));
    }
}

impl PollDevice for End<'_, '_> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let (side, now) = (self.side, self.wire.now.get());
        let share = self.capabilities.frame_max();
        let (inbox, lens) = (&mut *self.inbox, &mut self.lens);
        let taken = self.wire.with(|link| {
            let mut taken = 0_usize;
            for (memory, len) in inbox.chunks_exact_mut(share).zip(lens).take(frames_max) {
                let Some(landed) = link.land(side, now, memory) else {
                    break;
                };
                *len = landed;
                taken = taken.saturating_add(1);
            }
            taken
        });
        self.count = taken.unwrap_or(0);
        self.count
    }

    fn frame(&self, index: usize) -> &[u8] {
        let share = self.capabilities.frame_max();
        let len = self.lens.get(..self.count).and_then(|lens| lens.get(index));
        let at = index.saturating_mul(share);
        let memory = self.inbox.get(at..).unwrap_or_default();
        len.and_then(|len| memory.get(..*len)).unwrap_or_default()
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.room == Some(0) {
            return None;
        }
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        self.room = self.room.map(|room| room.saturating_sub(1));
        let (to, now) = (self.side ^ 1, self.wire.now.get());
        if let Some(frame) = self.slot.get(..len) {
            self.wire.with(|link| link.send(to, frame, now));
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        if let Some(wake) = self.wire.wakes.get(self.side) {
            wake.set(until.map(Instant::as_micros));
        }
    }

    fn now(&self) -> Instant {
        self.wire.now()
    }
}

impl core::fmt::Debug for End<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("End")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}
