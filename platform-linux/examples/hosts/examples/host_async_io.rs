//! The loop under async-io: `cargo run --release --example host_async_io [ADDR]`.
//!
//! async-io owns what it watches, so it gets a duplicate of the descriptor.
use core::future::pending;
use std::os::fd::AsFd;

use async_io::{Async, Timer, block_on};
use usockets::Duration;
use usockets_hosts::{Echo, Failure, Server, server};
use usockets_linux::poll_inside;

async fn drive(mut server: Server) -> Result<(), Failure> {
    let mut echo = Echo::default();
    let fd = Async::new(server.as_fd().try_clone_to_owned()?)?;
    loop {
        match poll_inside(&mut server, &mut echo)? {
            Some(Duration::ZERO) => futures_lite::future::yield_now().await,
            wait => {
                let ready = async { fd.readable().await };
                let due = async {
                    match wait {
                        Some(wait) => Timer::after(wait).await,
                        None => pending().await,
                    };
                    Ok(())
                };
                futures_lite::future::or(ready, due).await?;
            }
        }
    }
}

fn main() -> Result<(), Failure> {
    block_on(drive(server()?))
}
