//! The loop as a source of calloop's: `cargo run --release --example host_calloop [ADDR]`.
use std::os::fd::AsFd;

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use usockets_hosts::{Echo, Failure, Server, server};
use usockets_linux::poll_inside;

/// What calloop lends to its callbacks.
struct State {
    server: Server,
    echo: Echo,
}

fn main() -> Result<(), Failure> {
    let mut state = State {
        server: server()?,
        echo: Echo::default(),
    };
    let mut events: EventLoop<'_, State> = EventLoop::try_new()?;
    let fd = state.server.as_fd().try_clone_to_owned()?;
    // The descriptor ends calloop's wait; all else is below.
    let source = Generic::new(fd, Interest::READ, Mode::Level);
    events
        .handle()
        .insert_source(source, |_, _, _| Ok(PostAction::Continue))
        .map_err(|error| error.error)?;
    loop {
        let wait = poll_inside(&mut state.server, &mut state.echo)?;
        events.dispatch(wait, &mut state)?;
    }
}
