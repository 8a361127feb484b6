//! The HTTP server of the examples with memory that its connections lease: whole requests need
//! none, slow clients hold no more than there is, and what anybody gets is right or said to be cut.

use std::time::Duration;

use usockets::{Closed, Endpoint, Handler, Loop, Opened, Platform, Socket, SocketId, Sockets};
use usockets_tests::rng::{Rng, seeds};
use usockets_tests::sim::{Faults, Host, Sim};

use http::date::WallClock;
use http::pattern::PATTERN;
use http::routes::route;
use http::server::{Group, ServerOf};
use http::service::{Limits, Service};
use leases::{LeasedStore, Leases};

#[path = "../../platform-linux/examples/handlers/http/mod.rs"]
#[allow(
    dead_code,
    clippy::arithmetic_side_effects,
    reason = "each test crate uses its part"
)]
mod http;
#[allow(dead_code, reason = "the sizes are for images")]
#[path = "../../platform-linux/examples/handlers/leases.rs"]
mod leases;

const IN: usize = 512;
const OUT: usize = 512;
const SLOTS: usize = 41;
/// Longest receive buffer of the server's loop.
const RECEIVE: usize = IN / 2;
/// Longer than any run.
const EVER: Duration = Duration::from_secs(1 << 30);
/// Time in which everything that can happen has.
const SOON: Duration = Duration::from_secs(1);
/// A network that holds less than two responses on their way to a client.
const NARROW: Faults = Faults {
    send_buffer: 128,
    recv_buffer: 128,
    ..Faults::none()
};

type Server = ServerOf<Leases<'static, IN, OUT>>;

/// A server with few sets, and its clients.
struct Stage {
    sim: Sim,
    server: Loop<'static, Host, Server>,
    handler: Server,
    network: Loop<'static, Host, Clients>,
    clients: Clients,
}

impl Stage {
    /// Makes a server with `SETS` sets, whose loop receives so many octets at once.
    fn new<const SETS: usize>(sim: Sim, receive: usize) -> Self {
        let mut service = Service::new(route, WallClock(|| None));
        service.limits = Limits {
            idle: EVER,
            head: EVER,
            body: EVER,
            send: EVER,
            linger: EVER,
            ..Limits::default()
        };
        let store = leak(LeasedStore::<IN, OUT, SETS, SLOTS>::new());
        let buffer = vec![0; receive].leak();
        let sockets = leak(Sockets::<_, Server, SLOTS>::new());
        let server = Loop::with_buffer(sim.host(), sockets, buffer);
        let mut server = server.expect("a buffer");
        let at = Endpoint::tcp((sim.addresses(0)[0], 80).into());
        server
            .net()
            .listen(at, Group::Listener)
            .expect("a listener");
        let sockets = leak(Sockets::<_, Clients, SLOTS>::new());
        let network = Loop::with_buffer(sim.host(), sockets, vec![0; 4_096].leak());
        Self {
            sim,
            server,
            handler: Server::with_pool(service, store.pool()),
            network: network.expect("a buffer"),
            clients: Clients::default(),
        }
    }

    /// On a network that is smooth.
    fn smooth<const SETS: usize>(receive: usize) -> Self {
        Self::new::<SETS>(Sim::new(1, Faults::none()), receive)
    }

    /// Makes a client, connected. Returns its number.
    fn connect(&mut self) -> usize {
        let number = self.clients.0.len();
        self.clients.0.push(Client::default());
        let at = Endpoint::tcp((self.sim.addresses(0)[0], 80).into());
        self.network.net().connect(at, number).expect("a connect");
        self.pass(SOON);
        number
    }

    /// Has a client send.
    fn send(&mut self, number: usize, bytes: &str) {
        let client = &mut self.clients.0[number];
        client.unsent.extend(bytes.as_bytes());
        if let Some(id) = client.id {
            let count = self.network.net().write(id, &client.unsent);
            client.unsent.drain(..count);
        }
        self.pass(SOON);
    }

    /// Has a client send a request in one piece, and returns the answer.
    fn ask(&mut self, number: usize, len: usize) -> Vec<(u16, Vec<u8>)> {
        self.send(number, &get(len));
        self.answers(number)
    }

    /// A new client that has sent a part of a request.
    fn half(&mut self, len: usize) -> usize {
        let number = self.connect();
        let request = get(len);
        self.send(number, &request[..request.len() / 2]);
        number
    }

