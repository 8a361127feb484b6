//! How connections end: in order if the peer lets them, in bounded time if not.

use usockets::{Duration, Endpoint, Error, Platform, Recv};
use usockets_smoltcp::{Faults, Limits, SizeClass};
use usockets_tests::smoltcp::forge::{ACK, FIN, PSH, RST, SYN, Seg, Stage, arp};
use usockets_tests::smoltcp::{A4, B4, Habit, Recipe, World, a4, b4, pattern, secs, seed};

/// A stack with one connection from `a4(1)` to `b4(80)`, and the hand that holds its other end.
struct Talk {
    stage: Stage,
    id: u64,
    mine: u32,
    theirs: u32,
}

impl Talk {
    fn new(recipe: &Recipe) -> Self {
        Self::at(recipe, &Endpoint::tcp(b4(80)))
    }

    fn at(recipe: &Recipe, at: &Endpoint<'_>) -> Self {
        let mut stage = Stage::new(recipe);
        stage.host.tidy = false;
        stage.host.listen(at, Habit::Keep);
        let (mine, theirs) = stage.handshake(a4(1), b4(80), 99);
        let id = *stage.host.conns.keys().next().unwrap();
        Self {
            stage,
            id,
            mine,
            theirs,
        }
    }

    /// Sends a segment whose numbers are the next but for `ahead` bytes of theirs.
    fn say(&mut self, control: u8, ahead: u32, window: u16, payload: &[u8]) {
        let seg = Seg::new(a4(1), b4(80), control, self.mine, self.theirs + ahead);
        self.stage.seg(&seg.window(window).payload(payload));
        let end = u32::from(control & FIN != 0);
        self.mine += payload.len() as u32 + end;
    }

    fn push(&mut self, bytes: &[u8], finish: bool) {
        self.stage.host.push(self.id, bytes, finish);
        self.stage.host.step();
    }

    fn close(&mut self) {
        self.stage.host.close(self.id);
        self.stage.host.step();
    }

    /// Lets time pass, in which the hand stays known as a neighbour.
    fn pass(&mut self, time: Duration) {
        let mut left = time;
        while left > Duration::ZERO {
            self.stage.send(&arp(1, A4, 1, B4));
            let step = left.min(secs(10));
            self.stage.pass(step);
            left -= step;
        }
        self.stage.send(&arp(1, A4, 1, B4));
    }

    fn error(&mut self) -> Option<Error> {
        self.stage.host.conn(self.id).error
    }

    fn free(&self) -> usize {
        self.stage.host.net.free_count()
    }
}

fn has(segs: &[Seg], control: u8) -> bool {
    segs.iter().any(|seg| seg.control & control != 0)
}

fn payload(segs: &[Seg]) -> usize {
    segs.iter().map(|seg| seg.payload.len()).sum()
}

/// The limit on answers runs from what asks for one, however long it was quiet before.
#[test]
fn ending_after_a_long_silence_is_in_order() {
    for keepalive in [None, Some(secs(600))] {
        for closes in [false, true] {
            for peer_first in [false, true] {
                let mut at = Endpoint::tcp(b4(80));
                at.keepalive = keepalive;
                let mut talk = Talk::at(&Recipe::new(2), &at);
                talk.push(b"hello", false);
                talk.say(ACK, 5, 8_192, b"");
                talk.theirs += 5;
                if peer_first {
                    talk.say(FIN | ACK, 0, 8_192, b"");
                }
                talk.pass(secs(130));
                talk.stage.segs();
                if closes {
                    talk.close();
                } else {
                    talk.push(b"", true);
                }
                talk.pass(secs(1));
                let sent = talk.stage.segs();
                assert!(has(&sent, FIN) && !has(&sent, RST));
                talk.say(ACK, 1, 8_192, b"");
                talk.theirs += 1;
                if !peer_first {
                    talk.say(FIN | ACK, 0, 8_192, b"");
                }
                assert!(!has(&talk.stage.segs(), RST));
                if !closes {
                    assert_eq!(talk.error(), None);
                    talk.close();
                }
                talk.pass(secs(61));
                assert_eq!(talk.free(), 64);
            }
        }
    }
}

