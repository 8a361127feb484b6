//! Protocols composed in one loop.

use std::time::Duration;

use crate::bed::{Bed, SimBed};
use crate::side::{Side, pattern};
use usockets::compose::{Both, Composed, Either, PartSocket, PartSockets, Protocol, Scope};
use usockets::{
    Address, AllSockets, Closed, Endpoint, Error, Handler, Instant, ListenerId, Loop, Opened,
    Place, Platform, PreOpen, Read, Slot, SocketId, Sockets, TimerId, WhenFull,
};

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
    /// Sockets that it is to move to the context `MOVED` when bytes come, what context each has
    /// then, which it has visited, and how many it wrote to.
    moves: Vec<SocketId>,
    contexts: Vec<Option<u8>>,
    visited: Vec<SocketId>,
    written: usize,
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
            moves: Vec::new(),
            contexts: Vec::new(),
            visited: Vec::new(),
            written: 0,
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
        let moves = core::mem::take(&mut self.moves);
        if moves.is_empty() {
            return;
        }
        let mut all = socket.all();
        all.visit(|_| true, |_, id, _| self.visited.push(id));
        let mut short = 0;
        self.written = all.write_each(b"!", |_| true, |_, _, _| short += 1) + short;
        for id in moves {
            all.adopt(id, MOVED);
            self.contexts.push(all.context(id));
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

/// A context that no listener has.
const MOVED: u8 = 8;

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
pub fn each_socket_is_its_protocols<B: Bed>(bed: &mut B) {
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
pub fn a_part_closes_and_counts_its_own_only<B: Bed>(bed: &mut B) {
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
pub fn timers_and_failures_go_to_the_part_they_are_of<B: Bed>(bed: &mut B) {
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
pub fn a_part_reaches_its_own_sockets_only<B: Bed>(bed: &mut B) {
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

/// A part visits, writes to and moves its own sockets, but for the one whose call runs, which is no
/// other; and none of another's.
pub fn a_part_moves_its_own_sockets_only<B: Bed>(bed: &mut B) {
    let mut it = Composition::new::<_, 16>(bed);
    let _ = it.connect_all(bed);
    let ids = it.connect_all(bed);
    let [a, b, c] = it.parts().map(|part| part.ids[0]);
    it.parts()[1].moves = vec![a, b, c];
    it.client.say(ids[1], b"?");
    it.until(bed, |it| it.parts()[1].contexts.len() == 3);
    let part = &it.parts()[1];
    assert_eq!(part.contexts, [None, Some(MOVED), None]);
    assert_eq!(part.visited, [b]);
    assert_eq!(part.written, 2);
    let contexts = [a, b, c].map(|id| it.lp.net().context(id));
    let moved = Either::Second(Either::First(MOVED));
    let expected = [CONTEXTS[0], moved, CONTEXTS[2]];
    assert_eq!(contexts, expected.map(Some));
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
pub fn a_handler_takes_in_a_protocol_by_itself(bed: &mut SimBed) {
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
}

/// Does the least that a part has to, and leaves everything else as it is by default.
struct Plain;

impl Protocol for Plain {
    type Data = ();
    type Context = ();

    fn on_open<S: Scope<Self>>(&mut self, _: &mut PartSocket<'_, '_, Self, S>, _: Opened<()>) {}

    fn on_data<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        _: &mut (),
        _: &mut [u8],
    ) {
    }
}

/// Reads on demand, fills what it writes to, and counts each call.
#[derive(Default)]
struct Counting {
    calls: std::collections::BTreeMap<&'static str, u32>,
}

impl Counting {
    fn count(&mut self, call: &'static str) {
        *self.calls.entry(call).or_default() += 1;
    }
}

impl Protocol for Counting {
    type Data = u32;
    type Context = u8;

    fn on_pre_open(&mut self, _: Address, _: Instant, context: u8) -> PreOpen {
        self.count("on_pre_open");
        match context {
            REFUSED => PreOpen::Refuse,
            _ => PreOpen::Keep,
        }
    }

    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<u8>,
    ) -> u32 {
        assert_eq!(socket.context(), Some(opened.context()));
        socket.adopt(opened.context() + 1);
        socket.set_pull(true);
        socket.set_timeout(Duration::from_millis(5));
        while socket.write(&[7; 4_096]) == 4_096 {}
        7
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        _: &mut u32,
        _: &mut [u8],
    ) {
        self.count("on_data");
    }

    fn on_readable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut u32,
    ) {
        assert_eq!(*data, 7);
        self.count("on_readable");
        let mut buffer = [0; 64];
        while let Ok(Read::Data(_)) = socket.read(&mut buffer) {}
    }

    fn on_writable<S: Scope<Self>>(&mut self, _: &mut PartSocket<'_, '_, Self, S>, data: &mut u32) {
        assert_eq!(*data, 7);
        self.count("on_writable");
    }

    fn on_timeout<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut u32,
    ) {
        assert_eq!((*data, socket.context()), (7, Some(OWN + 1)));
        self.count("on_timeout");
    }

    fn on_drain<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut u32,
    ) {
        assert_eq!(*data, 7);
        self.count("on_drain");
        socket.finish();
    }

    fn on_close<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        data: &mut u32,
        _: Closed,
    ) {
        assert_eq!(*data, 7);
        self.count("on_close");
    }

    fn on_wake<S: Scope<Self>>(&mut self, _: &mut PartSockets<'_, '_, Self, S>) {
        self.count("on_wake");
    }

    fn before_wait<S: Scope<Self>>(&mut self, _: &mut PartSockets<'_, '_, Self, S>) {
        self.count("before_wait");
    }

    fn after_wait<S: Scope<Self>>(&mut self, _: &mut PartSockets<'_, '_, Self, S>) {
        self.count("after_wait");
    }

    fn after_dispatch<S: Scope<Self>>(&mut self, _: &mut PartSockets<'_, '_, Self, S>) {
        self.count("after_dispatch");
    }
}

