//! A program that makes any of the core's calls at any time.

use core::borrow::BorrowMut;
use core::fmt::Write;

use usockets::{
    AllSockets, Budget, Buffer, Closed, Descriptors, Endpoint, Error, Frame, FrameSpans, Frames,
    Handler, HappyEyeballs, Incoming, Instant, ListenerId, LocalAddress, LocalEndpoint, LocalType,
    Loop, Net, Opened, Output, PreOpen, Queue, Readiness, Socket, SocketId, SocketOption, Sockets,
    Span, StalePath, TimerId, Waker, WhenFull,
};

use crate::guards;
use crate::hidden::{len, long, word, yes};
use crate::outside::{Layer, Outside, Sink, addr, address, duration, error};

/// What was named last, to name it again at any time.
#[derive(Default)]
pub struct Anything {
    socket: Option<SocketId>,
    listener: Option<ListenerId>,
    timer: Option<TimerId>,
    span: Span,
    frames: Frames<64, 64>,
    spans: FrameSpans,
    eyeballs: Option<HappyEyeballs<4>>,
}

impl<P: Layer> Handler<P> for Anything {
    type Context = u32;
    type Ext = Buffer<512>;

    fn on_pre_open(&mut self, incoming: &mut Incoming<'_, P, u32>) -> PreOpen {
        self.listener = Some(incoming.listener());
        let _ = (incoming.peer(), incoming.context());
        let _ = (incoming.local_addr(), incoming.now());
        incoming.platform_mut().call();
        P::more_incoming(incoming);
        match yes() {
            true => PreOpen::Keep,
            false => PreOpen::Refuse,
        }
    }

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<u32>) -> Buffer<512> {
        self.socket = Some(socket.id());
        socket.adopt(opened.context());
        self.own(socket, &[]);
        Buffer::default()
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        held: &mut Buffer<512>,
        data: &mut [u8],
    ) {
        buffer(held, data);
        lent(socket.id(), &mut self.span, data);
        if yes() {
            // What every server does.
            let count = socket.write(data);
            let _ = held.push(data.get(count..).unwrap_or_default());
        }
        self.own(socket, held.filled());
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<512>) {
        self.own(socket, held.filled());
        P::more_own(socket);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<512>) {
        held.consume(socket.write(held.filled()));
        self.own(socket, held.filled());
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<512>) {
        self.own(socket, held.filled());
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<512>) {
        self.own(socket, held.filled());
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Buffer<512>) {
        self.own(socket, held.filled());
    }

    fn on_close(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        held: &mut Buffer<512>,
        closed: Closed,
    ) {
        let _ = write!(Sink, "{closed}");
        self.own(socket, held.filled());
    }

    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, _: u32, error: Error) {
        let _ = write!(Sink, "{error}");
        self.own(socket, &[]);
    }

    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        from: ListenerId,
        _: Error,
    ) {
        self.listener = Some(from);
        self.all(sockets);
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, timer: TimerId, _: u32) {
        self.timer = Some(timer);
        self.all(sockets);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.all(sockets);
    }

    fn before_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.all(sockets);
    }

    fn after_dispatch(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.all(sockets);
    }

    fn after_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.all(sockets);
    }
}

impl Anything {
    /// Any call on the socket that a call is about.
    fn own<P: Layer>(&mut self, socket: &mut Socket<'_, P, Self>, data: &[u8]) {
        match word() {
            0 => _ = socket.write(data),
            1 => _ = socket.write_vectored(&[data, &[1], data]),
            2 => socket.cork(),
            3 => socket.uncork(),
            4 => socket.finish(),
            5 => socket.close(),
            6 => socket.close_with(word() as u16),
            7 => socket.abort(word() as u16),
            8 => socket.pause(),
            9 => socket.resume(),
            10 => socket.set_timeout(duration()),
            11 => socket.adopt(word()),
            12 => _ = socket.context(),
            13 => _ = socket.local_addr(),
            14 => _ = socket.peer_addr(),
            15 => _ = socket.protocol(),
            18 => _ = socket.read(&mut [0; 8]),
            19 => socket.set_pull(yes()),
            20 => _ = socket.set_option(option()),
            16 => {
                if let Some((net, held)) = socket.other(self.id()) {
                    held.consume(net.write(self.id(), held.filled()));
                    self.any(net);
                }
            }
            17 => self.frames(socket, data),
            21 => P::more_own(socket),
            _ => self.any(socket.net()),
        }
    }

