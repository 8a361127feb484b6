//! The slots of all size classes, and the caller's memory that goes with each.

use usockets::{Duration, Instant};

use crate::config::{CLASSES_MAX, SizeClass};
use crate::number::{count, place};
use crate::pool::links::NONE;
use crate::pool::list::List;
use crate::pool::table::SLOTS_MAX;
use crate::stack::lease::{Crowding, Current, InFlight, Resting, Working};
use crate::stack::look::{LEASES, Look};
use crate::stack::memory::Tables;
use crate::stack::slot::{Ends, Facts, Flags, NO_LISTENER, Phase, Slot};
#[cfg(feature = "connections")]
use crate::tcp::Info;
use crate::tcp::{Block, Buffers, Connection, Outstanding, Quiet, State, Transmit};

/// How many classes may lease their sets: what those keep for it takes no memory where none may.
const LEASED_MAX: usize = if LEASES { CLASSES_MAX } else { 0 };
/// The same of what there is once.
pub(super) const LEASED_ONE: usize = if LEASES { 1 } else { 0 };

/// Lists and sizes of one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) free: List,
    pub(super) half_open: List,
    pub(super) closing: List,
    pub(super) time_wait: List,
    pub(super) half_open_max: u32,
    /// The first slot, and where the memory of the first set starts.
    first: u32,
    starts: Shape,
    /// How much of it each set has.
    shape: Shape,
    /// The first control block, or the first part of one that is leased.
    first_set: usize,
    leased: [bool; LEASED_ONE],
}

/// The sets of one class that leases them.
#[derive(Clone, Copy, Debug)]
struct ClassSets {
    /// Those that wait for a set.
    starved: List,
    /// The first of what is remembered of quiet connections.
    first_resting: usize,
    /// The number of sets.
    sets: u32,
    /// The first set that nobody has; [`NONE`] without any.
    free_set: u32,
    free_sets: u32,
    /// Sets with octets that have not been received.
    holding: u32,
    /// The set from which on those that can be taken back are looked for.
    cursor: u32,
    crowding: Crowding,
}

impl ClassSets {
    const EMPTY: Self = Self {
        starved: List::EMPTY,
        first_resting: 0,
        sets: 0,
        free_set: NONE,
        free_sets: 0,
        holding: 0,
        cursor: 0,
        crowding: Crowding::NONE,
    };

    /// Returns where what is remembered of a slot of `class` lies.
    #[inline]
    fn resting_of(&self, class: &Class, index: u32) -> usize {
        let nth = place(index.wrapping_sub(class.first));
        self.first_resting.wrapping_add(nth)
    }
}

/// An amount, or a place, of each kind of a connection's memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Shape {
    receive: usize,
    send: usize,
    outstanding: usize,
    ranges: usize,
}

impl Shape {
    const NONE: Self = Self {
        receive: 0,
        send: 0,
        outstanding: 0,
        ranges: 0,
    };

    /// Returns where the memory behind that of a class starts whose own starts here.
    fn behind(&self, size: &SizeClass) -> Option<Self> {
        let sets = size.sets();
        let after = |start: usize, each: usize| start.checked_add(each.checked_mul(sets)?);
        // Both buffers lie in one piece of memory.
        let both = size.recv.checked_add(size.send)?;
        Some(Self {
            receive: after(self.receive, both)?,
            send: 0,
            outstanding: after(self.outstanding, size.outstanding)?,
            ranges: after(self.ranges, size.ranges)?,
        })
    }
}

impl Class {
    const EMPTY: Self = Self {
        free: List::EMPTY,
        half_open: List::EMPTY,
        closing: List::EMPTY,
        time_wait: List::EMPTY,
        half_open_max: 0,
        first: 0,
        starts: Shape::NONE,
        shape: Shape::NONE,
        first_set: 0,
        leased: [false; LEASED_ONE],
    };

    /// Returns true if its connections lease their sets.
    #[inline]
    const fn is_leased(&self) -> bool {
        LEASES && matches!(self.leased.first(), Some(true))
    }

