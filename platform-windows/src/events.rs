//! What a poll waits for, and what it waits for next.

/// A set of the events that AFD polls for.
///
/// Microsoft does not document AFD. The values are those of ReactOS (`drivers/network/afd`), Wine
/// (`include/wine/afd.h`) and wepoll, which agree.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Events(u32);

impl Events {
    /// No event.
    pub(crate) const NONE: Self = Self(0);
    /// Bytes can be received.
    pub(crate) const RECEIVE: Self = Self(0x1);
    /// Bytes can be sent, or the connection opened.
    pub(crate) const SEND: Self = Self(0x4);
    /// The peer ended its direction.
    pub(crate) const DISCONNECT: Self = Self(0x8);
    /// The connection was reset.
    pub(crate) const ABORT: Self = Self(0x10);
    /// The socket was closed here.
    pub(crate) const LOCAL_CLOSE: Self = Self(0x20);
    /// A connection can be accepted.
    pub(crate) const ACCEPT: Self = Self(0x80);
    /// The connection could not be opened.
    pub(crate) const CONNECT_FAIL: Self = Self(0x100);

    /// Tells that the connection broke, or never opened.
    pub(crate) const BROKEN: Self = Self::ABORT.union(Self::CONNECT_FAIL);
    /// What ends the wait for something to read.
    pub(crate) const READABLE: Self = Self::RECEIVE.union(Self::DISCONNECT).union(Self::BROKEN);

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What one operation polls for.
///
/// A poll cannot be changed while the kernel has it. If it is to wait for more, it is cancelled
/// and started again once it has completed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Interest {
    /// What the kernel waits for; empty while it has no poll of this operation.
    armed: Events,
    /// What to wait for once that poll has completed, besides what it completes with.
    wanted: Events,
    /// What is waited for at all times: whether the connection breaks.
    kept: Events,
}

/// What to do so that a poll waits for more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// It waits for that already.
    Nothing,
    /// Start a poll for these events.
    Start(Events),
    /// Cancel the poll; its completion starts the next one.
    Cancel,
}

impl Interest {
    /// Returns an interest of a fresh operation that always waits for `kept`.
    pub(crate) const fn keeping(kept: Events) -> Self {
        Self {
            armed: Events::NONE,
            wanted: Events::NONE,
            kept,
        }
    }

    /// Returns true if the kernel has a poll, and may write into the operation.
    pub(crate) const fn is_armed(self) -> bool {
        !self.armed.is_empty()
    }

    /// Waits for `events` too. If the answer is to start a poll, [`Self::started`] follows.
    pub(crate) const fn add(&mut self, events: Events) -> Step {
        if self.armed.is_empty() {
            return Step::Start(events.union(self.kept));
        }
        if self.armed.contains(events) {
            return Step::Nothing;
        }
        self.wanted = self.wanted.union(events);
        Step::Cancel
    }

    /// Notes that the kernel has a poll for `events` now.
    pub(crate) const fn started(&mut self, events: Events) {
        self.armed = events;
    }

    /// Notes that the poll has completed with `events`, and returns what to start the next one
    /// for. Nothing if that is empty.
    pub(crate) const fn completed(&mut self, events: Events) -> Events {
        let (armed, wanted) = (self.armed, self.wanted);
        self.armed = Events::NONE;
        self.wanted = Events::NONE;
        if events.intersects(Events::BROKEN.union(Events::LOCAL_CLOSE)) {
            // It would complete at once, for ever.
            Events::NONE
        } else if events.is_empty() {
            // Cancelled, or given back by the system for reasons of its own.
            armed.union(wanted)
        } else {
            wanted.without(events).union(self.kept)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_started_once_and_again_after_it_completed() {
        let mut input = Interest::keeping(Events::NONE);
        assert_eq!(input.add(Events::READABLE), Step::Start(Events::READABLE));
        input.started(Events::READABLE);
        assert_eq!(input.add(Events::READABLE), Step::Nothing);
        assert_eq!(input.completed(Events::RECEIVE), Events::NONE);
        assert!(!input.is_armed());
        assert_eq!(input.add(Events::READABLE), Step::Start(Events::READABLE));
    }

    #[test]
    fn a_poll_that_watches_is_replaced_to_wait_for_room() {
        let mut output = Interest::keeping(Events::BROKEN);
        output.started(Events::BROKEN);
        assert_eq!(output.add(Events::SEND), Step::Cancel);
        // Cancelled: nothing happened.
        let both = Events::SEND.union(Events::BROKEN);
        assert_eq!(output.completed(Events::NONE), both);
        output.started(both);
        // There is room: only breaking is of interest from now on.
        assert_eq!(output.completed(Events::SEND), Events::BROKEN);
    }

    #[test]
    fn a_broken_connection_is_not_polled_again() {
        for events in [Events::ABORT, Events::CONNECT_FAIL, Events::LOCAL_CLOSE] {
            let mut output = Interest::keeping(Events::BROKEN);
            output.started(Events::BROKEN);
            assert_eq!(output.add(Events::SEND), Step::Cancel);
            assert_eq!(output.completed(events.union(Events::SEND)), Events::NONE);
            assert!(!output.is_armed());
        }
    }

    #[test]
    fn a_poll_that_the_system_gives_back_is_started_again() {
        let mut input = Interest::keeping(Events::NONE);
        input.started(Events::READABLE);
        assert_eq!(input.completed(Events::NONE), Events::READABLE);
    }
}
