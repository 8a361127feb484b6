//! Addresses that are probed before they are used (RFC 5227, section 2; RFC 4862, section 5.4): two
//! stacks and frames made by hand in virtual time, and the kernel across a TAP.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use usockets::{Address as Any, Datagrams, Departure, Duration, Endpoint, Error, Platform};
use usockets_smoltcp::wire::checksum;
use usockets_smoltcp::{
    Address, AddressState, Capabilities, Faults, Medium, PollDevice, Random, Stack, TxMeta, Wire,
};
use usockets_tests::smoltcp::forge::{SYN, Seg, arp, frames, ip, ping};
use usockets_tests::smoltcp::{
    Device, Habit, Host, Recipe, a4, b4, mac, pattern, secs, seed, v6, wire,
};

const TENTATIVE: Option<AddressState> = Some(AddressState::Tentative);
const PREFERRED: Option<AddressState> = Some(AddressState::Preferred);
const DUPLICATED: Option<AddressState> = Some(AddressState::Duplicated);
const NOBODY: [u8; 4] = [0; 4];
/// The other station's hardware address.
const OTHER: u8 = 9;

fn own4(host: u8) -> [u8; 4] {
    [10, 0, 0, host]
}

fn own6(host: u8) -> Ipv6Addr {
    match v6(host.into(), 0).ip() {
        IpAddr::V6(ip) => ip,
        IpAddr::V4(_) => unreachable!(),
    }
}

/// What is in a message of neighbour discovery, so that each part of it can be wrong.
#[derive(Clone)]
struct Message {
    kind: u8,
    flags: u8,
    code: u8,
    from: Ipv6Addr,
    to: Ipv6Addr,
    target: Ipv6Addr,
    options: Vec<u8>,
    hops: u8,
}

impl Message {
    /// A probe (RFC 4862, section 5.4.2).
    fn probe(target: Ipv6Addr) -> Self {
        let [.., a, b, c] = target.octets();
        Self {
            kind: 135,
            flags: 0,
            code: 0,
            from: Ipv6Addr::UNSPECIFIED,
            to: [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c].into(),
            target,
            options: Vec::new(),
            hops: 255,
        }
    }

    /// The question where a neighbour is.
    fn question(from: Ipv6Addr, from_mac: u8, target: Ipv6Addr) -> Self {
        let options = option(1, from_mac);
        Self {
            from,
            options,
            ..Self::probe(target)
        }
    }

    /// An advertisement to all (RFC 4861, section 7.2.6).
    fn advertisement(target: Ipv6Addr, target_mac: Option<u8>) -> Self {
        Self {
            kind: 136,
            flags: 0x20,
            from: target,
            to: Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
            options: target_mac.map_or_else(Vec::new, |host| option(2, host)),
            ..Self::probe(target)
        }
    }

    fn frame(&self, from_mac: u8) -> Vec<u8> {
        let mut body = vec![self.kind, self.code, 0, 0, self.flags, 0, 0, 0];
        body.extend(self.target.octets());
        body.extend(&self.options);
        let sum = checksum::transport(self.from.into(), self.to.into(), 58, &body);
        body[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut frame = ip(self.from.into(), self.to.into(), 58, &body, from_mac, 2);
        frame[21] = self.hops;
        let [.., a, b, c, d] = self.to.octets();
        if self.to.is_multicast() {
            frame[..6].copy_from_slice(&[0x33, 0x33, a, b, c, d]);
        }
        frame
    }
}

/// A link-layer address as an option.
fn option(kind: u8, host: u8) -> Vec<u8> {
    let mut option = vec![kind, 1];
    option.extend(mac(host));
    option
}

/// One stack that probes its addresses, and the rest of the link in the hands of the test.
struct Link {
    wire: &'static Wire<'static>,
    hand: Device,
    host: Host,
    start: usockets::Instant,
    /// What the program was told, and after how long.
    told: Vec<(Duration, IpAddr, AddressState)>,
}

/// A frame, and how long after the start it was sent.
type Sent = (Duration, Vec<u8>);

fn recipe(host: u8) -> Recipe {
    let mut recipe = Recipe::new(host);
    (recipe.probe, recipe.announce) = (true, true);
    recipe
}

impl Link {
    fn new(recipe: &Recipe) -> Self {
        let (wire, [hand, device]) = wire(Faults::NONE, 1, recipe.medium);
        Self {
            wire,
            hand,
            host: Host::new(recipe.build(device)),
            start: wire.now(),
            told: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        self.wire.now().saturating_since(self.start)
    }

    fn state(&self, ip: impl Into<IpAddr>) -> Option<AddressState> {
        self.host.net.address_state(ip.into())
    }

    /// Has the loop look, and takes what was sent and told.
    fn step(&mut self) -> Vec<Sent> {
        self.host.step();
        while let Some((address, state)) = self.host.net.next_address_change() {
            self.told.push((self.now(), address.ip, state));
        }
        let now = self.now();
        let sent = frames(&mut self.hand);
        sent.into_iter().map(|frame| (now, frame)).collect()
    }

    /// Lets time pass, from one moment to the next at which the stack wants to be looked at, and
    /// to none between. Returns all that was sent.
    fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.wire.now().saturating_add(time);
        let mut sent = Vec::new();
        for turn in 0.. {
            assert!(turn < 10_000, "it does not sleep");
            sent.extend(self.step());
            let next = self.host.net.next_deadline().unwrap_or(end).min(end);
            if self.wire.now() >= end {
                return sent;
            }
            self.wire.pass(next.saturating_since(self.wire.now()));
        }
        sent
    }

