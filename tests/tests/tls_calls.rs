//! The layer of TLS call by call, mostly as a server's, over a platform on which nothing happens
//! but what a test says.
#![cfg(feature = "tls")]

use std::collections::VecDeque;

use usockets::tls::{
    Alert, ClientConfig, Config, Connection, Event, ExchangePlace, Handshake, Output, ParkingPlace,
    RECORD_MAX, ServerConfig, Setup, Tls, TlsMemory, TlsSocket,
};
use usockets::{
    Accepted, Endpoint, Error, Instant, Platform, Progress, Readiness, Recv, SocketId, SocketOption,
};
use usockets_tests::scripted::{PEER, Scripted};
use usockets_tests::steady::{Crypto, NAME, Steady, config};

type Layer<const REPORTS: bool = false> = Tls<'static, Scripted<false, REPORTS>, Crypto>;

/// A client, or a server: our engine between byte queues.
struct Client {
    connection: Connection,
    handshake: Box<Handshake<Crypto>>,
    crypto: Crypto,
    input: Vec<u8>,
    /// What it has to send.
    output: Vec<u8>,
    /// The data that have come.
    heard: Vec<u8>,
    /// How the other end has ended the connection.
    alerts: Vec<Alert>,
}

impl Client {
    /// The other end of a client's connection.
    fn server() -> Self {
        Self {
            connection: Connection::server(),
            handshake: Box::new(Handshake::EMPTY),
            crypto: Crypto::new(Steady(7)),
            input: Vec::new(),
            output: Vec::new(),
            heard: Vec::new(),
            alerts: Vec::new(),
        }
    }

    fn new() -> Self {
        let mut client = Self::server();
        let Self {
            handshake, crypto, ..
        } = &mut client;
        let mut buffer = [0; RECORD_MAX];
        let mut out = Output::new(&mut buffer);
        let mut setup = setup(crypto);
        let connection = Connection::client(&mut setup, handshake, NAME, &mut out);
        client.connection = connection.unwrap();
        client.output.extend_from_slice(out.filled());
        client
    }

    /// Reads what the other end has sent.
    fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            let mut buffer = [0; RECORD_MAX];
            let mut out = Output::new(&mut buffer);
            let handshake = (!self.connection.is_open()).then_some(&mut *self.handshake);
            let received = self.connection.receive(
                &mut setup(&mut self.crypto),
                handshake,
                &mut self.input,
                &mut out,
            );
            self.output.extend_from_slice(out.filled());
            let received = received.unwrap();
            match received.event {
                Event::Incomplete { .. } => return,
                Event::Failed(alert) => return self.alerts.push(alert),
                Event::Finished => self.alerts.push(Alert::CLOSE_NOTIFY),
                Event::Data { start, len } => {
                    self.heard
                        .extend_from_slice(&self.input[start..start + len]);
                }
                _ => {}
            }
            self.input.drain(..received.consumed);
        }
    }

    /// Makes a record of data.
    fn record(&mut self, data: &[u8]) -> Vec<u8> {
        self.write(|connection, crypto, out| {
            assert_eq!(connection.send(crypto, data, out), Ok(data.len()));
        })
    }

    /// Makes the end of what it sends.
    fn close_notify(&mut self) -> Vec<u8> {
        self.write(|connection, crypto, out| {
            connection
                .send_alert(crypto, Alert::CLOSE_NOTIFY, out)
                .unwrap();
        })
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut Connection, &mut Crypto, &mut Output<'_>),
    ) -> Vec<u8> {
        let mut buffer = [0; RECORD_MAX];
        let mut out = Output::new(&mut buffer);
        write(&mut self.connection, &mut self.crypto, &mut out);
        out.filled().to_vec()
    }
}

fn setup(crypto: &mut Crypto) -> Setup<'_, Crypto> {
    Setup {
        crypto,
        config: config(),
        sessions: &mut [],
        peer: None,
    }
}

/// A layer, and a listener of it.
struct Stage<const REPORTS: bool = false> {
    layer: Layer<REPORTS>,
    listener: TlsSocket<()>,
    accepted: u64,
}

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// So many places to park in.
fn places<T>(count: usize, empty: fn() -> T) -> &'static mut [T] {
    leak((0..count).map(|_| empty()).collect::<Vec<_>>())
}