/// A FIN that is never acknowledged: its owner learns so after the limit, and not before.
#[test]
fn a_fin_without_answer_fails_in_time() {
    for peer_first in [false, true] {
        let mut recipe = Recipe::new(2);
        recipe.limits = Limits::DEFAULT.answer(secs(40));
        let mut talk = Talk::new(&recipe);
        if peer_first {
            talk.say(FIN | ACK, 0, 8_192, b"");
        }
        talk.pass(secs(100));
        talk.push(b"bye", true);
        talk.pass(secs(10));
        talk.say(ACK, 3, 8_192, b"");
        talk.pass(secs(39));
        assert_eq!(talk.error(), None);
        talk.stage.segs();
        talk.pass(secs(3));
        // Who has read the peer's end has nothing more to learn.
        let told = if peer_first {
            None
        } else {
            Some(Error::TimedOut)
        };
        assert_eq!(talk.error(), told);
        assert!(has(&talk.stage.segs(), RST), "the peer is told");
        talk.close();
        assert_eq!(talk.free(), 64);
    }
}

/// A peer that lives but does not take our FIN yet, as with its window closed, is not given up.
#[test]
fn a_peer_that_repeats_itself_while_our_fin_is_out_is_alive() {
    let mut talk = Talk::new(&Recipe::new(2));
    talk.push(b"", true);
    for _ in 0..40 {
        talk.pass(secs(10));
        talk.say(ACK, 0, 0, b"");
    }
    assert_eq!(talk.error(), None);
    talk.stage.segs();
    talk.pass(secs(70));
    assert!(has(&talk.stage.segs(), FIN), "and is asked on");
    talk.say(ACK, 1, 8_192, b"");
    talk.pass(secs(300));
    assert_eq!(talk.error(), None);
}

/// Duplicates of the last acknowledgement, by the network or by repeated segments, do not end the
/// repetition of a lost FIN.
#[test]
fn a_lost_fin_is_sent_again_whatever_is_duplicated() {
    for peer_ends in [false, true] {
        for copies in [3, 4, 9] {
            let mut talk = Talk::new(&Recipe::new(2));
            talk.push(b"last", true);
            if peer_ends {
                talk.say(FIN | ACK, 4, 8_192, b"");
            }
            talk.stage.segs();
            for _ in 0..=copies {
                talk.say(ACK, 4, 8_192, b"");
            }
            talk.pass(secs(5));
            assert!(has(&talk.stage.segs(), FIN), "{peer_ends} {copies}");
            talk.say(ACK, 5, 8_192, b"");
            talk.pass(secs(150));
            assert_eq!(talk.error(), None);
        }
    }
}

/// A keep-alive probe (RFC 9293, section 3.8.4) looks like a duplicate and wants an answer.
#[test]
fn keep_alive_probes_are_answered_while_our_fin_is_out() {
    let mut talk = Talk::new(&Recipe::new(2));
    talk.push(b"", true);
    talk.pass(secs(1));
    talk.stage.segs();
    talk.mine -= 1;
    talk.say(ACK, 0, 8_192, b"");
    assert_eq!(talk.stage.segs().len(), 1);
}

/// A peer that shuts its window and answers every probe holds a slot no longer than the limit.
#[test]
fn what_nobody_takes_is_given_up_after_the_limit() {
    for control in [ACK, FIN | ACK] {
        let mut talk = Talk::new(&Recipe::new(2));
        talk.say(control, 0, 0, b"");
        talk.push(&[7; 2_000], false);
        talk.close();
        let (mut told, mut seconds) = (Vec::new(), 0);
        while talk.free() < 64 {
            assert!(seconds < 200, "for ever");
            // One byte a minute.
            talk.say(ACK, seconds / 60, 0, b"");
            talk.pass(secs(1));
            told.extend(talk.stage.segs());
            seconds += 1;
        }
        assert!((119..=125).contains(&seconds), "after {seconds} s");
        assert!(has(&told, RST), "the peer is told");
    }
}

