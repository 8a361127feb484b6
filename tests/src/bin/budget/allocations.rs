//! Allocations of a running loop.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use usockets::{Endpoint, Handler, ListenerId, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;

use crate::peer::Clients;
use crate::report::Report;

const CONNECTIONS: usize = 100;

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks of it.
pub struct Counting;

// SAFETY: hands every call on unchanged. The counter has no destructor and no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get().wrapping_add(1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get().wrapping_add(1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Echoes, and stops listening with the last connection.
struct Echo {
    listener: Option<ListenerId>,
    left: usize,
}

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        socket.set_timeout(std::time::Duration::from_secs(30));
        self.left -= 1;
        if let (0, Some(listener)) = (self.left, self.listener) {
            socket.net().stop_listening(listener);
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), data: &mut [u8]) {
        if socket.write(data) < data.len() {
            socket.close();
        }
    }
}

/// Measures the allocations of a whole run, and the size of a slot.
pub fn measure(report: &mut Report) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let server = thread::spawn(move || serve(&sender));
    let addr = receiver.recv().map_err(io::Error::other)?;
    let mut clients = Clients::connect(addr, CONNECTIONS)?;
    clients.echo(20)?;
    clients.finish()?;
    let died = |_| io::Error::other("the server died");
    let count = server.join().map_err(died)?.map_err(io::Error::other)?;
    let how = "counting allocator: 100 connections, 2,000 echoes";
    report.bounded(
        "allocations after start",
        f64::from(count),
        0.0,
        "1 a socket",
        how,
    );
    let bytes = size_of::<Sockets<Linux, Echo, 1024>>();
    let bytes = u32::try_from(bytes).map_err(io::Error::other)?;
    let how = "size of 1,024 with () data, divided";
    report.bounded(
        "bytes per slot, plain TCP",
        f64::from(bytes) / 1024.0,
        48.0,
        "64",
        how,
    );
    Ok(())
}

/// Serves until all have come and gone. Returns the allocations of this thread meanwhile.
fn serve(sender: &mpsc::Sender<SocketAddr>) -> Result<u32, usockets::Error> {
    let mut sockets: Box<Sockets<Linux, Echo, 1024>> = Box::default();
    let mut buffer = vec![0; 65_536];
    let mut server = Loop::with_buffer(Linux::new()?, &mut sockets, &mut buffer)?;
    let at = Endpoint::tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener);
    let mut echo = Echo {
        listener: Some(listener),
        left: CONNECTIONS,
    };
    if sender.send(addr.ok_or(usockets::Error::Invalid)?).is_err() {
        return Err(usockets::Error::Invalid);
    }
    let before = COUNT.get();
    server.run(&mut echo)?;
    Ok(COUNT.get() - before)
}
