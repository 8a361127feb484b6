//! The HTTP server of the crate edge-http, as it is, over this library: by the traits of edge-nal.
//!
//! `cargo run --release --bin http_edge [ADDR]`, and `curl http://ADDR/`

use static_cell::ConstStaticCell;
use usockets::Error;
use usockets_async::Listener;
use usockets_async_hosts::{edge, embassy, listen, reactor};
use usockets_linux::Linux;

/// Connections at a time.
const TASKS: usize = 8;

#[embassy_executor::task]
async fn serve(listener: Listener<'static, 'static, Linux>) {
    static MEMORY: ConstStaticCell<edge::Memory<TASKS>> = ConstStaticCell::new(edge::Memory::new());
    if let Err(error) = edge::serve(MEMORY.take(), listener).await {
        eprintln!("{error:?}");
    }
}

fn main() -> Result<(), Error> {
    let reactor = reactor(embassy::platform()?);
    let listener = listen(reactor)?;
    embassy::run(reactor, |spawner| {
        if let Ok(task) = serve(listener) {
            spawner.spawn(task);
        }
    })
}
