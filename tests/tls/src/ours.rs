//! Our engine between two byte queues.

use usockets::tls::{
    Alert, Config, Connection, Crypto as Provider, Event, Handshake, Output, Peer, RECORD_MAX,
    RustCrypto, Session, Setup,
};

/// The wall clock of the tests: 2027-01-15.
pub const NOW: u64 = 1_800_000_000;

/// Random bytes from a seed (SplitMix64), and a clock that stands.
#[derive(Clone, Debug, Hash)]
pub struct Machine {
    state: u64,
    pub now: u64,
    /// Secrets as the lines of a key log.
    pub log: Vec<String>,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            now: NOW,
            log: Vec::new(),
        }
    }
}

impl usockets::tls::Machine for Machine {
    fn random(&mut self, out: &mut [u8]) -> bool {
        for chunk in out.chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        true
    }

    fn unix_seconds(&self) -> u64 {
        self.now
    }

    fn log_secret(&mut self, name: &str, client_random: &[u8; 32], secret: &[u8]) {
        if self.log.capacity() > 0 {
            self.log.push(log_line(name, client_random, secret));
        }
    }
}

/// Makes a line of a key log.
pub fn log_line(name: &str, client_random: &[u8], secret: &[u8]) -> String {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    format!("{name} {} {}", hex(client_random), hex(secret))
}

pub type Crypto = RustCrypto<Machine>;

/// How a connection ended before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Broken {
    Sent(Alert),
    Received(Alert),
}

/// One of our connections, with any cryptography.
pub struct Ours<C: Provider = Crypto> {
    pub connection: Connection,
    pub handshake: Box<Handshake<C>>,
    pub crypto: C,
    /// A client's tickets.
    pub sessions: Vec<Session>,
    /// What the handshake has told of the other side.
    pub peer: Box<Peer>,
    input: Vec<u8>,
    /// What is to be sent to the peer.
    pub output: Vec<u8>,
    /// Application data received.
    pub data: Vec<u8>,
    pub broken: Option<Broken>,
    pub has_finished: bool,
    pub opened: usize,
}

impl Ours {
    pub fn server(seed: u64) -> Self {
        Self::server_with(Crypto::new(Machine::new(seed)))
    }

    pub fn server_at(seed: u64, now: u64) -> Self {
        let mut machine = Machine::new(seed);
        machine.now = now;
        Self::server_with(Crypto::new(machine))
    }

    pub fn client(seed: u64, config: &Config<'_>, name: &str) -> Self {
        Self::client_at(seed, NOW, config, name)
    }

    pub fn client_at(seed: u64, now: u64, config: &Config<'_>, name: &str) -> Self {
        Self::client_with(seed, now, config, name, Vec::new())
    }

    /// A client with places for tickets.
    pub fn client_with(
        seed: u64,
        now: u64,
        config: &Config<'_>,
        name: &str,
        sessions: Vec<Session>,
    ) -> Self {
        let mut machine = Machine::new(seed);
        machine.now = now;
        Self::client_of(Crypto::new(machine), config, name, sessions)
    }
}

impl<C: Provider> Ours<C> {
    fn new(connection: Connection, crypto: C) -> Self {
        Self {
            connection,
            handshake: Box::new(Handshake::EMPTY),
            crypto,
            sessions: Vec::new(),
            peer: Box::new(Peer::EMPTY),
            input: Vec::new(),
            output: Vec::new(),
            data: Vec::new(),
            broken: None,
            has_finished: false,
            opened: 0,
        }
    }

    /// A server with cryptography of the caller's.
    pub fn server_with(crypto: C) -> Self {
        Self::new(Connection::server(), crypto)
    }

