//! What stands before connections: limits by address, the PROXY protocol, and a list of addresses
//! to connect to.

use core::fmt::Write;

use usockets::proxy::{
    Network, Proxied, ProxyHeader, ProxyParsed, ProxyPlace, ProxyValues, ProxyVersion, Untrusted,
};
use usockets::{
    AddressLimit, AddressLimits, Error, HappyEyeballs, Instant, Net, Platform, SocketId, Sockets,
    TimerId,
};

use crate::anything::{self, Anything, endpoint};
use crate::hidden::{hidden, long, word, yes};
use crate::outside::{Layer, Outside, Sink, addr, duration, error};

type Guarded = Proxied<'static, Outside<false>>;

static mut SOCKETS: Sockets<Guarded, Anything, 64> = Sockets::new();
static mut PLACES: [ProxyPlace; 2] = [ProxyPlace::EMPTY; 2];
static mut LIMITS: AddressLimits<16> = AddressLimits::new(AddressLimit::connections(1), [1, 2]);

/// Makes any calls of any of it.
pub fn run(receive: &'static mut [u8], cork: &'static mut [u8]) -> Result<(), Error> {
    // SAFETY: the only place that names the statics, and it is entered once.
    let (sockets, places, limits) = unsafe {
        (
            &mut *&raw mut SOCKETS,
            &mut *&raw mut PLACES,
            &mut *&raw mut LIMITS,
        )
    };
    if yes() {
        let rate = AddressLimit::connections(word()).rate(word(), duration());
        *limits = AddressLimits::new(rate, [long(), long()]);
    }
    while yes() {
        count(limits);
    }
    headers(receive);
    let layer = Proxied::new(Outside, hidden(&[][..])).with_untrusted(match yes() {
        true => Untrusted::Direct,
        false => Untrusted::Refuse,
    });
    anything::run(layer.with_values(places), sockets, receive, cork)
}

/// Counts a connection of any address.
fn count(limits: &mut AddressLimits<16>) {
    let peer = addr().ip();
    match word() {
        0 => limits.opened(peer),
        1 => limits.closed(peer),
        2 => _ = limits.connections(peer),
        _ => {
            let now = Instant::from_micros(long());
            let _ = limits
                .admit(peer, now)
                .map_err(|over| write!(Sink, "{over:?}"));
        }
    }
}

fn version() -> ProxyVersion {
    match yes() {
        true => ProxyVersion::One,
        false => ProxyVersion::Two,
    }
}

/// Reads and writes headers of any bytes.
fn headers(bytes: &mut [u8]) {
    if let ProxyParsed::Whole(header, _) = ProxyHeader::parse(bytes) {
        let _ = header.write(version(), bytes);
    }
    let _ = ProxyHeader::between(addr(), addr()).write(version(), bytes);
    for (kind, value) in ProxyValues::of(bytes) {
        let _ = write!(Sink, "{kind} {}", value.len());
    }
    let _ = Network::new(addr().ip(), word() as u8).contains(addr().ip());
}

impl Layer for Guarded {
    fn call(&mut self) {
        match word() {
            0 => self.send_header(Some((ProxyHeader::between(addr(), addr()), version()))),
            1 => self.send_header(None),
            2 => {
                if let Some(id) = SocketId::from_bits(long()) {
                    let _ = self.values(id).next();
                }
            }
            3 => _ = self.invalid(),
            4 => _ = self.inner().now(),
            5 => {
                let mut socket = hidden(Self::CLOSED);
                let _ = (socket.header(), socket.inner_mut());
            }
            _ => self.inner_mut().call(),
        }
    }
}

/// Connects to a list of addresses, at any time.
pub fn connect<P: Platform>(
    net: &mut Net<'_, P, u32>,
    eyeballs: &mut Option<HappyEyeballs<4>>,
    id: SocketId,
    timer: Option<TimerId>,
) {
    let Some(eyeballs) = eyeballs else {
        *eyeballs = Some(HappyEyeballs::new(hidden(&[][..])).with_delay(duration()));
        return;
    };
    match word() {
        0 => _ = eyeballs.start(net, endpoint(), word()),
        1 => eyeballs.stop(net),
        2 => _ = eyeballs.addrs().last(),
        3 => _ = eyeballs.on_connect_error(net, endpoint(), word(), id, error()),
        4 => _ = eyeballs.on_open(net, id),
        _ => {
            if let Some(timer) = timer {
                let _ = eyeballs.on_timer(net, endpoint(), word(), timer);
            }
        }
    }
}
