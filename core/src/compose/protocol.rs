//! What a part of a handler does, where its data lies, and what its calls can reach.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use crate::address::Address;
use crate::closed::Closed;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::handler::{Handler, Opened};
use crate::id::{ListenerId, SocketId, TimerId};
use crate::platform::{Platform, Readiness};
use crate::sockets::Net;
use crate::sockets::incoming::PreOpen;
use crate::sockets::receive::Read;
use crate::sockets::socket::{AllSockets, Socket};
use crate::time::{Duration, Instant};

/// The data of a socket as the handler of the whole loop has it.
pub type DataIn<Q, S> = <<S as Scope<Q>>::Handler as Handler<<S as Scope<Q>>::Platform>>::Ext;

/// A context as the handler of the whole loop has it.
pub type ContextIn<Q, S> =
    <<S as Scope<Q>>::Handler as Handler<<S as Scope<Q>>::Platform>>::Context;

/// Where the data and the contexts of a protocol lie within those of a loop.
///
/// Protocols only name it. Implemented by [`Outermost`](super::Outermost),
/// [`First`](super::First) and [`Second`](super::Second), and by a handler that takes in a
/// protocol by itself.
pub trait Scope<Q: Protocol>: Sized {
    /// The loop's platform.
    type Platform: Platform;

    /// The loop's handler.
    type Handler: Handler<Self::Platform>;

    /// Returns the protocol's data; `None` if the socket is another's.
    fn data(whole: &mut DataIn<Q, Self>) -> Option<&mut Q::Data>;

    /// Returns the protocol's context; `None` if it is another's.
    fn context(whole: ContextIn<Q, Self>) -> Option<Q::Context>;

    /// Returns the loop's context for one of the protocol's.
    fn whole(context: Q::Context) -> ContextIn<Q, Self>;
}

/// The behaviour of some of the sockets of a loop.
///
/// As [`Handler`], whose calls are documented there, with two differences: its data and contexts
/// are those of its own sockets, and a socket comes as a [`PartSocket`]. `S` is where in the loop
/// the protocol is, which it need not know.
///
/// See the [module](super) for an example.
pub trait Protocol: Sized {
    /// Data of one open socket. As [`Handler::Ext`], and borrows nothing.
    type Data: Send + 'static;

    /// Tells groups of the protocol's sockets apart. As [`Handler::Context`].
    type Context: Copy + PartialEq + Send;

    /// One of the protocol's listeners has accepted a connection of `peer`, at `now`: says whether
    /// it is kept. As [`Handler::on_pre_open`], but that it cannot be taken out.
    #[inline]
    fn on_pre_open(&mut self, peer: Address, now: Instant, context: Self::Context) -> PreOpen {
        let _ = (peer, now, context);
        PreOpen::Keep
    }

    /// A connection is open. Returns its data. As [`Handler::on_open`].
    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<Self::Context>,
    ) -> Self::Data;

    /// Bytes arrived. As [`Handler::on_data`].
    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
        bytes: &mut [u8],
    );

    /// There is something to read. As [`Handler::on_readable`], by default too.
    fn on_readable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        let _ = data;
        let mut dropped = [0; 64];
        while let Ok(Read::Data(_)) = socket.read(&mut dropped) {}
    }

    /// There is room again. As [`Handler::on_writable`].
    fn on_writable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        let _ = (socket, data);
    }

    /// The peer ended its direction. As [`Handler::on_end`], by default too.
    fn on_end<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        let _ = data;
        socket.finish();
    }

    /// The loop drains. As [`Handler::on_drain`], by default too.
    fn on_drain<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        let _ = data;
        socket.finish();
    }

    /// The socket's time is over. As [`Handler::on_timeout`], by default too.
    fn on_timeout<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        let _ = data;
        socket.time_out();
    }

    /// An open socket is gone. As [`Handler::on_close`].
    fn on_close<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
        closed: Closed,
    ) {
        let _ = (socket, data, closed);
    }

    /// A connect failed. As [`Handler::on_connect_error`].
    fn on_connect_error<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        context: Self::Context,
        error: Error,
    ) {
        let _ = (socket, context, error);
    }

    /// A listener of the protocol stopped accepting. As [`Handler::on_accept_error`].
    fn on_accept_error<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        listener: ListenerId,
        error: Error,
    ) {
        let _ = (sockets, listener, error);
    }

    /// A descriptor that is watched is ready. As [`Handler::on_descriptor`].
    fn on_descriptor<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        id: SocketId,
        context: Self::Context,
        readiness: Readiness,
    ) {
        let _ = (sockets, id, context, readiness);
    }

    /// A timer is due. As [`Handler::on_timer`], with the context it was started with
    /// ([`PartSockets::start_timer`]). `None` for one that the program started without, which each
    /// part is told of.
    fn on_timer<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        timer: TimerId,
        context: Option<Self::Context>,
        missed: u32,
    ) {
        let _ = (sockets, timer, context, missed);
    }

    /// The platform's waker was used. As [`Handler::on_wake`]; each part is told.
    fn on_wake<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        let _ = sockets;
    }

    /// The iteration is about to wait. As [`Handler::before_wait`].
    fn before_wait<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        let _ = sockets;
    }

    /// The wait is over. As [`Handler::after_wait`].
    #[inline]
    fn after_wait<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        let _ = sockets;
    }

    /// The iteration made all its calls. As [`Handler::after_dispatch`].
    fn after_dispatch<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        let _ = sockets;
    }
}

