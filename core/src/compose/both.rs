//! Two protocols as one.

use core::marker::PhantomData;

use crate::address::Address;
use crate::closed::Closed;
use crate::compose::protocol::{ContextIn, DataIn, PartSocket, PartSockets, Protocol, Scope};
use crate::error::Error;
use crate::handler::Opened;
use crate::id::{ListenerId, SocketId, TimerId};
use crate::platform::Readiness;
use crate::pool::slot::find;
use crate::sockets::incoming::PreOpen;
use crate::time::Instant;

/// Two protocols, neither aware of the other, as one. Three are `Both<A, Both<B, C>>`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "complete by definition of a pair"
)]
pub struct Both<A, B>(
    /// The first, whose data and contexts are [`Either::First`].
    pub A,
    /// The second, whose data and contexts are [`Either::Second`].
    pub B,
);

/// The data, or a context, of one of two protocols.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by definition of a pair")]
pub enum Either<A, B> {
    /// Of the first.
    First(A),
    /// Of the second.
    Second(B),
}

/// The scope of the first of two protocols, which are `Both` in the scope `S`.
pub struct First<S, B>(PhantomData<fn(S, B)>);

/// The scope of the second of two protocols, which are `Both` in the scope `S`.
pub struct Second<S, A>(PhantomData<fn(S, A)>);

impl<A: Protocol, B: Protocol, S: Scope<Both<A, B>>> Scope<A> for First<S, B> {
    type Platform = S::Platform;
    type Handler = S::Handler;

    #[inline]
    fn data(whole: &mut DataIn<A, Self>) -> Option<&mut A::Data> {
        match S::data(whole)? {
            Either::First(data) => Some(data),
            Either::Second(_) => None,
        }
    }

    fn context(whole: ContextIn<A, Self>) -> Option<A::Context> {
        match S::context(whole)? {
            Either::First(context) => Some(context),
            Either::Second(_) => None,
        }
    }

    fn whole(context: A::Context) -> ContextIn<A, Self> {
        S::whole(Either::First(context))
    }
}

impl<A: Protocol, B: Protocol, S: Scope<Both<A, B>>> Scope<B> for Second<S, A> {
    type Platform = S::Platform;
    type Handler = S::Handler;

    #[inline]
    fn data(whole: &mut DataIn<B, Self>) -> Option<&mut B::Data> {
        match S::data(whole)? {
            Either::First(_) => None,
            Either::Second(data) => Some(data),
        }
    }

    fn context(whole: ContextIn<B, Self>) -> Option<B::Context> {
        match S::context(whole)? {
            Either::First(_) => None,
            Either::Second(context) => Some(context),
        }
    }

    fn whole(context: B::Context) -> ContextIn<B, Self> {
        S::whole(Either::Second(context))
    }
}

/// Makes a call of the first protocol, in its scope.
macro_rules! first {
    ($both:ident, $sockets:ident.$call:ident($($argument:expr),*)) => {
        $both.0.$call(&mut $sockets.within::<A, First<S, B>>(), $($argument),*)
    };
}

/// Makes a call of the second protocol, in its scope.
macro_rules! second {
    ($both:ident, $sockets:ident.$call:ident($($argument:expr),*)) => {
        $both.1.$call(&mut $sockets.within::<B, Second<S, A>>(), $($argument),*)
    };
}

impl<A: Protocol, B: Protocol> Protocol for Both<A, B> {
    type Data = Either<A::Data, B::Data>;
    type Context = Either<A::Context, B::Context>;

    fn on_pre_open(&mut self, peer: Address, now: Instant, context: Self::Context) -> PreOpen {
        match context {
            Either::First(context) => self.0.on_pre_open(peer, now, context),
            Either::Second(context) => self.1.on_pre_open(peer, now, context),
        }
    }

    #[inline]
    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<Self::Context>,
    ) -> Self::Data {
        match opened.context() {
            Either::First(context) => {
                Either::First(first!(self, socket.on_open(opened.with(context))))
            }
            Either::Second(context) => {
                Either::Second(second!(self, socket.on_open(opened.with(context))))
            }
        }
    }

    #[inline]
    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
        bytes: &mut [u8],
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_data(data, bytes)),
            Either::Second(data) => second!(self, socket.on_data(data, bytes)),
        }
    }

    fn on_readable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_readable(data)),
            Either::Second(data) => second!(self, socket.on_readable(data)),
        }
    }

    fn on_writable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_writable(data)),
            Either::Second(data) => second!(self, socket.on_writable(data)),
        }
    }

    fn on_end<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_end(data)),
            Either::Second(data) => second!(self, socket.on_end(data)),
        }
    }

    fn on_timeout<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_timeout(data)),
            Either::Second(data) => second!(self, socket.on_timeout(data)),
        }
    }

    fn on_drain<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_drain(data)),
            Either::Second(data) => second!(self, socket.on_drain(data)),
        }
    }

    fn on_close<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Self::Data,
        closed: Closed,
    ) {
        match data {
            Either::First(data) => first!(self, socket.on_close(data, closed)),
            Either::Second(data) => second!(self, socket.on_close(data, closed)),
        }
    }

    fn on_connect_error<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        context: Self::Context,
        error: Error,
    ) {
        match context {
            Either::First(context) => first!(self, socket.on_connect_error(context, error)),
            Either::Second(context) => second!(self, socket.on_connect_error(context, error)),
        }
    }

    fn on_accept_error<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        listener: ListenerId,
        error: Error,
    ) {
        let slot = find(sockets.net.slots, SocketId::from(listener));
        let whole = slot.and_then(|slot| slot.context.as_ref().copied());
        match whole.and_then(S::context) {
            Some(Either::First(_)) => first!(self, sockets.on_accept_error(listener, error)),
            Some(Either::Second(_)) => second!(self, sockets.on_accept_error(listener, error)),
            None => {}
        }
    }

    fn on_descriptor<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        id: SocketId,
        context: Self::Context,
        readiness: Readiness,
    ) {
        match context {
            Either::First(context) => first!(self, sockets.on_descriptor(id, context, readiness)),
            Either::Second(context) => second!(self, sockets.on_descriptor(id, context, readiness)),
        }
    }

    fn on_timer<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        timer: TimerId,
        context: Option<Self::Context>,
        missed: u32,
    ) {
        let (first, second) = match context {
            Some(Either::First(context)) => (Some(Some(context)), None),
            Some(Either::Second(context)) => (None, Some(Some(context))),
            None => (Some(None), Some(None)),
        };
        if let Some(context) = first {
            first!(self, sockets.on_timer(timer, context, missed));
        }
        if let Some(context) = second {
            second!(self, sockets.on_timer(timer, context, missed));
        }
    }

    fn on_wake<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        first!(self, sockets.on_wake());
        second!(self, sockets.on_wake());
    }

    fn before_wait<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        first!(self, sockets.before_wait());
        second!(self, sockets.before_wait());
    }

    #[inline]
    fn after_wait<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        first!(self, sockets.after_wait());
        second!(self, sockets.after_wait());
    }

    fn after_dispatch<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        first!(self, sockets.after_dispatch());
        second!(self, sockets.after_dispatch());
    }
}
