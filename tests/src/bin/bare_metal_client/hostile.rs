//! Clients that nobody would wish for.

use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use usockets_tests::rng::Rng;

use crate::client::{Client, Outcome};

/// How often the server is asked whether it still lives while clients vanish.
const PULSE: u32 = 10;

/// QEMU lets only one connection wait for it, and the kernel keeps others back for a second. So
/// clients that vanish leave it this long between two, or longer if one had to wait.
const BREATH: Duration = Duration::from_millis(3);
const BREATH_MAX: Duration = Duration::from_millis(50);
/// A connection that took this long had to wait.
const HELD_BACK: Duration = Duration::from_millis(500);

/// Clients that do not keep to the protocol, chosen by a seed.
pub(crate) struct Hostile<'a> {
    at: &'a str,
    random: Rng,
    breath: Duration,
}

impl<'a> Hostile<'a> {
    /// Makes clients of the server at `at`.
    pub(crate) fn new(at: &'a str, seed: u64) -> Self {
        Self {
            at,
            random: Rng::new(seed),
            breath: BREATH,
        }
    }

    /// Sends a part of a request, and keeps the connection, on which a thread waits for what comes:
    /// it would be lost to who looks after the server has given the connection up.
    pub(crate) fn half_a_request(&mut self) -> Outcome<JoinHandle<Outcome<()>>> {
        let mut client = Client::connect(self.at)?;
        client.send(b"GET / HTTP/1.1\r\nHos")?;
        Ok(spawn(move || client.response()?.expect_status(408)))
    }

    /// Waits until the server has lost its patience with such a connection.
    pub(crate) fn times_out(&mut self, client: JoinHandle<Outcome<()>>) -> Outcome<()> {
        client
            .join()
            .map_err(|_| String::from("its thread panicked"))?
    }

    /// Sends random bytes, which get a 400 or nothing, but always an end.
    pub(crate) fn garbage(&mut self, count: u32) -> Outcome<()> {
        for _ in 0..count {
            let mut client = Client::connect(self.at)?;
            let len = self.random.below(600) + 1;
            let mut bytes: Vec<u8> = (0..len)
                .map(|_| u8::try_from(self.random.below(256)).unwrap_or(0))
                .collect();
            bytes.extend(b"\r\n\r\n");
            // The server may reset before all is sent.
            let _ = client.send(&bytes);
            let answer = client.read_to_end()?;
            if !answer.is_empty() && !answer.starts_with(b"HTTP/1.1 4") {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                return Err(format!("garbage got {answer:?}"));
            }
        }
        Ok(())
    }

    /// Sends random bytes to a server that expects TLS, half of them in what looks like a record.
    /// There is always an end.
    pub(crate) fn no_tls(&mut self, count: u32) -> Outcome<()> {
        for _ in 0..count {
            let mut client = Client::connect(self.at)?;
            let _ = client.send(&self.record(true));
            client.read_to_end()?;
        }
        Ok(())
    }

    /// Connects and vanishes, mostly in the middle of a record.
    pub(crate) fn vanish_before_tls(&mut self, count: u32) -> Outcome<()> {
        for number in 0..count {
            let mut client = self.connect()?;
            if self.random.below(4) > 0 {
                client.send(&self.record(false))?;
            }
            drop(client);
            sleep(self.breath);
            if number % PULSE == 0 {
                // It still answers, if only with an alert.
                self.no_tls(1)?;
            }
        }
        Ok(())
    }

    /// Makes up a handshake record, complete or not, or just bytes.
    fn record(&mut self, complete: bool) -> Vec<u8> {
        let len = self.random.below(300) + 10;
        let mut bytes: Vec<u8> = (0..len).map(|_| self.byte()).collect();
        if !complete || self.random.chance(5_000) {
            // Handshake, TLS 1.0 as in every first record, a length; a ClientHello.
            let told = u16::try_from(len - 5).unwrap_or(0) + if complete { 0 } else { 50 };
            let [high, low] = told.to_be_bytes();
            bytes[..6].copy_from_slice(&[22, 3, 1, high, low, 1]);
        } else {
            bytes[0] = 0xff;
        }
        bytes
    }

    /// Connects, and sees whether that had to wait.
    fn connect(&mut self) -> Outcome<Client> {
        let started = Instant::now();
        let client = Client::connect(self.at)?;
        if started.elapsed() > HELD_BACK {
            self.breath = BREATH_MAX.min(self.breath * 2);
        }
        Ok(client)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.random.below(256)).unwrap_or(0)
    }

    /// Sends too long a target, too many fields, and announces too long a body.
    pub(crate) fn oversized(&mut self) -> Outcome<()> {
        let long = "x".repeat(4_000);
        for (request, wanted) in [
            (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
            (
                format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
                431,
            ),
            (
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n".into(),
                413,
            ),
        ] {
            let mut client = Client::connect(self.at)?;
            let _ = client.send(request.as_bytes());
            client.response()?.expect_status(wanted)?;
        }
        Ok(())
    }

    /// Connects and vanishes, in the middle of something.
    pub(crate) fn vanish(&mut self, count: u32) -> Outcome<()> {
        for number in 0..count {
            let mut client = self.connect()?;
            match self.random.below(5) {
                0 => {}
                1 => client.send(b"GET /")?,
                2 => client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: ")?,
                3 => {
                    client.send(
                        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nhalf",
                    )?;
                }
                _ => {
                    client.send(b"GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n")?;
                    client.read_some(500)?;
                }
            }
            drop(client);
            sleep(self.breath);
            if number % PULSE == 0 {
                Client::connect(self.at)?.get("/")?.expect_status(200)?;
            }
        }
        Ok(())
    }
}