impl<const REPORTS: bool> Stage<REPORTS> {
    /// With so many handshakes, inputs and outputs.
    fn new<const H: usize, const I: usize, const O: usize>() -> Self {
        Self::listening::<H, I, O>(Endpoint::tls(([127, 0, 0, 1], 443).into(), None))
    }

    fn listening<const H: usize, const I: usize, const O: usize>(at: Endpoint<'_>) -> Self {
        let memory = leak(TlsMemory::<Crypto, 8, H, I, O>::default());
        let crypto = Crypto::new(Steady(1));
        let mut layer = Tls::new(Scripted::default(), crypto, config(), memory);
        let mut listener = Layer::<REPORTS>::CLOSED;
        layer.listen(&mut listener, id(0), &at).unwrap();
        Self {
            layer,
            listener,
            accepted: 0,
        }
    }

    /// With places to park in.
    fn with_parking(self, count: usize) -> Self {
        let places = places(count, || ParkingPlace::EMPTY);
        Self {
            layer: self.layer.with_parking(places),
            ..self
        }
    }

    /// With places for handshakes of which more than the last message is to come.
    fn with_exchange_parking(self, count: usize) -> Self {
        let places = places(count, || ExchangePlace::EMPTY);
        Self {
            layer: self.layer.with_exchange_parking(places),
            ..self
        }
    }

    /// The platform below.
    fn below(&mut self) -> &mut Scripted<false, REPORTS> {
        self.layer.inner_mut()
    }

    /// Accepts a connection.
    fn accept(&mut self) -> TlsSocket<()> {
        self.accepted += 1;
        let accepted = Accepted {
            peer: std::net::SocketAddr::from(PEER).into(),
            drained: true,
        };
        self.below().answers.accept.push_back(Ok(Some(accepted)));
        let mut socket = Layer::<REPORTS>::CLOSED;
        let id = id(self.accepted);
        let accepted = self.layer.accept(&mut self.listener, &mut socket, id);
        assert!(accepted.unwrap().is_some());
        socket
    }

    /// Has it go on with a handshake with what has come; returns what it answers.
    fn open(
        &mut self,
        socket: &mut TlsSocket<()>,
        bytes: &[u8],
    ) -> (Result<Progress, Error>, Vec<u8>) {
        self.layer.poll(None).unwrap();
        self.come(bytes);
        let progress = self.layer.open(socket, Readiness::READABLE);
        (progress, core::mem::take(&mut self.below().sent))
    }

    /// Accepts a connection, and shakes hands with its client.
    fn connect(&mut self) -> (TlsSocket<()>, Client) {
        let (mut socket, mut client) = (self.accept(), Client::new());
        loop {
            let bytes = core::mem::take(&mut client.output);
            assert!(!bytes.is_empty(), "the server waits for nothing");
            let (progress, answer) = self.open(&mut socket, &bytes);
            client.feed(&answer);
            if progress.unwrap() == Progress::Done {
                assert!(client.connection.is_open());
                return (socket, client);
            }
        }
    }

    /// Has nothing but these bytes come, to whoever reads next.
    fn come(&mut self, bytes: &[u8]) {
        let below = self.below();
        below.calls.clear();
        below.stream = bytes.to_vec();
    }

    /// Has it receive what has come; returns the data too.
    fn recv(&mut self, socket: &mut TlsSocket<()>, bytes: &[u8]) -> (Result<Recv, Error>, Vec<u8>) {
        self.come(bytes);
        let mut buffer = [0; 1_000];
        let received = self.layer.recv(socket, &mut buffer);
        let len = match received {
            Ok(Recv::Data { len, .. }) => len,
            _ => 0,
        };
        (received, buffer[..len].to_vec())
    }

    /// Counts the calls of a kind since the last bytes have come.
    fn calls(&mut self, of: &str) -> usize {
        let calls = self.below().calls.iter();
        calls.filter(|call| call.starts_with(of)).count()
    }

    /// Returns true if a part of a record is taken, and not left below.
    fn takes_part(&mut self, socket: &mut TlsSocket<()>, client: &mut Client) -> bool {
        let record = client.record(b"in parts");
        let (received, _) = self.recv(socket, &record[..10]);
        assert_eq!(received, Ok(Recv::WouldBlock));
        let is_taken = self.below().stream.is_empty();
        assert!(is_taken || self.calls("peek") > 0);
        is_taken
    }
}

