//! Connecting to one of several addresses.

use core::net::SocketAddr;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::{SocketId, TimerId};
use crate::platform::Platform;
use crate::sockets::Net;
use crate::time::Duration;

/// Time before the next address is tried beside the one before ("Connection Attempt Delay", RFC
/// 8305, section 8).
const DELAY: Duration = Duration::from_millis(250);
/// Shortest such time (section 8): each attempt costs the network something.
const DELAY_MIN: Duration = Duration::from_millis(10);
/// Longest such time (section 8).
const DELAY_MAX: Duration = Duration::from_secs(2);

/// What connecting to a list of addresses has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "either it goes on or it does not")]
pub enum Connecting {
    /// Attempts are under way, or still to come.
    UnderWay,
    /// There is no address left; the last error.
    Failed(Error),
}

/// Connects to the first of several addresses that answers: Happy Eyeballs, version 2 (RFC 8305,
/// sections 4 and 5), over addresses that are known. How they are found is the program's: this
/// library asks no names.
///
/// The addresses are tried in the order of their list, with the two families taking turns. An
/// attempt that fails is followed by the next at once; one that takes longer than 250 ms goes on
/// beside the next. The first that opens wins, and the others are closed. With TLS, one opens when
/// its handshake is done.
///
/// It takes a slot of the pool for each attempt under way and one for a timer, and `N` addresses at
/// most: those beyond are not tried. A handler passes it what it is told:
///
/// ```
/// use usockets::{
///     AllSockets, Connecting, Endpoint, Error, HappyEyeballs, Handler, Opened, Platform, Socket,
///     TimerId,
/// };
///
/// struct Client {
///     eyeballs: HappyEyeballs<8>,
///     to: Endpoint<'static>,
/// }
///
/// impl<P: Platform> Handler<P> for Client {
///     type Ext = ();
///     type Context = ();
///
///     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
///         let id = socket.id();
///         self.eyeballs.on_open(socket.net(), id); // This one it is.
///     }
///
///     fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, _: (), error: Error) {
///         let id = socket.id();
///         let now = self.eyeballs.on_connect_error(socket.net(), self.to, (), id, error);
///         if let Connecting::Failed(_) = now { /* Nobody answers. */ }
///     }
///
///     fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, timer: TimerId, _: u32) {
///         self.eyeballs.on_timer(sockets.net(), self.to, (), timer);
///     }
///     # fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// }
/// ```
#[derive(Clone, Debug)]
pub struct HappyEyeballs<const N: usize> {
    /// In the order in which they are tried.
    addrs: [Option<SocketAddr>; N],
    /// The next of them.
    next: usize,
    /// Attempts under way, by their addresses.
    sockets: [Option<SocketId>; N],
    timer: Option<TimerId>,
    delay: Duration,
    error: Error,
}

impl<const N: usize> HappyEyeballs<N> {
    /// Makes a list of addresses, of which the best comes first, as a resolver sorts them (RFC
    /// 6724).
    #[must_use]
    pub fn new(addrs: &[SocketAddr]) -> Self {
        let first_is_v4 = addrs.first().is_some_and(SocketAddr::is_ipv4);
        let mut own = addrs.iter().filter(|addr| addr.is_ipv4() == first_is_v4);
        let mut other = addrs.iter().filter(|addr| addr.is_ipv4() != first_is_v4);
        let mut is_own = true;
        let addrs = [(); N].map(|()| {
            let next = match is_own {
                true => own.next().or_else(|| other.next()),
                false => other.next().or_else(|| own.next()),
            };
            is_own = !is_own;
            next.copied()
        });
        Self {
            addrs,
            next: 0,
            sockets: [None; N],
            timer: None,
            delay: DELAY,
            error: Error::Invalid,
        }
    }

