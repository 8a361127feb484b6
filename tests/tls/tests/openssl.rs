//! Interoperability with `openssl s_client`, `openssl s_server` and `curl` over real sockets.
//!
//! Each test says so and passes when the program is not installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use usockets::tls::{ClientAuth, ClientConfig, Config, ServerConfig, TicketKeys, Tls, TlsMemory};
use usockets::{Closed, Duration, Endpoint, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::files::{Files, Program};
use usockets_tests_tls::{Authority, Crypto, Echo, Kind, Machine, Part};

const SUITES: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
const GROUPS: [&str; 5] = ["X25519", "P-256", "P-384", "P-521:X25519", "P-521:P-256"];

fn is_missing(program: &str, version: &str) -> bool {
    let is_missing = Command::new(program)
        .arg(version)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err();
    if is_missing {
        eprintln!("{program} is not installed: skipped");
    }
    is_missing
}

/// Runs a loop of ours that connects to `to`; `start` gets the address of its echo server, and it
/// goes on until `done`, at most 20 seconds.
fn run(
    config: &Config<'_>,
    echo: &mut Echo,
    to: Option<SocketAddr>,
    start: impl FnOnce(SocketAddr),
    mut done: impl FnMut(&Echo) -> bool,
) {
    let mut memory = Box::new(TlsMemory::<Crypto, 16, 4, 4, 4>::NEW);
    let mut sockets = Box::new(Sockets::<Tls<'_, Linux, Crypto>, Echo, 16>::new());
    let mut buffer = vec![0; 16_384];
    let crypto = Crypto::new(Machine::new(9));
    let layer = Tls::new(Linux::new().unwrap(), crypto, config, &mut *memory);
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let mut addr = any;
    if !config.server.identities.is_empty() {
        let listener = the_loop.net().listen(Endpoint::tls(any, None), Part::Echo);
        addr = the_loop.net().listening_addr(listener.unwrap()).unwrap();
    }
    if let Some(to) = to {
        let to = Endpoint::tls(to, Some("localhost"));
        the_loop.net().connect(to, Part::Leave).unwrap();
    }
    start(addr);
    let begin = std::time::Instant::now();
    while !done(echo) {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{:?}",
            echo.failed
        );
        let now = usockets::Platform::now(the_loop.platform());
        let next = now.saturating_add(Duration::from_millis(10));
        the_loop.poll(echo, Some(next)).unwrap();
    }
}

/// Has `s_client` send a line to our echo server; returns whether it came back, and all that was
/// said of the connection.
fn s_client(config: &Config<'_>, arguments: &[&str]) -> (bool, String) {
    let mut echo = Echo::new(0);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let start = |addr: SocketAddr| {
            scope.spawn(move || {
                let child = Command::new("openssl")
                    .args([
                        "s_client",
                        "-brief",
                        "-ign_eof",
                        "-connect",
                        &addr.to_string(),
                    ])
                    .args(arguments)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn();
                let mut program = Program(child.unwrap());
                let mut stdin = program.0.stdin.take().unwrap();
                stdin.write_all(b"a line there and back\n").unwrap();
                let mut line = String::new();
                let stdout = program.0.stdout.take().unwrap();
                BufReader::new(stdout).read_line(&mut line).unwrap();
                // Ends s_client, with close_notify.
                stdin.write_all(b"Q\n").ok();
                drop(stdin);
                let mut said = String::new();
                program.0.kill().ok();
                let mut stderr = program.0.stderr.take().unwrap();
                stderr.read_to_string(&mut said).unwrap();
                sender
                    .send((line == "a line there and back\n", said))
                    .unwrap();
            });
        };
        let mut outcome = None;
        run(config, &mut echo, None, start, |_| {
            outcome = receiver.try_recv().ok();
            outcome.is_some()
        });
        outcome.unwrap()
    })
}

