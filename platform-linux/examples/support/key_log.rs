//! Secrets for tools that read captured traffic, in the file that `SSLKEYLOGFILE` names.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use usockets::tls::Machine;
use usockets_linux::LinuxMachine;

/// The machine, and the file if there is one.
pub(crate) struct Logged {
    machine: LinuxMachine,
    file: Option<File>,
}

impl Logged {
    /// Opens the file that the environment names, if it names one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let machine = LinuxMachine::new();
        let Some(path) = std::env::var_os("SSLKEYLOGFILE") else {
            return Ok(Self {
                machine,
                file: None,
            });
        };
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("secrets are written to {}", path.display());
        Ok(Self {
            machine,
            file: Some(file),
        })
    }
}

impl Machine for Logged {
    fn random(&mut self, out: &mut [u8]) -> bool {
        self.machine.random(out)
    }

    fn unix_seconds(&self) -> u64 {
        self.machine.unix_seconds()
    }

    fn log_secret(&mut self, name: &str, client_random: &[u8; 32], secret: &[u8]) {
        let Some(file) = &mut self.file else {
            return;
        };
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let line = format!("{name} {} {}\n", hex(client_random), hex(secret));
        if let Err(error) = file.write_all(line.as_bytes()) {
            eprintln!("SSLKEYLOGFILE: {error}");
        }
    }
}
