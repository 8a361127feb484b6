//! The examples that get an address by DHCP and ask a question: against forged answers, and against
//! dnsmasq and a server of time across a TAP, in a namespace of their own.

#[path = "../../platform-smoltcp/examples/support/dns.rs"]
mod dns;
#[path = "../../platform-smoltcp/examples/support/sntp.rs"]
mod sntp;
#[path = "../../platform-smoltcp/examples/support/station.rs"]
mod station;

use std::net::{IpAddr, Ipv4Addr};

use dns::Dns;
use sntp::Sntp;
use station::Question;

/// An answer to what a question asks.
fn answer(question: &mut impl Question, with: impl FnOnce(&[u8]) -> Vec<u8>) -> (Vec<u8>, bool) {
    let mut message = [0; 512];
    let len = question.ask(&mut message);
    let answer = with(&message[..len]);
    let taken = question.read(&answer);
    (answer, taken)
}

/// An answer to a question of DNS with the given records behind it.
fn records(code: u8, count: u8, records: &'static [u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |asked| {
        let mut answer = asked.to_vec();
        (answer[2], answer[3], answer[7]) = (0x81, 0x80 | code, count);
        answer.extend(records);
        answer
    }
}

/// A name behind an alias: a CNAME first, then its address.
const ALIAS: &[u8] = &[
    0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, b'x', 0xc0, 12, 0xc0, 40, 0, 1, 0, 1, 0, 0, 0, 9, 0,
    4, 192, 0, 2, 7,
];

#[test]
fn names_are_looked_up() {
    let mut dns = Dns::new("host.test", [1, 2]);
    let (_, taken) = answer(&mut dns, records(0, 2, ALIAS));
    assert!(taken);
    assert_eq!(dns.address, Some(Ipv4Addr::new(192, 0, 2, 7)));
    // There is no such name; the name has no address; a server that fails.
    for (code, count) in [(3, 0), (0, 0), (2, 0)] {
        let mut dns = Dns::new("host.test.", [1, 2]);
        assert!(answer(&mut dns, records(code, count, &[])).1);
        assert_eq!(dns.address, None);
    }
}

/// An answer to another question, one cut anywhere, and anything else are none.
#[test]
fn forged_names_are_refused() {
    let mut dns = Dns::new("host.test", [1, 2]);
    let (right, _) = answer(&mut dns, records(0, 2, ALIAS));
    for at in (0..3).chain(12..27) {
        let mut wrong = right.clone();
        wrong[at] ^= if at == 2 { 0x80 } else { 1 };
        assert!(!dns.read(&wrong), "byte {at}");
    }
    for len in 0..right.len() {
        assert!(!dns.read(&right[..len]), "{len} bytes");
    }
    let mut random = usockets_smoltcp::Random::new(usockets_tests::smoltcp::seed(5));
    for _ in 0..20_000 {
        let mut wrong = right.clone();
        for _ in 0..random.below(8) {
            let at = random.below(wrong.len() as u64) as usize;
            wrong[at] = random.next() as u8;
        }
        wrong.truncate(random.below(right.len() as u64 + 1) as usize);
        dns.read(&wrong);
    }
    for no_name in ["", ".", "a..b", &"x".repeat(64), &"a.".repeat(400)] {
        assert_eq!(Dns::new(no_name, [0; 2]).ask(&mut [0; 512]), 0, "{no_name}");
    }
}

/// A server's answer: the question's nonce, and the seconds since 1900.
fn time(seconds: u32) -> impl Fn(&[u8]) -> Vec<u8> {
    move |asked| {
        let mut answer = vec![0; 48];
        (answer[0], answer[1]) = (0x24, 2);
        answer[24..32].copy_from_slice(&asked[40..48]);
        answer[40..44].copy_from_slice(&seconds.to_be_bytes());
        answer
    }
}

#[test]
fn the_time_is_told() {
    // The dates of RFC 5905, figure 4, and the first second of the next era.
    for (seconds, unix) in [
        (2_208_988_800_u32, 0),
        (3_155_673_600, 946_684_800),
        (0x8000_0000, 0),
        (1, 2_085_978_497),
    ] {
        let mut sntp = Sntp::new(None, [7; 8]);
        let (_, taken) = answer(&mut sntp, time(seconds));
        let told = if seconds == 0x8000_0000 {
            None
        } else {
            Some(unix)
        };
        assert_eq!((sntp.seconds, taken), (told, told.is_some()), "{seconds}");
    }
    let mut sntp = Sntp::new(None, [7; 8]);
    let (right, _) = answer(&mut sntp, time(3_155_673_600));
    // No server, its clock not set, no stratum, of another question, no time, cut short.
    for (at, value) in [(0, 0x23), (0, 0xe4), (1, 0), (1, 16), (24, 8)] {
        let mut wrong = right.clone();
        wrong[at] = value;
        assert!(!sntp.read(&wrong), "byte {at}");
    }
    assert!(!sntp.read(&right[..47]));
    let mut wrong = right.clone();
    wrong[40..44].fill(0);
    assert!(!sntp.read(&wrong));
}

