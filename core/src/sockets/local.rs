//! Unix sockets, on platforms that have them.

use crate::error::Error;
use crate::id::{ListenerId, SocketId};
use crate::platform::{Credentials, Datagrams, Departure, LocalEndpoint, LocalSockets, LocalType};
use crate::pool::slot::{find, find_known, find_open};
use crate::sockets::datagrams::{Sent, is_of_datagrams};
use crate::sockets::send::{find_writable, mark_broken, sent};
use crate::sockets::{Net, start_listener};

impl<P: LocalSockets, C: Copy + PartialEq> Net<'_, P, C> {
    /// Listens at a path or abstract name. Connections open with `context`, and are read, written
    /// and closed as those of [`Self::listen`].
    ///
    /// The path stays when the listener stops.
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free, [`Error::AddressInUse`] when somebody listens there or
    /// the path may not be removed, else what [`LocalSockets::listen_local`] says.
    pub fn listen_local(&mut self, at: LocalEndpoint, context: C) -> Result<ListenerId, Error> {
        let id = self.claim_by(|platform, socket, id| platform.listen_local(socket, id, &at))?;
        if let Some(slot) = find_known(self.slots, id) {
            start_listener(slot, context, &at.admission());
        }
        Ok(ListenerId(id))
    }

    /// Connects to a path or abstract name. Ends in `on_open`, or in `on_connect_error`, as
    /// [`Self::connect`] does.
    ///
    /// # Errors
    /// As [`Self::connect`]. [`Error::Exhausted`] also when the listener's queue is full.
    pub fn connect_local(&mut self, to: LocalEndpoint, context: C) -> Result<SocketId, Error> {
        self.connect_by(context, |platform, socket, id| {
            platform.connect_local(socket, id, &to)
        })
    }

    /// Returns who the peer of an open Unix connection was when it connected (`SO_PEERCRED`,
    /// `unix(7)`).
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other socket.
    pub fn peer_credentials(&mut self, id: SocketId) -> Result<Credentials, Error> {
        let slot = find_open(self.slots, id).ok_or(Error::Invalid)?;
        self.platform.peer_credentials(&slot.socket)
    }

    /// Writes to an open Unix connection, with descriptors beside the first byte (`SCM_RIGHTS`,
    /// `unix(7)`). Returns how many bytes were taken: the descriptors went if that is more than 0,
    /// and otherwise did not, and `on_writable` follows. The caller keeps its own copies.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a socket that is not open or no Unix socket, no bytes, or more than
    /// 253 descriptors; [`Error::Exhausted`] when too many descriptors are on their way. The
    /// connection goes on then. Another error broke it, and `on_close` follows.
    pub fn write_with_descriptors(
        &mut self,
        id: SocketId,
        data: &[u8],
        descriptors: &[&P::Descriptor],
    ) -> Result<usize, Error> {
        if self.state.cork.holder == Some(id) && !self.flush_and_uncork(id) {
            // What was written before is to be sent before.
            return Ok(0);
        }
        find_open(self.slots, id).ok_or(Error::Invalid)?;
        let Some(slot) = find_writable(self.slots, id) else {
            return Ok(0);
        };
        let socket = &mut slot.socket;
        let result = self
            .platform
            .send_with_descriptors(socket, data, descriptors);
        match result {
            Ok(count) => Ok(sent(slot, self.state, count, data.len())),
            Err(error @ (Error::Invalid | Error::Exhausted | Error::Unsupported)) => Err(error),
            Err(error) => {
                mark_broken(slot, self.state, id, error);
                Err(error)
            }
        }
    }

    /// Takes the next descriptor that came beside received bytes. To be called in the `on_data` of
    /// these bytes, or after the [`Self::read`] that brought them, or the
    /// [`recv_batch`](Self::recv_batch), whose last datagram it came with; later it may be closed.
    pub fn next_descriptor(&mut self, id: SocketId) -> Option<P::Descriptor> {
        let slot = find(self.slots, id)?;
        if !slot.is_open() && !is_of_datagrams(slot) {
            return None;
        }
        self.platform.next_descriptor(&mut slot.socket)
    }
}

