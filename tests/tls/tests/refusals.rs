//! Who is refused, and with which alert.

use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, date_time_ymd};
use usockets::tls::{
    Alert, CertificateError, ClientAuth, ClientConfig, Config, Identity, ServerConfig, TrustAnchor,
};
use usockets_tests_tls::{Authority, Broken, Kind, Leaf, Ours, Theirs, settle};

/// Shakes hands between two of ours; returns them.
fn shake(server: ServerConfig<'_>, client: ClientConfig<'_>, name: &str) -> (Ours, Ours) {
    let server_config = Config::server(server);
    let client_config = Config::client(client);
    let mut ours = Ours::client(1, &client_config, name);
    let mut theirs = Ours::server(2);
    settle(&mut ours, &client_config, &mut theirs, &server_config);
    (ours, theirs)
}

/// Checks that a client refuses the server's certificate with `alert`, which the server learns.
fn refused(leaf: &Leaf, roots: &[TrustAnchor<'_>], name: &str, alert: Alert) {
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let (client, server) = shake(
        ServerConfig::new(&identities),
        ClientConfig::new(roots),
        name,
    );
    assert_eq!(client.broken, Some(Broken::Sent(alert)));
    assert_eq!(server.broken, Some(Broken::Received(alert)));
    assert_eq!(client.opened + server.opened, 0);
}

fn accepted(leaf: &Leaf, roots: &[TrustAnchor<'_>], name: &str) {
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let (client, server) = shake(
        ServerConfig::new(&identities),
        ClientConfig::new(roots),
        name,
    );
    assert!(client.connection.is_open() && server.connection.is_open());
}

/// A certificate for another name is refused (W28).
#[test]
fn names() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(
        Kind::P256,
        &["a.example", "*.b.example", "192.0.2.1", "2001:db8::1"],
    );
    for name in [
        "a.example",
        "A.EXAMPLE",
        "x.b.example",
        "192.0.2.1",
        "2001:db8::1",
    ] {
        accepted(&leaf, &roots, name);
    }
    for name in [
        "b.example",
        "x.y.b.example",
        "c.example",
        "192.0.2.2",
        "a.example.org",
    ] {
        refused(&leaf, &roots, name, Alert::CERTIFICATE_UNKNOWN);
    }
}

#[test]
fn validity() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let expired = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.not_after = date_time_ymd(2027, 1, 14);
    });
    refused(&expired, &roots, "localhost", Alert::CERTIFICATE_EXPIRED);
    let early = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.not_before = date_time_ymd(2027, 1, 16);
    });
    refused(&early, &roots, "localhost", Alert::CERTIFICATE_EXPIRED);
    let good = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.not_before = date_time_ymd(2027, 1, 14);
        params.not_after = date_time_ymd(2027, 1, 16);
    });
    accepted(&good, &roots, "localhost");
}

#[test]
fn issuers() {
    let authority = Authority::new(Kind::P256);
    let other = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let stranger = other.issue(Kind::P256, &["localhost"]);
    refused(&stranger, &roots, "localhost", Alert::UNKNOWN_CA);
    accepted(&stranger, &other.anchors(), "localhost");

    let between = authority.issue_authority(Kind::P384, true);
    let leaf = between.issue(Kind::Ed25519, &["localhost"]);
    accepted(&leaf, &roots, "localhost");
    // The chain without its middle.
    let alone = Leaf {
        chain: leaf.chain[..1].to_vec(),
        ..leaf
    };
    refused(&alone, &roots, "localhost", Alert::UNKNOWN_CA);

    // One who may not issue did.
    let impostor = authority.issue_authority(Kind::P256, false);
    let forged = impostor.issue(Kind::P256, &["localhost"]);
    let slices = forged.slices();
    let identities = [forged.identity(&slices)];
    let (client, server) = shake(
        ServerConfig::new(&identities),
        ClientConfig::new(&roots),
        "localhost",
    );
    assert!(matches!(client.broken, Some(Broken::Sent(_))));
    assert!(matches!(server.broken, Some(Broken::Received(_))));
    let error = client.connection.certificate_error();
    assert_eq!(error, Some(CertificateError::NotAnAuthority));
}