    /// Any call of the queues for frames.
    fn frames<P: Layer>(&mut self, socket: &mut Socket<'_, P, Self>, data: &[u8]) {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(data) {
            *to = *from;
        }
        let id = socket.id();
        let mut frames = core::mem::take(&mut self.frames);
        let mut spans = self.spans;
        let (input, output) = (&mut [0; 40], &mut [0; 40]);
        let result = match word() {
            0 => frames.on_data(socket, &mut bytes, any_frame),
            1 => frames.on_writable(socket, any_frame),
            2 => frames.on_end(socket, any_frame),
            3 => spans
                .of(input, output)
                .on_data(socket, &mut bytes, any_frame),
            4 => spans.of(input, output).on_writable(socket, any_frame),
            5 => spans.of(input, output).on_end(socket, any_frame),
            6 => {
                let _ = frames.send(socket.net(), id, &[data, data]);
                Ok(())
            }
            _ => {
                let _ = spans.of(input, output).send(socket.net(), id, &[data]);
                Ok(())
            }
        };
        if let Err(error) = result {
            let _ = write!(Sink, "{error} {}", frames.unsent());
        }
        self.frames = frames;
        self.spans = spans;
    }

    /// Any call that is about no socket.
    fn all<P: Layer>(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        if let Some((net, held)) = sockets.get(self.id()) {
            held.consume(net.write(self.id(), held.filled()));
        }
        if yes() {
            sockets.visit(
                |context| *context > word(),
                |net, id, held| held.consume(net.write(id, held.filled())),
            );
        }
        self.any(sockets.net());
    }

    /// Any call on sockets by name.
    fn any<P: Layer>(&mut self, net: &mut Net<'_, P, u32>) {
        let id = self.id();
        match word() {
            0 => self.listener = net.listen(endpoint(), word()).ok(),
            1 => self.socket = net.connect(endpoint(), word()).ok(),
            2 => self.timer = net.start_timer(duration(), duration()).ok(),
            3 => _ = net.write(id, &long().to_ne_bytes()),
            4 => _ = net.write_vectored(id, &[&[1], &[], &[2, 3]]),
            5 => net.cork(id),
            6 => net.uncork(id),
            7 => net.finish(id),
            8 => net.close(id),
            9 => net.close_with(id, word() as u16),
            10 => net.abort(id, word() as u16),
            11 => net.close_all(word(), word() as u16),
            12 => net.pause(id),
            13 => net.resume(id),
            14 => net.set_timeout(id, duration()),
            15 => net.adopt(id, word()),
            _ => self.any_more(net, id),
        }
    }

    fn any_more<P: Layer>(&mut self, net: &mut Net<'_, P, u32>, id: SocketId) {
        match (word(), self.listener, self.timer) {
            (0, Some(listener), _) => net.stop_listening(listener),
            (1, Some(listener), _) => _ = net.listening_addr(listener),
            (2, _, Some(timer)) => net.stop_timer(timer),
            (3, ..) => _ = net.context(id),
            (4, ..) => _ = net.local_addr(id),
            (5, ..) => _ = net.peer_addr(id),
            (6, ..) => _ = net.is_open(id),
            (7, ..) => _ = net.now().saturating_since(Instant::ZERO),
            (8, ..) => _ = net.stats(),
            (9, ..) => _ = net.protocol(id),
            (10, ..) => net.set_pull(id, yes()),
            (11, ..) => _ = net.read(id, &mut [0; 8]),
            (12, ..) => net.close_where(word() as u16, |context| *context > word()),
            (13, Some(listener), _) => net.pause_listening(listener),
            (14, Some(listener), _) => net.resume_listening(listener),
            (15, _, Some(timer)) => _ = net.move_timer(timer, duration(), duration()),
            (16, ..) => _ = net.set_option(id, option()),
            (17, ..) => _ = net.platform_socket(id).is_some(),
            (18, ..) => net.keep_alive(yes()),
            (19, ..) => _ = net.failure(id),
            (20, ..) if !net.is_draining() => net.drain(duration()),
            (21, ..) => _ = net.count_where(|context| *context > word()),
            (22, ..) => {
                let close = |net: &mut Net<'_, P, u32>, id, _| net.close(id);
                _ = net.write_each(&[1, 2], |context| *context > word(), close);
            }
            (23, ..) => self.timer = net.start_timer_in(word(), duration(), duration()).ok(),
            (24, ..) => P::more(net, id),
            (25, ..) => guards::connect(net, &mut self.eyeballs, id, self.timer),
            (26, ..) => _ = net.is_blocked(id),
            _ => net.platform_mut().call(),
        }
    }

    /// A name that was good once, or never.
    fn id(&self) -> SocketId {
        let any = SocketId::from_bits(long());
        match (self.socket, any) {
            (Some(socket), _) if yes() => socket,
            (_, Some(any)) | (Some(any), None) => any,
            (None, None) => self.id(),
        }
    }
}

/// Any option of an open connection.
fn option() -> SocketOption {
    match word() {
        0 => SocketOption::NoDelay(yes()),
        1 => SocketOption::UserTimeout(duration()),
        _ => SocketOption::RecvBuffer(len()),
    }
}

/// Every call about descriptors.
pub fn descriptors<P: Layer + Descriptors<Descriptor = u32>>(net: &mut Net<'_, P, u32>) {
    let at = endpoint();
    let listener = net.insert_listener(word(), &at, word()).ok();
    let inserted = net.insert(word(), word()).ok();
    let watched = net.watch(word(), word()).ok();
    if let Some(watched) = watched {
        let _ = net.unwatch(watched);
    }
    if let Some(inserted) = inserted {
        let _ = net.take(inserted, &mut [0; 16]);
    }
    if let Some(listener) = listener {
        net.stop_listening(listener);
    }
}