    /// Puts a frame on the wire; returns what answers it at once.
    fn send(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.hand.inject(frame);
        let sent = [self.step(), self.step()].concat();
        sent.into_iter().map(|(_, frame)| frame).collect()
    }
}

/// The frames among `sent` that are just this one, by when they were sent.
fn times(sent: &[Sent], frame: &[u8]) -> Vec<Duration> {
    let same = sent.iter().filter(|(_, sent)| sent == frame);
    same.map(|(time, _)| *time).collect()
}

fn announcement6(host: u8) -> Vec<u8> {
    Message::advertisement(own6(host), Some(host)).frame(host)
}

/// RFC 5227, section 2.1.1: a wait of up to a second, three probes with one to two seconds between,
/// and two seconds; then two announcements, two seconds apart (section 2.3). RFC 4862, section
/// 5.4.2: one solicitation, and a second.
#[test]
fn addresses_are_used_once_they_were_probed() {
    let mut first = Vec::new();
    for host in 2..40 {
        let mut link = Link::new(&recipe(host));
        let sent = link.pass(secs(30));
        let probes = times(&sent, &arp(1, NOBODY, host, own4(host)));
        let [a, b, c] = probes[..] else {
            panic!("{probes:?}")
        };
        assert!(a < secs(1), "{a:?}");
        for gap in [b - a, c - b] {
            assert!((secs(1)..=secs(2)).contains(&gap), "{gap:?}");
        }
        let announced = times(&sent, &arp(1, own4(host), host, own4(host)));
        assert_eq!(announced, [c + secs(2), c + secs(4)]);
        let solicited = times(&sent, &Message::probe(own6(host)).frame(host));
        let [d] = solicited[..] else {
            panic!("{solicited:?}")
        };
        assert!(d < secs(1), "{d:?}");
        let advertised = times(&sent, &announcement6(host));
        assert_eq!(advertised, [d + secs(1), d + secs(3)]);
        assert_eq!(sent.len(), 8, "nothing else");
        let told = [
            (d + secs(1), own6(host).into(), AddressState::Preferred),
            (c + secs(2), own4(host).into(), AddressState::Preferred),
        ];
        assert_eq!(link.told, told);
        assert_eq!(link.state(own4(host)), PREFERRED);
        assert_eq!(link.state([9, 9, 9, 9]), None);
        first.push(a);
        let counters = link.host.net.counters();
        assert_eq!((counters.duplicates, counters.conflicts), (0, 0));
    }
    // They are drawn, and not all from one end.
    first.sort();
    assert!(first[0] < Duration::from_millis(200) && first[37] > Duration::from_millis(800));
}

/// Who does not announce says nothing, but asks.
#[test]
fn without_announcements_addresses_are_probed_as_well() {
    let mut quiet = recipe(2);
    quiet.announce = false;
    let mut link = Link::new(&quiet);
    assert_eq!(link.pass(secs(30)).len(), 4);
    assert_eq!(link.told.len(), 2);
}

/// By default, and where there are no neighbours.
#[test]
fn addresses_that_are_not_probed_are_used_at_once() {
    let mut at_once = recipe(2);
    at_once.probe = false;
    let mut link = Link::new(&at_once);
    assert_eq!(link.state(own4(2)), PREFERRED);
    assert_eq!(link.state(own6(2)), PREFERRED);
    let sent = link.pass(secs(30));
    assert_eq!(times(&sent, &arp(1, NOBODY, 2, own4(2))).len(), 0);
    assert_eq!(sent.len(), 4);
    let mut point = recipe(2);
    point.medium = Medium::Ip;
    let mut link = Link::new(&point);
    assert_eq!(link.state(own4(2)), PREFERRED);
    assert_eq!(link.pass(secs(30)).len(), 0);
    assert_eq!(link.told, []);
}

/// RFC 4862, section 5.4: it answers nobody, and takes nothing.
#[test]
fn a_tentative_address_is_as_if_it_were_not_there() {
    let mut link = Link::new(&recipe(2));
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    link.host.listen(&at, Habit::Keep);
    let asks: [Vec<u8>; 6] = [
        arp(1, own4(1), 1, own4(2)),
        Message::question(own6(1), 1, own6(2)).frame(1),
        ping(a4(0).ip(), b4(0).ip(), 1, 2, 10),
        ping(v6(1, 0).ip(), v6(2, 0).ip(), 1, 2, 10),
        Seg::new(a4(5_000), b4(80), SYN, 1, 0).frame(1, 2),
        Seg::new(v6(1, 5_000), v6(2, 80), SYN, 1, 0).frame(1, 2),
    ];
    for frame in &asks {
        assert_eq!(link.send(frame), [[0; 0]; 0]);
    }
    assert_eq!(
        (link.state(own4(2)), link.state(own6(2))),
        (TENTATIVE, TENTATIVE)
    );
    assert_eq!(link.host.net.free_count(), 64);
    link.pass(secs(30));
    for frame in &asks {
        assert_eq!(link.send(frame).len(), 1);
    }
}

/// As the kernel says EADDRNOTAVAIL: the program is told, and connects once the address is in use.
#[test]
fn nothing_is_sent_from_a_tentative_address() {
    let mut all = recipe(2);
    all.datagrams = (2, 500, 500);
    let mut link = Link::new(&all);
    let unavailable = Error::AddressUnavailable;
    let to4 = Endpoint::tcp(a4(80));
    let to6 = Endpoint::tcp(v6(1, 80));
    for to in [
        to4,
        to6,
        to4.source(b4(0)),
        Endpoint::tcp(([9, 9, 9, 9], 80).into()),
    ] {
        assert_eq!(link.host.try_connect(&to, b""), Err(unavailable));
    }
    let mut socket = Stack::<Device>::CLOSED;
    let id = link.host.id();
    let net = &mut link.host.net;
    net.bind(&mut socket, id, b4(53).into()).unwrap();
    let to = Any::from(a4(53));
    let departure = Departure {
        len: 1,
        to,
        ..Departure::default()
    };
    let sent = net.send_batch(&mut socket, b"x", &[departure]);
    assert_eq!(sent, Err(unavailable));
    let mut any = Stack::<Device>::CLOSED;
    let id = link.host.id();
    let net = &mut link.host.net;
    net.bind(&mut any, id, SocketAddr::from(([0_u16; 8], 54)).into())
        .unwrap();
    assert_eq!(
        net.send_batch(&mut any, b"x", &[departure]),
        Err(unavailable)
    );
    // IPv6 is there first.
    link.pass(secs(3));
    assert_eq!(
        (link.state(own4(2)), link.state(own6(2))),
        (TENTATIVE, PREFERRED)
    );
    assert_eq!(link.host.try_connect(&to4, b""), Err(unavailable));
    link.host.connect(&to6, b"");
    link.pass(secs(5));
    link.host.connect(&to4, b"");
    let net = &mut link.host.net;
    assert_eq!(net.send_batch(&mut socket, b"x", &[departure]), Ok(1));
    assert_eq!(net.send_batch(&mut any, b"x", &[departure]), Ok(1));
}

#[test]
fn a_listener_at_a_tentative_address_accepts_once_it_is_in_use() {
    let mut link = Link::new(&recipe(2));
    link.host.listen(&Endpoint::tcp(b4(80)), Habit::Keep);
    let syn = Seg::new(a4(5_000), b4(80), SYN, 1, 0).frame(1, 2);
    assert_eq!(link.send(&syn), [[0; 0]; 0]);
    link.pass(secs(8));
    link.send(&arp(1, own4(1), 1, own4(2)));
    assert_eq!(link.send(&syn).len(), 1);
    assert_eq!(link.host.net.free_count(), 63);
}

/// What says that another station has an address, or wants it as well.
fn claims() -> Vec<(&'static str, IpAddr, Vec<u8>)> {
    let (ip4, ip6) = (IpAddr::from(own4(2)), own6(2));
    let nonce = vec![14, 1, 1, 2, 3, 4, 5, 6];
    let mut zero = arp(2, own4(2), OTHER, own4(1));
    zero[22..28].fill(0);
    vec![
        ("reply to our probe", ip4, arp(2, own4(2), OTHER, NOBODY)),
        ("reply to another", ip4, arp(2, own4(2), OTHER, own4(1))),
        ("announcement", ip4, arp(1, own4(2), OTHER, own4(2))),
        ("question from it", ip4, arp(1, own4(2), OTHER, own4(1))),
        ("probe", ip4, arp(1, NOBODY, OTHER, own4(2))),
        ("without hardware address", ip4, zero),
        (
            "advertisement",
            ip6.into(),
            Message::advertisement(ip6, Some(OTHER)).frame(OTHER),
        ),
        (
            "advertisement without hardware address",
            ip6.into(),
            Message::advertisement(ip6, None).frame(OTHER),
        ),
        ("solicitation", ip6.into(), Message::probe(ip6).frame(OTHER)),
        (
            "solicitation with a nonce (RFC 7527), as of Linux",
            ip6.into(),
            Message {
                options: nonce,
                ..Message::probe(ip6)
            }
            .frame(OTHER),
        ),
        (
            "question from it, by IPv6",
            ip6.into(),
            Message::question(ip6, OTHER, own6(1)).frame(OTHER),
        ),
    ]
}

/// At any time from the start until it is in use.
#[test]
fn an_address_that_another_station_claims_is_not_used() {
    for (what, ip, frame) in claims() {
        for millis in [0, 900, 1_100, 2_500, 3_900] {
            let mut link = Link::new(&recipe(2));
            let before = link.pass(Duration::from_millis(millis));
            if link.state(ip) == PREFERRED {
                assert!(ip.is_ipv6() && millis > 1_000);
                continue;
            }
            let at = link.now();
            assert_eq!(link.send(&frame), [[0; 0]; 0], "{what}");
            assert_eq!(link.state(ip), DUPLICATED, "{what} after {millis} ms");
            assert_eq!(link.told.last(), Some(&(at, ip, AddressState::Duplicated)));
            assert_eq!(link.host.net.counters().duplicates, 1);
            // Once more it is no news, and nothing more is sent for it: no probe, no answer.
            link.send(&frame);
            link.send(&arp(1, own4(1), 1, own4(2)));
            let after = link.pass(secs(30));
            assert_eq!(link.host.net.counters().duplicates, 1);
            assert_eq!(link.state(ip), DUPLICATED);
            let kind: [u8; 2] = if ip.is_ipv4() { [8, 6] } else { [0x86, 0xdd] };
            let more = after.iter().filter(|(_, sent)| sent[12..14] == kind);
            assert_eq!(more.count(), 0, "{what}");
            // The other address is none the worse.
            assert_eq!(link.told.len(), 2);
            assert!(before.len() + after.len() >= 3);
            let to = if ip.is_ipv4() { a4(80) } else { v6(1, 80) };
            let connected = link.host.try_connect(&Endpoint::tcp(to), b"");
            assert_eq!(connected, Err(Error::AddressUnavailable));
            let id = link.host.id();
            let mut socket = Stack::<Device>::CLOSED;
            let at = Endpoint::tcp(SocketAddr::new(ip, 80));
            let listening = link.host.net.listen(&mut socket, id, &at);
            assert_eq!(listening, Err(Error::AddressUnavailable));
        }
    }
}

/// What is about another address, comes from us, asks or is broken.
fn harmless() -> Vec<(&'static str, Vec<u8>)> {
    let ip6 = own6(2);
    let probe = Message::probe(ip6);
    let advertisement = Message::advertisement(ip6, Some(OTHER));
    let ours = |mut frame: Vec<u8>| {
        // Passed on by a station that puts its own hardware address in front.
        frame[6..12].copy_from_slice(&mac(OTHER));
        frame
    };
    let with = |change: fn(&mut Message)| {
        let mut message = Message::probe(own6(2));
        change(&mut message);
        message.frame(OTHER)
    };
    let bits = |at: usize, mut frame: Vec<u8>| {
        frame[at] ^= 1;
        frame
    };
    vec![
        ("looped back", arp(1, NOBODY, 2, own4(2))),
        ("looped back", probe.frame(2)),
        ("announced by us", announcement6(2)),
        ("passed on", ours(arp(1, NOBODY, 2, own4(2)))),
        ("passed on", ours(announcement6(2))),
        ("another's probe", arp(1, NOBODY, OTHER, own4(3))),
        ("another's", arp(2, own4(3), OTHER, own4(2))),
        ("a question", arp(1, own4(3), OTHER, own4(2))),
        ("a reply from nobody", arp(2, NOBODY, OTHER, own4(2))),
        (
            "a question",
            Message::question(own6(3), OTHER, ip6).frame(OTHER),
        ),
        ("another's probe", Message::probe(own6(3)).frame(OTHER)),
        ("other hardware", bits(15, arp(1, NOBODY, OTHER, own4(2)))),
        ("other protocol", bits(16, arp(1, NOBODY, OTHER, own4(2)))),
        ("other operation", bits(20, arp(1, NOBODY, OTHER, own4(2)))),
        ("hop limit", with(|probe| probe.hops = 254)),
        ("code", with(|probe| probe.code = 1)),
        (
            "source option",
            with(|probe| probe.options = option(1, OTHER)),
        ),
        (
            "empty option",
            with(|probe| probe.options = vec![14, 0, 0, 0, 0, 0, 0, 0]),
        ),
        ("to us alone", with(|probe| probe.to = probe.target)),
        (
            "to all",
            with(|probe| probe.to = Message::advertisement(probe.target, None).to),
        ),
        ("checksum", bits(56, probe.frame(OTHER))),
        ("solicited by all", {
            let mut message = advertisement.clone();
            message.flags = 0x60;
            message.frame(OTHER)
        }),
    ]
}

#[test]
fn nothing_else_makes_an_address_a_duplicate() {
    let ip6 = own6(2);
    let probe = Message::probe(ip6);
    let advertisement = Message::advertisement(ip6, Some(OTHER));
    let mut cut = vec![
        arp(2, own4(2), OTHER, own4(1)),
        arp(1, NOBODY, OTHER, own4(2)),
        probe.frame(OTHER),
        advertisement.frame(OTHER),
    ];
    let mut link = Link::new(&recipe(2));
    for frame in &mut cut {
        for len in 0..frame.len() {
            link.send(&frame[..len]);
        }
    }
    for (what, frame) in harmless() {
        assert_eq!(link.send(&frame), [[0; 0]; 0], "{what}");
        assert_eq!(link.told, [], "{what}");
    }
    let mut random = Random::new(seed(7));
    for _ in 0..20_000 {
        let mut frame = cut[random.below(4) as usize].clone();
        // Whatever is in it, of another address.
        let end = frame.len() - 1;
        let at = if frame[12] == 8 {
            [31, 41]
        } else {
            [53 + 24, end]
        };
        for _ in 0..random.below(6) {
            let at = random.below(frame.len() as u64) as usize;
            frame[at] = random.next() as u8;
        }
        for at in at {
            frame[at] = 77;
        }
        if frame[12..14] != [0x86, 0xdd] || frame[53 + 24] == 77 {
            link.send(&frame);
        }
    }
    assert_eq!(link.told, []);
    link.pass(secs(30));
    assert_eq!(
        (link.state(own4(2)), link.state(own6(2))),
        (PREFERRED, PREFERRED)
    );
}

/// Two stacks with one address on a wire.
struct Twins {
    wire: &'static Wire<'static>,
    hosts: Vec<(Host, Vec<AddressState>)>,
}

impl Twins {
    /// The second starts `after` the first.
    fn run(after: Duration, faults: Faults) -> Self {
        let (wire, [left, mut right]) = wire(faults, seed(3), Medium::Ethernet);
        let mut second = recipe(3);
        second.twin = Some(2);
        let mut twins = Self {
            wire,
            hosts: vec![(Host::new(recipe(2).build(left)), Vec::new())],
        };
        twins.pass(after);
        // What was said before it was there.
        frames(&mut right);
        let host = Host::new(second.build(right));
        twins.hosts.push((host, Vec::new()));
        twins
    }