/// Contexts of listeners whose connections are kept, and refused.
const OWN: u8 = 3;
const REFUSED: u8 = 9;
/// What a part that counts must have been told.
const COUNTED: [&str; 10] = [
    "after_dispatch",
    "after_wait",
    "before_wait",
    "on_close",
    "on_drain",
    "on_pre_open",
    "on_readable",
    "on_timeout",
    "on_wake",
    "on_writable",
];

/// Every call goes on to the part that it is about, first or second. The pool is made as the
/// program runs.
pub fn every_call_goes_to_its_part(bed: &mut SimBed) {
    type Part = Both<Plain, Counting>;
    type Whole = Composed<Both<Counting, Part>>;
    let platform = bed.platform();
    let free = || Slot::free(<<SimBed as Bed>::P as Platform>::CLOSED);
    let slots: Vec<_> = (0..16).map(|_| free()).collect();
    let exts: Vec<_> = (0..16).map(|_| Place::Vacant).collect();
    let lp = Loop::<_, Whole>::with_slices(platform, slots.leak(), exts.leak(), vec![0; 64].leak());
    let mut lp = lp.expect("memory of some size");
    let plain = || Both(Plain, Counting::default());
    let mut program = Composed(Both(Counting::default(), plain()));
    let mut client = Side::new(bed, 1);
    let contexts = [
        Either::First(OWN),
        Either::First(REFUSED),
        Either::Second(Either::First(())),
        Either::Second(Either::Second(OWN)),
        Either::Second(Either::Second(REFUSED)),
    ];
    let ids = contexts.map(|context| {
        let at = Endpoint::tcp(bed.addr(0)).send_buffer(1_024);
        let listener = lp.net().listen(at, context).expect("a listener");
        let port = lp.net().listening_addr(listener).expect("its address");
        client.connect(port, 0).expect("a slot")
    });
    let millis = Duration::from_millis;
    lp.net().start_timer(millis(1), millis(0)).expect("a slot");
    bed.sim.wake(0);
    let mut said = std::collections::HashSet::new();
    let end = bed.now() + bed.long();
    let drains_at = bed.now() + bed.long() / 2;
    let mut drains = false;
    while bed.now() < end && (lp.stats().in_use > 0 || client.lp.stats().open > 0) {
        if !drains && bed.now() >= drains_at {
            drains = true;
            lp.net().drain(bed.long() / 4);
        }
        let is_due = bed.is_due(0, lp.next_deadline());
        if is_due {
            lp.poll(&mut program, None).expect("a sound host");
        }
        let is_idle = !is_due && !client.is_due(bed);
        if client.is_due(bed) {
            client.turn(bed);
        }
        for id in ids {
            if client.net().is_open(id) && said.insert(id) {
                client.say(id, &pattern(300));
            }
            if drains {
                client.finish(id);
            }
        }
        if is_idle {
            let next = if drains { end } else { drains_at };
            bed.pass(next.saturating_sub(bed.now()));
        }
    }
    assert_eq!(lp.stats().in_use, 0, "everything has ended");
    let Both(first, Both(_, second)) = &program.0;
    for part in [first, second] {
        let told: Vec<_> = part.calls.keys().copied().collect();
        assert_eq!(told, COUNTED);
    }
}

