//! A client by embedded-tls, for `tls_matrix`: `tls_embedded PORT 128|256` sends a line of its
//! input and prints what comes back. It verifies nothing: only the handshake is of interest.

use std::fmt::Debug;
use std::io::{Error, stdin};
use std::net::TcpStream;

use embedded_io_adapters::std::FromStd;
use embedded_tls::UnsecureProvider;
use embedded_tls::blocking::{
    Aes128GcmSha256, Aes256GcmSha384, TlsCipherSuite, TlsConfig, TlsConnection, TlsContext,
};
use rand_core::OsRng;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version"] => println!("0.19"),
        [port, "128"] => talk::<Aes128GcmSha256>(port)?,
        [port, "256"] => talk::<Aes256GcmSha384>(port)?,
        _ => return Err(Error::other("a port and 128 or 256")),
    }
    Ok(())
}

fn talk<S: TlsCipherSuite + 'static>(port: &str) -> Result<(), Error> {
    let port = port.parse().map_err(Error::other)?;
    let tcp = FromStd::new(TcpStream::connect(("127.0.0.1", port))?);
    let (mut input, mut output) = ([0; 16_640], [0; 16_640]);
    let mut tls = TlsConnection::<_, S>::new(tcp, &mut input, &mut output);
    let config = TlsConfig::new()
        .with_server_name("localhost")
        .enable_rsa_signatures();
    let provider = UnsecureProvider::new::<S>(OsRng);
    tls.open(TlsContext::new(&config, provider)).map_err(tell)?;
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    tls.write(line.as_bytes()).map_err(tell)?;
    tls.flush().map_err(tell)?;
    let mut back = [0; 1_000];
    let len = tls.read(&mut back).map_err(tell)?;
    print!("{}", String::from_utf8_lossy(&back[..len]));
    tls.close()
        .map_or_else(|(_, error)| Err(tell(error)), |_| Ok(()))
}

fn tell(error: impl Debug) -> Error {
    Error::other(format!("{error:?}"))
}
