//! Two queues for a protocol of frames: every frame is acted on once, in order, whatever the pieces
//! in which it comes and its answer goes, and however late the peer takes anything.

use usockets::{Closed, FrameError};
use usockets_tests::behaviour::frame_queues::{FRAME_MAX, IN, LAST, RECEIVE, answers, run};
use usockets_tests::rng::{Rng, seeds};

/// Seeds of the longest test.
const RUNS: u64 = 200;

fn random_frames(rng: &mut Rng) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..rng.below(120) {
        let length = rng.below(FRAME_MAX as u64) as u8;
        stream.push(length);
        stream.extend((0..length).map(|_| rng.next() as u8));
    }
    stream
}

#[test]
fn every_frame_is_answered_once_and_in_order() {
    let (mut no_room, mut own) = (0, 0);
    let all = seeds(RUNS);
    for &seed in &all {
        let mut rng = Rng::new(seed);
        let mut stream = random_frames(&mut rng);
        if rng.below(3) == 0 {
            // What comes behind the last frame is dropped.
            stream.push(LAST);
            stream.extend(random_frames(&mut rng));
        }
        let (got, server) = run(seed, &stream);
        let (wanted, count) = answers(&stream);
        assert_eq!(got, wanted, "seed {seed}");
        assert_eq!((server.frames, server.error), (count, None), "seed {seed}");
        assert_eq!(server.closed, Some(Closed::Finished), "seed {seed}");
        no_room += server.no_room;
        own += u32::from(server.is_own);
    }
    if all.len() > 1 {
        assert!(no_room > 500, "an answer seldom had no room: {no_room}");
        assert!((50..150).contains(&own), "both kinds of memory were tried");
    }
}

#[test]
fn an_end_inside_a_frame_is_told() {
    for seed in seeds(RUNS / 2) {
        let mut rng = Rng::new(seed);
        let mut stream = random_frames(&mut rng);
        let (wanted, count) = answers(&stream);
        stream.extend([5, 1, 2]);
        let (got, server) = run(seed, &stream);
        assert_eq!((got, server.frames), (wanted, count), "seed {seed}");
        assert_eq!(server.error, Some(FrameError::Cut), "seed {seed}");
        assert_eq!(server.closed, Some(Closed::Finished), "seed {seed}");
    }
}

#[test]
fn a_frame_that_is_too_long_is_told() {
    for seed in seeds(RUNS / 2) {
        let mut rng = Rng::new(seed);
        let mut stream = random_frames(&mut rng);
        stream.push(u8::try_from(IN).unwrap());
        stream.extend([7; IN + RECEIVE]);
        let (_, server) = run(seed, &stream);
        assert_eq!(server.error, Some(FrameError::TooLong), "seed {seed}");
    }
}
