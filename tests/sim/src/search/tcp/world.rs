//! One state of two connections and the network between them, and what can happen in it.

use std::hash::Hash;

use usockets::Instant;
use usockets_smoltcp::tcp::{Events, Flags, Listen, State, Timestamps, Transmit};

use super::end::{End, Sent};
use super::packet::{Packet, TEXT_MAX};
use super::rules::{Forgery, Rules, Start};
use crate::search::{Choices, Fingerprint, Searched};

/// The initial sequence numbers: the one wraps soon, the other changes its sign. No reset without a
/// sequence number is taken for one in the window.
const ISS: [u32; 2] = [u32::MAX - 2, i32::MAX as u32 - 1];
/// When it begins, in milliseconds.
const BEGIN: u64 = 5_000;
/// More segments than this at once are without end.
const SEGMENTS_MAX: u32 = 64;
/// More turns than this do not come to an end.
const TURNS_MAX: u32 = 2_000;

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// A segment comes: of which end, and which of those on their way.
    Deliver(usize, usize),
    Lose(usize, usize),
    /// A segment comes, and stays on its way.
    Copy(usize, usize),
    /// A part of a segment comes, and the whole stays on its way.
    Cut(usize, usize),
    /// The first deadline comes.
    Deadline,
    Write(usize, u32),
    Read(usize, u32),
    End(usize),
    Close(usize),
    Abort(usize),
    /// A third party sends something to an end.
    Forge(usize, Forgery),
}

/// How often the network and others may still interfere.
#[derive(Clone, Copy, Debug, Hash)]
struct Left {
    losses: u8,
    copies: u8,
    cuts: u8,
    times: u8,
    forged: u8,
}

/// One state.
#[derive(Debug)]
pub(in crate::search) struct World {
    pub(super) rules: Rules,
    choices: Choices,
    pub(super) ends: [End; 2],
    /// What is on its way from each.
    pub(super) wires: [Vec<Packet>; 2],
    /// In milliseconds.
    pub(super) now: u64,
    left: Left,
    actions: Vec<Action>,
}

impl Searched for World {
    fn copy_from(&mut self, other: &Self) {
        for (end, from) in self.ends.iter_mut().zip(&other.ends) {
            end.copy_from(from);
        }
        for (wire, from) in self.wires.iter_mut().zip(&other.wires) {
            wire.clone_from(from);
        }
        (self.now, self.left) = (other.now, other.left);
    }

    fn step(&mut self) -> Result<bool, String> {
        self.list_actions();
        if self.actions.is_empty() {
            return Ok(false);
        }
        let action = self.actions[self.choices.pick(self.actions.len())];
        let now = self.now;
        self.choices.note(|| format!("at {now} ms: {action:?}"));
        self.begin_step();
        self.act(action)?;
        self.transmit()?;
        self.check_step(action)?;
        self.check()?;
        Ok(true)
    }

    fn fingerprint(&self, into: &mut Fingerprint) {
        let numbers = [self.ends[0].iss, self.ends[1].iss];
        for (number, end) in self.ends.iter().enumerate() {
            end.fingerprint(self.now, numbers[1 - number], into);
            let wire = &self.wires[number];
            wire.len().hash(into);
            for packet in wire {
                let left = (packet.at + self.rules.latency).saturating_sub(self.now);
                let both = (numbers[number], numbers[1 - number]);
                packet.fingerprint(both, self.now, left, into);
            }
        }
        self.left.hash(into);
    }

    fn finish(&mut self) -> Result<(), String> {
        for _ in 0..TURNS_MAX {
            self.begin_step();
            if !self.finish_turn()? {
                return self.check_finished();
            }
            self.transmit()?;
            self.check()?;
        }
        Err("it does not come to an end".into())
    }
}

