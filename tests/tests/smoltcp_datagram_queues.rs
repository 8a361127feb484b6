//! Datagrams on a host of three stacks, one for each receive queue: whichever they arrive on, they
//! reach the socket that is bound for them.

use std::net::SocketAddr;

use usockets::{Address, Arrival, DatagramOption, Datagrams, Error, Platform, SocketId};
use usockets_smoltcp::{Rss, RssKey, SharedPacket, SharedQueues, Socket, Stack};
use usockets_tests::smoltcp::forge::{Stage, echo_reply, ip, solicit, udp, udp_frame};
use usockets_tests::smoltcp::{Device, Recipe, a4, b4, leak, v6};

const QUEUES: u16 = 3;
static KEY: RssKey = RssKey::MICROSOFT;
static TABLE: [u16; 128] = Rss::spread(QUEUES);

/// Three stacks that are one host. What is sent to each is what arrives on its queue.
struct Queues(Vec<Stage>);

impl Queues {
    fn new() -> Self {
        let shared: &'static SharedQueues<[SharedPacket; 24]> =
            &leak(1, || SharedQueues::<[SharedPacket; 24]>::new(QUEUES))[0];
        let stage = |queue| {
            let mut recipe = Recipe::new(2);
            recipe.datagrams = (8, 4_096, 4_096);
            let mut stage = Stage::new(&recipe);
            let net = &mut stage.host.net;
            net.share_queues(shared, Rss::new(&KEY, &TABLE), queue, &|_| {})
                .unwrap();
            stage
        };
        Self((0..QUEUES).map(stage).collect())
    }

    /// Has a frame arrive on a queue, and each stack do what it has to.
    fn arrive(&mut self, queue: usize, frame: &[u8]) {
        self.0[queue].send(frame);
        for _ in 0..QUEUES {
            self.0.iter_mut().for_each(|stage| {
                stage.host.step();
            });
        }
    }

    fn bind(&mut self, queue: usize, at: SocketAddr) -> Socket {
        let mut socket = Stack::<Device>::CLOSED;
        let id = SocketId::from_bits((1 << 32) | 1).unwrap();
        let net = &mut self.0[queue].host.net;
        net.bind(&mut socket, id, Address::from(at)).unwrap();
        socket
    }

    /// Returns who sent what a socket has got.
    fn received(&mut self, queue: usize, socket: &mut Socket) -> Vec<SocketAddr> {
        let (mut memory, mut arrivals) = (vec![0; 8 * 1_500], [Arrival::default(); 8]);
        let net = &mut self.0[queue].host.net;
        let got = net.recv_batch(socket, &mut memory, &mut arrivals).unwrap();
        let came = arrivals.iter().take(got.count);
        came.map(|arrival| arrival.peer.ip().unwrap()).collect()
    }

    /// Returns the number of ICMP messages that each has sent since the last look.
    fn refusals(&mut self) -> Vec<usize> {
        let is_icmp = |frame: &Vec<u8>| match frame[12..14] {
            [8, 0] => frame[23] == 1,
            _ => frame[20] == 58,
        };
        let count = |stage: &mut Stage| stage.replies().iter().filter(|one| is_icmp(one)).count();
        self.0.iter_mut().map(count).collect()
    }

    /// Returns how many packets each has handed over.
    fn handed(&self) -> Vec<u64> {
        let count = |stage: &Stage| stage.host.net.counters().handed_over;
        self.0.iter().map(count).collect()
    }
}

#[test]
fn a_datagram_reaches_the_only_socket_from_every_queue() {
    for (from, to) in [(a4(7), b4(53)), (v6(1, 7), v6(2, 53))] {
        let mut host = Queues::new();
        let mut socket = host.bind(1, to);
        for queue in 0..3 {
            host.arrive(queue, &udp_frame(from, to, b"question", None));
            assert_eq!(host.received(1, &mut socket), [from], "queue {queue}");
        }
        assert_eq!(host.handed(), [1, 0, 1], "straight to the one that has it");
        assert_eq!(host.refusals(), [0; 3]);
    }
}

#[test]
fn a_socket_on_the_arriving_queue_comes_first() {
    let mut host = Queues::new();
    let mut sockets = [0, 1, 2].map(|queue| host.bind(queue, b4(53)));
    for queue in 0..3 {
        host.arrive(queue, &udp_frame(a4(7), b4(53), b"question", None));
        for (other, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(
                host.received(other, socket).len(),
                usize::from(other == queue)
            );
        }
    }
    assert_eq!(host.handed(), [0; 3]);
}

/// Nobody is asked for a port that no stack has, and a port that only looks like one that a stack
/// has is refused once.
#[test]
fn a_port_that_nobody_has_is_refused_once() {
    let mut host = Queues::new();
    host.arrive(0, &udp_frame(a4(7), b4(53), b"question", None));
    assert_eq!(host.refusals(), [1, 0, 0]);
    assert_eq!(host.handed(), [0; 3]);
    let mut sockets = [1, 2].map(|queue| host.bind(queue, b4(53)));
    host.arrive(0, &udp_frame(a4(7), b4(53 + 256), b"question", None));
    assert_eq!(host.refusals().iter().sum::<usize>(), 1);
    assert_eq!(host.handed().iter().sum::<u64>(), 2, "each was asked once");
    for (queue, socket) in [1, 2].into_iter().zip(&mut sockets) {
        assert!(host.received(queue, socket).is_empty());
        host.0[queue].host.net.close(socket);
    }
    host.arrive(0, &udp_frame(a4(7), b4(53), b"question", None));
    assert_eq!(host.refusals(), [1, 0, 0], "after both are closed");
}