fn id(index: u64) -> SocketId {
    SocketId::from_bits(1 << 32 | index).expect("an id")
}

/// What is left of a record is taken of the connection whose end was reported last, and of no
/// other, if that takes the last input.
#[test]
fn an_end_is_that_of_the_connection_of_which_it_was_reported() {
    let mut stage = Stage::<false>::new::<4, 2, 4>();
    let [mut holder, mut other, mut ending] = core::array::from_fn(|_| stage.connect());
    assert!(stage.takes_part(&mut holder.0, &mut holder.1));
    assert!(!stage.takes_part(&mut ending.0, &mut ending.1));
    stage.layer.poll(None).unwrap();
    let end = Readiness::READABLE.union(Readiness::ENDED);
    stage.below().report(id(3), end);
    assert_eq!(stage.layer.next_ready().map(|ready| ready.id), Some(id(3)));
    assert!(!stage.takes_part(&mut other.0, &mut other.1));
    assert!(stage.takes_part(&mut ending.0, &mut ending.1));
}

/// A place in a pool that a socket waits for, or was to have next.
fn free_after<const H: usize, const I: usize, const O: usize>(
    first_goes: bool,
    open: bool,
    mut asks: impl FnMut(&mut Stage, &mut TlsSocket<()>, &mut Client) -> bool,
) {
    let mut stage = Stage::<false>::new::<H, I, O>();
    let [mut holder, mut waiting, mut late] = core::array::from_fn(|_| match open {
        true => stage.connect(),
        false => (stage.accept(), Client::new()),
    });
    assert!(asks(&mut stage, &mut holder.0, &mut holder.1));
    assert!(!asks(&mut stage, &mut waiting.0, &mut waiting.1));
    let (one, other) = match first_goes {
        true => (&mut holder.0, &mut waiting.0),
        false => (&mut waiting.0, &mut holder.0),
    };
    stage.layer.abort(one);
    stage.layer.abort(other);
    assert_eq!(
        stage.layer.next_deadline(),
        None,
        "nobody is to be reported"
    );
    assert!(asks(&mut stage, &mut late.0, &mut late.1));
}

/// Who is closed while it waits for its turn, or when that has come, holds up nobody.
#[test]
fn a_socket_that_closes_waits_for_nothing() {
    for first_goes in [false, true] {
        free_after::<1, 4, 4>(first_goes, false, |stage, socket, client| {
            let (progress, answer) = stage.open(socket, &client.output);
            assert_eq!(progress, Ok(Progress::Pending));
            !answer.is_empty()
        });
        free_after::<4, 1, 4>(first_goes, true, |stage, socket, client| {
            let record = client.record(b"in parts");
            let (received, _) = stage.recv(socket, &record[..10]);
            match received {
                Ok(Recv::WouldBlock) => true,
                Ok(Recv::Pending) => false,
                other => panic!("{other:?}"),
            }
        });
        free_after::<4, 4, 1>(first_goes, true, |stage, socket, _| {
            stage.below().answers.send = [Ok(1)].into();
            let sent = stage.layer.send(socket, b"data").unwrap();
            stage.below().answers.send.clear();
            sent == 4
        });
    }
}

/// Whose last message is to come gives the only handshake to the next, and goes on later; its place
/// is then another's.
#[test]
fn a_handshake_that_is_parked_leaves_its_memory_to_others() {
    let mut stage = Stage::<false>::new::<1, 4, 4>().with_parking(2);
    for _ in 0..3 {
        let mut stopped: Vec<_> = (0..2)
            .map(|_| {
                let (mut socket, mut client) = (stage.accept(), Client::new());
                let hello = core::mem::take(&mut client.output);
                let (progress, answer) = stage.open(&mut socket, &hello);
                assert_eq!(progress, Ok(Progress::Pending));
                client.feed(&answer);
                assert!(client.connection.is_open(), "it was answered at once");
                (socket, client)
            })
            .collect();
        for (socket, client) in &mut stopped {
            let (progress, _) = stage.open(socket, &client.output);
            assert_eq!(progress, Ok(Progress::Done));
            let record = client.record(b"data");
            assert_eq!(stage.recv(socket, &record).1, b"data");
        }
    }
}

