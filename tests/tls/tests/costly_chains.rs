//! Chains that take long to verify hold up nobody else: a loop verifies few signatures per
//! iteration, whatever its peers show.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, SerialNumber};
use usockets::tls::{
    ClientAuth, ClientConfig, Config, Identity, OcspPolicy, ServerConfig, Tls, TlsMemory,
    TrustAnchor,
};
use usockets::{Duration, Endpoint, Loop, Platform as _, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::ocsp::Response;
use usockets_tests_tls::{
    Authority, Counting, Crypto, Echo, Kind, Leaf, Machine, Part, verifications,
};

const SOCKETS: usize = 64;
/// A leaf's, an authority's under a root, and the handshake's: what one honest peer costs.
const HONEST: usize = 3;

type Layer<'s> = Tls<'s, Linux, Counting>;

/// Tells threads to stop when it goes, also by a test that fails: scoped threads are waited for.
struct StopsAtLast<'b>(&'b AtomicBool);

impl Drop for StopsAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connects `count` clients that show `client` to a server that shows `server`, both in one loop,
/// until `done`; returns the most signatures that one iteration has verified.
fn run(
    count: usize,
    server: (&Leaf, &[&[u8]], &[TrustAnchor<'_>]),
    client: (&Leaf, &[&[u8]], &[TrustAnchor<'_>]),
    done: impl Fn(&Echo) -> bool,
) -> usize {
    let policy = ClientAuth::Required(client.2);
    let identities = [Identity::new(server.1, server.0.signer.as_ref()).client_auth(policy)];
    let own = Identity::new(client.1, client.0.signer.as_ref());
    let clients = ClientConfig::new(server.2).identity(&own);
    run_with(
        count,
        &Config::new(ServerConfig::new(&identities), clients),
        done,
    )
}

/// … with a whole configuration.
fn run_with(count: usize, config: &Config<'_>, done: impl Fn(&Echo) -> bool) -> usize {
    let mut memory = Box::new(TlsMemory::<Counting, SOCKETS, 32, 8, 8>::NEW);
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
    let mut buffer = vec![0; 16_384];
    let layer = Tls::new(
        Linux::new().unwrap(),
        Counting::new(1),
        config,
        &mut *memory,
    );
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let any = ([127, 0, 0, 1], 0).into();
    let listener = the_loop.net().listen(Endpoint::tls(any, None), Part::Echo);
    let addr = the_loop.net().listening_addr(listener.unwrap()).unwrap();
    for _ in 0..count {
        let to = Endpoint::tls(addr, Some("localhost"));
        the_loop.net().connect(to, Part::Ask).unwrap();
    }
    let mut echo = Echo::new(1_000);
    let mut most = 0;
    let start = std::time::Instant::now();
    while !done(&echo) {
        assert!(start.elapsed() < Duration::from_secs(60), "too slow");
        let next = the_loop
            .platform()
            .now()
            .saturating_add(Duration::from_millis(20));
        let before = verifications();
        the_loop.poll(&mut echo, Some(next)).unwrap();
        most = most.max(verifications() - before);
    }
    most
}

fn under(root: &Authority, depth: usize) -> Leaf {
    let mut authority = root.issue_authority(Kind::P384, true);
    for _ in 1..depth {
        authority = authority.issue_authority(Kind::P384, true);
    }
    authority.issue(Kind::P256, &["localhost"])
}

#[test]
fn one_iteration_verifies_no_more_than_one_honest_peer_costs() {
    const COUNT: usize = 12;
    let (server_root, client_root) = (Authority::new(Kind::P384), Authority::new(Kind::P384));
    let (server_roots, client_roots) = (server_root.anchors(), client_root.anchors());
    // From the shortest to the longest that there may be.
    for depth in [1, 2, 6] {
        let (server, client) = (under(&server_root, depth), under(&client_root, depth));
        let before = verifications();
        let most = run(
            COUNT,
            (&server, &server.slices(), &server_roots),
            (&client, &client.slices(), &client_roots),
            |echo| echo.echoed == COUNT,
        );
        let each = verifications() - before;
        assert_eq!(each, COUNT * 2 * (depth + 2), "each signature once");
        assert!((1..=HONEST).contains(&most), "{most} in one iteration");
    }
}

#[test]
fn nor_if_the_peers_lie() {
    const COUNT: usize = 12;
    let (server_root, client_root) = (Authority::new(Kind::P384), Authority::new(Kind::P384));
    let (server_roots, client_roots) = (server_root.anchors(), client_root.anchors());
    let (server, good) = (under(&server_root, 1), under(&client_root, 1));
    // The good one's, whose authorities have the others' signatures.
    let mut forged = good.slices()[1].to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let lie = [
        good.slices()[0],
        &forged,
        &forged,
        &forged,
        &forged,
        &forged,
    ];
    let before = verifications();
    let most = run(
        COUNT,
        (&server, &server.slices(), &server_roots),
        (&good, &lie, &client_roots),
        |echo| echo.closed.len() == COUNT,
    );
    // The clients' three each, and the server's two: one forgery and one more.
    assert_eq!(verifications() - before, COUNT * (3 + 2));
    assert!((1..=HONEST).contains(&most), "{most} in one iteration");
}

/// What OCSP says of a certificate has up to two signatures more, which count like the others.
#[test]
fn nor_with_what_ocsp_says() {
    const COUNT: usize = 12;
    const SERIAL: u8 = 77;
    let root = Authority::new(Kind::P256);
    let roots = root.anchors();
    let server = root.issue_with(Kind::P256, &["localhost"], |params| {
        params.serial_number = Some(SerialNumber::from(vec![SERIAL]));
    });
    let slices = server.slices();
    let responder = root.issue_with(Kind::P256, &["ocsp.example"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    });
    let delegates = Response {
        responder: Some(&responder),
        ..Response::good(SERIAL)
    };
    for (response, signatures) in [(Response::good(SERIAL), 1), (delegates, 2)] {
        let response = response.sign(&root);
        let identities = [server.identity(&slices).ocsp(&response)];
        let clients = ClientConfig::new(&roots).ocsp(OcspPolicy::Required);
        let config = Config::new(ServerConfig::new(&identities), clients);
        let before = verifications();
        let most = run_with(COUNT, &config, |echo| echo.echoed == COUNT);
        let each = verifications() - before;
        assert_eq!(each, COUNT * (2 + signatures), "each signature once");
        assert!((1..=HONEST).contains(&most), "{most} in one iteration");
    }
}

/// Pairs of handshakes of which the median counts.
const PAIRS: usize = 15;
/// The attackers' connections, one after the other so often.
const EVERY: Duration = Duration::from_millis(50);

type Plain<'s> = Tls<'s, Linux, Crypto>;

/// Runs a loop with `config` until `stops`: `begin` starts it, `each` is called in each iteration.
fn run_plain<T>(
    config: &Config<'_>,
    echo: &mut Echo,
    begin: impl FnOnce(&mut Loop<'_, Plain<'_>, Echo>) -> T,
    mut each: impl FnMut(&mut Loop<'_, Plain<'_>, Echo>, &mut Echo, &mut T) -> bool,
) {
    let mut memory = Box::new(TlsMemory::<Crypto, SOCKETS, 16, 8, 8>::NEW);
    let mut sockets = Box::new(Sockets::<Plain<'_>, Echo, SOCKETS>::new());
    let mut buffer = vec![0; 16_384];
    let crypto = Crypto::new(Machine::new(1));
    let layer = Tls::new(Linux::new().unwrap(), crypto, config, &mut *memory);
    let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
    let mut state = begin(&mut the_loop);
    while each(&mut the_loop, echo, &mut state) {
        let now = the_loop.platform().now();
        let until = now.saturating_add(Duration::from_millis(5));
        the_loop.poll(echo, Some(until)).unwrap();
    }
}

/// Returns the median of how much longer a handshake and an echo take with the second server than
/// with the first, asked in turns.
fn compare(config: &Config<'_>, servers: [SocketAddr; 2]) -> f64 {
    let mut echo = Echo::new(4);
    let mut times = Vec::new();
    let connect = |the_loop: &mut Loop<'_, Plain<'_>, Echo>, nth: usize| {
        // In both orders, so that what gets slower or faster meanwhile favours neither.
        let at = servers[(nth + nth / 2) % 2];
        let to = Endpoint::tls(at, Some("localhost"));
        the_loop.net().connect(to, Part::Ask).unwrap();
        Instant::now()
    };
    run_plain(
        config,
        &mut echo,
        |the_loop| connect(the_loop, 0),
        |the_loop, echo, start| {
            assert_eq!(echo.failed, []);
            if echo.echoed == times.len() + 1 {
                times.push(start.elapsed().as_secs_f64());
                *start = connect(the_loop, times.len());
            }
            times.len() < 2 * PAIRS
        },
    );
    let (pairs, _) = times.as_chunks::<2>();
    let mut ratios: Vec<_> = pairs
        .iter()
        .enumerate()
        .map(|(nth, [first, second])| match nth % 2 {
            0 => second / first,
            _ => first / second,
        })
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[PAIRS / 2]
}

/// A server that asks for certificates, beside one that has nothing else to do: clients that show
/// chains of 3 KB which take as long to refuse as may be do not hold up the honest.
#[test]
fn twenty_a_second_hold_up_nobody() {
    let (server_root, client_root) = (Authority::new(Kind::P384), Authority::new(Kind::P384));
    let (server_roots, client_roots) = (server_root.anchors(), client_root.anchors());
    let (server, good) = (under(&server_root, 1), under(&client_root, 1));
    let (server_slices, slices) = (server.slices(), good.slices());
    let mut forged = slices[1].to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let lie = [slices[0], &forged, &forged, &forged, &forged, &forged];
    let policy = ClientAuth::Required(&client_roots);
    let identities = [Identity::new(&server_slices, server.signer.as_ref()).client_auth(policy)];
    let serves = ServerConfig::new(&identities);
    let serves = Config::new(serves, ClientConfig::new(&[]));
    let honest = Identity::new(&slices, good.signer.as_ref());
    let liar = Identity::new(&lie, good.signer.as_ref());
    let clients = [&honest, &liar].map(|own| {
        Config::new(
            ServerConfig::new(&[]),
            ClientConfig::new(&server_roots).identity(own),
        )
    });
    let stops = &AtomicBool::new(false);
    let runs = |_: &mut Loop<'_, Plain<'_>, Echo>| !stops.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let _stops = StopsAtLast(stops);
        let servers = [0, 1].map(|_| {
            let (tell, told) = mpsc::channel();
            let serves = &serves;
            scope.spawn(move || {
                let begin = |the_loop: &mut Loop<'_, Plain<'_>, Echo>| {
                    let any = Endpoint::tls(([127, 0, 0, 1], 0).into(), None);
                    let listener = the_loop.net().listen(any, Part::Echo).unwrap();
                    tell.send(the_loop.net().listening_addr(listener).unwrap())
                        .unwrap();
                };
                let each = |the_loop: &mut Loop<'_, Plain<'_>, Echo>, _: &mut Echo, (): &mut ()| {
                    runs(the_loop)
                };
                run_plain(serves, &mut Echo::new(0), begin, each);
            });
            told.recv().unwrap()
        });
        let lies = &clients[1];
        scope.spawn(move || {
            let mut echo = Echo::new(4);
            let begin = |_: &mut Loop<'_, Plain<'_>, Echo>| Instant::now();
            run_plain(lies, &mut echo, begin, |the_loop, _, next| {
                if Instant::now() >= *next {
                    let to = Endpoint::tls(servers[1], Some("localhost"));
                    the_loop.net().connect(to, Part::Wait).unwrap();
                    *next += EVERY;
                }
                runs(the_loop)
            });
            let left = echo.opened - echo.closed.len();
            assert!(echo.opened > 5 && left <= 2, "they are refused");
        });
        std::thread::sleep(10 * EVERY);
        // On a machine that has other work too, a whole round may be off.
        let mut rounds = Vec::new();
        while rounds.len() < 3 && !rounds.last().is_some_and(|ratio| *ratio <= 2.0) {
            rounds.push(compare(&clients[0], servers));
        }
        println!("with attackers, of without: {rounds:.2?}");
        assert!(*rounds.last().unwrap() <= 2.0, "{rounds:.2?}");
    });
}
