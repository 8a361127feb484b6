//! Answers HTTP requests on connections that are kept open, in the clear or over TLS:
//! `kept_alive ADDR [CERTIFICATE KEY]`, PEM files. Of a request it looks at nothing but its end.
//! For `tests/https_rate.sh`.

#[path = "../head.rs"]
mod head;

use std::error::Error;
use std::net::SocketAddr;

use static_cell::ConstStaticCell;
use usockets::tls::{Config, ServerConfig, Tls, TlsMemory};
use usockets::{Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{KeyFiles, Linux, LinuxMachine};

#[cfg(not(feature = "rivals"))]
use usockets::tls::RustCrypto as Provider;
#[cfg(feature = "rivals")]
use usockets_linux::AwsLc as Provider;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\
    \r\nHello, world\n";
/// More than the clients that there are.
const CONNECTIONS: usize = 256;

type Crypto = Provider<LinuxMachine>;
type Layer = Tls<'static, Linux, Crypto>;

static CLEAR: ConstStaticCell<Sockets<Linux, Hello, CONNECTIONS>> =
    ConstStaticCell::new(Sockets::new());
static SECURED: ConstStaticCell<Sockets<Layer, Hello, CONNECTIONS>> =
    ConstStaticCell::new(Sockets::new());
static MEMORY: ConstStaticCell<TlsMemory<Crypto, CONNECTIONS, 64, 64, 64>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

struct Hello;

impl<P: Platform> Handler<P> for Hello {
    type Context = ();
    /// How many bytes of the end of a request's head have come.
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> usize {
        socket.set_timeout(Duration::from_secs(10));
        0
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, seen: &mut usize, data: &mut [u8]) {
        socket.set_timeout(Duration::from_secs(10));
        for byte in data {
            *seen = head::seen_with(*byte, *seen);
            if *seen == head::END {
                *seen = 0;
                if socket.write(ANSWER) < ANSWER.len() {
                    // A client that does not wait for its answers is none of those measured.
                    return socket.abort(0);
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [addr] => {
            let server = Loop::new(Linux::new()?, CLEAR.take(), BUFFER.take());
            serve(server, Endpoint::tcp(addr.parse()?))
        }
        [addr, certificate, key] => {
            let files: &KeyFiles = Box::leak(Box::new(KeyFiles::read(certificate, key)?));
            let chain = files.chain().leak();
            let identities = Box::leak(Box::new([files.identity(chain)]));
            let config = Box::leak(Box::new(Config::server(ServerConfig::new(identities))));
            let crypto = Crypto::new(LinuxMachine::new());
            let layer = Tls::new(Linux::new()?, crypto, config, MEMORY.take());
            let addr: SocketAddr = addr.parse()?;
            let server = Loop::new(layer, SECURED.take(), BUFFER.take());
            serve(server, Endpoint::tls(addr, None))
        }
        _ => Err("usage: kept_alive ADDR [CERTIFICATE KEY]".into()),
    }
}

/// Prints the port and serves for ever.
fn serve<P: Platform>(
    mut server: Loop<'_, P, Hello>,
    at: Endpoint<'_>,
) -> Result<(), Box<dyn Error>> {
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener).ok_or("no address")?;
    println!("{}", addr.port());
    Ok(server.run(&mut Hello)?)
}
