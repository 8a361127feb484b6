//! A platform on which nothing happens but what a test says.

use std::collections::VecDeque;

use usockets::{
    Accepted, Address, Arrival, Arrivals, Credentials, DatagramError, DatagramOption, Datagrams,
    Departure, Descriptors, Endpoint, Error, Inserted, Instant, LocalAddress, LocalEndpoint,
    LocalSockets, Platform, Progress, Readiness, Ready, Recv, SocketId, SocketOption,
};

/// A platform that answers what a test has it answer, and as usual once that is used up. `HOLDS` as
/// [`Platform::HOLDS_OUTPUT`], `REPORTS` as [`Platform::REPORTS_ARRIVALS`].
#[derive(Debug, Default)]
pub struct Scripted<const HOLDS: bool = false, const REPORTS: bool = false> {
    /// The time, in microseconds.
    pub now: u64,
    /// What is reported, first come first.
    pub reports: VecDeque<Ready>,
    /// What it answers.
    pub answers: Answers,
    /// Bytes that have come and were not received, of whichever socket.
    pub stream: Vec<u8>,
    /// Bytes that were sent in one piece and taken, of whichever socket.
    pub sent: Vec<u8>,
    /// Until when the polls so far were to wait.
    pub polls: Vec<Option<Instant>>,
    /// Every other call so far that changes something, with what it was given.
    pub calls: Vec<String>,
}

/// Answers to calls of the same names, first come first; none is the usual answer.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each is named after its call")]
pub struct Answers {
    pub listen: VecDeque<Result<(), Error>>,
    pub connect: VecDeque<Result<(), Error>>,
    pub accept: VecDeque<Result<Option<Accepted>, Error>>,
    pub refuse: VecDeque<Result<bool, Error>>,
    pub set_accepting: VecDeque<Result<(), Error>>,
    pub open: VecDeque<Result<Progress, Error>>,
    pub flush: VecDeque<Result<Progress, Error>>,
    pub take_error: VecDeque<Option<Error>>,
    pub recv: VecDeque<Result<Recv, Error>>,
    pub peek: VecDeque<Result<Recv, Error>>,
    pub set_low_water: VecDeque<Result<(), Error>>,
    pub set_option: VecDeque<Result<(), Error>>,
    pub send: VecDeque<Result<usize, Error>>,
    pub send_vectored: VecDeque<Result<usize, Error>>,
    pub finish: VecDeque<Result<Progress, Error>>,
    pub linger: VecDeque<bool>,
    pub woken: VecDeque<bool>,
    pub next_deadline: Option<Instant>,
    pub bind: VecDeque<Result<(), Error>>,
    pub set_peer: VecDeque<Result<(), Error>>,
    pub recv_batch: VecDeque<Result<Arrivals, Error>>,
    pub send_batch: VecDeque<Result<usize, Error>>,
    pub next_error: VecDeque<DatagramError>,
    pub set_datagram_option: VecDeque<Result<(), Error>>,
    pub insert: VecDeque<Result<(), Error>>,
    pub take: VecDeque<Result<usize, Error>>,
    pub send_with_descriptors: VecDeque<Result<usize, Error>>,
}

/// The address of a peer.
pub const PEER: ([u8; 4], u16) = ([192, 0, 2, 7], 7_000);

impl<const HOLDS: bool, const REPORTS: bool> Scripted<HOLDS, REPORTS> {
    /// Reports facts of a socket.
    pub fn report(&mut self, id: SocketId, readiness: Readiness) {
        self.reports.push_back(Ready { id, readiness });
    }

    fn note(&mut self, call: impl Into<String>) {
        self.calls.push(call.into());
    }

    /// Fills a buffer with what has come, as far as it goes.
    fn look(&self, buffer: &mut [u8]) -> Result<Recv, Error> {
        let len = self.stream.len().min(buffer.len());
        if len == 0 {
            return Ok(Recv::WouldBlock);
        }
        buffer[..len].copy_from_slice(&self.stream[..len]);
        // As of systems, which say it of nothing that was filled.
        let drained = len < buffer.len();
        Ok(Recv::Data { len, drained })
    }
}

/// Its sockets have nothing to hold.
impl<const HOLDS: bool, const REPORTS: bool> Platform for Scripted<HOLDS, REPORTS> {
    type Socket = ();

    const CLOSED: () = ();

