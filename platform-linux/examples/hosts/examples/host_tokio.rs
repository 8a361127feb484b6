//! The loop as a task of tokio: `cargo run --release --example host_tokio [ADDR]`.
//!
//! tokio is edge-triggered and owns what it watches, so it gets a duplicate of the descriptor.
#![expect(
    unsafe_code,
    reason = "tokio leaves the descriptor's life to its caller"
)]
use core::future::pending;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use usockets::Duration;
use usockets_hosts::{Echo, Failure, Server, server};
use usockets_linux::poll_inside;

async fn drive(mut server: Server) -> Result<(), Failure> {
    let mut echo = Echo::default();
    let fd = server.as_fd().try_clone_to_owned()?;
    // SAFETY: the duplicate is owned by the `AsyncFd`, and nobody else closes it.
    let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? };
    loop {
        let wait = poll_inside(&mut server, &mut echo)?;
        if wait == Some(Duration::ZERO) {
            tokio::task::yield_now().await;
            continue;
        }
        let due = async {
            match wait {
                Some(wait) => sleep(wait).await,
                None => pending().await,
            }
        };
        tokio::select! {
            // Forgotten before the loop is asked, so that what comes meanwhile is told again.
            ready = fd.readable() => ready?.clear_ready(),
            () = due => {}
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    drive(server()?).await
}