/// Every socket of the loop, by id, as a part gets it together with a socket's data. Its methods
/// that take a context are the whole program's; a part uses those of [`PartSockets`].
pub type PartNet<'a, Q, S> = Net<'a, <S as Scope<Q>>::Platform, ContextIn<Q, S>>;

/// The socket that a call of a part is about.
///
/// It dereferences to the [`Socket`] that it is; the methods here are those in which a part's
/// data and contexts take the place of the loop's.
pub struct PartSocket<'s, 'a, Q: Protocol, S: Scope<Q>> {
    whole: &'s mut Socket<'a, S::Platform, S::Handler>,
    part: PhantomData<fn(Q)>,
}

/// Every socket of a loop, of which a part reaches its own.
///
/// It dereferences to the [`AllSockets`] that it is. See [`PartSocket`].
pub struct PartSockets<'s, 'a, Q: Protocol, S: Scope<Q>> {
    whole: &'s mut AllSockets<'a, S::Platform, S::Handler>,
    part: PhantomData<fn(Q)>,
}

impl<'s, 'a, Q: Protocol, S: Scope<Q>> PartSocket<'s, 'a, Q, S> {
    /// Makes of a socket the part's, for a handler that takes in a protocol by itself, and for
    /// what hands a part its [`Socket`], as [`Frames`](crate::Frames) does.
    #[inline]
    pub const fn new(whole: &'s mut Socket<'a, S::Platform, S::Handler>) -> Self {
        Self {
            whole,
            part: PhantomData,
        }
    }

    /// Returns every socket of which the part reaches its own.
    #[inline]
    pub const fn all(&mut self) -> PartSockets<'_, 'a, Q, S> {
        PartSockets::new(&mut self.whole.all)
    }

    /// Returns the data of another socket of the part, and the way to write to it. See
    /// [`PartSockets::get`].
    pub fn other(&mut self, id: SocketId) -> Option<(&mut PartNet<'a, Q, S>, &mut Q::Data)> {
        let (net, data) = self.whole.all.get(id)?;
        Some((net, S::data(data)?))
    }

    /// Moves the socket to another context of the part. See [`Net::adopt`].
    pub fn adopt(&mut self, context: Q::Context) {
        self.whole.adopt(S::whole(context));
    }

    /// Returns the socket's context, in its `on_close` too; `None` when it was closed before.
    #[must_use]
    pub fn context(&mut self) -> Option<Q::Context> {
        S::context(self.whole.context()?)
    }

    /// The same as a part within this part sees it.
    #[inline]
    pub(crate) const fn within<Q2, S2>(&mut self) -> PartSocket<'_, 'a, Q2, S2>
    where
        Q2: Protocol,
        S2: Scope<Q2, Platform = S::Platform, Handler = S::Handler>,
    {
        PartSocket::new(self.whole)
    }
}

impl<'s, 'a, Q: Protocol, S: Scope<Q>> PartSockets<'s, 'a, Q, S> {
    /// Makes of every socket those of which the part reaches its own. See [`PartSocket::new`].
    #[inline]
    pub const fn new(whole: &'s mut AllSockets<'a, S::Platform, S::Handler>) -> Self {
        Self {
            whole,
            part: PhantomData,
        }
    }

    /// Returns the data of a socket of the part, together with every socket by id. `None` for a
    /// socket of another part, otherwise as [`AllSockets::get`].
    pub fn get(&mut self, id: SocketId) -> Option<(&mut PartNet<'a, Q, S>, &mut Q::Data)> {
        let (net, data): (_, &mut DataIn<Q, S>) = self.whole.get(id)?;
        Some((net, S::data(data)?))
    }

