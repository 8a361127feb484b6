//! Says hello over HTTPS: `https_server [ADDR] [--cert PEM --key PEM]…`.
//!
//! Without a certificate it makes one for `localhost` and writes it to `localhost.pem`:
//! `curl --cacert localhost.pem https://localhost:3443/`. Of several, each client gets the one for
//! the name it asks for. SIGHUP has the files read again: connections stay, and if they cannot be
//! used, so does what was read before.
use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::tls::{Config, ParkingPlace, Tls, TlsMemory};
use usockets::{AllSockets, Duration, Endpoint, Handler, Loop, Opened, Socket, Sockets};
use usockets_linux::{Linux, LinuxMachine, Signal};

#[path = "support/identity.rs"]
mod identity;
#[path = "support/key_log.rs"]
mod key_log;

use identity::Options;
use key_log::Logged;

#[cfg(not(feature = "aws-lc-rs"))]
use usockets::tls::RustCrypto as Provider;
#[cfg(feature = "aws-lc-rs")]
use usockets_linux::AwsLc as Provider;

const USAGE: &str = "usage: https_server [ADDR] [--cert PEM --key PEM]...

Says hello over TLS 1.3 at ADDR, 127.0.0.1:3443 if none is given.

  --cert PEM   the certificate chain, the own certificate first; several times for several names
  --key PEM    its private key: PKCS #8, SEC 1 or PKCS #1; P-256 and Ed25519, with the feature
               aws-lc-rs also P-384 and RSA
  --help       says this

Without a certificate one is made for localhost, and written to localhost.pem. SIGHUP has the
files read again. SSLKEYLOGFILE=FILE writes the secrets of connections to FILE.";

struct Hello {
    options: Options,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\
    Connection: close\r\n\r\nHello over TLS\n";

impl Handler<Layer> for Hello {
    type Context = ();
    /// How many bytes of the end of a request's head have come.
    type Ext = usize;

    fn on_open(&mut self, socket: &mut Socket<'_, Layer, Self>, _: Opened<()>) -> usize {
        socket.set_timeout(Duration::from_secs(10));
        0
    }

    fn on_data(&mut self, socket: &mut Socket<'_, Layer, Self>, seen: &mut usize, data: &mut [u8]) {
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

    /// SIGHUP.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Layer, Self>) {
        let net = sockets.net();
        let layer = net.platform_mut();
        if layer.inner_mut().next_signal().is_none() {
            return;
        }
        match config(&mut self.options) {
            Ok(config) => {
                layer.set_config(config);
                eprintln!("certificates and keys were read again");
            }
            Err(error) => eprintln!("what was read before stays: {error}"),
        }
    }
}

type Crypto = Provider<Logged>;
type Layer = Tls<'static, Linux, Crypto>;

static SOCKETS: ConstStaticCell<Sockets<Layer, Hello, 4096>> = ConstStaticCell::new(Sockets::new());
static PARKING: ConstStaticCell<[ParkingPlace; 512]> =
    ConstStaticCell::new([const { ParkingPlace::EMPTY }; 512]);
static MEMORY: ConstStaticCell<TlsMemory<Crypto, 4096, 64, 64, 64>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn core::error::Error>> {
    let mut options = Options::parse(std::env::args().skip(1))?;
    if options.help {
        println!("{USAGE}");
        return Ok(());
    }
    let addr = match options.rest.as_slice() {
        [] => "127.0.0.1:3443",
        [addr] => addr,
        _ => return Err(USAGE.into()),
    };
    let addr = addr
        .parse()
        .map_err(|_| format!("{addr}: not an address"))?;
    let config = config(&mut options)?;
    let linux = Linux::new()?.with_signals(&[Signal::HANGUP])?;
    let crypto = Crypto::new(Logged::from_environment()?);
    let layer = Tls::new(linux, crypto, config, MEMORY.take()).with_parking(PARKING.take());
    let mut server = Loop::new(layer, SOCKETS.take(), BUFFER.take());
    let listener = server.net().listen(Endpoint::tls(addr, None), ());
    let listener = listener.map_err(|error| format!("{addr}: {error}"))?;
    let addr = server.net().listening_addr(listener).unwrap_or(addr);
    println!("https://{addr}/");
    Ok(server.run(&mut Hello { options })?)
}

fn config(options: &mut Options) -> Result<&'static Config<'static>, Box<dyn core::error::Error>> {
    let mut crypto = Provider::new(LinuxMachine::new());
    options.config(&[], &[b"http/1.1"], &mut crypto)
}
