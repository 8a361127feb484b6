//! A client that has a thread resolve a name, and takes the first address that answers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::TcpListener;
use std::process::{Command, Output};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::{Server, programs};

fn resolve(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(programs().join("resolve"))
        .args(arguments)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The name has an address of each family on most machines, and the server is at one of them.
#[test]
fn a_name_leads_to_the_address_that_answers() {
    let server = Server::start("http_server");
    let port = server.addr.port().to_string();
    let (code, out, said) = resolve(&["localhost", &port]);
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "HTTP/1.1 200 OK\n"),
        "{said}"
    );
    assert!(
        said.contains(&format!("connected to 127.0.0.1:{port}")),
        "{said}"
    );
}

#[test]
fn what_fails_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let (code, out, said) = resolve(&["127.0.0.1", &port]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.contains("127.0.0.1: "), "{said}");
    // A name that no resolver knows (RFC 6761, section 6.4).
    let (code, _, said) = resolve(&["nobody.invalid"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("nobody.invalid: "), "{said}");
    assert_eq!(resolve(&[]).0, Some(1));
    assert!(
        resolve(&["localhost", "http"])
            .2
            .contains("http: not a port")
    );
}
