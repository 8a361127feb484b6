//! Several configurations in one layer: each listener and each connect goes by its own.

use std::net::SocketAddr;

use usockets::tls::{ClientConfig, Config, ServerConfig, Session, TicketKeys, Tls, TlsMemory};
use usockets::{Closed, Duration, Endpoint, Error, Loop, Platform, Sockets};
use usockets_linux::Linux;
use usockets_tests_tls::{Authority, Crypto, Echo, Kind, Leaf, Machine, Part};

const SOCKETS: usize = 32;
/// `unknown_ca`.
const UNKNOWN_CA: u8 = 48;
/// `bad_certificate` and its like have other numbers: this is `certificate_unknown`, for a name.
const OTHER_NAME: u8 = 46;

type Layer<'s> = Tls<'s, Linux, Crypto>;
type TheLoop<'l, 's> = Loop<'l, Layer<'s>, Echo>;

/// Two authorities, and a server of each.
struct Two {
    authorities: [Authority; 2],
    leaves: [Leaf; 2],
    keys: [TicketKeys; 2],
}

const NAMES: [&str; 2] = ["one.example", "two.example"];
const PROTOCOLS: [&[&[u8]]; 2] = [&[b"one"], &[b"two"]];

impl Two {
    fn new() -> Self {
        let authorities = [Authority::new(Kind::P256), Authority::new(Kind::P256)];
        let issue = |index: usize| authorities[index].issue(Kind::P256, &[NAMES[index]]);
        let leaves = [issue(0), issue(1)];
        let keys = [1, 2].map(|secret| TicketKeys::new([secret; 32], 3_600));
        Self {
            authorities,
            leaves,
            keys,
        }
    }

    /// Runs `script` with a loop whose layer has four configurations: one for each server and its
    /// clients, and two more whose clients are those of the first and the second, but speak each
    /// other's protocol.
    fn run(&self, script: impl FnOnce(&mut TheLoop<'_, '_>, [SocketAddr; 2])) {
        let slices = [0, 1].map(|index| self.leaves[index].slices());
        let identities = [0, 1].map(|index| [self.leaves[index].identity(&slices[index])]);
        let roots = [0, 1].map(|index| self.authorities[index].anchors());
        let server = |index: usize| {
            let server = ServerConfig::new(&identities[index]).protocols(PROTOCOLS[index]);
            server.tickets(&self.keys[index])
        };
        let client = |index: usize, speaks: usize| {
            ClientConfig::new(&roots[index]).protocols(PROTOCOLS[speaks])
        };
        let configs = [
            Config::new(server(0), client(0, 0)),
            Config::new(server(1), client(1, 1)),
            Config::client(client(0, 1)),
            Config::client(client(0, 0)),
        ];
        let mut memory = Box::new(TlsMemory::<Crypto, SOCKETS, 4, 4, 4>::NEW);
        let mut sessions = [const { Session::EMPTY }; 4];
        let crypto = Crypto::new(Machine::new(7));
        let linux = Linux::new().unwrap();
        let layer = Tls::with_configs(linux, crypto, &configs, &mut *memory);
        let layer = layer.with_sessions(&mut sessions);
        let mut sockets = Box::new(Sockets::<Layer<'_>, Echo, SOCKETS>::new());
        let mut buffer = [0; 4_096];
        let mut the_loop = Loop::with_buffer(layer, &mut *sockets, &mut buffer).unwrap();
        let any = ([127, 0, 0, 1], 0).into();
        let addrs = [0, 1].map(|index| {
            let at = Endpoint::tls(any, None).config(index);
            let listener = the_loop.net().listen(at, Part::Echo).unwrap();
            the_loop.net().listening_addr(listener).unwrap()
        });
        // Nobody is served by one without identities, nor by one that is not there.
        for index in [2, 4, u16::MAX] {
            let at = Endpoint::tls(any, None).config(index);
            let listens = the_loop.net().listen(at, Part::Echo);
            assert_eq!(listens.map(|_| ()), Err(Error::Invalid));
        }
        script(&mut the_loop, addrs);
    }
}

/// Connects to the server with this number, by a configuration; returns what was agreed on above
/// TLS, or why it failed.
fn ask(
    the_loop: &mut TheLoop<'_, '_>,
    addrs: [SocketAddr; 2],
    server: usize,
    config: u16,
) -> Result<Vec<u8>, Error> {
    let to = Endpoint::tls(addrs[server], Some(NAMES[server])).config(config);
    the_loop.net().connect(to, Part::Ask)?;
    let mut echo = Echo::new(1_000);
    let start = std::time::Instant::now();
    while echo.failed.is_empty() && echo.closed.len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(10), "too slow");
        let next = the_loop.platform().now();
        let next = next.saturating_add(Duration::from_millis(20));
        the_loop.poll(&mut echo, Some(next)).unwrap();
    }
    if let Some(error) = echo.failed.first() {
        return Err(*error);
    }
    assert_eq!(echo.echoed, 1);
    assert_eq!(echo.closed(Part::Echo), [Closed::Finished]);
    assert_eq!(echo.protocols.len(), 2);
    assert_eq!(echo.protocols[0], echo.protocols[1], "both ends agree");
    Ok(echo.protocols.remove(0))
}

