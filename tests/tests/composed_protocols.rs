//! Protocols composed in one loop.

use std::time::Duration;

use usockets::compose::{Both, Composed, Either, PartSocket, PartSockets, Protocol, Scope};
use usockets::{
    AllSockets, Closed, Endpoint, Error, Handler, ListenerId, Loop, Opened, Platform, SocketId,
    Sockets, TimerId, WhenFull,
};
use usockets_tests::bed::Bed;
use usockets_tests::on_every_platform;
use usockets_tests::side::{Side, pattern};

on_every_platform!(
    each_socket_is_its_protocols,
    a_part_closes_and_counts_its_own_only,
    timers_and_failures_go_to_the_part_they_are_of,
    a_part_reaches_its_own_sockets_only,
);

/// What a part was told of.
#[derive(Debug, PartialEq)]
enum Told {
    Open(u8),
    Data(usize),
    End,
    Close(Option<u8>),
    ConnectError(u8),
    AcceptError,
    Timer(Option<u8>),
}

/// Answers each call with its mark, and notes what it is told.
struct Marker {
    mark: u8,
    told: Vec<Told>,
    /// The sockets that it has had.
    ids: Vec<SocketId>,
    /// Bytes that it has seen of all sockets together, as their data says.
    reached: Vec<(SocketId, Option<usize>)>,
    /// Sockets that it is to look for when bytes come.
    seeks: Vec<SocketId>,
    /// What is to be closed when bytes come.
    closes: Option<u8>,
    counted: usize,
    /// Answers that found no room.
    unanswered: usize,
}

impl Marker {
    fn new(mark: u8) -> Self {
        Self {
            mark,
            told: Vec::new(),
            ids: Vec::new(),
            reached: Vec::new(),
            seeks: Vec::new(),
            closes: None,
            counted: 0,
            unanswered: 0,
        }
    }
}

impl Protocol for Marker {
    type Data = usize;
    type Context = u8;

    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<u8>,
    ) -> usize {
        assert_eq!(socket.context(), Some(opened.context()));
        self.ids.push(socket.id());
        self.told.push(Told::Open(opened.context()));
        0
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut usize,
        bytes: &mut [u8],
    ) {
        *data += bytes.len();
        self.told.push(Told::Data(*data));
        self.unanswered += 1 - socket.write(&[self.mark]);
        for id in &self.seeks {
            let found = socket.other(*id).map(|(_, data)| *data);
            assert_eq!(found, socket.all().get(*id).map(|(_, data)| *data));
            self.reached.push((*id, found));
        }
        self.counted = socket.all().count_where(|_| true);
        if let Some(context) = self.closes {
            socket.all().close_all(context, 3);
        }
    }

    fn on_end<S: Scope<Self>>(&mut self, socket: &mut PartSocket<'_, '_, Self, S>, _: &mut usize) {
        self.told.push(Told::End);
        socket.finish();
    }

    fn on_close<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: &mut usize,
        _: Closed,
    ) {
        self.told.push(Told::Close(socket.context()));
    }

    fn on_connect_error<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        context: u8,
        _: Error,
    ) {
        self.told.push(Told::ConnectError(context));
    }

    fn on_accept_error<S: Scope<Self>>(
        &mut self,
        _: &mut PartSockets<'_, '_, Self, S>,
        _: ListenerId,
        error: Error,
    ) {
        assert_eq!(error, Error::Full);
        self.told.push(Told::AcceptError);
    }

    fn on_timer<S: Scope<Self>>(
        &mut self,
        _: &mut PartSockets<'_, '_, Self, S>,
        _: TimerId,
        context: Option<u8>,
        _: u32,
    ) {
        self.told.push(Told::Timer(context));
    }
}

type Three = Composed<Both<Marker, Both<Marker, Marker>>>;
type ContextOfThree = Either<u8, Either<u8, u8>>;

/// Three of the same protocol on the first host, and a scripted client on the second.
struct Composition<P: Platform + 'static> {
    lp: Loop<'static, P, Three>,
    program: Three,
    client: Side<P>,
    ports: [std::net::SocketAddr; 3],
}

const CONTEXTS: [ContextOfThree; 3] = [
    Either::First(1),
    Either::Second(Either::First(1)),
    Either::Second(Either::Second(1)),
];

