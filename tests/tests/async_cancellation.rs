//! Tasks that are cancelled at random lose no byte and double none.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use embedded_io_async::{Read, Write};
use usockets::{Endpoint, Error, Platform};
use usockets_async::{IoError, Listener, ReadHalf, Stream, WriteHalf};
use usockets_tests::bed::{Bed, SimBed};
use usockets_tests::rng::seeds;
use usockets_tests::side::pattern;
use usockets_tests::sim::Faults;
use usockets_tests::tasks::{Dice, Executor, Shared, is_at_rest, join, reactor};
use usockets_tests::{again_and_again, on_every_platform};

/// Seeds of the run on the simulator.
const SEEDS: u64 = 2_000;

on_every_platform!(both_directions_arrive_whole);

/// What one end of a connection received, and how it ended.
type Received = Rc<RefCell<Vec<(Vec<u8>, Result<(), IoError>)>>>;

/// Sends bytes and its end, in pieces, and drops each future again and again.
async fn send<P: Platform>(
    mut output: WriteHalf<'_, 'static, 'static, P>,
    dice: &Dice,
    bytes: &[u8],
) -> Result<(), IoError> {
    let mut sent = 0;
    while sent < bytes.len() {
        let len = 1 + dice.below(700) as usize;
        let chunk = &bytes[sent..bytes.len().min(sent + len)];
        sent += again_and_again!(dice, output.write(chunk))?;
    }
    output.finish();
    Ok(())
}