/// Returns true if a part of a record is taken where no mark can be set, with receive buffers of
/// these sizes asked for by the listener and later.
fn takes_parts(listener: Option<usize>, later: Option<Result<usize, Error>>) -> bool {
    let mut at = Endpoint::tls(([127, 0, 0, 1], 443).into(), None);
    at.recv_buffer = listener;
    let mut stage = Stage::<true>::listening::<4, 2, 4>(at);
    let [mut holder, mut other] = core::array::from_fn(|_| stage.connect());
    assert!(stage.takes_part(&mut holder.0, &mut holder.1));
    if let Some(later) = later {
        let answer = later.map(|_| ());
        stage.below().answers.set_option = [answer].into();
        let option = SocketOption::RecvBuffer(later.unwrap_or(1));
        assert_eq!(stage.layer.set_option(&mut other.0, option), answer);
    }
    stage.below().answers.set_low_water = [Err(Error::Unsupported)].into();
    stage.takes_part(&mut other.0, &mut other.1)
}

/// Where no mark can be set, what is incomplete waits for the next report, but not where a receive
/// buffer is so small that a record may never be there as a whole.
#[test]
fn a_small_receive_buffer_has_records_taken_in_parts() {
    let large = 4 * RECORD_MAX;
    let small = large - 1;
    for (listener, later, takes) in [
        (None, None, false),
        (Some(large), None, false),
        (Some(small), None, true),
        (Some(small), Some(Ok(small)), true),
        (None, Some(Ok(small)), true),
        (None, Some(Err(Error::Denied)), false),
        (Some(small), Some(Ok(large)), false),
    ] {
        assert_eq!(
            takes_parts(listener, later),
            takes,
            "{listener:?} {later:?}"
        );
    }
}

/// Data in front of a record that is none are delivered; the peer is told once.
#[test]
fn data_in_front_of_a_bad_record_are_delivered() {
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let (mut socket, mut client) = stage.connect();
    let mut bytes = client.record(b"last words");
    let mut bad = client.record(b"forged");
    *bad.last_mut().unwrap() ^= 1;
    bytes.extend_from_slice(&bad);
    assert_eq!(stage.recv(&mut socket, &bytes).1, b"last words");
    let (received, _) = stage.recv(&mut socket, &[]);
    let alert = Alert::BAD_RECORD_MAC;
    assert_eq!(received, Err(Error::AlertSent(alert.code())));
    stage.layer.close(&mut socket);
    let sent = core::mem::take(&mut stage.below().sent);
    client.feed(&sent);
    assert_eq!(client.alerts, [alert]);
}

/// Who has the last output and a peer that takes a part of a record keeps the rest where it takes
/// little memory, and others write meanwhile.
#[test]
fn the_end_of_a_small_record_is_parked() {
    for lingers in [false, true] {
        // One may be the end of a record.
        let mut stage = Stage::<false>::new::<1, 1, 2>().with_parking(2);
        let [mut holder, mut slow, mut other] = core::array::from_fn(|_| stage.connect());
        let send = |stage: &mut Stage, (socket, client): &mut (TlsSocket<()>, Client), answers| {
            stage.below().answers.send = answers;
            let sent = stage.layer.send(socket, b"some data");
            stage.below().answers.send.clear();
            client.feed(&core::mem::take(&mut stage.below().sent));
            sent
        };
        let all = VecDeque::new;
        assert_eq!(send(&mut stage, &mut holder, [Ok(1)].into()), Ok(9));
        assert_eq!(send(&mut stage, &mut other, all()), Ok(9));
        assert_eq!(send(&mut stage, &mut slow, [Ok(1)].into()), Ok(9));
        assert_eq!(send(&mut stage, &mut other, all()), Ok(9));
        assert_eq!(other.1.heard, b"some datasome data");
        let (socket, client) = &mut slow;
        assert_eq!(client.heard, b"");
        let flushes = |stage: &mut Stage, socket: &mut TlsSocket<()>, taken| {
            stage.below().answers.send = [Ok(taken)].into();
            let progress = stage.layer.flush(socket);
            stage.below().answers.send.clear();
            progress
        };
        assert_eq!(flushes(&mut stage, socket, 0), Ok(Progress::Pending));
        assert_eq!(flushes(&mut stage, socket, 5), Ok(Progress::Pending));
        if lingers {
            // With the end behind it.
            stage.below().answers.send = [Ok(0), Ok(3)].into();
            assert!(stage.layer.linger(socket));
            assert_eq!(stage.layer.flush(socket), Ok(Progress::Done));
        } else {
            assert_eq!(stage.layer.flush(socket), Ok(Progress::Done));
            assert_eq!(stage.layer.finish(socket), Ok(Progress::Done));
        }
        client.feed(&core::mem::take(&mut stage.below().sent));
        assert_eq!(client.heard, b"some data");
        assert_eq!(client.alerts, [Alert::CLOSE_NOTIFY]);
    }
}