    /// Takes over sizes and bounds; `None` if there are too many sets.
    fn set(&mut self, size: &SizeClass, cookies: bool) -> Option<()> {
        self.half_open_max = count(size.half_open);
        let sets = u32::try_from(size.sets()).ok()?;
        self.leased = [size.is_leased(); LEASED_ONE];
        if self.is_leased() {
            // Without cookies there is no other way in.
            let most = (sets >> 1).max(u32::from(!cookies));
            self.half_open_max = self.half_open_max.min(most);
        }
        self.shape = Shape {
            receive: size.recv,
            send: size.send,
            outstanding: size.outstanding,
            ranges: size.ranges,
        };
        Some(())
    }

    /// Lends the buffers and tables of a set.
    #[inline(always)]
    fn buffers<'s>(
        &self,
        nth: usize,
        (bytes, outstanding, ranges): (&'s mut [u8], &'s mut [Outstanding], &'s mut [Block]),
    ) -> Option<Buffers<'s>> {
        let (starts, shape) = (&self.starts, &self.shape);
        let both = shape.receive.wrapping_add(shape.send);
        let at = starts.receive.wrapping_add(nth.wrapping_mul(both));
        let bytes = bytes.get_mut(at..)?.get_mut(..both)?;
        let (receive, send) = bytes.split_at_mut_checked(shape.receive)?;
        let at = nth.wrapping_mul(shape.outstanding);
        let at = starts.outstanding.wrapping_add(at);
        let outstanding = outstanding.get_mut(at..)?;
        let at = starts.ranges.wrapping_add(nth.wrapping_mul(shape.ranges));
        let ranges = ranges.get_mut(at..)?;
        Some(Buffers {
            send,
            receive,
            outstanding: outstanding.get_mut(..shape.outstanding)?,
            ranges: ranges.get_mut(..shape.ranges)?,
        })
    }

    /// Returns the list that slots of `phase` are in, if the class keeps it.
    const fn list(&mut self, phase: Phase) -> Option<&mut List> {
        match phase {
            Phase::Free => Some(&mut self.free),
            Phase::HalfOpen => Some(&mut self.half_open),
            Phase::Closing => Some(&mut self.closing),
            Phase::TimeWait => Some(&mut self.time_wait),
            Phase::Waiting | Phase::Owned | Phase::Delivering => None,
        }
    }
}

/// A connection with its memory.
pub(super) struct Open<'s> {
    pub(super) slot: &'s mut Slot,
    pub(super) connection: &'s mut Connection,
    pub(super) buffers: Buffers<'s>,
}

/// All slots and their memory.
pub(super) struct Slots<'a> {
    pub(super) all: &'a mut [Slot],
    pub(super) classes: [Class; CLASSES_MAX],
    classes_count: usize,
    leases: [ClassSets; LEASED_MAX],
    /// Some class leases its sets.
    any_leased: bool,
    working: &'a mut [Working],
    resting: &'a mut [Resting],
    in_flight: &'a mut [InFlight],
    current: [Current; LEASED_ONE],
    /// Receive and send buffers, in turn.
    bytes: &'a mut [u8],
    outstanding: &'a mut [Outstanding],
    ranges: &'a mut [Block],
}

impl<'a> Slots<'a> {
    /// No slot.
    pub(super) const fn empty() -> Self {
        Self {
            all: &mut [],
            classes: [Class::EMPTY; CLASSES_MAX],
            classes_count: 0,
            leases: [ClassSets::EMPTY; LEASED_MAX],
            any_leased: false,
            working: &mut [],
            resting: &mut [],
            in_flight: &mut [],
            current: [Current::NONE; LEASED_ONE],
            bytes: &mut [],
            outstanding: &mut [],
            ranges: &mut [],
        }
    }

