//! Against the kernel's TCP across a veth whose other end a device of Linux has, in a namespace of
//! its own. Every byte is compared.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use usockets::{Endpoint, Error, Loop, Platform, Sockets, Waker};
use usockets_linux::EventFd;
use usockets_smoltcp::{DeviceCounters, PollDevice, SizeClass, Stack};
use usockets_tests::smoltcp::kernel::{
    Echo, Faulty, Link, Losses, STACK, command, connect, echo_client, in_namespace, serve, stack,
};
use usockets_tests::smoltcp::{leak, pattern, seed};

type Net = Stack<'static, Faulty>;

/// Has the stack run for a while.
fn run(net: &mut Net, millis: u64) -> Result<(), Error> {
    let end = net.now().saturating_add(Duration::from_millis(millis));
    while net.now() < end {
        net.poll(Some(end))?;
    }
    Ok(())
}

fn counters(net: &mut Net) -> DeviceCounters {
    net.device_mut().counters()
}

fn small(link: Link) -> Net {
    stack(link, &[SizeClass::new(1, 64, 64)], Losses::default())
}

fn clients_get_every_byte_back(link: Link) {
    serve(link, Losses::default(), 4, 1_000_000);
}

fn clients_get_every_byte_back_through_loss(link: Link) {
    let losses = Losses {
        loss: 20_000,
        reorder: 20_000,
        duplicate: 10_000,
        seed: seed(1),
        waker: None,
    };
    serve(link, losses, 4, 100_000);
}

fn the_kernel_serves_our_clients(link: Link) {
    connect(link);
}

fn a_wake_up_ends_the_wait(link: Link) {
    in_namespace(move || {
        let waker: &Waker<EventFd> = &leak(1, || Waker::new(EventFd::new().unwrap()))[0];
        let losses = Losses {
            waker: Some(waker),
            ..Losses::default()
        };
        let mut net = stack(link, &[SizeClass::new(1, 64, 64)], losses);
        run(&mut net, 50).unwrap();
        let thread = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            waker.wake();
        });
        let start = net.now();
        while !net.woken() {
            let until = start.saturating_add(Duration::from_secs(20));
            net.poll(Some(until)).unwrap();
            assert!(net.now() < until);
        }
        assert!(!net.woken());
        thread.join().unwrap();
    });
}

/// What came while nobody looked and found no room is counted, and the device goes on.
fn a_full_ring_is_counted_and_works_again(link: Link) {
    in_namespace(move || {
        let mut net = roomy(link);
        // So that the kernel knows its neighbour.
        let sender = UdpSocket::bind("10.0.0.1:0").unwrap();
        for _ in 0..3 {
            sender
                .send_to(&[0; 10], SocketAddr::from((STACK, 9)))
                .unwrap();
            run(&mut net, 30).unwrap();
        }
        assert_eq!(counters(&mut net).overruns, 0);
        for _ in 0..20_000 {
            let _ = sender.send_to(&[0; 1_400], SocketAddr::from((STACK, 9)));
        }
        run(&mut net, 200).unwrap();
        let counted = counters(&mut net);
        assert!(counted.overruns > 0, "{counted:?}");
        assert!(counted.received > 1_000, "{counted:?}");
        echo_once(net);
    });
}