/// A peer that has ended, and is gone before our end reaches it, has missed nothing; one that has
/// not ended has.
#[test]
fn an_end_behind_the_peer_s_is_missed_by_nobody() {
    for has_ended in [false, true] {
        for in_finish in [false, true] {
            let mut stage = Stage::<false>::new::<1, 1, 1>();
            let (mut socket, mut client) = stage.connect();
            if has_ended {
                let end = client.close_notify();
                assert_eq!(stage.recv(&mut socket, &end).0, Ok(Recv::Finished));
            }
            stage.below().sent.clear();
            let reset = Err(Error::Reset);
            let told = if in_finish {
                stage.below().answers.send = [reset].into();
                stage.layer.finish(&mut socket)
            } else {
                stage.below().answers.send = [Ok(0), reset].into();
                assert_eq!(stage.layer.finish(&mut socket), Ok(Progress::Pending));
                stage.layer.flush(&mut socket)
            };
            let expected = match has_ended {
                true => Ok(Progress::Done),
                false => Err(Error::Reset),
            };
            assert_eq!(told, expected, "{has_ended} {in_finish}");
        }
    }
}

/// Where more than half of the inputs are in use, a connection is looked into until a record of it
/// has come as a whole; and after neither is there a receive that finds nothing.
#[test]
fn whole_records_cost_one_call_behind_the_first() {
    let mut stage = Stage::<true>::new::<4, 4, 4>();
    let mut others: [_; 2] = core::array::from_fn(|_| stage.connect());
    for (socket, client) in &mut others {
        assert!(stage.takes_part(socket, client));
    }
    let (mut socket, mut client) = stage.connect();
    for looks in [1, 0, 0] {
        let record = client.record(b"whole");
        let drained = true;
        let received = stage.recv(&mut socket, &record);
        assert_eq!(
            received,
            (Ok(Recv::Data { len: 5, drained }), b"whole".to_vec())
        );
        assert_eq!((stage.calls("peek"), stage.calls("recv")), (looks, 1));
    }
}

/// In one iteration, so that data of open connections are not held up for longer; and no more of
/// what clients answer are read.
#[test]
fn no_more_than_eight_hellos_are_answered_at_once() {
    let mut stage = Stage::<false>::new::<16, 4, 16>();
    let mut peers: Vec<_> = (0..10).map(|_| (stage.accept(), Client::new())).collect();
    for done in [Progress::Pending, Progress::Done] {
        let mut waiting: Vec<_> = peers.iter_mut().collect();
        for most in [8, 2] {
            stage.layer.poll(None).unwrap();
            let before = waiting.len();
            waiting.retain_mut(|(socket, client)| {
                stage.come(&client.output);
                let progress = stage.layer.open(socket, Readiness::READABLE);
                if progress == Ok(Progress::Again) {
                    assert_eq!(stage.below().stream, client.output, "it was not read");
                    return true;
                }
                assert_eq!(progress, Ok(done));
                client.output.clear();
                client.feed(&core::mem::take(&mut stage.below().sent));
                false
            });
            assert_eq!(before - waiting.len(), most);
        }
    }
}

/// A hello is read as a whole before anything is leased to answer it.
#[test]
fn a_hello_in_parts_takes_no_handshake_from_others() {
    let mut stage = Stage::<false>::new::<1, 4, 4>();
    let [mut slow, mut other] = [stage.accept(), stage.accept()];
    let hello = Client::new().output;
    let (progress, answer) = stage.open(&mut slow, &hello[..10]);
    assert_eq!((progress, answer.len()), (Ok(Progress::Pending), 0));
    let (progress, answer) = stage.open(&mut other, &hello);
    assert_eq!(progress, Ok(Progress::Pending));
    assert!(!answer.is_empty());
}