#[cfg(target_os = "linux")]
mod on_a_tap {
    use std::net::UdpSocket;
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use usockets::{Loop, Platform, Sockets};
    use usockets_smoltcp::dhcp::DhcpClient;
    use usockets_smoltcp::{Secret, Stack, Tap};
    use usockets_tests::smoltcp::kernel::{command, in_namespace};
    use usockets_tests::smoltcp::{Recipe, leak};

    use super::station::{Question, Station};
    use super::{Dns, IpAddr, Ipv4Addr, Sntp};

    /// dnsmasq, which ends with it.
    struct Dnsmasq(Child);

    impl Dnsmasq {
        /// Starts it on the TAP in this thread's namespace; says so and returns `None` without it.
        fn start() -> Option<Self> {
            let child = Command::new("dnsmasq")
                .args([
                    "--no-daemon",
                    "--conf-file=/dev/null",
                    "--user=root",
                    "--pid-file",
                ])
                .args([
                    "--no-resolv",
                    "--no-hosts",
                    "--interface=us0",
                    "--bind-interfaces",
                ])
                .args([
                    "--dhcp-range=10.0.0.100,10.0.0.110,255.255.255.0,120",
                    "--leasefile-ro",
                ])
                .args([
                    "--address=/host.test/192.0.2.7",
                    "--dhcp-option=42,10.0.0.1",
                ])
                .args(["--dhcp-authoritative"])
                .stderr(Stdio::null())
                .spawn();
            match child {
                Ok(child) => Some(Self(child)),
                Err(error) => {
                    assert!(std::env::var_os("CI").is_none(), "dnsmasq: {error}");
                    println!("SKIPPED: no dnsmasq ({error}; Debian: dnsmasq-base)");
                    None
                }
            }
        }
    }

    impl Drop for Dnsmasq {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Lets a station ask its question across the TAP, with dnsmasq behind it.
    fn ask<Q: Question>(question: Q, check: impl FnOnce(&Station<Q>)) {
        let memory = leak(Tap::share(1_500, false) * 65, || 0);
        let tap = Tap::make("us0", 1_500, false, memory).unwrap();
        command("ip addr add 10.0.0.1/24 dev us0");
        command("ip link set us0 up");
        let Some(dnsmasq) = Dnsmasq::start() else {
            return;
        };
        let time = UdpSocket::bind("10.0.0.1:123").unwrap();
        thread::spawn(move || {
            let mut asked = [0; 48];
            while let Ok((_, from)) = time.recv_from(&mut asked) {
                let answer = super::time(3_155_673_600)(&asked);
                time.send_to(&answer, from).unwrap();
            }
        });
        let mut recipe = Recipe::new(2);
        recipe.datagrams = (2, 8_192, 2_048);
        let mut stack: Stack<'static, Tap<'static>> = recipe.build_on(tap);
        stack.set_address_v4(None).unwrap();
        let dhcp = DhcpClient::new(stack.mac(), Secret::new([1; 16]));
        let mut sockets = Box::new(Sockets::<_, Station<Q>, 2>::new());
        let mut buffer = [0; 1];
        let mut client = Loop::new(stack, &mut sockets, &mut buffer);
        Station::start(&mut client).unwrap();
        let mut station = Station::new(dhcp, question);
        let start = Instant::now();
        while client.stats().in_use > 0 {
            let now = client.platform().now();
            let until = now.saturating_add(Duration::from_millis(50));
            client.poll(&mut station, Some(until)).unwrap();
            assert!(start.elapsed() < Duration::from_secs(40), "no answer");
        }
        drop(dnsmasq);
        let lease = station.lease.expect("a lease");
        let IpAddr::V4(ip) = lease.address.ip else {
            panic!("{lease:?}")
        };
        assert!((100..=110).contains(&ip.octets()[3]) && lease.address.prefix == 24);
        assert_eq!(lease.server, Ipv4Addr::new(10, 0, 0, 1));
        assert!(station.is_answered);
        check(&station);
    }

    #[test]
    fn dnsmasq_gives_an_address_and_that_of_a_name() {
        in_namespace(|| {
            ask(Dns::new("host.test", [3, 4]), |station| {
                assert_eq!(station.question.address, Some(Ipv4Addr::new(192, 0, 2, 7)));
            });
        });
    }

    #[test]
    fn a_server_that_the_lease_names_tells_the_time() {
        in_namespace(|| {
            ask(Sntp::new(None, [9; 8]), |station| {
                assert_eq!(station.question.seconds, Some(946_684_800));
            });
        });
    }
}
