//! Limits of the process.

use rustix::io;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets this process, and those that it starts, have all the descriptors that are allowed
/// (`getrlimit(2)`); returns how many.
///
/// # Errors
/// Those of `setrlimit(2)`.
pub fn raise_descriptors() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}
