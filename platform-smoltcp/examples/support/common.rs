//! What every example with a stack of its own starts from.

use std::fs::File;
use std::io::Read;

use usockets::Error;
use usockets_smoltcp::Address;

/// Returns random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let file = File::open("/dev/urandom");
    file.and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|_| Error::Denied)?;
    Ok(bytes)
}

/// Reads an address and the length of its network's prefix, with a slash between them.
pub(crate) fn address(cidr: &str) -> Option<Address> {
    let (ip, prefix) = cidr.split_once('/')?;
    Some(Address::new(ip.parse().ok()?, prefix.parse().ok()?))
}