#[test]
fn s_client_with_every_suite_group_and_signature() {
    if is_missing("openssl", "version") {
        return;
    }
    let files = Files::new();
    let authority = Authority::new(Kind::P384);
    let root = files.write("root.pem", "CERTIFICATE", &[authority.root().to_vec()]);
    for kind in [Kind::P256, Kind::Ed25519] {
        let leaf = authority.issue(kind, &["localhost"]);
        let slices = leaf.slices();
        let identities = [leaf.identity(&slices)];
        let keys = TicketKeys::new([1; 32], 100);
        let server = ServerConfig::new(&identities)
            .protocols(&[b"echo"])
            .tickets(&keys);
        let config = Config::server(server);
        for suite in SUITES {
            for group in GROUPS {
                let arguments = [
                    "-CAfile",
                    path(&root),
                    "-verify_return_error",
                    "-verify_hostname",
                    "localhost",
                    "-servername",
                    "localhost",
                    "-alpn",
                    "echo",
                    "-ciphersuites",
                    suite,
                    "-groups",
                    group,
                ];
                let (is_back, said) = s_client(&config, &arguments);
                assert!(is_back, "{suite} {group} {said}");
                assert!(said.contains(suite), "{said}");
                assert!(said.contains("Verification: OK"), "{said}");
            }
        }
        // Small fragments both ways.
        for arguments in [["-max_send_frag", "512"], ["-maxfraglen", "512"]] {
            let (is_back, said) = s_client(&config, &arguments);
            assert!(is_back, "{said}");
        }
    }
}

#[test]
fn s_client_shows_its_certificate() {
    if is_missing("openssl", "version") {
        return;
    }
    let files = Files::new();
    let authority = Authority::new(Kind::P256);
    let other = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf
        .identity(&slices)
        .client_auth(ClientAuth::Required(&roots))];
    let config = Config::server(ServerConfig::new(&identities));
    for kind in [Kind::P256, Kind::Ed25519] {
        let [cert, key] = files.chain("good", &authority.issue(kind, &["person"]));
        let arguments = ["-cert", path(&cert), "-key", path(&key)];
        let (is_back, said) = s_client(&config, &arguments);
        assert!(is_back, "{said}");
        let [cert, key] = files.chain("bad", &other.issue(kind, &["person"]));
        let arguments = ["-cert", path(&cert), "-key", path(&key)];
        assert!(!s_client(&config, &arguments).0);
    }
    assert!(!s_client(&config, &[]).0);
}

/// Connects to `s_server -rev`, which reverses a line; returns the handler.
fn s_server(config: &Config<'_>, leaf: [&Path; 2], arguments: &[&str]) -> Echo {
    let child = Command::new("openssl")
        .args(["s_server", "-rev", "-tls1_3", "-accept", "127.0.0.1:0"])
        .args(["-cert", path(leaf[0]), "-key", path(leaf[1])])
        .args(["-cert_chain", path(leaf[0])])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut program = Program(child.unwrap());
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    let addr: SocketAddr = loop {
        let mut line = String::new();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "no address");
        if let Some(addr) = line.strip_prefix("ACCEPT ") {
            break addr.trim().parse().unwrap();
        }
    };
    let mut echo = Echo {
        // The same backwards, all but the end of the line.
        payload: b"able was I ere I saw elba\n".to_vec(),
        ..Echo::default()
    };
    run(
        config,
        &mut echo,
        Some(addr),
        |_| {},
        |echo| !echo.failed.is_empty() || !echo.closed.is_empty(),
    );
    echo
}

