//! Certificates and keys from files: what can be used, and the words for what cannot.
#![cfg(all(feature = "std", feature = "tls-small"))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use usockets::tls::{IdentityError, KeyError, RustCrypto, Scheme, TrustAnchor};
use usockets_linux::{KeyFileReason, KeyFiles, LinuxMachine};

/// A directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("usockets-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// A certificate that signs itself, and its key.
fn made(params: &CertificateParams) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn check(certificates: &str, key: &str, roots: &[TrustAnchor<'_>]) -> Result<(), IdentityError> {
    let files = KeyFiles::parse(certificates.as_bytes(), key.as_bytes()).unwrap();
    let chain = files.chain();
    let names = files.names(&chain);
    let crypto = RustCrypto::new(LinuxMachine::new());
    files.identity(&chain).names(&names).check(&crypto, roots)
}

fn reason(certificates: &str, key: &str) -> KeyFileReason {
    match KeyFiles::parse(certificates.as_bytes(), key.as_bytes()) {
        Ok(_) => panic!("it can be used"),
        Err(reason) => reason,
    }
}

/// Returns what `openssl` writes, or says that the test was skipped. In CI it has to be there.
fn openssl(arguments: &[&str], input: &str) -> Option<String> {
    use std::io::Write as _;
    let child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if env::var_os("CI").is_none() => {
            println!("SKIPPED: openssl: {error}");
            return None;
        }
        Err(error) => panic!("openssl: {error}"),
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_chain_and_its_key_are_used() {
    let (certificate, key) = made(&params(&["localhost", "*.example.org"]));
    let files = KeyFiles::parse(certificate.as_bytes(), key.as_bytes()).unwrap();
    let chain = files.chain();
    assert_eq!(files.names(&chain), ["localhost", "*.example.org"]);
    assert_eq!(
        files.identity(&chain).signer.scheme(),
        Scheme::ECDSA_P256_SHA256
    );
    assert_eq!(check(&certificate, &key, &[]), Ok(()));
}

#[test]
fn the_file_is_named() {
    let directory = Directory::new("key-files");
    let (certificate, key) = made(&params(&["localhost"]));
    let good = directory.write("good.pem", &certificate);
    let key = directory.write("good.key", &key);
    let empty = directory.write("empty.pem", "");
    assert!(KeyFiles::read(&good, &key).is_ok());
    for (certificate, key, wrong, words) in [
        (
            &directory.0.join("none.pem"),
            &key,
            "none.pem",
            "No such file",
        ),
        (
            &good,
            &directory.0.join("none.key"),
            "none.key",
            "No such file",
        ),
        (&empty, &key, "empty.pem", "no certificate"),
        (&good, &empty, "empty.pem", "no private key"),
        (&key, &key, "good.key", "no certificate"),
        (&good, &good, "good.pem", "no private key"),
    ] {
        let error = KeyFiles::read(certificate, key).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains(words), "{error}");
    }
}

/// What is in the other encoding is told so, and in which it should be.
#[test]
fn der_where_pem_is_wanted_is_told() {
    let key = KeyPair::generate().unwrap();
    let certificate = params(&["localhost"]).self_signed(&key).unwrap();
    for (certificates, key) in [
        (certificate.der().as_ref(), key.serialize_pem().as_bytes()),
        (certificate.pem().as_bytes(), key.serialize_der().as_slice()),
    ] {
        let reason = KeyFiles::parse(certificates, key).unwrap_err();
        assert!(matches!(reason, KeyFileReason::Der), "{reason:?}");
        let words = reason.to_string();
        assert!(words.contains("in DER, and PEM is wanted"), "{words}");
    }
    // Neither is what only begins so.
    let cut = certificate.der().get(..100).unwrap();
    let reason = KeyFiles::parse(cut, cut).unwrap_err();
    assert!(matches!(reason, KeyFileReason::NoCertificate), "{reason:?}");
}

#[test]
fn a_short_rsa_key_is_told() {
    let (certificate, _) = made(&params(&["localhost"]));
    for bits in ["512", "1024", "2047"] {
        for kind in [&["genrsa"][..], &["genrsa", "-traditional"]] {
            let Some(key) = openssl(&[kind, &[bits]].concat(), "") else {
                return;
            };
            let reason = reason(&certificate, &key);
            assert!(
                matches!(reason, KeyFileReason::ShortRsa),
                "{bits}: {reason:?}"
            );
            assert!(reason.to_string().contains("too short"));
        }
    }
}

/// Each way to cut a text is told, and none makes a chain shorter.
#[test]
fn a_text_that_is_cut_is_no_shorter_chain() {
    let (one, key) = made(&params(&["localhost"]));
    let (other, _) = made(&params(&["other"]));
    let both = format!("{one}{other}");
    for len in one.len() + 1..both.trim_end().len() {
        let reason = reason(both.get(..len).unwrap(), &key);
        assert!(matches!(reason, KeyFileReason::Pem(_)), "{len}: {reason}");
    }
    // In front, in each of the two.
    for start in 1..=other.find("-----END").unwrap() {
        let rest = other.get(start..).unwrap();
        for text in [format!("{rest}{one}"), format!("{one}{rest}")] {
            let reason = reason(&text, &key);
            assert!(matches!(reason, KeyFileReason::Pem(_)), "{start}: {reason}");
        }
    }
    let mark = format!("\u{feff}{both}");
    for broken in [
        both.replace("-----END", "?\n-----END"),
        both.replace("-----BEGIN", "----BEGIN"),
        mark,
    ] {
        assert!(matches!(reason(&broken, &key), KeyFileReason::Pem(_)));
    }
    // What is around and between is left alone.
    let around = format!("A text.\n-----\n{one}\n--\n{other}\nThe end.\n");
    let files = KeyFiles::parse(around.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(files.chain().len(), 2);
}

#[test]
fn another_key_is_told() {
    let (certificate, _) = made(&params(&["localhost"]));
    let (_, key) = made(&params(&["localhost"]));
    assert_eq!(check(&certificate, &key, &[]), Err(IdentityError::OtherKey));
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let checked = check(&certificate, &key.serialize_pem(), &[]);
    assert_eq!(checked, Err(IdentityError::OtherKey));
}

/// A document with the number of one key and the public key of another: aws-lc tells, the core goes
/// by the number. Nobody takes it for the other's.
#[test]
fn a_public_key_of_another_is_told() {
    let (certificate, key) = made(&params(&["localhost"]));
    let (other, other_key) = made(&params(&["localhost"]));
    // The point is behind 73 bytes, the last of which is zero in both.
    let at = "-----BEGIN PRIVATE KEY-----\n".len() + 72 / 3 * 4 + 1;
    let mixed = format!("{}{}", key.split_at(at).0, other_key.split_at(at).1);
    assert!(mixed != key && mixed != other_key);
    #[cfg(feature = "aws-lc-rs")]
    for certificate in [certificate, other] {
        let reason = reason(&certificate, &mixed);
        let is_told = matches!(reason, KeyFileReason::Key(KeyError::Malformed));
        assert!(is_told, "{reason}");
    }
    #[cfg(not(feature = "aws-lc-rs"))]
    for (certificate, checked) in [(certificate, Ok(())), (other, Err(IdentityError::OtherKey))] {
        assert_eq!(check(&certificate, &mixed, &[]), checked);
    }
}

#[test]
fn times_are_told() {
    let mut old = params(&["localhost"]);
    old.not_before = rcgen::date_time_ymd(2001, 1, 1);
    old.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let (certificate, key) = made(&old);
    assert_eq!(
        check(&certificate, &key, &[]),
        Err(IdentityError::Expired(0))
    );
    let mut early = params(&["localhost"]);
    early.not_before = rcgen::date_time_ymd(3001, 1, 1);
    early.not_after = rcgen::date_time_ymd(3002, 1, 1);
    let (certificate, key) = made(&early);
    assert_eq!(
        check(&certificate, &key, &[]),
        Err(IdentityError::NotYetValid(0))
    );
}

/// A root, an intermediate authority and a certificate.
#[test]
fn a_missing_intermediate_is_told() {
    let authority = |name: &str| {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params
    };
    let (root_key, middle_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = authority("root").self_signed(&root_key).unwrap();
    let by_root = Issuer::new(authority("root"), root_key);
    let middle = authority("middle")
        .signed_by(&middle_key, &by_root)
        .unwrap();
    let by_middle = Issuer::new(authority("middle"), middle_key);
    let key = KeyPair::generate().unwrap();
    let leaf = params(&["localhost"]).signed_by(&key, &by_middle).unwrap();
    let (leaf, middle, key) = (leaf.pem(), middle.pem(), key.serialize_pem());
    let anchor = webpki::anchor_from_trusted_cert(root.der()).unwrap();
    let roots = [anchor];
    assert_eq!(check(&format!("{leaf}{middle}"), &key, &roots), Ok(()));
    let with_root = format!("{leaf}{middle}{}", root.pem());
    assert_eq!(check(&with_root, &key, &roots), Ok(()));
    assert_eq!(check(&leaf, &key, &roots), Err(IdentityError::NoIssuer));
    // That an authority happens to have the certificate's name makes it no authority's.
    let own_key = KeyPair::generate().unwrap();
    let own = params(&["localhost"]).self_signed(&own_key).unwrap();
    let namesake = [webpki::anchor_from_trusted_cert(own.der()).unwrap()];
    assert_eq!(check(&leaf, &key, &namesake), Err(IdentityError::NoIssuer));
    let own_key = own_key.serialize_pem();
    assert_eq!(check(&own.pem(), &own_key, &namesake), Ok(()));
    // Between two that are there, it shows without authorities.
    let gap = format!("{leaf}{}", root.pem());
    assert_eq!(check(&gap, &key, &[]), Err(IdentityError::Gap(1)));
    let upside_down = format!("{middle}{leaf}");
    assert_eq!(check(&upside_down, &key, &[]), Err(IdentityError::Gap(1)));
}

#[test]
fn encrypted_keys_are_told() {
    let (certificate, key) = made(&params(&["localhost"]));
    let modern = [
        "pkcs8",
        "-topk8",
        "-passout",
        "pass:x",
        "-v2",
        "aes-128-cbc",
    ];
    let old = ["ec", "-aes128", "-passout", "pass:x"];
    for arguments in [&modern[..], &old] {
        let Some(encrypted) = openssl(arguments, &key) else {
            return;
        };
        let reason = reason(&certificate, &encrypted);
        assert!(matches!(reason, KeyFileReason::Encrypted), "{reason}");
    }
}

#[test]
fn keys_in_sec1_are_used() {
    let (certificate, key) = made(&params(&["localhost"]));
    if let Some(sec1) = openssl(&["ec"], &key) {
        assert!(sec1.contains("BEGIN EC PRIVATE KEY"));
        assert_eq!(check(&certificate, &sec1, &[]), Ok(()));
    }
}

/// Curves whose numbers are as long as those of P-256, in SEC 1 and PKCS #8: nothing is signed with
/// the number on another curve.
#[test]
fn keys_of_another_curve_are_told() {
    let (certificate, _) = made(&params(&["localhost"]));
    for curve in ["secp256k1", "brainpoolP256r1"] {
        let Some(sec1) = openssl(&["ecparam", "-name", curve, "-genkey", "-noout"], "") else {
            return;
        };
        assert!(sec1.contains("BEGIN EC PRIVATE KEY"));
        let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], &sec1).unwrap();
        for key in [sec1, pkcs8] {
            let reason = reason(&certificate, &key);
            let is_told = matches!(reason, KeyFileReason::Key(KeyError::OtherKind));
            assert!(is_told, "{curve}: {reason}");
        }
    }
}

/// RSA in PKCS #8 and PKCS #1, P-384 in PKCS #8 and SEC 1.
#[test]
fn other_keys_want_a_feature_or_are_used() {
    let p384 = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-384",
    ];
    for (arguments, older, scheme) in [
        (
            &["genpkey", "-algorithm", "RSA"][..],
            "rsa",
            Scheme::RSA_PSS_RSAE_SHA256,
        ),
        (&p384, "ec", Scheme::ECDSA_P384_SHA384),
    ] {
        let Some(key) = openssl(arguments, "") else {
            return;
        };
        let request = [
            "req",
            "-x509",
            "-subj",
            "/CN=x",
            "-addext",
            "subjectAltName=DNS:localhost",
        ];
        let with_key = [&request[..], &["-days", "2", "-key", "/dev/stdin"]].concat();
        let certificate = openssl(&with_key, &key).unwrap();
        let older = match older {
            "rsa" => openssl(&["rsa", "-traditional"], &key).unwrap(),
            _ => openssl(&["ec"], &key).unwrap(),
        };
        assert_ne!(older, key);
        for key in [key, older] {
            used_with_aws_lc(&certificate, &key, scheme);
        }
    }
}

#[cfg(not(feature = "aws-lc-rs"))]
fn used_with_aws_lc(certificate: &str, key: &str, _: Scheme) {
    let reason = reason(certificate, key);
    assert!(matches!(reason, KeyFileReason::WantsAwsLc), "{reason}");
}

#[cfg(feature = "aws-lc-rs")]
fn used_with_aws_lc(certificate: &str, key: &str, scheme: Scheme) {
    let files = KeyFiles::parse(certificate.as_bytes(), key.as_bytes()).unwrap();
    let chain = files.chain();
    let identity = files.identity(&chain);
    assert_eq!(identity.signer.scheme(), scheme);
    let crypto = usockets_linux::AwsLc::new(LinuxMachine::new());
    assert_eq!(identity.check(&crypto, &[]), Ok(()));
}