    /// Takes over the caller's memory; `None` when it is too small or a class unfit.
    pub(super) fn start(
        &mut self,
        slots: &'a mut [Slot],
        bytes: &'a mut [u8],
        tables: Tables<'a>,
        (sizes, cookies): (&[SizeClass], bool),
    ) -> Option<()> {
        let mut index = 0_u32;
        let mut starts = Shape::default();
        let (mut first_set, mut first_leased) = (0_usize, 0_usize);
        let mut first_resting = 0_usize;
        for (number, size) in sizes.iter().enumerate() {
            if !size.is_sound() {
                return None;
            }
            let class = self.classes.get_mut(number)?;
            class.set(size, cookies)?;
            (class.first, class.starts, class.first_set) = (index, starts, first_set);
            if class.is_leased() {
                class.first_set = first_leased;
            }
            self.any_leased |= size.is_leased();
            if LEASES && let Some(lease) = self.leases.get_mut(number) {
                lease.sets = count(size.in_flight_len());
                lease.first_resting = first_resting;
            }
            first_set = first_set.checked_add(size.working_len())?;
            if LEASES {
                first_leased = first_leased.checked_add(size.in_flight_len())?;
                first_resting = first_resting.checked_add(size.resting_len())?;
            }
            for _ in 0..size.connections {
                *slots.get_mut(place(index))? = Slot {
                    class: u8::try_from(number).ok()?,
                    ..Slot::EMPTY
                };
                class.free.push(slots, index);
                index = index.checked_add(1).filter(|index| *index <= SLOTS_MAX)?;
            }
            starts = starts.behind(size)?;
        }
        let enough = bytes.len() >= starts.receive
            && tables.outstanding.len() >= starts.outstanding
            && tables.ranges.len() >= starts.ranges
            && tables.working.len() >= first_set
            && tables.in_flight.len() >= first_leased
            && tables.resting.len() >= first_resting;
        if !enough {
            return None;
        }
        tables.outstanding.fill(Outstanding::EMPTY);
        tables.ranges.fill(Block::EMPTY);
        tables.working.fill_with(|| Working::EMPTY);
        if LEASES {
            tables.resting.fill_with(|| Resting::EMPTY);
            tables.in_flight.fill_with(|| InFlight::EMPTY);
        }
        self.all = slots;
        self.working = tables.working;
        self.resting = tables.resting;
        self.in_flight = tables.in_flight;
        self.bytes = bytes;
        self.outstanding = tables.outstanding;
        self.ranges = tables.ranges;
        self.classes_count = sizes.len();
        self.free_all_sets();
        Some(())
    }

    /// Lists the sets of all classes that lease theirs as free.
    fn free_all_sets(&mut self) {
        let classes = self.classes.iter().zip(&mut self.leases);
        for (class, lease) in classes.filter(|(class, _)| class.is_leased()) {
            let sets = self.in_flight.get_mut(class.first_set..);
            for (set, in_flight) in (0..lease.sets).zip(sets.unwrap_or_default()) {
                in_flight.slot = core::mem::replace(&mut lease.free_set, set);
                lease.free_sets = lease.free_sets.saturating_add(1);
            }
        }
    }

    /// Returns true if some class leases its sets.
    #[inline]
    pub(super) const fn is_any_leased(&self) -> bool {
        LEASES && self.any_leased
    }

    /// Returns the number of sets that nobody has, of all classes that lease theirs.
    pub(super) fn free_sets(&self) -> u32 {
        let counts = self.leases.iter().map(|lease| lease.free_sets);
        counts.fold(0, u32::saturating_add)
    }

    /// Returns the class of a slot.
    #[inline]
    pub(super) fn class_of(&self, index: u32) -> u8 {
        self.get(index).map_or(0, |slot| slot.class)
    }

    /// Returns true if a class has sets at all.
    pub(super) fn has_sets(&self, class: u8) -> bool {
        let number = usize::from(class);
        let leased = self.classes.get(number).is_some_and(Class::is_leased);
        !leased || self.leases.get(number).is_some_and(|lease| lease.sets > 0)
    }

    /// Lends what is remembered of a slot's connection if that has no set, of a class that leases
    /// them.
    pub(super) fn without_set(&mut self, index: u32) -> Option<&mut Quiet> {
        let resting = self.resting_of(index)?;
        (resting.set == NONE).then_some(&mut resting.quiet)
    }

    /// Returns what goes next from a connection that has no set, and its ends: a segment without
    /// text.
    #[cold]
    #[inline(never)]
    pub(super) fn next_without_set(
        &mut self,
        index: u32,
        now: Instant,
    ) -> Option<(Ends, Transmit)> {
        let quiet = self.without_set(index)?;
        let transmit = quiet.poll_transmit(now)?;
        Some((self.get(index)?.ends, transmit))
    }

