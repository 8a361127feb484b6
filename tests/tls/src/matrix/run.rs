//! Runs one combination: our loop in this thread, the other program beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use usockets::tls::{ClientAuth, ClientConfig, Config, RustCrypto, ServerConfig, Tls, TlsMemory};
use usockets::{
    Closed, Duration, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets,
};
use usockets_linux::{Linux, LinuxMachine};

use super::{Case, LINE, Peer, Role};
use crate::files::{Files, Program};
use crate::{Authority, Crypto, Kind, Leaf, Machine};

/// Longest that one combination may take.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The identities, and the files with them.
pub struct Stage {
    authority: Authority,
    servers: Vec<(Kind, Leaf)>,
    people: Vec<(Kind, Leaf)>,
    files: Files,
    pub root: PathBuf,
}

/// What a program is given.
pub struct Given<'a> {
    pub case: &'a Case,
    pub addr: SocketAddr,
    /// The authority's certificate.
    pub root: &'a str,
    /// Its own certificate and key: a server's, or a client's if it is to show one.
    pub own: Option<[String; 2]>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    pub fn new() -> Self {
        let authority = Authority::new(Kind::P256);
        let files = Files::new();
        let root = files.write("root.pem", "CERTIFICATE", &[authority.root().to_vec()]);
        let leaves = |names: &[&str]| {
            let issue = |kind| (kind, authority.issue(kind, names));
            super::case::KINDS.map(issue).into()
        };
        Self {
            servers: leaves(&["localhost"]),
            people: leaves(&["person"]),
            authority,
            files,
            root,
        }
    }

    /// Tries one combination with `peer`; the error tells what went wrong.
    pub fn try_case(&self, peer: &Peer, case: &Case) -> Result<(), String> {
        let roots = self.authority.anchors();
        let leaf = of_kind(&self.servers, case.kind);
        let slices = leaf.slices();
        let policy = match case.person {
            Some(_) => ClientAuth::Required(&roots),
            None => ClientAuth::Off,
        };
        let identities = [leaf.identity(&slices).client_auth(policy)];
        let person = case.person.map(|kind| of_kind(&self.people, kind));
        let person_slices = person.map(Leaf::slices).unwrap_or_default();
        let person_identity = person.map(|person| person.identity(&person_slices));
        let mut client = ClientConfig::new(&roots);
        if let Some(identity) = &person_identity {
            client = client.identity(identity);
        }
        let root = self.root.display().to_string();
        match case.role {
            Role::Server => {
                let config = Config::server(ServerConfig::new(&identities));
                let own = person.map(|person| self.paths("person", person));
                self.serve(peer, case, &config, &root, own)
            }
            Role::Client => {
                let config = Config::client(client);
                let own = Some(self.paths("server", leaf));
                connect(peer, case, &config, &root, own)
            }
        }
    }

    fn paths(&self, name: &str, leaf: &Leaf) -> [String; 2] {
        self.files
            .chain(name, leaf)
            .map(|path| path.display().to_string())
    }

    /// We serve; the program asks.
    fn serve(
        &self,
        peer: &Peer,
        case: &Case,
        config: &Config<'_>,
        root: &str,
        own: Option<[String; 2]>,
    ) -> Result<(), String> {
        let mut answer = Answer::default();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let start = |addr: SocketAddr| {
                let given = Given {
                    case,
                    addr,
                    root,
                    own,
                };
                let command = (peer.command)(&given);
                scope.spawn(move || sender.send(ask(command)).unwrap());
            };
            let mut outcome = None;
            run(config, &mut answer, None, start, |_| {
                outcome = outcome.take().or_else(|| receiver.try_recv().ok());
                outcome.is_some()
            })?;
            outcome.unwrap()
        })
    }
}

fn of_kind(leaves: &[(Kind, Leaf)], wanted: Kind) -> &Leaf {
    let found = leaves.iter().find(|(kind, _)| *kind == wanted);
    &found.expect("an identity of the kind").1
}

