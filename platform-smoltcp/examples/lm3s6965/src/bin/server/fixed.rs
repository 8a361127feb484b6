//! A station whose address is fixed: the HTTP server is all of it.

use board::print;
use usockets::{Error, Loop};

use crate::http::memory::Store;
use crate::http::server::{Group, Server};
use crate::http::service::Service;
use crate::{CONNECTIONS, IN, LISTENING, OUT, Platform, endpoint};

pub(crate) use board::network::start;

/// Sockets: connections and the listener.
pub(crate) const SOCKETS: usize = CONNECTIONS + 1;

/// The loop's handler.
pub(crate) type Station = Server<'static, IN, OUT>;

/// What the handler is made with: nothing.
pub(crate) struct Seed;

/// Draws what the handler is made with.
#[expect(
    clippy::unnecessary_wraps,
    reason = "with DHCP there may be no random bytes"
)]
pub(crate) const fn seed() -> Result<Seed, Error> {
    Ok(Seed)
}

/// Makes the handler.
pub(crate) fn station(
    service: Service,
    store: &'static mut Store<IN, OUT, SOCKETS>,
    _: Seed,
) -> Station {
    Server::new(service, store)
}

/// Opens the sockets that everything begins with.
pub(crate) fn begin(server: &mut Loop<'static, Platform, Station>) -> Result<(), Error> {
    server.net().listen(endpoint(), Group::Listener)?;
    print(LISTENING, None);
    Ok(())
}