    /// Returns true if a class has a set that nobody has, or one for every slot.
    pub(super) fn has_set(&self, class: u8) -> bool {
        let number = usize::from(class);
        let leased = self.classes.get(number).is_some_and(Class::is_leased);
        let lease = self.leases.get(number);
        !leased || lease.is_some_and(|lease| lease.free_set != NONE)
    }

    /// Returns true if a slot's connection has no set and its peer has not been heard for so long;
    /// a new one has not been heard at all.
    pub(super) fn is_silent(&mut self, index: u32, now: Instant, time: Duration) -> bool {
        self.resting_of(index).is_some_and(|resting| {
            let quiet = &resting.quiet;
            let silent = u128::from(quiet.silent_for(now)) >= time.as_micros();
            resting.set == NONE && (silent || quiet.state() == State::Closed)
        })
    }

    /// Lends what is remembered of a class whose sets were too few.
    pub(super) fn crowding(&mut self, class: u8) -> Option<&mut Crowding> {
        let lease = self.leases.get_mut(usize::from(class))?;
        Some(&mut lease.crowding)
    }

    /// Returns true if a class has had no free set for too long.
    pub(super) fn is_crowded(&self, class: u8, now: Instant) -> bool {
        let lease = self.leases.get(usize::from(class));
        lease.is_some_and(|lease| lease.free_set == NONE && lease.crowding.is_too_busy(now))
    }

    /// Returns the octets of the receive buffer of a slot's connection.
    pub(super) fn receive_max(&self, index: u32) -> usize {
        self.get(index)
            .map_or(0, |slot| self.receive_len(slot.class))
    }

