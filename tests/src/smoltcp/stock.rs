//! Hosts that run smoltcp's own TCP, as a bed, as a baseline and as peers of ours.

use smoltcp::iface::{Config, Interface, SocketStorage};
use smoltcp::wire::{EthernetAddress, IpCidr};
use usockets_smoltcp::{
    Limits, PollDevice, Smoltcp, SmoltcpEntry, SmoltcpListener, SmoltcpMemory, ToPhy,
};

use super::{leak, mac, v6, zeroes};

/// Makes smoltcp's stack on an Ethernet device of ours, with so many connections that have so many
/// bytes each way.
pub fn build_on<D: PollDevice>(
    host: u8,
    connections: usize,
    buffer: usize,
    device: D,
) -> Smoltcp<'static, ToPhy<'static, D>> {
    build_with(Limits::DEFAULT, host, connections, buffer, device)
}

/// The same with other limits.
pub fn build_with<D: PollDevice>(
    limits: Limits,
    host: u8,
    connections: usize,
    buffer: usize,
    device: D,
) -> Smoltcp<'static, ToPhy<'static, D>> {
    let inbox = zeroes(device.capabilities().frame_max());
    let mut device = ToPhy::new(device, inbox);
    let mut config = Config::new(EthernetAddress(mac(host)).into());
    config.random_seed = host.into();
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|all| {
        all.push(IpCidr::new(
            std::net::IpAddr::from([10, 0, 0, host]).into(),
            24,
        ))
        .unwrap();
        all.push(IpCidr::new(v6(host.into(), 0).ip().into(), 64))
            .unwrap();
    });
    let memory = SmoltcpMemory {
        entries: leak(connections, || SmoltcpEntry::EMPTY),
        storage: leak(connections + 1, || SocketStorage::EMPTY),
        bytes: zeroes(2 * connections * buffer),
        listeners: leak(8, || SmoltcpListener::EMPTY),
    };
    Smoltcp::new(device, interface, limits, memory).unwrap()
}