/// A handler that does the least that it has to.
struct Least;

impl<P: Platform> Handler<P> for Least {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut usockets::Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut usockets::Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}
}

/// What a handler leaves as it is, and what each of two parts does, goes by default: what is to be
/// read on demand is dropped, who has no time left is closed, and who is to drain ends, as does
/// whose peer ends.
pub fn what_is_left_out_goes_by_default(bed: &mut SimBed) {
    go_by_default(bed, Least, (), 0);
    let parts = || Composed(Both(Plain, Plain));
    go_by_default(bed, parts(), Either::First(()), 2);
    go_by_default(bed, parts(), Either::Second(()), 4);
}

fn go_by_default<H: Handler<<SimBed as Bed>::P> + 'static>(
    bed: &mut SimBed,
    mut program: H,
    context: H::Context,
    host: usize,
) {
    let sockets = Box::leak(Box::new(Sockets::<_, H, 5>::new()));
    let mut lp = Loop::with_buffer(bed.platform(), sockets, vec![0; 64].leak()).expect("a buffer");
    let mut peer = Side::new(bed, host + 1);
    let at = peer.net().listen(Endpoint::tcp(bed.addr(host + 1)), 0);
    let at = peer.net().listening_addr(at.expect("a listener"));
    let at = Endpoint::tcp(at.expect("its address"));
    let nobody = Endpoint::tcp((bed.addr(host + 1).ip(), 9).into());
    let ids = [at, at, at, nobody].map(|at| lp.net().connect(at, context).expect("a slot"));
    lp.net()
        .start_timer_in(context, Duration::from_millis(1), Duration::ZERO)
        .expect("a slot");
    bed.sim.wake(host);
    let (mut is_open, mut ends, mut drains) = (false, false, false);
    let (mut taken, mut drained_by) = (0, bed.now());
    let end = bed.now() + bed.long();
    while bed.now() < end && (lp.stats().in_use > 0 || !drains) {
        if !is_open && ids[..3].iter().all(|id| lp.net().is_open(*id)) && peer.lp.stats().open == 3
        {
            is_open = true;
            lp.net().set_pull(ids[0], true);
            lp.net().set_timeout(ids[1], Duration::from_secs(5));
            let mut net = peer.net();
            let whole = net.write_each(b"hello", |_| true, |_, _, took| taken += took as u64);
            taken += 5 * whole as u64;
        }
        // The one whose time was over is gone, and what came has been read.
        let are_left = lp.stats().in_use == 2 && peer.lp.stats().open == 2;
        if is_open && !ends && are_left && lp.stats().received == taken {
            ends = true;
            lp.net().set_pull(ids[0], false);
            let mut accepted = (0..3).filter_map(|nth| peer.script.opened(nth));
            let left = accepted.find(|id| peer.lp.net().is_open(*id));
            peer.finish(left.expect("one of two"));
        }
        if ends && !drains && lp.stats().in_use == 1 {
            drains = true;
            drained_by = bed.now() + bed.long() / 4;
            lp.net().drain(bed.long() / 4);
            let accepted = (0..3).filter_map(|nth| peer.script.opened(nth));
            for id in accepted.collect::<Vec<_>>() {
                if peer.net().is_open(id) {
                    peer.finish(id);
                }
            }
        }
        let is_due = bed.is_due(host, lp.next_deadline());
        if is_due {
            lp.poll(&mut program, None).expect("a sound host");
        }
        let peer_is_due = peer.is_due(bed);
        if peer_is_due {
            peer.turn(bed);
        }
        if !is_due && !peer_is_due {
            bed.pass(end.saturating_sub(bed.now()));
        }
    }
    assert!(is_open && ends && drains, "all come about");
    assert!(
        bed.now() < drained_by,
        "in order, not at the end of the time"
    );
    assert_eq!((lp.stats().in_use, lp.stats().failed), (0, 1));
}
