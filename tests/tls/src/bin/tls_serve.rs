//! A server for suites of tests that are run by hand, such as testssl.sh and tlsfuzzer:
//! `tls_serve rsa|p256|ed25519 [ADDR] [off|requested|required]`.
//!
//! It answers `GET` with a page and then ends, and sends back anything else. The authority of its
//! certificate is written to `tls_serve.pem`, an identity for a client to `tls_client.pem` and
//! `tls_client.key`.

use std::error::Error;

use usockets::tls::{ClientAuth, Config, ServerConfig, TicketKeys};
use usockets_tests_tls::files::pem;
use usockets_tests_tls::{Authority, Kind, matrix};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |number: usize, default| arguments.get(number).map_or(default, String::as_str);
    let kind = match argument(0, "p256") {
        "rsa" => Kind::Rsa(2_048),
        "ed25519" => Kind::Ed25519,
        _ => Kind::P256,
    };
    let authority = Authority::new(kind);
    std::fs::write("tls_serve.pem", pem("CERTIFICATE", authority.root()))?;
    let roots = authority.anchors();
    let person = authority.issue(kind, &["person"]);
    std::fs::write("tls_client.pem", pem("CERTIFICATE", &person.chain[0]))?;
    std::fs::write("tls_client.key", pem("PRIVATE KEY", &person.document))?;
    let leaf = authority.issue(kind, &["localhost"]);
    let slices = leaf.slices();
    let policy = match argument(2, "off") {
        "requested" => ClientAuth::Requested(&roots),
        "required" => ClientAuth::Required(&roots),
        _ => ClientAuth::Off,
    };
    let identities = [leaf.identity(&slices).client_auth(policy)];
    let mut secret = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut secret)?;
    let tickets = TicketKeys::new(secret, 7_200);
    let server = ServerConfig::new(&identities)
        .protocols(&[b"http/1.1"])
        .tickets(&tickets);
    Ok(matrix::serve(
        &Config::server(server),
        argument(1, "127.0.0.1:0").parse()?,
    )?)
}
