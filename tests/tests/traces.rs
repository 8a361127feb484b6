//! The traces in `ARCHITECTURE.md` are those of runs.
#![cfg(feature = "tls")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use usockets::tls::{Tls, TlsMemory};
use usockets::{
    Accepted, Address, Closed, Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Progress,
    Readiness, Ready, Recv, Socket, SocketId, Sockets,
};
use usockets_tests::sim::{Faults, Host, Sim};
use usockets_tests::steady::{Crypto, Steady, config};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// What has been called, in order.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn add(&self, line: String) {
        self.0.borrow_mut().push(line);
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// A platform whose calls are traced.
struct Traced {
    inner: Host,
    trace: Trace,
}

impl Traced {
    fn note<T: std::fmt::Debug>(&self, call: &str, result: T) -> T {
        self.trace.add(format!("    Platform::{call} → {result:?}"));
        result
    }
}

impl Platform for Traced {
    type Socket = <Host as Platform>::Socket;

    const CLOSED: Self::Socket = <Host>::CLOSED;

    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.inner.listen(socket, id, at)
    }

    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.inner.connect(socket, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Self::Socket,
        socket: &mut Self::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let accepted = self.inner.accept(listener, socket, id);
        let what = match &accepted {
            Ok(Some(_)) => "a connection",
            Ok(None) => "none",
            Err(_) => "an error",
        };
        self.trace.add(format!("    Platform::accept → {what}"));
        accepted
    }

    fn refuse(&mut self, listener: &mut Self::Socket) -> Result<bool, Error> {
        self.inner.refuse(listener)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Self::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.inner.set_accepting(listener, id, accepting)
    }

    fn open(&mut self, socket: &mut Self::Socket, ready: Readiness) -> Result<Progress, Error> {
        let progress = self.inner.open(socket, ready);
        self.note("open", progress)
    }

    fn flush(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        let progress = self.inner.flush(socket);
        self.note("flush", progress)
    }

    fn take_error(&mut self, socket: &mut Self::Socket) -> Option<Error> {
        let error = self.inner.take_error(socket);
        self.note("take_error", error)
    }

    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let received = self.inner.recv(socket, buffer);
        self.note("recv", received)
    }

    fn send(&mut self, socket: &mut Self::Socket, data: &[u8]) -> Result<usize, Error> {
        let taken = self.inner.send(socket, data);
        self.note(&format!("send({} bytes)", data.len()), taken)
    }

    fn finish(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        let progress = self.inner.finish(socket);
        self.note("finish", progress)
    }

    fn close(&mut self, socket: &mut Self::Socket) {
        self.trace.add("    Platform::close".to_string());
        self.inner.close(socket);
    }

    fn abort(&mut self, socket: &mut Self::Socket) {
        self.trace.add("    Platform::abort".to_string());
        self.inner.abort(socket);
    }

    fn local_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.local_addr(socket)
    }

    fn peer_addr(&self, socket: &Self::Socket) -> Result<Address, Error> {
        self.inner.peer_addr(socket)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let mut lines = self.trace.0.borrow_mut();
        // One that reports nothing, as for a timer, is not shown.
        if lines.last().is_none_or(|line| line != "Platform::poll") {
            lines.push("Platform::poll".to_string());
        }
        drop(lines);
        self.inner.poll(until)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let ready = self.inner.next_ready()?;
        self.trace.add(format!(
            "  Platform::next_ready → {}",
            words(ready.readiness)
        ));
        Some(ready)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }
}

/// Returns the names of what is reported.
fn words(readiness: Readiness) -> String {
    let names = [
        (Readiness::READABLE, "READABLE"),
        (Readiness::WRITABLE, "WRITABLE"),
        (Readiness::ENDED, "ENDED"),
        (Readiness::HUNG_UP, "HUNG_UP"),
        (Readiness::ERROR, "ERROR"),
    ];
    let named = names.iter().filter(|(one, _)| readiness.intersects(*one));
    let named: Vec<_> = named.map(|(_, name)| *name).collect();
    named.join(" | ")
}

/// An echo whose calls are traced.
struct Echo(Trace);

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.0.add("    Handler::on_open".to_string());
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.0
            .add(format!("    Handler::on_data({} bytes)", data.len()));
        assert_eq!(socket.write(data), data.len());
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.0.add("    Handler::on_end".to_string());
        socket.finish();
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.0.add(format!("    Handler::on_close({closed:?})"));
    }
}

/// A client that says a word, and ends when it hears it.
struct Client {
    word: &'static [u8],
}

impl<P: Platform> Handler<P> for Client {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        let _ = socket.write(self.word);
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}
}

