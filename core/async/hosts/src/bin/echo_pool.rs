//! An echo server on the small executor: a task for each connection.
//!
//! `cargo run --release --bin echo_pool [ADDR]`

use usockets::Error;
use usockets_async_hosts::{echo, listen, pool, reactor};
use usockets_linux::Linux;

fn main() -> Result<(), Error> {
    // The pool of tasks is on the stack.
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let server = thread.spawn(|| {
        let reactor = reactor(Linux::new()?);
        let listener = listen(reactor)?;
        pool::serve(reactor, &listener, echo)
    });
    server
        .map_err(|_| Error::Exhausted)?
        .join()
        .map_err(|_| Error::Invalid)?
}
