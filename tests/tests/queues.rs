//! Byte queues, in memory of their own and in lent memory.

use std::borrow::BorrowMut;
use std::collections::VecDeque;

use usockets::{Buffer, Queue, Span};
use usockets_tests::rng::{Rng, seeds};

const SIZE: usize = 13;

/// Random operations give what a queue of the standard library gives.
#[test]
fn a_queue_is_first_in_first_out_and_bounded() {
    for seed in seeds(200) {
        println!("SEED={seed}");
        let mut random = Rng::new(seed);
        let mut own = Buffer::<SIZE>::default();
        let mut model = VecDeque::new();
        let (mut span, mut memory) = (Span::EMPTY, [0; SIZE]);
        let mut lent_model = VecDeque::new();
        for _ in 0..200 {
            operate(&mut random, &mut own, &mut model);
            operate(&mut random, &mut span.of(&mut memory), &mut lent_model);
            assert_eq!(span.len(), lent_model.len());
            assert_eq!(span.is_empty(), lent_model.is_empty());
        }
    }
}

/// Does one random operation on both, and compares all that can be asked.
fn operate<B: BorrowMut<[u8]>, S: BorrowMut<Span>>(
    random: &mut Rng,
    queue: &mut Queue<B, S>,
    model: &mut VecDeque<u8>,
) {
    let count = random.below(SIZE as u64 + 4) as usize;
    let bytes: Vec<u8> = (0..count).map(|_| random.below(256) as u8).collect();
    let room = SIZE - model.len();
    match random.below(22) {
        0..8 => {
            assert_eq!(queue.push(&bytes), count.min(room));
            model.extend(bytes.iter().take(room));
        }
        8..14 => {
            queue.consume(count);
            model.drain(..count.min(model.len()));
        }
        14..17 => {
            let spare = queue.spare();
            assert_eq!(spare.len(), room);
            let fits = count.min(room);
            spare[..fits].copy_from_slice(&bytes[..fits]);
            queue.commit(fits);
            model.extend(&bytes[..fits]);
        }
        17..19 => {
            for (byte, other) in queue.filled_mut().iter_mut().zip(model.iter_mut()) {
                *byte ^= 0x55;
                *other ^= 0x55;
            }
        }
        19..21 => {
            queue.truncate(count);
            model.truncate(count);
        }
        _ => {
            queue.clear();
            model.clear();
        }
    }
    assert!(queue.filled().iter().eq(model.iter()));
    assert_eq!(queue.len(), model.len());
    assert_eq!(queue.room(), SIZE - model.len());
    assert_eq!(queue.is_empty(), model.is_empty());
}

/// A commit of more than there is room for keeps what fits.
#[test]
fn a_commit_stays_within_the_memory() {
    let mut queue = Buffer::<4>::EMPTY;
    queue.spare().copy_from_slice(b"abcd");
    queue.commit(usize::MAX);
    assert_eq!(queue.filled(), b"abcd");
    assert_eq!(queue.room(), 0);
}

/// A span joined with other memory than before gives bytes of that memory or none, and no panic.
#[test]
fn foreign_memory_is_harmless() {
    let mut span = Span::EMPTY;
    assert_eq!(span.of(&mut [0; 8]).push(b"12345678"), 8);
    span.of(&mut [0; 8]).consume(2);
    let mut short = [0; 4];
    let mut queue = span.of(&mut short);
    assert!(queue.filled().is_empty() && queue.filled_mut().is_empty());
    assert_eq!(queue.push(b"x"), 1);
}

/// Each socket has its own entry of a table, and none beyond a short one's end.
#[test]
fn an_entry_is_the_slots_own() {
    let id = usockets::SocketId::from_bits(1 << 32 | 2).expect("a name");
    let mut table = [10, 11, 12];
    assert_eq!(id.entry(&mut table), Some(&mut 12));
    assert_eq!(id.entry(&mut table[..2]), None);
}