/// Slow is not stopped: a segment a minute comes through.
#[test]
fn what_is_taken_slowly_is_delivered() {
    let mut talk = Talk::new(&Recipe::new(2));
    talk.say(ACK, 0, 0, b"");
    talk.push(&[7; 4_000], false);
    talk.close();
    for taken in 1..=8 {
        talk.pass(secs(50));
        assert_eq!(talk.free(), 63, "{taken}");
        talk.stage.segs();
        talk.say(ACK, (taken - 1) * 500, 500, b"");
        // So little is not worth a segment at once (RFC 9293, section 3.8.6.2.1).
        talk.pass(secs(1));
        let sent = talk.stage.segs();
        let first = sent.iter().find(|seg| !seg.payload.is_empty());
        assert_eq!(first.map(|seg| seg.payload.len()), Some(500), "{taken}");
        talk.say(ACK, taken * 500, 0, b"");
    }
    assert_eq!(talk.free(), 63);
    talk.pass(secs(1));
    assert!(has(&talk.stage.segs(), FIN));
}

/// Connections that deliver nothing make place for peers that are real, the others stay.
#[test]
fn connections_that_are_stuck_make_place() {
    for cookies in [false, true] {
        let mut recipe = Recipe::new(2).classes(&[SizeClass::new(8, 2_000, 2_000)]);
        recipe.cookies = cookies;
        let mut stage = Stage::new(&recipe);
        stage.host.tidy = false;
        stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
        let mut held = Vec::new();
        for port in 1..=8 {
            let (mine, theirs) = stage.handshake(a4(port), b4(80), 99);
            let id = *stage.host.conns.keys().next_back().unwrap();
            stage.seg(&Seg::new(a4(port), b4(80), ACK, mine, theirs).window(0));
            stage.host.push(id, &[7; 2_000], false);
            stage.host.step();
            held.push((id, mine, theirs));
        }
        // One keeps its owner, the others are closed.
        for (id, ..) in &held[1..] {
            stage.host.close(*id);
        }
        stage.host.step();
        let refused = |stage: &mut Stage| {
            stage.segs();
            stage.host.try_connect(&Endpoint::tcp(a4(9)), b"") == Err(Error::Exhausted)
        };
        assert!(refused(&mut stage), "they may still be taken");
        let mut taken = 0;
        for _ in 1..=12 {
            stage.pass(secs(1));
            let last = held[7].2;
            for seg in stage.segs().iter().filter(|seg| seg.to == a4(8)) {
                let end = seg.seq.wrapping_sub(last) + seg.payload.len() as u32;
                taken = taken.max(end);
            }
            for (port, (_, mine, theirs)) in (1..).zip(&held) {
                // The last takes a little, the others only answer probes.
                let (taken, window) = if port == 8 { (taken, 150) } else { (0, 0) };
                let ack = Seg::new(a4(port), b4(80), ACK, *mine, *theirs + taken);
                stage.seg(&ack.window(window));
            }
        }
        stage.segs();
        assert_eq!(stage.host.net.counters().stuck_evicted, 0);
        for port in 11..=16 {
            stage.handshake(a4(port), b4(80), 99);
        }
        assert_eq!(stage.host.net.counters().stuck_evicted, 6);
        assert_eq!(stage.host.conn(held[0].0).error, None);
        assert!(refused(&mut stage), "what goes on is left alone");
    }
}

/// What smoltcp probes with when one byte is left and then the end.
#[test]
fn a_probe_with_the_last_byte_and_the_end_is_answered() {
    let recipe = Recipe::new(2).classes(&[SizeClass::new(4, 100, 100)]);
    let mut talk = Talk::new(&recipe);
    let id = talk.id;
    talk.stage.host.conn(id).habit = Habit::Deaf;
    talk.say(ACK | PSH, 0, 8_192, &[9; 100]);
    talk.pass(secs(1));
    talk.stage.segs();
    for _ in 0..3 {
        talk.pass(secs(1));
        talk.say(FIN | ACK, 0, 8_192, b"!");
        talk.mine -= 2;
        let answers = talk.stage.segs();
        assert_eq!(answers.len(), 1);
        assert_eq!((answers[0].ack, answers[0].window), (talk.mine, 0));
    }
    talk.stage.host.conn(id).habit = Habit::Keep;
    talk.stage.host.drain(id);
    talk.stage.host.step();
    assert_eq!(talk.stage.segs()[0].window, 100);
    talk.say(FIN | ACK, 0, 8_192, b"!");
    assert!(talk.stage.host.conn(id).ended);
    assert_eq!(talk.stage.host.conn(id).received.len(), 101);
}

