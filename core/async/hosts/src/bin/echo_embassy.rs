//! An echo server on embassy's executor: tasks in statics, one for each connection.
//!
//! `cargo run --release --bin echo_embassy [ADDR]`

use embassy_executor::Spawner;
use usockets::Error;
use usockets_async::Listener;
use usockets_async_hosts::{Connection, echo, embassy, listen, reactor};
use usockets_linux::Linux;

#[embassy_executor::task(pool_size = 1_100)]
async fn serve(stream: Connection) {
    let _ = echo(stream).await;
}

#[embassy_executor::task]
async fn accept(listener: Listener<'static, 'static, Linux>, spawner: Spawner) {
    while let Ok(stream) = listener.accept().await {
        // There are as many tasks as slots, so that each connection gets one.
        if let Ok(task) = serve(stream) {
            spawner.spawn(task);
        }
    }
}

fn main() -> Result<(), Error> {
    let reactor = reactor(embassy::platform()?);
    let listener = listen(reactor)?;
    embassy::run(reactor, |spawner| {
        if let Ok(task) = accept(listener, spawner) {
            spawner.spawn(task);
        }
    })
}