/// What the platform below claims to have taken or given beyond what there was is counted, and
/// nothing else.
#[test]
fn claims_of_too_much_are_counted() {
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let (mut socket, mut client) = stage.connect();
    stage.below().answers.send = [Ok(1)].into();
    assert_eq!(stage.layer.send(&mut socket, b"data"), Ok(4));
    assert_eq!(stage.layer.flush(&mut socket), Ok(Progress::Done));
    assert!(stage.takes_part(&mut socket, &mut client));
    assert_eq!(stage.layer.breaches(), 0);
    stage.below().answers.send = [Ok(10_000)].into();
    assert_eq!(stage.layer.send(&mut socket, b"data"), Ok(4));
    assert_eq!(stage.layer.breaches(), 1);
    let drained = true;
    stage.below().answers.recv = [Ok(Recv::Data {
        len: 100_000,
        drained,
    })]
    .into();
    assert!(
        stage.recv(&mut socket, &[]).0.is_err(),
        "what it gives is no record"
    );
    assert_eq!(stage.layer.breaches(), 2);
}

/// Handshakes that have stopped and found no place to be parked in are parked when one that has had
/// its quarter of a second gives way, without any other report, however many handshakes there are
/// and whether or not places for others are free: one each quarter of a second, and who waits for
/// its memory is answered.
#[test]
fn who_found_no_place_is_parked_when_another_gives_way() {
    let stages = [
        (2, Stage::<false>::new::<2, 4, 4>().with_parking(1)),
        (1, Stage::<false>::new::<1, 4, 4>().with_parking(1)),
        (
            2,
            Stage::<false>::new::<2, 4, 4>()
                .with_parking(1)
                .with_exchange_parking(1),
        ),
    ];
    for (handshakes, mut stage) in stages {
        let answered = handshakes + 1;
        let mut stopped: Vec<_> = (0..answered + 2).map(|_| stage.accept()).collect();
        let hello = Client::new().output;
        for (number, socket) in stopped.iter_mut().enumerate() {
            let (progress, answer) = stage.open(socket, &hello);
            assert_eq!(progress, Ok(Progress::Pending));
            assert_eq!(answer.is_empty(), number >= answered, "the last two wait");
        }
        let mut gives_way = 0;
        for (round, waits) in (1..).zip(answered..answered + 2) {
            // Others have handshakes for five seconds.
            let due = round * 250_000;
            let deadline = stage.layer.next_deadline().map(Instant::as_micros);
            assert_eq!(deadline, Some(due));
            stage.below().now = due - 1;
            stage.layer.poll(None).unwrap();
            assert_eq!(stage.layer.next_ready(), None);
            stage.below().now = due;
            let mut goes_on = |stage: &mut Stage, expected: usize| {
                stage.layer.poll(None).unwrap();
                let ready = stage.layer.next_ready().map(|ready| ready.id);
                assert_eq!(ready, Some(id(expected as u64 + 1)));
                assert_eq!(stage.layer.next_ready(), None);
                stage.come(&[]);
                let progress = stage
                    .layer
                    .open(&mut stopped[expected], Readiness::READABLE);
                assert_eq!(progress, Ok(Progress::Pending));
            };
            // Of those that hold handshakes, who has done so for longest is parked.
            let parks = gives_way + 1;
            goes_on(&mut stage, parks);
            stage.below().sent.clear();
            goes_on(&mut stage, waits);
            assert!(!stage.below().sent.is_empty(), "it is answered");
            // Whose place it was is over.
            let gone = stage
                .layer
                .open(&mut stopped[gives_way], Readiness::READABLE);
            assert_eq!(gone, Err(Error::TimedOut));
            gives_way = parks;
        }
    }
}

/// A handshake that is parked keeps its place, however long it takes, while there is another to
/// lease.
#[test]
fn nobody_gives_way_where_nobody_waits() {
    let mut stage = Stage::<false>::new::<2, 4, 4>().with_parking(1);
    let [mut parked, mut other] = [stage.accept(), stage.accept()];
    let hello = Client::new().output;
    assert_eq!(stage.open(&mut parked, &hello).0, Ok(Progress::Pending));
    stage.below().now = 300_000;
    stage.layer.poll(None).unwrap();
    assert_eq!(stage.open(&mut other, &hello).0, Ok(Progress::Pending));
    assert_eq!(stage.open(&mut parked, &[]).0, Ok(Progress::Pending));
}

