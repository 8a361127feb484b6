//! Fetches over HTTPS: `https_get URL --ca PEM`, for example
//! `https_get https://localhost:3443/ --ca localhost.pem`.
use std::io::Write;
use std::net::ToSocketAddrs;

use static_cell::ConstStaticCell;
use usockets::tls::{ClientConfig, Config, Pem, RustCrypto, Tls, TlsMemory, TrustAnchor};
use usockets::{Buffer, Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::{Linux, LinuxMachine};

/// The request, and how it went.
struct Get {
    request: Buffer<4096>,
    outcome: Result<(), String>,
}

impl<P: Platform> Handler<P> for Get {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        // It fits: the connection is new.
        let _ = socket.write(self.request.filled());
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        if let Err(error) = std::io::stdout().write_all(data) {
            self.outcome = Err(error.to_string());
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        if closed != Closed::Finished {
            self.outcome = Err(closed.to_string());
        }
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.outcome = Err(error.to_string());
    }
}

type Crypto = RustCrypto<LinuxMachine>;
type Layer = Tls<'static, Linux, Crypto>;

static SOCKETS: ConstStaticCell<Sockets<Layer, Get, 1>> = ConstStaticCell::new(Sockets::new());
static MEMORY: ConstStaticCell<TlsMemory<Crypto, 1, 1, 1, 1>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let usage = "usage: https_get https://HOST[:PORT]/PATH --ca PEM";
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, option, ca] = args.as_slice() else {
        return Err(usage.into());
    };
    let address = url.strip_prefix("https://").filter(|_| option == "--ca");
    let (authority, path) = address.ok_or(usage)?.split_once('/').ok_or(usage)?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
    let addr = (host, port.parse()?).to_socket_addrs()?.next();
    let addr = addr.ok_or("the host has no address")?;

    let roots = roots(&std::fs::read(ca)?);
    let client = ClientConfig::new(roots.leak()).protocols(&[b"http/1.1"]);
    let config = Box::leak(Box::new(Config::client(client)));
    let mut get = Get {
        request: Buffer::EMPTY,
        outcome: Ok(()),
    };
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    if get.request.push(request.as_bytes()) < request.len() {
        return Err("the URL is too long".into());
    }

    let crypto = RustCrypto::new(LinuxMachine::new());
    let layer = Tls::new(Linux::new()?, crypto, config, MEMORY.take());
    let mut client = Loop::new(layer, SOCKETS.take(), BUFFER.take());
    client.net().connect(Endpoint::tls(addr, Some(host)), ())?;
    client.run(&mut get)?;
    Ok(get.outcome?)
}

/// Returns the authorities whose certificates are in a PEM text.
fn roots(text: &[u8]) -> Vec<TrustAnchor<'static>> {
    let mut pem = Pem::new(text);
    let mut roots = Vec::new();
    let mut memory = vec![0; 8_192];
    while let Some(found) = pem.next("CERTIFICATE", &mut memory) {
        let certificate = (&*found).into();
        if let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate) {
            roots.push(anchor.to_owned());
        }
    }
    roots
}