impl World {
    pub(in crate::search) fn new(rules: Rules, choices: &Choices) -> Self {
        let mut world = Self {
            rules,
            choices: choices.clone(),
            ends: [0, 1].map(|number| End::new(number, ISS[number], &rules)),
            wires: [Vec::new(), Vec::new()],
            now: BEGIN,
            left: Left {
                losses: rules.losses,
                copies: rules.copies,
                cuts: rules.cuts,
                times: rules.times,
                forged: rules.forged,
            },
            actions: Vec::new(),
        };
        let begun = world.begin();
        begun.unwrap_or_else(|wrong| panic!("the beginning: {wrong}"));
        world
    }

    /// Takes the steps before the first state.
    fn begin(&mut self) -> Result<(), String> {
        let (now, rules) = (self.instant(), self.rules);
        self.ends[0].connect(now, &rules);
        if rules.start == Start::Simultaneous {
            self.ends[1].connect(now, &rules);
        }
        self.transmit()?;
        if rules.start == Start::Open {
            while let Some(from) = (0..2).find(|from| !self.wires[*from].is_empty()) {
                self.deliver(from, 0)?;
                self.transmit()?;
            }
        }
        for number in 0..2 {
            let owner = rules.owners[number];
            for octets in owner.first {
                self.ends[number].write(*octets);
                self.transmit()?;
            }
            if owner.ended {
                self.ends[number].facts.ended = true;
                self.ends[number].tcp.shutdown();
                self.transmit()?;
            }
        }
        Ok(())
    }

    const fn instant(&self) -> Instant {
        Instant::from_micros(self.now * 1_000)
    }

    fn begin_step(&mut self) {
        for end in &mut self.ends {
            end.step = Sent {
                before: end.acknowledged().unwrap_or(0),
                ..Sent::default()
            };
        }
    }

    /// Lists what can happen: first what a calm world does.
    fn list_actions(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        for from in 0..2 {
            self.list_of_network(from, &mut actions);
        }
        for number in 0..2 {
            self.list_of_owner(number, &mut actions);
        }
        if self.left.times > 0 && self.first_deadline().is_some() {
            actions.push(Action::Deadline);
        }
        if self.left.forged > 0 {
            for forgery in self.rules.forgeries {
                for to in 0..2 {
                    if self.may_forge(to, *forgery) {
                        actions.push(Action::Forge(to, *forgery));
                    }
                }
            }
        }
        self.actions = actions;
    }

    fn list_of_network(&self, from: usize, actions: &mut Vec<Action>) {
        let wire = &self.wires[from];
        let reach = if self.rules.reorder {
            wire.len()
        } else {
            wire.len().min(1)
        };
        for index in 0..reach {
            if wire[..index].contains(&wire[index]) {
                continue;
            }
            actions.push(Action::Deliver(from, index));
            if self.left.losses > 0 {
                actions.push(Action::Lose(from, index));
            }
            if self.left.copies > 0 {
                actions.push(Action::Copy(from, index));
            }
            if self.left.cuts > 0 && wire[index].len > 1 {
                actions.push(Action::Cut(from, index));
            }
        }
    }

