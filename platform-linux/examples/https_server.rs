//! Says hello over HTTPS: `https_server [ADDR] [--cert PEM --key PEM]`.
//!
//! Without a certificate it makes one for `localhost` and writes it to `localhost.pem`:
//! `curl --cacert localhost.pem https://localhost:3443/`.
use static_cell::ConstStaticCell;
use usockets::tls::{ParkingPlace, RustCrypto, Tls, TlsMemory};
use usockets::{Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{Linux, LinuxMachine};

#[path = "support/identity.rs"]
mod identity;

use identity::Options;

struct Hello;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\
    Connection: close\r\n\r\nHello over TLS\n";

impl<P: Platform> Handler<P> for Hello {
    type Context = ();
    /// How many bytes of the end of a request's head have come.
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> usize {
        socket.set_timeout(Duration::from_secs(10));
        0
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, seen: &mut usize, data: &mut [u8]) {
        for byte in data {
            *seen = match (*byte, *seen) {
                (b'\r', 0 | 2) | (b'\n', 1 | 3) => seen.wrapping_add(1),
                (b'\r', _) => 1,
                _ => 0,
            };
            if *seen == 4 {
                // It fits: the connection is new.
                let _ = socket.write(ANSWER);
                return socket.finish();
            }
        }
    }
}

type Crypto = RustCrypto<LinuxMachine>;
type Layer = Tls<'static, Linux, Crypto>;

static SOCKETS: ConstStaticCell<Sockets<Layer, Hello, 4096>> = ConstStaticCell::new(Sockets::new());
static PARKING: ConstStaticCell<[ParkingPlace; 512]> =
    ConstStaticCell::new([const { ParkingPlace::EMPTY }; 512]);
static MEMORY: ConstStaticCell<TlsMemory<Crypto, 4096, 64, 64, 64>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let options = Options::parse(std::env::args().skip(1));
    let addr = options
        .rest
        .first()
        .map_or("127.0.0.1:3443", String::as_str);
    let mut machine = LinuxMachine::new();
    let config = options.config(&[], &[b"http/1.1"], &mut machine)?;
    let crypto = RustCrypto::new(machine);
    let layer = Tls::new(Linux::new()?, crypto, config, MEMORY.take()).with_parking(PARKING.take());
    let mut server = Loop::new(layer, SOCKETS.take(), BUFFER.take());
    server
        .net()
        .listen(Endpoint::tls(addr.parse()?, None), ())?;
    println!("https://{addr}/");
    Ok(server.run(&mut Hello)?)
}