    fn pass(&mut self, time: Duration) {
        let end = self.wire.now().saturating_add(time);
        while self.wire.now() < end {
            for (host, told) in &mut self.hosts {
                host.step();
                while let Some((_, state)) = host.net.next_address_change() {
                    told.push(state);
                }
            }
            self.wire.pass(Duration::from_millis(1));
        }
    }

    fn states(&self, ip: impl Into<IpAddr>) -> Vec<Option<AddressState>> {
        let ip = ip.into();
        let state = |(host, _): &(Host, _)| host.net.address_state(ip);
        self.hosts.iter().map(state).collect()
    }
}

/// Both learn of it when both probe; who has it keeps it.
#[test]
fn of_two_stacks_with_one_address_one_has_it_at_most() {
    // Each hears the other's probe after its own.
    let far = Faults::NONE.delay(Duration::from_millis(1_100));
    let mut twins = Twins::run(Duration::ZERO, far);
    twins.pass(secs(20));
    assert_eq!(twins.states(own4(2)), [DUPLICATED, DUPLICATED]);
    // Who hears the other's first leaves it to the other.
    let mut twins = Twins::run(Duration::ZERO, Faults::NONE);
    twins.pass(secs(20));
    for ip in [own4(2).into(), IpAddr::from(own6(2))] {
        let mut states = twins.states(ip);
        states.sort_by_key(|state| *state == DUPLICATED);
        assert_eq!(states, [PREFERRED, DUPLICATED]);
    }
    let mut twins = Twins::run(secs(10), Faults::NONE);
    twins.pass(secs(20));
    for ip in [own4(2).into(), IpAddr::from(own6(2))] {
        assert_eq!(twins.states(ip), [PREFERRED, DUPLICATED]);
    }
    assert_eq!(
        twins.hosts[0].0.net.counters().conflicts,
        0,
        "a probe claims nothing"
    );
    assert_eq!(twins.hosts[1].0.net.counters().duplicates, 2);
}

/// Two probes of IPv4 may be lost, so what loses a frame in five rarely hides anybody.
#[test]
fn an_address_is_found_although_probes_are_lost() {
    let mut twins = Twins::run(secs(10), Faults::NONE);
    twins.wire.set_faults(Faults::NONE.loss(1_000_000));
    twins.pass(Duration::from_millis(1_500));
    twins.wire.set_faults(Faults::NONE);
    assert!(twins.wire.lost_count() > 0);
    twins.pass(secs(20));
    assert_eq!(twins.states(own4(2)), [PREFERRED, DUPLICATED]);
    // All of them are: both have it, and one hears the other's announcement.
    let mut twins = Twins::run(secs(10), Faults::NONE);
    twins.wire.set_faults(Faults::NONE.loss(1_000_000));
    twins.pass(secs(8));
    assert_eq!(twins.states(own4(2)), [PREFERRED, PREFERRED]);
    twins.wire.set_faults(Faults::NONE);
    twins.pass(secs(20));
    let conflicts = |of: usize| twins.hosts[of].0.net.counters().conflicts;
    assert!(
        conflicts(0) > 0 && conflicts(0) + conflicts(1) < 10,
        "it ends"
    );
}

/// RFC 5227, section 2.4: what was probed is defended.
#[test]
fn an_address_in_use_is_defended() {
    let mut link = Link::new(&recipe(2));
    link.pass(secs(30));
    let defence = arp(1, own4(2), 2, own4(2));
    let claim = arp(1, own4(2), OTHER, own4(2));
    assert_eq!(link.send(&claim), std::slice::from_ref(&defence));
    assert_eq!(link.send(&claim), [[0; 0]; 0]);
    // A probe is answered.
    let reply = &link.send(&arp(1, NOBODY, OTHER, own4(2)))[0];
    assert_eq!(
        (&reply[20..22], &reply[22..28], &reply[28..32]),
        (&[0, 2][..], &mac(2)[..], &own4(2)[..])
    );
    let answers = link.send(&Message::probe(own6(2)).frame(OTHER));
    assert_eq!(answers, [announcement6(2)]);
    link.pass(secs(10));
    let claim = Message::advertisement(own6(2), Some(OTHER)).frame(OTHER);
    assert_eq!(link.send(&claim), [announcement6(2)]);
    assert_eq!(link.host.net.counters().conflicts, 3);
    assert_eq!(link.told.len(), 2, "it stays in use");
}

/// A device that has room now and then.
struct Narrow {
    inner: Device,
    has_room: Rc<Cell<bool>>,
}

impl PollDevice for Narrow {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.inner.receive(frames_max)
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.inner.frame(index)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.inner.slot(len).filter(|_| self.has_room.get())
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        self.inner.commit(len, meta);
    }

