//! The DHCP client, against a server with a script, in virtual time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use usockets::{
    AllSockets, Duration, Endpoint, Handler, Instant, Loop, Opened, Socket, SocketId, Sockets,
};
use usockets_smoltcp::dhcp::{Action, DhcpClient, DhcpEvent, Lease};
use usockets_smoltcp::wire::checksum;
use usockets_smoltcp::wire::dhcp::{Dhcp, Kind, MESSAGE_MAX};
use usockets_smoltcp::{Faults, Medium, Random, Secret};
use usockets_tests::smoltcp::dhcp::{Server, emit, fuzz_dhcp};
use usockets_tests::smoltcp::forge::{arp, frames, ip};
use usockets_tests::smoltcp::{Device, Net, Recipe, mac, secs, seed, wire};

/// A client, its clock, and what it wanted.
struct Desk {
    client: DhcpClient,
    now: Instant,
    server: Server,
    /// Answers of the server that are on their way.
    answers: Vec<Vec<u8>>,
    probed: Vec<Ipv4Addr>,
    lease: Option<Lease>,
    changes: usize,
    /// Where messages went.
    to: Vec<Ipv4Addr>,
}

impl Desk {
    fn new() -> Self {
        Self {
            client: DhcpClient::new(mac(2), Secret::new([3; 16])),
            now: Instant::from_micros(5_000_000),
            server: Server::new(),
            answers: Vec::new(),
            probed: Vec::new(),
            lease: None,
            changes: 0,
            to: Vec::new(),
        }
    }

