//! The stack's formats against two others': smoltcp's and etherparse's.

use etherparse::{
    Ethernet2HeaderSlice, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, TcpOptionElement,
    TcpSlice, UdpHeaderSlice,
};
use smoltcp::wire as theirs;
use usockets_smoltcp::tcp::{Block, Flags, Options, SackBlocks, Seq, Timestamps};
use usockets_smoltcp::wire::arp::{Arp, Operation};
use usockets_smoltcp::wire::ethernet::Ethernet;
use usockets_smoltcp::wire::icmp::{Icmp, Quoted};
use usockets_smoltcp::wire::ipv4::Ipv4;
use usockets_smoltcp::wire::ipv6::{self, Ipv6, Upper};
use usockets_smoltcp::wire::ndp::{self, Ndp};
use usockets_smoltcp::wire::tcp::Tcp;
use usockets_smoltcp::wire::udp::Udp;
use usockets_smoltcp::wire::{WireError, checksum};

/// Reads and writes every format, as the bytes say, and compares with the others.
///
/// The first byte chooses the format; the rest is a packet, and also what values to write come
/// from.
///
/// # Panics
/// Two of them disagree, or something that was written reads as something else.
pub fn fuzz_codecs(bytes: &[u8]) {
    let Some((format, bytes)) = bytes.split_first() else {
        return;
    };
    match format % 8 {
        0 => read_ethernet(bytes),
        1 => read_arp(bytes),
        2 => read_ipv4(bytes),
        3 => read_ipv6(bytes),
        4 => read_icmp(bytes),
        5 => read_udp(bytes),
        6 => read_tcp(bytes),
        _ => write_tcp(bytes),
    }
    // Whatever it is: nothing panics.
    let _ = Quoted::parse(bytes);
}

fn read_ethernet(bytes: &[u8]) {
    let ours = Ethernet::parse(bytes);
    let other = Ethernet2HeaderSlice::from_slice(bytes);
    let Ok((header, payload)) = ours else {
        let tagged = other.is_ok_and(|other| other.ether_type().0 == Ethernet::VLAN);
        assert!(bytes.len() < 14 || (tagged && bytes.len() < 18));
        return;
    };
    let other = other.expect("etherparse reads it too");
    assert_eq!(header.source, other.source());
    assert_eq!(header.destination, other.destination());
    if header.vlan.is_none() {
        assert_eq!(header.ethertype, other.ether_type().0);
    } else {
        let tag = etherparse::SingleVlanHeader::from_slice(&bytes[14..]).expect("a tag");
        assert_eq!(header.ethertype, tag.0.ether_type.0);
        assert_eq!(
            header.vlan.map(|tag| tag & 0xfff),
            Some(tag.0.vlan_id.value())
        );
    }
    let mut again = vec![0; header.header_len()];
    header.emit(&mut again).expect("it fits");
    assert_eq!(again[..], bytes[..bytes.len() - payload.len()]);
}

fn read_arp(bytes: &[u8]) {
    let packet = theirs::ArpPacket::new_checked(bytes);
    let other = packet.and_then(|packet| theirs::ArpRepr::parse(&packet));
    let Ok(ours) = Arp::parse(bytes) else {
        return;
    };
    let theirs::ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr,
        target_hardware_addr,
        target_protocol_addr,
    } = other.expect("smoltcp reads it too")
    else {
        panic!("another kind");
    };
    let request = operation == theirs::ArpOperation::Request;
    assert_eq!(ours.operation == Operation::Request, request);
    assert_eq!(ours.sender_mac, source_hardware_addr.0);
    assert_eq!(ours.sender_ip, source_protocol_addr);
    assert_eq!(ours.target_mac, target_hardware_addr.0);
    assert_eq!(ours.target_ip, target_protocol_addr);
    let mut again = [0; 28];
    ours.emit(&mut again).expect("it fits");
    assert_eq!(again[..], bytes[..28]);
}

fn read_ipv4(bytes: &[u8]) {
    // Most of what a fuzzer makes has a wrong checksum; with the right one there is more to see.
    let mut fixed = bytes.to_vec();
    if let Some(len) = fixed.first().map(|first| usize::from(first & 15) * 4)
        && len >= 20
        && fixed.len() >= len
    {
        fixed[10..12].fill(0);
        let sum = checksum::data(&fixed[..len]);
        fixed[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let other = Ipv4HeaderSlice::from_slice(&fixed);
    let packet = theirs::Ipv4Packet::new_checked(&fixed[..]);
    let (header, payload) = match Ipv4::parse(&fixed) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert_ne!(error, WireError::Checksum, "it has just been filled in");
            let whole = other.is_ok_and(|other| {
                let total = usize::from(other.total_len());
                total >= other.slice().len() && total <= fixed.len()
            });
            assert!(!whole, "etherparse reads it: {error}");
            return;
        }
    };
    let other = other.expect("etherparse reads it too");
    assert_eq!(header.source, other.source_addr());
    assert_eq!(header.destination, other.destination_addr());
    assert_eq!(header.protocol, other.protocol().0);
    assert_eq!(header.hop_limit, other.ttl());
    assert_eq!(header.identification, other.identification());
    assert_eq!(header.dont_fragment, other.dont_fragment());
    assert_eq!(header.more_fragments, other.more_fragments());
    assert_eq!(header.fragment_offset, other.fragments_offset().value());
    assert_eq!(header.is_fragment(), other.is_fragmenting_payload());
    let packet = packet.expect("smoltcp reads it too");
    assert_eq!(payload, packet.payload());
    let mut again = [0; 20];
    header.emit(&mut again, payload.len()).expect("it fits");
    let (second, _) = Ipv4::parse(&[&again[..], payload].concat()).expect("it is read again");
    assert_eq!(second, header);
}

