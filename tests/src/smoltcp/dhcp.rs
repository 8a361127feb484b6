//! A DHCP server for tests, which keeps a script, and the body of a fuzzer of the client.

use std::net::Ipv4Addr;

use usockets::{Duration, Instant};
use usockets_smoltcp::dhcp::{Action, DhcpClient};
use usockets_smoltcp::wire::dhcp::{Dhcp, Kind, MESSAGE_MAX};
use usockets_smoltcp::{Random, Secret};

use super::mac;

/// What a server gives, if it answers at all.
#[derive(Clone, Debug)]
pub struct Server {
    pub ip: Ipv4Addr,
    pub gives: Ipv4Addr,
    pub lease: u32,
    /// Answers to requests are refusals.
    pub refuses: bool,
    /// It answers.
    pub is_up: bool,
    /// What it was asked, in order.
    pub asked: Vec<Dhcp>,
}

impl Server {
    pub fn new() -> Self {
        Self {
            ip: Ipv4Addr::new(10, 0, 0, 1),
            gives: Ipv4Addr::new(10, 0, 0, 50),
            lease: 3_600,
            refuses: false,
            is_up: true,
            asked: Vec::new(),
        }
    }

    /// What a message is answered with.
    pub fn answer(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let question = Dhcp::parse(bytes).expect("a sound message");
        self.asked.push(question);
        let kind = match question.kind {
            _ if !self.is_up => return None,
            Kind::Discover => Kind::Offer,
            Kind::Request if self.refuses => Kind::Nak,
            Kind::Request => Kind::Ack,
            _ => return None,
        };
        Some(emit(&self.reply(&question, kind)))
    }

    /// The answer of a kind to a question.
    pub fn reply(&self, question: &Dhcp, kind: Kind) -> Dhcp {
        let server = Some(self.ip);
        let empty = Dhcp::new(kind, question.mac, question.transaction);
        if kind == Kind::Nak {
            return Dhcp { server, ..empty };
        }
        Dhcp {
            yours: self.gives,
            server,
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            router: Some(self.ip),
            dns: [server, Some(Ipv4Addr::new(9, 9, 9, 9)), None],
            lease: Some(self.lease),
            ..empty
        }
    }

    /// The kinds of what it was asked, which it forgets.
    pub fn kinds(&mut self) -> Vec<Kind> {
        self.asked.drain(..).map(|one| one.kind).collect()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

pub fn emit(message: &Dhcp) -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE_MAX];
    let len = message.emit(&mut bytes).expect("room");
    bytes.truncate(len);
    bytes
}

/// Gives a client messages and time as the bytes say: nothing that comes makes it panic, act
/// without end, or send more than a message a second on average.
///
/// # Panics
/// It does.
pub fn fuzz_dhcp(bytes: &[u8]) {
    let mut client = DhcpClient::new(mac(1), Secret::new([7; 16]));
    let mut now = Instant::from_micros(1_000_000);
    let (mut buffer, mut last, mut random) = ([0; MESSAGE_MAX], None, Random::new(1));
    let mut server = Server::new();
    let (mut sent, began) = (0_u64, now);
    for step in bytes.chunks(48) {
        let mut actions = 0;
        loop {
            actions += 1;
            assert!(actions < 10, "without end");
            match client.poll(now, &mut buffer) {
                Action::Send { len, .. } => {
                    sent += 1;
                    last = server.answer(&buffer[..len]);
                }
                Action::Wait(until) => {
                    assert!(until > now, "it waits for the past");
                    // A lease without end is waited for without end.
                    if step[0] & 1 == 0 && until.as_micros() < u64::MAX {
                        now = until;
                    }
                    break;
                }
                _ => {}
            }
        }
        now = now.saturating_add(Duration::from_millis(u64::from(step[0])));
        if step[0] & 2 != 0 {
            client.on_conflict(now);
        }
        // An answer of its server, with bytes of it changed, or anything.
        let mut message = match &mut last {
            Some(last) if step[0] & 4 == 0 => last.clone(),
            _ => step.repeat(8),
        };
        if step[0] & 8 != 0 {
            for value in step.iter().skip(1) {
                let at = random.below(message.len() as u64) as usize;
                message[at] ^= value;
            }
        }
        server.refuses = step[0] & 16 != 0;
        server.lease = if step[0] & 32 == 0 { 10 } else { u32::MAX };
        if let Ok(read) = Dhcp::parse(&message) {
            assert_eq!(Dhcp::parse(&emit(&read)), Ok(read));
        }
        client.on_message(now, &message);
        if let Some(lease) = client.lease() {
            assert!(!lease.server.is_unspecified());
        }
    }
    let seconds = now.saturating_since(began).as_secs();
    assert!(sent <= 8 + 2 * seconds, "{sent} messages in {seconds} s");
}