    /// Lets the client do what is due now, and the server answer; returns when it is due again.
    fn step(&mut self) -> Instant {
        let mut buffer = [0; MESSAGE_MAX];
        loop {
            match self.client.poll(self.now, &mut buffer) {
                Action::Send { to, len } => {
                    self.to.push(to);
                    self.answers.extend(self.server.answer(&buffer[..len]));
                }
                Action::Probe(ip) => self.probed.push(ip),
                Action::Configure(lease) => {
                    self.changes += 1;
                    self.lease = Some(lease);
                }
                Action::Deconfigure => {
                    assert!(self.lease.take().is_some(), "there was one");
                    self.changes += 1;
                }
                Action::Wait(until) => {
                    assert!(until > self.now);
                    if self.answers.is_empty() {
                        return until;
                    }
                    for answer in self.answers.split_off(0) {
                        self.client.on_message(self.now, &answer);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        loop {
            let next = self.step();
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
        }
    }

    fn bound() -> Self {
        let mut desk = Self::new();
        desk.pass(secs(5));
        assert!(desk.lease.is_some());
        desk.server.kinds();
        desk.to.clear();
        desk
    }
}

#[test]
fn an_address_is_asked_for_probed_and_taken() {
    let mut desk = Desk::new();
    desk.pass(secs(5));
    let lease = desk.lease.unwrap();
    assert_eq!(lease.address.ip, IpAddr::from([10, 0, 0, 50]));
    assert_eq!(
        (lease.address.prefix, lease.router),
        (24, Some(desk.server.ip))
    );
    assert_eq!(lease.dns[1], Some(Ipv4Addr::new(9, 9, 9, 9)));
    assert_eq!(desk.client.lease(), Some(&lease));
    assert_eq!(desk.probed, [desk.server.gives; 2]);
    let [discover, request] = &desk.server.asked[..] else {
        panic!("{:?}", desk.server.asked)
    };
    assert_eq!(
        (discover.kind, request.kind),
        (Kind::Discover, Kind::Request)
    );
    assert_eq!(discover.transaction, request.transaction);
    assert_eq!(request.requested, Some(desk.server.gives));
    assert_eq!(request.server, Some(desk.server.ip));
    assert!(discover.broadcast && request.broadcast && request.client.is_unspecified());
    assert_eq!(desk.to, [Ipv4Addr::BROADCAST; 2]);
    // T1 is half of the hour, T2 seven eighths.
    let time = |at: Instant| at.saturating_since(lease.expires_at.unwrap());
    assert_eq!(time(lease.renew_at), Duration::ZERO);
    let whole = lease.expires_at.unwrap();
    assert_eq!(whole.saturating_since(lease.renew_at), secs(1_800));
    assert_eq!(whole.saturating_since(lease.rebind_at), secs(450));
}

/// 4, 8, 16, 32 and 64 seconds, each a second more or less, and no more often ever (section 4.1).
#[test]
fn silence_is_met_with_longer_and_longer_waits() {
    let mut desk = Desk::new();
    desk.server.is_up = false;
    let mut times = Vec::new();
    for _ in 0..12 {
        let next = desk.step();
        if desk.server.kinds() == [Kind::Discover] {
            times.push(desk.now);
        }
        desk.now = next;
    }
    let waits: Vec<u64> = times
        .windows(2)
        .map(|pair| pair[1].saturating_since(pair[0]).as_millis() as u64)
        .collect();
    for (wait, base) in waits.iter().zip([4, 8, 16, 32, 64, 64, 64, 64]) {
        assert!(
            (base * 1_000 - 1_000..=base * 1_000 + 1_000).contains(wait),
            "{waits:?}"
        );
    }
    assert!(waits.len() >= 8);
}

/// At T1 the server alone is asked, at T2 all are, and in the end the address is given up.
#[test]
fn a_lease_is_renewed_rebound_and_expires() {
    let mut desk = Desk::bound();
    desk.pass(secs(1_801));
    assert_eq!(desk.server.kinds(), [Kind::Request]);
    assert_eq!(desk.to, [desk.server.ip]);
    assert_eq!(desk.changes, 2, "it was renewed");
    desk.to.clear();
    // The server is gone: T1, half of what is left to T2, and so on; then everybody.
    desk.server.is_up = false;
    let expires = desk.lease.unwrap().expires_at.unwrap();
    let left = expires.saturating_since(desk.now);
    desk.pass(left.saturating_sub(secs(1)));
    assert!(desk.lease.is_some());
    let asked = desk.server.asked.split_off(0);
    assert!((6..=24).contains(&asked.len()), "{}", asked.len());
    assert!(
        asked
            .iter()
            .all(|one| one.client == desk.server.gives && !one.broadcast)
    );
    assert!(
        asked
            .iter()
            .all(|one| one.requested.is_none() && one.server.is_none())
    );
    let alone = desk
        .to
        .iter()
        .take_while(|to| **to == desk.server.ip)
        .count();
    assert!(alone > 2 && desk.to[alone..].iter().all(|to| to.is_broadcast()));
    assert!(desk.to.len() > alone + 1);
    desk.pass(secs(3));
    assert_eq!((desk.lease, desk.client.lease()), (None, None));
    // It is back, and so is the address.
    desk.server.is_up = true;
    desk.pass(secs(120));
    assert!(desk.lease.is_some());
}

#[test]
fn another_server_may_rebind() {
    let mut desk = Desk::bound();
    desk.server.is_up = false;
    desk.pass(secs(3_200));
    desk.server.is_up = true;
    desk.server.ip = Ipv4Addr::new(10, 0, 0, 9);
    desk.pass(secs(300));
    assert_eq!(desk.lease.unwrap().server, desk.server.ip);
    assert!(desk.lease.unwrap().expires_at.unwrap() > desk.now.saturating_add(secs(3_000)));
}

#[test]
fn a_refusal_ends_the_address_and_begins_anew() {
    let mut desk = Desk::bound();
    desk.server.refuses = true;
    desk.pass(secs(1_802));
    assert_eq!(desk.lease, None);
    desk.server.kinds();
    // A server that refuses all it offers is not asked more than every few seconds.
    desk.pass(secs(100));
    assert!(desk.server.kinds().len() <= 60);
    desk.server.refuses = false;
    desk.server.gives = Ipv4Addr::new(10, 0, 0, 77);
    desk.pass(secs(20));
    assert_eq!(desk.lease.unwrap().address.ip, IpAddr::from([10, 0, 0, 77]));
}

#[test]
fn an_address_in_use_is_declined() {
    let mut desk = Desk::new();
    while desk.probed.is_empty() {
        desk.now = desk.step();
    }
    desk.client.on_conflict(desk.now);
    let taken = desk.server.gives;
    desk.server.kinds();
    desk.server.gives = Ipv4Addr::new(10, 0, 0, 51);
    desk.pass(secs(9));
    let decline = desk.server.asked.remove(0);
    assert_eq!(
        (decline.kind, decline.requested),
        (Kind::Decline, Some(taken))
    );
    assert!(
        desk.server.asked.is_empty() && desk.lease.is_none(),
        "it waits ten seconds"
    );
    desk.pass(secs(10));
    assert_eq!(desk.lease.unwrap().address.ip, IpAddr::from([10, 0, 0, 51]));
}

#[test]
fn an_address_is_given_back() {
    let mut desk = Desk::bound();
    let mut buffer = [0; MESSAGE_MAX];
    let (to, len) = desk.client.release(desk.now, &mut buffer).unwrap();
    assert_eq!(to, desk.server.ip);
    let release = Dhcp::parse(&buffer[..len]).unwrap();
    assert_eq!(
        (release.kind, release.client),
        (Kind::Release, desk.server.gives)
    );
    assert_eq!(desk.client.release(desk.now, &mut buffer), None);
}

/// What is not an answer to the question, or gives what no station can have, changes nothing.
#[test]
fn nothing_is_believed_that_makes_no_sense() {
    let changes: [fn(&mut Dhcp); 17] = [
        |it| it.transaction ^= 1,
        |it| it.mac[5] ^= 1,
        |it| it.server = None,
        |it| it.server = Some(Ipv4Addr::UNSPECIFIED),
        |it| it.lease = None,
        |it| it.lease = Some(0),
        |it| it.lease = Some(9),
        |it| it.yours = Ipv4Addr::UNSPECIFIED,
        |it| it.yours = Ipv4Addr::BROADCAST,
        |it| it.yours = Ipv4Addr::new(224, 0, 0, 1),
        |it| it.yours = Ipv4Addr::new(127, 0, 0, 1),
        |it| it.yours = Ipv4Addr::new(10, 0, 0, 255),
        |it| it.yours = Ipv4Addr::new(10, 0, 0, 0),
        |it| it.yours = Ipv4Addr::new(0, 1, 2, 3),
        |it| it.mask = Some(Ipv4Addr::UNSPECIFIED),
        |it| it.mask = Some(Ipv4Addr::new(255, 0, 255, 0)),
        |it| it.kind = Kind::Nak,
    ];
    for (turn, change) in changes.into_iter().enumerate() {
        let mut desk = Desk::new();
        desk.server.is_up = false;
        desk.pass(secs(2));
        let question = desk.server.asked.remove(0);
        let mut offer = desk.server.reply(&question, Kind::Offer);
        change(&mut offer);
        desk.client.on_message(desk.now, &emit(&offer));
        desk.pass(secs(1));
        assert!(desk.server.kinds().is_empty(), "offer {turn}");
        // The same about what it asks for next.
        let offer = desk.server.reply(&question, Kind::Offer);
        desk.client.on_message(desk.now, &emit(&offer));
        desk.pass(Duration::from_millis(1));
        let question = desk.server.asked.remove(0);
        let mut ack = desk.server.reply(&question, Kind::Ack);
        change(&mut ack);
        if turn < 16 {
            desk.client.on_message(desk.now, &emit(&ack));
        }
        let mut other = desk.server.reply(&question, Kind::Ack);
        other.yours = Ipv4Addr::new(10, 0, 0, 99);
        desk.client.on_message(desk.now, &emit(&other));
        other = desk.server.reply(&question, Kind::Ack);
        other.server = Some(Ipv4Addr::new(10, 0, 0, 99));
        desk.client.on_message(desk.now, &emit(&other));
        desk.pass(secs(1));
        assert!(desk.probed.is_empty(), "ack {turn}");
        let ack = desk.server.reply(&question, Kind::Ack);
        desk.client.on_message(desk.now, &emit(&ack));
        desk.pass(secs(2));
        assert!(desk.lease.is_some());
    }
}

#[test]
fn a_router_elsewhere_is_left_out() {
    let mut desk = Desk::new();
    desk.server.is_up = false;
    desk.pass(secs(2));
    let question = desk.server.asked.remove(0);
    let with = |kind| Dhcp {
        router: Some(Ipv4Addr::new(192, 0, 2, 1)),
        ..desk.server.reply(&question, kind)
    };
    let messages = [Kind::Offer, Kind::Ack].map(|kind| emit(&with(kind)));
    for message in messages {
        desk.client.on_message(desk.now, &message);
        desk.pass(Duration::from_millis(1));
    }
    desk.pass(secs(2));
    assert_eq!(desk.lease.unwrap().router, None);
}

/// Any bytes, in any order and at any time.
#[test]
fn hostile_servers_do_no_harm() {
    let mut random = Random::new(seed(11));
    for _ in 0..3_000 {
        let len = random.below(3_000) as usize;
        let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        fuzz_dhcp(&bytes);
    }
}

/// A program that asks for an address and serves there.
struct Station {
    dhcp: DhcpClient,
    socket: Option<SocketId>,
    events: Vec<DhcpEvent>,
}

impl Station {
    fn serve(&mut self, all: &mut AllSockets<'_, Net, Self>) {
        if let Some(id) = self.socket {
            self.events.extend(self.dhcp.serve(all.net(), id));
        }
    }
}

impl Handler<Net> for Station {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Net, Self>, opened: Opened<()>) {
        if matches!(opened, Opened::Bound { .. }) {
            self.socket = Some(socket.id());
            self.serve(socket.all());
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, Net, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_readable(&mut self, socket: &mut Socket<'_, Net, Self>, (): &mut ()) {
        self.serve(socket.all());
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, Net, Self>, (): &mut ()) {
        self.serve(socket.all());
    }
}

/// The server's side of the wire, in the test's hand.
struct Segment {
    server: Server,
    hand: Device,
    /// Somebody has the address that the server gives.
    occupied: bool,
    /// ARP's questions and announcements: sender, target.
    arps: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Segment {
    /// Answers what has come.
    fn step(&mut self) {
        for frame in frames(&mut self.hand) {
            let at = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).unwrap());
            if frame[12..14] == [8, 6] {
                self.arps.push((at(28), at(38)));
                if self.occupied && at(38) == self.server.gives {
                    let there = self.server.gives.octets();
                    self.hand.inject(&arp(2, there, 9, [0; 4]));
                } else if at(38) == self.server.ip {
                    self.hand
                        .inject(&arp(2, self.server.ip.octets(), 1, at(28).octets()));
                }
            } else if frame[23] == 17 && frame[36..38] == [0, 67] {
                let client = at(26);
                if let Some(answer) = self.server.answer(&frame[42..]) {
                    let to = if client.is_unspecified() {
                        Ipv4Addr::BROADCAST
                    } else {
                        client
                    };
                    self.hand.inject(&message(self.server.ip, to, &answer));
                }
            }
        }
    }
}

/// A frame with a server's message.
fn message(from: Ipv4Addr, to: Ipv4Addr, bytes: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0, 67, 0, 68];
    datagram.extend((bytes.len() as u16 + 8).to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend(bytes);
    let sum = checksum::transport(from.into(), to.into(), 17, &datagram);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut frame = ip(from.into(), to.into(), 17, &datagram, 1, 2);
    if to.is_broadcast() {
        frame[..6].fill(0xff);
    }
    frame
}

struct Town {
    wire: &'static usockets_smoltcp::Wire<'static>,
    segment: Segment,
    lp: Loop<'static, Net, Station>,
    station: Station,
}

impl Town {
    fn new() -> Self {
        let (wire, [hand, device]) = wire(Faults::NONE, 1, Medium::Ethernet);
        let mut recipe = Recipe::new(2);
        recipe.datagrams = (2, 4_096, 4_096);
        let mut net = recipe.build(device);
        net.set_address_v4(None).unwrap();
        let sockets = Box::leak(Box::new(Sockets::<Net, Station, 8>::new()));
        let mut lp = Loop::with_buffer(net, sockets, vec![0; 64].leak()).unwrap();
        DhcpClient::bind(&mut lp.net(), ()).unwrap();
        let station = Station {
            dhcp: DhcpClient::new(mac(2), Secret::new([5; 16])),
            socket: None,
            events: Vec::new(),
        };
        let segment = Segment {
            server: Server::new(),
            hand,
            occupied: false,
            arps: Vec::new(),
        };
        Self {
            wire,
            segment,
            lp,
            station,
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.wire.now().saturating_add(time);
        while self.wire.now() < end {
            for _ in 0..4 {
                self.lp.poll(&mut self.station, None).unwrap();
                self.segment.step();
            }
            self.wire.pass(Duration::from_millis(10));
        }
    }
}

/// A stack without an address gets one, answers for it, and loses it with what was on it.
#[test]
fn a_stack_lives_at_the_address_that_it_was_given() {
    let mut town = Town::new();
    town.pass(secs(4));
    let gives = town.segment.server.gives;
    let [DhcpEvent::Configured(lease)] = town.station.events[..] else {
        panic!("{:?}", town.station.events)
    };
    assert_eq!(lease.address.ip, IpAddr::from(gives));
    // Probed without an address, then announced with it.
    let probes = [(Ipv4Addr::UNSPECIFIED, gives); 2];
    assert_eq!(town.segment.arps[..2], probes);
    assert!(town.segment.arps[2..].contains(&(gives, gives)));
    let mut net = town.lp.net();
    let here = SocketAddr::from((gives, 80));
    net.listen(Endpoint::tcp(here), ()).unwrap();
    let server = SocketAddr::from((town.segment.server.ip, 7));
    let open = net.connect(Endpoint::tcp(server), ()).unwrap();
    town.pass(Duration::from_millis(50));
    assert!(town.lp.net().local_addr(open).is_some());
    // The lease is renewed from the address, and then refused: the connect ends with it.
    town.segment.server.kinds();
    town.segment.server.refuses = true;
    town.pass(secs(1_805));
    assert_eq!(town.station.events.last(), Some(&DhcpEvent::Deconfigured));
    let asked = town.segment.server.asked.first().unwrap();
    assert_eq!((asked.kind, asked.client), (Kind::Request, gives));
    assert!(town.lp.net().local_addr(open).is_none());
    town.segment.server.refuses = false;
    town.pass(secs(20));
    let last = town.station.events.last();
    assert!(matches!(last, Some(DhcpEvent::Configured(_))), "{last:?}");
}

#[test]
fn an_address_that_a_neighbour_has_is_declined() {
    let mut town = Town::new();
    town.segment.occupied = true;
    town.pass(secs(4));
    let kinds = town.segment.server.kinds();
    assert_eq!(kinds, [Kind::Discover, Kind::Request, Kind::Decline]);
    assert_eq!(town.station.events, []);
    town.segment.occupied = false;
    town.pass(secs(14));
    assert!(matches!(
        town.station.events[..],
        [DhcpEvent::Configured(_)]
    ));
}

/// Once bound, the socket stays the loop's: other datagrams of port 68 are no messages of servers.
#[test]
fn only_servers_are_listened_to() {
    let mut town = Town::new();
    town.segment.server.is_up = false;
    town.pass(secs(2));
    let question = town.segment.server.asked.remove(0);
    let offer = emit(&town.segment.server.reply(&question, Kind::Offer));
    let mut frame = message(town.segment.server.ip, Ipv4Addr::BROADCAST, &offer);
    // From port 66, with a checksum of none.
    frame[35] = 66;
    frame[40..42].fill(0);
    town.segment.hand.inject(&frame);
    town.pass(Duration::from_millis(50));
    assert!(town.segment.server.kinds().is_empty());
    frame[35] = 67;
    town.segment.hand.inject(&frame);
    town.pass(Duration::from_millis(50));
    assert_eq!(town.segment.server.kinds(), [Kind::Request]);
}
