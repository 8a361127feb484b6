//! Moving frames, and finding out what became of each socket.

use smoltcp::iface::{PollIngressSingleResult, PollResult};
use smoltcp::socket::tcp;
use smoltcp::socket::tcp::State;
use usockets::{Duration, Error, Readiness};

use super::entry::{Phase, SmoltcpEntry};
use super::platform::{Smoltcp, instant, span, stamp};
use crate::device::timed::TimedDevice;

/// Most frames taken in one turn, and most passes over the sockets to send.
const STEPS_MAX: usize = 64;
/// How long to wait for a device that is full.
const FULL_WAIT: Duration = Duration::from_millis(1);
/// Keep-alive probes that may go unanswered, and one interval more.
const PROBES: u32 = 4;

/// What came just before a socket was looked at. smoltcp does not say why a socket closed: a
/// segment closes it by a reset, its own timers because nobody answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    Segment,
    Timer,
}

impl<D: TimedDevice> Smoltcp<'_, D> {
    /// Sends what is due, takes frames in, and answers them, all in bounds.
    pub(super) fn turn(&mut self) {
        self.now = self.device.now();
        let now = stamp(self.now);
        self.called = false;
        self.interface.poll_maintenance(now);
        self.report_asked();
        self.expire();
        self.more = self.transmit();
        self.fill_listeners();
        self.more |= self.receive();
        self.more |= self.transmit();
        self.device.flush();
        let due = self.interface.poll_at(now, &self.sockets).map(instant);
        // What is due and was not done waits for the device.
        let soonest = self.now.saturating_add(FULL_WAIT);
        let due = due.map(|due| if due <= self.now { soonest } else { due });
        let deadlines = self.entries.iter().filter_map(|entry| entry.deadline);
        self.due = deadlines.chain(due).min();
    }

    /// Takes a burst of frames in; returns true if there may be more.
    fn receive(&mut self) -> bool {
        let now = stamp(self.now);
        for _ in 0..STEPS_MAX {
            let (device, sockets) = (&mut self.device, &mut self.sockets);
            match self.interface.poll_ingress_single(now, device, sockets) {
                PollIngressSingleResult::None => return false,
                PollIngressSingleResult::PacketProcessed
                | PollIngressSingleResult::SocketStateChanged => {}
            }
            self.observe(Cause::Segment);
            self.fill_listeners();
        }
        true
    }

    /// Sends until nothing is due or the device is full; returns true if there may be more.
    fn transmit(&mut self) -> bool {
        let now = stamp(self.now);
        for _ in 0..STEPS_MAX {
            let (device, sockets) = (&mut self.device, &mut self.sockets);
            let result = self.interface.poll_egress(now, device, sockets);
            self.observe(Cause::Timer);
            if matches!(result, PollResult::None) {
                return false;
            }
        }
        true
    }

    /// Looks at every socket for what has changed.
    fn observe(&mut self, cause: Cause) {
        for entry in self.entries.iter_mut() {
            let Some(handle) = entry.handle.filter(|_| entry.phase != Phase::Free) else {
                continue;
            };
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            let before = core::mem::replace(&mut entry.state, socket.state());
            match entry.phase {
                Phase::Listener(number) => {
                    if entry.state == State::Closed {
                        // Reset, or nobody completed the handshake.
                        release(entry, socket, cause);
                    } else if entry.waits_for(number) && entry.order == 0 {
                        self.order = self.order.saturating_add(1);
                        entry.order = self.order;
                        if let Some(listener) = self.listeners.get_mut(number) {
                            entry.keepalive = listener.keepalive;
                            listener.ready = true;
                        }
                        set_keepalive(socket, entry.keepalive);
                    }
                }
                Phase::Owned => {
                    observe_owned(entry, socket, before, cause);
                }
                Phase::Orphan => {
                    if socket.send_queue() > 0 {
                        // What was not received is no reason to lose what was sent.
                        discard(socket);
                    } else if socket.can_recv() {
                        socket.abort();
                    }
                    release(entry, socket, cause);
                }
                Phase::Free => {}
            }
        }
    }

    /// Gives each listener without one a socket that listens, unless its backlog is full.
    pub(super) fn fill_listeners(&mut self) {
        for number in 0..self.listeners.len() {
            let Some(listener) = self.listeners.get(number) else {
                return;
            };
            let Some(at) = listener.at.filter(|_| listener.owner != 0) else {
                continue;
            };
            let (nodelay, backlog) = (listener.nodelay, listener.backlog);
            let all = self.entries.iter();
            let mut own = all.filter(|entry| entry.phase == Phase::Listener(number));
            let listens = own.clone().any(|entry| entry.state == State::Listen);
            if listens || own.nth(backlog.saturating_sub(1)).is_some() {
                continue;
            }
            let Some(index) = self.vacate(false) else {
                return;
            };
            let handshake = self.limits.handshake;
            let Some((entry, socket)) = self.renew(index, Phase::Listener(number), nodelay) else {
                return;
            };
            socket.set_timeout(Some(span(handshake)));
            let at = smoltcp::wire::IpListenEndpoint {
                addr: (!at.ip().is_unspecified()).then(|| at.ip().into()),
                port: at.port(),
            };
            if socket.listen(at).is_err() {
                entry.reset(Phase::Free);
                return;
            }
            entry.state = State::Listen;
            self.move_behind_connections(index);
        }
    }

    /// Moves a socket that listens behind all connections in the set. smoltcp gives a segment to
    /// the first socket that takes it, and one that listens takes the SYN that a peer repeats.
    fn move_behind_connections(&mut self, index: usize) {
        let connections = self.entries.iter().enumerate().filter(|(_, entry)| {
            let listens = entry.state == State::Listen;
            entry.phase != Phase::Free && !listens
        });
        let last = connections.max_by_key(|(_, entry)| entry.handle);
        let Some((last, behind)) = last.map(|(last, entry)| (last, entry.handle)) else {
            return;
        };
        let before = self.entries.get(index).and_then(|entry| entry.handle);
        let (Some(behind), Some(before)) = (behind, before) else {
            return;
        };
        if behind < before {
            return;
        }
        let connection = self.sockets.remove(behind);
        let listening = self.sockets.remove(before);
        // Each takes the first place that is free.
        for (index, socket) in [(last, connection), (index, listening)] {
            let handle = Some(self.sockets.add(socket));
            if let Some(entry) = self.entries.get_mut(index) {
                entry.handle = handle;
            }
        }
    }

    /// Reports the connections that wait where the loop has asked for it.
    fn report_asked(&mut self) {
        for listener in self.listeners.iter_mut() {
            listener.ready |= core::mem::take(&mut listener.asked);
        }
    }

    /// Gives up the sockets whose peers have taken nothing for long enough.
    fn expire(&mut self) {
        let now = self.now;
        for entry in self.entries.iter_mut() {
            let due = entry.deadline.is_some_and(|deadline| deadline <= now);
            let (true, Some(handle)) = (due, entry.handle) else {
                continue;
            };
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
            let unsent = socket.send_queue();
            if unsent < entry.unsent {
                entry.unsent = unsent;
                entry.deadline = Some(now.saturating_add(entry.answer));
                continue;
            }
            entry.deadline = None;
            if entry.phase == Phase::Owned && is_closing(socket.state()) {
                entry.error = Some(Error::TimedOut);
                entry.report(BROKEN);
            }
            if entry.phase == Phase::Orphan || entry.error.is_some() {
                socket.abort();
            }
        }
    }
}

