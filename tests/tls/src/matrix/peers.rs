//! The other implementations: what each supports, and how it is started.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use usockets::tls::{Group, Suite};

use super::run::Given;
use super::{Case, Role};

/// Another implementation.
pub struct Peer {
    pub name: &'static str,
    /// Whether Debian and Rust bring it, so that every run of all checks has it.
    pub is_common: bool,
    /// Whether it wants to be asked for a page, as a server.
    pub(super) speaks_http: bool,
    /// What tells the version, which is in the first line that says anything.
    pub(super) version: fn() -> Command,
    pub(super) takes: fn(&Case) -> bool,
    /// Starts the client when we serve, the server when we ask.
    pub(super) command: fn(&Given<'_>) -> Command,
}

/// Returns those that take any line, installed or not.
pub(super) fn programs() -> Vec<Peer> {
    vec![
        Peer {
            name: "OpenSSL",
            is_common: true,
            speaks_http: false,
            version: || with("openssl", &["version"]),
            takes: |_| true,
            command: openssl,
        },
        Peer {
            name: "GnuTLS",
            is_common: true,
            speaks_http: false,
            version: || with("gnutls-cli", &["--version"]),
            takes: |_| true,
            command: gnutls,
        },
        Peer {
            name: "curl",
            is_common: true,
            speaks_http: false,
            version: || with("curl", &["--version"]),
            takes: |case| case.role == Role::Server && !case.has_fragments,
            command: curl,
        },
        Peer {
            name: "Python ssl",
            is_common: true,
            speaks_http: false,
            version: || with("python3", &["-c", "import ssl; print(ssl.OPENSSL_VERSION)"]),
            // It lets nobody choose the suite, which then is this one, and has one group.
            takes: |case| {
                let is_its_suite = case.suite == Suite::Aes256GcmSha384;
                let may_retry = case.role == Role::Client || !case.retries;
                is_its_suite && may_retry && !case.has_fragments
            },
            command: python,
        },
        Peer {
            name: "tlslite-ng",
            is_common: false,
            speaks_http: false,
            version: || {
                let mut command = Command::new(tlslite_python());
                command.args(["-c", "import tlslite; print(tlslite.__version__)"]);
                command
            },
            takes: |_| true,
            command: tlslite,
        },
        embedded_tls(),
    ]
}

/// The client of the crate, which is built with its feature.
fn embedded_tls() -> Peer {
    Peer {
        name: "embedded-tls",
        is_common: false,
        speaks_http: false,
        version: || {
            let mut command = Command::new(embedded_client());
            command.arg("--version");
            command
        },
        // Its one share is of P-256. Messages in several records and certificates of its own
        // it has not, or not here.
        takes: |case| {
            let is_its_kind = case.group == Group::P256 && !case.retries;
            let is_its_suite = case.suite != Suite::ChaCha20Poly1305Sha256;
            let is_simple = case.person.is_none() && !case.has_fragments;
            case.role == Role::Server && is_its_kind && is_its_suite && is_simple
        },
        command: embedded,
    }
}

impl Peer {
    /// Returns the version; `None` if it is not installed.
    pub fn version(&self) -> Option<String> {
        let output = (self.version)().stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let line = text.lines().find(|line| !line.is_empty())?;
        let short = line.split_once(" (").map_or(line, |(short, _)| short);
        output.status.success().then(|| short.to_string())
    }

    /// Returns the combinations that both sides support.
    pub fn cases(&self, role: Role) -> Vec<Case> {
        let mut cases = Case::all(role);
        // Our client has a share of X25519 in its first hello.
        cases.retain(|case| role == Role::Server || case.retries == (case.group == Group::P256));
        cases.retain(self.takes);
        cases
    }
}

pub(super) fn with(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

pub(super) fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::Aes128GcmSha256 => "TLS_AES_128_GCM_SHA256",
        Suite::Aes256GcmSha384 => "TLS_AES_256_GCM_SHA384",
        Suite::ChaCha20Poly1305Sha256 => "TLS_CHACHA20_POLY1305_SHA256",
    }
}

/// Returns OpenSSL's names of the groups; the first has the share.
pub(super) fn openssl_groups(case: &Case) -> String {
    let name = match case.group {
        Group::X25519 => "X25519",
        _ => "P-256",
    };
    if case.role == Role::Server && case.retries {
        format!("P-521:{name}")
    } else {
        name.to_string()
    }
}

fn openssl(given: &Given<'_>) -> Command {
    let case = given.case;
    let addr = given.addr.to_string();
    let is_client = case.role == Role::Server;
    let mut command = Command::new("openssl");
    if is_client {
        command.args(["s_client", "-quiet", "-connect", &addr]);
        command.args(["-verify_hostname", "localhost", "-servername", "localhost"]);
        command.args(["-CAfile", given.root, "-verify_return_error"]);
    } else {
        command.args(["s_server", "-quiet", "-rev", "-accept", &addr]);
    }
    command.args(["-tls1_3", "-ciphersuites", suite_name(case.suite)]);
    command.args(["-groups", &openssl_groups(case)]);
    if let Some([cert, key]) = &given.own {
        command.args(["-cert", cert, "-key", key, "-cert_chain", cert]);
    }
    if !is_client && case.person.is_some() {
        command.args([
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
            given.root,
        ]);
    }
    if case.has_fragments {
        command.args(["-max_send_frag", "512"]);
        if is_client {
            command.args(["-maxfraglen", "512"]);
        }
    }
    command
}