#[test]
fn usage() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let for_clients = authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    refused(
        &for_clients,
        &roots,
        "localhost",
        Alert::UNSUPPORTED_CERTIFICATE,
    );
}

#[test]
fn another_key_than_the_certificates() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let thief = authority.issue(Kind::P256, &["thief"]);
    let slices = leaf.slices();
    let stolen = [thief.identity(&slices)];
    let (client, _) = shake(
        ServerConfig::new(&stolen),
        ClientConfig::new(&roots),
        "localhost",
    );
    assert_eq!(client.broken, Some(Broken::Sent(Alert::DECRYPT_ERROR)));
    // A key of another kind.
    let thief = authority.issue(Kind::Ed25519, &["thief"]);
    let stolen = [thief.identity(&slices)];
    let (client, _) = shake(
        ServerConfig::new(&stolen),
        ClientConfig::new(&roots),
        "localhost",
    );
    assert_eq!(client.broken, Some(Broken::Sent(Alert::ILLEGAL_PARAMETER)));
}

/// Whether a client must show a certificate is decided per name, and enforced (W28).
#[test]
fn clients_by_policy_and_name() {
    let authority = Authority::new(Kind::P256);
    let other = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(
        Kind::P256,
        &["open.example", "asks.example", "needs.example"],
    );
    let slices = leaf.slices();
    let identities = [
        leaf.identity(&slices).names(&["open.example"]),
        leaf.identity(&slices)
            .names(&["asks.example"])
            .client_auth(ClientAuth::Requested(&roots)),
        leaf.identity(&slices)
            .names(&["*.nothing", "NEEDS.example"])
            .client_auth(ClientAuth::Required(&roots)),
    ];
    let good = authority.issue(Kind::Ed25519, &["person"]);
    let stranger = other.issue(Kind::Ed25519, &["person"]);
    let only_servers = authority.issue_with(Kind::P256, &["person"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let good_slices = good.slices();
    let good = good.identity(&good_slices);
    let stranger_slices = stranger.slices();
    let stranger = stranger.identity(&stranger_slices);
    let server_slices = only_servers.slices();
    let only_servers = only_servers.identity(&server_slices);
    let try_it = |name: &str, identity: Option<&Identity<'_>>| {
        let mut client = ClientConfig::new(&roots);
        if let Some(identity) = identity {
            client = client.identity(identity);
        }
        let (client, server) = shake(ServerConfig::new(&identities), client, name);
        if server.broken.is_none() {
            assert!(client.connection.is_open() && server.connection.is_open());
        } else {
            assert_eq!(server.opened, 0);
            // The client was open before the server refused, and learns of it.
            assert!(matches!(client.broken, Some(Broken::Received(_))));
        }
        server.broken
    };
    for identity in [None, Some(&good), Some(&stranger)] {
        assert_eq!(try_it("open.example", identity), None);
    }
    assert_eq!(try_it("asks.example", None), None);
    assert_eq!(try_it("asks.example", Some(&good)), None);
    let unknown = Some(Broken::Sent(Alert::UNKNOWN_CA));
    assert_eq!(try_it("asks.example", Some(&stranger)), unknown);
    assert_eq!(try_it("needs.example", Some(&stranger)), unknown);
    assert_eq!(try_it("needs.example", Some(&good)), None);
    let required = Some(Broken::Sent(Alert::CERTIFICATE_REQUIRED));
    assert_eq!(try_it("needs.example", None), required);
    let unsupported = Some(Broken::Sent(Alert::UNSUPPORTED_CERTIFICATE));
    assert_eq!(try_it("needs.example", Some(&only_servers)), unsupported);
}

/// A name chooses the certificate, however its letters are written (W28).
#[test]
fn names_choose_the_certificate() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let one = authority.issue(Kind::P256, &["one.example"]);
    let many = authority.issue(Kind::P256, &["*.many.example"]);
    let (one_slices, many_slices) = (one.slices(), many.slices());
    let identities = [
        one.identity(&one_slices).names(&["One.Example"]),
        many.identity(&many_slices).names(&["*.many.example"]),
    ];
    let server = ServerConfig::new(&identities);
    for name in ["one.example", "x.many.example"] {
        let (client, _) = shake(server, ClientConfig::new(&roots), name);
        assert!(client.connection.is_open(), "{name}");
    }
    // The first one stands in, and the client sees that it is not who it wants.
    let (client, _) = shake(server, ClientConfig::new(&roots), "two.example");
    assert_eq!(
        client.broken,
        Some(Broken::Sent(Alert::CERTIFICATE_UNKNOWN))
    );
    let strict = server.known_names_only(true);
    for name in [
        "two.example",
        "many.example",
        "x.y.many.example",
        "192.0.2.1",
    ] {
        let (_, server) = shake(strict, ClientConfig::new(&roots), name);
        assert_eq!(server.broken, Some(Broken::Sent(Alert::UNRECOGNIZED_NAME)));
    }
}

