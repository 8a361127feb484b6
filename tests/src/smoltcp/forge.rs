//! Frames made by hand, and a peer that sends them.

use std::net::{IpAddr, SocketAddr};

use ::smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, IpAddress, Ipv4Packet, TcpPacket};
use usockets::Duration;
use usockets_smoltcp::wire::checksum;
use usockets_smoltcp::wire::icmp::Icmp;
use usockets_smoltcp::wire::ipv6::Ipv6;
use usockets_smoltcp::{Faults, Medium, PollDevice, Wire};

use super::{Device, Host, Recipe, mac, wire};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const ECE: u8 = 64;
pub const CWR: u8 = 128;

/// A TCP segment to be.
#[derive(Clone, Debug)]
pub struct Seg {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub control: u8,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub payload: Vec<u8>,
    pub options: Vec<u8>,
}

impl Seg {
    pub fn new(from: SocketAddr, to: SocketAddr, control: u8, seq: u32, ack: u32) -> Self {
        Self {
            from,
            to,
            control,
            seq,
            ack,
            window: 8_192,
            payload: Vec::new(),
            options: Vec::new(),
        }
    }

    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.payload = bytes.to_vec();
        self
    }

    pub fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    /// The TCP bytes, with checksum.
    pub fn tcp(&self) -> Vec<u8> {
        let offset = 20 + self.options.len();
        let mut tcp = Vec::new();
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([(offset as u8 / 4) << 4, self.control]);
        tcp.extend(self.window.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let (from, to): (IpAddress, IpAddress) = (self.from.ip().into(), self.to.ip().into());
        TcpPacket::new_unchecked(&mut tcp[..]).fill_checksum(&from, &to);
        tcp
    }

    /// The whole Ethernet frame to host `to_mac`.
    pub fn frame(&self, from_mac: u8, to_mac: u8) -> Vec<u8> {
        ip(
            self.from.ip(),
            self.to.ip(),
            6,
            &self.tcp(),
            from_mac,
            to_mac,
        )
    }
}

/// An Ethernet frame with an IP packet in it.
pub fn ip(from: IpAddr, to: IpAddr, kind: u8, body: &[u8], from_mac: u8, to_mac: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(mac(to_mac));
    frame.extend(mac(from_mac));
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([8, 0, 0x45, 0]);
            frame.extend((20 + body.len() as u16).to_be_bytes());
            frame.extend([0, 0, 0x40, 0, 64, kind, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((body.len() as u16).to_be_bytes());
            frame.extend([kind, 64]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        _ => panic!("mixed families"),
    }
    frame.extend(body);
    frame
}

/// A UDP datagram, with its checksum or with another.
pub fn udp(from: SocketAddr, to: SocketAddr, bytes: &[u8], sum: Option<u16>) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend((bytes.len() as u16 + 8).to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend(bytes);
    let right = checksum::transport(from.ip(), to.ip(), 17, &datagram);
    datagram[6..8].copy_from_slice(&sum.unwrap_or(right).to_be_bytes());
    datagram
}

/// The same in a frame from host 1 to host 2.
pub fn udp_frame(from: SocketAddr, to: SocketAddr, bytes: &[u8], sum: Option<u16>) -> Vec<u8> {
    ip(from.ip(), to.ip(), 17, &udp(from, to, bytes, sum), 1, 2)
}

/// An ARP question or answer.
pub fn arp(operation: u8, from: [u8; 4], from_mac: u8, to: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(mac(from_mac));
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
    frame.extend(mac(from_mac));
    frame.extend(from);
    frame.extend([0; 6]);
    frame.extend(to);
    frame
}

/// A ping of `len` bytes.
pub fn ping(from: IpAddr, to: IpAddr, from_mac: u8, to_mac: u8, len: usize) -> Vec<u8> {
    let mut body = vec![8, 0, 0, 0, 0, 7, 0, 1];
    body.extend((0..len).map(|index| index as u8));
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) {
        body[0] = 128;
        Icmpv6Packet::new_unchecked(&mut body[..]).fill_checksum(&from, &to);
        return ip(from.into(), to.into(), 58, &body, from_mac, to_mac);
    }
    Icmpv4Packet::new_unchecked(&mut body[..]).fill_checksum();
    ip(from, to, 1, &body, from_mac, to_mac)
}

/// Returns a frame from host 1 with an answer to an echo request of host 2.
pub fn echo_reply(from: IpAddr, to: IpAddr, [a, b, c, d]: [u8; 4], data: &[u8]) -> Vec<u8> {
    let reply = Icmp::EchoReply {
        mark: [a, b, c, d],
        data,
    };
    let mut message = vec![0; 8 + data.len()];
    match (from, to) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6::new(source, destination, Ipv6::ICMP);
            reply.emit_v6(&header, &mut message).unwrap();
            ip(from, to, Ipv6::ICMP, &message, 1, 2)
        }
        _ => {
            reply.emit_v4(&mut message).unwrap();
            ip(from, to, 1, &message, 1, 2)
        }
    }
}