    /// A client with cryptography of the caller's and places for tickets.
    pub fn client_of(crypto: C, config: &Config<'_>, name: &str, sessions: Vec<Session>) -> Self {
        let mut ours = Self::new(Connection::CLOSED, crypto);
        ours.sessions = sessions;
        let mut buffer = [0; RECORD_MAX];
        let mut out = Output::new(&mut buffer);
        let mut setup = Setup {
            crypto: &mut ours.crypto,
            config,
            sessions: &mut ours.sessions,
            peer: Some(&mut ours.peer),
        };
        ours.connection =
            Connection::client(&mut setup, &mut ours.handshake, name, &mut out).unwrap();
        ours.output.extend_from_slice(out.filled());
        ours
    }

    /// Processes bytes from the peer.
    pub fn feed(&mut self, config: &Config<'_>, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while self.broken.is_none() {
            let mut buffer = vec![0; RECORD_MAX];
            let mut out = Output::new(&mut buffer);
            let mut setup = Setup {
                crypto: &mut self.crypto,
                config,
                sessions: &mut self.sessions,
                peer: Some(&mut self.peer),
            };
            let is_open = self.connection.is_open();
            let handshake = (!is_open).then_some(&mut *self.handshake);
            let received =
                self.connection
                    .receive(&mut setup, handshake, &mut self.input, &mut out);
            self.output.extend_from_slice(out.filled());
            let received = match received {
                Ok(received) => received,
                Err(alert) => return self.fail(alert),
            };
            match received.event {
                Event::Signing if received.consumed == 0 => return,
                Event::Incomplete { need } => {
                    assert!(need > self.input.len());
                    assert_eq!(received.consumed, 0);
                    return;
                }
                Event::Open => self.opened += 1,
                Event::Data { start, len } => {
                    assert!(is_open, "data before the end of the handshake");
                    self.data.extend_from_slice(&self.input[start..start + len]);
                }
                Event::Finished => self.has_finished = true,
                Event::Failed(alert) => self.broken = Some(Broken::Received(alert)),
                _ => {}
            }
            // After a signature has come, nothing more is needed to go on.
            let goes_on = received.consumed > 0 || !self.output.is_empty();
            assert!(goes_on);
            self.input.drain(..received.consumed);
        }
    }

    fn fail(&mut self, alert: Alert) {
        assert!(!self.connection.is_open());
        self.broken = Some(Broken::Sent(alert));
        self.alert(alert);
    }

    pub fn alert(&mut self, alert: Alert) {
        let mut buffer = [0; RECORD_MAX];
        let mut out = Output::new(&mut buffer);
        self.connection
            .send_alert(&mut self.crypto, alert, &mut out)
            .unwrap();
        self.output.extend_from_slice(out.filled());
    }

    /// Sends data in as many records as it takes.
    pub fn send(&mut self, data: &[u8]) {
        let mut rest = data;
        while !rest.is_empty() {
            let mut buffer = [0; RECORD_MAX];
            let mut out = Output::new(&mut buffer);
            let taken = self
                .connection
                .send(&mut self.crypto, rest, &mut out)
                .unwrap();
            assert!(taken > 0);
            rest = &rest[taken..];
            self.output.extend_from_slice(out.filled());
        }
    }

    pub fn update_keys(&mut self, request: bool) {
        let mut buffer = [0; 256];
        let mut out = Output::new(&mut buffer);
        self.connection
            .update_keys(&mut self.crypto, request, &mut out)
            .unwrap();
        self.output.extend_from_slice(out.filled());
    }

    /// Makes key material for another protocol.
    pub fn export<const LEN: usize>(&self, label: &[u8], context: &[u8]) -> [u8; LEN] {
        let mut out = [0; LEN];
        assert!(
            self.handshake
                .export(&self.connection, label, context, &mut out)
        );
        // After the handshake, the same.
        let mut later = [0; LEN];
        assert!(self.peer.export::<C::Hasher>(label, context, &mut later));
        assert_eq!(later, out);
        out
    }

    pub fn finish(&mut self) {
        self.alert(Alert::CLOSE_NOTIFY);
    }
}