#[test]
fn s_server_with_every_suite_group_and_signature() {
    if is_missing("openssl", "version") {
        return;
    }
    let files = Files::new();
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let person = authority.issue(Kind::P256, &["person"]);
    let slices = person.slices();
    let person = person.identity(&slices);
    let root = files.write("root.pem", "CERTIFICATE", &[authority.root().to_vec()]);
    let between = authority.issue_authority(Kind::P384, true);
    for kind in [Kind::P256, Kind::Ed25519] {
        let leaf = files.chain("server", &between.issue(kind, &["localhost"]));
        let leaf = [leaf[0].as_path(), &leaf[1]];
        let config = Config::client(ClientConfig::new(&roots).identity(&person));
        for suite in SUITES {
            for group in ["X25519", "P-256"] {
                let options = ["-ciphersuites", suite, "-groups", group];
                let echo = s_server(&config, leaf, &options);
                assert_eq!(echo.echoed, 1, "{suite} {group} {:?}", echo.failed);
                assert_eq!(echo.closed(Part::Leave), [Closed::Local(7)]);
            }
        }
        for options in [
            &["-max_send_frag", "512"][..],
            &[
                "-verify",
                "1",
                "-verify_return_error",
                "-CAfile",
                path(&root),
            ],
            &[
                "-Verify",
                "1",
                "-verify_return_error",
                "-CAfile",
                path(&root),
            ],
        ] {
            let echo = s_server(&config, leaf, options);
            assert_eq!(echo.echoed, 1, "{options:?} {:?}", echo.failed);
        }
        // One that trusts another authority, and one that shows nothing where it must.
        let other = Authority::new(Kind::P256).anchors();
        let config = Config::client(ClientConfig::new(&other).identity(&person));
        let echo = s_server(&config, leaf, &[]);
        assert_eq!(echo.failed, [usockets::Error::AlertSent(48)]);
        let config = Config::client(ClientConfig::new(&roots));
        let echo = s_server(&config, leaf, &["-Verify", "1", "-CAfile", path(&root)]);
        assert_eq!(echo.echoed, 0);
        let alert = Closed::Failed(usockets::Error::AlertReceived(116));
        assert_eq!(echo.closed(Part::Leave), [alert]);
    }
}

/// Answers every request with as many bytes as a browser would call a page.
struct Page(Vec<u8>);

impl<P: Platform> Handler<P> for Page {
    type Context = ();
    /// How much of the page has been taken.
    type Ext = usize;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> usize {
        0
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, sent: &mut usize, _: &mut [u8]) {
        self.on_writable(socket, sent);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, sent: &mut usize) {
        *sent += socket.write(&self.0[*sent..]);
        if *sent == self.0.len() {
            socket.finish();
        }
    }
}

#[test]
fn curl_fetches_a_long_page() {
    if is_missing("curl", "--version") {
        return;
    }
    let files = Files::new();
    let authority = Authority::new(Kind::P256);
    let root = files.write("root.pem", "CERTIFICATE", &[authority.root().to_vec()]);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let config = Config::server(ServerConfig::new(&identities).protocols(&[b"http/1.1"]));
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n >> 3) as u8).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut page = Page([head.as_bytes(), &body].concat());

    let mut memory = Box::new(TlsMemory::<Crypto, 16, 1, 1, 1>::NEW);
    let mut sockets = Box::new(Sockets::<Tls<'_, Linux, Crypto>, Page, 16>::new());
    let mut buffer = vec![0; 16_384];
    let crypto = Crypto::new(Machine::new(9));
    let layer = Tls::new(Linux::new().unwrap(), crypto, &config, &mut *memory);
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let listener = the_loop.net().listen(Endpoint::tls(any, None), ());
    let addr = the_loop.net().listening_addr(listener.unwrap()).unwrap();
    let fetch = std::thread::spawn(move || {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "15",
                "--cacert",
                path(&root),
            ])
            .arg(format!("https://localhost:{}/", addr.port()))
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", addr.port())])
            .output()
            .unwrap();
        drop(files);
        output
    });
    while !fetch.is_finished() {
        let now = usockets::Platform::now(the_loop.platform());
        let next = now.saturating_add(Duration::from_millis(10));
        the_loop.poll(&mut page, Some(next)).unwrap();
    }
    let output = fetch.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(output.stdout == body, "the page differs");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