    /// Sends the other part.
    fn other_half(&mut self, number: usize, len: usize) -> Vec<(u16, Vec<u8>)> {
        let request = get(len);
        self.send(number, &request[request.len() / 2..]);
        self.answers(number)
    }

    /// A new client that asks for so many answers and reads none. The network holds less than two.
    fn deaf(&mut self, answers: usize) -> usize {
        let number = self.connect();
        let id = self.id(number);
        self.network.net().pause(id);
        self.send(number, &get(100).repeat(answers));
        number
    }

    fn id(&self, number: usize) -> SocketId {
        self.clients.0[number].id.expect("it is open")
    }

    /// Has a client read again.
    fn hear(&mut self, number: usize) -> Vec<(u16, Vec<u8>)> {
        if let Some(id) = self.clients.0[number].id {
            self.network.net().resume(id);
        }
        self.pass(SOON);
        self.answers(number)
    }

    /// Takes the answers that a client has got.
    fn answers(&mut self, number: usize) -> Vec<(u16, Vec<u8>)> {
        let client = &mut self.clients.0[number];
        let (answers, used) = answers(&client.got);
        client.got.drain(..used);
        answers
    }

    /// Returns true if a client has been told that it took too long, and nothing else.
    fn is_told(&mut self, number: usize) -> bool {
        let is_told = matches!(self.answers(number)[..], [(408, _)]);
        is_told && self.clients.0[number].closed == Some(Closed::Finished)
    }

    fn closed(&self, number: usize) -> Option<Closed> {
        self.clients.0[number].closed
    }

    /// Sets that were taken from who had them.
    fn evicted(&self) -> u64 {
        self.handler.pool().evicted
    }

    /// Lets both sides act until nothing more happens for so long.
    fn pass(&mut self, time: Duration) {
        loop {
            let polled = self.server.poll(&mut self.handler, None);
            polled.expect("a sound host");
            let polled = self.network.poll(&mut self.clients, None);
            polled.expect("a sound host");
            if !self.sim.is_due(0) && !self.sim.is_due(1) && !self.sim.step(time) {
                return;
            }
        }
    }
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// A request for so many octets.
fn get(len: usize) -> String {
    format!("GET /bytes/{len} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The answer to it.
fn good(len: usize) -> (u16, Vec<u8>) {
    (200, PATTERN.iter().copied().cycle().take(len).collect())
}

/// Splits what came into whole answers. Returns how many octets they are.
fn answers(stream: &[u8]) -> (Vec<(u16, Vec<u8>)>, usize) {
    let (mut found, mut used) = (Vec::new(), 0);
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(start) = head.parse(&stream[used..]).expect("a head") else {
            return (found, used);
        };
        let mut fields = head.headers.iter();
        let len = fields.find(|field| field.name == "Content-Length");
        let len = len.and_then(|len| str::from_utf8(len.value).ok()?.parse::<usize>().ok());
        let start = used + start;
        let end = start + len.expect("a length");
        if end > stream.len() {
            return (found, used);
        }
        found.push((head.code.expect("a status"), stream[start..end].to_vec()));
        used = end;
    }
}

/// What one client sends and gets.
#[derive(Default)]
struct Client {
    id: Option<SocketId>,
    unsent: Vec<u8>,
    got: Vec<u8>,
    closed: Option<Closed>,
}

#[derive(Default)]
struct Clients(Vec<Client>);

impl Clients {
    fn send<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>, number: usize) {
        let client = &mut self.0[number];
        let count = socket.write(&client.unsent);
        client.unsent.drain(..count);
    }
}

impl<P: Platform> Handler<P> for Clients {
    type Ext = usize;
    type Context = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<usize>) -> usize {
        let number = opened.context();
        self.0[number].id = Some(socket.id());
        self.send(socket, number);
        number
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, number: &mut usize, data: &mut [u8]) {
        self.0[*number].got.extend_from_slice(data);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, number: &mut usize) {
        self.send(socket, *number);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, number: &mut usize, closed: Closed) {
        let client = &mut self.0[*number];
        client.closed = Some(closed);
        client.id = None;
    }
}

