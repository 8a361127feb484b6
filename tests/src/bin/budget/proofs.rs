//! What the linker proves.

use std::io;

use crate::programs::{command, root, target_dir};
use crate::report::Report;

/// The function that nobody defines.
const PANIC: &str = "a_panic_is_reachable";

/// Links a program that makes every call of the core on a platform that answers anything, and one
/// that makes those of TLS on cryptography that does.
pub fn measure(report: &mut Report) -> io::Result<()> {
    prove(report, "panics or allocators reachable in core", "")?;
    prove(report, "… in TLS, beside the cryptography", "tls")
}

fn prove(report: &mut Report, figure: &'static str, features: &str) -> io::Result<()> {
    if links(&format!("{features},injected-panic"))? {
        return Err(io::Error::other(
            "a injected panic links: the proof proves nothing",
        ));
    }
    let how = "link of tests/probe, which a injected panic breaks";
    let panics = if links(features)? { 0.0 } else { 1.0 };
    report.bounded(figure, panics, 0.0, "", how);
    Ok(())
}

/// Whether the probe links; an error when it fails for another reason than a panic.
fn links(features: &str) -> io::Result<bool> {
    let output = command(&target_dir()?.join("probe"))
        .current_dir(root().join("tests/probe"))
        .env("RUSTFLAGS", "-C link-args=-nostartfiles -C link-arg=-lc")
        .args(["build", "--release", "--target", "x86_64-unknown-linux-gnu"])
        .args(["--features", features])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || text.contains(PANIC) {
        return Ok(output.status.success());
    }
    Err(io::Error::other(format!(
        "the probe does not build:\n{text}"
    )))
}
