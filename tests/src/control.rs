//! A fuzzer's body for the control messages of datagrams (`cmsg(3)`), as `usockets-linux` takes
//! them apart and puts them together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use usockets::{Address, Ecn};
use usockets_linux::datagrams::control::{Control, Received};

/// Takes any bytes apart, and puts messages together by what they say.
///
/// # Panics
/// Something reads past its end, what was put together comes apart otherwise, or a part of it says
/// what the whole does not.
pub fn fuzz_control(bytes: &[u8]) {
    take_apart(bytes);
    let (wishes, changes) = bytes.split_at(bytes.len().min(24));
    let mut wish = [0; 24];
    wish[..wishes.len()].copy_from_slice(wishes);
    let whole = put_together(&wish);
    let mut changed = whole.clone();
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % changed.len().max(1);
        if let Some(place) = changed.get_mut(at) {
            *place = change[1];
        }
        take_apart(&changed);
    }
}

/// Takes messages apart, whole and cut.
fn take_apart(bytes: &[u8]) {
    for end in 0..=bytes.len().min(64) {
        let received = Received::parse(&bytes[..end]);
        if let Some(error) = received.error {
            let told = error.to_datagram_error(Address::Unnamed);
            assert!(told.path_mtu == 0 || told.path_mtu == error.info);
        }
    }
    // However many there are, it comes to an end.
    let _ = Received::parse(bytes);
}

/// Puts messages together, checks that they come apart as they went in, and returns them.
fn put_together(wish: &[u8; 24]) -> Vec<u8> {
    let [flags, ecn, interface @ ..] = wish;
    let (interface, address) = interface.split_at(4);
    let interface = u32::from_ne_bytes(interface.try_into().expect("4 bytes"));
    let v6: [u8; 16] = address[..16].try_into().expect("16 bytes");
    let v4: [u8; 4] = address[..4].try_into().expect("4 bytes");
    let is_v4 = flags & 1 != 0;
    let source = match flags & 3 {
        1 => IpAddr::V4(Ipv4Addr::from(v4)),
        _ => IpAddr::V6(Ipv6Addr::from(v6)),
    };
    let mark = match ecn & 3 {
        0 => Ecn::NotEct,
        1 => Ecn::Ect1,
        2 => Ecn::Ect0,
        _ => Ecn::CongestionExperienced,
    };
    let mut control = Control::new();
    let fits = source.to_canonical().is_ipv4() == is_v4;
    let pushed = control.push_source(is_v4, Some(source), interface);
    assert_eq!(pushed.is_ok(), fits);
    control.push_ecn(is_v4, mark);
    control.push_segment(u16::from_ne_bytes([address[16], address[17]]));
    let all = control.as_bytes();
    let received = Received::parse(all);
    assert_eq!(received.ecn, mark);
    assert_eq!(received.segment, 0, "a wish is no report");
    if let (true, IpAddr::V6(_)) = (fits, source.to_canonical()) {
        assert_eq!(received.destination, Some(source.to_canonical()));
        assert_eq!(received.interface, interface);
    }
    // What is cut says nothing else.
    for end in 0..all.len() {
        let cut = Received::parse(&all[..end]);
        assert!(cut.destination.is_none() || cut.destination == received.destination);
        assert!(cut.interface == 0 || cut.interface == received.interface);
        assert!(cut.ecn == Ecn::NotEct || cut.ecn == received.ecn);
    }
    all.to_vec()
}