/// A question for the hardware address of host 2, by which it learns that of host 1.
pub fn solicit() -> Vec<u8> {
    let (from, to) = (super::v6(1, 0).ip(), super::v6(2, 0).ip());
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    if let IpAddr::V6(to) = to {
        body.extend(to.octets());
    }
    body.extend([1, 1]);
    body.extend(mac(1));
    let sum = checksum::transport(from, to, 58, &body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ip(from, to, 58, &body, 1, 2);
    // RFC 4861, section 7.1.1: no router has passed it on.
    frame[21] = 255;
    frame
}

/// Returns the codepoint for congestion of an Ethernet frame with an IP packet in it.
pub fn codepoint(frame: &[u8]) -> u8 {
    match frame[14] >> 4 {
        4 => frame[15] & 3,
        _ => frame[15] >> 4 & 3,
    }
}

/// Marks an Ethernet frame with an IP packet in it, as a router that has too much to do.
pub fn mark(frame: &mut [u8]) {
    match frame[14] >> 4 {
        4 => {
            frame[15] |= 3;
            Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        }
        _ => frame[15] |= 3 << 4,
    }
}

/// Reads a TCP segment out of a frame.
pub fn read(frame: &[u8]) -> Option<Seg> {
    let (packet, from, to): (&[u8], IpAddr, IpAddr) = match frame.get(12..14)? {
        [8, 0] => {
            let packet = Ipv4Packet::new_checked(&frame[14..]).ok()?;
            assert!(packet.verify_checksum());
            (
                frame.get(34..)?,
                packet.src_addr().into(),
                packet.dst_addr().into(),
            )
        }
        [0x86, 0xdd] => {
            let address = |at: usize| {
                let bytes: [u8; 16] = frame[at..at + 16].try_into().unwrap();
                IpAddr::from(bytes)
            };
            (frame.get(54..)?, address(22), address(38))
        }
        _ => return None,
    };
    let is_tcp = if from.is_ipv4() {
        frame[23] == 6
    } else {
        frame[20] == 6
    };
    if !is_tcp {
        return None;
    }
    let tcp = TcpPacket::new_checked(packet).ok()?;
    assert!(
        tcp.verify_checksum(&from.into(), &to.into()),
        "our checksum is wrong"
    );
    Some(Seg {
        from: SocketAddr::new(from, tcp.src_port()),
        to: SocketAddr::new(to, tcp.dst_port()),
        control: packet[13],
        seq: tcp.seq_number().0 as u32,
        ack: u32::from_be_bytes(packet[8..12].try_into().unwrap()),
        window: tcp.window_len(),
        payload: tcp.payload().to_vec(),
        options: tcp.options().to_vec(),
    })
}

/// Takes all frames that have come to a device.
pub fn frames(device: &mut Device) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let count = device.receive(64);
        if count == 0 {
            return all;
        }
        all.extend((0..count).map(|index| device.frame(index).to_vec()));
    }
}

/// One real stack, and the other end of the wire in the hands of the test.
pub struct Stage {
    pub wire: &'static Wire<'static>,
    pub hand: Device,
    pub host: Host,
}

impl Stage {
    /// The stack is host 2; the hand is host 1, and is already known as a neighbour.
    pub fn new(recipe: &Recipe) -> Self {
        let (wire, [hand, right]) = wire(Faults::NONE, 1, Medium::Ethernet);
        let mut stage = Self {
            wire,
            hand,
            host: Host::new(recipe.build(right)),
        };
        stage.send(&arp(1, super::A4, 1, super::B4));
        assert_eq!(stage.replies().len(), 1);
        stage
    }

    pub fn send(&mut self, frame: &[u8]) {
        self.hand.inject(frame);
        self.host.step();
        self.host.step();
    }

    pub fn seg(&mut self, seg: &Seg) {
        self.send(&seg.frame(1, 2));
    }

    /// All frames the stack has sent since the last look.
    pub fn replies(&mut self) -> Vec<Vec<u8>> {
        frames(&mut self.hand)
    }

    pub fn segs(&mut self) -> Vec<Seg> {
        self.replies()
            .iter()
            .filter_map(|frame| read(frame))
            .collect()
    }

    pub fn pass(&mut self, time: Duration) {
        let end = self.wire.now().saturating_add(time);
        let mut idle = 0;
        while self.wire.now() < end {
            idle = if self.host.step() { 0 } else { idle + 1 };
            // What flies towards the hand is of no interest to the clock.
            if idle > 1 {
                let left = end.saturating_since(self.wire.now());
                self.wire.pass(left.min(Duration::from_millis(1)));
                idle = 0;
            }
        }
        self.host.step();
        self.host.step();
    }

    /// A connection from `from` to the listener at `to`; returns (our next, their next).
    pub fn handshake(&mut self, from: SocketAddr, to: SocketAddr, isn: u32) -> (u32, u32) {
        self.segs();
        self.seg(&Seg::new(from, to, SYN, isn, 0));
        let answer = self.segs();
        assert_eq!(answer.len(), 1, "{answer:?}");
        assert_eq!(
            (answer[0].control, answer[0].ack),
            (SYN | ACK, isn.wrapping_add(1))
        );
        let theirs = answer[0].seq.wrapping_add(1);
        self.seg(&Seg::new(from, to, ACK, isn.wrapping_add(1), theirs));
        (isn.wrapping_add(1), theirs)
    }
}
