//! An echo server on tokio's `LocalSet`, beside tokio's own tasks: the loop is one of them, which
//! waits for its descriptor, its deadline, and what the others do.
//!
//! `cargo run --release --bin echo_tokio [ADDR]`

use std::os::fd::{AsFd, OwnedFd};

use tokio::io::unix::AsyncFd;
use tokio::task::{LocalSet, spawn_local, yield_now};
use usockets::{Instant, Platform};
use usockets_async_hosts::{Shared, echo, listen, reactor};
use usockets_linux::Linux;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Runs the loop among the tasks.
async fn drive(reactor: Shared) -> Result<()> {
    // The platform keeps its descriptor; tokio watches a duplicate.
    let fd: OwnedFd = reactor.with_net(|net| net.platform_mut().as_fd().try_clone_to_owned())??;
    // SAFETY: the descriptor is owned, and open until the registration is dropped.
    let fd = unsafe { AsyncFd::register(fd)? };
    loop {
        reactor.turn(Some(Instant::ZERO))?;
        let now = reactor.with_net(|net| net.platform_mut().now())?;
        let left = reactor.next_deadline().map(|at| at.saturating_since(now));
        if left.is_some_and(|left| left.is_zero()) {
            yield_now().await;
            continue;
        }
        let deadline = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Cleared before the loop asks, so that what comes meanwhile is told again.
            ready = fd.readable() => ready?.clear_ready(),
            () = deadline => {}
            () = reactor.changed() => {}
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let reactor = reactor(Linux::new()?);
    let listener = listen(reactor)?;
    let tasks = LocalSet::new();
    tasks.spawn_local(async move {
        while let Ok(stream) = listener.accept().await {
            spawn_local(echo(stream));
        }
    });
    tasks.run_until(drive(reactor)).await
}