/// A stage; a socket that has a part of a record in the only input, and one that waits for that;
/// and what has come for the latter.
fn one_waits() -> (Stage, [TlsSocket<()>; 2], Vec<u8>) {
    let mut stage = Stage::<false>::new::<4, 1, 4>();
    let [mut holder, mut waiting] = core::array::from_fn(|_| stage.connect());
    assert!(stage.takes_part(&mut holder.0, &mut holder.1));
    let record = waiting.1.record(b"before");
    assert_eq!(stage.recv(&mut waiting.0, &record).0, Ok(Recv::Pending));
    (stage, [holder.0, waiting.0], record)
}

/// An error that was reported while a socket waits for an input is told behind what came before it.
#[test]
fn an_error_waits_for_what_cannot_be_read_yet() {
    let (mut stage, [mut holder, mut waiting], record) = one_waits();
    stage.below().answers.take_error = [Some(Error::Reset)].into();
    assert_eq!(stage.layer.take_error(&mut waiting), None);
    stage.layer.abort(&mut holder);
    assert_eq!(stage.recv(&mut waiting, &record).1, b"before");
    assert_eq!(stage.layer.take_error(&mut waiting), Some(Error::Reset));
}

/// Its turn has come, and it is told what there is.
#[test]
fn an_error_is_told_when_the_turn_of_a_socket_has_come() {
    let (mut stage, [mut holder, mut waiting], _) = one_waits();
    stage.layer.abort(&mut holder);
    stage.below().answers.take_error = [Some(Error::Reset)].into();
    assert_eq!(stage.layer.take_error(&mut waiting), Some(Error::Reset));
}

/// A client is open when its last message has been taken, and not before.
#[test]
fn a_client_opens_when_its_last_message_is_taken() {
    let mut stage = Stage::<false>::new::<2, 2, 2>();
    let (mut socket, mut server) = (Layer::<false>::CLOSED, Client::server());
    let to = Endpoint::tls(([127, 0, 0, 1], 443).into(), Some(NAME));
    stage.layer.connect(&mut socket, id(1), &to).unwrap();
    let (progress, hello) = stage.open(&mut socket, &[]);
    assert_eq!(progress, Ok(Progress::Pending));
    server.feed(&hello);
    stage.below().answers.send = [Ok(0)].into();
    let (progress, sent) = stage.open(&mut socket, &server.output);
    assert_eq!((progress, sent.len()), (Ok(Progress::Pending), 0));
    let (progress, sent) = stage.open(&mut socket, &[]);
    assert_eq!(progress, Ok(Progress::Done));
    server.feed(&sent);
    assert!(server.connection.is_open());
}

/// What is more than a record's rest stays below while others wait for the input.
#[test]
fn no_more_than_a_record_is_taken_while_others_wait() {
    for waits in [false, true] {
        let mut stage = Stage::<false>::new::<4, 1, 4>();
        let [mut holder, mut other] = core::array::from_fn(|_| stage.connect());
        let (socket, client) = &mut holder;
        let bytes = [client.record(b"one"), client.record(b"two")].concat();
        assert_eq!(stage.recv(socket, &bytes[..10]).0, Ok(Recv::WouldBlock));
        let record = other.1.record(b"other");
        if waits {
            assert_eq!(stage.recv(&mut other.0, &record).0, Ok(Recv::Pending));
        }
        assert_eq!(stage.recv(socket, &bytes[10..bytes.len() - 1]).1, b"one");
        // Of the second record there is a part, which is kept if nobody waits.
        let left = if waits { bytes.len() / 2 - 1 } else { 0 };
        assert_eq!(stage.below().stream.len(), left);
        let received = stage.recv(&mut other.0, &record);
        assert_eq!(received.1, if waits { &b"other"[..] } else { b"" });
    }
}

