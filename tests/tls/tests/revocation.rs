//! Certificates that have been revoked: OCSP's word on a server's, shown by the server, and lists
//! for both roles.

use std::sync::{Arc, Mutex};

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, SerialNumber, date_time_ymd};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use usockets::tls::{
    Alert, ClientAuth, ClientConfig, Config, IdentityError, OcspPolicy, RevocationList,
    RevocationListError, RustCrypto, ServerConfig, Session, TicketKeys,
};
use usockets_tests_tls::ocsp::{Response, der, extension};
use usockets_tests_tls::{
    Authority, Broken, Crypto, Kind, Leaf, Machine, NOW, Ours, Theirs, pump, settle,
};

const SERIAL: u8 = 77;

fn numbered(authority: &Authority, serial: u8) -> Leaf {
    authority.issue_with(Kind::P256, &["localhost"], |params| {
        params.serial_number = Some(SerialNumber::from(vec![serial]));
    })
}

/// A responder with a certificate of the authority's.
fn responder(authority: &Authority, purposes: Vec<ExtendedKeyUsagePurpose>) -> Leaf {
    authority.issue_with(Kind::P256, &["ocsp.example"], |params| {
        params.extended_key_usages = purposes;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    })
}

/// Lets a client of ours meet a rustls server that shows `response`.
fn meet(
    authority: &Authority,
    leaf: &Leaf,
    policy: OcspPolicy,
    response: Option<&[u8]>,
) -> (Ours, Theirs) {
    let roots = authority.anchors();
    let config = Config::client(ClientConfig::new(&roots).ocsp(policy));
    let builder = rustls::ServerConfig::builder_with_provider(Theirs::whole_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth();
    let response = response.unwrap_or_default().to_vec();
    let server = builder
        .with_single_cert_with_ocsp(leaf.rustls_chain(), leaf.rustls_key(), response)
        .unwrap();
    let mut theirs = Theirs::server(Arc::new(server));
    let mut ours = Ours::client(1, &config, "localhost");
    pump(&mut ours, &config, &mut theirs, 500);
    (ours, theirs)
}

/// Shows a client a response; it does what it should, unless it has not asked.
fn show(authority: &Authority, leaf: &Leaf, what: &str, response: &[u8], expected: Option<Alert>) {
    for policy in [OcspPolicy::Requested, OcspPolicy::Required] {
        let (ours, theirs) = meet(authority, leaf, policy, Some(response));
        assert_eq!(ours.broken, expected.map(Broken::Sent), "{what}");
        assert_eq!(theirs.is_open(), expected.is_none(), "{what}");
    }
    // Nobody has asked, and nothing is shown.
    let (ours, _) = meet(authority, leaf, OcspPolicy::Off, Some(response));
    assert_eq!(ours.broken, None, "{what}");
}

const BAD_STATUS: Option<Alert> = Some(Alert::BAD_CERTIFICATE_STATUS_RESPONSE);

/// What a response says, and when.
#[test]
fn a_client_checks_what_a_server_shows() {
    let authority = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let good = Response::good(SERIAL);
    let at = |this_update, next_update| Response {
        this_update,
        next_update,
        ..good.clone()
    };
    let unknown = Response {
        state: vec![0x82, 0],
        ..good.clone()
    };
    let revoked = Some(Alert::CERTIFICATE_REVOKED);
    for (what, response, expected) in [
        ("good", good.clone(), None),
        (
            "of today, without an end",
            at("20270114090000Z", None),
            None,
        ),
        ("revoked", Response::revoked(SERIAL), revoked),
        ("unknown", unknown, BAD_STATUS),
        ("of another certificate", Response::good(1), BAD_STATUS),
        ("not yet", at("20270116000000Z", None), BAD_STATUS),
        (
            "over",
            at("20270101000000Z", Some("20270114000000Z")),
            BAD_STATUS,
        ),
        (
            "over, without an end",
            at("20270113000000Z", None),
            BAD_STATUS,
        ),
    ] {
        show(
            &authority,
            &leaf,
            what,
            &response.sign(&authority),
            expected,
        );
    }
    // Cut anywhere, it is not good.
    let response = good.sign(&authority);
    for end in 1..response.len() {
        let (ours, _) = meet(
            &authority,
            &leaf,
            OcspPolicy::Requested,
            Some(&response[..end]),
        );
        assert_eq!(ours.broken, BAD_STATUS.map(Broken::Sent), "{end}");
    }
    // A failure of the responder's, `tryLater`.
    let failure = der(0x30, &[vec![0x0a, 1, 3]]);
    show(&authority, &leaf, "a failure", &failure, BAD_STATUS);
}

/// Of a failure, of another kind or with something behind it, a response counts for nothing.
#[test]
fn a_client_checks_what_a_response_is() {
    let authority = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let response = Response::good(SERIAL).sign(&authority);
    let status = response.windows(3).position(|bytes| bytes == [0x0a, 1, 0]);
    let basic = [0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let kind = response.windows(9).position(|bytes| bytes == basic);
    for (what, at) in [
        ("a failure", status.unwrap() + 2),
        ("a kind", kind.unwrap() + 8),
    ] {
        let mut changed = response.clone();
        changed[at] = 3;
        show(&authority, &leaf, what, &changed, BAD_STATUS);
    }
    let longer = [&response[..], &[0]].concat();
    show(&authority, &leaf, "longer", &longer, BAD_STATUS);
}

/// A response counts from its `thisUpdate` until its `nextUpdate`, to the second.
#[test]
fn a_client_counts_the_seconds_of_a_response() {
    let authority = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let (long_ago, far) = ("20270114000000Z", "20270120000000Z");
    // NOW is 2027-01-15, 08:00.
    for (what, this_update, next_update, expected) in [
        ("in its first second", "20270115080000Z", far, None),
        ("a second ahead", "20270115080001Z", far, BAD_STATUS),
        ("in its last second", long_ago, "20270115080000Z", None),
        ("over for a second", long_ago, "20270115075959Z", BAD_STATUS),
    ] {
        let response = Response {
            this_update,
            next_update: Some(next_update),
            ..Response::good(SERIAL)
        };
        let response = response.sign(&authority);
        show(&authority, &leaf, what, &response, expected);
    }
}

/// None that is critical is known here (RFC 6960, section 4.4).
#[test]
fn a_client_checks_the_extensions_of_a_response() {
    let authority = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let [none, known, critical] = [Vec::new(), extension(false), extension(true)];
    for (what, extensions, expected) in [
        ("some", [known.clone(), known], None),
        (
            "of the certificate",
            [critical.clone(), none.clone()],
            BAD_STATUS,
        ),
        ("of the response", [none, critical], BAD_STATUS),
    ] {
        let response = Response {
            extensions,
            ..Response::good(SERIAL)
        };
        let response = response.sign(&authority);
        show(&authority, &leaf, what, &response, expected);
    }
}

/// Who says it.
#[test]
fn a_client_checks_who_has_signed_it() {
    let authority = Authority::new(Kind::P256);
    let other = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let signing = vec![ExtendedKeyUsagePurpose::OcspSigning];
    let delegate = responder(&authority, signing.clone());
    let no_delegate = responder(&authority, vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let silent = responder(&authority, Vec::new());
    let stranger = responder(&other, signing);
    for (what, by, authority_by, expected) in [
        ("the issuer", None, &authority, None),
        ("its responder", Some(&delegate), &authority, None),
        ("another authority", None, &other, BAD_STATUS),
        (
            "one that is no responder",
            Some(&no_delegate),
            &authority,
            BAD_STATUS,
        ),
        (
            "one that does not say what it is",
            Some(&silent),
            &authority,
            BAD_STATUS,
        ),
        (
            "another's responder",
            Some(&stranger),
            &authority,
            BAD_STATUS,
        ),
    ] {
        let response = Response {
            responder: by,
            ..Response::good(SERIAL)
        };
        show(
            &authority,
            &leaf,
            what,
            &response.sign(authority_by),
            expected,
        );
    }
}

/// Nothing is shown: good enough if it is requested, not if it is required.
#[test]
fn a_client_can_require_it() {
    let authority = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let (ours, _) = meet(&authority, &leaf, OcspPolicy::Requested, None);
    assert!(ours.connection.is_open());
    let (ours, theirs) = meet(&authority, &leaf, OcspPolicy::Required, None);
    let alert = Alert::BAD_CERTIFICATE_STATUS_RESPONSE;
    assert_eq!(ours.broken, Some(Broken::Sent(alert)));
    assert!(theirs.error.is_some());
}

/// A response of an authority between, whose key is in the message.
#[test]
fn the_issuer_may_be_between() {
    let root = Authority::new(Kind::P256);
    let between = root.issue_authority(Kind::P256, true);
    let leaf = numbered(&between, SERIAL);
    let response = Response::good(SERIAL).sign(&between);
    let (ours, _) = meet(&root, &leaf, OcspPolicy::Required, Some(&response));
    assert_eq!(ours.broken, None);
    assert!(ours.connection.is_open());
    // By the root it is not the issuer's word.
    let response = Response::good(SERIAL).sign(&root);
    let (ours, _) = meet(&root, &leaf, OcspPolicy::Required, Some(&response));
    assert!(ours.broken.is_some());
}

/// Keeps the response that it is shown.
#[derive(Debug)]
struct Keeps {
    inner: Arc<WebPkiServerVerifier>,
    shown: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Keeps {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap() = Some(ocsp.to_vec());
        self.inner.verify_server_cert(leaf, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!("TLS 1.3 only");
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let inner = &self.inner;
        inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Returns what OCSP says of its certificate, as a server shows it to a rustls client.
fn shown_to_rustls(authority: &Authority, config: &Config<'_>, name: &str) -> Vec<u8> {
    let roots = Arc::new(authority.root_store());
    let provider = Theirs::whole_provider();
    let inner = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
    let keeps = Arc::new(Keeps {
        inner: inner.build().unwrap(),
        shown: Mutex::new(None),
    });
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(keeps.clone())
        .with_no_client_auth();
    let mut theirs = Theirs::client(Arc::new(client), name);
    let mut ours = Ours::server(1);
    pump(&mut ours, config, &mut theirs, 500);
    let shown = keeps.shown.lock().unwrap().take();
    shown.expect("it has seen a certificate")
}

/// Each identity's own response goes to clients that ask, as it is.
#[test]
fn a_server_shows_each_identity_s() {
    let authority = Authority::new(Kind::P256);
    let (one, two) = (numbered(&authority, 1), numbered(&authority, 2));
    let (first, second) = (one.slices(), two.slices());
    let response = Response::good(1).sign(&authority);
    let identities = [
        one.identity(&first).names(&["localhost"]).ocsp(&response),
        two.identity(&second).names(&["other"]),
    ];
    let config = Config::server(ServerConfig::new(&identities));
    for (name, shown) in [("localhost", &response[..]), ("other", &[])] {
        assert_eq!(shown_to_rustls(&authority, &config, name), shown);
    }
    // With ours, and to ours that does not ask.
    let roots = authority.anchors();
    for policy in [OcspPolicy::Off, OcspPolicy::Required] {
        let client_config = Config::client(ClientConfig::new(&roots).ocsp(policy));
        let mut client = Ours::client(1, &client_config, "localhost");
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, &config);
        assert_eq!((client.broken, client.opened), (None, 1));
    }
    // One that is too long is found when the identity is checked.
    let long = vec![0; usockets::tls::MESSAGE_MAX];
    let identity = one.identity(&first).ocsp(&long);
    let checked = identity.check(&Crypto::new(Machine::new(1)), &[]);
    assert_eq!(checked, Err(IdentityError::TooLong));
}

/// A response that a client would have to refuse is not shown, so that clients which can do without
/// are served; one that says the certificate is revoked is not hidden.
#[test]
fn a_server_shows_none_that_does_not_count() {
    let authority = Authority::new(Kind::P256);
    let leaf = numbered(&authority, SERIAL);
    let slices = leaf.slices();
    let at = |this_update, next_update| {
        let good = Response::good(SERIAL);
        let response = Response {
            this_update,
            next_update,
            ..good
        };
        response.sign(&authority)
    };
    let good = Response::good(SERIAL).sign(&authority);
    // NOW is 2027-01-15, 08:00.
    for (what, response, is_shown) in [
        ("good", good.clone(), true),
        ("revoked", Response::revoked(SERIAL).sign(&authority), true),
        (
            "in its last second",
            at("20270114000000Z", Some("20270115080000Z")),
            true,
        ),
        (
            "over for a second",
            at("20270114000000Z", Some("20270115075959Z")),
            false,
        ),
        (
            "in its first second",
            at("20270115080000Z", Some("20270120000000Z")),
            true,
        ),
        (
            "a second ahead",
            at("20270115080001Z", Some("20270120000000Z")),
            false,
        ),
        ("without an end", at("20270114080000Z", None), true),
        (
            "without an end, a day old",
            at("20270114075959Z", None),
            false,
        ),
        (
            "of another certificate",
            Response::good(1).sign(&authority),
            false,
        ),
        ("cut", good[..good.len() - 1].to_vec(), false),
    ] {
        let identities = [leaf.identity(&slices).ocsp(&response)];
        let config = Config::server(ServerConfig::new(&identities));
        let shown = shown_to_rustls(&authority, &config, "localhost");
        let expected: &[u8] = if is_shown { &response } else { &[] };
        assert_eq!(shown, expected, "{what}");
        if is_shown {
            continue;
        }
        ask_in_vain(&authority, &config, what);
    }
}

/// Clients of ours ask a server that shows nothing: one can do without.
fn ask_in_vain(authority: &Authority, config: &Config<'_>, what: &str) {
    let roots = authority.anchors();
    for (policy, broken) in [
        (OcspPolicy::Requested, None),
        (OcspPolicy::Required, BAD_STATUS.map(Broken::Sent)),
    ] {
        let client_config = Config::client(ClientConfig::new(&roots).ocsp(policy));
        let mut client = Ours::client(1, &client_config, "localhost");
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, config);
        assert_eq!(client.broken, broken, "{what}");
    }
}

/// A client whose certificate is on its issuer's list is refused, others are not; and a list that
/// is out of date refuses all of them.
#[test]
fn lists_of_clients() {
    let authority = Authority::with_lists(Kind::P256);
    let other = Authority::with_lists(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let roots = [authority.anchors(), other.anchors()].concat();
    let [root, other_root] = &roots[..] else {
        panic!("two of them");
    };
    let list = authority.issue_list(&[1, 2, SERIAL, 3], |_| {});
    let old = authority.issue_list(&[SERIAL], |params| {
        params.next_update = date_time_ymd(2_027, 1, 15);
    });
    let others = other.issue_list(&[5, SERIAL], |_| {});
    let none = other.issue_list(&[], |_| {});
    let read = |list| RevocationList::read::<Crypto>(list, root).unwrap();
    let read_other = |list| RevocationList::read::<Crypto>(list, other_root).unwrap();
    let revoked = Some(Broken::Sent(Alert::CERTIFICATE_REVOKED));
    let stale = Some(Broken::Sent(Alert::CERTIFICATE_UNKNOWN));
    for (lists, serial, expected) in [
        (&[][..], SERIAL, None),
        (&[read(&list)], SERIAL, revoked),
        (&[read(&list)], 4, None),
        (&[read_other(&others), read_other(&none)], SERIAL, None),
        (&[read_other(&others), read(&list)], SERIAL, revoked),
        (&[read(&old)], SERIAL, revoked),
        (&[read(&old)], 4, stale),
    ] {
        let person = numbered(&authority, serial);
        let person_slices = person.slices();
        let identity = person.identity(&person_slices);
        let policy = ClientAuth::Required(&roots);
        let identities = [leaf.identity(&slices).client_auth(policy).revoked(lists)];
        let server_config = Config::server(ServerConfig::new(&identities));
        let client = ClientConfig::new(&roots).identity(&identity);
        let client_config = Config::client(client);
        let mut client = Ours::client(1, &client_config, "localhost");
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, &server_config);
        assert_eq!(server.broken, expected, "{serial}");
        assert_eq!(server.opened, usize::from(expected.is_none()));
    }
}

/// A client that was let in before is refused once it is on the list, tickets or not.
#[test]
fn a_client_that_is_revoked_later() {
    let authority = Authority::with_lists(Kind::P256);
    let leaf = authority.issue(Kind::P256, &["localhost"]);
    let slices = leaf.slices();
    let roots = authority.anchors();
    let documents = [&[1][..], &[1, SERIAL]].map(|serials| authority.issue_list(serials, |_| {}));
    let lists = documents
        .each_ref()
        .map(|list| RevocationList::read::<Crypto>(list, &roots[0]).unwrap());
    let keys = TicketKeys::new([1; 32], 1_000);
    let person = numbered(&authority, SERIAL);
    let person_slices = person.slices();
    let identity = person.identity(&person_slices);
    let client_config = Config::client(ClientConfig::new(&roots).identity(&identity));
    let mut sessions = vec![Session::EMPTY];
    for (list, expected) in [
        (0, None),
        (0, None),
        (1, Some(Broken::Sent(Alert::CERTIFICATE_REVOKED))),
    ] {
        let policy = ClientAuth::Required(&roots);
        let revoked = &lists[list..=list];
        let identities = [leaf.identity(&slices).client_auth(policy).revoked(revoked)];
        let server_config = Config::server(ServerConfig::new(&identities).tickets(&keys));
        let mut client = Ours::client_with(1, NOW, &client_config, "localhost", sessions);
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, &server_config);
        assert_eq!(server.broken, expected);
        assert!(!server.connection.is_resumed());
        sessions = client.sessions;
    }
}

/// A server's certificate, and that of an authority between, on lists of a client's.
#[test]
fn lists_of_servers() {
    let root = Authority::with_lists(Kind::P256);
    let roots = root.anchors();
    let leaf = numbered(&root, SERIAL);
    let slices = leaf.slices();
    let identities = [leaf.identity(&slices)];
    let server_config = Config::server(ServerConfig::new(&identities));
    for (revoked, expected) in [
        (
            &[SERIAL][..],
            Some(Broken::Sent(Alert::CERTIFICATE_REVOKED)),
        ),
        (&[8], None),
    ] {
        let list = root.issue_list(revoked, |_| {});
        let lists = [RevocationList::read::<Crypto>(&list, &roots[0]).unwrap()];
        let client_config = Config::client(ClientConfig::new(&roots).revoked(&lists));
        let mut client = Ours::client(1, &client_config, "localhost");
        let mut server = Ours::server(2);
        settle(&mut client, &client_config, &mut server, &server_config);
        assert_eq!(client.broken, expected);
    }
}

/// What is wrong with a list shows when it is loaded.
#[test]
fn lists_that_are_none() {
    let authority = Authority::with_lists(Kind::P256);
    let other = Authority::with_lists(Kind::P256);
    let roots = [authority.anchors(), other.anchors()].concat();
    let [root, other_root] = &roots[..] else {
        panic!("two of them");
    };
    let list = authority.issue_list(&[1, 2, 3], |_| {});
    assert!(RevocationList::read::<Crypto>(&list, root).is_ok());
    let error = |list: &[u8]| RevocationList::read::<Crypto>(list, root).unwrap_err();
    let wrong = RevocationList::read::<Crypto>(&list, other_root);
    assert_eq!(wrong.unwrap_err(), RevocationListError::OtherIssuer);
    // Cryptography that verifies nothing has verified no list.
    let wrong = RevocationList::read::<RustCrypto<Machine, false>>(&list, root);
    assert_eq!(wrong.unwrap_err(), RevocationListError::Signature);
    for end in 0..list.len() {
        assert_eq!(error(&list[..end]), RevocationListError::Malformed, "{end}");
    }
    let longer = [&list[..], &[0]].concat();
    assert_eq!(error(&longer), RevocationListError::Malformed);
    // No bit of it may be another.
    for at in 0..list.len() * 8 {
        let mut changed = list.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let _ = error(&changed);
    }
    // The algorithm behind what is signed is the one that is signed (RFC 5280, section 5.1.1.2).
    let algorithm = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
    let places = list.windows(algorithm.len());
    let mut outer = places.enumerate().filter(|(_, place)| *place == algorithm);
    let mut changed = list.clone();
    changed[outer.next_back().unwrap().0 + algorithm.len() - 1] = 3;
    assert_eq!(error(&changed), RevocationListError::Malformed);
    let part = authority.issue_list(&[1], |params| {
        params.issuing_distribution_point = Some(rcgen::CrlIssuingDistributionPoint {
            distribution_point: rcgen::CrlDistributionPoint {
                uris: vec!["http://crl.example/1".to_string()],
            },
            scope: None,
        });
    });
    assert_eq!(error(&part), RevocationListError::Unsupported);
    assert!(
        RevocationListError::Unsupported
            .to_string()
            .contains("kind")
    );
    // Long lists, whose length takes three bytes.
    let many: Vec<u8> = (0..3_000).map(|n: u32| n.to_le_bytes()[0] | 1).collect();
    let long = authority.issue_list(&many, |_| {});
    assert!(long.len() > 65_535);
    assert!(RevocationList::read::<Crypto>(&long, root).is_ok());
}