    /// Returns a connection as it is.
    #[inline]
    pub(super) fn look(&mut self, index: u32) -> Look<'_> {
        if self.is_any_leased() && self.is_leased(index) {
            return self.look_leased(index);
        }
        let working = self
            .place_for_life(index)
            .and_then(|at| self.working.get(at));
        working.map_or(Look::Quiet(&Quiet::CLOSED), |working| {
            Look::Working(&working.connection)
        })
    }

    /// Returns the place of the control block of a connection that keeps it for life.
    #[inline]
    fn place_for_life(&self, index: u32) -> Option<usize> {
        if !self.is_any_leased() {
            // As many as slots, in their order.
            return Some(place(index));
        }
        let slot = self.all.get(place(index))?;
        let class = self.classes.get(usize::from(slot.class))?;
        let nth = place(index.wrapping_sub(class.first));
        Some(class.first_set.wrapping_add(nth))
    }

    /// Returns how a connection is doing.
    #[cfg(feature = "connections")]
    pub(super) fn info(&self, index: u32) -> Info {
        let info = || {
            let slot = self.all.get(place(index))?;
            let class = self.classes.get(usize::from(slot.class))?;
            if !class.is_leased() {
                let working = self.working.get(self.place_for_life(index)?)?;
                return Some(working.connection.info());
            }
            if let Some(current) = self.current.first().filter(|now| now.slot == index) {
                return Some(current.connection.info());
            }
            let lease = self.leases.get(usize::from(slot.class))?;
            let resting = self.resting.get(lease.resting_of(class, index))?;
            if resting.set == NONE {
                return Some(resting.quiet.info());
            }
            let at = class.first_set.wrapping_add(place(resting.set));
            let in_flight = self.in_flight.get(at)?;
            Some(resting.quiet.join(&in_flight.flight).info())
        };
        info().unwrap_or_else(|| Quiet::CLOSED.info())
    }

    #[inline(never)]
    fn look_leased(&mut self, index: u32) -> Look<'_> {
        if !self.bring(index) {
            let resting = self.resting_of(index);
            return Look::Quiet(resting.map_or(&Quiet::CLOSED, |resting| &resting.quiet));
        }
        let current = self.current.first();
        current.map_or(Look::Quiet(&Quiet::CLOSED), |current| {
            Look::Working(&current.connection)
        })
    }

    /// Lends what a slot has for life, if its class leases sets.
    fn resting_of(&mut self, index: u32) -> Option<&mut Resting> {
        let slot = self.all.get(place(index))?;
        let class = self.classes.get(usize::from(slot.class))?;
        let lease = self.leases.get(usize::from(slot.class))?;
        if !class.is_leased() {
            return None;
        }
        self.resting.get_mut(lease.resting_of(class, index))
    }

    /// Returns true if a slot's class leases its sets.
    #[inline(never)]
    fn is_leased(&self, index: u32) -> bool {
        let class = self.all.get(place(index)).map(|slot| slot.class);
        let class = class.and_then(|class| self.classes.get(usize::from(class)));
        class.is_some_and(Class::is_leased)
    }

    /// Makes a connection with a leased set the one that is put together. Returns false if it has
    /// no set.
    fn bring(&mut self, index: u32) -> bool {
        if self.is_current(index) {
            return true;
        }
        let Some((_, resting, in_flight)) = self.leased(index) else {
            return false;
        };
        let connection = resting.quiet.join(&in_flight.flight);
        self.put_away();
        if let Some(current) = self.current.first_mut() {
            (current.slot, current.connection) = (index, connection);
        }
        true
    }

    /// Returns true if a slot has a leased set.
    pub(super) fn has_own_set(&mut self, index: u32) -> bool {
        self.leased(index).is_some()
    }

    /// Takes the connection apart that is put together, if there is one.
    fn put_away(&mut self) {
        let Some(current) = self.current.first_mut() else {
            return;
        };
        let index = core::mem::replace(&mut current.slot, NONE);
        let (quiet, flight) = current.connection.split();
        if let Some((_, resting, in_flight)) = self.leased(index) {
            (resting.quiet, in_flight.flight) = (quiet, flight);
        }
    }

    /// Returns true if a slot's connection is the one that is put together.
    fn is_current(&self, index: u32) -> bool {
        self.current.first().is_some_and(|now| now.slot == index)
    }

    /// Sees to it that a slot has a set; returns false if none is free.
    pub(super) fn lease(&mut self, index: u32) -> bool {
        if !self.is_leased(index) || self.leased(index).is_some() {
            return true;
        }
        let mut lease = || {
            let slot = self.all.get(place(index))?;
            let class = self.classes.get(usize::from(slot.class))?;
            let lease = self.leases.get_mut(usize::from(slot.class))?;
            let resting = self.resting.get_mut(lease.resting_of(class, index))?;
            let set = lease.free_set;
            let at = class.first_set.wrapping_add(place(set));
            let in_flight = self.in_flight.get_mut(at).filter(|_| set != NONE)?;
            lease.free_set = core::mem::replace(&mut in_flight.slot, index);
            lease.free_sets = lease.free_sets.saturating_sub(1);
            in_flight.holds = false;
            resting.set = set;
            Some(resting.quiet.resume())
        };
        let Some(connection) = lease() else {
            return false;
        };
        self.put_away();
        if let Some(current) = self.current.first_mut() {
            (current.slot, current.connection) = (index, connection);
        }
        true
    }

    /// Takes a slot's set back if its connection is quiet; returns true if it did.
    pub(super) fn rest(&mut self, index: u32) -> bool {
        let quiet = match self.look(index) {
            Look::Working(connection) => connection.quiet(),
            Look::Quiet(_) => None,
        };
        quiet.is_some_and(|quiet| self.give_back(index, quiet))
    }

    /// Takes a slot's set back if it has one, and remembers `quiet` of its connection.
    fn give_back(&mut self, index: u32, quiet: Quiet) -> bool {
        if self.is_current(index)
            && let Some(current) = self.current.first_mut()
        {
            current.slot = NONE;
        }
        if let Some(resting) = self.resting_of(index) {
            resting.quiet = quiet;
        }
        let Some((lease, resting, in_flight)) = self.leased(index) else {
            return false;
        };
        let set = core::mem::replace(&mut resting.set, NONE);
        in_flight.slot = core::mem::replace(&mut lease.free_set, set);
        lease.free_sets = lease.free_sets.saturating_add(1);
        let held = core::mem::replace(&mut in_flight.holds, false);
        lease.holding = lease.holding.saturating_sub(u32::from(held));
        true
    }

    /// Lends both parts of a slot's control block and the sets of its class, if sets are leased and
    /// the slot has one.
    fn leased(&mut self, index: u32) -> Option<(&mut ClassSets, &mut Resting, &mut InFlight)> {
        let slot = self.all.get(place(index))?;
        let class = self.classes.get(usize::from(slot.class))?;
        let lease = self.leases.get_mut(usize::from(slot.class))?;
        if !class.is_leased() {
            return None;
        }
        let resting = self.resting.get_mut(lease.resting_of(class, index))?;
        let set = resting.set;
        let at = class.first_set.wrapping_add(place(set));
        let in_flight = self.in_flight.get_mut(at).filter(|_| set != NONE)?;
        Some((lease, resting, in_flight))
    }

    /// Returns false if a slot's connection has nothing that it could give up, or no set; asks
    /// without putting it together.
    pub(super) fn may_renege(&mut self, index: u32) -> bool {
        let current = self.is_current(index);
        self.leased(index)
            .is_some_and(|(_, _, in_flight)| current || in_flight.flight.may_renege())
    }

    /// Returns false if the peer of a slot's connection has owed something for less than so many
    /// microseconds, or it has no set; asks without putting it together.
    pub(super) fn may_be_stalled(&mut self, index: u32, (now, micros): (Instant, u128)) -> bool {
        let current = self.is_current(index);
        self.leased(index).is_some_and(|(_, resting, _)| {
            current || u128::from(resting.quiet.since_progress(now)) >= micros
        })
    }

    /// Counts a slot's set anew among those with octets that have not been received.
    pub(super) fn count_holding(&mut self, index: u32) {
        let current = self.current.first().filter(|now| now.slot == index);
        let current = current.map(|now| now.connection.holds_received());
        let Some((lease, _, in_flight)) = self.leased(index) else {
            return;
        };
        let holds = current.unwrap_or_else(|| in_flight.flight.holds_received());
        match (in_flight.holds, holds) {
            (false, true) => lease.holding = lease.holding.saturating_add(1),
            (true, false) => lease.holding = lease.holding.saturating_sub(1),
            _ => {}
        }
        in_flight.holds = holds;
    }

    /// Returns true if a slot's connection may take octets: they must not fill the last sets.
    pub(super) fn may_hold(&mut self, index: u32) -> bool {
        self.leased(index).is_none_or(|(lease, _, in_flight)| {
            let most = lease.sets.saturating_sub((lease.sets >> 2).max(1)).max(1);
            in_flight.holds || lease.holding < most
        })
    }

    /// Returns the slot that has the next set of a class, going round, or [`NONE`] if nobody has
    /// it; `None` if they are not leased, or there are none.
    pub(super) fn next_leaseholder(&mut self, number: u8) -> Option<u32> {
        let lease = self.leases.get_mut(usize::from(number))?;
        let class = self.classes.get(usize::from(number))?;
        if !class.is_leased() {
            return None;
        }
        let set = lease.cursor;
        lease.cursor = set.wrapping_add(1).checked_rem(lease.sets)?;
        let at = class.first_set.wrapping_add(place(set));
        let index = self.in_flight.get(at)?.slot;
        // Of a free set it is the next that is free.
        let slot = self.all.get(place(index));
        let resting = self.resting.get(lease.resting_of(class, index));
        let holds = slot.is_some_and(|slot| slot.class == number)
            && resting.is_some_and(|resting| resting.set == set);
        Some(if holds { index } else { NONE })
    }

    /// Puts a slot into the queue of those that wait for a set, once.
    pub(super) fn starve(&mut self, index: u32) {
        let Some(slot) = self.all.get_mut(place(index)) else {
            return;
        };
        // Slots of other phases are in lists.
        let may = matches!(slot.phase, Phase::Owned | Phase::Delivering);
        if !may || slot.flags.has(Flags::STARVED) {
            return;
        }
        if let Some(lease) = self.leases.get_mut(usize::from(slot.class)) {
            slot.flags.set(Flags::STARVED);
            lease.starved.push(self.all, index);
        }
    }

    /// Takes a slot out of that queue if it is there.
    pub(super) fn unstarve(&mut self, index: u32) {
        let Some(slot) = self.all.get_mut(place(index)) else {
            return;
        };
        if !slot.flags.has(Flags::STARVED) {
            return;
        }
        slot.flags.clear(Flags::STARVED);
        if let Some(lease) = self.leases.get_mut(usize::from(slot.class)) {
            lease.starved.remove(self.all, index);
        }
    }

    /// Returns the slot of a class that has waited for a set longest.
    pub(super) fn first_starved(&self, class: u8) -> Option<u32> {
        self.leases.get(usize::from(class))?.starved.first()
    }

    /// Returns the class for buffers of at least the given sizes; `None` when none is as large.
    pub(super) fn fit(&self, recv: Option<usize>, send: Option<usize>) -> Option<u8> {
        let (recv, send) = (recv.unwrap_or(0), send.unwrap_or(0));
        let fits = |class: &Class| class.shape.receive >= recv && class.shape.send >= send;
        let classes = self.classes.get(..self.classes_count)?;
        u8::try_from(classes.iter().position(fits)?).ok()
    }

    /// Returns the octets of a class's receive buffers.
    pub(super) fn receive_len(&self, class: u8) -> usize {
        let class = self.classes.get(usize::from(class));
        class.map_or(0, |class| class.shape.receive)
    }

    /// Lends a slot.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        self.all.get(place(index))
    }

    /// Lends a slot for changing.
    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.all.get_mut(place(index))
    }

    /// Lends a slot with the memory of its connection; `None` if it has no set.
    #[cfg_attr(feature = "leases", inline(always))] // 45 of 3,930 instructions of an echo.
    #[cfg_attr(not(feature = "leases"), inline)]
    pub(super) fn open(&mut self, index: u32) -> Option<Open<'_>> {
        if self.is_any_leased() && self.is_leased(index) {
            return self.open_leased(index);
        }
        let at = self.place_for_life(index)?;
        let slot = self.all.get_mut(place(index))?;
        let class = self.classes.get(usize::from(slot.class))?;
        let nth = place(index.wrapping_sub(class.first));
        let working = self.working.get_mut(at)?;
        let memory = (&mut *self.bytes, &mut *self.outstanding, &mut *self.ranges);
        Some(Open {
            slot,
            connection: &mut working.connection,
            buffers: class.buffers(nth, memory)?,
        })
    }

    #[inline(never)]
    fn open_leased(&mut self, index: u32) -> Option<Open<'_>> {
        if !self.bring(index) {
            return None;
        }
        let nth = place(self.leased(index)?.1.set);
        let slot = self.all.get_mut(place(index))?;
        let class = self.classes.get(usize::from(slot.class))?;
        let memory = (&mut *self.bytes, &mut *self.outstanding, &mut *self.ranges);
        Some(Open {
            slot,
            connection: &mut self.current.first_mut()?.connection,
            buffers: class.buffers(nth, memory)?,
        })
    }

    /// Moves a slot out of its phase's list, into that of `phase`.
    ///
    /// Accept queues are not of a class: the caller sees to them.
    pub(super) fn move_to(&mut self, index: u32, phase: Phase) {
        if LEASES {
            self.unstarve(index);
        }
        let Some(slot) = self.all.get_mut(place(index)) else {
            return;
        };
        let old = core::mem::replace(&mut slot.phase, phase);
        let Some(class) = self.classes.get_mut(usize::from(slot.class)) else {
            return;
        };
        if let Some(list) = class.list(old) {
            list.remove(self.all, index);
        }
        if let Some(list) = class.list(phase) {
            list.push(self.all, index);
        }
    }

    /// Returns a free slot of a class. It stays in [`Phase::Free`] until the caller moves it.
    pub(super) fn free(&self, class: u8) -> Option<u32> {
        self.classes.get(usize::from(class))?.free.first()
    }

    /// Returns the number of free slots of all classes.
    pub(super) fn free_count(&self) -> u32 {
        let counts = self.classes.iter().map(|class| class.free.count());
        counts.fold(0, u32::saturating_add)
    }

    /// Makes a slot free again: nothing of its last connection is left. Its place in rings stays
    /// and is passed over there.
    pub(super) fn reset(&mut self, index: u32) {
        self.move_to(index, Phase::Free);
        if self.is_any_leased() && self.is_leased(index) {
            self.give_back(index, Quiet::CLOSED);
        } else if let Some(open) = self.open(index) {
            *open.connection = Connection::CLOSED;
        }
        if let Some(slot) = self.get_mut(index) {
            slot.owner = 0;
            slot.listener = NO_LISTENER;
            slot.facts = Facts::NONE;
            slot.flags.reset();
        }
    }
}