    fn wait(&mut self, until: Option<usockets::Instant>) {
        self.inner.wait(until);
    }

    fn now(&self) -> usockets::Instant {
        self.inner.now()
    }
}

/// A probe that was never sent has asked nobody.
#[test]
fn a_full_device_holds_an_address_up() {
    let (wire, [mut hand, inner]) = wire(Faults::NONE, 1, Medium::Ethernet);
    let has_room = Rc::new(Cell::new(false));
    let device = Narrow {
        inner,
        has_room: has_room.clone(),
    };
    let mut host = Host::new(recipe(2).build_on(device));
    let pass = |host: &mut Host<_>, millis: u64| {
        for _ in 0..millis {
            host.step();
            wire.pass(Duration::from_millis(1));
        }
    };
    pass(&mut host, 30_000);
    assert_eq!(frames(&mut hand).len(), 0);
    assert_eq!(host.net.address_state(own6(2).into()), TENTATIVE);
    has_room.set(true);
    pass(&mut host, 20);
    assert_eq!(frames(&mut hand).len(), 2, "both at once");
    pass(&mut host, 900);
    assert_eq!(host.net.address_state(own6(2).into()), TENTATIVE);
    pass(&mut host, 200);
    assert_eq!(host.net.address_state(own6(2).into()), PREFERRED);
    pass(&mut host, 8_000);
    assert_eq!(host.net.address_state(own4(2).into()), PREFERRED);
    assert_eq!(frames(&mut hand).len(), 2 + 2 + 2);
}

