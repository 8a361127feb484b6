//! The loop inside mio's: `cargo run --release --example host_mio [ADDR]`.
//!
//! mio is edge-triggered. It is told of what comes between `poll_inside` and its own wait, because
//! the kernel keeps the edge until it is asked for.
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use usockets_hosts::{Echo, Failure, server};
use usockets_linux::poll_inside;

/// Ours among all that the program watches with mio.
const LOOP: Token = Token(0);

fn main() -> Result<(), Failure> {
    let mut server = server()?;
    let mut echo = Echo::default();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    let fd = server.as_fd().as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), LOOP, Interest::READABLE)?;
    loop {
        // Whether it was this token, another one or the time: asking the loop costs little.
        let wait = poll_inside(&mut server, &mut echo)?;
        if let Err(error) = poll.poll(&mut events, wait)
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error.into());
        }
    }
}