/// The program serves; we ask.
fn connect(
    peer: &Peer,
    case: &Case,
    config: &Config<'_>,
    root: &str,
    own: Option<[String; 2]>,
) -> Result<(), String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.map_err(|error| error.to_string())?;
    let mut command = (peer.command)(&Given {
        case,
        addr,
        root,
        own,
    });
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut program = Program(child.spawn().map_err(|error| error.to_string())?);
    let begin = Instant::now();
    // It drops a connection that says nothing.
    while TcpStream::connect(addr).is_err() {
        if begin.elapsed() > TIME_MAX || program.0.try_wait().is_ok_and(|ended| ended.is_some()) {
            return Err(format!("it does not listen: {}", said(&mut program.0)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut answer = Answer {
        speaks_http: peer.speaks_http,
        ..Answer::default()
    };
    let ran = run(
        config,
        &mut answer,
        Some(addr),
        |_| {},
        |answer| answer.is_back || answer.failure.is_some(),
    );
    if answer.is_back {
        return Ok(());
    }
    program.0.kill().ok();
    Err(format!(
        "{ran:?} {:?} {}",
        answer.failure,
        said(&mut program.0)
    ))
}

fn said(child: &mut Child) -> String {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        child.kill().ok();
        stderr.read_to_string(&mut said).ok();
    }
    said
}

/// Runs a client that sends the line; the error is what it said if the line did not come back.
fn ask(mut command: Command) -> Result<(), String> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut program = Program(child.spawn().map_err(|error| error.to_string())?);
    let mut stdin = program.0.stdin.take().expect("piped");
    stdin.write_all(format!("{LINE}\n").as_bytes()).ok();
    let stdout = program.0.stdout.take().expect("piped");
    let is_back = BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .any(|line| line == LINE);
    drop(stdin);
    if is_back {
        return Ok(());
    }
    Err(said(&mut program.0))
}

/// Polls our loop until `done`.
fn run(
    config: &Config<'_>,
    answer: &mut Answer,
    to: Option<SocketAddr>,
    start: impl FnOnce(SocketAddr),
    mut done: impl FnMut(&Answer) -> bool,
) -> Result<(), String> {
    let mut memory = Box::new(TlsMemory::<Crypto, 8, 2, 2, 2>::NEW);
    let mut sockets = Box::new(Sockets::<Tls<'_, Linux, Crypto>, Answer, 8>::new());
    let mut buffer = vec![0; 16_384];
    let crypto = Crypto::new(Machine::new(9));
    let linux = Linux::new().map_err(|error| error.to_string())?;
    let layer = Tls::new(linux, crypto, config, &mut *memory);
    let mut the_loop =
        Loop::with_buffer(layer, &mut *sockets, &mut buffer).map_err(|error| error.to_string())?;
    let mut addr = ([127, 0, 0, 1], 0).into();
    let net = &mut the_loop.net();
    let started = match to {
        Some(to) => net
            .connect(Endpoint::tls(to, Some("localhost")), ())
            .map(drop),
        None => net.listen(Endpoint::tls(addr, None), ()).map(|listener| {
            addr = net.listening_addr(listener).expect("its address");
        }),
    };
    started.map_err(|error| error.to_string())?;
    start(addr);
    let begin = Instant::now();
    while !done(answer) {
        if begin.elapsed() > TIME_MAX {
            return Err(format!("nothing for {TIME_MAX:?}, {:?}", answer.failure));
        }
        let now = the_loop.platform().now();
        let next = now.saturating_add(Duration::from_millis(5));
        the_loop
            .poll(answer, Some(next))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Serves until something fails, for programs that are run by hand; tells the address.
pub fn serve(config: &Config<'_>, at: SocketAddr) -> Result<(), Error> {
    let mut memory = Box::new(TlsMemory::<Wall, 256, 16, 16, 16>::NEW);
    let mut sockets = Box::new(Sockets::<Tls<'_, Linux, Wall>, Answer, 256>::new());
    let mut buffer = vec![0; 65_536];
    let crypto = Wall::new(LinuxMachine::new());
    let layer = Tls::new(Linux::new()?, crypto, config, &mut *memory);
    let mut server = Loop::with_buffer(layer, &mut *sockets, &mut buffer)?;
    let listener = server.net().listen(Endpoint::tls(at, None), ())?;
    println!("{:?}", server.net().listening_addr(listener));
    server.run(&mut Answer::default())
}

/// Cryptography with the real clock and real random bytes.
type Wall = RustCrypto<LinuxMachine>;

/// Sends back what comes, or a page to who speaks HTTP; as a client, the line.
#[derive(Default)]
struct Answer {
    /// The server is to be asked for a page, which has the line.
    speaks_http: bool,
    is_back: bool,
    failure: Option<Error>,
}

impl<P: Platform> Handler<P> for Answer {
    type Context = ();
    /// What a client has received.
    type Ext = Option<Vec<u8>>;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<()>) -> Self::Ext {
        if let Opened::Accepted { .. } = opened {
            return None;
        }
        let said = match self.speaks_http {
            true => "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(),
            false => format!("{LINE}\n"),
        };
        // It fits: the connection is new.
        let _ = socket.write(said.as_bytes());
        Some(Vec::new())
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        match held {
            Some(received) => {
                received.extend_from_slice(data);
                let mut places = received.windows(LINE.len());
                self.is_back |= places.any(|place| place == LINE.as_bytes());
            }
            None if data.starts_with(b"GET ") => {
                let len = LINE.len() + 1;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{LINE}\n");
                let _ = socket.write(head.as_bytes());
                socket.finish();
            }
            None => drop(socket.write(data)),
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Self::Ext, closed: Closed) {
        if let Closed::Failed(error) = closed {
            self.failure = Some(error);
        }
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.failure = Some(error);
    }
}
