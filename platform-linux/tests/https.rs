//! `https_server` and `https_get` as processes, against one another and OpenSSL.
#![cfg(feature = "tls-small")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::built;

/// Where the two programs are, built with TLS.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    let examples = ["--example", "https_get", "--example", "https_server"];
    PROGRAMS.get_or_init(|| built(&[&["--features", "tls"], &examples[..]].concat()))
}

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("usockets-https-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a certificate for `name` that signs itself, and its key.
    fn identity(&self, file: &str, name: &str) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let paths = ["pem", "key"].map(|kind| self.path(&format!("{file}.{kind}")));
        fs::write(&paths[0], certificate.pem()).unwrap();
        fs::write(&paths[1], key.serialize_pem()).unwrap();
        paths
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed in the end.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `https_server`; returns where it listens.
fn server(at: &str, directory: &Directory, arguments: &[&str]) -> (Process, SocketAddr) {
    let mut child = Command::new(programs().join("https_server"))
        .arg(at)
        .args(arguments)
        .current_dir(&directory.0)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let at = line.trim_end().strip_prefix("https://").unwrap();
    let at = at.strip_suffix('/').unwrap().parse().unwrap();
    (Process(child), at)
}

fn run(program: &str, directory: &Directory, arguments: &[&str]) -> Output {
    let mut command = Command::new(programs().join(program));
    command.args(arguments).current_dir(&directory.0);
    command.env("SSLKEYLOGFILE", directory.path("secrets"));
    command.output().unwrap()
}

/// Returns what was written to standard output, of a program that succeeds.
fn get(directory: &Directory, arguments: &[&str]) -> String {
    let output = run("https_get", directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the words of a program that fails.
fn fail(program: &str, directory: &Directory, arguments: &[&str]) -> String {
    let output = run(program, directory, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Returns true if OpenSSL is there; else says that the test is skipped. In CI it has to be.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    assert!(found || env::var_os("CI").is_none(), "no openssl");
    if !found {
        println!("SKIPPED: no openssl");
    }
    found
}

#[test]
fn help_helps() {
    let directory = Directory::new("help");
    for program in ["https_get", "https_server"] {
        let output = run(program, &directory, &["--help"]);
        assert!(output.status.success());
        assert!(output.stdout.starts_with(b"usage: "), "{program}");
    }
    assert!(fail("https_server", &directory, &["--no"]).contains("--no"));
    assert!(fail("https_get", &directory, &["http://localhost"]).contains("not an https URL"));
}

/// With and without a path, by name and by address of either family.
#[test]
fn urls_of_every_kind() {
    let directory = Directory::new("urls");
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let (_server, at) = server(at, &directory, &[]);
        let host = match at {
            SocketAddr::V4(_) => "localhost",
            SocketAddr::V6(_) => "[::1]",
        };
        for path in ["/", "", "/a?b", "?b", "/a#b"] {
            let url = format!("https://{host}:{}{path}", at.port());
            let page = get(&directory, &[&url, "--ca", "localhost.pem"]);
            assert!(page.ends_with("\r\n\r\nHello over TLS\n"), "{page}");
        }
    }
    let secrets = fs::read_to_string(directory.path("secrets")).unwrap();
    assert!(secrets.contains("CLIENT_TRAFFIC_SECRET_0 "), "{secrets}");
}

#[test]
fn what_cannot_be_used_is_told_at_the_start() {
    let directory = Directory::new("words");
    let [one, _] = directory.identity("one", "localhost");
    let [_, other] = directory.identity("other", "localhost");
    let words = fail(
        "https_server",
        &directory,
        &["--cert", &one, "--key", &other],
    );
    assert!(
        words.contains(&one) && words.contains("another certificate"),
        "{words}"
    );
    let none = directory.path("none");
    let words = fail(
        "https_server",
        &directory,
        &["--cert", &none, "--key", &other],
    );
    assert!(words.contains(&none), "{words}");
    let words = fail(
        "https_get",
        &directory,
        &["https://localhost:1", "--ca", &other],
    );
    assert!(
        words.contains(&other) && words.contains("no certificate"),
        "{words}"
    );
}

/// A server that shows another's certificate of the same name: the reason is the certificate's.
#[test]
fn a_refused_certificate_is_told() {
    let directory = Directory::new("refused");
    let [certificate, key] = directory.identity("one", "localhost");
    let [other, _] = directory.identity("other", "localhost");
    let identity = ["--cert", &certificate, "--key", &key];
    let (_server, at) = server("127.0.0.1:0", &directory, &identity);
    let url = format!("https://localhost:{}", at.port());
    let words = fail("https_get", &directory, &[&url, "--ca", &other]);
    assert!(
        words.contains("a certificate's signature is wrong"),
        "{words}"
    );
}

/// An authority, one that it certified, and a certificate of that one's: the chain without the
/// authority, and the key.
fn issued(directory: &Directory) -> [String; 3] {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let [root_key, middle_key, key] = [(); 3].map(|()| KeyPair::generate().unwrap());
    let root = authority("the root").self_signed(&root_key).unwrap().pem();
    let by_root = Issuer::new(authority("the root"), root_key);
    let middle = authority("the intermediate").signed_by(&middle_key, &by_root);
    let by_middle = Issuer::new(authority("the intermediate"), middle_key);
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &by_middle).unwrap().pem();
    let paths = ["root.pem", "chain.pem", "leaf.pem"].map(|name| directory.path(name));
    fs::write(&paths[0], root).unwrap();
    fs::write(&paths[1], leaf.clone() + &middle.unwrap().pem()).unwrap();
    fs::write(&paths[2], leaf).unwrap();
    fs::write(directory.path("key.pem"), key.serialize_pem()).unwrap();
    paths
}

/// An intermediate certificate that is missing is told when the server starts, by the authorities
/// that the system trusts; its clients trust them, too.
#[test]
fn a_missing_intermediate_is_told_at_the_start() {
    let directory = Directory::new("missing");
    let [root, chain, leaf] = issued(&directory);
    let key = directory.path("key.pem");
    for (certificates, is_whole) in [(&chain, true), (&leaf, false)] {
        let mut child = Command::new(programs().join("https_server"))
            .args(["127.0.0.1:0", "--cert", certificates, "--key", &key])
            .env("SSL_CERT_FILE", &root)
            .env_remove("SSL_CERT_DIR")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let server = Process(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        let port = line.trim_end_matches("/\n").rsplit(':').next().unwrap();
        let get = Command::new(programs().join("https_get"))
            .arg(format!("https://localhost:{port}"))
            .env("SSL_CERT_FILE", &root)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        assert_eq!(get.status.success(), is_whole, "{get:?}");
        drop(server);
        let mut words = String::new();
        errors.read_to_string(&mut words).unwrap();
        let is_told = words.starts_with(&format!("{certificates}: no authority"));
        assert_eq!(is_told, !is_whole, "{words}");
    }
}

/// Where nobody listens is told.
#[test]
fn who_does_not_answer_is_told() {
    let directory = Directory::new("silent");
    let [certificate, _] = directory.identity("one", "localhost");
    let port = free_port();
    let url = format!("https://localhost:{port}");
    let words = fail("https_get", &directory, &[&url, "--ca", &certificate]);
    assert!(words.contains(&format!("localhost:{port}: ")), "{words}");
}

/// Returns true if a client that asks for `name` gets a certificate that `authority` is.
fn accepts(at: SocketAddr, name: &str, authority: &str) -> bool {
    let at = at.to_string();
    let output = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &at,
            "-servername",
            name,
            "-CAfile",
            authority,
        ])
        .args(["-verify_return_error", "-verify_hostname", name])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success()
}

#[test]
fn certificates_are_chosen_by_name_and_read_again() {
    if !has_openssl() {
        return;
    }
    let directory = Directory::new("names");
    let [a, a_key] = directory.identity("a", "a.example");
    let [b, b_key] = directory.identity("b", "b.example");
    let two = ["--cert", &a, "--key", &a_key, "--cert", &b, "--key", &b_key];
    let (server, at) = server("127.0.0.1:0", &directory, &two);
    assert!(accepts(at, "a.example", &a) && accepts(at, "b.example", &b));
    assert!(!accepts(at, "b.example", &a));
    let old = directory.path("old.pem");
    fs::copy(&b, &old).unwrap();
    directory.identity("b", "b.example");
    let hang_up = || {
        let id = server.0.id().to_string();
        let status = Command::new("kill").args(["-s", "HUP", &id]).status();
        assert!(status.unwrap().success());
    };
    hang_up();
    let start = Instant::now();
    while !accepts(at, "b.example", &b) {
        assert!(start.elapsed() < Duration::from_secs(20), "not read again");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(!accepts(at, "b.example", &old));
    // What cannot be used leaves what was.
    fs::write(&a, "").unwrap();
    hang_up();
    thread::sleep(Duration::from_millis(300));
    assert!(accepts(at, "b.example", &b));
}

/// Returns a port that the kernel picked, for a program that cannot say which it was given.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// Starts OpenSSL's server; returns it, its port, what it sends and what it receives.
fn openssl_server(
    certificate: &str,
    key: &str,
) -> (Process, String, ChildStdin, BufReader<ChildStdout>) {
    let port = free_port();
    let mut child = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &port])
        .args(["-cert", certificate, "-key", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    let asked = BufReader::new(child.stdout.take().unwrap());
    let server = Process(child);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "s_server does not listen"
        );
        thread::sleep(Duration::from_millis(20));
    }
    (server, port, input, asked)
}

/// A response that says where it ends is complete there, whatever comes of the connection; one that
/// is cut is not.
#[test]
fn a_body_is_complete_by_its_own_word() {
    if !has_openssl() {
        return;
    }
    let directory = Directory::new("bodies");
    let [certificate, key] = directory.identity("one", "localhost");
    for (response, is_complete) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\n\r\nok", false),
    ] {
        let (server, port, mut input, mut asked) = openssl_server(&certificate, &key);
        let url = format!("https://localhost:{port}");
        let get = Command::new(programs().join("https_get"))
            .args([&url, "--ca", &certificate])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(asked.read_line(&mut line).unwrap() > 0, "no request");
        }
        input.write_all(response.as_bytes()).unwrap();
        input.flush().unwrap();
        if !is_complete {
            // Time to send it; then the connection ends without `close_notify`.
            thread::sleep(Duration::from_millis(500));
            drop(server);
            let output = get.wait_with_output().unwrap();
            assert!(!output.status.success(), "{response:?}");
            continue;
        }
        let output = get.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{response:?}: {errors}");
        assert_eq!(output.stdout, response.as_bytes());
        drop(server);
    }
}