#[test]
fn a_reader_late_for_the_last_byte_is_waited_for() {
    let classes = [SizeClass::new(4, 100, 4_000)];
    let recipes = [1, 2].map(|host| Recipe::new(host).classes(&classes));
    let mut world = World::of(Faults::NONE, seed(1), &recipes[0], &recipes[1]);
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Deaf);
    let bytes = pattern(101, 5);
    let id = world.a.connect(&Endpoint::tcp(b4(80)), &bytes);
    world.a.conn(id).finish = true;
    world.pass(secs(600));
    assert_eq!(world.a.conn(id).error, None);
    let other = *world.b.conns.keys().next().unwrap();
    world.b.conn(other).habit = Habit::Keep;
    world.b.drain(other);
    world.run(secs(60), |world| world.b.conn(other).ended);
    assert!(world.b.conn(other).received == bytes);
}

/// Receives a few bytes, as an owner does that yields to others, and the rest a little later.
fn read_in_parts(stage: &mut Stage, id: u64) -> Vec<u8> {
    let mut few = [0; 3];
    let socket = &mut stage.host.conns.get_mut(&id).unwrap().socket;
    let drained = false;
    let first = stage.host.net.recv(socket, &mut few);
    assert_eq!(first, Ok(Recv::Data { len: 3, drained }));
    stage.pass(Duration::from_millis(50));
    stage.host.conn(id).habit = Habit::Keep;
    stage.host.drain(id);
    let conn = stage.host.conn(id);
    assert_eq!((conn.ended, conn.error), (true, None));
    [&few, &conn.received[..]].concat()
}

/// What came stays for an owner who finished as soon as the connection was open.
#[test]
fn a_client_that_finished_at_once_may_read_late() {
    for late in [1, 3, 5, 8, 12, 60] {
        let mut stage = Stage::new(&Recipe::new(2));
        stage.host.tidy = false;
        let to = Endpoint::tcp(a4(9)).source(b4(7_000));
        let id = stage.host.connect(&to, b"request");
        stage.host.conn(id).habit = Habit::Deaf;
        stage.host.conn(id).finish = true;
        stage.host.step();
        let theirs = stage.segs()[0].seq + 1;
        stage.seg(&Seg::new(a4(9), b4(7_000), SYN | ACK, 499, theirs));
        assert!(has(&stage.segs(), FIN));
        let end = Seg::new(a4(9), b4(7_000), FIN | ACK, 500, theirs + 8);
        stage.seg(&end.payload(b"treasure"));
        stage.pass(secs(late));
        assert_eq!(read_in_parts(&mut stage, id), b"treasure", "{late} s");
        stage.host.close(id);
        stage.pass(secs(61));
        assert_eq!(stage.host.net.free_count(), 64);
    }
}

#[test]
fn an_owner_late_by_an_hour_still_finds_what_came() {
    for minutes in [20, 36, 40, 70, 75] {
        let mut talk = Talk::new(&Recipe::new(2));
        talk.stage.host.conn(talk.id).habit = Habit::Deaf;
        talk.push(b"", true);
        talk.say(FIN | ACK, 1, 8_192, b"treasure");
        for _ in 0..minutes * 60 {
            talk.stage.wire.pass(secs(1));
            talk.stage.host.step();
        }
        talk.pass(secs(1));
        assert_eq!(
            read_in_parts(&mut talk.stage, talk.id),
            b"treasure",
            "{minutes} min"
        );
        talk.close();
        talk.pass(secs(11));
        assert_eq!(talk.free(), 64);
    }
}