/// RFC 5227, section 2.1.1: whoever makes a duplicate of each address, after the tenth there is no
/// more than one attempt in a minute.
#[test]
fn a_station_that_claims_everything_makes_no_flood() {
    let mut link = Link::new(&recipe(2));
    let mut probes = Vec::new();
    let mut old = own4(2);
    for attempt in 0..14_u8 {
        let start = link.now();
        while link.state(old) == TENTATIVE {
            for (time, frame) in link.pass(Duration::from_millis(50)) {
                if frame[12..14] == [8, 6] {
                    probes.push(time);
                    link.send(&arp(2, old, OTHER, NOBODY));
                }
            }
        }
        assert_eq!(link.state(old), DUPLICATED);
        // And a thousand times more: no work comes of it.
        for _ in 0..1_000 {
            assert_eq!(link.send(&arp(2, old, OTHER, NOBODY)), [[0; 0]; 0]);
        }
        assert_eq!(link.host.net.counters().duplicates, u64::from(attempt) + 1);
        assert!(link.now() - start < secs(62), "{attempt}");
        // The same again, or another.
        let new = own4(if attempt % 2 == 0 { 2 } else { 100 + attempt });
        let replaced = link
            .host
            .net
            .replace_address(old.into(), Address::new(new.into(), 24));
        assert_eq!(replaced, Ok(()));
        assert_eq!(
            (link.state(new), link.state(own6(2)).is_some()),
            (TENTATIVE, true)
        );
        assert!(new == old || link.state(old).is_none());
        old = new;
    }
    assert_eq!(probes.len(), 14, "one a try");
    let gaps: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[..9].iter().all(|gap| *gap < secs(2)), "{gaps:?}");
    assert!(gaps[10..].iter().all(|gap| *gap >= secs(59)), "{gaps:?}");
    // In the end it is let.
    link.pass(secs(70));
    assert_eq!(link.state(old), PREFERRED);
}

