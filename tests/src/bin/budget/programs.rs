//! Builds the programs that are measured.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the built programs are.
pub struct Programs {
    /// As a user builds them.
    pub plain: PathBuf,
    /// The same, able to start under valgrind.
    pub valgrind: PathBuf,
    /// Programs of the platform crate.
    pub examples: PathBuf,
}

/// Builds all of them, in folders of their own, so that nothing else replaces them meanwhile.
pub fn build() -> io::Result<Programs> {
    let base = target_dir()?.join("budget");
    let plain = base.join("plain");
    let tests = ["--package", "usockets-tests"];
    let bins = ["--bin", "plain_echo", "--bin", "scenario"];
    cargo(&plain, &[&["build"], &tests[..], &bins].concat())?;
    let valgrind = base.join("valgrind");
    let counted = [
        "plain_echo",
        "composed_echo",
        "bare_echo",
        "expiries",
        "smoltcp_bench",
        "smoltcp_million",
    ];
    let bins: Vec<_> = counted.iter().flat_map(|bin| ["--bin", bin]).collect();
    let features = ["--features", "valgrind"];
    cargo(
        &valgrind,
        &[&["build"], &tests[..], &bins, &features].concat(),
    )?;
    let linux = ["build", "--package", "usockets-linux", "--example", "echo"];
    cargo(&plain, &linux)?;
    Ok(Programs {
        examples: plain.join("release/examples"),
        plain: plain.join("release"),
        valgrind: valgrind.join("release"),
    })
}

/// Runs `cargo` in release mode on the workspace.
pub fn cargo(target_dir: &Path, arguments: &[&str]) -> io::Result<()> {
    let mut command = command(target_dir);
    command.args(arguments).arg("--release");
    let status = command.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command:?}: {status}")));
    }
    Ok(())
}

/// A `cargo` that works on the workspace, without progress and without a program's input.
pub fn command(target_dir: &Path) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target_dir)
        .env("CARGO_TERM_QUIET", "true")
        .stdin(Stdio::null());
    command
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder that holds `release/budget`.
pub fn target_dir() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own.ancestors().nth(2);
    target
        .map(Path::to_path_buf)
        .ok_or_else(|| io::Error::other("no target folder above this program"))
}

/// Whether a tool can be started.
pub fn installed(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