#[test]
fn protocols() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let server = ServerConfig::new(&identities);
    let client = ClientConfig::new(&roots);
    type Outcome = Result<(Option<usize>, Option<usize>), Alert>;
    let both = |ours: &[&[u8]], theirs: &[&[u8]]| -> Outcome {
        let (client, server) = shake(
            server.protocols(theirs),
            client.protocols(ours),
            "localhost",
        );
        match server.broken {
            None => Ok((client.connection.protocol(), server.connection.protocol())),
            Some(Broken::Sent(alert)) => Err(alert),
            Some(Broken::Received(alert)) => panic!("{alert}"),
        }
    };
    assert_eq!(both(&[], &[]), Ok((None, None)));
    assert_eq!(both(&[b"a"], &[]), Ok((None, None)));
    assert_eq!(both(&[], &[b"a"]), Ok((None, None)));
    assert_eq!(
        both(&[b"a", b"b"], &[b"c", b"b", b"a"]),
        Ok((Some(1), Some(1)))
    );
    assert_eq!(both(&[b"a"], &[b"b"]), Err(Alert::NO_APPLICATION_PROTOCOL));
}

#[test]
fn older_versions() {
    let authority = Authority::new(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let roots = authority.anchors();
    let config = Config::new(ServerConfig::new(&identities), ClientConfig::new(&roots));
    let old = rustls::ClientConfig::builder_with_provider(Theirs::whole_provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(authority.root_store())
        .with_no_client_auth();
    let mut theirs = Theirs::client(old.into(), "localhost");
    let mut ours = Ours::server(1);
    usockets_tests_tls::pump(&mut ours, &config, &mut theirs, usize::MAX);
    assert_eq!(ours.broken, Some(Broken::Sent(Alert::PROTOCOL_VERSION)));

    let old = rustls::ServerConfig::builder_with_provider(Theirs::whole_provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.rustls_chain(), leaf.rustls_key())
        .unwrap();
    let mut theirs = Theirs::server(old.into());
    let mut ours = Ours::client(1, &config, "localhost");
    usockets_tests_tls::pump(&mut ours, &config, &mut theirs, usize::MAX);
    assert!(matches!(
        ours.broken,
        Some(Broken::Received(Alert::PROTOCOL_VERSION))
    ));
}

/// An extension that nobody here knows is of no account, unless it is critical (RFC 5280, section
/// 4.2).
#[test]
fn unknown_extensions() {
    let authority = Authority::new(Kind::P256);
    let roots = authority.anchors();
    for is_critical in [false, true] {
        let leaf = authority.issue_with(Kind::P256, &["localhost"], |params| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
            unknown.set_criticality(is_critical);
            params.custom_extensions.push(unknown);
        });
        match is_critical {
            false => accepted(&leaf, &roots, "localhost"),
            true => refused(&leaf, &roots, "localhost", Alert::UNSUPPORTED_CERTIFICATE),
        }
    }
}