#[test]
fn a_loop_that_stalls_after_the_peers_end_loses_nothing() {
    for stall in [1, 3, 30] {
        let mut talk = Talk::new(&Recipe::new(2));
        talk.stage.host.conn(talk.id).habit = Habit::Deaf;
        talk.push(b"", true);
        let end = Seg::new(a4(1), b4(80), FIN | ACK, talk.mine, talk.theirs + 1);
        talk.stage
            .hand
            .inject(&end.payload(b"treasure").frame(1, 2));
        talk.stage.host.step();
        talk.stage.wire.pass(secs(stall));
        talk.stage.host.step();
        assert_eq!(
            read_in_parts(&mut talk.stage, talk.id),
            b"treasure",
            "{stall} s"
        );
    }
}

/// RFC 9293, section 3.8.6.1: as from a peer that is out of memory for what it promised to take.
#[test]
fn a_window_shut_over_what_is_on_its_way_is_probed() {
    let intervals = [None, Some(secs(30)), Some(secs(600))];
    for (keepalive, finish) in intervals
        .into_iter()
        .flat_map(|every| [(every, false), (every, true)])
    {
        let mut at = Endpoint::tcp(b4(80));
        at.keepalive = keepalive;
        let mut talk = Talk::at(&Recipe::new(2), &at);
        talk.push(&[7; 2_000], finish);
        talk.stage.segs();
        talk.say(ACK, 0, 0, b"");
        for _ in 0..300 {
            talk.pass(secs(1));
            let asked = talk.stage.segs();
            if payload(&asked) > 0 {
                // What was sent before serves as the probe (RFC 9293, section 3.8.6).
                let first = talk.theirs;
                assert!(asked.iter().all(|seg| seg.seq.wrapping_sub(first) < 2_000));
                talk.say(ACK, 0, 0, b"");
            }
        }
        assert_eq!(talk.error(), None);
        // The update is lost, the next probe's answer tells.
        talk.pass(secs(70));
        assert!(payload(&talk.stage.segs()) > 0, "still probing");
        let (mut taken, mut ended) = (0, false);
        while taken < 2_000 {
            talk.say(ACK, taken, 8_192, b"");
            let sent = talk.stage.segs();
            assert!(payload(&sent) > 0, "after {taken}");
            taken += payload(&sent) as u32;
            ended |= has(&sent, FIN);
        }
        assert_eq!((taken, ended), (2_000, finish));
    }
}

/// The same after the peer's end: CLOSE-WAIT goes on until nothing is left to be told of.
#[test]
fn the_last_words_after_the_peers_end_are_sent_as_all_others() {
    for closes in [false, true] {
        let mut talk = Talk::new(&Recipe::new(2));
        talk.say(FIN | ACK, 0, 0, b"");
        talk.push(&[7; 2_000], false);
        if closes {
            talk.close();
        } else {
            talk.push(b"", true);
        }
        // A limit is on what its owner has closed.
        for _ in 0..if closes { 100 } else { 300 } {
            talk.pass(secs(1));
            if payload(&talk.stage.segs()) > 0 {
                talk.say(ACK, 0, 0, b"");
            }
        }
        talk.say(ACK, 0, 8_192, b"");
        let sent = talk.stage.segs();
        assert_eq!(payload(&sent), 2_000, "the update is heard");
        for _ in 0..3 {
            talk.say(ACK, 536, 8_192, b"");
        }
        talk.say(ACK, 536, 8_192, b"");
        let again = talk.stage.segs();
        let first = talk.theirs + 536;
        assert!(
            again
                .iter()
                .any(|seg| seg.seq == first && seg.payload.len() == 536)
        );
        talk.say(ACK, 2_000, 8_192, b"");
        assert!(has(&talk.stage.segs(), FIN));
        talk.say(ACK, 2_001, 8_192, b"");
        if !closes {
            assert_eq!(talk.error(), None);
            talk.close();
        }
        assert_eq!(talk.free(), 64);
    }
}

