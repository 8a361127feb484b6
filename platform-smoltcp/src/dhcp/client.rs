//! The protocol of a client (RFC 2131, section 4.4), without sockets and without a clock.

use core::net::Ipv4Addr;

use usockets::{Duration, Instant};

use crate::dhcp::lease::Lease;
use crate::hash::Secret;
use crate::ip::NEVER;
use crate::number::low;
use crate::random::Random;
use crate::wire::dhcp::{Dhcp, Kind};
use crate::wire::ethernet::Mac;

/// Longest wait before the first message. RFC 2131, section 4.4.1, asks for up to ten seconds, so
/// that machines which start together do not ask together; for one machine that is long.
const START_WAIT_MICROS: u64 = 1_000_000;
/// First and longest wait for an answer, each drawn a second earlier or later (section 4.1).
const ANSWER_WAIT: Duration = Duration::from_secs(4);
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(64);
/// Requests without an answer after which servers are looked for again.
const REQUESTS_MAX: u8 = 4;
/// Least wait for an answer while there is time (section 4.4.5).
const RENEW_WAIT: Duration = Duration::from_secs(60);
/// Wait after an address was found in use (section 3.1, item 5).
const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// Questions whether an address is in use, and the wait after each. RFC 5227 asks for three over
/// six seconds, which no boot waits for.
const PROBES: u8 = 2;
const PROBE_WAIT: Duration = Duration::from_millis(500);

/// What a client wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Send a message from port 68 to port 67.
    Send {
        /// To whom; the broadcast address for all.
        to: Ipv4Addr,
        /// Bytes of it, at the front of the buffer that was given.
        len: usize,
    },
    /// Ask the link whether somebody has an address, and tell
    /// [`DhcpClient::on_conflict`] if somebody does.
    Probe(Ipv4Addr),
    /// Take an address on, or new values of the one that it has.
    Configure(Lease),
    /// Give the address up.
    Deconfigure,
    /// Nothing before then, unless a message comes.
    Wait(Instant),
}

/// Where a client is (RFC 2131, figure 5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing is known.
    Init,
    /// Servers are looked for.
    Selecting,
    /// The one that has offered this is asked for it.
    Requesting(Lease),
    /// It was given, and the link is asked whether somebody has it.
    Probing { lease: Lease, probes: u8 },
    /// The address is ours.
    Bound(Lease),
    /// Its server is asked for more time.
    Renewing(Lease),
    /// Any server is.
    Rebinding(Lease),
}

