//! Who the board is on its network.

use core::net::Ipv4Addr;

use usockets::{Duration, Error};
use usockets_smoltcp::{Address, Config, Limits, Memory, Secret, SizeClass, Stack};

use crate::ethernet::Ethernet;
use crate::host;

/// A stack on the board's Ethernet.
pub type Network = Stack<'static, &'static mut Ethernet>;

/// How long a connection that ended first keeps its slot: a board has few, so not for a minute.
const TIME_WAIT: Duration = Duration::from_secs(10);
/// The router of QEMU's user networking. Without an address it is not asked for; one by DHCP comes
/// with a router of its own.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Starts the device and the stack on it, at the address that QEMU's user networking expects.
///
/// # Errors
/// [`Error::Denied`] without random bytes, and what [`Stack::start`] says of the memory.
pub fn start(
    network: &mut Network,
    memory: Memory<'static>,
    classes: &[SizeClass],
) -> Result<(), Error> {
    let addresses = [Address::new([10, 0, 2, 15].into(), 24)];
    start_at(&addresses, network, memory, classes)
}

/// Starts the device and the stack on it without an address, which a server of DHCP has to give.
///
/// # Errors
/// As [`start`].
#[cfg(feature = "dhcp")]
pub fn start_without_address(
    network: &mut Network,
    memory: Memory<'static>,
    classes: &[SizeClass],
) -> Result<(), Error> {
    start_at(&[], network, memory, classes)
}

fn start_at(
    addresses: &[Address],
    network: &mut Network,
    memory: Memory<'static>,
    classes: &[SizeClass],
) -> Result<(), Error> {
    let secret = secret()?;
    let mac = crate::mac();
    network.device_mut().start(mac);
    let config = Config::new(mac, addresses, secret)
        .gateway_v4(GATEWAY)
        .limits(Limits::DEFAULT.time_wait(TIME_WAIT));
    network.start(&config, memory, classes)
}

/// Draws a secret.
///
/// # Errors
/// [`Error::Denied`] without random bytes.
pub fn secret() -> Result<Secret, Error> {
    let mut secret = [0; 16];
    match host::random(&mut secret) {
        true => Ok(Secret::new(secret)),
        false => Err(Error::Denied),
    }
}
