//! Web servers, proxies and browsers. Each script ends what it started, or leaves it bounded time.

use std::path::Path;
use std::process::Command;

use usockets::tls::{Group, Suite};

use super::peers::{Peer, openssl_groups, suite_name, with};
use super::run::Given;
use super::{LINE, Role};
use crate::Kind;

/// Returns all of them, installed or not.
pub(super) fn programs() -> Vec<Peer> {
    vec![
        Peer {
            name: "nginx",
            is_common: false,
            speaks_http: true,
            version: || with("sh", &["-c", "nginx -v 2>&1"]),
            takes: |case| case.role == Role::Client,
            command: nginx,
        },
        Peer {
            name: "HAProxy",
            is_common: false,
            speaks_http: true,
            version: || with("haproxy", &["-v"]),
            // As a client it lets nobody choose the groups.
            takes: |case| {
                let is_its_group = case.group == Group::X25519 && !case.retries;
                case.role == Role::Client || (is_its_group && !case.has_fragments)
            },
            command: haproxy,
        },
        Peer {
            name: "Chromium",
            is_common: false,
            speaks_http: true,
            version: || with("chromium", &["--version"]),
            // It lets nobody choose anything, and knows no Ed25519.
            takes: |case| {
                let is_its_group = case.group == Group::X25519 && !case.retries;
                let is_its_suite = case.suite == Suite::Aes128GcmSha256;
                let is_simple = case.person.is_none() && !case.has_fragments;
                let is_known = case.kind != Kind::Ed25519;
                case.role == Role::Server && is_its_group && is_its_suite && is_simple && is_known
            },
            command: chromium,
        },
    ]
}

/// Returns the folder of this run's files, for those that a script makes.
fn folder(given: &Given<'_>) -> String {
    let folder = Path::new(given.root).parent();
    folder.expect("a file's folder").display().to_string()
}

fn script(text: &str) -> Command {
    with("sh", &["-ec", text])
}

/// A server; its one process ends when it is killed.
fn nginx(given: &Given<'_>) -> Command {
    let folder = folder(given);
    let [cert, key] = given.own.clone().expect("a server's");
    let case = given.case;
    let record = if case.has_fragments { "512" } else { "16k" };
    let asks = match case.person {
        Some(_) => format!(
            "ssl_verify_client on; ssl_client_certificate {};",
            given.root
        ),
        None => String::new(),
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    script(&format!(
        r#"cat >{folder}/nginx.conf <<'END'
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
{temporary}access_log off;
server {{
listen {addr} ssl;
ssl_certificate {cert};
ssl_certificate_key {key};
ssl_protocols TLSv1.3;
ssl_conf_command Ciphersuites {suite};
ssl_ecdh_curve {group};
ssl_buffer_size {record};
{asks}
location / {{ return 200 "{LINE}\n"; }}
}}
}}
END
exec nginx -e stderr -c {folder}/nginx.conf"#,
        addr = given.addr,
        suite = suite_name(case.suite),
        group = openssl_groups(case).replace("P-256", "prime256v1"),
    ))
}

/// A server that answers itself, or a client that curl asks by a Unix socket.
fn haproxy(given: &Given<'_>) -> Command {
    let folder = folder(given);
    let case = given.case;
    let own = given.own.as_ref().map_or(String::new(), |[cert, key]| {
        format!("cat {cert} {key} >{folder}/own.pem\n")
    });
    let (suite, addr, root) = (suite_name(case.suite), given.addr, given.root);
    let common = format!("ssl ciphersuites {suite} ssl-min-ver TLSv1.3");
    let record = if case.has_fragments { 512 } else { 16_384 };
    let head = format!(
        "{own}cat >{folder}/haproxy.cfg <<'END'
global
tune.ssl.maxrecord {record}
defaults
mode http
timeout client 10s
timeout server 10s
timeout connect 10s
"
    );
    if case.role == Role::Client {
        let asks = match case.person {
            Some(_) => format!("verify required ca-file {root}"),
            None => String::new(),
        };
        let groups = openssl_groups(case);
        return script(&format!(
            "{head}frontend front
bind {addr} {common} crt {folder}/own.pem curves {groups} {asks}
http-request return status 200 content-type text/plain string '{LINE}'
END
exec timeout 60 haproxy -q -db -f {folder}/haproxy.cfg"
        ));
    }
    let shows = match case.person {
        Some(_) => format!("crt {folder}/own.pem"),
        None => String::new(),
    };
    script(&format!(
        "{head}frontend front
bind unix@{folder}/front
default_backend back
backend back
server one {addr} {common} verify required ca-file {root} sni str(localhost) {shows}
END
rm -f {folder}/front
timeout 60 haproxy -q -db -f {folder}/haproxy.cfg &
proxy=$!
said=$(curl -sS --retry 50 --retry-delay 0 --retry-connrefused --retry-all-errors \
    --max-time 15 --unix-socket {folder}/front http://localhost/) || true
kill $proxy
wait $proxy || true
echo \"$said\""
    ))
}

/// A browser with a home of its own, where the authority is trusted.
fn chromium(given: &Given<'_>) -> Command {
    let folder = folder(given);
    script(&format!(
        "export HOME={folder}/home
if [ ! -d $HOME ]; then
    mkdir -p $HOME/.pki/nssdb
    certutil -d sql:$HOME/.pki/nssdb -N --empty-password >&2
    certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n root -i {root} >&2
fi
timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir=$HOME/data \
    --dump-dom https://localhost:{port}/ | tr '<>' '\\n\\n'",
        root = given.root,
        port = given.addr.port(),
    ))
}