/// Runs both loops for a while of virtual time.
fn run<P: Platform, Q: Platform>(
    sim: &Sim,
    (server, echo): (&mut Loop<'_, P, Echo>, &mut Echo),
    (client, asks): (&mut Loop<'_, Q, Client>, &mut Client),
) {
    let end = sim.now_micros() + 1_000_000;
    while sim.now_micros() < end {
        if sim.is_due(0) {
            server.poll(echo, None).unwrap();
        }
        if sim.is_due(1) {
            client.poll(asks, None).unwrap();
        }
        sim.expect(0, server.next_deadline());
        sim.expect(1, client.next_deadline());
        if !(0..2).any(|host| sim.is_due(host)) {
            sim.step(Duration::from_micros(end - sim.now_micros()));
        }
    }
}

/// Compares what was traced with the block behind a heading of the map, or writes it there if the
/// environment has `WRITE_TRACES`.
fn compare(heading: &str, traced: &[String]) {
    let map = read("ARCHITECTURE.md");
    let (before, rest) = map.split_once(&format!("### {heading}\n")).unwrap();
    let (text, rest) = rest.split_once("```text\n").unwrap();
    let (block, after) = rest.split_once("```").unwrap();
    let traced = traced.join("\n") + "\n";
    if std::env::var_os("WRITE_TRACES").is_some() {
        let map = format!("{before}### {heading}\n{text}```text\n{traced}```{after}");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        fs::write(root.join("ARCHITECTURE.md"), map).unwrap();
    } else {
        assert_eq!(block, traced, "WRITE_TRACES=1 writes what was traced");
    }
}

/// What the map shows of a read, a close and a TLS handshake is what a run does. One test, since
/// all write to one file.
#[test]
fn traces_are_those_of_a_run() {
    trace_plain();
    trace_tls();
}

fn trace_plain() {
    let trace = Trace::default();
    let sim = Sim::new(1, Faults::none());
    let platform = Traced {
        inner: sim.host(),
        trace: trace.clone(),
    };
    let (mut sockets, mut buffer) = (Sockets::<_, _, 4>::new(), [0; 4_096]);
    let mut server = Loop::new(platform, &mut sockets, &mut buffer);
    let (mut sockets, mut buffer) = (Sockets::<_, _, 4>::new(), [0; 4_096]);
    let mut client = Loop::new(sim.host(), &mut sockets, &mut buffer);
    let at = (sim.addresses(0)[0], 7).into();
    let (mut echo, mut asks) = (Echo(trace.clone()), Client { word: b"" });
    server.net().listen(Endpoint::tcp(at), ()).unwrap();
    let id = client.net().connect(Endpoint::tcp(at), ()).unwrap();
    run(&sim, (&mut server, &mut echo), (&mut client, &mut asks));
    trace.take();
    assert_eq!(client.net().write(id, b"hello"), 5);
    run(&sim, (&mut server, &mut echo), (&mut client, &mut asks));
    compare("One read", &trace.take());
    client.net().finish(id);
    run(&sim, (&mut server, &mut echo), (&mut client, &mut asks));
    compare("One close", &trace.take());
}

fn trace_tls() {
    let trace = Trace::default();
    let sim = Sim::new(1, Faults::none());
    let platform = Traced {
        inner: sim.host(),
        trace: trace.clone(),
    };
    let mut memory = TlsMemory::<_, 4, 2, 2, 2>::NEW;
    let layer = Tls::new(platform, Crypto::new(Steady(1)), config(), &mut memory);
    let (mut sockets, mut buffer) = (Sockets::<_, _, 4>::new(), [0; 4_096]);
    let mut server = Loop::new(layer, &mut sockets, &mut buffer);
    let mut memory = TlsMemory::<_, 4, 2, 2, 2>::NEW;
    let layer = Tls::new(sim.host(), Crypto::new(Steady(2)), config(), &mut memory);
    let (mut sockets, mut buffer) = (Sockets::<_, _, 4>::new(), [0; 4_096]);
    let mut client = Loop::new(layer, &mut sockets, &mut buffer);
    let at = (sim.addresses(0)[0], 443).into();
    let (mut echo, mut asks) = (Echo(trace.clone()), Client { word: b"hello" });
    server.net().listen(Endpoint::tls(at, None), ()).unwrap();
    let to = Endpoint::tls(at, Some("localhost"));
    client.net().connect(to, ()).unwrap();
    run(&sim, (&mut server, &mut echo), (&mut client, &mut asks));
    // Signatures differ in length from run to run.
    let lines = trace.take();
    let is_length = |c: char| c.is_ascii_digit();
    let lines: Vec<_> = lines
        .iter()
        .map(
            |line| match line.contains("send(") || line.contains("len: ") {
                true => shorten(line, is_length),
                false => line.clone(),
            },
        )
        .collect();
    compare("One TLS handshake, and a read", &lines);
}

/// Replaces numbers by what tells little enough.
fn shorten(line: &str, is_length: impl Fn(char) -> bool) -> String {
    let mut short = String::new();
    for c in line.chars() {
        match is_length(c) {
            true if short.ends_with('n') => {}
            true => short.push('n'),
            false => short.push(c),
        }
    }
    short
}