/// What is reported of a connection that broke.
const BROKEN: Readiness = Readiness::ERROR
    .union(Readiness::READABLE)
    .union(Readiness::WRITABLE);

/// Reports to its owner what has become of a socket.
fn observe_owned(
    entry: &mut SmoltcpEntry,
    socket: &mut tcp::Socket<'_>,
    before: State,
    cause: Cause,
) {
    let state = entry.state;
    if is_opening(before) && !is_opening(state) && state != State::Closed {
        entry.report(Readiness::WRITABLE);
        entry.wants_write = false;
        set_keepalive(socket, entry.keepalive);
    }
    let closed = state == State::Closed && before != State::Closed;
    if closed && entry.error.is_none() && !is_end(entry, socket, before, cause) {
        entry.error = Some(match (cause, before) {
            (Cause::Timer, State::TimeWait) => Error::Reset,
            (Cause::Timer, _) => Error::TimedOut,
            (Cause::Segment, State::SynSent) => Error::Refused,
            (Cause::Segment, _) if entry.ended => Error::BrokenPipe,
            (Cause::Segment, _) => Error::Reset,
        });
        entry.report(BROKEN);
    }
    let after_fin = matches!(
        state,
        State::CloseWait | State::Closing | State::LastAck | State::TimeWait
    );
    if after_fin && !entry.ended {
        entry.ended = true;
        entry.report(Readiness::READABLE.union(Readiness::ENDED));
    }
    entry.unread = socket.recv_queue();
    if entry.wants_read && entry.unread > 0 {
        entry.wants_read = false;
        entry.report(Readiness::READABLE);
    }
    if entry.wants_write && socket.can_send() {
        entry.wants_write = false;
        entry.report(Readiness::WRITABLE);
    }
    // smoltcp counts its timeout from the last segment of the peer, however long ago nothing was
    // to be said: it may only run while something is.
    if !is_opening(state) && entry.keepalive.is_none() {
        let waits = socket.send_queue() > 0;
        socket.set_timeout(waits.then(|| span(entry.answer)));
    }
    if !is_closing(state) {
        entry.deadline = None;
    }
}

/// Returns true if a socket that has just closed did so in order: both have ended, and the owner
/// has received all there was.
///
/// When its time in TIME-WAIT is over, smoltcp throws away what was not received.
fn is_end(entry: &SmoltcpEntry, socket: &tcp::Socket<'_>, before: State, cause: Cause) -> bool {
    match (before, cause) {
        (State::LastAck, Cause::Segment) => socket.send_queue() == 0,
        (State::TimeWait, Cause::Timer) => entry.unread == 0,
        (State::TimeWait, Cause::Segment) => true,
        _ => false,
    }
}

/// Frees a socket without an owner once it is closed. A reset that is due is tried once.
fn release(entry: &mut SmoltcpEntry, socket: &tcp::Socket<'_>, cause: Cause) {
    entry.state = socket.state();
    let tried = cause == Cause::Timer || socket.remote_endpoint().is_none();
    if entry.state == State::Closed && tried {
        entry.reset(Phase::Free);
    }
}

/// Throws away what has been received.
pub(super) fn discard(socket: &mut tcp::Socket<'_>) {
    // The buffer is a ring: what it holds lies in two pieces at most.
    for _ in 0..2 {
        let _ = socket.recv(|bytes| (bytes.len(), ()));
    }
}

/// Probes an idle peer at every `idle`, and gives it up when it has answered none for a while.
pub(super) fn set_keepalive(socket: &mut tcp::Socket<'_>, idle: Option<Duration>) {
    socket.set_keep_alive(idle.map(span));
    socket.set_timeout(idle.map(|idle| span(idle.saturating_mul(PROBES))));
}

pub(super) const fn is_opening(state: State) -> bool {
    matches!(state, State::SynSent | State::SynReceived)
}

/// Returns true if our FIN is not acknowledged yet.
pub(super) const fn is_closing(state: State) -> bool {
    matches!(state, State::FinWait1 | State::Closing | State::LastAck)
}
