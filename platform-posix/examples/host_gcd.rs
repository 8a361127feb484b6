//! The loop under Grand Central Dispatch, on Apple's systems:
//! `cargo run --release -p usockets-posix --features std --example host_gcd`, on 127.0.0.1:3000.
//!
//! A read source on the queue's descriptor and a timer source call on one serial queue, so the loop
//! is used by one thread at a time. `dispatch_main` ends the main thread, which a Rust program does
//! not survive, so it parks.
#![allow(unsafe_code, reason = "sources call with a pointer")]

#[cfg(target_vendor = "apple")]
fn main() -> Result<(), usockets::Error> {
    apple::serve()
}

#[cfg(not(target_vendor = "apple"))]
fn main() {
    println!("Grand Central Dispatch is Apple's");
}

#[cfg(target_vendor = "apple")]
mod apple {
    use core::ffi::c_void;
    use std::os::fd::{AsFd, AsRawFd};
    use std::thread;

    use dispatch2::{
        _dispatch_source_type_read, _dispatch_source_type_timer, DispatchObject, DispatchQueue,
        DispatchQueueAttr, DispatchRetained, DispatchSource, DispatchTime,
    };
    use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
    use usockets_posix::{Kqueue, Posix, poll_inside};

    struct Echo;

    impl<P: Platform> Handler<P> for Echo {
        type Context = ();
        type Ext = ();

        fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

        fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
            if socket.write(data) < data.len() {
                socket.close(); // A peer that sends more than it takes.
            }
        }
    }

    struct State {
        server: Loop<'static, Posix<Kqueue>, Echo>,
        timer: DispatchRetained<DispatchSource>,
    }

    /// Something came, or the time has.
    extern "C" fn ready(state: *mut c_void) {
        // SAFETY: the sources have the state of `serve`, which is never freed, and their queue
        // makes one call at a time.
        let state = unsafe { &mut *state.cast::<State>() };
        if let Ok(Some(wait)) = poll_inside(&mut state.server, &mut Echo) {
            let nanos = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
            state
                .timer
                .set_timer(DispatchTime::NOW.time(nanos), u64::MAX, 0);
        }
    }

    pub(crate) fn serve() -> Result<(), Error> {
        let sockets = Box::leak(Box::new(Sockets::<_, _, 64>::new()));
        let platform = Posix::new(Kqueue::new()?);
        let mut server = Loop::new(platform, sockets, Box::leak(Box::new([0; 4096])));
        let at = Endpoint::tcp(([127, 0, 0, 1], 3000).into());
        server.net().listen(at, ())?;
        let fd = server.as_fd().as_raw_fd().unsigned_abs();
        let fd = usize::try_from(fd).map_err(|_| Error::Invalid)?;
        let queue = DispatchQueue::new("usockets", DispatchQueueAttr::SERIAL);
        // SAFETY: the descriptor is open for as long as the program runs.
        let (read, timer) = unsafe {
            let source = |kind, fd| DispatchSource::new(kind, fd, 0, Some(&queue));
            (
                source((&raw const _dispatch_source_type_read).cast_mut(), fd),
                source((&raw const _dispatch_source_type_timer).cast_mut(), 0),
            )
        };
        timer.set_timer(DispatchTime::NOW, u64::MAX, 0);
        let sources = [read, timer.clone()];
        let state = Box::into_raw(Box::new(State { server, timer }));
        for source in &sources {
            source.set_event_handler_f(ready);
            // SAFETY: `ready` takes it for what it is.
            unsafe { source.set_context(state.cast()) };
            source.activate();
        }
        loop {
            thread::park();
        }
    }
}
