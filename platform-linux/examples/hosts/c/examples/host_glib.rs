//! The loop as a source of glib's main loop: `cargo run --release --example host_glib [ADDR]`.
use std::ffi::{c_int, c_uint, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{null, null_mut};

use usockets::Duration;
use usockets_hosts::{Echo, Failure, Server, server};
use usockets_hosts_c::glib::*;
use usockets_linux::poll_inside;

/// Returns what `main` has put into the source.
unsafe fn state<'a>(source: *mut Source) -> &'a mut (Server, Echo) {
    // SAFETY: the caller's source is the one of `main`, and its callbacks run one at a time.
    unsafe { &mut *(*source).state.cast() }
}

/// Before the wait: when the loop next has something to do. Returns 1 if that is now.
extern "C" fn prepare(source: *mut Source, millis: *mut c_int) -> c_int {
    // SAFETY: glib calls with the source that `main` made, and nobody else uses its state.
    let (server, _) = unsafe { state(source) };
    let wait = server.next_wait();
    // SAFETY: glib wants the answer there.
    unsafe { *millis = wait.map_or(-1, |wait| wait.as_micros().div_ceil(1_000) as c_int) };
    (wait == Some(Duration::ZERO)).into()
}

/// After the wait: 1 if there is something to do.
extern "C" fn check(source: *mut Source) -> c_int {
    // SAFETY: as in `prepare`.
    let (is_ready, (server, _)) =
        unsafe { (g_source_query_unix_fd(source, (*source).tag), state(source)) };
    (is_ready != 0 || server.next_wait() == Some(Duration::ZERO)).into()
}

extern "C" fn dispatch(source: *mut Source, _: *const c_void, _: *const c_void) -> c_int {
    // SAFETY: as in `prepare`.
    let (server, echo) = unsafe { state(source) };
    poll_inside(server, echo).is_ok().into()
}

static FUNCTIONS: Functions = Functions::new(prepare, check, dispatch);

fn main() -> Result<(), Failure> {
    let server = server()?;
    let fd = server.as_fd().as_raw_fd();
    let state = Box::into_raw(Box::new((server, Echo::default())));
    // SAFETY: glib allocates as much as it is told and keeps the source; the state is never freed.
    unsafe {
        let source = g_source_new(&FUNCTIONS, size_of::<Source>() as c_uint);
        (*source).tag = g_source_add_unix_fd(source, fd, 1); // G_IO_IN
        (*source).state = state.cast();
        g_source_attach(source, null_mut());
        g_main_loop_run(g_main_loop_new(null::<c_void>().cast_mut(), 0));
    }
    Ok(())
}