#[test]
fn whole_requests_need_no_set() {
    let mut stage = Stage::smooth::<2>(RECEIVE);
    let clients: Vec<usize> = (0..40).map(|_| stage.connect()).collect();
    for round in 0..3 {
        for number in &clients {
            let len = 100 * round + number;
            assert_eq!(stage.ask(*number, len), [good(len)]);
        }
    }
    assert_eq!(stage.evicted(), 0);
}

/// One set is always free for a call: of five, four are for who keeps something.
#[test]
fn of_half_requests_the_oldest_makes_place() {
    let mut stage = Stage::smooth::<5>(RECEIVE);
    let halves: Vec<usize> = (0..10).map(|len| stage.half(len)).collect();
    assert_eq!(stage.evicted(), 6);
    for number in &halves[..6] {
        assert!(stage.is_told(*number), "client {number}");
    }
    let honest = stage.connect();
    assert_eq!(stage.ask(honest, 77), [good(77)], "nobody waits for them");
    // What was kept of the others was mixed up with nobody's.
    for number in halves.into_iter().skip(6).rev() {
        assert_eq!(stage.other_half(number, number), [good(number)]);
    }
    assert_eq!(stage.evicted(), 6);
}

#[test]
fn a_set_comes_back_when_its_request_is_complete() {
    let mut stage = Stage::smooth::<3>(RECEIVE);
    for round in 0..5 {
        let halves = [stage.half(round), stage.half(round + 50)];
        assert_eq!(stage.other_half(halves[1], round + 50), [good(round + 50)]);
        assert_eq!(stage.other_half(halves[0], round), [good(round)]);
    }
    assert_eq!(stage.evicted(), 0);
}

#[test]
fn a_set_comes_back_when_its_connection_ends() {
    let mut stage = Stage::smooth::<3>(RECEIVE);
    for round in 0..5 {
        let halves = [stage.half(round), stage.half(round)];
        let (closed, reset) = (stage.id(halves[0]), stage.id(halves[1]));
        stage.network.net().close(closed);
        stage.network.net().abort(reset, 1);
        stage.pass(SOON);
    }
    assert_eq!(stage.evicted(), 0);
}

#[test]
fn a_set_comes_back_when_its_response_is_taken() {
    let mut stage = Stage::new::<3>(Sim::new(1, NARROW), RECEIVE);
    for _ in 0..5 {
        let deaf = [stage.deaf(6), stage.deaf(6)];
        for number in deaf {
            assert_eq!(stage.hear(number), vec![good(100); 6]);
        }
    }
    assert_eq!(stage.evicted(), 0);
}

/// Clients that read nothing leave a half of the sets to those that send slowly, and the other way
/// round; who loses one is the oldest of its kind.
#[test]
fn neither_kind_of_slow_client_takes_all_sets() {
    let mut stage = Stage::new::<9>(Sim::new(1, NARROW), RECEIVE);
    let deaf: Vec<usize> = (0..8).map(|_| stage.deaf(6)).collect();
    assert_eq!(stage.evicted(), 0);
    let halves: Vec<usize> = (0..8).map(|len| stage.half(len)).collect();
    assert_eq!(stage.evicted(), 8);
    for number in &deaf[..4] {
        assert!(stage.closed(*number).is_some(), "client {number}");
    }
    for number in &halves[..4] {
        assert!(stage.is_told(*number), "client {number}");
    }
    for number in halves.iter().skip(4) {
        assert_eq!(stage.other_half(*number, number - 8), [good(number - 8)]);
    }
    for number in deaf.iter().skip(4) {
        assert_eq!(stage.hear(*number), vec![good(100); 6]);
    }
}

/// Whoever has sent the other half and takes no answer is no longer one of those that send slowly.
#[test]
fn a_set_is_of_the_kind_that_its_connection_is_now() {
    let mut stage = Stage::new::<3>(Sim::new(1, NARROW), RECEIVE);
    let deaf = stage.half(100);
    let id = stage.id(deaf);
    stage.network.net().pause(id);
    let requests = get(100).repeat(6);
    stage.send(deaf, &requests[get(100).len() / 2..]);
    let halves = [stage.half(5), stage.half(6)];
    assert!(stage.is_told(halves[0]));
    assert_eq!(stage.hear(deaf), vec![good(100); 6]);
    assert_eq!(stage.other_half(halves[1], 6), [good(6)]);
}

