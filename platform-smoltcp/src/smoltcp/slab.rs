//! The slots of all size classes: carving them out of the caller's memory, giving and taking back.

use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};

use crate::config::{CLASSES_MAX, RECV_MAX, SizeClass};
use crate::number::{count, place};
use crate::smoltcp::congestion::Congestion;
use crate::smoltcp::list::List;
use crate::smoltcp::slot::{Facts, Fault, Flags, Phase, Slot, Talk, only};
use crate::smoltcp::table::SLOTS_MAX;

/// Lists and sizes of one class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) free: List,
    pub(crate) half_open: List,
    pub(crate) closing: List,
    pub(crate) time_wait: List,
    recv: usize,
    send: usize,
    pub(crate) half_open_max: u32,
}

impl Class {
    const EMPTY: Self = Self {
        free: List::EMPTY,
        half_open: List::EMPTY,
        closing: List::EMPTY,
        time_wait: List::EMPTY,
        recv: 0,
        send: 0,
        half_open_max: 0,
    };

    /// Returns the list that slots of `phase` are in, if the class keeps it.
    pub(crate) const fn list(&mut self, phase: Phase) -> Option<&mut List> {
        match phase {
            Phase::Free => Some(&mut self.free),
            Phase::HalfOpen => Some(&mut self.half_open),
            Phase::Closing => Some(&mut self.closing),
            Phase::TimeWait => Some(&mut self.time_wait),
            Phase::Waiting | Phase::Owned | Phase::Delivering => None,
        }
    }
}

/// All slots.
pub(crate) struct Slab<'a> {
    pub(crate) slots: &'a mut [Slot<'a>],
    pub(crate) classes: [Class; CLASSES_MAX],
    classes_count: usize,
}

impl<'a> Slab<'a> {
    /// Makes a slab without slots.
    pub(crate) fn empty() -> Self {
        Self {
            slots: &mut [],
            classes: [Class::EMPTY; CLASSES_MAX],
            classes_count: 0,
        }
    }

    /// Carves slots and buffers; `None` when the memory is too small or a class unfit.
    pub(crate) fn carve(
        &mut self,
        slots: &'a mut [Slot<'a>],
        storage: &'a mut [SocketStorage<'a>],
        mut bytes: &'a mut [u8],
        sizes: &[SizeClass],
    ) -> Option<()> {
        let mut cells = storage.chunks_mut(1);
        let mut index = 0_u32;
        for (number, size) in sizes.iter().enumerate() {
            if size.recv == 0 || size.recv > RECV_MAX || size.send == 0 {
                return None;
            }
            let class = self.classes.get_mut(number)?;
            class.recv = size.recv;
            class.send = size.send;
            class.half_open_max = count(size.half_open);
            for _ in 0..size.connections {
                let (recv, rest) = bytes.split_at_mut_checked(size.recv)?;
                let (send, rest) = rest.split_at_mut_checked(size.send)?;
                bytes = rest;
                let cell = cells.next()?;
                cell.fill_with(|| SocketStorage::EMPTY);
                let mut set = SocketSet::new(cell);
                let buffers = (SocketBuffer::new(recv), SocketBuffer::new(send));
                let mut socket = Socket::new(buffers.0, buffers.1);
                // Ours is beside it (`congestion`), whatever other crates ask smoltcp for.
                socket.set_congestion_control(CongestionControl::None);
                if set.add(socket) != only() {
                    return None;
                }
                *slots.get_mut(place(index))? = Slot {
                    set: Some(set),
                    class: u8::try_from(number).ok()?,
                    ..Slot::EMPTY
                };
                class.free.push(slots, index);
                index = index.checked_add(1).filter(|index| *index <= SLOTS_MAX)?;
            }
        }
        self.slots = slots;
        self.classes_count = sizes.len();
        Some(())
    }

    /// Returns the class for buffers of at least the given sizes; `None` when none is as large.
    pub(crate) fn fit(&self, recv: Option<usize>, send: Option<usize>) -> Option<u8> {
        let (recv, send) = (recv.unwrap_or(0), send.unwrap_or(0));
        let fits = |class: &Class| class.recv >= recv && class.send >= send;
        let number = self
            .classes
            .get(..self.classes_count)?
            .iter()
            .position(fits)?;
        u8::try_from(number).ok()
    }

    /// Returns the size of a class's receive buffers.
    pub(crate) fn recv_of(&self, class: u8) -> usize {
        self.classes
            .get(usize::from(class))
            .map_or(0, |class| class.recv)
    }

    /// Lends the set that smoltcp's interface works on.
    #[inline]
    pub(crate) fn get_set(&mut self, index: u32) -> Option<&mut SocketSet<'a>> {
        self.slots.get_mut(place(index))?.set.as_mut()
    }

    #[inline]
    pub(crate) fn get(&mut self, index: u32) -> Option<&mut Slot<'a>> {
        self.slots.get_mut(place(index))
    }

    /// Lends a slot's socket.
    #[inline]
    pub(crate) fn socket(&mut self, index: u32) -> Option<&mut Socket<'a>> {
        self.slots.get_mut(place(index))?.socket()
    }

    /// Lends a slot's socket for looking.
    #[inline]
    pub(crate) fn peek(&self, index: u32) -> Option<&Socket<'a>> {
        self.slots.get(place(index))?.peek()
    }

    /// Moves a slot out of its phase's list, into that of `phase`.
    ///
    /// Accept queues are not of a class: the caller sees to them.
    pub(crate) fn move_to(&mut self, index: u32, phase: Phase) {
        let Some(slot) = self.slots.get_mut(place(index)) else {
            return;
        };
        let old = core::mem::replace(&mut slot.phase, phase);
        let Some(class) = self.classes.get_mut(usize::from(slot.class)) else {
            return;
        };
        if let Some(list) = class.list(old) {
            list.remove(self.slots, index);
        }
        if let Some(list) = class.list(phase) {
            list.push(self.slots, index);
        }
    }

    /// Takes a free slot of a class. It stays in [`Phase::Free`] until the caller moves it.
    pub(crate) fn free(&self, class: u8) -> Option<u32> {
        self.classes.get(usize::from(class))?.free.first()
    }

    /// Makes a slot free again: nothing of its last connection is left. Its place in rings stays
    /// and is passed over there.
    pub(crate) fn reset(&mut self, index: u32) {
        self.move_to(index, Phase::Free);
        if let Some(socket) = self.socket(index) {
            socket.abort();
        }
        if let Some(slot) = self.get(index) {
            slot.owner = 0;
            slot.listener = u8::MAX;
            slot.facts = Facts::NONE;
            slot.fault = Fault::None;
            slot.talk = Talk(0);
            slot.congestion = Congestion::NEW;
            slot.flags
                .clear(Flags::SHORT | Flags::LIMITED | Flags::ENDED);
        }
    }
}
