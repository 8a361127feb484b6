//! Streams, listeners and timers of tasks, on every platform.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use embedded_io_async::{Error as _, ErrorKind, Read, Write};
use usockets::{Endpoint, Error};
use usockets_async::IoError;
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::side::pattern;
use usockets_tests::tasks::{Executor, SLOTS, is_at_rest, join, reactor, yield_now};

on_every_platform!(
    a_refused_connect_says_so,
    a_reset_is_told_to_the_reader_and_the_writer,
    a_writer_waits_for_room,
    each_acceptor_gets_one_connection,
    the_end_comes_after_all_bytes_and_again,
    readable_takes_nothing_away,
    timers_are_not_early_and_free_their_slots,
    a_full_pool_is_an_error_and_not_for_ever,
    a_dropped_listener_closes_what_nobody_took,
);

fn a_refused_connect_says_so<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let mut executor = Executor::default();
    executor.spawn(async move {
        let error = client.connect(Endpoint::tcp(addr)).await.unwrap_err();
        assert_eq!(error, IoError(Error::Refused));
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
    assert!(executor.run(bed, &hosts, bed.long()));
    assert!(is_at_rest(client));
}

fn a_reset_is_told_to_the_reader_and_the_writer<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        stream.abort();
        assert!(stream.write(b"late").await.is_err());
    });
    executor.spawn(async move {
        let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let reset = Err(IoError(Error::Reset));
        assert_eq!(stream.read(&mut [0; 8]).await, reset);
        assert_eq!(stream.read(&mut [0; 8]).await, reset, "and again");
        assert_eq!(stream.write(b"late").await, reset);
        assert_eq!(stream.readable().await, Err(IoError(Error::Reset)));
    });
    assert!(executor.run(bed, &hosts, bed.long()));
}

/// The peer reads nothing for a while; what was written arrives whole.
fn a_writer_waits_for_room<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let bytes = pattern(bed.plenty());
    let expected = bytes.clone();
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        server.sleep(Duration::from_millis(20)).await.unwrap();
        let mut received = Vec::new();
        let mut buffer = vec![0; 50_000];
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(received == expected);
    });
    executor.spawn(async move {
        let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
    });
    assert!(executor.run(bed, &hosts, bed.long()));
}

/// A task that only writes, and waits for room that never comes, is not forgotten. On the
/// simulator a reset has to be read.
#[test]
#[cfg(all(target_os = "linux", not(feature = "sim-only")))]
fn a_writer_that_waits_learns_of_a_reset() {
    let bed = &mut usockets_tests::bed::LinuxBed::default();
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let bytes = pattern(2 * bed.plenty());
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        server.sleep(Duration::from_millis(50)).await.unwrap();
        stream.abort();
    });
    executor.spawn(async move {
        let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
        let error = stream.write_all(&bytes).await.unwrap_err();
        assert!(
            matches!(error, IoError(Error::Reset | Error::BrokenPipe)),
            "{error:?}"
        );
    });
    assert!(executor.run(bed, &hosts, bed.long()));
}

fn each_acceptor_gets_one_connection<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let listener = Rc::new(listener);
    let got = Rc::new(RefCell::new(Vec::new()));
    let mut executor = Executor::default();
    for _ in 0..5 {
        let (listener, got) = (listener.clone(), got.clone());
        executor.spawn(async move {
            let mut stream = listener.accept().await.unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            got.borrow_mut().push(byte[0]);
        });
    }
    executor.spawn(async move {
        for byte in 0..5 {
            let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
            stream.write_all(&[byte]).await.unwrap();
            assert_eq!(stream.read(&mut [0]).await, Ok(0));
        }
    });
    assert!(executor.run(bed, &hosts, bed.long()));
    let mut got = got.borrow_mut();
    got.sort_unstable();
    assert_eq!(*got, [0, 1, 2, 3, 4]);
}

fn the_end_comes_after_all_bytes_and_again<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        let mut word = [0; 9];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"and gone.");
        for _ in 0..3 {
            assert_eq!(stream.read(&mut word).await, Ok(0));
            assert_eq!(stream.readable().await, Ok(()));
        }
        stream.write_all(b"farewell").await.unwrap();
        stream.finish();
        assert_eq!(stream.write(b"more").await, Err(IoError(Error::BrokenPipe)));
        yield_now().await;
        assert_eq!(
            stream.read(&mut word).await,
            Ok(0),
            "also when both have ended"
        );
    });
    executor.spawn(async move {
        let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
        stream.write_all(b"and gone.").await.unwrap();
        stream.finish();
        let mut word = [0; 8];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"farewell");
        assert_eq!(stream.read(&mut word).await, Ok(0));
        assert_eq!(stream.read(&mut []).await, Ok(0));
    });
    assert!(executor.run(bed, &hosts, bed.long()));
}