/// Receives to the end, into buffers of any size, and drops each future again and again.
async fn receive<P: Platform>(
    mut input: ReadHalf<'_, 'static, 'static, P>,
    dice: &Dice,
    received: &mut Vec<u8>,
) -> Result<(), IoError> {
    loop {
        if dice.below(4) == 0 {
            again_and_again!(dice, input.readable())?;
        }
        let mut buffer = vec![0; 1 + dice.below(900) as usize];
        match again_and_again!(dice, input.read(&mut buffer))? {
            0 => return Ok(()),
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Sends and receives at the same time.
async fn talk<P: Platform>(
    stream: Stream<'static, 'static, P>,
    dice: Dice,
    bytes: Vec<u8>,
    received: Received,
) {
    let mut stream = stream;
    let (input, output) = stream.split();
    let mut got = Vec::new();
    let (sent, ended) = join(send(output, &dice, &bytes), receive(input, &dice, &mut got)).await;
    received.borrow_mut().push((got, sent.and(ended)));
}

/// Accepts connections, each of which gets its turn, and talks on each.
async fn serve<P: Platform>(
    listener: Listener<'static, 'static, P>,
    dice: Dice,
    bytes: Vec<u8>,
    count: usize,
    received: Received,
) {
    for _ in 0..count {
        let stream = again_and_again!(&dice, listener.accept()).unwrap();
        talk(stream, dice.clone(), bytes.clone(), received.clone()).await;
    }
}

/// Sends `there` to a server and `back` again, on some connections one after the other.
fn converse<B: Bed>(bed: &mut B, seed: u64, there: &[u8], back: &[u8], count: usize) {
    let dice = Dice::new(seed);
    let hosts: [Shared<B::P>; 2] = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let (at_server, at_client) = (Received::default(), Received::default());
    let mut executor = Executor::default();
    let received = at_server.clone();
    executor.spawn(serve(
        listener,
        dice.clone(),
        back.to_vec(),
        count,
        received,
    ));
    let (bytes, received) = (there.to_vec(), at_client.clone());
    executor.spawn(async move {
        for _ in 0..count {
            let to = Endpoint::tcp(addr);
            // A connect that is given up may have been accepted: that connection says nothing.
            let stream = client.connect(to).await.unwrap();
            talk(stream, dice.clone(), bytes.clone(), received.clone()).await;
        }
    });
    assert!(
        executor.run(bed, &hosts, bed.long()),
        "seed {seed}: it hangs"
    );
    assert_eq!(at_server.borrow().len(), count);
    for (got, result) in &*at_server.borrow() {
        assert_eq!(*result, Ok(()), "seed {seed}");
        assert!(
            got == there,
            "seed {seed}: {} of {} bytes",
            got.len(),
            there.len()
        );
    }
    for (got, result) in &*at_client.borrow() {
        assert_eq!(*result, Ok(()), "seed {seed}");
        assert!(
            got == back,
            "seed {seed}: {} of {} bytes",
            got.len(),
            back.len()
        );
    }
}

fn both_directions_arrive_whole<B: Bed>(bed: &mut B) {
    converse(bed, 1, &pattern(40_000), &pattern(9_000), 2);
}

/// The same on rough networks, whose buffers are small and whose reports come late.
#[test]
fn no_byte_is_lost_or_doubled_with_any_seed() {
    for seed in seeds(SEEDS) {
        let bed = &mut SimBed::new(seed, Faults::rough(seed));
        let dice = Dice::new(seed ^ 0x5eed);
        let there = pattern(dice.below(6_000) as usize);
        let back = pattern(dice.below(6_000) as usize);
        converse(bed, seed, &there, &back, 1 + dice.below(2) as usize);
    }
}

/// Whole tasks are dropped at any of their awaits, together with what they hold: connections,
/// listeners and timers. Nothing of them is left, and the other end learns it.
#[test]
fn whole_tasks_are_dropped_at_any_await() {
    for seed in seeds(SEEDS / 3) {
        let bed = &mut SimBed::new(seed, Faults::rough(seed));
        let dice = Dice::new(seed);
        let hosts = [reactor(bed), reactor(bed)];
        let [server, client] = hosts;
        let addr = usockets_tests::bed::Bed::addr(bed, 0);
        let mut executor = Executor::default();
        let listener = server.listen(Endpoint::tcp(addr)).unwrap();
        let addr = listener.local_addr().unwrap();
        let bytes = pattern(3_000);
        let received = Received::default();
        for _ in 0..3 {
            let (dice, bytes, received) = (dice.clone(), bytes.clone(), received.clone());
            executor.spawn(async move {
                let _ = client.sleep(Duration::from_micros(dice.below(3_000))).await;
                let Ok(stream) = client.connect(Endpoint::tcp(addr)).await else {
                    return;
                };
                let talk = talk(stream, dice.clone(), bytes, received);
                let time = Duration::from_micros(dice.below(20_000));
                let _ = client.with_timeout(time, talk).await;
            });
        }
        let (echo, back) = (dice.clone(), received.clone());
        executor.spawn(serve(listener, echo, bytes.clone(), 3, back));
        let limit = Duration::from_micros(dice.below(30_000));
        executor.run(bed, &hosts, limit);
        executor.cancel_all();
        // Nothing may be left once the network has carried the ends.
        executor.spawn(async move {
            while !is_at_rest(server) || !is_at_rest(client) {
                client.sleep(Duration::from_millis(1)).await.unwrap();
                if client.stats().unwrap().in_use == 0 && is_at_rest(server) {
                    break;
                }
            }
        });
        assert!(
            executor.run(bed, &hosts, Duration::from_secs(60)),
            "seed {seed}: {:?} {:?}",
            server.stats(),
            client.stats()
        );
        for (got, _) in &*received.borrow() {
            assert!(bytes.starts_with(got), "seed {seed}");
        }
    }
}

/// An accept that is cancelled leaves its connection to the next, in order.
#[test]
fn a_cancelled_accept_takes_no_connection() {
    for seed in seeds(50) {
        let bed = &mut SimBed::new(seed, Faults::rough(seed));
        let hosts = [reactor(bed), reactor(bed)];
        let [server, client] = hosts;
        let listener = server.listen(Endpoint::tcp(Bed::addr(bed, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let dice = Dice::new(seed);
        let mut executor = Executor::default();
        executor.spawn(async move {
            for byte in 0..5 {
                let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
                stream.write_all(&[byte]).await.unwrap();
                let mut echo = [0];
                stream.read_exact(&mut echo).await.unwrap();
                assert_eq!(echo, [byte]);
            }
        });
        executor.spawn(async move {
            for byte in 0..5 {
                let mut stream = again_and_again!(&dice, listener.accept()).unwrap();
                let mut got = [0];
                stream.read_exact(&mut got).await.unwrap();
                assert_eq!(got, [byte]);
                stream.write_all(&got).await.unwrap();
            }
        });
        assert!(
            executor.run(bed, &hosts, Duration::from_secs(100)),
            "seed {seed}"
        );
    }
}

/// A connect that is dropped before it opens, or while it fails, leaves nothing.
#[test]
fn a_dropped_connect_leaves_nothing() {
    for seed in seeds(50) {
        let bed = &mut SimBed::new(seed, Faults::rough(seed));
        let hosts = [reactor(bed), reactor(bed)];
        let [server, client] = hosts;
        let listener = server.listen(Endpoint::tcp(Bed::addr(bed, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut executor = Executor::default();
        executor.spawn(async move {
            for micros in 0..10 {
                let connect = client.connect(Endpoint::tcp(addr));
                let result = client.with_timeout(Duration::from_micros(micros), connect);
                match result.await {
                    Err(IoError(Error::TimedOut)) | Ok(Ok(_)) => {}
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        });
        assert!(
            executor.run(bed, &hosts, Duration::from_secs(100)),
            "seed {seed}"
        );
        drop(listener);
        let mut executor = Executor::default();
        executor.spawn(async move {
            let _ = client.sleep(Duration::from_secs(1)).await;
        });
        assert!(executor.run(bed, &hosts, Duration::from_secs(100)));
        assert!(is_at_rest(client) && is_at_rest(server), "seed {seed}");
    }
}
