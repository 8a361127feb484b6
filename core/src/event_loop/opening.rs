//! Connections that open, or do not.

use crate::address::Address;
use crate::error::Error;
use crate::event_loop::Loop;
use crate::handler::{Handler, Opened};
use crate::id::{SocketId, to_index};
use crate::invariant::impossible;
use crate::logging::log_event;
use crate::platform::{Platform, Progress, Readiness};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Deadline, Place, find, find_known};
use crate::sockets::OPENING_MAX;
use crate::sockets::socket::Socket;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Carries on with opening a socket.
    pub(super) fn open(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        let accepted = slot.phase() == Phase::Accepting;
        if !accepted && let Some(error) = slot.error() {
            return self.report_failed(handler, id, error);
        }
        match self.platform.open(&mut slot.socket, ready) {
            Ok(Progress::Done) if accepted => match self.platform.peer_addr(&slot.socket) {
                Ok(peer) => self.report_open(handler, id, Some(peer)),
                Err(error) => self.report_failed(handler, id, error),
            },
            Ok(Progress::Done) => self.report_open(handler, id, None),
            Ok(Progress::Pending) => {}
            Ok(Progress::Again) => self.serve_later(id),
            Err(error) => self.report_failed(handler, id, error),
        }
    }

    /// Carries on with a socket just accepted, whose peer is known.
    pub(super) fn open_accepted(&mut self, handler: &mut H, id: SocketId, peer: Address) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        match self.platform.open(&mut slot.socket, Readiness::NONE) {
            Ok(Progress::Done) => self.report_open(handler, id, Some(peer)),
            Ok(progress) => {
                self.net_now().set_timeout(id, OPENING_MAX);
                if progress == Progress::Again {
                    self.serve_later(id);
                }
            }
            Err(error) => self.report_failed(handler, id, error),
        }
    }

    /// Makes the `on_open` of a connection, of an accepted one whose peer is known, or of a
    /// datagram socket.
    fn report_open(&mut self, handler: &mut H, id: SocketId, peer: Option<Address>) {
        let iteration = self.state.iteration();
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        let Some(&context) = slot.context.as_ref() else {
            impossible!("a socket has a context");
            return;
        };
        let is_bound = slot.phase() == Phase::Bound;
        if is_bound {
            slot.enter(Phase::Datagrams, 0);
        } else {
            slot.enter(Phase::Open, iteration);
            slot.deadline = Deadline::NEVER;
        }
        self.state.stats.open = self.state.stats.open.wrapping_add(1);
        // One more that may be evicted for those who wait.
        self.state.note_room();
        let opened = match peer {
            Some(peer) if slot.flags.any(Flags::INSERTED) => {
                slot.flags.clear(Flags::INSERTED);
                Opened::Inserted { context, peer }
            }
            Some(peer) => Opened::Accepted { context, peer },
            None if is_bound => Opened::Bound { context },
            None => {
                self.state.stats.connected = self.state.stats.connected.wrapping_add(1);
                Opened::Connected { context }
            }
        };
        log_event!(debug, "{:?} opened, peer {:?}", id, peer);
        self.state.half_done.opening.note(id);
        let all = self.all_sockets_now();
        let ext = handler.on_open(&mut Socket::new(all, id), opened);
        self.state.half_done.opening.take();
        if let Some(place) = self.exts.get_mut(to_index(id.index())) {
            *place = Place::Occupied(ext);
        }
        if P::HOLDS_OUTPUT && !is_bound {
            // The last message of a handshake may have come with data behind it.
            if let Some(slot) = find(self.slots, id) {
                slot.flags.set(Flags::READABLE);
            }
            self.serve_later(id);
        }
        if peer.is_some() {
            self.join_drain(id);
        }
    }

    /// Gives up a connection that did not open; the program is told of a connect.
    pub(super) fn report_failed(&mut self, handler: &mut H, id: SocketId, error: Error) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        log_event!(debug, "{:?} did not open: {:?}", id, error);
        self.state.stats.failed = self.state.stats.failed.wrapping_add(1);
        let connecting = slot.phase() == Phase::Connecting;
        let context = slot.context.as_ref().copied();
        self.net_now().release(id);
        if let (true, Some(context)) = (connecting, context) {
            let all = self.all_sockets_now();
            handler.on_connect_error(&mut Socket::new(all, id), context, error);
        }
    }
}