fn read_ipv6(bytes: &[u8]) {
    let other = Ipv6HeaderSlice::from_slice(bytes);
    let Ok((header, payload)) = Ipv6::parse(bytes) else {
        let whole =
            other.is_ok_and(|other| bytes.len() - 40 >= usize::from(other.payload_length()));
        assert!(!whole);
        return;
    };
    let other = other.expect("etherparse reads it too");
    assert_eq!(header.source, other.source_addr());
    assert_eq!(header.destination, other.destination_addr());
    assert_eq!(header.next_header, other.next_header().0);
    assert_eq!(header.hop_limit, other.hop_limit());
    assert_eq!(header.traffic_class, other.traffic_class());
    assert_eq!(header.flow_label, other.flow_label().value());
    let packet = theirs::Ipv6Packet::new_checked(bytes).expect("smoltcp reads it too");
    assert_eq!(payload, packet.payload());
    let mut again = [0; 40];
    header.emit(&mut again, payload.len()).expect("it fits");
    assert_eq!(again[..], bytes[..40]);
    if let Ok(Upper::Whole {
        protocol,
        payload: inner,
    }) = ipv6::pass_extensions(header.next_header, payload)
    {
        let passed = Ipv6ExtensionsSlice::from_slice(other.next_header(), payload);
        let (_, next, rest) = passed.expect("etherparse passes them too");
        assert_eq!((protocol, inner), (next.0, rest));
        if protocol == Ipv6::ICMP {
            read_ndp(&header, inner);
        }
    }
}

