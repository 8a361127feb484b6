//! Fetches over HTTPS: `https_get URL [--ca PEM]`, for example
//! `https_get https://localhost:3443/ --ca localhost.pem`.
//!
//! Without `--ca` the system's authorities are trusted. `SSLKEYLOGFILE` names a file for the
//! secrets.
use std::io::Write;
use std::net::ToSocketAddrs;
use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::tls::{
    ClientConfig, Config, HandshakeFailure, ObserveHandshakes, Pem, Tls, TlsMemory, TrustAnchor,
};
use usockets::{Buffer, Closed, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;

#[path = "support/key_log.rs"]
mod key_log;
#[path = "support/response.rs"]
mod response;
#[path = "support/roots.rs"]
mod system;

use key_log::Logged;
use response::Response;
use system::system_roots;

#[cfg(not(feature = "aws-lc-rs"))]
use usockets::tls::RustCrypto as Provider;
#[cfg(feature = "aws-lc-rs")]
use usockets_linux::AwsLc as Provider;

const USAGE: &str = "usage: https_get https://HOST[:PORT][/PATH] [--ca PEM]

Fetches a page over TLS 1.3 and writes the response to standard output.

  --ca PEM   trusts the certificates in this file instead of the system's
  --help     says this

SSLKEYLOGFILE=FILE writes the secrets of the connection to FILE.";

/// The request, and how it went.
struct Get {
    request: Buffer<4096>,
    response: Response,
    /// Whether a server has answered, be it that its certificate was refused.
    is_answered: bool,
    outcome: Result<(), String>,
}

impl<P: Platform> Handler<P> for Get {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.is_answered = true;
        // It fits: the connection is new.
        let _ = socket.write(self.request.filled());
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        if let Err(error) = std::io::stdout().write_all(data) {
            self.outcome = Err(error.to_string());
        }
        if self.response.read(data) {
            // Whatever comes of the connection: the response says itself that it is complete.
            socket.close();
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        if !self.response.is_complete() && closed != Closed::Finished {
            self.outcome = Err(format!("the response is not complete: {closed}"));
        }
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.is_answered = matches!(error, Error::AlertSent(_) | Error::AlertReceived(_));
        self.outcome = Err(error.to_string());
    }
}

/// Says why the handshake failed, which the error of the connection does not say as well.
struct Log;

impl ObserveHandshakes for Log {
    fn on_failure(&self, failure: &HandshakeFailure) {
        eprintln!("{failure}");
    }
}

type Crypto = Provider<Logged>;
type Layer = Tls<'static, Linux, Crypto>;

static SOCKETS: ConstStaticCell<Sockets<Layer, Get, 1>> = ConstStaticCell::new(Sockets::new());
static MEMORY: ConstStaticCell<TlsMemory<Crypto, 1, 1, 1, 1>> =
    ConstStaticCell::new(TlsMemory::NEW);
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [url] => get(url, None),
        [url, "--ca", ca] | ["--ca", ca, url] => get(url, Some(ca)),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn get(url: &str, ca: Option<&str>) -> Result<(), Box<dyn core::error::Error>> {
    let Url { host, port, path } = Url::parse(url)?;
    let addrs = (host, port).to_socket_addrs();
    let addrs = addrs.map_err(|error| format!("{host}: {error}"))?;
    let roots = match ca {
        Some(ca) => roots(ca)?,
        None => system_roots().map_err(|error| format!("{error}; --ca names others"))?,
    };
    let client = ClientConfig::new(roots.leak()).protocols(&[b"http/1.1"]);
    let config = Box::leak(Box::new(Config::client(client).observer(&Log)));
    let mut get = Get {
        request: Buffer::EMPTY,
        response: Response::new(),
        is_answered: false,
        outcome: Err("no address".to_owned()),
    };
    let authority = url_authority(host, port);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    if get.request.push(request.as_bytes()) < request.len() {
        return Err("the URL is too long".into());
    }

    let crypto = Crypto::new(Logged::from_environment()?);
    let layer = Tls::new(Linux::new()?, crypto, config, MEMORY.take());
    let mut client = Loop::new(layer, SOCKETS.take(), BUFFER.take());
    // A host may have addresses at which nobody listens.
    for addr in addrs {
        get.outcome = Ok(());
        match client.net().connect(Endpoint::tls(addr, Some(host)), ()) {
            Ok(_) => client.run(&mut get)?,
            Err(error) => get.outcome = Err(error.to_string()),
        }
        if get.is_answered {
            break;
        }
    }
    Ok(get
        .outcome
        .map_err(|error| format!("{authority}: {error}"))?)
}

/// The parts of `https://HOST[:PORT][/PATH]`; a host that is an IPv6 address has brackets there,
/// and none here.
struct Url<'a> {
    host: &'a str,
    port: u16,
    path: String,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{url}: {what}");
        let rest = url.strip_prefix("https://");
        let rest = rest.ok_or_else(|| wrong("not an https URL"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => inner
                .split_once(']')
                .ok_or_else(|| wrong("a bracket is missing"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong("not a port"))?,
            None if port.is_empty() => 443,
            None => return Err(wrong("not a host and a port")),
        };
        match host.is_empty() {
            true => Err(wrong("no host")),
            false => Ok(Self { host, port, path }),
        }
    }
}

/// Returns a host and its port as they are in a URL.
fn url_authority(host: &str, port: u16) -> String {
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    match port {
        443 => host,
        _ => format!("{host}:{port}"),
    }
}

/// Returns the authorities whose certificates are in a PEM file.
fn roots(path: &str) -> Result<Vec<TrustAnchor<'static>>, String> {
    let of = |error: &dyn core::fmt::Display| format!("{path}: {error}");
    let text = std::fs::read(path).map_err(|error| of(&error))?;
    let mut pem = Pem::new(&text);
    let mut roots = Vec::new();
    let mut memory = vec![0; text.len()];
    while let Some(found) = pem
        .next("CERTIFICATE", &mut memory)
        .map_err(|error| of(&error))?
    {
        let anchor = webpki::anchor_from_trusted_cert(&(&*found).into())
            .map(|anchor| anchor.to_owned())
            .map_err(|error| of(&error))?;
        roots.push(anchor);
    }
    match roots.is_empty() {
        true => Err(of(&"there is no certificate in it")),
        false => Ok(roots),
    }
}