impl<P: Platform + 'static> Composition<P> {
    fn new<B: Bed<P = P>, const N: usize>(bed: &mut B) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<P, Three, N>::new()));
        let mut lp = Loop::with_buffer(bed.platform(), sockets, vec![0; 4_096].leak()).unwrap();
        let ports = CONTEXTS.map(|context| {
            let at = Endpoint::tcp(bed.addr(0)).when_full(WhenFull::Pause);
            let listener = lp.net().listen(at, context).unwrap();
            lp.net().listening_addr(listener).unwrap()
        });
        let [first, second, third] = [b'a', b'b', b'c'].map(Marker::new);
        Self {
            lp,
            program: Composed(Both(first, Both(second, third))),
            client: Side::new(bed, 1),
            ports,
        }
    }

    fn parts(&mut self) -> [&mut Marker; 3] {
        let Both(first, Both(second, third)) = &mut self.program.0;
        [first, second, third]
    }

    fn until<B: Bed<P = P>>(&mut self, bed: &mut B, mut done: impl FnMut(&mut Self) -> bool) {
        let end = bed.now() + bed.long();
        while !done(self) {
            assert!(
                bed.now() < end,
                "it did not come about: {:?}",
                self.parts().map(|p| &p.told)
            );
            let mut idle = true;
            if bed.is_due(0, self.lp.next_deadline()) {
                idle = false;
                let until = bed.patience(self.lp.platform());
                self.lp.poll(&mut self.program, until).unwrap();
            }
            if self.client.is_due(bed) {
                idle = false;
                self.client.turn(bed);
            }
            if idle {
                bed.pass(end - bed.now());
            }
        }
    }

    /// Connects to each port; returns the names on the client.
    fn connect_all<B: Bed<P = P>>(&mut self, bed: &mut B) -> [SocketId; 3] {
        let before = self.lp.stats().open;
        let ids = self.ports.map(|port| self.client.connect(port, 0).unwrap());
        self.until(bed, |it| {
            it.lp.stats().open == before + 3 && ids.iter().all(|id| it.client.net().is_open(*id))
        });
        ids
    }
}

/// Bytes, ends and closes come to the protocol whose listener it was, with its data; three of the
/// same type are told apart.
fn each_socket_is_its_protocols<B: Bed>(bed: &mut B) {
    let mut it = Composition::new::<_, 16>(bed);
    let ids = it.connect_all(bed);
    for id in ids {
        it.client.say(id, &pattern(300));
    }
    let all = Told::Data(300);
    it.until(bed, |it| {
        it.parts().iter().all(|part| part.told.contains(&all))
    });
    for id in ids {
        it.client.finish(id);
    }
    it.until(bed, |it| {
        it.lp.stats().open == 0 && it.client.lp.stats().open == 0
    });
    let Both(first, Both(second, third)) = &it.program.0;
    for (id, part) in ids.into_iter().zip([first, second, third]) {
        let [
            Told::Open(1),
            data @ ..,
            last,
            Told::End,
            Told::Close(Some(1)),
        ] = &part.told[..]
        else {
            panic!("{:?}", part.told);
        };
        assert_eq!(*last, all);
        assert!(data.iter().all(|told| matches!(told, Told::Data(_))));
        let answers = vec![part.mark; data.len() + 1 - part.unanswered];
        assert_eq!(it.client.script.received(id), answers);
    }
}

/// `close_all` of a context that all parts have closes one part's.
fn a_part_closes_and_counts_its_own_only<B: Bed>(bed: &mut B) {
    let mut it = Composition::new::<_, 16>(bed);
    let ids = it.connect_all(bed);
    let more = it.connect_all(bed);
    it.parts()[1].closes = Some(1);
    it.client.say(ids[1], b"?");
    it.until(bed, |it| it.lp.stats().open == 4);
    assert_eq!(it.parts()[1].counted, 2);
    let [first, second, third] = it.parts().map(|part| {
        let closes = part
            .told
            .iter()
            .filter(|told| **told == Told::Close(Some(1)));
        closes.count()
    });
    assert_eq!([first, second, third], [0, 2, 0]);
    // Its listener is closed as well, and the others' are not.
    let late = it.client.connect(it.ports[2], 0).unwrap();
    it.until(bed, |it| {
        it.client.net().is_open(late) && it.lp.stats().open == 5
    });
    let net = it.lp.net();
    assert_eq!(net.count_where(|context| *context == CONTEXTS[2]), 3);
    assert_eq!(net.count_where(|_| true), 5);
    assert_eq!(net.count_where(|context| *context == CONTEXTS[1]), 0);
    assert!(more.iter().any(|id| it.client.net().is_open(*id)));
}

/// Timers with a context, connects that fail and listeners that stop are told to one part; a timer
/// without is told to each.
fn timers_and_failures_go_to_the_part_they_are_of<B: Bed>(bed: &mut B) {
    let mut it = Composition::new::<_, 6>(bed);
    let nobody = {
        let mut net = it.client.net();
        let listener = net.listen(Endpoint::tcp(bed.addr(1)), 0).unwrap();
        let addr = net.listening_addr(listener).unwrap();
        net.stop_listening(listener);
        addr
    };
    let own = Either::Second(Either::First(9));
    it.lp.net().connect(Endpoint::tcp(nobody), own).unwrap();
    it.until(bed, |it| !it.parts()[1].told.is_empty());
    assert_eq!(it.parts().map(|part| part.told.len()), [0, 1, 0]);
    assert_eq!(it.parts()[1].told, [Told::ConnectError(9)]);
    it.parts()[1].told.clear();

    let (soon, once) = (Duration::from_millis(3), Duration::ZERO);
    it.lp.net().start_timer_in(CONTEXTS[2], soon, once).unwrap();
    it.until(bed, |it| !it.parts()[2].told.is_empty());
    let never = it.lp.net().start_timer_in(CONTEXTS[2], soon, soon).unwrap();
    it.lp.net().close_all(CONTEXTS[0], 0);
    it.lp
        .net()
        .close_where(0, |context| *context == CONTEXTS[2]);
    assert!(!it.lp.net().move_timer(never, soon, once), "it was stopped");
    it.lp.net().start_timer(soon, once).unwrap();
    it.until(bed, |it| !it.parts()[1].told.is_empty());
    assert_eq!(it.parts()[0].told, [Told::Timer(None)]);
    assert_eq!(it.parts()[1].told, [Told::Timer(None)]);
    assert_eq!(
        it.parts()[2].told,
        [Told::Timer(Some(1)), Told::Timer(None)]
    );

    // One listener and five places are left.
    it.parts()[1].told.clear();
    for _ in 0..6 {
        it.client.connect(it.ports[1], 0).unwrap();
    }
    it.until(bed, |it| it.parts()[1].told.contains(&Told::AcceptError));
    assert_eq!(it.parts()[0].told.len(), 1);
    assert_eq!(it.parts()[2].told.len(), 2);
}