/// Two sockets at one port, each with a peer of its own.
#[test]
fn who_has_a_peer_gets_what_that_one_sends() {
    let mut host = Queues::new();
    let mut sockets = [1, 2].map(|queue| host.bind(queue, b4(53)));
    for ((queue, socket), port) in [1, 2].into_iter().zip(&mut sockets).zip([7, 8]) {
        let net = &mut host.0[queue].host.net;
        net.set_peer(socket, a4(port).into()).unwrap();
    }
    for arriving in 0..3 {
        for port in [7, 8] {
            let frame = udp_frame(a4(port), b4(53), b"answer", None);
            host.arrive(arriving, &frame);
        }
        for ((queue, socket), port) in [1, 2].into_iter().zip(&mut sockets).zip([7, 8]) {
            assert_eq!(host.received(queue, socket), [a4(port)], "on {arriving}");
        }
    }
    assert_eq!(host.refusals(), [0; 3]);
    host.arrive(1, &udp_frame(a4(9), b4(53), b"answer", None));
    assert_eq!(host.refusals().iter().sum::<usize>(), 1);
}

/// Answers to a port that was chosen come to the stack that chose it.
#[test]
fn chosen_ports_are_of_one_stack_each() {
    let mut host = Queues::new();
    let mut ports = Vec::new();
    for turn in 0..24 {
        let queue = turn % 3;
        let socket = host.bind(queue, b4(0));
        let addr = host.0[queue].host.net.local_addr(&socket).unwrap();
        ports.push(addr.ip().unwrap().port());
        assert_eq!(usize::from(ports[turn]) % 3, queue);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 24);
}

#[test]
fn icmp_errors_reach_the_socket_that_sent() {
    let mut host = Queues::new();
    let mut socket = host.bind(2, b4(53));
    let quoted = ip(
        b4(0).ip(),
        a4(0).ip(),
        17,
        &udp(b4(53), a4(7), b"lost", None),
        2,
        1,
    );
    // Port unreachable (RFC 792), with the checksum of the whole.
    let mut body = vec![3, 3, 0, 0, 0, 0, 0, 0];
    body.extend(&quoted[14..]);
    let sum = usockets_smoltcp::wire::checksum::data(&body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    host.arrive(0, &ip(a4(0).ip(), b4(0).ip(), 1, &body, 1, 2));
    let error = host.0[2].host.net.next_error(&mut socket).unwrap();
    assert_eq!((error.to, error.error), (a4(7).into(), Error::Refused));
}

/// An answer comes to whichever queue, also behind a stack that awaits another; one that nobody
/// awaits any more stays where it arrived.
#[test]
fn answers_to_echo_requests_reach_who_asked() {
    for (from, to) in [(a4(0).ip(), b4(0).ip()), (v6(1, 0).ip(), v6(2, 0).ip())] {
        let mut host = Queues::new();
        for queue in 0..3 {
            // The neighbour is known from then on.
            host.arrive(queue, &solicit());
            let net = &mut host.0[queue].host.net;
            for sequence in 0..3 {
                let asked = net.send_echo_request(from, queue as u16, sequence, b"x");
                assert_eq!(asked, Ok(true));
            }
        }
        for arrives in 0..3 {
            for asker in 0..3_u8 {
                let mark = [0, asker, 0, arrives];
                host.arrive(arrives.into(), &echo_reply(from, to, mark, b"x"));
                for (queue, stage) in host.0.iter_mut().enumerate() {
                    let told = stage.host.net.next_echo_reply();
                    let told = told.map(|reply| (reply.identifier, reply.sequence));
                    let wanted = (queue == asker.into()).then_some((asker.into(), arrives.into()));
                    assert_eq!(told, wanted, "of {asker} on {arrives}, at {queue}");
                }
            }
        }
        let before = host.handed();
        host.arrive(1, &echo_reply(from, to, [0, 2, 0, 0], b"x"));
        assert_eq!(host.handed(), before);
    }
}

/// What is for a group comes to every stack that has joined it, once.
#[test]
fn a_group_is_reached_on_every_queue() {
    let mut host = Queues::new();
    let group: SocketAddr = ([224, 0, 0, 251], 5_353).into();
    let mut sockets = [0, 1, 2].map(|queue| host.bind(queue, ([0, 0, 0, 0], 5_353).into()));
    for (queue, socket) in sockets.iter_mut().enumerate().skip(1) {
        let option = DatagramOption::Join {
            group: group.ip(),
            source: None,
            interface: 0,
        };
        let net = &mut host.0[queue].host.net;
        net.set_datagram_option(socket, option).unwrap();
    }
    let mut frame = udp_frame(a4(5_353), group, b"who is there", None);
    frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 251]);
    host.arrive(1, &frame);
    let counts: Vec<_> = (0..3)
        .map(|queue| host.received(queue, &mut sockets[queue]).len())
        .collect();
    assert_eq!(counts, [0, 1, 1]);
    assert_eq!(host.refusals(), [0; 3]);
}
