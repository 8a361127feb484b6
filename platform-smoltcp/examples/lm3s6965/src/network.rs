//! Who the board is on its network.

use usockets::{Duration, Error};
use usockets_smoltcp::{Address, Config, Limits, Memory, Secret, SizeClass, Stack};

use crate::ethernet::Ethernet;
use crate::host;

/// A stack on the board's Ethernet.
pub type Network = Stack<'static, &'static mut Ethernet>;

/// How long a connection that ended first keeps its slot: a board has few, so not for a minute.
const TIME_WAIT: Duration = Duration::from_secs(10);

/// Starts the device and the stack on it, at the address that QEMU's user networking expects.
///
/// # Errors
/// [`Error::Denied`] without random bytes, and what [`Stack::start`] says of the memory.
pub fn start(
    network: &mut Network,
    memory: Memory<'static>,
    classes: &[SizeClass],
) -> Result<(), Error> {
    let mut secret = [0; 16];
    if !host::random(&mut secret) {
        return Err(Error::Denied);
    }
    let mac = crate::mac();
    network.device_mut().start(mac);
    let addresses = [Address::new([10, 0, 2, 15].into(), 24)];
    let config = Config::new(mac, &addresses, Secret::new(secret))
        .gateway_v4([10, 0, 2, 2].into())
        .limits(Limits::DEFAULT.time_wait(TIME_WAIT));
    network.start(&config, memory, classes)
}