/// Where nothing can be looked into, what has come is taken; with the last input no more than is
/// needed.
#[test]
fn the_last_input_takes_what_is_needed_where_nothing_can_be_looked_into() {
    let mut stage = Stage::<false>::new::<5, 4, 4>();
    let mut peers: [_; 4] = core::array::from_fn(|_| stage.connect());
    for (number, (socket, client)) in peers.iter_mut().enumerate() {
        let record = client.record(&[7; 600]);
        stage.below().answers.peek = [Err(Error::Unsupported), Err(Error::Unsupported)].into();
        assert_eq!(stage.recv(socket, &record[..100]).0, Ok(Recv::WouldBlock));
        // First the header of a record, then its rest.
        let needed = [format!("recv {}", 5), format!("recv {}", record.len() - 5)];
        let calls = stage.below().calls.iter();
        let receives: Vec<_> = calls.filter(|call| call.starts_with("recv")).collect();
        let is_last = number == 3;
        assert_eq!(
            receives[..2] == [&needed[0], &needed[1]],
            is_last,
            "{receives:?}"
        );
    }
}

/// A record of which the platform takes nothing takes no memory, and is made again.
#[test]
fn a_record_of_which_nothing_is_taken_is_made_again() {
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let [mut one, mut other] = core::array::from_fn(|_| stage.connect());
    stage.below().answers.send = [Ok(0)].into();
    assert_eq!(stage.layer.send(&mut one.0, b"data"), Ok(0));
    for (socket, client) in [&mut other, &mut one] {
        assert_eq!(stage.layer.send(socket, b"data"), Ok(4));
        client.feed(&core::mem::take(&mut stage.below().sent));
        assert_eq!(client.heard, b"data");
    }
}

/// What is left of an alert of which the platform takes a part is kept.
#[test]
fn an_alert_that_is_taken_in_part_is_sent_whole() {
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let (mut socket, mut client) = stage.connect();
    stage.below().answers.send = [Ok(3), Ok(1)].into();
    assert!(stage.layer.linger(&mut socket));
    assert_eq!(stage.layer.flush(&mut socket), Ok(Progress::Done));
    client.feed(&core::mem::take(&mut stage.below().sent));
    assert_eq!(client.alerts, [Alert::CLOSE_NOTIFY]);
}

/// A hello that is longer than there is room for is told to be so.
#[test]
fn too_long_a_hello_is_refused() {
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let mut socket = stage.accept();
    let (progress, answer) = stage.open(&mut socket, &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]);
    let code = Alert::DECODE_ERROR.code();
    assert_eq!(progress, Err(Error::AlertSent(code)));
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, code]);
    // It is counted once.
    let (progress, answer) = stage.open(&mut socket, &[]);
    assert_eq!((progress, answer.len()), (Err(Error::AlertSent(code)), 0));
    assert_eq!(stage.layer.handshakes().alerts_sent, 1);
}

/// A handshake that is over before it is done is counted from when the connection below is open.
#[test]
fn handshakes_that_are_cut_off_are_counted() {
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let mut refused = stage.accept();
    stage.below().answers.open = [Err(Error::Refused)].into();
    assert_eq!(stage.open(&mut refused, &[]).0, Err(Error::Refused));
    assert_eq!(stage.layer.handshakes().lost, 0);
    for has_begun in [false, true] {
        let mut socket = stage.accept();
        if has_begun {
            assert_eq!(stage.open(&mut socket, &[22]).0, Ok(Progress::Pending));
        }
        stage.layer.abort(&mut socket);
        assert_eq!(stage.layer.handshakes().lost, u64::from(has_begun));
    }
}

/// Who listens later is served by the configurations that have taken the place of others.
#[test]
fn configurations_are_replaced() {
    static NOBODY: Config<'static> = Config::new(ServerConfig::new(&[]), ClientConfig::new(&[]));
    static NONE: [Config<'static>; 2] = [NOBODY, NOBODY];
    let mut stage = Stage::<false>::new::<1, 1, 1>();
    let mut listens = |replace: fn(&mut Layer)| {
        replace(&mut stage.layer);
        let at = Endpoint::tls(([127, 0, 0, 1], 444).into(), None);
        stage
            .layer
            .listen(&mut { Layer::<false>::CLOSED }, id(7), &at)
    };
    assert_eq!(
        listens(|layer| layer.set_config(&NOBODY)),
        Err(Error::Invalid)
    );
    assert_eq!(listens(|layer| layer.set_config(config())), Ok(()));
    assert_eq!(
        listens(|layer| layer.set_configs(&NONE)),
        Err(Error::Invalid)
    );
}