fn readable_takes_nothing_away<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        assert!(stream.peer_addr().is_some() && stream.local_addr().is_some());
        for expected in *b"byte by byte" {
            stream.readable().await.unwrap();
            stream.readable().await.unwrap();
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).await, Ok(1));
            assert_eq!(byte, [expected]);
        }
        stream.readable().await.unwrap();
        assert_eq!(stream.read(&mut [0; 4]).await, Ok(0));
    });
    executor.spawn(async move {
        let mut stream = client.connect(Endpoint::tcp(addr)).await.unwrap();
        stream.write_all(b"byte by byte").await.unwrap();
    });
    assert!(executor.run(bed, &hosts, bed.long()));
}

fn timers_are_not_early_and_free_their_slots<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed)];
    let [host] = hosts;
    let mut executor = Executor::default();
    executor.spawn(async move {
        let now = || host.with_net(|net| net.now()).unwrap();
        for millis in [0, 1, 7, 30] {
            let wait = Duration::from_millis(millis);
            let start = now();
            host.sleep(wait).await.unwrap();
            assert!(now().saturating_since(start) >= wait);
        }
        let never = std::future::pending::<()>();
        let result = host.with_timeout(Duration::from_millis(5), never).await;
        assert_eq!(result, Err(IoError(Error::TimedOut)));
        let soon = host.sleep(Duration::from_millis(1));
        let result = host.with_timeout(Duration::from_secs(3_600), soon).await;
        assert_eq!(result, Ok(Ok(())));
        // Many at a time, of which one is awaited and the others are dropped.
        let short = host.sleep(Duration::from_millis(2));
        let long = host.with_timeout(Duration::from_millis(4), async {
            host.sleep(Duration::from_secs(3_600)).await
        });
        let (short, long) = join(short, long).await;
        assert_eq!((short, long), (Ok(()), Err(IoError(Error::TimedOut))));
    });
    assert!(executor.run(bed, &hosts, bed.long()));
    assert!(is_at_rest(host));
}

fn a_full_pool_is_an_error_and_not_for_ever<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed)];
    let [host] = hosts;
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut sleeps: Vec<_> = (0..=SLOTS)
            .map(|_| Box::pin(host.sleep(Duration::from_millis(10))))
            .collect();
        let mut last = sleeps.pop().unwrap();
        let mut first = std::pin::pin!(async {
            for sleep in sleeps {
                sleep.await?;
            }
            Ok::<_, IoError>(())
        });
        // One after the other they never fill the pool.
        assert_eq!(first.as_mut().await, Ok(()));
        assert_eq!(last.as_mut().await, Ok(()));
        let timers = host.with_net(|net| {
            let start = |_| net.start_timer(Duration::from_secs(9), Duration::ZERO).ok();
            (0..SLOTS).map_while(start).collect::<Vec<_>>()
        });
        let timers = timers.unwrap();
        assert_eq!(timers.len(), SLOTS);
        let full = Err(IoError(Error::Full));
        assert_eq!(host.sleep(Duration::ZERO).await, full);
        let at = Endpoint::tcp(([127, 0, 0, 1], 1).into());
        assert_eq!(host.connect(at).await.err(), Some(IoError(Error::Full)));
        host.with_net(|net| timers.iter().for_each(|timer| net.stop_timer(*timer)))
            .unwrap();
        assert_eq!(host.sleep(Duration::ZERO).await, Ok(()));
    });
    assert!(executor.run(bed, &hosts, bed.long()));
    assert!(is_at_rest(host));
}

fn a_dropped_listener_closes_what_nobody_took<B: Bed>(bed: &mut B) {
    let hosts = [reactor(bed), reactor(bed)];
    let [server, client] = hosts;
    let listener = server.listen(Endpoint::tcp(bed.addr(0))).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut executor = Executor::default();
    executor.spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(client.connect(Endpoint::tcp(addr)).await.unwrap());
        }
        while server.stats().unwrap().open < 3 {
            client.sleep(Duration::from_millis(1)).await.unwrap();
        }
        drop(listener);
        for mut stream in streams {
            let read = stream.read(&mut [0]).await;
            assert!(
                matches!(read, Ok(0) | Err(IoError(Error::Reset))),
                "{read:?}"
            );
        }
    });
    assert!(executor.run(bed, &hosts, bed.long()));
    assert!(is_at_rest(server));
}
