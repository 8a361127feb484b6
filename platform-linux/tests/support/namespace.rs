//! Tests that need interfaces of their own: in a network namespace (`network_namespaces(7)`).

use std::env;
use std::process::Command;

/// Tells a test that it runs in a namespace of its own.
const APART: &str = "USOCKETS_TEST_APART";

/// Runs this very test again, in a network namespace that `script` sets up, and there `inside`. A
/// test that cannot be run says that it was skipped and why; under `CI=true` it fails.
pub(crate) fn run_apart(test: &str, script: &str, inside: impl FnOnce()) {
    if env::var_os(APART).is_some() {
        return inside();
    }
    let script = format!("set -e\n{script}\nexec \"$0\" --exact {test} --nocapture");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
        .arg(env::current_exe().unwrap())
        .env(APART, "1")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return skip(&format!("unshare: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if !text.contains("running 1 test") {
        return skip(&format!("no network namespace can be made: {text}{told}"));
    }
    assert!(output.status.success(), "{text}{told}");
}

fn skip(why: &str) {
    let is_ci = env::var("CI").as_deref() == Ok("true");
    assert!(!is_ci, "{why}");
    println!("skipped: {why}");
}