fn gnutls(given: &Given<'_>) -> Command {
    let case = given.case;
    let cipher = match case.suite {
        Suite::Aes128GcmSha256 => "AES-128-GCM",
        Suite::Aes256GcmSha384 => "AES-256-GCM",
        Suite::ChaCha20Poly1305Sha256 => "CHACHA20-POLY1305",
    };
    let group = match case.group {
        Group::X25519 => "GROUP-X25519",
        _ => "GROUP-SECP256R1",
    };
    let is_client = case.role == Role::Server;
    let first = match is_client && case.retries {
        true => "+GROUP-SECP521R1:",
        false => "",
    };
    let priority =
        format!("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{cipher}:-GROUP-ALL:{first}+{group}");
    let mut command = Command::new(if is_client {
        "gnutls-cli"
    } else {
        "gnutls-serv"
    });
    command.args([
        "-p",
        &given.addr.port().to_string(),
        "--priority",
        &priority,
    ]);
    if let Some([cert, key]) = &given.own {
        command.args(["--x509certfile", cert, "--x509keyfile", key]);
    }
    if is_client {
        command.args(["--x509cafile", given.root, "--single-key-share"]);
        command.args([
            "--verify-hostname",
            "localhost",
            "--sni-hostname",
            "localhost",
        ]);
    } else if case.person.is_some() {
        command.args([
            "--x509cafile",
            given.root,
            "--require-client-cert",
            "--verify-client-cert",
        ]);
        command.arg("--echo");
    } else {
        command.args(["--disable-client-cert", "--echo"]);
    }
    if case.has_fragments {
        command.args(["--recordsize", "512"]);
    }
    if is_client {
        command.arg("127.0.0.1");
    }
    command
}

fn curl(given: &Given<'_>) -> Command {
    let case = given.case;
    let port = given.addr.port();
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "--tlsv1.3",
        "--tls13-ciphers",
        suite_name(case.suite),
    ]);
    command.args(["--curves", &openssl_groups(case), "--cacert", given.root]);
    command.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    if let Some([cert, key]) = &given.own {
        command.args(["--cert", cert, "--key", key]);
    }
    command.arg(format!("https://localhost:{port}/"));
    command
}

fn python(given: &Given<'_>) -> Command {
    let group = match given.case.group {
        Group::X25519 => "X25519",
        _ => "prime256v1",
    };
    let mut command = Command::new("python3");
    command.args(["-c", include_str!("ssl_peer.py")]);
    command
        .args(role_and_port(given))
        .args([given.root, group])
        .args(own(given));
    command
}

fn tlslite(given: &Given<'_>) -> Command {
    let case = given.case;
    let cipher = match case.suite {
        Suite::Aes128GcmSha256 => "aes128gcm",
        Suite::Aes256GcmSha384 => "aes256gcm",
        Suite::ChaCha20Poly1305Sha256 => "chacha20-poly1305",
    };
    let group = match case.group {
        Group::X25519 => "x25519",
        _ => "secp256r1",
    };
    let first = match case.role == Role::Server && case.retries {
        true => "secp521r1",
        false => group,
    };
    let size = if case.has_fragments { "512" } else { "16385" };
    let mut command = Command::new(tlslite_python());
    command.args(["-c", include_str!("tlslite_peer.py")]);
    command
        .args(role_and_port(given))
        .args([cipher, group, first, size])
        .args(own(given));
    command
}

/// Returns what both scripts are told first: the role, the port, whether clients show certificates.
fn role_and_port(given: &Given<'_>) -> [String; 3] {
    let role = match given.case.role {
        Role::Server => "client",
        Role::Client => "server",
    };
    let mutual = if given.case.person.is_some() {
        "mutual"
    } else {
        "one-way"
    };
    [
        role.to_string(),
        given.addr.port().to_string(),
        mutual.to_string(),
    ]
}

fn own(given: &Given<'_>) -> [String; 2] {
    given.own.clone().unwrap_or_default()
}

/// Returns the Python that has tlslite-ng; `tests/TLS.md` tells how to make it.
fn tlslite_python() -> PathBuf {
    std::env::var_os("TLSLITE_PYTHON").map_or_else(
        || {
            PathBuf::from(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../target/tlslite/bin/python"
            ))
        },
        PathBuf::from,
    )
}

fn embedded(given: &Given<'_>) -> Command {
    let bits = match given.case.suite {
        Suite::Aes128GcmSha256 => "128",
        _ => "256",
    };
    let mut command = Command::new(embedded_client());
    command.args([&given.addr.port().to_string(), bits]);
    command
}

/// Returns the program that is built next to this one, with feature `embedded-tls`.
fn embedded_client() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("tls_embedded")
}
