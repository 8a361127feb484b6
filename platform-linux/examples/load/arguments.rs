//! What to load, and how.

use core::net::SocketAddr;

use clap::{ArgGroup, Parser};
use usockets::Duration;

/// Most connections at a time.
pub(crate) const CONNECTIONS_MAX: usize = 8192;

/// Loads an echo or HTTP server and checks every byte it answers.
#[derive(Debug, Parser)]
#[command(group(ArgGroup::new("protocol").required(true)))]
pub(crate) struct Arguments {
    /// Where the server listens.
    #[arg(default_value = "127.0.0.1:3000")]
    pub(crate) address: SocketAddr,
    /// Send bytes that must come back.
    #[arg(long, group = "protocol")]
    pub(crate) echo: bool,
    /// Send GET requests: for `/`, or for `/bytes/SIZE` if a size is given.
    #[arg(long, group = "protocol")]
    pub(crate) http: bool,
    /// Connections at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub(crate) connections: u32,
    /// Requests under way on each connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) pipeline: u32,
    /// Seconds to run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Bytes of a message (64 for `--echo`) or of a response's body.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub(crate) size: Option<u32>,
}

impl Arguments {
    /// Returns how long to run.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}