#[test]
fn only_a_duplicate_is_replaced_and_only_by_what_a_station_can_have() {
    let mut link = Link::new(&recipe(2));
    let address = |ip: [u8; 4], prefix| Address::new(ip.into(), prefix);
    let new = address(own4(3), 24);
    let net = &mut link.host.net;
    assert_eq!(
        net.replace_address(own4(2).into(), new),
        Err(Error::Invalid)
    );
    assert_eq!(
        net.replace_address(own4(7).into(), new),
        Err(Error::Invalid)
    );
    link.pass(secs(3));
    link.send(&arp(2, own4(2), OTHER, NOBODY));
    let net = &mut link.host.net;
    for bad in [
        address(own4(3), 33),
        address([255; 4], 24),
        address([224, 0, 0, 1], 24),
        Address::new(own6(2).into(), 64),
    ] {
        assert_eq!(
            net.replace_address(own4(2).into(), bad),
            Err(Error::Invalid)
        );
    }
    assert_eq!(
        net.replace_address(own6(2).into(), new),
        Err(Error::Invalid)
    );
    // By one of the other family, why not.
    let six = Address::new(own6(55).into(), 64);
    assert_eq!(net.replace_address(own4(2).into(), six), Ok(()));
    let sent = link.pass(secs(10));
    assert_eq!(times(&sent, &Message::probe(own6(55)).frame(2)).len(), 1);
    assert_eq!(
        (link.state(own6(55)), link.state(own4(2))),
        (PREFERRED, None)
    );
}