/// With the smallest pool, and an octet at a time, so that each request has to be kept: one client
/// after the other is served, and of two at once one is told to come again.
#[test]
fn two_sets_and_one_octet_at_a_time_serve_one_after_the_other() {
    let mut stage = Stage::smooth::<2>(1);
    let clients: Vec<usize> = (0..5).map(|_| stage.connect()).collect();
    for number in &clients {
        assert_eq!(stage.ask(*number, 300), [good(300)]);
    }
    assert_eq!(stage.evicted(), 0);
    let slow = stage.half(5);
    assert_eq!(stage.ask(clients[0], 300), [good(300)]);
    assert!(stage.is_told(slow));
    assert_eq!(stage.evicted(), 1);
}

/// Where the only set that is not free has a response, who sends slowly gets none, but an answer.
#[test]
fn who_gets_no_set_is_told() {
    let mut stage = Stage::new::<2>(Sim::new(1, NARROW), RECEIVE);
    let deaf = stage.deaf(6);
    let slow = stage.half(5);
    assert!(stage.is_told(slow));
    assert_eq!(stage.closed(deaf), None);
    assert_eq!(stage.hear(deaf), vec![good(100); 6]);
}

/// What clients do on rough networks, in any order: whoever is answered is answered right, who
/// loses its set is told or reset, and all sets come back.
#[test]
fn whatever_clients_do_answers_are_right_and_sets_come_back() {
    for seed in seeds(60) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let sim = Sim::new(seed, Faults::rough(seed));
        let receive = 1 + rng.index(RECEIVE);
        let is_ample = rng.below(3) == 0;
        let mut stage = match rng.below(2) {
            _ if is_ample => Stage::new::<SLOTS>(sim.clone(), receive),
            0 => Stage::new::<2>(sim.clone(), receive),
            _ => Stage::new::<4>(sim.clone(), receive),
        };
        let clients = 2 + rng.index(12);
        let mut wanted = vec![Vec::new(); clients];
        for _ in 0..clients {
            stage.connect();
        }
        for _ in 0..100 {
            let number = rng.index(clients);
            act(&mut stage, &mut rng, number, &mut wanted[number]);
        }
        for (number, wanted) in wanted.iter().enumerate() {
            check(&mut stage, number, wanted);
        }
        let evicted = stage.evicted();
        if is_ample {
            assert_eq!(evicted, 0, "there is a set for each");
        }
        sim.set_faults(Faults::none());
        let last = stage.connect();
        stage.half(9);
        assert_eq!(stage.evicted(), evicted, "a set did not come back");
        assert_eq!(stage.ask(last, 33), [good(33)]);
    }
}

/// Has a client do something; notes what it asks for.
fn act(stage: &mut Stage, rng: &mut Rng, number: usize, wanted: &mut Vec<usize>) {
    let Some(id) = stage.clients.0[number].id else {
        return;
    };
    let client = &mut stage.clients.0[number];
    match rng.below(12) {
        0 => stage.network.net().pause(id),
        1 | 2 => stage.network.net().resume(id),
        3 if rng.below(8) == 0 => stage.network.net().abort(id, 1),
        _ => {
            for _ in 0..=rng.below(3) {
                let len = rng.index(400);
                wanted.push(len);
                client.unsent.extend(get(len).as_bytes());
            }
            let part = 1 + rng.index(client.unsent.len());
            let count = stage.network.net().write(id, &client.unsent[..part]);
            client.unsent.drain(..count);
        }
    }
    stage.pass(Duration::from_micros(rng.below(500)));
}

/// Ends a client's business in order, and sees what it has got.
fn check(stage: &mut Stage, number: usize, wanted: &[usize]) {
    stage.send(number, "");
    let got = stage.hear(number);
    let is_open = stage.clients.0[number].id.is_some();
    for (index, answer) in got.iter().enumerate() {
        match wanted.get(index) {
            Some(len) if *answer == good(*len) => {}
            _ => {
                assert_eq!(answer.0, 408, "answer {index} of client {number}");
                assert_eq!(index + 1, got.len(), "nothing follows");
                assert!(!is_open);
            }
        }
    }
    if is_open {
        assert_eq!(got.len(), wanted.len(), "client {number} waits for ever");
        let id = stage.id(number);
        stage.network.net().close(id);
        stage.pass(SOON);
    }
}
