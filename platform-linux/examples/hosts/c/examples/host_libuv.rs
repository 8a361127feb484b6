//! The loop under libuv: `cargo run --release --example host_libuv [ADDR]`. A `uv_poll` for the
//! descriptor, and one timer that follows the loop's deadline, set before each wait.
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};

use usockets::Instant;
use usockets_hosts::{Echo, Failure, Server, server};
use usockets_hosts_c::uv::*;
use usockets_linux::poll_inside;

/// The loop, its handler, libuv's timer, and what that is set for.
struct State(Server, Echo, Handle, Option<Instant>);

fn state<'a>(handle: Handle) -> &'a mut State {
    // SAFETY: `main` gives each handle the one state, which is used in one callback at a time.
    unsafe { &mut *uv_handle_get_data(handle).cast() }
}

extern "C" fn ready(handle: Handle, _: c_int, _: c_int) {
    due(handle);
}

extern "C" fn due(handle: Handle) {
    let State(server, echo, timer, set_for) = state(handle);
    *set_for = set_for.filter(|_| handle != *timer);
    poll_inside(server, echo).expect("a sound platform");
}

/// Sets the timer if the loop's deadline is another than it was.
extern "C" fn prepare(handle: Handle) {
    let State(server, _, timer, set_for) = state(handle);
    if *set_for != server.next_deadline() {
        *set_for = server.next_deadline();
        // SAFETY: the timer is initialized and never closed.
        unsafe { set_timer(*timer, due, server.next_wait()) };
    }
}

fn main() -> Result<(), Failure> {
    let (server, echo) = (server()?, Echo::default());
    let fd = server.as_fd().as_raw_fd();
    let (poll, timer, before) = (new_handle(POLL), new_handle(TIMER), new_handle(PREPARE));
    let state = Box::into_raw(Box::new(State(server, echo, timer, None))).cast();
    // SAFETY: each handle is initialized before it is used, and lives as long as the program, as
    // does the state.
    unsafe {
        let uv = uv_default_loop();
        for handle in [poll, timer, before] {
            uv_handle_set_data(handle, state);
        }
        let mut failed = uv_poll_init(uv, poll, fd) + uv_timer_init(uv, timer);
        failed += uv_prepare_init(uv, before) + uv_prepare_start(before, prepare);
        failed += uv_poll_start(poll, READABLE, ready);
        assert_eq!(failed, 0);
        uv_run(uv, 0);
    }
    Ok(())
}