#[test]
fn listeners_show_their_own_certificates_and_speak_their_own_protocols() {
    Two::new().run(|the_loop, addrs| {
        for _ in 0..2 {
            assert_eq!(ask(the_loop, addrs, 0, 0).as_deref(), Ok(&b"one"[..]));
            assert_eq!(ask(the_loop, addrs, 1, 1).as_deref(), Ok(&b"two"[..]));
        }
        // `no_application_protocol`: of the second's protocols the first server has none.
        assert_eq!(
            ask(the_loop, addrs, 0, 2),
            Err(Error::AlertReceived(120)),
            "by the protocols of its own"
        );
    });
}

#[test]
fn connects_trust_whom_their_own_configuration_trusts() {
    Two::new().run(|the_loop, addrs| {
        for (server, config) in [(0, 1), (1, 0), (1, 2)] {
            let asked = ask(the_loop, addrs, server, config);
            let is_refused = matches!(
                asked,
                Err(Error::AlertSent(UNKNOWN_CA | OTHER_NAME) | Error::AlertReceived(120))
            );
            assert!(is_refused, "server {server}, client {config}: {asked:?}");
        }
        assert_eq!(ask(the_loop, addrs, 0, 4), Err(Error::Invalid));
        assert!(ask(the_loop, addrs, 0, 0).is_ok());
    });
}

#[test]
fn sessions_are_resumed_by_the_configuration_they_came_from() {
    Two::new().run(|the_loop, addrs| {
        let resumed = |the_loop: &mut TheLoop<'_, '_>, server, config| {
            let before = the_loop.platform().handshakes().resumed;
            ask(the_loop, addrs, server, config).unwrap();
            // Counted at both ends.
            (the_loop.platform().handshakes().resumed - before) / 2
        };
        assert_eq!(resumed(the_loop, 0, 0), 0);
        assert_eq!(resumed(the_loop, 0, 0), 1);
        // The same authorities and protocols, and another configuration.
        assert_eq!(resumed(the_loop, 0, 3), 0);
        assert_eq!(resumed(the_loop, 0, 3), 1);
        assert_eq!(resumed(the_loop, 0, 0), 1);
        assert_eq!(resumed(the_loop, 1, 1), 0);
        assert_eq!(resumed(the_loop, 1, 1), 1);
    });
}

#[test]
fn a_list_that_was_made_shorter_leaves_listeners_that_serve_nobody() {
    Two::new().run(|the_loop, addrs| {
        assert!(ask(the_loop, addrs, 0, 0).is_ok());
        the_loop.platform_mut().set_configs(&[]);
        assert_eq!(ask(the_loop, addrs, 0, 0), Err(Error::Invalid));
    });
}
