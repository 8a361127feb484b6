//! The barest echo server on `rustix`, written by hand: what `budget` holds the library against.
//! It checks nothing, times nothing out and closes at the first trouble. Serves its own clients as
//! many rounds as it is told.

use std::error::Error;
use std::net::TcpListener;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, SocketFlags, accept_with, send};
use usockets_tests::lockstep::{Clients, rounds_wanted};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let token = name(listener.as_raw_fd());
    epoll::add(&epoll, &listener, token, EventFlags::IN)?;
    let empty = epoll::Event {
        flags: EventFlags::empty(),
        data: EventData::new_u64(0),
    };
    let mut events = [empty; 256];
    let mut buffer = vec![0; 65_536];
    let rounds = rounds_wanted().ok_or("how many rounds?")?;
    let mut clients = Clients::connect(listener.local_addr()?, rounds)?;
    while clients.turn()? {
        let count = retry_on_intr(|| epoll::wait(&epoll, &mut events[..], None))?;
        for event in &events[..count] {
            let raw = event.data.u64() as RawFd;
            if raw == listener.as_raw_fd() {
                let new = accept_with(&listener, SocketFlags::NONBLOCK)?;
                epoll::add(&epoll, &new, name(new.as_raw_fd()), EventFlags::IN)?;
                // It is in `epoll`'s hands now, and comes back as a number.
                let _ = new.into_raw_fd();
                continue;
            }
            // SAFETY: registered above and not closed since, as its number came with an event.
            let fd = unsafe { BorrowedFd::borrow_raw(raw) };
            match rustix::io::read(fd, &mut buffer[..]) {
                Ok(len) if len > 0 && send(fd, &buffer[..len], SendFlags::NOSIGNAL) == Ok(len) => {}
                // SAFETY: as above; nothing else owns it.
                _ => drop(unsafe { OwnedFd::from_raw_fd(raw) }),
            }
        }
    }
    Ok(())
}

fn name(fd: RawFd) -> EventData {
    EventData::new_u64(fd as u64)
}