fn read_ndp(header: &Ipv6, message: &[u8]) {
    let mut message = message.to_vec();
    if message.len() >= 4 {
        message[2..4].fill(0);
        let (from, to) = (header.source.into(), header.destination.into());
        let sum = checksum::transport(from, to, Ipv6::ICMP, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    let mut header = *header;
    header.hop_limit = ndp::HOP_LIMIT;
    let _ = Icmp::parse_v6(&header, &message);
    let Ok(Some(ours)) = Ndp::parse(&header, &message) else {
        return;
    };
    let packet = theirs::Icmpv6Packet::new_checked(&message[..]).expect("smoltcp reads it too");
    match ours {
        Ndp::Solicitation { target, .. } | Ndp::Advertisement { target, .. } => {
            assert_eq!(target, packet.target_addr());
        }
        _ => panic!("no other is known"),
    }
    let mut again = [0; 32];
    let len = ours.emit(&header, &mut again).expect("it fits");
    assert_eq!(Ndp::parse(&header, &again[..len]), Ok(Some(ours)));
}

fn read_icmp(bytes: &[u8]) {
    let mut fixed = bytes.to_vec();
    if fixed.len() >= 4 {
        fixed[2..4].fill(0);
        let sum = checksum::data(&fixed);
        fixed[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    let ours = Icmp::parse_v4(&fixed);
    assert_eq!(ours.is_ok(), fixed.len() >= 8);
    let Ok(message) = ours else {
        return;
    };
    if let Icmp::EchoRequest { mark, data } = message {
        let packet = theirs::Icmpv4Packet::new_checked(&fixed[..]).expect("smoltcp reads it too");
        assert_eq!(packet.msg_type(), theirs::Icmpv4Message::EchoRequest);
        let [a, b, c, d] = mark;
        assert_eq!(packet.echo_ident(), u16::from_be_bytes([a, b]));
        assert_eq!(packet.echo_seq_no(), u16::from_be_bytes([c, d]));
        assert_eq!(packet.data(), data);
    }
    if !matches!(message, Icmp::Other { .. }) {
        let mut again = vec![0; fixed.len()];
        let len = message.emit_v4(&mut again).expect("it fits");
        let second = Icmp::parse_v4(&again[..len]).expect("it is read again");
        // Codes that mean the same are written as one.
        assert_eq!(
            core::mem::discriminant(&second),
            core::mem::discriminant(&message)
        );
    }
}

fn read_udp(bytes: &[u8]) {
    let other = UdpHeaderSlice::from_slice(bytes);
    let packet = theirs::UdpPacket::new_checked(bytes);
    let Ok((header, payload)) = Udp::parse(bytes) else {
        assert!(packet.is_err(), "smoltcp reads it");
        return;
    };
    let other = other.expect("etherparse reads it too");
    assert_eq!(header.source_port, other.source_port());
    assert_eq!(header.destination_port, other.destination_port());
    assert_eq!(header.checksum, other.checksum());
    assert_eq!(usize::from(other.length()), payload.len() + 8);
    let mut again = [0; 8];
    header.emit(&mut again, payload.len()).expect("it fits");
    assert_eq!(again[..], bytes[..8]);
}

fn read_tcp(bytes: &[u8]) {
    let other = TcpSlice::from_slice(bytes);
    let (header, payload) = match Tcp::parse(bytes) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(other.is_err(), "etherparse reads it: {error}");
            return;
        }
    };
    let other = other.expect("etherparse reads it too");
    assert_eq!(header.source_port, other.source_port());
    assert_eq!(header.destination_port, other.destination_port());
    assert_eq!(header.seq.get(), other.sequence_number());
    assert_eq!(header.ack.get(), other.acknowledgment_number());
    assert_eq!(header.window, other.window_size());
    assert_eq!(header.urgent, other.urgent_pointer());
    assert_eq!(payload, other.payload());
    let flags = [
        (Flags::FIN, other.fin()),
        (Flags::SYN, other.syn()),
        (Flags::RST, other.rst()),
        (Flags::PSH, other.psh()),
        (Flags::ACK, other.ack()),
        (Flags::URG, other.urg()),
    ];
    for (flag, set) in flags {
        assert_eq!(header.flags.has(flag), set, "{flag:?}");
    }
    let mut options = Options::NONE;
    for option in other.options_iterator() {
        match option {
            Ok(TcpOptionElement::Noop) => {}
            Ok(TcpOptionElement::MaximumSegmentSize(mss)) => options.mss = Some(mss),
            Ok(TcpOptionElement::WindowScale(shift)) => options.window_scale = Some(shift),
            Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) => {
                options.sack_permitted = true;
            }
            Ok(TcpOptionElement::SelectiveAcknowledgement(first, others)) => {
                options.sack = SackBlocks::EMPTY;
                for (start, end) in others.into_iter().flatten().fold(vec![first], push) {
                    options
                        .sack
                        .push(Block::new(Seq::new(start), Seq::new(end)));
                }
            }
            Ok(TcpOptionElement::Timestamp(value, echo)) => {
                options.timestamps = Some(Timestamps { value, echo });
            }
            // It stops at what it does not know.
            Err(_) => return,
        }
    }
    assert_eq!(header.options, options);
}

fn push(mut all: Vec<(u32, u32)>, next: (u32, u32)) -> Vec<(u32, u32)> {
    all.push(next);
    all
}

/// Writes a header with values out of the bytes, and lets everybody read it.
fn write_tcp(bytes: &[u8]) {
    let mut source = bytes.iter().copied().chain(core::iter::repeat(7));
    let mut byte = || source.next().unwrap_or(0);
    let mut word = || u32::from_be_bytes([byte(), byte(), byte(), byte()]);
    let choice = word();
    let chosen = |bit: u32| choice >> bit & 1 != 0;
    let mut options = Options {
        mss: chosen(0).then_some(word() as u16),
        window_scale: chosen(1).then_some(word() as u8),
        sack_permitted: chosen(2),
        timestamps: chosen(3).then(|| Timestamps {
            value: word(),
            echo: word(),
        }),
        sack: SackBlocks::EMPTY,
    };
    for _ in 0..choice >> 8 & 7 {
        let block = Block::new(Seq::new(word()), Seq::new(word()));
        options.sack.push(block);
    }
    let header = Tcp {
        source_port: word() as u16,
        destination_port: word() as u16,
        seq: Seq::new(word()),
        ack: Seq::new(word()),
        flags: Flags::from_bits(word() as u8),
        window: word() as u16,
        urgent: word() as u16,
        options,
    };
    let mut memory = [0xaa; 70];
    let Ok(len) = header.emit(&mut memory) else {
        assert!(options.len() > 40);
        return;
    };
    assert_eq!(len, header.header_len());
    assert!(memory[len..].iter().all(|byte| *byte == 0xaa));
    assert_eq!(Tcp::parse(&memory[..len]), Ok((header, &[][..])));
    assert_eq!(header.emit(&mut memory[..len - 1]), Err(WireError::NoRoom));
    read_tcp(&memory[..len]);
    let packet = theirs::TcpPacket::new_checked(&memory[..len]).expect("smoltcp reads it too");
    assert_eq!(packet.src_port(), header.source_port);
    assert_eq!(packet.window_len(), header.window);
    let ranges = packet.selective_ack_permitted();
    assert_eq!(ranges, Ok(header.options.sack_permitted));
}
