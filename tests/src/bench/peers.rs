//! The server programs: which there are, and building them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

/// A library that is measured, by the name of its program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Library {
    /// This one.
    Usockets,
    /// mio, on which most others rest.
    Mio,
    /// tokio, on its current-thread runtime.
    Tokio,
    /// polling, on which smol rests.
    Polling,
    /// libuv, in C.
    Libuv,
}

impl Library {
    /// All of them, this one first.
    pub(crate) const ALL: [Self; 5] = [
        Self::Usockets,
        Self::Mio,
        Self::Tokio,
        Self::Polling,
        Self::Libuv,
    ];

    /// Returns the name, of the library and of its program.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Usockets => "usockets",
            Self::Mio => "mio",
            Self::Tokio => "tokio",
            Self::Polling => "polling",
            Self::Libuv => "libuv",
        }
    }
}

/// The programs that could be built.
#[derive(Debug)]
pub(crate) struct Peers {
    directory: PathBuf,
    libraries: Vec<Library>,
    /// Versions of the libraries, for the record.
    pub(crate) versions: Vec<(String, String)>,
}

impl Peers {
    /// Builds them. libuv is left out, with a line that says so, if it is not installed.
    ///
    /// # Errors
    /// Another does not build.
    pub(crate) fn build() -> Result<Self, Failure> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
        let target = target()?;
        let libuv = libuv_version();
        let mut build = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        build.args(["build", "--release", "--locked", "--manifest-path"]);
        build.arg(&manifest).arg("--target-dir").arg(&target);
        let mut libraries = Library::ALL.to_vec();
        if libuv.is_some() {
            build.args(["--features", "libuv"]);
        } else {
            eprintln!("libuv is left out: `pkg-config --modversion libuv` finds none");
            libraries.retain(|library| *library != Library::Libuv);
        }
        eprintln!("building the servers ({})", manifest.display());
        if !build.stdin(Stdio::null()).status()?.success() {
            return Err("the servers do not build".into());
        }
        let mut versions = locked_versions(&manifest.with_file_name("Cargo.lock"))?;
        versions.extend(libuv.map(|version| ("libuv".into(), version)));
        Ok(Self {
            directory: target.join("release"),
            libraries,
            versions,
        })
    }

    /// Returns the libraries whose program there is.
    pub(crate) fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// Returns where a library's program is.
    pub(crate) fn program(&self, library: Library) -> PathBuf {
        self.directory.join(library.name())
    }
}

/// Beside what this program was built into.
fn target() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).ok_or("this program is nowhere")?;
    Ok(target.join("peers"))
}

fn libuv_version() -> Option<String> {
    let mut ask = Command::new("pkg-config");
    let output = ask.args(["--modversion", "libuv"]).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    let installed = output.status.success() && !version.trim().is_empty();
    installed.then(|| version.trim().to_owned())
}

/// Reads the versions of the libraries from what cargo locked.
fn locked_versions(lock: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = std::fs::read_to_string(lock)?;
    let mut versions = Vec::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(quoted) = line.strip_prefix("name = ") {
            name = quoted.trim_matches('"');
        } else if let Some(quoted) = line.strip_prefix("version = ")
            && Library::ALL.iter().any(|library| library.name() == name)
        {
            versions.push((name.to_owned(), quoted.trim_matches('"').to_owned()));
        }
    }
    Ok(versions)
}