/// A part gets the data of its own sockets, and none of another's.
fn a_part_reaches_its_own_sockets_only<B: Bed>(bed: &mut B) {
    let mut it = Composition::new::<_, 16>(bed);
    let _ = it.connect_all(bed);
    let ids = it.connect_all(bed);
    let [a, b, c] = it.parts().map(|part| part.ids[0]);
    for part in it.parts() {
        part.seeks = vec![a, b, c];
    }
    for id in ids {
        it.client.say(id, b"?");
    }
    it.until(bed, |it| {
        it.parts().iter().all(|part| part.reached.len() == 3)
    });
    for (own, part) in it.parts().into_iter().enumerate() {
        for (index, (_, found)) in part.reached.iter().enumerate() {
            assert_eq!(*found, (index == own).then_some(0));
        }
    }
}

/// A handler of one's own that takes in a protocol by itself.
struct Host {
    guest: Marker,
    own: usize,
}

enum HostData {
    Guest(usize),
    Own,
}

/// Where the guest's data lies within the host's.
struct GuestIn<P>(core::marker::PhantomData<P>);

impl<P: Platform> Scope<Marker> for GuestIn<P> {
    type Platform = P;
    type Handler = Host;

    fn data(whole: &mut HostData) -> Option<&mut usize> {
        match whole {
            HostData::Guest(data) => Some(data),
            HostData::Own => None,
        }
    }

    fn context(whole: Option<u8>) -> Option<u8> {
        whole
    }

    fn whole(context: u8) -> Option<u8> {
        Some(context)
    }
}

impl<P: Platform> Handler<P> for Host {
    type Ext = HostData;
    type Context = Option<u8>;

    fn on_open(
        &mut self,
        socket: &mut usockets::Socket<'_, P, Self>,
        opened: Opened<Option<u8>>,
    ) -> HostData {
        match (opened.context(), opened) {
            (Some(context), Opened::Accepted { .. }) => {
                let connected = Opened::Connected { context };
                let mut socket = PartSocket::<Marker, GuestIn<P>>::new(socket);
                HostData::Guest(self.guest.on_open(&mut socket, connected))
            }
            _ => HostData::Own,
        }
    }

    fn on_data(
        &mut self,
        socket: &mut usockets::Socket<'_, P, Self>,
        ext: &mut HostData,
        data: &mut [u8],
    ) {
        match ext {
            HostData::Guest(guest) => {
                let mut socket = PartSocket::<Marker, GuestIn<P>>::new(socket);
                self.guest.on_data(&mut socket, guest, data);
            }
            HostData::Own => self.own += data.len(),
        }
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.guest
            .on_wake(&mut PartSockets::<_, GuestIn<P>>::new(sockets));
    }
}

/// A handler serves a protocol's socket and its own in one loop, and connects the one to the other.
#[test]
fn a_handler_takes_in_a_protocol_by_itself() {
    usockets_tests::bed::on_sim(|bed| {
        let mut sockets = Sockets::<_, Host, 8>::new();
        let mut buffer = [0; 1_024];
        let mut lp = Loop::new(bed.platform(), &mut sockets, &mut buffer);
        let mut host = Host {
            guest: Marker::new(b'g'),
            own: 0,
        };
        let at = Endpoint::tcp(bed.addr(0));
        let listener = lp.net().listen(at, Some(4)).unwrap();
        let at = lp.net().listening_addr(listener).unwrap();
        let client = lp.net().connect(Endpoint::tcp(at), None).unwrap();
        let mut turns = 0;
        while host.own < 6 {
            if lp.net().is_open(client) && turns % 100 == 0 {
                let _ = lp.net().write(client, b"hello");
            }
            turns += 1;
            assert!(turns < 10_000, "no answer came");
            lp.poll(&mut host, Some(usockets::Instant::ZERO)).unwrap();
            bed.pass(Duration::from_millis(1));
        }
        let told = &host.guest.told;
        assert_eq!(told.first(), Some(&Told::Open(4)));
        let Some(Told::Data(count)) = told.last() else {
            panic!("{told:?}");
        };
        assert!(told.len() > 6 && *count >= 6, "{told:?}");
    });
}
