//! The loop under libuv: `cargo run --release --example host_libuv [ADDR]`.
//!
//! A `uv_poll` for the descriptor, and one timer that follows the loop's deadline, set before each
//! wait.
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};

use usockets::Instant;
use usockets_hosts::{Echo, Failure, Server, server};
use usockets_hosts_c::uv::*;
use usockets_linux::poll_inside;

struct State {
    server: Server,
    echo: Echo,
    uv: Handle,
    timer: Handle,
    set_for: Option<Instant>,
}

fn state<'a>(handle: Handle) -> &'a mut State {
    // SAFETY: `main` gives each handle the one state, which is used in one callback at a time.
    unsafe { &mut *uv_handle_get_data(handle).cast() }
}

extern "C" fn ready(handle: Handle, _: c_int, _: c_int) {
    due(handle);
}

extern "C" fn due(handle: Handle) {
    let state = state(handle);
    state.set_for = state.set_for.filter(|_| handle != state.timer);
    poll_inside(&mut state.server, &mut state.echo).expect("a sound platform");
}

/// Sets the timer if the loop's deadline is another than it was.
extern "C" fn prepare(handle: Handle) {
    let state = state(handle);
    let deadline = state.server.next_deadline();
    if deadline == state.set_for {
        return;
    }
    state.set_for = deadline;
    let wait = state.server.next_wait();
    // SAFETY: the handles are initialized and never closed.
    unsafe {
        uv_update_time(state.uv);
        match wait.map(|wait| wait.as_micros().div_ceil(1_000) as u64) {
            Some(millis) => uv_timer_start(state.timer, due, millis, 0),
            None => uv_timer_stop(state.timer),
        };
    }
}

fn main() -> Result<(), Failure> {
    let server = server()?;
    let fd = server.as_fd().as_raw_fd();
    // SAFETY: each handle has the memory that libuv asks for, is initialized before it is used, and
    // lives as long as the program, as does the state.
    unsafe {
        let uv = uv_default_loop();
        let new = |kind| {
            vec![0_u64; uv_handle_size(kind).div_ceil(8)]
                .leak()
                .as_mut_ptr()
                .cast()
        };
        let (poll, timer, before): (Handle, Handle, Handle) = (new(POLL), new(TIMER), new(PREPARE));
        let echo = Echo::default();
        let state = Box::leak(Box::new(State {
            server,
            echo,
            uv,
            timer,
            set_for: None,
        }));
        assert_eq!(uv_poll_init(uv, poll, fd), 0);
        assert_eq!(uv_timer_init(uv, timer) + uv_prepare_init(uv, before), 0);
        for handle in [poll, timer, before] {
            uv_handle_set_data(handle, (&raw mut *state).cast());
        }
        // UV_READABLE.
        assert_eq!(
            uv_poll_start(poll, 1, ready) + uv_prepare_start(before, prepare),
            0
        );
        uv_run(uv, 0);
    }
    Ok(())
}
