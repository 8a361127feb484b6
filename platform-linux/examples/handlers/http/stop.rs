//! Stopping in order.

use usockets::{AllSockets, Duration, Handler, Net, Platform, TimerId};

use super::connection::Connection;
use super::memory::Shared;
use super::server::Group;
use super::service::Limits;

/// Time between two looks at whether anything still comes in.
const LOOK: Duration = Duration::from_millis(2);
/// Looks in a row at which nothing had come before all that had arrived counts as read.
const QUIET_MIN: u32 = 2;
/// Looks after which that does not matter any more: half a second.
const LOOKS_MAX: u32 = 250;

/// Stops a server in order when it is asked to.
///
/// First every client that waits to be accepted is accepted, and every request that has arrived is
/// answered; with the answer its connection closes. When nothing comes any more, the server stops
/// listening, and connections without a request end by a FIN: what their clients send meanwhile is
/// read and dropped, so that it causes no reset. What is under way then has a bounded time. At
/// last nothing is left in the loop, and [`Loop::run`](usockets::Loop::run) returns.
#[derive(Debug)]
pub(crate) struct Stop {
    phase: Phase,
    timer: Option<TimerId>,
}

/// How far stopping has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// The server was not asked to stop.
    Serving,
    /// What has arrived is read.
    Reading {
        /// What had come at the last look.
        seen: Arrived,
        /// Looks in a row at which nothing had come.
        quiet: u32,
        looks: u32,
    },
    /// What is under way ends.
    Ending,
    /// Everything is closed.
    Over,
}

/// Connections accepted and bytes received so far.
type Arrived = (u64, u64);

impl Stop {
    /// Makes one for a server that was not asked to stop.
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Serving,
            timer: None,
        }
    }

    /// Starts to stop or, when asked for the second time, stops at once.
    pub(crate) fn ask<P: Platform, const IN: usize, const OUT: usize>(
        &mut self,
        net: &mut Net<'_, P, Group>,
        shared: &mut Shared<'_, IN, OUT>,
    ) {
        shared.service.stopping = true;
        if self.phase != Phase::Serving {
            return self.stop_at_once(net);
        }
        self.phase = Phase::Reading {
            seen: arrived(net),
            quiet: 0,
            looks: 0,
        };
        self.start_timer(net, &shared.service.limits);
        if self.timer.is_none() {
            // The pool is full: nobody can be accepted, and the timer takes the listener's slot.
            net.close_all(Group::Listener, 0);
        }
    }

    /// Starts the timer that there was no slot for.
    pub(crate) fn before_wait<P: Platform>(
        &mut self,
        net: &mut Net<'_, P, Group>,
        limits: &Limits,
    ) {
        if self.timer.is_none() && net.stats().open > 0 {
            self.start_timer(net, limits);
        }
    }

    /// The timer is due.
    pub(crate) fn on_timer<P, H, const IN: usize, const OUT: usize>(
        &mut self,
        sockets: &mut AllSockets<'_, P, H>,
        shared: &mut Shared<'_, IN, OUT>,
    ) where
        P: Platform,
        H: Handler<P, Ext = Connection, Context = Group>,
    {
        match &mut self.phase {
            Phase::Reading { seen, quiet, looks } => {
                let before = core::mem::replace(seen, arrived(sockets.net()));
                *quiet = if before == *seen {
                    quiet.saturating_add(1)
                } else {
                    0
                };
                *looks = looks.saturating_add(1);
                if *quiet >= QUIET_MIN || *looks >= LOOKS_MAX {
                    self.end_reading(sockets, shared);
                }
            }
            Phase::Ending => {
                self.timer = None;
                self.stop_at_once(sockets.net());
            }
            Phase::Serving | Phase::Over => {}
        }
    }

    /// A connection is closed. The last one takes the timer along.
    pub(crate) fn on_close<P: Platform>(&mut self, net: &mut Net<'_, P, Group>) {
        if self.phase == Phase::Ending && net.stats().open == 0 {
            self.stop_timer(net);
        }
    }

    /// Accepts nobody any more, and ends the connections without a request.
    fn end_reading<P, H, const IN: usize, const OUT: usize>(
        &mut self,
        sockets: &mut AllSockets<'_, P, H>,
        shared: &mut Shared<'_, IN, OUT>,
    ) where
        P: Platform,
        H: Handler<P, Ext = Connection, Context = Group>,
    {
        self.phase = Phase::Ending;
        sockets.net().close_all(Group::Listener, 0);
        self.stop_timer(sockets.net());
        let Shared {
            service, clients, ..
        } = shared;
        for client in clients.iter().flatten() {
            if let Some((net, connection)) = sockets.get(*client) {
                connection.stop(net, *client, &service.limits);
            }
        }
    }

    /// Does not wait for anything any longer.
    fn stop_at_once<P: Platform>(&mut self, net: &mut Net<'_, P, Group>) {
        self.phase = Phase::Over;
        self.stop_timer(net);
        net.close_all(Group::Listener, 0);
        net.close_all(Group::Client, 0);
    }

    fn start_timer<P: Platform>(&mut self, net: &mut Net<'_, P, Group>, limits: &Limits) {
        let started = match self.phase {
            Phase::Reading { .. } => net.start_timer(LOOK, LOOK),
            Phase::Ending => net.start_timer(limits.stop, Duration::ZERO),
            Phase::Serving | Phase::Over => return,
        };
        self.timer = started.ok();
    }

    fn stop_timer<P: Platform>(&mut self, net: &mut Net<'_, P, Group>) {
        if let Some(timer) = self.timer.take() {
            net.stop_timer(timer);
        }
    }
}

fn arrived<P: Platform>(net: &mut Net<'_, P, Group>) -> Arrived {
    let stats = net.stats();
    (stats.accepted, stats.received)
}
