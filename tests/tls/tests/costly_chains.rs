//! Chains that take long to verify hold up nobody else: a loop verifies few signatures per
//! iteration, whatever its peers show.

use usockets::tls::{
    ClientAuth, ClientConfig, Config, Identity, ServerConfig, Tls, TlsMemory, TrustAnchor,
};
use usockets::{Duration, Endpoint, Loop, Platform as _, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Counting, Echo, Kind, Leaf, Part, verifications};

const SOCKETS: usize = 64;
/// A leaf's, an authority's under a root, and the handshake's: what one honest peer costs.
const HONEST: usize = 3;

type Layer<'s> = Tls<'s, Linux, Counting>;

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
    let config = Config::new(
        ServerConfig::new(&identities),
        ClientConfig::new(server.2).identity(&own),
    );
    let mut memory = Box::new(TlsMemory::<Counting, SOCKETS, 32, 8, 8>::NEW);
    let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
    let mut buffer = vec![0; 16_384];
    let layer = Tls::new(
        Linux::new().unwrap(),
        Counting::new(1),
        &config,
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
