//! The slots of all size classes, and the caller's memory that goes with each.

use crate::config::{CLASSES_MAX, SizeClass};
use crate::number::{count, place};
use crate::pool::list::List;
use crate::pool::table::SLOTS_MAX;
use crate::stack::memory::Tables;
use crate::stack::slot::{Facts, NO_LISTENER, Phase, Slot};
use crate::tcp::{Block, Buffers, Connection, Outstanding};

/// Lists and sizes of one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    pub(super) free: List,
    pub(super) half_open: List,
    pub(super) closing: List,
    pub(super) time_wait: List,
    pub(super) half_open_max: u32,
    /// The first slot, and where the memory of the first slot starts.
    first: u32,
    starts: Shape,
    /// How much of it each slot has.
    shape: Shape,
}

/// An amount, or a place, of each kind of a connection's memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Shape {
    receive: usize,
    send: usize,
    outstanding: usize,
    ranges: usize,
}

impl Class {
    const EMPTY: Self = Self {
        free: List::EMPTY,
        half_open: List::EMPTY,
        closing: List::EMPTY,
        time_wait: List::EMPTY,
        half_open_max: 0,
        first: 0,
        starts: Shape {
            receive: 0,
            send: 0,
            outstanding: 0,
            ranges: 0,
        },
        shape: Shape {
            receive: 0,
            send: 0,
            outstanding: 0,
            ranges: 0,
        },
    };

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

/// All slots and their memory.
pub(super) struct Slots<'a> {
    pub(super) all: &'a mut [Slot],
    pub(super) classes: [Class; CLASSES_MAX],
    classes_count: usize,
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
        sizes: &[SizeClass],
    ) -> Option<()> {
        let mut index = 0_u32;
        let mut starts = Shape::default();
        for (number, size) in sizes.iter().enumerate() {
            if !size.is_sound() {
                return None;
            }
            let class = self.classes.get_mut(number)?;
            class.half_open_max = count(size.half_open);
            class.first = index;
            class.starts = starts;
            class.shape = Shape {
                receive: size.recv,
                send: size.send,
                outstanding: size.outstanding,
                ranges: size.ranges,
            };
            for _ in 0..size.connections {
                *slots.get_mut(place(index))? = Slot {
                    class: u8::try_from(number).ok()?,
                    ..Slot::EMPTY
                };
                class.free.push(slots, index);
                index = index.checked_add(1).filter(|index| *index <= SLOTS_MAX)?;
            }
            let after =
                |start: usize, each: usize| start.checked_add(each.checked_mul(size.connections)?);
            // Both buffers lie in one piece of memory.
            let both = size.recv.checked_add(size.send)?;
            starts = Shape {
                receive: after(starts.receive, both)?,
                send: 0,
                outstanding: after(starts.outstanding, size.outstanding)?,
                ranges: after(starts.ranges, size.ranges)?,
            };
        }
        let enough = bytes.len() >= starts.receive
            && tables.outstanding.len() >= starts.outstanding
            && tables.ranges.len() >= starts.ranges;
        if !enough {
            return None;
        }
        tables.outstanding.fill(Outstanding::EMPTY);
        tables.ranges.fill(Block::EMPTY);
        self.all = slots;
        self.bytes = bytes;
        self.outstanding = tables.outstanding;
        self.ranges = tables.ranges;
        self.classes_count = sizes.len();
        Some(())
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

    /// Lends a slot with the memory of its connection.
    #[inline]
    pub(super) fn open(&mut self, index: u32) -> Option<(&mut Slot, Buffers<'_>)> {
        let slot = self.all.get_mut(place(index))?;
        let class = self.classes.get(usize::from(slot.class))?;
        let turn = place(index.wrapping_sub(class.first));
        let (starts, shape) = (&class.starts, &class.shape);
        let both = shape.receive.wrapping_add(shape.send);
        let at = starts.receive.wrapping_add(turn.wrapping_mul(both));
        let bytes = self.bytes.get_mut(at..)?.get_mut(..both)?;
        let (receive, send) = bytes.split_at_mut_checked(shape.receive)?;
        let at = turn.wrapping_mul(shape.outstanding);
        let at = starts.outstanding.wrapping_add(at);
        let outstanding = self.outstanding.get_mut(at..)?;
        let at = starts.ranges.wrapping_add(turn.wrapping_mul(shape.ranges));
        let ranges = self.ranges.get_mut(at..)?;
        let buffers = Buffers {
            send,
            receive,
            outstanding: outstanding.get_mut(..shape.outstanding)?,
            ranges: ranges.get_mut(..shape.ranges)?,
        };
        Some((slot, buffers))
    }

    /// Moves a slot out of its phase's list, into that of `phase`.
    ///
    /// Accept queues are not of a class: the caller sees to them.
    pub(super) fn move_to(&mut self, index: u32, phase: Phase) {
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
        if let Some(slot) = self.get_mut(index) {
            slot.connection = Connection::CLOSED;
            slot.owner = 0;
            slot.listener = NO_LISTENER;
            slot.facts = Facts::NONE;
            slot.flags.reset();
        }
    }
}
