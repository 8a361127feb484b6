//! Says hello over HTTPS: `https_server [ADDR] [--cert PEM --key PEM]`.
//!
//! Without a certificate it makes one for `localhost` and writes it to `localhost.pem`:
//! `curl --cacert localhost.pem https://localhost:3443/`.
use static_cell::ConstStaticCell;
use usockets::tls::{
    Config, EcdsaP256Key, Ed25519Key, Identity, Pem, RustCrypto, ServerConfig, Signer, TicketKeys,
    Tls, TlsMemory,
};
use usockets::{Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{Linux, LinuxMachine};

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
static MEMORY: ConstStaticCell<TlsMemory<Crypto, 4096, 64, 64, 64>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut addr = "127.0.0.1:3443".to_string();
    let mut paths = [None, None];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), &mut paths) {
            ("--cert", [cert, _]) => *cert = args.next(),
            ("--key", [_, key]) => *key = args.next(),
            _ => addr = arg,
        }
    }
    let (chain, key) = match paths {
        [Some(cert), Some(key)] => (std::fs::read(cert)?, std::fs::read(key)?),
        _ => self_signed()?,
    };
    // It lives as long as the program.
    let mut pem = Pem::new(&chain);
    let mut certificates: Vec<&[u8]> = Vec::new();
    while let Some(found) = pem.next("CERTIFICATE", Box::leak(Box::new([0; 4096]))) {
        certificates.push(found);
    }
    let signer = signer(&key).ok_or("no P-256 or Ed25519 key")?;
    let identities = [Identity::new(certificates.leak(), Box::leak(signer))];
    let mut secret = [0; 32];
    let _ = usockets::tls::Machine::random(&mut LinuxMachine::new(), &mut secret);
    let tickets = Box::leak(Box::new(TicketKeys::new(secret, 7_200)));
    let server = ServerConfig::new(Box::leak(Box::new(identities)))
        .protocols(&[b"http/1.1"])
        .tickets(tickets);
    let config = Box::leak(Box::new(Config::server(server)));

    let crypto = RustCrypto::new(LinuxMachine::new());
    let layer = Tls::new(Linux::new()?, crypto, config, MEMORY.take());
    let mut server = Loop::new(layer, SOCKETS.take(), BUFFER.take());
    server
        .net()
        .listen(Endpoint::tls(addr.parse()?, None), ())?;
    println!("https://{addr}/");
    Ok(server.run(&mut Hello)?)
}

/// Finds the private key in a PEM text.
fn signer(text: &[u8]) -> Option<Box<dyn Signer>> {
    for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
        let mut memory = [0; 256];
        if let Some(document) = Pem::new(text).next(label, &mut memory) {
            if let Some(key) = EcdsaP256Key::from_der(document) {
                return Some(Box::new(key));
            }
            return Some(Box::new(Ed25519Key::from_der(document)?));
        }
    }
    None
}

/// Makes a certificate that signs itself, and its key.
fn self_signed() -> Result<(Vec<u8>, Vec<u8>), Box<dyn core::error::Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])?;
    std::fs::write("localhost.pem", made.cert.pem())?;
    Ok((
        made.cert.pem().into_bytes(),
        made.signing_key.serialize_pem().into_bytes(),
    ))
}