    const HOLDS_OUTPUT: bool = HOLDS;

    const REPORTS_ARRIVALS: bool = REPORTS;

    fn listen(&mut self, (): &mut (), id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        self.note(format!("listen {id:?} {}", at.addr));
        self.answers.listen.pop_front().unwrap_or(Ok(()))
    }

    fn connect(&mut self, (): &mut (), id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        self.note(format!("connect {id:?} {}", to.addr));
        self.answers.connect.pop_front().unwrap_or(Ok(()))
    }

    fn accept(
        &mut self,
        (): &mut (),
        (): &mut (),
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        self.note(format!("accept {id:?}"));
        self.answers.accept.pop_front().unwrap_or(Ok(None))
    }

    fn refuse(&mut self, (): &mut ()) -> Result<bool, Error> {
        self.note("refuse");
        self.answers.refuse.pop_front().unwrap_or(Ok(false))
    }

    fn set_accepting(&mut self, (): &mut (), id: SocketId, on: bool) -> Result<(), Error> {
        self.note(format!("set_accepting {id:?} {on}"));
        self.answers.set_accepting.pop_front().unwrap_or(Ok(()))
    }

    fn open(&mut self, (): &mut (), ready: Readiness) -> Result<Progress, Error> {
        self.note(format!("open {}", ready.bits()));
        let usual = Ok(Progress::Done);
        self.answers.open.pop_front().unwrap_or(usual)
    }

    fn flush(&mut self, (): &mut ()) -> Result<Progress, Error> {
        self.note("flush");
        let usual = Ok(Progress::Done);
        self.answers.flush.pop_front().unwrap_or(usual)
    }

    fn take_error(&mut self, (): &mut ()) -> Option<Error> {
        self.note("take_error");
        self.answers.take_error.pop_front().flatten()
    }

    fn recv(&mut self, (): &mut (), buffer: &mut [u8]) -> Result<Recv, Error> {
        self.note(format!("recv {}", buffer.len()));
        if let Some(answer) = self.answers.recv.pop_front() {
            return answer;
        }
        let received = self.look(buffer);
        let rest = self.stream.len().min(buffer.len());
        self.stream.drain(..rest);
        received
    }

    fn peek(&mut self, (): &mut (), buffer: &mut [u8]) -> Result<Recv, Error> {
        self.note(format!("peek {}", buffer.len()));
        if let Some(answer) = self.answers.peek.pop_front() {
            return answer;
        }
        self.look(buffer)
    }

    fn set_low_water(&mut self, (): &mut (), bytes: usize) -> Result<(), Error> {
        self.note(format!("set_low_water {bytes}"));
        self.answers.set_low_water.pop_front().unwrap_or(Ok(()))
    }

    fn set_option(&mut self, (): &mut (), option: SocketOption) -> Result<(), Error> {
        self.note(format!("set_option {option:?}"));
        self.answers.set_option.pop_front().unwrap_or(Ok(()))
    }

    fn send(&mut self, (): &mut (), data: &[u8]) -> Result<usize, Error> {
        self.note(format!("send {data:?}"));
        let taken = self.answers.send.pop_front().unwrap_or(Ok(data.len()));
        let count = taken.unwrap_or_default().min(data.len());
        self.sent.extend_from_slice(&data[..count]);
        taken
    }

    fn send_vectored(&mut self, (): &mut (), parts: &[&[u8]]) -> Result<usize, Error> {
        self.note(format!("send_vectored {parts:?}"));
        let all = parts.iter().map(|part| part.len()).sum();
        self.answers.send_vectored.pop_front().unwrap_or(Ok(all))
    }

    fn finish(&mut self, (): &mut ()) -> Result<Progress, Error> {
        self.note("finish");
        let usual = Ok(Progress::Done);
        self.answers.finish.pop_front().unwrap_or(usual)
    }

    fn linger(&mut self, (): &mut ()) -> bool {
        self.note("linger");
        self.answers.linger.pop_front().unwrap_or(false)
    }

    fn close(&mut self, (): &mut ()) {
        self.note("close");
    }

    fn abort(&mut self, (): &mut ()) {
        self.note("abort");
    }

    fn local_addr(&self, (): &()) -> Result<Address, Error> {
        LocalAddress::path(b"/tmp/scripted").map(Address::Local)
    }

