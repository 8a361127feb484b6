//! Against the kernel's TCP across a TAP, in a namespace of its own. Every byte is compared.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Sockets, Waker};
use usockets_linux::EventFd;
use usockets_smoltcp::SizeClass;
use usockets_tests::smoltcp::kernel::{
    Echo, KERNEL, Losses, STACK, command, echo_client, echo_server, in_namespace, stack,
};
use usockets_tests::smoltcp::{leak, pattern, seed, v6};

/// Clients of the kernel's against an echo server on the stack.
fn serve(offload: bool, losses: Losses, clients: usize, len: usize) {
    let class = SizeClass::new(64, 32_768, 32_768);
    serve_with(class, offload, losses, clients, len);
}

fn serve_with(class: SizeClass, offload: bool, losses: Losses, clients: usize, len: usize) {
    in_namespace(move || {
        let net = stack(offload, &[class], losses);
        let mut sockets = Box::new(Sockets::<_, Echo, 64>::new());
        let mut buffer = vec![0; 65_536];
        let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
        let at = Endpoint::tcp(([0_u16; 8], 80).into());
        server.net().listen(at, ()).unwrap();
        let mut echo = Echo::default();
        // All bytes first: the kernel asks for its neighbour at once, and not for long.
        let bytes: Vec<_> = (0..clients).map(|salt| pattern(len, salt as u64)).collect();
        let all: Vec<_> = bytes
            .into_iter()
            .enumerate()
            .map(|(salt, bytes)| {
                let v4 = SocketAddr::from((STACK, 80));
                let to = if salt % 2 == 0 { v4 } else { v6(2, 80) };
                (bytes.clone(), echo_client(to, bytes))
            })
            .collect();
        while all.iter().any(|(_, client)| !client.is_finished()) {
            let until = server
                .platform()
                .now()
                .saturating_add(Duration::from_millis(20));
            server.poll(&mut echo, Some(until)).unwrap();
        }
        for (bytes, client) in all {
            assert!(client.join().unwrap() == bytes);
        }
        let start = std::time::Instant::now();
        while server.platform().free_count() < 64 {
            let until = server
                .platform()
                .now()
                .saturating_add(Duration::from_millis(20));
            server.poll(&mut echo, Some(until)).unwrap();
            assert!(
                start.elapsed() < Duration::from_secs(70),
                "{:?}",
                server.platform()
            );
        }
        assert_eq!((echo.opened, echo.closed), (clients, clients));
    });
}

#[test]
fn kernel_clients_get_every_byte_back() {
    serve(false, Losses::default(), 8, 3_000_000);
}

#[test]
fn kernel_clients_get_every_byte_back_with_offload() {
    serve(true, Losses::default(), 8, 30_000_000);
}

#[test]
fn kernel_clients_get_every_byte_back_through_loss() {
    let seed = seed(1);
    for (offload, loss) in [(false, 10_000), (false, 30_000), (true, 10_000)] {
        let losses = Losses {
            loss,
            reorder: 20_000,
            duplicate: 10_000,
            seed,
            waker: None,
        };
        serve(offload, losses, 4, 200_000);
    }
}

/// Windows of one byte to the kernel and from it.
#[test]
fn kernel_clients_get_every_byte_back_one_at_a_time() {
    serve_with(SizeClass::new(64, 1, 1), false, Losses::default(), 2, 20);
}

#[test]
fn a_megabyte_comes_back_through_ten_percent_loss() {
    let losses = Losses {
        loss: 100_000,
        seed: seed(1),
        ..Losses::default()
    };
    serve(false, losses, 4, 250_000);
}

/// Sends a pattern to a server and compares what comes back.
struct Client {
    bytes: Vec<u8>,
    sent: usize,
    back: Vec<u8>,
    done: bool,
}

impl Client {
    fn push<P: Platform>(&mut self, socket: &mut usockets::Socket<'_, P, Self>) {
        self.sent += socket.write(&self.bytes[self.sent..]);
        if self.sent == self.bytes.len() {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Client {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut usockets::Socket<'_, P, Self>, _: Opened<()>) {
        self.push(socket);
    }

    fn on_writable(&mut self, socket: &mut usockets::Socket<'_, P, Self>, (): &mut ()) {
        self.push(socket);
    }

    fn on_data(&mut self, _: &mut usockets::Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.back.extend_from_slice(data);
    }

    fn on_close(
        &mut self,
        _: &mut usockets::Socket<'_, P, Self>,
        (): &mut (),
        closed: usockets::Closed,
    ) {
        assert_eq!(closed, usockets::Closed::Finished);
        self.done = true;
    }
}

#[test]
fn the_kernel_serves_our_clients() {
    for offload in [false, true] {
        for to in [SocketAddr::from((KERNEL, 7)), v6(1, 7)] {
            in_namespace(move || {
                let classes = [SizeClass::new(4, 65_535, 65_535)];
                let net = stack(offload, &classes, Losses::default());
                let server = echo_server(to);
                let mut sockets = Box::new(Sockets::<_, Client, 4>::new());
                let mut buffer = vec![0; 65_536];
                let mut client = Client {
                    bytes: pattern(5_000_000, 3),
                    sent: 0,
                    back: Vec::new(),
                    done: false,
                };
                let mut looped = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
                looped.net().connect(Endpoint::tcp(to), ()).unwrap();
                while !client.done {
                    looped.poll(&mut client, None).unwrap();
                }
                assert!(client.back == client.bytes);
                server.join().unwrap();
            });
        }
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
        let mut net = stack(false, &[SizeClass::new(1, 64, 64)], Losses::default());
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
        let mut net = stack(false, &[SizeClass::new(1, 64, 64)], losses);
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
        let mut net = stack(false, &[SizeClass::new(1, 64, 64)], Losses::default());
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