/// An address of a lease was probed by who took it, and takes the place of those that are not in
/// use yet.
#[test]
fn an_address_that_the_program_sets_is_in_use_at_once() {
    for conflict in [false, true] {
        let mut link = Link::new(&recipe(2));
        if conflict {
            link.send(&arp(2, own4(2), OTHER, NOBODY));
        }
        let lease = Address::new(own4(50).into(), 24);
        link.host.net.set_address_v4(Some((lease, None))).unwrap();
        assert_eq!(
            (link.state(own4(50)), link.state(own4(2))),
            (PREFERRED, None)
        );
        assert_eq!(link.state(own6(2)), TENTATIVE);
        let sent = link.pass(secs(30));
        assert_eq!(times(&sent, &arp(1, NOBODY, 2, own4(2))).len(), 0);
        assert_eq!(times(&sent, &arp(1, own4(50), 2, own4(50))).len(), 2);
        assert_eq!(link.state(own6(2)), PREFERRED);
        assert_eq!(link.told.len(), 1 + usize::from(conflict));
        link.host.net.set_address_v4(None).unwrap();
        assert_eq!(
            (link.state(own4(50)), link.state(own6(2))),
            (None, PREFERRED)
        );
    }
    // The same address as the one that is probed.
    let mut link = Link::new(&recipe(2));
    let same = Address::new(own4(2).into(), 24);
    link.host.net.set_address_v4(Some((same, None))).unwrap();
    assert_eq!(link.state(own4(2)), PREFERRED);
    let sent = link.pass(secs(30));
    assert_eq!(times(&sent, &arp(1, NOBODY, 2, own4(2))).len(), 0);
    assert_eq!(link.state(own6(2)), PREFERRED);
}

/// An exchange over addresses that were probed on both sides.
#[test]
fn two_stacks_talk_once_both_have_their_addresses() {
    let mut world = usockets_tests::smoltcp::World::of(Faults::NONE, 1, &recipe(1), &recipe(2));
    world.b.listen(&Endpoint::tcp(b4(80)), Habit::Echo);
    world.b.listen(&Endpoint::tcp(v6(2, 81)), Habit::Echo);
    world.run(secs(10), |world| {
        world.a.net.address_state(own4(1).into()) == PREFERRED
            && world.b.net.address_state(own4(2).into()) == PREFERRED
    });
    let bytes = pattern(50_000, 2);
    let ids = [b4(80), v6(2, 81)].map(|to| world.a.connect(&Endpoint::tcp(to), &bytes));
    world.run(secs(10), |world| {
        ids.iter().all(|id| world.a.conn(*id).received == bytes)
    });
}