    /// Sets the time before the next address is tried beside the one before: from 10 ms to 2 s, to
    /// which others are cut; 250 ms by default.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay.clamp(DELAY_MIN, DELAY_MAX);
        self
    }

    /// Returns the addresses in the order in which they are tried.
    pub fn addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.addrs.iter().copied().flatten()
    }

    /// Starts the first attempt. Each is as `to`, whose address plays no role, and opens or fails
    /// with `context`. [`Connecting::Failed`] with [`Error::Invalid`] if the list is empty.
    pub fn start<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        to: Endpoint<'_>,
        context: C,
    ) -> Connecting {
        self.stop(net);
        self.next = 0;
        self.error = Error::Invalid;
        self.try_next(net, to, context)
    }

    /// Closes attempts under way, and forgets the timer. Nothing more is told of them.
    pub fn stop<P: Platform, C: Copy + PartialEq>(&mut self, net: &mut Net<'_, P, C>) {
        for socket in &mut self.sockets {
            if let Some(id) = socket.take() {
                net.close(id);
            }
        }
        if let Some(timer) = self.timer.take() {
            net.stop_timer(timer);
        }
    }

    /// Takes in that a socket opened. Returns true if it is of an attempt: it is the program's from
    /// now on, and the other attempts are closed.
    pub fn on_open<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
    ) -> bool {
        let is_ours = self.forget(id);
        if is_ours {
            self.stop(net);
        }
        is_ours
    }

    /// Takes in that a connect failed, and tries the next address, if it was of an attempt.
    pub fn on_connect_error<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        to: Endpoint<'_>,
        context: C,
        id: SocketId,
        error: Error,
    ) -> Connecting {
        if !self.forget(id) {
            return self.state();
        }
        self.error = error;
        self.try_next(net, to, context)
    }

    /// Takes in that a timer is due, and tries the next address, if it is this one's.
    pub fn on_timer<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        to: Endpoint<'_>,
        context: C,
        timer: TimerId,
    ) -> Connecting {
        if self.timer != Some(timer) {
            return self.state();
        }
        self.timer = None;
        self.try_next(net, to, context)
    }

    /// Starts the next attempt that can be started, and the time until the one after it.
    fn try_next<P: Platform, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        mut to: Endpoint<'_>,
        context: C,
    ) -> Connecting {
        if let Some(timer) = self.timer.take() {
            net.stop_timer(timer);
        }
        while let Some(&Some(addr)) = self.addrs.get(self.next) {
            to.addr = addr;
            match net.connect(to, context) {
                Ok(id) => {
                    if let Some(socket) = self.sockets.get_mut(self.next) {
                        *socket = Some(id);
                    }
                    self.next = self.next.saturating_add(1);
                    self.start_timer(net);
                    break;
                }
                // While others are under way, it is tried again when one of them has failed.
                Err(Error::Full | Error::Exhausted) if self.is_under_way() => {
                    self.start_timer(net);
                    break;
                }
                Err(error) => {
                    self.error = error;
                    self.next = self.next.saturating_add(1);
                }
            }
        }
        self.state()
    }

    /// Starts the time until the next attempt, if there is another. Without a slot for it, the next
    /// attempt is made when one has failed.
    fn start_timer<P: Platform, C: Copy + PartialEq>(&mut self, net: &mut Net<'_, P, C>) {
        if matches!(self.addrs.get(self.next), Some(Some(_))) {
            self.timer = net.start_timer(self.delay, Duration::ZERO).ok();
        }
    }

    /// Takes an attempt out of those under way. Returns true if it was one.
    fn forget(&mut self, id: SocketId) -> bool {
        let mut sockets = self.sockets.iter_mut();
        let own = sockets.find(|socket| **socket == Some(id));
        own.and_then(Option::take).is_some()
    }

    fn is_under_way(&self) -> bool {
        self.sockets.iter().any(Option::is_some)
    }

    fn state(&self) -> Connecting {
        if self.is_under_way() || self.timer.is_some() {
            return Connecting::UnderWay;
        }
        Connecting::Failed(self.error)
    }
}
