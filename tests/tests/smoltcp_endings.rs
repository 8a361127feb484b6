//! How connections end: in order if the peer lets them, in bounded time if not.

use usockets::{Duration, Endpoint, Error, Platform, Recv};
use usockets_smoltcp::{Faults, Limits, SizeClass};
use usockets_tests::smoltcp::forge::{ACK, FIN, PSH, RST, SYN, Seg, Stage};
use usockets_tests::smoltcp::{Habit, Recipe, World, a4, b4, pattern, secs, seed};

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

/// What smoltcp probes with when one byte is left and then the end.
#[test]
fn a_probe_with_the_last_byte_and_the_end_is_answered() {
    let recipe = Recipe::new(2).classes(&[SizeClass::new(4, 100, 100)]);
    let mut talk = Talk::new(&recipe);
    let id = talk.id;
    talk.stage.host.conn(id).habit = Habit::Deaf;
    talk.say(ACK | PSH, 0, 8_192, &[9; 100]);
    talk.stage.pass(secs(1));
    talk.stage.segs();
    for _ in 0..3 {
        talk.stage.pass(secs(1));
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