impl<P: LocalSockets + Datagrams, C: Copy + PartialEq> Net<'_, P, C> {
    /// Opens a Unix datagram socket at a path or abstract name, with a mode and a policy for a
    /// stale path, which [`Self::bind`] has none of. It is used as one of [`Self::bind`], and
    /// datagrams go [to](crate::Departure::to) and come [from](crate::Arrival::peer)
    /// [`Address::Local`](crate::Address::Local). A [batch](Self::recv_batch) ends behind one that
    /// a peer passed descriptors with, which [`Self::next_descriptor`] takes.
    ///
    /// The path stays when the socket is closed.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the endpoint is of another type, else as [`Self::listen_local`].
    pub fn bind_local(&mut self, at: LocalEndpoint, context: C) -> Result<SocketId, Error> {
        if at.socket_type != LocalType::Datagrams {
            return Err(Error::Invalid);
        }
        let id = self.claim_by(|platform, socket, id| platform.bind_local(socket, id, &at))?;
        self.start_datagrams(id, context);
        Ok(id)
    }

    /// Sends one datagram out of `memory` with descriptors beside it (`SCM_RIGHTS`, `unix(7)`).
    /// As [`Self::send_batch`] of one departure: `count` is 1 if both went. The caller keeps its
    /// own copies of the descriptors either way.
    ///
    /// ```
    /// use usockets::{
    ///     Arrival, Departure, Error, Handler, LocalAddress, LocalEndpoint, Loop, Opened, Socket,
    ///     Sockets,
    /// };
    /// use usockets_linux::Linux;
    ///
    /// /// Passes itself a descriptor.
    /// #[derive(Default)]
    /// struct Pass {
    ///     received: usize,
    /// }
    ///
    /// impl Handler<Linux> for Pass {
    ///     type Ext = ();
    ///     type Context = ();
    ///
    ///     fn on_open(&mut self, socket: &mut Socket<'_, Linux, Self>, _: Opened<()>) {
    ///         let (id, to) = (socket.id(), socket.local_addr().unwrap_or_default());
    ///         let file = std::fs::File::open("/dev/null").unwrap().into();
    ///         let one = Departure { len: 4, to, ..Departure::default() };
    ///         let sent = socket.net().send_with_descriptors(id, b"file", &one, &[&file]);
    ///         assert_eq!(sent.count, 1);
    ///     }
    ///
    ///     fn on_data(&mut self, _: &mut Socket<'_, Linux, Self>, _: &mut (), _: &mut [u8]) {}
    ///
    ///     fn on_readable(&mut self, socket: &mut Socket<'_, Linux, Self>, _: &mut ()) {
    ///         let (id, mut memory) = (socket.id(), [0; 4]);
    ///         let came = socket.recv_batch(&mut memory, &mut [Arrival::default()]);
    ///         if came == Ok(1) {
    ///             let descriptor = socket.net().next_descriptor(id);
    ///             self.received += usize::from(descriptor.is_some());
    ///             socket.close();
    ///         }
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Error> {
    /// let mut sockets = Sockets::<_, _, 1>::new();
    /// let mut buffer = [0; 1]; // For streams, of which there are none.
    /// let mut net = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
    /// let name = format!("usockets-{}", std::process::id());
    /// let at = LocalAddress::abstract_name(name.as_bytes())?;
    /// net.net().bind_local(LocalEndpoint::datagrams(at), ())?;
    /// let mut pass = Pass::default();
    /// net.run(&mut pass)?;
    /// assert_eq!(pass.received, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Its `error` is [`Error::Invalid`] for a run, a socket that is no Unix datagram socket, or
    /// more than 253 descriptors, and [`Error::Exhausted`] also when too many descriptors are on
    /// their way.
    pub fn send_with_descriptors(
        &mut self,
        id: SocketId,
        memory: &[u8],
        departure: &Departure,
        descriptors: &[&P::Descriptor],
    ) -> Sent {
        self.send_by(
            id,
            memory,
            core::slice::from_ref(departure),
            |platform, socket, _| {
                let went =
                    platform.send_datagram_with_descriptors(socket, memory, departure, descriptors);
                went.map(usize::from)
            },
        )
    }
}
