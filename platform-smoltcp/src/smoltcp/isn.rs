//! Initial sequence numbers of our choice (RFC 6528) out of smoltcp's public interface.
//!
//! smoltcp takes them from a generator of 64 bits that anybody can follow after a few
//! connections. But the generator is seeded by whoever makes an `Interface`, and it is invertible:
//! an interface made for one segment, with the seed that leads to the wanted number, gives just
//! that. It costs about 0.1 µs a connection. Every stack tries it once when it is made.

use smoltcp::iface::{Config, Interface};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use crate::ip::route::Routes;
use crate::number::{be32, low};
use crate::smoltcp::port::{Inward, Nowhere};
use crate::smoltcp::slab::Slab;

/// smoltcp's multiplier and addend (sPCG32).
const MULTIPLIER: u64 = 0xbb2e_fcec_3c39_611d;
const ADDEND: u64 = 0x7590_ef39;
const INVERSE: u64 = inverse(MULTIPLIER);

/// Makes an interface with the own addresses whose next connection starts at `isn`.
pub(crate) fn interface(
    isn: u32,
    routes: &Routes,
    described: &DeviceCapabilities,
    now: Instant,
) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed(isn);
    let mut device = Inward {
        packet: None,
        reply: &mut [],
        reply_len: 0,
        described,
    };
    let mut interface = Interface::new(config, &mut device, now);
    interface.update_ip_addrs(|addresses| {
        for own in routes.own() {
            // There is room for `ADDRESSES_MAX`, and no more are own.
            let _ = addresses.push(IpCidr::new(own.ip.into(), own.prefix));
        }
    });
    interface
}

/// Whether smoltcp starts a connection at the number it is told, tried on the first slot.
///
/// Other crates' features of smoltcp can make it draw more numbers; then no stack is made.
pub(crate) fn is_obeyed(
    slab: &mut Slab<'_>,
    spare: &mut [u8],
    routes: &Routes,
    described: &DeviceCapabilities,
    now: Instant,
) -> bool {
    const PROBE: u32 = 0x1234_5678;
    let Some(own) = routes.own().next() else {
        return true;
    };
    let Some(socket) = slab.socket(0) else {
        return true;
    };
    let mut interface = interface(PROBE, routes, described, now);
    let (local, remote) = ((own.ip, 1), (own.ip, 2));
    let connected = socket.connect(interface.context(), remote, local).is_ok();
    let mut nowhere = Nowhere {
        spare: &mut *spare,
        described,
    };
    if let Some(set) = slab.get_set(0) {
        interface.poll_egress(now, &mut nowhere, set);
    }
    slab.reset(0);
    let header: usize = if own.ip.is_ipv4() { 20 } else { 40 };
    connected && be32(spare, header.saturating_add(4)) == Some(PROBE)
}

/// Returns the seed that makes an interface's first number, after the one it draws for itself
/// (an identification that must not be zero), be `isn`.
fn seed(isn: u32) -> u64 {
    let mut below = 0_u64;
    loop {
        let own = before((u64::from(isn) << 29) | below);
        let drawn = output(own);
        if (drawn ^ (drawn >> 16)) & 0xffff != 0 {
            return before(own);
        }
        // One in 65,536 tries goes round again.
        below = below.wrapping_add(1);
    }
}

fn before(state: u64) -> u64 {
    state.wrapping_sub(ADDEND).wrapping_mul(INVERSE)
}

fn output(state: u64) -> u32 {
    let shift = 29_u32.wrapping_sub(low(state >> 61));
    low(state.wrapping_shr(shift))
}

/// Newton's iteration doubles the right bits each time; an odd number starts with three.
const fn inverse(number: u64) -> u64 {
    let mut guess = number;
    let mut round = 0_u8;
    while round < 6 {
        guess = guess.wrapping_mul(2_u64.wrapping_sub(number.wrapping_mul(guess)));
        round = round.wrapping_add(1);
    }
    guess
}
