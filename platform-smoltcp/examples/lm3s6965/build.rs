//! Tells the linker which layout each image has: `memory.x` in its folder and `device.x`, included
//! by the `link.x` of cortex-m-rt. Makes the identity that the image with TLS has.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed=layout");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-L{here}/layout");
    println!("cargo:rustc-link-arg-bin=http=-L{here}/layout/http");
    if env::var_os("CARGO_FEATURE_DHCP").is_some() {
        println!("cargo:rustc-link-arg-bin=http_dhcp=-L{here}/layout/http_dhcp");
    }
    println!("cargo:rustc-link-arg-bin=https=-L{here}/layout/https");
    if env::var_os("CARGO_FEATURE_TLS").is_some() {
        make_identity();
    }
}

/// Makes a key and a certificate that it signs itself, for tests: a new one for each build folder.
/// `IDENTITY` names a folder to put them in.
fn make_identity() {
    println!("cargo:rerun-if-env-changed=IDENTITY");
    let folder = env::var("IDENTITY").or_else(|_| env::var("OUT_DIR"));
    let folder = folder.unwrap_or_default();
    println!("cargo:rustc-env=IDENTITY={folder}");
    let (key, certificate) = (
        format!("{folder}/key.der"),
        format!("{folder}/certificate.der"),
    );
    if Path::new(&certificate).exists() {
        return;
    }
    let steps = [
        format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out {key}"),
        format!(
            "req -x509 -key {key} -keyform DER -days 3650 -subj /CN=localhost -addext \
             subjectAltName=DNS:localhost,IP:127.0.0.1 -outform DER -out {certificate}"
        ),
        format!("x509 -in {certificate} -inform DER -out {folder}/certificate.pem"),
    ];
    for step in steps {
        let status = Command::new("openssl").args(step.split(' ')).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "openssl {step}"
        );
    }
}