    fn list_of_owner(&self, number: usize, actions: &mut Vec<Action>) {
        let (owner, end) = (&self.rules.owners[number], &self.ends[number]);
        let facts = &end.facts;
        let state = end.tcp.state();
        if !facts.began || facts.aborted || facts.closed {
            return;
        }
        if end.tcp.receive_len() > 0 {
            let reads = owner.reads.iter();
            actions.extend(reads.map(|octets| Action::Read(number, *octets)));
        }
        if state == State::Closed {
            return;
        }
        if !facts.ended {
            let left = facts.writes;
            let writes = owner.pieces.iter().filter(|octets| **octets <= left);
            if !facts.short {
                actions.extend(writes.map(|octets| Action::Write(number, *octets)));
            }
            if owner.ends {
                actions.push(Action::End(number));
            }
        }
        if owner.closes {
            actions.push(Action::Close(number));
        }
        if owner.aborts {
            actions.push(Action::Abort(number));
        }
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Deliver(from, index) => self.deliver(from, index),
            Action::Lose(from, index) => {
                self.left.losses -= 1;
                self.wires[from].remove(index);
                Ok(())
            }
            Action::Copy(from, index) => {
                self.left.copies -= 1;
                self.arrive(from, self.wires[from][index])
            }
            Action::Cut(from, index) => {
                self.left.cuts -= 1;
                let packet = self.wires[from][index];
                let start = self.choices.pick(usize::from(packet.len)) as u16;
                let len = 1 + self.choices.pick(usize::from(packet.len - start)) as u16;
                self.arrive(from, packet.part(start, start + len))
            }
            Action::Deadline => {
                self.left.times -= 1;
                self.on_deadline()
            }
            Action::Write(number, octets) => {
                self.ends[number].facts.writes -= octets;
                self.ends[number].write(octets);
                Ok(())
            }
            Action::Read(number, octets) => self.ends[number].read(octets).map(drop),
            Action::End(number) => {
                self.ends[number].facts.ended = true;
                self.ends[number].tcp.shutdown();
                Ok(())
            }
            Action::Close(number) => {
                let now = self.instant();
                let facts = &mut self.ends[number].facts;
                (facts.ended, facts.closed) = (true, true);
                self.ends[number].with(|tcp, buffers| tcp.close(now, buffers));
                Ok(())
            }
            Action::Abort(number) => {
                self.ends[number].facts.aborted = true;
                self.ends[number].tcp.abort();
                Ok(())
            }
            Action::Forge(to, forgery) => self.forge(to, forgery),
        }
    }

    pub(super) fn deliver(&mut self, from: usize, index: usize) -> Result<(), String> {
        let packet = self.wires[from].remove(index);
        self.arrive(from, packet)
    }

    /// A segment of end `from` comes.
    fn arrive(&mut self, from: usize, packet: Packet) -> Result<(), String> {
        let (to, rules) = (1 - from, self.rules);
        if !packet.forged {
            self.now = self.now.max(packet.at + rules.latency);
        }
        let (now, peer_iss) = (self.instant(), self.ends[from].iss);
        let mut text = [0; TEXT_MAX];
        let segment = packet.segment(from, peer_iss, &mut text);
        let peer = self.ends[from].facts;
        self.choices.note(|| format!("  comes to {to}: {packet}"));
        let end = &mut self.ends[to];
        end.facts.silences = 0;
        if !end.facts.began {
            match Listen::of(&segment) {
                Listen::Open => end.accept(now, &rules, &segment),
                Listen::Reset => self.answer(to, &segment),
                _ => {}
            }
            return Ok(());
        }
        end.note_coming(&packet, (peer_iss, rules.receive as u32));
        let (before, had) = (end.tcp.state(), end.tcp.receive_len());
        let events = end.with(|tcp, buffers| tcp.on_segment(now, &segment, buffers));
        if events.has(Events::ANSWER_RESET) {
            self.answer(to, &segment);
        }
        let end = &mut self.ends[to];
        if end.tcp.receive_len() > had && !events.has(Events::READABLE) {
            return Err("octets come, but it is not reported".into());
        }
        end.on_events(events, &peer)?;
        self.check_state(to, before)?;
        if rules.owners[to].reads.is_empty() && !self.ends[to].facts.closed {
            self.ends[to].read(STREAM)?;
        }
        self.ends[to].check_kept(&self.ends[from].facts)
    }

    /// Answers a segment for which there is no connection.
    fn answer(&mut self, number: usize, segment: &usockets_smoltcp::tcp::Segment<'_>) {
        let full = self.wires[number].len() >= self.rules.in_flight;
        if let Some(reset) = Transmit::reset_for(segment)
            && !full
        {
            self.ends[number].facts.reset = true;
            self.push(number, Packet::new(&reset, self.now));
        }
    }

    pub(super) fn first_deadline(&self) -> Option<u64> {
        let deadlines = self.ends.iter().filter_map(|end| end.tcp.deadline());
        let first = deadlines.min()?.as_micros().div_ceil(1_000);
        Some(first.max(self.now))
    }

    /// The first deadline comes.
    pub(super) fn on_deadline(&mut self) -> Result<(), String> {
        let Some(first) = self.first_deadline() else {
            return Ok(());
        };
        self.now = first;
        let now = self.instant();
        for number in 0..2 {
            let peer = self.ends[1 - number].facts;
            let end = &mut self.ends[number];
            if end.tcp.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            let before = end.tcp.state();
            let events = end.with(|tcp, buffers| tcp.on_timer(now, buffers));
            end.facts.repairs_to = 0;
            end.on_events(events, &peer)?;
            self.check_state(number, before)?;
        }
        Ok(())
    }

    /// Lets the connections send what they can.
    fn transmit(&mut self) -> Result<(), String> {
        let (now, rules) = (self.instant(), self.rules);
        for number in 0..2 {
            while self.wires[number].len() < rules.in_flight {
                let end = &mut self.ends[number];
                let Some(sent) = end.with(|tcp, buffers| tcp.poll_transmit(now, 0, buffers)) else {
                    break;
                };
                let peer = (self.ends[1 - number].facts, self.ends[1 - number].iss);
                let end = &mut self.ends[number];
                end.on_sent(&sent, &peer.0, (peer.1, &rules))?;
                if end.step.segments > SEGMENTS_MAX {
                    return Err("segments without end".into());
                }
                let mut packet = Packet::new(&sent, self.now);
                if rules.scaled && number == 1 {
                    scale(&mut packet);
                }
                self.choices.note(|| format!("  {number} sends: {packet}"));
                self.push(number, packet);
            }
            if rules.rests {
                self.ends[number].rest();
            }
        }
        Ok(())
    }

    fn push(&mut self, from: usize, packet: Packet) {
        let wire = &mut self.wires[from];
        wire.push(packet);
        if self.rules.reorder {
            let (iss, irs) = (self.ends[from].iss, self.ends[1 - from].iss);
            wire.sort_by_key(|packet| packet.key(iss, irs));
        }
    }

    fn may_forge(&self, to: usize, forgery: Forgery) -> bool {
        let end = &self.ends[to];
        let state = end.tcp.state();
        let open = matches!(
            state,
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait
        );
        match forgery {
            Forgery::ResetOfTimeWait => state == State::TimeWait,
            Forgery::Reset | Forgery::Old => open && end.facts.edge > end.next() + 1,
            Forgery::Ack | Forgery::Syn => open,
        }
    }

    /// A third party sends something to an end, which must not believe it.
    fn forge(&mut self, to: usize, forgery: Forgery) -> Result<(), String> {
        self.left.forged -= 1;
        let (end, peer) = (&self.ends[to], &self.ends[1 - to]);
        let left = peer.iss.plus(1).plus(end.next());
        let next = end.iss.plus(1).plus(end.facts.sent);
        let now = self.now;
        let mut packet = match forgery {
            Forgery::Reset => Packet::forged(Flags::RST, left.plus(1), next, now),
            Forgery::Ack => Packet::forged(Flags::ACK, left, next.plus(2), now),
            Forgery::Old => Packet::forged(Flags::ACK, left, next, now),
            Forgery::Syn => Packet::forged(Flags::SYN, left, next, now),
            Forgery::ResetOfTimeWait => Packet::forged(Flags::RST, left, next, now),
        };
        let times = self.rules.timestamps;
        packet.options.timestamps = times.then_some(Timestamps {
            value: now as u32,
            echo: now as u32,
        });
        if forgery == Forgery::Old {
            packet.len = 1;
            if let Some(stamps) = &mut packet.options.timestamps {
                stamps.value = BEGIN as u32 - 1;
            }
        }
        let (state, taken) = (end.tcp.state(), end.taken());
        self.arrive(1 - to, packet)?;
        let end = &mut self.ends[to];
        if end.tcp.state() != state || end.taken() != taken {
            return Err(format!("a forged segment is believed: {forgery:?}"));
        }
        Ok(())
    }
}

/// More than any stream.
pub(super) const STREAM: u32 = 512;

/// Makes the sender of a segment one whose windows are told in units of two octets.
fn scale(packet: &mut Packet) {
    if packet.flags.has(Flags::SYN) {
        packet.options.window_scale = Some(1);
    } else {
        packet.window >>= 1;
    }
}