/// Runs a loop that echoes to clients at port 80.
fn echoing(net: Net, run: impl FnOnce(&mut Loop<'_, Net, Echo>)) {
    let mut sockets = Box::new(Sockets::<_, Echo, 4>::new());
    let mut buffer = vec![0; 65_536];
    let mut server = Loop::with_buffer(net, &mut sockets, &mut buffer).unwrap();
    let at = Endpoint::tcp(([0, 0, 0, 0], 80).into());
    server.net().listen(at, ()).unwrap();
    run(&mut server);
}

/// A stack with room for four clients.
fn roomy(link: Link) -> Net {
    let classes = [SizeClass::new(4, 32_768, 32_768)];
    stack(link, &classes, Losses::default())
}

/// Serves one client of the kernel's, which gets back what it sends.
fn echo_once(net: Net) {
    echoing(net, |server| {
        let bytes = pattern(200_000, 5);
        let client = echo_client((STACK, 80).into(), bytes.clone());
        let mut echo = Echo::default();
        while !client.is_finished() {
            let until = server.platform().now();
            let until = until.saturating_add(Duration::from_millis(20));
            server.poll(&mut echo, Some(until)).unwrap();
        }
        assert!(client.join().unwrap() == bytes);
    });
}

/// A link that was down for a while costs time, and nothing else.
fn a_link_that_is_down_for_a_while_loses_nothing(link: Link) {
    in_namespace(move || {
        echoing(roomy(link), |server| {
            let bytes = pattern(3_000_000, 5);
            let client = echo_client((STACK, 80).into(), bytes.clone());
            let start = std::time::Instant::now();
            let mut echo = Echo::default();
            let mut states = ["down", "up"].into_iter();
            while !client.is_finished() {
                let until = server.platform().now();
                let until = until.saturating_add(Duration::from_millis(20));
                server.poll(&mut echo, Some(until)).unwrap();
                let due = 100 * (3 - states.len() as u128);
                if echo.opened > 0
                    && start.elapsed().as_millis() > due
                    && let Some(state) = states.next()
                {
                    command(&format!("ip link set us1 {state}"));
                }
            }
            assert!(client.join().unwrap() == bytes);
        });
    });
}

/// Nothing can be waited for any more, and a loop that went on would never sleep.
fn a_removed_interface_ends_the_loop(link: Link) {
    in_namespace(move || {
        let mut net = small(link);
        assert_eq!(run(&mut net, 20), Ok(()));
        command("ip link set us1 down");
        assert_eq!(run(&mut net, 50), Ok(()), "it may come up again");
        let counted = counters(&mut net);
        assert!(counted.downs > 0, "{counted:?}");
        command("ip link del us0");
        // ENODEV (`errno(3)`).
        assert_eq!(run(&mut net, 5_000), Err(Error::Platform(19)));
    });
}

/// The same with frames on their way in both directions.
fn an_interface_removed_under_load_ends_the_loop(link: Link) {
    in_namespace(move || {
        echoing(roomy(link), |server| {
            let client = std::thread::spawn(send_until_it_fails);
            let start = server.platform().now();
            let (mut echo, mut removed) = (Echo::default(), false);
            let ended = loop {
                let now = server.platform().now();
                assert!(now < start.saturating_add(Duration::from_secs(30)));
                let until = now.saturating_add(Duration::from_millis(20));
                if let Err(error) = server.poll(&mut echo, Some(until)) {
                    break error;
                }
                if !removed && server.platform().counters().received > 500 {
                    command("ip link del us0");
                    removed = true;
                }
            };
            // ENODEV (`errno(3)`).
            assert_eq!((removed, ended), (true, Error::Platform(19)));
            client.join().unwrap();
        });
    });
}

/// Sends to the stack for as long as something takes it, and reads what comes back.
fn send_until_it_fails() {
    let mut stream = TcpStream::connect(SocketAddr::from((STACK, 80))).unwrap();
    let timeout = Some(Duration::from_millis(500));
    stream.set_write_timeout(timeout).unwrap();
    stream.set_read_timeout(timeout).unwrap();
    let mut buffer = [7; 20_000];
    while stream.write(&buffer).is_ok() && stream.read(&mut buffer).is_ok() {}
}

/// A loop in which nothing happens sleeps, also when the link is down.
fn a_device_without_frames_sleeps(link: Link) {
    in_namespace(move || {
        let mut net = small(link);
        run(&mut net, 1_000).unwrap();
        for state in ["up", "down"] {
            command(&format!("ip link set us1 {state}"));
            run(&mut net, 50).unwrap();
            let end = net.now().saturating_add(Duration::from_millis(300));
            let mut turns = 0;
            while net.now() < end {
                net.poll(Some(end)).unwrap();
                turns += 1;
            }
            assert!(turns < 50, "{turns} turns while {state}");
        }
    });
}

/// Makes the tests those of a link.
macro_rules! on_links {
    ($($name:ident: $link:ident, [$($test:ident),* $(,)?];)*) => {$(
        mod $name {
            use super::Link;

            $(#[test]
            fn $test() {
                if Link::$link.is_here() {
                    super::$test(Link::$link);
                }
            })*
        }
    )*};
}

on_links!(
    xdp: Xdp, [
        clients_get_every_byte_back,
        clients_get_every_byte_back_through_loss,
        the_kernel_serves_our_clients,
        a_wake_up_ends_the_wait,
        a_full_ring_is_counted_and_works_again,
        a_link_that_is_down_for_a_while_loses_nothing,
        a_removed_interface_ends_the_loop,
        an_interface_removed_under_load_ends_the_loop,
        a_device_without_frames_sleeps,
    ];
    xdp_with_offload: XdpOffload, [
        clients_get_every_byte_back,
        clients_get_every_byte_back_through_loss,
        the_kernel_serves_our_clients,
    ];
    xdp_generic: XdpGeneric, [
        clients_get_every_byte_back,
        clients_get_every_byte_back_through_loss,
        the_kernel_serves_our_clients,
        a_full_ring_is_counted_and_works_again,
        a_link_that_is_down_for_a_while_loses_nothing,
        a_removed_interface_ends_the_loop,
        an_interface_removed_under_load_ends_the_loop,
    ];
    packet: Packet, [
        clients_get_every_byte_back,
        clients_get_every_byte_back_through_loss,
        the_kernel_serves_our_clients,
        a_wake_up_ends_the_wait,
        a_full_ring_is_counted_and_works_again,
        a_link_that_is_down_for_a_while_loses_nothing,
        a_removed_interface_ends_the_loop,
        an_interface_removed_under_load_ends_the_loop,
        a_device_without_frames_sleeps,
    ];
    packet_with_offload: PacketOffload, [
        clients_get_every_byte_back,
        clients_get_every_byte_back_through_loss,
        the_kernel_serves_our_clients,
    ];
);
