//! The engine with all that it works with, to be copied: one side of a connection that is searched.

use std::hash::{Hash, Hasher};

use usockets::tls::{
    Alert, Config, Connection, Crypto as Provider, Handshake, Output, RECORD_MAX, Received,
    Session, Setup,
};

/// Room for a record after the handshake, in which at most a few bytes are said at a time.
const ROOM: usize = 512;

/// One side of a connection.
pub struct Engine<C: Provider> {
    pub connection: Connection,
    crypto: C,
    /// As long as it is needed.
    handshake: Option<Box<Handshake<C>>>,
    /// A client's tickets.
    sessions: Vec<Session>,
}

impl<C: Provider + Hash> Hash for Engine<C> {
    fn hash<H: Hasher>(&self, into: &mut H) {
        let Self {
            connection,
            crypto,
            handshake,
            sessions,
        } = self;
        (connection, crypto, handshake, sessions).hash(into);
    }
}

impl<C: Provider + Clone> Engine<C>
where
    C::Room: Clone,
{
    /// Makes it what `other` is.
    pub fn copy_from(&mut self, other: &Self) {
        self.connection = other.connection.clone();
        self.crypto.clone_from(&other.crypto);
        match (&mut self.handshake, &other.handshake) {
            (Some(to), Some(from)) => (**to).clone_from(from),
            (to, from) => to.clone_from(from),
        }
        self.sessions.clone_from(&other.sessions);
    }
}

impl<C: Provider> Engine<C> {
    /// Makes a server.
    pub fn server(crypto: C) -> Self {
        Self {
            connection: Connection::server(),
            crypto,
            handshake: Some(Box::new(Handshake::EMPTY)),
            sessions: Vec::new(),
        }
    }

    /// Makes a client of `localhost` with places for tickets; returns it and its hello.
    ///
    /// # Panics
    /// The configuration is not a client's.
    pub fn client(crypto: C, config: &Config<'_>, sessions: Vec<Session>) -> (Self, Vec<u8>) {
        let mut engine = Self::server(crypto);
        engine.sessions = sessions;
        let mut room = vec![0; RECORD_MAX];
        let mut out = Output::new(&mut room);
        let (_, mut setup, handshake) = engine.parts(config);
        let handshake = handshake.expect("memory of its own");
        let made = Connection::client(&mut setup, handshake, NAME, &mut out);
        engine.connection = made.expect("a client");
        (engine, out.filled().to_vec())
    }

    /// Makes a side of a connection that is open.
    pub fn open(connection: Connection, crypto: C) -> Self {
        Self {
            connection,
            crypto,
            handshake: None,
            sessions: Vec::new(),
        }
    }

    /// Returns the connection, and what it works with.
    fn parts<'a>(
        &'a mut self,
        config: &'a Config<'a>,
    ) -> (
        &'a mut Connection,
        Setup<'a, C>,
        Option<&'a mut Handshake<C>>,
    ) {
        let setup = Setup {
            crypto: &mut self.crypto,
            config,
            sessions: &mut self.sessions,
            peer: None,
        };
        (&mut self.connection, setup, self.handshake.as_deref_mut())
    }

    /// Processes the record at the front of `input`, and adds to `wire` what is to be sent.
    ///
    /// # Errors
    /// The alert that the peer is to be sent.
    pub fn receive(
        &mut self,
        config: &Config<'_>,
        input: &mut [u8],
        wire: &mut Vec<u8>,
    ) -> Result<Received, Alert> {
        let is_open = self.connection.is_open();
        let mut room = vec![0; if is_open { ROOM } else { RECORD_MAX }];
        let mut out = Output::new(&mut room);
        let (connection, mut setup, handshake) = self.parts(config);
        let handshake = handshake.filter(|_| !is_open);
        let received = connection.receive(&mut setup, handshake, input, &mut out);
        wire.extend_from_slice(out.filled());
        received
    }

    /// Takes records that are whole; returns what is to be sent.
    ///
    /// # Panics
    /// One is refused, or is not whole.
    pub fn take_all(&mut self, config: &Config<'_>, mut input: Vec<u8>) -> Vec<u8> {
        let mut wire = Vec::new();
        while !input.is_empty() {
            let received = self.receive(config, &mut input, &mut wire);
            let consumed = received.expect("an honest peer").consumed;
            assert!(consumed > 0, "whole records");
            input.drain(..consumed);
        }
        wire
    }

    /// Gives up the memory of a handshake that is done.
    pub fn forget_handshake(&mut self) {
        self.handshake = None;
    }

    /// Returns key material for another protocol, as long as the handshake is kept; `None` if it is
    /// not done.
    pub fn export(&self, label: &[u8]) -> Option<[u8; 32]> {
        let mut made = [0; 32];
        let handshake = self.handshake.as_ref()?;
        let is_made = handshake.export(&self.connection, label, &[], &mut made);
        is_made.then_some(made)
    }

    /// Adds `data` to `wire` in a record; returns how much of it.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send(&mut self, data: &[u8], wire: &mut Vec<u8>) -> Result<usize, Alert> {
        self.write(wire, |connection, crypto, out| {
            connection.send(crypto, data, out)
        })
    }

    /// Adds an alert to `wire`.
    ///
    /// # Errors
    /// The connection is over.
    pub fn send_alert(&mut self, alert: Alert, wire: &mut Vec<u8>) -> Result<(), Alert> {
        self.write(wire, |connection, crypto, out| {
            connection.send_alert(crypto, alert, out)
        })
    }

    /// Takes new keys, and may ask for the peer's.
    ///
    /// # Errors
    /// The connection is over.
    pub fn update_keys(&mut self, request: bool, wire: &mut Vec<u8>) -> Result<(), Alert> {
        self.write(wire, |connection, crypto, out| {
            connection.update_keys(crypto, request, out)
        })
    }

    fn write<T>(
        &mut self,
        wire: &mut Vec<u8>,
        write: impl FnOnce(&mut Connection, &mut C, &mut Output<'_>) -> T,
    ) -> T {
        let mut room = [0; ROOM];
        let mut out = Output::new(&mut room);
        let written = write(&mut self.connection, &mut self.crypto, &mut out);
        wire.extend_from_slice(out.filled());
        written
    }
}

/// Whom clients call.
const NAME: &str = "localhost";

/// Has a client and a server shake hands; returns a place with the ticket that the client has.
///
/// # Panics
/// They do not come to their end.
pub fn make_ticket<A: Provider, B: Provider>(
    config: &Config<'_>,
    client: A,
    server: B,
) -> Vec<Session> {
    let (mut client, mut wire) = Engine::client(client, config, vec![Session::EMPTY]);
    let mut server = Engine::server(server);
    while !wire.is_empty() {
        let answer = server.take_all(config, wire);
        wire = client.take_all(config, answer);
    }
    assert!(client.connection.is_open() && server.connection.is_open());
    client.sessions
}

/// Returns true if the searches are to go further than in each run (`SEARCH=large`).
pub fn is_large() -> bool {
    std::env::var("SEARCH").is_ok_and(|what| what == "large")
}