/// One of several stacks that are one host asks, and whatever one of them hears counts for all.
#[test]
fn several_stacks_of_one_host_probe_once() {
    use usockets_smoltcp::{Rss, RssKey, SharedPacket, SharedQueues};
    use usockets_tests::smoltcp::card::Card;
    use usockets_tests::smoltcp::leak;
    static KEY: RssKey = RssKey::MICROSOFT;
    static TABLE: [u16; 128] = Rss::spread(2);
    for hears in [None, Some(0), Some(1)] {
        let recipe = recipe(1);
        let mut card = Card::of([&recipe, &recipe], None);
        let shared: &'static SharedQueues =
            &leak(1, || SharedQueues::<[SharedPacket; 8]>::new(2))[0];
        for (stack, queue) in card.stacks.iter_mut().zip(0..) {
            let rss = Rss::new(&KEY, &TABLE);
            stack.net.share_queues(shared, rss, queue, &|_| {}).unwrap();
        }
        let mut sent = Vec::new();
        let mut told = [Vec::new(), Vec::new()];
        for millis in 0..10_000 {
            if let Some(queue) = hears.filter(|_| millis == 700) {
                let claim = arp(2, own4(1), OTHER, NOBODY);
                card.inboxes[queue].borrow_mut().push_back(claim);
            }
            for (stack, told) in card.stacks.iter_mut().zip(&mut told) {
                stack.step();
                while let Some((address, state)) = stack.net.next_address_change() {
                    told.push((address.ip, state));
                }
            }
            sent.extend(card.outbox.borrow_mut().drain(..));
            card.now.set(card.now.get() + 1_000);
        }
        let of = |frame: &[u8]| sent.iter().filter(|sent| *sent == frame).count();
        let (probes, found, uses) = match hears {
            None => (3, AddressState::Preferred, 2),
            Some(_) => (1, AddressState::Duplicated, 0),
        };
        assert!(
            (1..=probes).contains(&of(&arp(1, NOBODY, 1, own4(1)))),
            "{hears:?}"
        );
        assert_eq!(of(&Message::probe(own6(1)).frame(1)), 1);
        assert_eq!(of(&arp(1, own4(1), 1, own4(1))), uses);
        assert_eq!(of(&announcement6(1)), 2);
        for mut told in told {
            told.sort_by_key(|(ip, _)| ip.is_ipv6());
            let expected = [
                (own4(1).into(), found),
                (own6(1).into(), AddressState::Preferred),
            ];
            assert_eq!(told, expected, "{hears:?}");
        }
        let duplicates = card
            .stacks
            .each_ref()
            .map(|stack| stack.net.counters().duplicates);
        assert_eq!(duplicates.iter().sum::<u64>(), u64::from(hears.is_some()));
        let net = &mut card.stacks[0].net;
        let new = Address::new(own4(9).into(), 24);
        let replaced = net.replace_address(own4(1).into(), new);
        assert_eq!(replaced, Err(Error::Unsupported));
    }
}

#[cfg(target_os = "linux")]
mod on_a_tap {
    use std::process::Command;

    use usockets_tests::smoltcp::kernel::{
        Faulty, Link, STACK, command, in_namespace, probing_stack,
    };

    use super::{AddressState, DUPLICATED, Duration, IpAddr, Platform, Stack, own6};

    type Net = Stack<'static, Faulty>;

    /// Has the stack run until all three addresses have come to something, and a while longer.
    fn run(net: &mut Net, millis: u64) -> Vec<(IpAddr, AddressState)> {
        let mut told = Vec::new();
        let mut end = net.now().saturating_add(Duration::from_secs(20));
        while net.now() < end {
            net.poll(Some(end)).unwrap();
            while net.next_ready().is_some() {}
            while let Some((address, state)) = net.next_address_change() {
                told.push((address.ip, state));
                if told.len() == 3 {
                    end = net.now().saturating_add(Duration::from_millis(millis));
                }
            }
        }
        told
    }

    #[test]
    fn an_address_of_the_kernel_is_found_to_be_a_duplicate() {
        in_namespace(|| {
            let mut net = probing_stack(Link::Tap);
            command("ip addr add 10.0.0.2/24 dev us0");
            command("ip addr add fd00::2/64 dev us0 nodad");
            let told = run(&mut net, 100);
            let local: IpAddr = "fe80::2".parse().unwrap();
            assert_eq!(net.address_state(STACK.into()), DUPLICATED, "{told:?}");
            assert_eq!(net.address_state(own6(2).into()), DUPLICATED, "{told:?}");
            assert!(told.contains(&(local, AddressState::Preferred)), "{told:?}");
            assert_eq!(net.counters().duplicates, 2);
        });
    }

    #[test]
    fn the_kernel_finds_an_address_of_ours_to_be_a_duplicate() {
        in_namespace(|| {
            let mut net = probing_stack(Link::Tap);
            let told = run(&mut net, 100);
            let preferred = |(_, state): &(_, AddressState)| *state == AddressState::Preferred;
            assert!(told.len() == 3 && told.iter().all(preferred), "{told:?}");
            command("ip addr add fd00::2/64 dev us0");
            command("ip addr add fd00::3/64 dev us0");
            let end = net.now().saturating_add(Duration::from_secs(4));
            while net.now() < end {
                net.poll(Some(end)).unwrap();
            }
            let shown = |flag: &str| {
                let args = ["-6", "-oneline", "addr", "show", "dev", "us0", flag];
                let output = Command::new("ip").args(args).output().unwrap();
                String::from_utf8(output.stdout).unwrap()
            };
            let failed = shown("dadfailed");
            assert!(
                failed.contains("fd00::2/64") && !failed.contains("fd00::3/64"),
                "{failed}"
            );
            assert_eq!(net.counters().duplicates, 0);
        });
    }
}
