//! The same calls by two ways: by name, and on the very socket that a handler's call is about.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{AllSockets, Net, Socket, SocketId};

use super::app::App;
use crate::sim::Host;

type Loop<'a, const HOLDS: bool> = Net<'a, Host<HOLDS>, u8>;

/// What a random program calls, about any socket.
pub(super) trait Calls<'a, const HOLDS: bool> {
    /// Every socket, by name.
    fn net(&mut self) -> &mut Loop<'a, HOLDS>;

    /// The name in the data of another open socket, if this is where data can be reached from.
    fn name_in_data(&mut self, _: SocketId) -> Option<SocketId> {
        None
    }

    fn write(&mut self, id: SocketId, data: &[u8]) -> usize {
        self.net().write(id, data)
    }

    fn write_vectored(&mut self, id: SocketId, parts: &[&[u8]]) -> usize {
        self.net().write_vectored(id, parts)
    }

    fn cork(&mut self, id: SocketId) {
        self.net().cork(id);
    }

    fn uncork(&mut self, id: SocketId) {
        self.net().uncork(id);
    }

    fn finish(&mut self, id: SocketId) {
        self.net().finish(id);
    }

    fn close(&mut self, id: SocketId, code: u16) {
        if code == 0 {
            self.net().close(id);
        } else {
            self.net().close_with(id, code);
        }
    }

    fn abort(&mut self, id: SocketId, code: u16) {
        self.net().abort(id, code);
    }

    fn pause(&mut self, id: SocketId) {
        self.net().pause(id);
    }

    fn resume(&mut self, id: SocketId) {
        self.net().resume(id);
    }

    fn set_timeout(&mut self, id: SocketId, after: Duration) {
        self.net().set_timeout(id, after);
    }

    fn adopt(&mut self, id: SocketId, context: u8) {
        self.net().adopt(id, context);
    }

    fn context(&mut self, id: SocketId) -> Option<u8> {
        self.net().context(id)
    }

    /// Ours, and the peer's.
    fn addresses(&mut self, id: SocketId) -> [Option<SocketAddr>; 2] {
        let net = self.net();
        [net.local_addr(id), net.peer_addr(id)].map(|addr| addr.and_then(|addr| addr.ip()))
    }

    fn protocol(&mut self, id: SocketId) -> Vec<u8> {
        self.net().protocol(id).to_vec()
    }
}

impl<'a, const HOLDS: bool> Calls<'a, HOLDS> for Loop<'a, HOLDS> {
    fn net(&mut self) -> &mut Loop<'a, HOLDS> {
        self
    }
}

impl<'a, const HOLDS: bool> Calls<'a, HOLDS> for AllSockets<'a, Host<HOLDS>, App> {
    fn net(&mut self) -> &mut Loop<'a, HOLDS> {
        AllSockets::net(self)
    }

    fn name_in_data(&mut self, id: SocketId) -> Option<SocketId> {
        self.get(id).map(|(_, own)| own.id)
    }
}

/// Calls the socket's own method if it is about the socket, and by name if not.
macro_rules! own_or_named {
    ($self:ident, $id:ident, $method:ident($($argument:expr),*)) => {
        if $id == $self.id() {
            Socket::$method($self $(, $argument)*)
        } else {
            Socket::net($self).$method($id $(, $argument)*)
        }
    };
}

impl<'a, const HOLDS: bool> Calls<'a, HOLDS> for Socket<'a, Host<HOLDS>, App> {
    fn net(&mut self) -> &mut Loop<'a, HOLDS> {
        Socket::net(self)
    }

    fn name_in_data(&mut self, id: SocketId) -> Option<SocketId> {
        self.other(id).map(|(_, own)| own.id)
    }

    fn write(&mut self, id: SocketId, data: &[u8]) -> usize {
        own_or_named!(self, id, write(data))
    }

    fn write_vectored(&mut self, id: SocketId, parts: &[&[u8]]) -> usize {
        own_or_named!(self, id, write_vectored(parts))
    }

    fn cork(&mut self, id: SocketId) {
        own_or_named!(self, id, cork());
    }

    fn uncork(&mut self, id: SocketId) {
        own_or_named!(self, id, uncork());
    }

    fn finish(&mut self, id: SocketId) {
        own_or_named!(self, id, finish());
    }

    fn close(&mut self, id: SocketId, code: u16) {
        if code == 0 {
            own_or_named!(self, id, close());
        } else {
            own_or_named!(self, id, close_with(code));
        }
    }

    fn abort(&mut self, id: SocketId, code: u16) {
        own_or_named!(self, id, abort(code));
    }

    fn pause(&mut self, id: SocketId) {
        own_or_named!(self, id, pause());
    }

    fn resume(&mut self, id: SocketId) {
        own_or_named!(self, id, resume());
    }

    fn set_timeout(&mut self, id: SocketId, after: Duration) {
        own_or_named!(self, id, set_timeout(after));
    }

    fn adopt(&mut self, id: SocketId, context: u8) {
        own_or_named!(self, id, adopt(context));
    }

    fn context(&mut self, id: SocketId) -> Option<u8> {
        own_or_named!(self, id, context())
    }

    fn addresses(&mut self, id: SocketId) -> [Option<SocketAddr>; 2] {
        [
            own_or_named!(self, id, local_addr()).and_then(|addr| addr.ip()),
            own_or_named!(self, id, peer_addr()).and_then(|addr| addr.ip()),
        ]
    }

    fn protocol(&mut self, id: SocketId) -> Vec<u8> {
        own_or_named!(self, id, protocol()).to_vec()
    }
}