/// Every call about addresses. Returns whether any of them is one.
fn addresses(name: &[u8]) -> bool {
    let ip = address().ip().is_some();
    let (Ok(path), Ok(name)) = (LocalAddress::path(name), LocalAddress::abstract_name(name)) else {
        return ip;
    };
    let _ = write!(Sink, "{path} {name}");
    let kind = if yes() {
        LocalType::Stream
    } else {
        LocalType::Seqpacket
    };
    let local = LocalEndpoint::stream(path)
        .socket_type(kind)
        .mode(word() as u16)
        .stale(StalePath::RemoveIfRefused)
        .backlog(word() as u16);
    let path = local.addr.as_path().map_or(0, <[u8]>::len);
    let name = name.as_abstract_name().map_or(0, <[u8]>::len);
    ip ^ (path == name) ^ local.addr.as_bytes().is_empty()
}

/// Every method of an endpoint.
pub fn endpoint() -> Endpoint<'static> {
    let security = if yes() {
        Endpoint::tcp(addr())
    } else {
        Endpoint::tls(addr(), None)
    };
    let policy = match word() {
        0 => WhenFull::Pause,
        1 => WhenFull::Refuse,
        _ => WhenFull::EvictIdle,
    };
    security
        .nodelay(yes())
        .reuse_port(yes())
        .v6_only(yes())
        .backlog(word() as u16)
        .keepalive(duration())
        .recv_buffer(len())
        .send_buffer(len())
        .source(addr())
        .reserve(word())
        .connections_max(word())
        .config(word() as u16)
        .when_full(policy)
}

/// Every method of a queue, in memory of its own and in a slot's entry of lent memory.
fn buffer<B: BorrowMut<[u8]>, S: BorrowMut<Span>>(held: &mut Queue<B, S>, data: &[u8]) {
    match word() {
        0 => _ = held.push(data),
        1 => {
            if let Some(byte) = held.spare().first_mut() {
                *byte = 1;
            }
        }
        2 => held.commit(len()),
        3 => held.consume(len()),
        4 if yes() => held.truncate(len()),
        4 => held.clear(),
        5 => {
            if let Some(byte) = held.filled_mut().first_mut() {
                *byte = 1;
            }
        }
        _ => held.consume(held.room().wrapping_sub(held.len())),
    }
    if held.is_empty() {
        held.commit(1);
    }
}

/// A queue in a table that may be shorter than the pool, with a span that may be foreign to it.
fn lent(id: SocketId, span: &mut Span, data: &mut [u8]) {
    let mut table = [[0; 16]; 3];
    if let Some(memory) = id.entry(&mut table) {
        buffer(&mut span.of(memory), data);
    }
    buffer(&mut span.of(data), &[1; 40]);
    if span.is_empty() {
        *span = Span::default();
    }
}

/// Runs a loop with any calls, between iterations too.
pub fn run<P: Layer + 'static>(
    platform: P,
    sockets: &'static mut Sockets<P, Anything, 64>,
    receive: &'static mut [u8],
    cork: &'static mut [u8],
) -> Result<(), Error> {
    let mut anything = Anything::default();
    let mut server = Loop::with_buffer(platform, sockets, receive)?;
    if yes() {
        server = server.with_cork(cork);
    }
    for _ in 0..long() {
        anything.any(&mut server.net().reborrow());
        anything.all(&mut server.all_sockets());
        server.poll(&mut anything, yes().then_some(Instant::from_micros(long())))?;
        let next = server.next_deadline().unwrap_or_default();
        let _ = server.next_wait().unwrap_or_default();
        let _ = addresses(&long().to_ne_bytes());
        let _ = next.saturating_add(duration()).as_micros();
        let _ = server.platform().now();
        server.platform_mut().call();
        let _ = server.stats();
    }
    server.run(&mut anything)
}

/// What has no loop.
pub fn values() -> u64 {
    let waker = Waker::new(Outside::<false>);
    waker.wake();
    let readiness = Readiness::READABLE.union(Readiness::ENDED.when(waker.take()));
    let _ = waker.notifier();
    let others = Readiness::from_bits(word());
    let facts = u64::from(readiness.intersects(others) ^ readiness.contains(others));
    let facts = facts ^ u64::from(others.bits());
    let name = SocketId::from_bits(long()).map_or(0, |id| id.to_bits() ^ u64::from(id.index()));
    let budget = Budget::of::<SocketId>().times(len()).and(Budget::NONE);
    let budget = u64::try_from(budget.bytes()).unwrap_or(0);
    facts ^ name ^ budget ^ u64::from(error().is_remote())
}

/// Anything that a program may say of some bytes.
fn any_frame<P: Layer>(
    _: &mut Socket<'_, P, Anything>,
    bytes: &mut [u8],
    output: &mut Output<'_>,
) -> Frame {
    let len = usize::try_from(word()).unwrap_or(0);
    let pushed = output.push_all(bytes) && output.room() > len;
    match word() {
        0 => Frame::Used(len),
        1 => Frame::Incomplete,
        2 if pushed => Frame::Last(len),
        _ => Frame::NoRoom,
    }
}
