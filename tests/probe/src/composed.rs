//! Protocols that make any of a part's calls, composed.

use core::fmt::Write;

use usockets::compose::{
    Both, Composed, Either, PartNet, PartSocket, PartSockets, Protocol, Scope,
};
use usockets::{
    Closed, Error, Instant, ListenerId, Loop, Opened, Place, Readiness, Slot, SocketId, TimerId,
};

use crate::anything::endpoint;
use crate::hidden::{len, long, word, yes};
use crate::outside::{Outside, Sink, duration};

/// Three parts, of which one knows of none of the others.
type Program = Composed<Both<Part, Both<Part, Part>>>;

/// A part that makes any call at any time.
#[derive(Default)]
struct Part {
    /// The socket that was named last.
    socket: Option<SocketId>,
}

impl Part {
    fn id(&self) -> Option<SocketId> {
        if yes() {
            return self.socket;
        }
        SocketId::from_bits(long())
    }

    fn own<S: Scope<Self>>(&mut self, socket: &mut PartSocket<'_, '_, Self, S>, data: &[u8]) {
        match word() {
            0 => socket.adopt(word()),
            1 => _ = socket.context(),
            2 => _ = socket.write(data),
            3 => socket.close(),
            4 => {
                if let Some((net, held)) = self.id().and_then(|id| socket.other(id)) {
                    touch::<S>(net, held);
                }
            }
            _ => self.all(&mut socket.all()),
        }
    }

    fn all<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        let Some(id) = self.id() else {
            return;
        };
        match word() {
            0 => _ = sockets.listen(endpoint(), word()),
            1 => self.socket = sockets.connect(endpoint(), word()).ok(),
            2 => _ = sockets.start_timer(duration(), duration(), word()),
            3 => sockets.adopt(id, word()),
            4 => _ = sockets.context(id),
            5 => sockets.close_all(word(), word() as u16),
            6 => sockets.close_where(word() as u16, |context| *context > word()),
            7 => sockets.visit(
                |context| *context > word(),
                |net, _, held| touch::<S>(net, held),
            ),
            8 => _ = sockets.count_where(|context| *context > word()),
            9 => {
                let close = |net: &mut PartNet<'_, Self, S>, id, _| net.close(id);
                _ = sockets.write_each(&[1, 2], |context| *context > word(), close);
            }
            10 => _ = sockets.timer_context().is_some(),
            _ => {
                if let Some((net, held)) = sockets.get(id) {
                    touch::<S>(net, held);
                }
            }
        }
    }
}

fn touch<S: Scope<Part>>(net: &mut PartNet<'_, Part, S>, held: &mut u64) {
    *held = held.wrapping_add(long());
    if let Some(id) = SocketId::from_bits(*held) {
        net.close(id);
    }
}

impl Protocol for Part {
    type Data = u64;
    type Context = u32;

    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<u32>,
    ) -> u64 {
        self.socket = Some(socket.id());
        socket.adopt(opened.context());
        self.own(socket, &[]);
        long()
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        held: &mut u64,
        data: &mut [u8],
    ) {
        *held = held.wrapping_add(long());
        self.own(socket, data);
    }

    fn on_writable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: &mut u64,
    ) {
        self.own(socket, &[1]);
    }

    fn on_close<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: &mut u64,
        closed: Closed,
    ) {
        let _ = write!(Sink, "{closed}");
        self.own(socket, &[]);
    }

    fn on_connect_error<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: u32,
        _: Error,
    ) {
        self.own(socket, &[]);
    }

    fn on_accept_error<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: ListenerId,
        _: Error,
    ) {
        self.all(sockets);
    }

    fn on_descriptor<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: SocketId,
        _: u32,
        _: Readiness,
    ) {
        self.all(sockets);
    }

    fn on_timer<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: TimerId,
        _: Option<u32>,
        _: u32,
    ) {
        self.all(sockets);
    }

    fn on_wake<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        self.all(sockets);
    }
}

/// Runs a loop of composed parts.
pub fn run(receive: &mut [u8]) -> Result<(), Error> {
    let mut slots = [const { Slot::free(0) }; 4];
    let mut data = [const { Place::Vacant }; 4];
    let mut server: Loop<'_, Outside<false>, Program> =
        Loop::with_slices(Outside, &mut slots, &mut data, receive)?;
    let mut program = Program::default();
    for _ in 0..len() {
        let context = match word() {
            0 => Either::First(word()),
            1 => Either::Second(Either::First(word())),
            _ => Either::Second(Either::Second(word())),
        };
        let _ = server.net().listen(endpoint(), context);
        let _ = server.net().watch(word(), context);
        server.poll(&mut program, yes().then_some(Instant::from_micros(long())))?;
    }
    server.run(&mut program)
}