    fn peer_addr(&self, (): &()) -> Result<Address, Error> {
        Ok(std::net::SocketAddr::from(PEER).into())
    }

    fn protocol(&self, (): &()) -> &[u8] {
        b"script"
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.polls.push(until);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.answers.next_deadline
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.reports.pop_front()
    }

    fn woken(&mut self) -> bool {
        self.answers.woken.pop_front().unwrap_or(false)
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.now)
    }
}

impl<const HOLDS: bool, const REPORTS: bool> Datagrams for Scripted<HOLDS, REPORTS> {
    fn bind(&mut self, (): &mut (), id: SocketId, at: Address) -> Result<(), Error> {
        self.note(format!("bind {id:?} {at:?}"));
        self.answers.bind.pop_front().unwrap_or(Ok(()))
    }

    fn set_peer(&mut self, (): &mut (), peer: Address) -> Result<(), Error> {
        self.note(format!("set_peer {peer:?}"));
        self.answers.set_peer.pop_front().unwrap_or(Ok(()))
    }

    fn recv_batch(
        &mut self,
        (): &mut (),
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        self.note(format!("recv_batch {} {}", memory.len(), arrivals.len()));
        let none = Arrivals {
            count: 0,
            drained: true,
        };
        self.answers.recv_batch.pop_front().unwrap_or(Ok(none))
    }

    fn send_batch(
        &mut self,
        (): &mut (),
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        self.note(format!("send_batch {memory:?} {}", departures.len()));
        let all = departures.len();
        self.answers.send_batch.pop_front().unwrap_or(Ok(all))
    }

    fn await_room(&mut self, (): &mut (), id: SocketId, on: bool) {
        self.note(format!("await_room {id:?} {on}"));
    }

    fn next_error(&mut self, (): &mut ()) -> Option<DatagramError> {
        self.note("next_error");
        self.answers.next_error.pop_front()
    }

    fn set_datagram_option(&mut self, (): &mut (), option: DatagramOption) -> Result<(), Error> {
        self.note(format!("set_datagram_option {option:?}"));
        let answers = &mut self.answers.set_datagram_option;
        answers.pop_front().unwrap_or(Ok(()))
    }
}

impl<const HOLDS: bool, const REPORTS: bool> Descriptors for Scripted<HOLDS, REPORTS> {
    type Descriptor = ();

    fn insert(
        &mut self,
        (): &mut (),
        id: SocketId,
        (): (),
        kind: Inserted,
    ) -> Result<(), ((), Error)> {
        self.note(format!("insert {id:?} {kind:?}"));
        let answer = self.answers.insert.pop_front().unwrap_or(Ok(()));
        answer.map_err(|error| ((), error))
    }

    fn take(&mut self, (): &mut (), unread: &mut [u8]) -> Result<((), usize), Error> {
        self.note(format!("take {}", unread.len()));
        let answer = self.answers.take.pop_front().unwrap_or(Ok(0));
        answer.map(|len| ((), len))
    }
}

/// It has none of what is left out by default.
impl<const HOLDS: bool, const REPORTS: bool> LocalSockets for Scripted<HOLDS, REPORTS> {
    fn listen_local(&mut self, (): &mut (), id: SocketId, _: &LocalEndpoint) -> Result<(), Error> {
        self.note(format!("listen_local {id:?}"));
        self.answers.listen.pop_front().unwrap_or(Ok(()))
    }

    fn connect_local(&mut self, (): &mut (), id: SocketId, _: &LocalEndpoint) -> Result<(), Error> {
        self.note(format!("connect_local {id:?}"));
        self.answers.connect.pop_front().unwrap_or(Ok(()))
    }

    fn peer_credentials(&self, (): &()) -> Result<Credentials, Error> {
        Ok(Credentials {
            process: 1,
            user: 2,
            group: 3,
        })
    }

    fn send_with_descriptors(
        &mut self,
        (): &mut (),
        data: &[u8],
        descriptors: &[&()],
    ) -> Result<usize, Error> {
        self.note(format!("send {data:?} with {}", descriptors.len()));
        let answers = &mut self.answers.send_with_descriptors;
        answers.pop_front().unwrap_or(Ok(data.len()))
    }

    fn next_descriptor(&mut self, (): &mut ()) -> Option<()> {
        self.note("next_descriptor");
        Some(())
    }
}
