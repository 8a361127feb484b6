//! A connection whose peer is written by hand, segment by segment.

use usockets::Instant;
use usockets_smoltcp::tcp::{Events, Flags, Options, Settings, State, Timestamps};

use crate::host::{Host, Packet};

/// The peer's initial sequence number.
pub(crate) const IRS: u32 = 1_000;
/// Ours.
pub(crate) const ISS: u32 = 5_000;
/// The first octet of each side.
pub(crate) const THEIRS: u32 = IRS + 1;
pub(crate) const OURS: u32 = ISS + 1;
/// MSS of both sides.
pub(crate) const MSS: u16 = 1_460;

/// A connection and its clock.
pub(crate) struct Script {
    pub(crate) host: Host,
    pub(crate) now: u64,
    /// Events of the last call.
    pub(crate) events: Events,
    /// What the peer's segments carry, if timestamps are in use.
    pub(crate) peer_clock: Option<u32>,
    last_value: u32,
}

impl Script {
    /// A closed connection with buffers of 64 KiB.
    pub(crate) fn new() -> Self {
        Self::with(Host::new(65_536, 65_535))
    }

    pub(crate) fn with(host: Host) -> Self {
        Self {
            host,
            now: 10_000_000,
            events: Events::NONE,
            peer_clock: None,
            last_value: 0,
        }
    }

    /// Settings without options that change segments' sizes.
    pub(crate) fn plain() -> Settings {
        Settings::new(MSS).timestamps(false).nagle(false)
    }

    /// A connection that has accepted a peer with the given settings and options on its SYN.
    pub(crate) fn accepted(host: Host, settings: &Settings, options: Options) -> Self {
        Self::accepted_in(10_000, host, settings, options)
    }

    /// … in a round trip of so many microseconds.
    pub(crate) fn accepted_in(
        round_trip: u64,
        host: Host,
        settings: &Settings,
        options: Options,
    ) -> Self {
        let mut script = Self::with(host);
        script.peer_clock = options.timestamps.map(|stamps| stamps.value);
        let syn = Packet::new(Flags::SYN, IRS, 0).options(options);
        let now = script.now();
        script.host.accept(now, settings, ISS, &syn);
        let answer = script.sent();
        assert_eq!(answer.len(), 1);
        assert!(answer[0].has(Flags::SYN | Flags::ACK));
        script.now += round_trip;
        assert!(script.get(script.ack(OURS)).is_empty());
        assert!(script.events.has(Events::ESTABLISHED));
        script
    }

    /// The usual one: MSS and SACK, 64 KiB each way.
    pub(crate) fn established() -> Self {
        Self::accepted(Host::new(65_536, 65_535), &Self::plain(), options(true))
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    pub(crate) fn state(&self) -> State {
        self.host.tcp.state()
    }

    /// A bare acknowledgement from the peer, at its first octet.
    pub(crate) fn ack(&self, number: u32) -> Packet {
        Packet::new(Flags::ACK, THEIRS, number)
    }

    /// Gives a segment to the connection and returns what it sends at once.
    pub(crate) fn get(&mut self, mut packet: Packet) -> Vec<Packet> {
        if let Some(clock) = self.peer_clock
            && packet.options.timestamps.is_none()
        {
            packet.options.timestamps = Some(Timestamps {
                value: clock,
                echo: self.last_value,
            });
        }
        self.events = self.host.on_packet(self.now(), &packet);
        self.sent()
    }

    /// What the connection has to send now.
    pub(crate) fn sent(&mut self) -> Vec<Packet> {
        let sent = self.host.transmit(self.now());
        for packet in &sent {
            if let Some(stamps) = packet.options.timestamps {
                self.last_value = stamps.value;
            }
        }
        sent
    }

    /// Lets the owner send so many octets, and returns what leaves.
    pub(crate) fn write(&mut self, len: usize) -> Vec<Packet> {
        let data: Vec<u8> = (0..len).map(|place| place as u8).collect();
        assert_eq!(self.host.send(&data), len);
        self.sent()
    }

    /// Lets time pass, with what is due in it; returns when and what was sent.
    pub(crate) fn wait(&mut self, micros: u64) -> Vec<(u64, Packet)> {
        let end = self.now + micros;
        let (start, mut sent) = (self.now, Vec::new());
        while let Some(due) = self.host.tcp.deadline().map(Instant::as_micros) {
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            let now = self.now();
            self.events = self.events.with(self.host.on_timer(now));
            let at = self.now - start;
            sent.extend(self.sent().into_iter().map(|packet| (at, packet)));
        }
        self.now = end;
        sent
    }

    /// Goes on to the next deadline; returns after how long it came, and what was sent.
    pub(crate) fn next(&mut self) -> (u64, Vec<Packet>) {
        let Some(due) = self.host.tcp.deadline() else {
            panic!("nothing is waited for: {:?}", self.host.tcp);
        };
        let due = due.as_micros().max(self.now);
        let after = due - self.now;
        self.now = due;
        let now = self.now();
        self.events = self.host.on_timer(now);
        (after, self.sent())
    }
}

/// Options of a SYN: MSS, and SACK if asked for.
pub(crate) fn options(sack: bool) -> Options {
    Options {
        mss: Some(MSS),
        sack_permitted: sack,
        ..Options::NONE
    }
}
