//! Packets as large as the device carries, and larger: whatever the MTU, smoltcp's replies fit.

use std::net::{IpAddr, SocketAddr};

use usockets::{Instant, Platform};
use usockets_smoltcp::{Capabilities, Medium, PollDevice, SizeClass, TxMeta};
use usockets_tests::smoltcp::forge::{ip, ping};
use usockets_tests::smoltcp::{Recipe, a4, b4, v6};

/// A device without another end: one frame in, and what comes out is kept.
struct Shelf {
    capabilities: Capabilities,
    inbox: Vec<u8>,
    slot: Vec<u8>,
    sent: Vec<Vec<u8>>,
}

impl PollDevice for Shelf {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, _: usize) -> usize {
        if self.slot.is_empty() {
            self.inbox.clear();
        }
        self.slot.clear();
        usize::from(!self.inbox.is_empty())
    }

    fn frame(&self, _: usize) -> &[u8] {
        &self.inbox
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        assert!(len <= self.capabilities.frame_max(), "{len} bytes");
        self.slot.resize(len, 0);
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        self.sent.push(self.slot[..len].to_vec());
    }

    fn wait(&mut self, _: Option<Instant>) {}

    fn now(&self) -> Instant {
        Instant::from_micros(1_000_000)
    }
}

/// Returns the frame as the medium carries it.
fn on(medium: Medium, frame: &[u8]) -> &[u8] {
    match medium {
        Medium::Ethernet => frame,
        _ => &frame[14..],
    }
}

/// Packets of `len` bytes over both families that smoltcp answers: of an unknown protocol, for a
/// port nobody has, with an option unknown, and pings.
fn packets(len: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (from, to, header) in [(a4(7), b4(9), 20), (v6(1, 7), v6(2, 9), 40)] {
        let (from, to): (SocketAddr, SocketAddr) = (from, to);
        let (from, to): (IpAddr, IpAddr) = (from.ip(), to.ip());
        let body = vec![0x5a; len - header];
        for kind in [17, 99] {
            all.push(ip(from, to, kind, &body, 1, 2));
        }
        all.push(ping(from, to, 1, 2, len - header - 8));
        if header == 40 {
            let mut body = body;
            // Hop-by-hop options (RFC 8200, section 4.3), one of which must be told of if unknown.
            body[..8].copy_from_slice(&[17, 0, 0xbe, 4, 0, 0, 0, 0]);
            all.push(ip(from, to, 0, &body, 1, 2));
        }
    }
    all
}

#[test]
fn no_packet_is_too_large_at_any_mtu() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        for mtu in 68..=1_600 {
            let mut recipe = Recipe::new(2).classes(&[SizeClass::new(1, 64, 64)]);
            recipe.medium = medium;
            recipe.mtu = mtu;
            recipe.neighbours = 4;
            let device = Shelf {
                capabilities: recipe.capabilities(),
                inbox: Vec::new(),
                slot: Vec::new(),
                sent: Vec::new(),
            };
            let mut stack = usockets_smoltcp::Stack::idle(device);
            let started = recipe.start(&mut stack);
            assert_eq!(started.is_ok(), mtu >= 576, "{mtu}");
            if started.is_err() {
                continue;
            }
            // A little of everything, and what is around the limits.
            let sizes = (1..=15).chain([40, 200]).map(|less| mtu + 1 - less);
            for len in sizes.chain([mtu + 1, mtu + 14, 1_231, 1_232, 1_280, 1_300, 4_000]) {
                for frame in packets(len) {
                    let device = stack.device_mut();
                    device.inbox = on(medium, &frame).to_vec();
                    device.slot = vec![0];
                    device.sent.clear();
                    stack.poll(Some(Instant::ZERO)).unwrap();
                    let sent = &stack.device().sent;
                    let above = if medium == Medium::Ethernet { 14 } else { 0 };
                    assert!(sent.len() <= 1, "{mtu} {len}");
                    for reply in sent {
                        assert!(reply.len() <= mtu + above, "{mtu} {len}");
                        check(&reply[above..], &frame[14..]);
                    }
                    let is_ping = [1, 58].contains(&if frame[14] >> 4 == 4 {
                        frame[23]
                    } else {
                        frame[20]
                    });
                    assert!(sent.len() == 1 || !is_ping || len > mtu, "{mtu} {len}");
                }
            }
        }
    }
}

/// Whether a reply is whole, and with what the question carried.
fn check(reply: &[u8], question: &[u8]) {
    let header = if reply[0] >> 4 == 4 { 20 } else { 40 };
    let told = match header {
        20 => usize::from(u16::from_be_bytes([reply[2], reply[3]])),
        _ => 40 + usize::from(u16::from_be_bytes([reply[4], reply[5]])),
    };
    assert_eq!(told, reply.len());
    let kind = if header == 20 {
        question[9]
    } else {
        question[6]
    };
    if [1, 58].contains(&kind) {
        assert_eq!(reply[header + 4..], question[header + 4..]);
    } else {
        // An error tells what it is about (RFC 792, RFC 4443, section 2.4).
        let about = &reply[header + 8..];
        assert_eq!(about[header..], question[header..about.len()]);
    }
}