/// A DHCPv4 client (RFC 2131).
///
/// It keeps no buffer and makes no call: [`Self::poll`] says what to do, [`Self::on_message`] takes
/// what comes to port 68. [`Self::serve`] does both on a socket of a [`Stack`](crate::Stack).
/// Leases of an earlier start are not asked for again, and servers are not asked for more than an
/// address, a mask, routers, and servers of names and of time.
#[derive(Debug)]
pub struct DhcpClient {
    mac: Mac,
    random: Random,
    state: State,
    transaction: u32,
    /// When the present search began; messages tell how long it has lasted.
    began_at: Option<Instant>,
    /// When the present question was asked first.
    asked_at: Instant,
    /// When something is due.
    due_at: Instant,
    /// Messages sent since the last answer.
    tries: u8,
    /// The stack has an address of ours.
    configured: bool,
    /// An address that the owner is to be told of.
    news: Option<Lease>,
    /// An address that was found in use, and the server that has given it.
    decline: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl DhcpClient {
    /// Makes a client for a hardware address. `secret` is random: transactions that a stranger can
    /// guess are answered by strangers.
    #[must_use]
    pub fn new(mac: Mac, secret: Secret) -> Self {
        let seed = secret.derive(8).hash(&[1]);
        Self {
            mac,
            random: Random::new(seed),
            state: State::Init,
            transaction: 0,
            began_at: None,
            asked_at: Instant::ZERO,
            due_at: Instant::ZERO,
            tries: 0,
            configured: false,
            news: None,
            decline: None,
        }
    }

    /// Returns the lease that holds now.
    #[must_use]
    pub const fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease) => Some(lease),
            _ => None,
        }
    }

    /// Says what is to be done, one thing a call, until it says to wait. A message is written to
    /// the front of `buffer`, which has [`crate::wire::dhcp::MESSAGE_MAX`] bytes.
    pub fn poll(&mut self, now: Instant, buffer: &mut [u8]) -> Action {
        if let Some(lease) = self.news.take() {
            self.configured = true;
            return Action::Configure(lease);
        }
        if self.configured && self.lease().is_none() {
            self.configured = false;
            return Action::Deconfigure;
        }
        if let Some((ip, server)) = self.decline.take() {
            let message = Dhcp {
                requested: Some(ip),
                server: Some(server),
                ..Dhcp::new(Kind::Decline, self.mac, self.transaction)
            };
            return self.send(&message, Ipv4Addr::BROADCAST, buffer);
        }
        if self.began_at.is_none() {
            let micros = self.random.below(START_WAIT_MICROS);
            self.began_at = Some(now);
            self.due_at = now.saturating_add(Duration::from_micros(micros));
            self.due_at = self
                .due_at
                .max(now.saturating_add(Duration::from_micros(1)));
        }
        if now < self.due_at {
            return Action::Wait(self.due_at);
        }
        self.on_due(now, buffer)
    }

    /// Does what the clock has made due.
    fn on_due(&mut self, now: Instant, buffer: &mut [u8]) -> Action {
        match self.state {
            State::Init => {
                self.enter(State::Selecting, now);
                self.poll_question(now, buffer)
            }
            State::Requesting(_) if self.tries >= REQUESTS_MAX => {
                self.enter(State::Selecting, now);
                self.poll_question(now, buffer)
            }
            State::Selecting | State::Requesting(_) => self.poll_question(now, buffer),
            State::Probing { lease, probes } if probes < PROBES => {
                let probes = probes.saturating_add(1);
                self.state = State::Probing { lease, probes };
                self.due_at = now.saturating_add(PROBE_WAIT);
                Action::Probe(lease.ip())
            }
            State::Probing { lease, .. } => {
                self.enter_bound(lease);
                self.news = None;
                self.configured = true;
                Action::Configure(lease)
            }
            State::Bound(lease) | State::Renewing(lease) | State::Rebinding(lease)
                if lease.expires_at.is_some_and(|end| now >= end) =>
            {
                self.restart(now, Duration::ZERO);
                self.configured = false;
                Action::Deconfigure
            }
            State::Bound(lease) => {
                self.began_at = Some(now);
                self.enter(State::Renewing(lease), now);
                self.poll_question(now, buffer)
            }
            State::Renewing(lease) | State::Rebinding(lease) => {
                if now >= lease.rebind_at && matches!(self.state, State::Renewing(_)) {
                    self.enter(State::Rebinding(lease), now);
                }
                self.poll_question(now, buffer)
            }
        }
    }

    /// Enters a state with a question of its own.
    fn enter(&mut self, state: State, now: Instant) {
        // A request keeps the number of the offer that it answers (section 4.3.2).
        if !matches!(state, State::Requesting(_)) {
            self.transaction = low(self.random.next());
        }
        (self.state, self.tries, self.due_at, self.asked_at) = (state, 0, now, now);
    }

    /// Begins anew after a while.
    fn restart(&mut self, now: Instant, wait: Duration) {
        self.began_at = Some(now);
        self.enter(State::Init, now.saturating_add(wait));
    }

    /// Takes a lease on.
    fn enter_bound(&mut self, lease: Lease) {
        self.state = State::Bound(lease);
        self.due_at = lease.renew_at;
        self.tries = 0;
        self.news = Some(lease);
    }

    /// Writes the question of the present state, and sets when it is asked again.
    fn poll_question(&mut self, now: Instant, buffer: &mut [u8]) -> Action {
        let mac = self.mac;
        let all = Ipv4Addr::BROADCAST;
        let (message, to) = match self.state {
            State::Requesting(lease) => {
                let message = Dhcp {
                    requested: Some(lease.ip()),
                    server: Some(lease.server),
                    ..Dhcp::new(Kind::Request, mac, self.transaction)
                };
                (message, all)
            }
            State::Renewing(lease) | State::Rebinding(lease) => {
                let message = Dhcp {
                    client: lease.ip(),
                    ..Dhcp::new(Kind::Request, mac, self.transaction)
                };
                let alone = matches!(self.state, State::Renewing(_));
                (message, if alone { lease.server } else { all })
            }
            _ => (Dhcp::new(Kind::Discover, mac, self.transaction), all),
        };
        let seconds = now.saturating_since(self.began_at.unwrap_or(now)).as_secs();
        let message = Dhcp {
            seconds: u16::try_from(seconds).unwrap_or(u16::MAX),
            // Without an address, only what is for all can be received.
            broadcast: message.client.is_unspecified(),
            ..message
        };
        self.due_at = self.next_try(now);
        self.tries = self.tries.saturating_add(1);
        self.send(&message, to, buffer)
    }

    /// Returns when a question that is asked now is asked again.
    fn next_try(&mut self, now: Instant) -> Instant {
        let half = |until: Instant| {
            let left = until.saturating_since(now);
            let wait = left.checked_div(2).unwrap_or(left).max(RENEW_WAIT);
            now.saturating_add(wait).min(until)
        };
        match self.state {
            State::Renewing(lease) => half(lease.rebind_at),
            State::Rebinding(lease) => half(lease.expires_at.unwrap_or(lease.rebind_at)),
            _ => {
                let factor = 1_u32.checked_shl(self.tries.into()).unwrap_or(u32::MAX);
                let wait = ANSWER_WAIT.saturating_mul(factor).min(ANSWER_WAIT_MAX);
                let drawn = Duration::from_micros(self.random.below(2_000_000));
                let wait = wait.saturating_sub(Duration::from_secs(1));
                now.saturating_add(wait.saturating_add(drawn))
            }
        }
    }

    fn send(&self, message: &Dhcp, to: Ipv4Addr, buffer: &mut [u8]) -> Action {
        match message.emit(buffer) {
            Ok(len) => Action::Send { to, len },
            // The caller's buffer is too small: nothing can ever be sent.
            Err(_) => Action::Wait(NEVER),
        }
    }

    /// Takes a message in that came to port 68. Whatever it says, nothing is believed that was not
    /// asked for.
    pub fn on_message(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(message) = Dhcp::parse(bytes) else {
            return;
        };
        if message.mac != self.mac || message.transaction != self.transaction {
            return;
        }
        match message.kind {
            Kind::Offer => self.on_offer(now, &message),
            Kind::Ack => self.on_ack(now, &message),
            Kind::Nak => self.on_nak(now, &message),
            _ => {}
        }
    }

    /// Takes the first offer that makes sense.
    fn on_offer(&mut self, now: Instant, message: &Dhcp) {
        if self.state == State::Selecting
            && let Some(lease) = Lease::read(message, self.asked_at)
        {
            self.enter(State::Requesting(lease), now);
        }
    }

    fn on_ack(&mut self, now: Instant, message: &Dhcp) {
        let Some(lease) = Lease::read(message, self.asked_at) else {
            return;
        };
        match self.state {
            State::Requesting(offer)
                if lease.ip() == offer.ip() && lease.server == offer.server =>
            {
                self.state = State::Probing { lease, probes: 0 };
                self.due_at = now;
            }
            State::Renewing(old) if lease.ip() == old.ip() && lease.server == old.server => {
                self.enter_bound(lease);
            }
            State::Rebinding(old) if lease.ip() == old.ip() => self.enter_bound(lease),
            _ => {}
        }
    }

    fn on_nak(&mut self, now: Instant, message: &Dhcp) {
        let expected = match self.state {
            State::Requesting(lease) | State::Renewing(lease) => {
                message.server.is_none_or(|server| server == lease.server)
            }
            State::Rebinding(_) => true,
            _ => false,
        };
        if expected {
            // At most one search a while, whatever a server refuses.
            self.restart(now, ANSWER_WAIT);
        }
    }

    /// Notes that another station has the address that is asked for, or the one that is ours: the
    /// server is told, and another one is looked for after a while.
    pub fn on_conflict(&mut self, now: Instant) {
        let (State::Probing { lease, .. }
        | State::Bound(lease)
        | State::Renewing(lease)
        | State::Rebinding(lease)) = self.state
        else {
            return;
        };
        self.restart(now, DECLINE_WAIT);
        self.news = None;
        self.decline = Some((lease.ip(), lease.server));
    }

    /// Gives the address back before its time: returns the message for the server, at the front of
    /// `buffer`, to be sent before the address is given up; `None` without an address. A new one
    /// is looked for only if the client is polled again.
    pub fn release(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(Ipv4Addr, usize)> {
        let lease = *self.lease()?;
        let message = Dhcp {
            client: lease.ip(),
            server: Some(lease.server),
            ..Dhcp::new(Kind::Release, self.mac, low(self.random.next()))
        };
        let len = message.emit(buffer).ok()?;
        self.restart(now, Duration::ZERO);
        self.news = None;
        Some((lease.server, len))
    }
}
