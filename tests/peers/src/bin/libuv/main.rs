//! The servers on libuv: reads into one shared buffer, `uv_try_write` first.
#![expect(unsafe_code, reason = "libuv is C")]

mod timers;
mod uv;

use std::error::Error;
use std::ffi::{c_int, c_void};
use std::os::fd::IntoRawFd;
use std::ptr::null_mut;

use usockets_peers::timeouts::measure;
use usockets_peers::{Echo, Http, READ_MAX, Role, Service, listen};

/// Connections that may wait to be accepted, as the standard library's listener has it.
const BACKLOG: c_int = 4096;
/// Mapped by libuv from the system's error that a full socket buffer is.
const EAGAIN: c_int = -11;

/// A connection. Its handle lies in memory of the size that libuv says, and points back here.
struct Connection<S: Service> {
    state: S::State,
    server: *mut Server<S>,
    /// What the peer has not taken yet, lent to a write that is under way.
    held: Vec<u8>,
    write: *mut c_void,
    /// The handle is to be freed.
    handle: *mut c_void,
}

/// What all connections share.
struct Server<S: Service> {
    run: *mut c_void,
    read: Vec<u8>,
    scratch: Vec<u8>,
    service: std::marker::PhantomData<S>,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Role::from_args()? {
        Role::Echo => serve::<Echo>()?,
        Role::Http => serve::<Http>()?,
        Role::Timeouts => measure(&mut timers::Timers::new()),
    }
    Ok(())
}

fn serve<S: Service>() -> Result<(), Box<dyn Error>> {
    let fd = listen()?.into_raw_fd();
    // SAFETY: the loop, the listener's handle and the server live until the process ends, and
    // nothing else refers to them between callbacks.
    unsafe {
        let server = Box::into_raw(Box::new(Server::<S> {
            run: uv::uv_default_loop(),
            read: vec![0; READ_MAX],
            scratch: Vec::new(),
            service: std::marker::PhantomData,
        }));
        let listener = uv::handle(uv::TCP);
        uv::check(uv::uv_tcp_init((*server).run, listener))?;
        uv::check(uv::uv_tcp_open(listener, fd))?;
        uv::uv_handle_set_data(listener, server.cast());
        uv::check(uv::uv_listen(listener, BACKLOG, on_connection::<S>))?;
        uv::uv_run((*server).run, uv::RUN_DEFAULT);
    }
    Ok(())
}

extern "C" fn on_connection<S: Service>(listener: *mut c_void, status: c_int) {
    if status < 0 {
        return;
    }
    // SAFETY: the listener's data is the server; the new handle is freed in `on_close` only.
    unsafe {
        let server = uv::uv_handle_get_data(listener).cast::<Server<S>>();
        let handle = uv::handle(uv::TCP);
        uv::uv_tcp_init((*server).run, handle);
        let connection = Box::new(Connection::<S> {
            state: S::State::default(),
            server,
            held: Vec::new(),
            write: null_mut(),
            handle,
        });
        uv::uv_handle_set_data(handle, Box::into_raw(connection).cast());
        if uv::uv_accept(listener, handle) < 0 {
            return uv::uv_close(handle, on_close::<S>);
        }
        uv::uv_tcp_nodelay(handle, 1);
        uv::uv_read_start(handle, on_alloc::<S>, on_read::<S>);
    }
}

extern "C" fn on_alloc<S: Service>(handle: *mut c_void, _: usize, buffer: *mut uv::Buf) {
    // SAFETY: libuv reads into the buffer and calls `on_read` before it does anything else, so
    // that all connections can share it.
    unsafe {
        let connection = uv::uv_handle_get_data(handle).cast::<Connection<S>>();
        let read = &mut (*(*connection).server).read;
        (*buffer).base = read.as_mut_ptr();
        (*buffer).len = read.len();
    }
}

extern "C" fn on_read<S: Service>(handle: *mut c_void, count: isize, _: *const uv::Buf) {
    if count == 0 {
        return;
    }
    // SAFETY: the handle's data is the connection until `on_close`; server and connection are
    // different allocations, borrowed by this call alone.
    unsafe {
        let connection = &mut *uv::uv_handle_get_data(handle).cast::<Connection<S>>();
        let server = &mut *connection.server;
        let Ok(count) = usize::try_from(count) else {
            return uv::uv_close(handle, on_close::<S>);
        };
        let data = &server.read[..count];
        let answer = S::answer(&mut connection.state, data, &mut server.scratch);
        let Some(answer) = answer else {
            return uv::uv_close(handle, on_close::<S>);
        };
        if answer.is_empty() {
            return;
        }
        let buffer = uv::Buf::of(answer);
        let sent = match uv::uv_try_write(handle, &buffer, 1) {
            EAGAIN => 0,
            sent => match usize::try_from(sent) {
                Ok(sent) => sent,
                Err(_) => return uv::uv_close(handle, on_close::<S>),
            },
        };
        if sent < answer.len() {
            connection.held.extend_from_slice(&answer[sent..]);
            hold(connection);
        }
    }
}

/// Writes what is held when the peer takes it, and reads nothing meanwhile.
///
/// # Safety
/// The connection's handle is open, and no write is under way.
unsafe fn hold<S: Service>(connection: &mut Connection<S>) {
    // SAFETY: what is held stays in place until `on_written`, and so does the request.
    unsafe {
        uv::uv_read_stop(connection.handle);
        if connection.write.is_null() {
            connection.write = uv::request(uv::WRITE);
        }
        let buffer = uv::Buf::of(&connection.held);
        let (write, handle) = (connection.write, connection.handle);
        if uv::uv_write(write, handle, &buffer, 1, on_written::<S>) < 0 {
            uv::uv_close(handle, on_close::<S>);
        }
        uv::uv_req_set_data(write, handle);
    }
}

extern "C" fn on_written<S: Service>(write: *mut c_void, status: c_int) {
    // SAFETY: the request's data is the handle, whose data is the connection.
    unsafe {
        let handle = uv::uv_req_get_data(write);
        let connection = uv::uv_handle_get_data(handle).cast::<Connection<S>>();
        (*connection).held.clear();
        if uv::uv_is_closing(handle) != 0 {
            return;
        }
        if status < 0 {
            return uv::uv_close(handle, on_close::<S>);
        }
        uv::uv_read_start(handle, on_alloc::<S>, on_read::<S>);
    }
}

extern "C" fn on_close<S: Service>(handle: *mut c_void) {
    // SAFETY: libuv is done with the handle and its write; both were made by `uv` and boxed once.
    unsafe {
        let connection = Box::from_raw(uv::uv_handle_get_data(handle).cast::<Connection<S>>());
        if !connection.write.is_null() {
            uv::free(connection.write, uv::uv_req_size(uv::WRITE));
        }
        uv::free(handle, uv::uv_handle_size(uv::TCP));
    }
}