/// An end after a short answer waits for no acknowledgement.
#[test]
fn a_short_answer_after_the_peers_end_has_its_end_with_it() {
    for closes in [false, true] {
        let mut talk = Talk::new(&Recipe::new(2));
        talk.say(FIN | ACK, 0, 8_192, b"");
        talk.stage.host.push(talk.id, b"bye", !closes);
        if closes {
            talk.close();
        }
        talk.stage.host.step();
        let sent = talk.stage.segs();
        let last = sent.last().unwrap();
        assert_eq!((last.payload.len(), last.control & FIN), (3, FIN));
        talk.say(ACK, 4, 8_192, b"");
        if !closes {
            assert!(talk.stage.host.conn(talk.id).is_done());
            assert_eq!(talk.error(), None);
            talk.close();
        }
        assert_eq!(talk.free(), 64);
    }
}

/// RFC 5961, section 3.2: the number it must have is the one after what has come.
#[test]
fn a_reset_right_behind_data_counts() {
    for late in [false, true] {
        let mut talk = Talk::new(&Recipe::new(2));
        let data = Seg::new(a4(1), b4(80), ACK | PSH, talk.mine, talk.theirs);
        let reset = Seg::new(a4(1), b4(80), RST, talk.mine + 4, 0);
        talk.stage.hand.inject(&data.payload(b"last").frame(1, 2));
        if late {
            talk.stage.host.step();
        }
        talk.stage.hand.inject(&reset.frame(1, 2));
        talk.stage.host.step();
        talk.stage.host.step();
        assert_eq!(talk.error(), Some(Error::Reset));
        assert_eq!(talk.stage.host.conn(talk.id).received, b"last");
        assert!(
            talk.stage.segs().is_empty(),
            "nothing is said to who is gone"
        );
    }
}

/// A completed handshake is no half-open connection, even if a burst brings both it and floods.
#[test]
fn a_handshake_completed_in_the_midst_of_a_burst_is_kept() {
    let mut recipe = Recipe::new(2).classes(&[SizeClass::new(8, 500, 500).half_open(3)]);
    recipe.cookies = false;
    let mut stage = Stage::new(&recipe);
    stage.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    stage.seg(&Seg::new(a4(1), b4(80), SYN, 99, 0));
    let theirs = stage.segs()[0].seq + 1;
    let ack = Seg::new(a4(1), b4(80), ACK | PSH, 100, theirs).payload(b"real");
    stage.hand.inject(&ack.frame(1, 2));
    for port in 2..=6 {
        stage
            .hand
            .inject(&Seg::new(a4(port), b4(80), SYN, 1, 0).frame(1, 2));
    }
    stage.host.step();
    stage.host.step();
    assert_eq!(stage.host.only().received, b"real");
    assert_eq!(stage.host.net.counters().half_open_evicted, 2);
    assert_eq!(stage.host.net.counters().established, 1);
}

/// What is old or impossible tells nothing of the window.
#[test]
fn an_old_segment_opens_and_shuts_no_window() {
    for (seq, ack) in [(-20, 0), (0, -20), (0, 20_000), (70_000, 0)] {
        let mut talk = Talk::new(&Recipe::new(2));
        talk.say(ACK, 0, 0, b"");
        talk.push(&[7; 2_000], false);
        talk.stage.segs();
        let number = |number: u32, off: i32| number.wrapping_add_signed(off);
        let (seq, ack) = (number(talk.mine, seq), number(talk.theirs, ack));
        talk.stage.seg(&Seg::new(a4(1), b4(80), ACK, seq, ack));
        talk.pass(secs(100));
        let probes = talk.stage.segs();
        assert!((3..40).contains(&payload(&probes)), "{}", payload(&probes));
        // Acknowledgements still come from where the peer is.
        talk.say(ACK | PSH, 0, 0, b"news");
        talk.pass(secs(1));
        let plain = talk
            .stage
            .segs()
            .into_iter()
            .find(|seg| seg.payload.is_empty());
        assert_eq!(plain.map(|seg| seg.seq), Some(talk.theirs));
    }
}
