//! Who a server is: by name, by a hook, and what it wants from clients, by name too.

use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, FindIdentity, Identity, IdentityError, ServerConfig,
    Session, TicketKeys,
};
use usockets_tests_tls::ocsp::der;
use usockets_tests_tls::{Authority, Broken, Crypto, Kind, Leaf, Machine, NOW, Ours, settle};

/// Has one identity for every name under `example`.
struct Found<'a> {
    identity: Identity<'a>,
}

impl FindIdentity for Found<'_> {
    fn find(&self, name: &str) -> Option<Identity<'_>> {
        name.ends_with(".example").then_some(self.identity)
    }
}

/// Shakes hands between two of ours, the client with places for tickets; returns both.
fn shake(
    server: ServerConfig<'_>,
    client: ClientConfig<'_>,
    name: &str,
    sessions: Vec<Session>,
) -> (Ours, Ours) {
    let server_config = Config::server(server);
    let client_config = Config::client(client);
    let mut ours = Ours::client_with(1, NOW, &client_config, name, sessions);
    let mut theirs = Ours::server(2);
    settle(&mut ours, &client_config, &mut theirs, &server_config);
    (ours, theirs)
}

fn opens(server: ServerConfig<'_>, client: ClientConfig<'_>, name: &str) {
    let (client, server) = shake(server, client, name, Vec::new());
    assert!(client.connection.is_open() && server.connection.is_open());
}

/// Checks that the server refuses the client with `alert`.
fn refuses(server: ServerConfig<'_>, client: ClientConfig<'_>, name: &str, alert: Alert) {
    let (client, server) = shake(server, client, name, Vec::new());
    assert_eq!(server.broken, Some(Broken::Sent(alert)));
    assert_eq!(client.broken, Some(Broken::Received(alert)));
}

#[test]
fn a_hook_has_the_names_that_the_list_has_not() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let client = ClientConfig::new(&roots);
    let listed = authority.issue(Kind::P256, &["listed.org"]);
    let found = authority.issue(Kind::Ed25519, &["a.example", "b.example"]);
    let (listed_chain, found_chain) = (listed.slices(), found.slices());
    let names = ["listed.org"];
    let identities = [listed.identity(&listed_chain).names(&names)];
    let hook = Found {
        identity: found.identity(&found_chain),
    };
    let server = ServerConfig::new(&identities).missing(&hook);
    for name in ["listed.org", "a.example", "b.example"] {
        opens(server, client, name);
    }
    refuses(server, client, "other.org", Alert::UNRECOGNIZED_NAME);
    // It alone will do.
    let alone = ServerConfig::new(&[]).missing(&hook);
    opens(alone, client, "a.example");
    refuses(alone, client, "listed.org", Alert::UNRECOGNIZED_NAME);
}

/// A client that asks for no name gets what is on the list, and from the hook nothing.
#[test]
fn a_hook_is_not_asked_without_a_name() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let client = ClientConfig::new(&roots);
    let leaf = authority.issue(Kind::P256, &["192.0.2.1"]);
    let chain = leaf.slices();
    let identities = [leaf.identity(&chain)];
    let hook = Found {
        identity: leaf.identity(&chain),
    };
    opens(
        ServerConfig::new(&identities).missing(&hook),
        client,
        "192.0.2.1",
    );
    let alone = ServerConfig::new(&[]).missing(&hook);
    refuses(alone, client, "192.0.2.1", Alert::HANDSHAKE_FAILURE);
}

fn policies<'a>(
    leaf: &'a Leaf,
    chain: &'a [&'a [u8]],
    required: ClientAuth<'a>,
) -> [Identity<'a>; 2] {
    [
        leaf.identity(chain).names(&["open.example"]),
        leaf.identity(chain)
            .names(&["closed.example"])
            .client_auth(required),
    ]
}

/// A client must show a certificate for the name that wants one, and for no other; what it has
/// resumed under one name is good for no other.
#[test]
fn what_is_wanted_of_clients_goes_by_name() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["open.example", "closed.example"]);
    let chain = leaf.slices();
    let identities = policies(&leaf, &chain, ClientAuth::Required(&roots));
    let keys = TicketKeys::new([7; 32], 3_600);
    let server = ServerConfig::new(&identities).tickets(&keys);
    let bare = ClientConfig::new(&roots);
    let own = leaf.identity(&chain);
    opens(server, bare, "open.example");
    refuses(server, bare, "closed.example", Alert::CERTIFICATE_REQUIRED);
    opens(server, bare.identity(&own), "closed.example");
    let places = vec![Session::EMPTY];
    let (client, _) = shake(server, bare, "open.example", places);
    let (client, _) = shake(server, bare, "open.example", client.sessions);
    assert!(client.connection.is_resumed());
    let (client, server) = shake(server, bare, "closed.example", client.sessions);
    assert_eq!(
        server.broken,
        Some(Broken::Sent(Alert::CERTIFICATE_REQUIRED))
    );
    assert!(!client.connection.is_resumed());
}

/// The same through a hook.
#[test]
fn what_a_hook_wants_of_clients_is_kept() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["a.example"]);
    let chain = leaf.slices();
    let hook = Found {
        identity: leaf
            .identity(&chain)
            .client_auth(ClientAuth::Required(&roots)),
    };
    let server = ServerConfig::new(&[]).missing(&hook);
    let bare = ClientConfig::new(&roots);
    refuses(server, bare, "a.example", Alert::CERTIFICATE_REQUIRED);
    let own = leaf.identity(&chain);
    opens(server, bare.identity(&own), "a.example");
}

/// Splits the first element of a document off.
fn split(document: &[u8]) -> (&[u8], &[u8]) {
    let len = match document[1] {
        0x82 => 4 + usize::from(u16::from_be_bytes([document[2], document[3]])),
        0x81 => 3 + usize::from(document[2]),
        len => 2 + usize::from(len),
    };
    document.split_at(len)
}

/// A certificate has three parts, the last a number of whole bytes (RFC 5280, section 4.1), and
/// nothing is behind it. Of those behind the first nobody else looks at that here.
#[test]
fn a_malformed_certificate_is_told() {
    let between = Authority::new(Kind::P256).issue_authority(Kind::P256, true);
    let leaf = between.issue(Kind::P256, &["localhost"]);
    let document = &leaf.chain[1];
    let (signed, rest) = split(&document[4..]);
    let (algorithm, signature) = split(rest);
    let [signed, algorithm, signature] = [signed, algorithm, signature].map(<[u8]>::to_vec);
    let mut unused = signature.clone();
    unused[2] = 1;
    let of = |parts: &[&Vec<u8>]| der(0x30, &parts.iter().copied().cloned().collect::<Vec<_>>());
    for (what, made, is_good) in [
        ("nothing", of(&[&signed, &algorithm, &signature]), true),
        ("bytes behind", [&document[..], &[0]].concat(), false),
        (
            "a fourth part",
            of(&[&signed, &algorithm, &signature, &vec![5, 0]]),
            false,
        ),
        (
            "bits that are not used",
            of(&[&signed, &algorithm, &unused]),
            false,
        ),
    ] {
        let chain = [&leaf.chain[0][..], &made];
        let identity = Identity::new(&chain, leaf.signer.as_ref());
        let checked = identity.check(&Crypto::new(Machine::new(1)), &[]);
        let expected = match is_good {
            true => Ok(()),
            false => Err(IdentityError::Malformed(1)),
        };
        assert_eq!(checked, expected, "{what}");
    }
}
