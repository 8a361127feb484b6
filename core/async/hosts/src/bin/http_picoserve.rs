//! The HTTP server of the crate picoserve, as it is, over this library.
//!
//! `cargo run --release --bin http_picoserve [ADDR]`, and `curl http://ADDR/`

use usockets::Error;
use usockets_async_hosts::{listen, pico, pool, reactor};
use usockets_linux::Linux;

fn main() -> Result<(), Error> {
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let server = thread.spawn(|| {
        let reactor = reactor(Linux::new()?);
        let listener = listen(reactor)?;
        pool::serve(reactor, &listener, |stream| pico::serve(reactor, stream))
    });
    server
        .map_err(|_| Error::Exhausted)?
        .join()
        .map_err(|_| Error::Invalid)?
}
