//! Programs under `strace`, and the system calls they made.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Sub;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::peer;

/// A program that runs under `strace`.
pub struct Trace {
    /// `strace` itself; its output is the program's.
    pub child: Child,
    log: PathBuf,
}

impl Trace {
    /// Starts a program. Its calls are logged to a file beside it, named after `figure`.
    pub fn start(program: &Path, figure: &str, arguments: &[String]) -> io::Result<Self> {
        let log = program.with_extension(format!("{figure}.strace"));
        let child = Command::new("strace")
            // It ends, with the program, when it is told to.
            .args(["-I", "2", "-o"])
            .args([&log, program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self { child, log })
    }

    /// The calls so far, once the program has made no further one for a while.
    pub fn settled(&self) -> io::Result<Counts> {
        let mut len = 0;
        let mut same = 0;
        while same < 5 {
            thread::sleep(Duration::from_millis(20));
            let now = fs::metadata(&self.log)?.len();
            same = if now == len { same + 1 } else { 0 };
            len = now;
        }
        Counts::read(&self.log)
    }

    /// All calls, once the program has ended by itself.
    pub fn finish(mut self) -> io::Result<Counts> {
        let status = self.child.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!(
                "{}: {status}",
                self.log.display()
            )));
        }
        Counts::read(&self.log)
    }
}

impl Drop for Trace {
    /// Ends `strace`, which ends the program.
    fn drop(&mut self) {
        peer::end(&mut self.child);
    }
}

/// How often each system call was made.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    calls: BTreeMap<String, u32>,
    /// Calls of `accept4` that found nothing, which are shared by a batch as waits are.
    probes: u32,
}

impl Counts {
    fn read(log: &Path) -> io::Result<Self> {
        let mut counts = Self::default();
        for line in fs::read_to_string(log)?.lines() {
            let Some((name, rest)) = line.split_once('(') else {
                continue;
            };
            if name.contains(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
                continue;
            }
            if name == "accept4" && rest.contains(" EAGAIN ") {
                counts.probes += 1;
            } else {
                *counts.calls.entry(name.to_owned()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// Calls that wait for every socket at once.
    pub fn waits(&self) -> f64 {
        let waits = self.calls.iter().filter(|(name, _)| is_wait(name));
        waits.map(|(_, count)| f64::from(*count)).sum()
    }

    /// Calls of `accept4` that found nothing.
    pub fn probes(&self) -> f64 {
        f64::from(self.probes)
    }

    /// All other calls.
    pub fn own(&self) -> f64 {
        let own = self.calls.iter().filter(|(name, _)| !is_wait(name));
        own.map(|(_, count)| f64::from(*count)).sum()
    }

    /// Calls of these names.
    pub fn of(&self, names: &[&str]) -> f64 {
        let calls = self.calls.iter();
        let calls = calls.filter(|(name, _)| names.contains(&name.as_str()));
        calls.map(|(_, count)| f64::from(*count)).sum()
    }

    /// The calls by name, for a reader.
    pub fn list(&self) -> String {
        let calls = self
            .calls
            .iter()
            .map(|(name, count)| format!("{name} {count}"));
        calls.collect::<Vec<_>>().join(", ")
    }
}

impl Sub for &Counts {
    type Output = Counts;

    fn sub(self, before: Self) -> Counts {
        let mut counts = self.clone();
        for (name, count) in &before.calls {
            let entry = counts.calls.entry(name.clone()).or_default();
            *entry = entry.saturating_sub(*count);
        }
        counts.calls.retain(|_, count| *count > 0);
        counts.probes -= before.probes;
        counts
    }
}

fn is_wait(name: &str) -> bool {
    matches!(name, "epoll_wait" | "epoll_pwait" | "epoll_pwait2")
}
