//! Asks an HTTP server on connections that are kept open, each for the next answer as soon as it
//! has one, and prints how many came in a second:
//! `keep_asking ADDR CONNECTIONS SECONDS [CERTIFICATE]`, the one that the server `localhost` shows
//! over TLS, or in the clear without. Answers have a body of 13 bytes. For `tests/https_rate.sh`.

#[path = "../head.rs"]
mod head;

use std::error::Error;
use std::net::SocketAddr;

use pki_types::CertificateDer;
use pki_types::pem::PemObject as _;
use static_cell::ConstStaticCell;
use usockets::tls::{ClientConfig, Config, Tls, TlsMemory};
use usockets::{Closed, Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{AwsLc, Linux, LinuxMachine};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// What an answer begins with.
const GOOD: &[u8] = b"HTTP/1.1 200 ";
/// Bytes of its body.
const BODY: usize = 13;
const CONNECTIONS_MAX: usize = 256;
/// How long the connections may take to open.
const OPENING_MAX: Duration = Duration::from_secs(10);

type Crypto = AwsLc<LinuxMachine>;
type Layer = Tls<'static, Linux, Crypto>;

static CLEAR: ConstStaticCell<Sockets<Linux, Asker, CONNECTIONS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static SECURED: ConstStaticCell<Sockets<Layer, Asker, CONNECTIONS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static MEMORY: ConstStaticCell<TlsMemory<Crypto, CONNECTIONS_MAX, CONNECTIONS_MAX, 64, 64>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

#[derive(Default)]
struct Asker {
    open: usize,
    answers: u64,
    /// Why a connection is not as it should be.
    fault: Option<String>,
}

/// Where in an answer a connection is.
#[derive(Default)]
struct Place {
    /// Bytes of its head that have come.
    head: usize,
    /// Bytes of the end of its head that have come.
    head_end: usize,
    /// Bytes of its body that have come.
    body: usize,
}

impl<P: Platform> Handler<P> for Asker {
    type Context = ();
    type Ext = Place;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Place {
        self.open += 1;
        self.ask(socket);
        Place::default()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, at: &mut Place, data: &mut [u8]) {
        for byte in data {
            if at.head_end < head::END {
                if GOOD.get(at.head).is_some_and(|good| good != byte) {
                    self.fault = Some(String::from("an answer is not 200"));
                }
                at.head += 1;
                at.head_end = head::seen_with(*byte, at.head_end);
                continue;
            }
            at.body += 1;
            if at.body == BODY {
                *at = Place::default();
                self.answers += 1;
                self.ask(socket);
            }
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Place, closed: Closed) {
        self.fault = Some(format!("the server closed: {closed:?}"));
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: usockets::Error) {
        self.fault = Some(format!("connecting: {error}"));
    }
}

impl Asker {
    fn ask<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>) {
        if socket.write(REQUEST) < REQUEST.len() {
            self.fault = Some(String::from("a request of some bytes does not fit"));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (common, root) = match arguments.as_slice() {
        [addr, count, seconds] => ([addr, count, seconds], None),
        [addr, count, seconds, root] => ([addr, count, seconds], Some(root)),
        _ => return Err("usage: keep_asking ADDR CONNECTIONS SECONDS [CERTIFICATE]".into()),
    };
    let [addr, count, seconds] = common;
    let (addr, count): (SocketAddr, usize) = (addr.parse()?, count.parse()?);
    let time = Duration::from_secs(seconds.parse()?);
    let rate = match root {
        None => {
            let client = Loop::new(Linux::new()?, CLEAR.take(), BUFFER.take());
            rate(client, Endpoint::tcp(addr), count, time)?
        }
        Some(root) => {
            let certificate = CertificateDer::from_pem_file(root)?;
            let root = webpki::anchor_from_trusted_cert(&certificate)?.to_owned();
            let roots = Box::leak(Box::new([root]));
            let config = Box::leak(Box::new(Config::client(ClientConfig::new(roots))));
            let crypto = Crypto::new(LinuxMachine::new());
            let layer = Tls::new(Linux::new()?, crypto, config, MEMORY.take());
            let client = Loop::new(layer, SECURED.take(), BUFFER.take());
            rate(client, Endpoint::tls(addr, Some("localhost")), count, time)?
        }
    };
    println!("{rate:.0}");
    Ok(())
}

/// Opens the connections, and returns the answers in a second from when all of them are.
fn rate<P: Platform>(
    mut client: Loop<'_, P, Asker>,
    at: Endpoint<'_>,
    count: usize,
    time: Duration,
) -> Result<f64, Box<dyn Error>> {
    let mut asker = Asker::default();
    for _ in 0..count {
        client.net().connect(at, ())?;
    }
    let until = client.net().now().saturating_add(OPENING_MAX);
    run(&mut client, &mut asker, until, |asker| asker.open == count)?;
    if asker.open < count {
        return Err(format!("only {} connections were opened", asker.open).into());
    }
    let (start, before) = (client.net().now(), asker.answers);
    run(&mut client, &mut asker, start.saturating_add(time), |_| {
        false
    })?;
    let took = client.net().now().saturating_since(start);
    Ok((asker.answers - before) as f64 / (took.as_micros() as f64 / 1e6))
}

/// Runs the loop until then, or until `is_enough`.
fn run<P: Platform>(
    client: &mut Loop<'_, P, Asker>,
    asker: &mut Asker,
    until: usockets::Instant,
    is_enough: impl Fn(&Asker) -> bool,
) -> Result<(), Box<dyn Error>> {
    while client.net().now() < until && !is_enough(asker) {
        client.poll(asker, Some(until))?;
        if let Some(fault) = asker.fault.take() {
            return Err(fault.into());
        }
    }
    Ok(())
}