    /// Listens. See [`Net::listen`].
    ///
    /// # Errors
    /// As there.
    pub fn listen(&mut self, at: Endpoint<'_>, context: Q::Context) -> Result<ListenerId, Error> {
        self.whole.net.listen(at, S::whole(context))
    }

    /// Connects. See [`Net::connect`].
    ///
    /// # Errors
    /// As there.
    pub fn connect(&mut self, to: Endpoint<'_>, context: Q::Context) -> Result<SocketId, Error> {
        self.whole.net.connect(to, S::whole(context))
    }

    /// Starts a timer of the part. See [`Net::start_timer_in`].
    ///
    /// # Errors
    /// As there.
    pub fn start_timer(
        &mut self,
        after: Duration,
        repeat: Duration,
        context: Q::Context,
    ) -> Result<TimerId, Error> {
        let context = S::whole(context);
        self.whole.net.start_timer_in(context, after, repeat)
    }

    /// Moves a connection to another context of the part. See [`Net::adopt`]. Does nothing to a
    /// socket of another part.
    pub fn adopt(&mut self, id: SocketId, context: Q::Context) {
        if self.context(id).is_some() {
            self.whole.net.adopt(id, S::whole(context));
        }
    }

    /// Returns the context of a connection; `None` for one of another part.
    #[must_use]
    pub fn context(&mut self, id: SocketId) -> Option<Q::Context> {
        S::context(self.whole.net.context(id)?)
    }

    /// Closes everything of one context of the part. See [`Net::close_all`].
    pub fn close_all(&mut self, context: Q::Context, code: u16) {
        self.close_where(code, |other| *other == context);
    }

    /// Closes everything of the part whose context `is_meant` affirms. See [`Net::close_where`].
    pub fn close_where(&mut self, code: u16, is_meant: impl FnMut(&Q::Context) -> bool) {
        self.whole.net.close_where(code, own::<Q, S>(is_meant));
    }

    /// Visits every open socket of the part whose context `is_meant` affirms. See
    /// [`AllSockets::visit`].
    pub fn visit(
        &mut self,
        is_meant: impl FnMut(&Q::Context) -> bool,
        mut visit: impl FnMut(&mut PartNet<'a, Q, S>, SocketId, &mut Q::Data),
    ) {
        self.whole.visit(own::<Q, S>(is_meant), |net, id, data| {
            if let Some(data) = S::data(data) {
                visit(net, id, data);
            }
        });
    }

    /// Returns how many open connections of the part have a context that `is_meant` affirms. See
    /// [`Net::count_where`].
    #[must_use]
    pub fn count_where(&self, is_meant: impl FnMut(&Q::Context) -> bool) -> usize {
        self.whole.net.count_where(own::<Q, S>(is_meant))
    }

    /// Writes the same bytes to every open connection of the part whose context `is_meant`
    /// affirms. See [`Net::write_each`].
    pub fn write_each(
        &mut self,
        data: &[u8],
        is_meant: impl FnMut(&Q::Context) -> bool,
        short: impl FnMut(&mut PartNet<'a, Q, S>, SocketId, usize),
    ) -> usize {
        let net = &mut self.whole.net;
        net.write_each(data, own::<Q, S>(is_meant), short)
    }

    /// The same as a part within this part sees it.
    #[inline]
    pub(crate) const fn within<Q2, S2>(&mut self) -> PartSockets<'_, 'a, Q2, S2>
    where
        Q2: Protocol,
        S2: Scope<Q2, Platform = S::Platform, Handler = S::Handler>,
    {
        PartSockets::new(self.whole)
    }
}

/// Affirms those contexts of the loop that are the part's and that `is_meant` affirms.
fn own<Q: Protocol, S: Scope<Q>>(
    mut is_meant: impl FnMut(&Q::Context) -> bool,
) -> impl FnMut(&ContextIn<Q, S>) -> bool {
    move |&whole| S::context(whole).is_some_and(|own| is_meant(&own))
}

impl<'a, Q: Protocol, S: Scope<Q>> Deref for PartSocket<'_, 'a, Q, S> {
    type Target = Socket<'a, S::Platform, S::Handler>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.whole
    }
}

impl<Q: Protocol, S: Scope<Q>> DerefMut for PartSocket<'_, '_, Q, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.whole
    }
}

impl<'a, Q: Protocol, S: Scope<Q>> Deref for PartSockets<'_, 'a, Q, S> {
    type Target = AllSockets<'a, S::Platform, S::Handler>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.whole
    }
}

impl<Q: Protocol, S: Scope<Q>> DerefMut for PartSockets<'_, '_, Q, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.whole
    }
}
