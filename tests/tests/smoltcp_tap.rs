//! Against the kernel's TCP across a TAP, in a namespace of its own. Every byte is compared.

use std::time::Duration;

use usockets::{Error, Platform, Waker};
use usockets_linux::EventFd;
use usockets_smoltcp::SizeClass;
use usockets_tests::smoltcp::kernel::{
    Link, Losses, command, connect, in_namespace, serve, serve_with, stack,
};
use usockets_tests::smoltcp::{leak, seed};

#[test]
fn kernel_clients_get_every_byte_back() {
    serve(Link::Tap, Losses::default(), 8, 3_000_000);
}

#[test]
fn kernel_clients_get_every_byte_back_with_offload() {
    serve(Link::TapOffload, Losses::default(), 8, 30_000_000);
}

#[test]
fn kernel_clients_get_every_byte_back_through_loss() {
    let seed = seed(1);
    for (link, loss) in [
        (Link::Tap, 10_000),
        (Link::Tap, 30_000),
        (Link::TapOffload, 10_000),
    ] {
        let losses = Losses {
            loss,
            reorder: 20_000,
            duplicate: 10_000,
            seed,
            waker: None,
        };
        serve(link, losses, 4, 200_000);
    }
}

/// Windows of one byte to the kernel and from it.
#[test]
fn kernel_clients_get_every_byte_back_one_at_a_time() {
    serve_with(
        SizeClass::new(64, 1, 1),
        Link::Tap,
        Losses::default(),
        2,
        20,
    );
}

#[test]
fn a_megabyte_comes_back_through_ten_percent_loss() {
    let losses = Losses {
        loss: 100_000,
        seed: seed(1),
        ..Losses::default()
    };
    serve(Link::Tap, losses, 4, 250_000);
}

#[test]
fn the_kernel_serves_our_clients() {
    for link in [Link::Tap, Link::TapOffload] {
        connect(link);
    }
}

#[test]
fn the_kernel_pings_us() {
    if std::process::Command::new("ping")
        .arg("-V")
        .output()
        .is_err()
    {
        println!("SKIPPED: no ping here");
        return;
    }
    in_namespace(|| {
        let mut net = stack(Link::Tap, &[SizeClass::new(1, 64, 64)], Losses::default());
        let ping = std::thread::spawn(|| {
            command("ping -c 2 -i 0.2 10.0.0.2");
            command("ping -c 2 -i 0.2 fd00::2");
        });
        while !ping.is_finished() {
            let until = net.now().saturating_add(Duration::from_millis(20));
            net.poll(Some(until)).unwrap();
        }
        ping.join().unwrap();
    });
}

#[test]
fn a_wake_up_from_another_thread_ends_the_wait() {
    in_namespace(|| {
        let waker: &Waker<EventFd> = &leak(1, || Waker::new(EventFd::new().unwrap()))[0];
        let losses = Losses {
            waker: Some(waker),
            ..Losses::default()
        };
        let mut net = stack(Link::Tap, &[SizeClass::new(1, 64, 64)], losses);
        for round in 0..3 {
            let thread = std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                waker.wake();
            });
            let start = net.now();
            while !net.woken() {
                net.poll(Some(start.saturating_add(Duration::from_secs(5))))
                    .unwrap();
                let waited = net.now().saturating_since(start);
                assert!(waited < Duration::from_secs(4), "round {round}");
            }
            assert!(!net.woken());
            thread.join().unwrap();
        }
    });
}

/// Nothing can be waited for any more, and a loop that went on would never sleep.
#[test]
fn a_deleted_tap_ends_the_loop() {
    in_namespace(|| {
        let mut net = stack(Link::Tap, &[SizeClass::new(1, 64, 64)], Losses::default());
        let until = net.now().saturating_add(Duration::from_millis(20));
        assert_eq!(net.poll(Some(until)), Ok(()));
        command("ip link set us0 down");
        let until = net.now().saturating_add(Duration::from_millis(20));
        assert_eq!(net.poll(Some(until)), Ok(()), "it may come up again");
        command("ip link del us0");
        let until = net.now().saturating_add(Duration::from_secs(5));
        // EBADFD (`errno(3)`).
        assert_eq!(net.poll(Some(until)), Err(Error::Platform(77)));
    });
}
