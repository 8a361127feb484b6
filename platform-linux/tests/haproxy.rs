//! The PROXY protocol against HAProxy: what it sends is understood, and it understands what is
//! sent.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use usockets::proxy::{Network, Proxied, ProxyHeader, ProxyPlace, ProxyVersion};
use usockets::{AllSockets, Endpoint, Handler, Loop, Opened, Socket, Sockets, Waker};
use usockets_linux::{EventFd, Linux};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::{Client, PATIENCE, within};

type Layer = Proxied<'static, Linux>;

/// What the server answers: whom it takes for the peer, and the types of the values beside.
struct Server;

impl Handler<Layer> for Server {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, Layer, Self>, opened: Opened<()>) {
        let peer = opened.peer().unwrap();
        let id = socket.id();
        let values = socket.net().platform_mut().values(id).map(|(kind, _)| kind);
        let line = format!("{peer} {:?}\n", values.collect::<Vec<_>>());
        // Nothing is taken where the probe whether HAProxy listens is gone already.
        let taken = socket.write(line.as_bytes());
        assert!(
            taken == line.len() || taken == 0,
            "{taken} bytes were taken"
        );
        socket.finish();
    }

    fn on_data(&mut self, _: &mut Socket<'_, Layer, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Layer, Self>) {
        sockets.net().close_all((), 0);
    }
}

/// Serves behind proxies of this machine until it is woken.
fn serve(waker: &'static Waker<EventFd>, tell: &Sender<SocketAddr>) {
    let trusted: &'static [Network] = Box::leak(Box::new([Network::new([127, 0, 0, 0].into(), 8)]));
    let places: &'static mut [ProxyPlace] = Box::leak(Box::new([ProxyPlace::EMPTY; 16]));
    let linux = Linux::new().unwrap().with_waker(waker).unwrap();
    let layer = Proxied::new(linux, trusted).with_values(places);
    let mut sockets = Sockets::<_, Server, 16>::new();
    let mut buffer = [0; 1_024];
    let mut server = Loop::new(layer, &mut sockets, &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ()).unwrap();
    let addr = server.net().listening_addr(listener).unwrap();
    tell.send(addr).unwrap();
    server.run(&mut Server).unwrap();
}

struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns true if HAProxy is here. In the project's own checks it has to be.
fn is_installed() -> bool {
    if Command::new("haproxy").arg("-v").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "haproxy is not installed");
    println!("skipped: haproxy is not installed (apt-get install haproxy)");
    false
}

/// Returns an address that nobody listens at.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Starts HAProxy, which passes on what comes to `plain` as `options` say, and to `proxied`, where
/// it expects a header itself.
fn start(plain: SocketAddr, proxied: SocketAddr, server: SocketAddr, options: &str) -> HaProxy {
    let folder = std::env::temp_dir().join(format!("usockets-haproxy-{}", plain.port()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("haproxy.cfg");
    let text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 10s\n timeout server 10s\n\
         frontend f\n bind {plain}\n bind {proxied} accept-proxy\n unique-id-format %ci\n\
         default_backend b\n\
         backend b\n server s {server} {options}\n"
    );
    std::fs::File::create(&file)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let child = Command::new("haproxy")
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .spawn()
        .unwrap();
    let running = HaProxy(child);
    within(PATIENCE, || TcpStream::connect(plain).is_ok());
    std::fs::remove_dir_all(&folder).unwrap();
    running
}

#[test]
fn haproxy_is_understood_and_understands() {
    if !is_installed() {
        return;
    }
    let waker: &Waker<EventFd> = Box::leak(Box::new(Waker::new(EventFd::new().unwrap())));
    let (tell, told) = channel();
    let serving = thread::spawn(move || serve(waker, &tell));
    let server = told.recv().unwrap();
    for (options, values) in [
        ("send-proxy", "[]"),
        ("send-proxy-v2", "[]"),
        ("send-proxy-v2 proxy-v2-options crc32c", "[3]"),
        ("send-proxy-v2 proxy-v2-options crc32c,unique-id", "[3, 5]"),
    ] {
        let (plain, proxied) = (free(), free());
        let _running = start(plain, proxied, server, options);
        let mut client = Client::connect(plain);
        let own = client.stream.local_addr().unwrap();
        let line = String::from_utf8(client.rest().0).unwrap();
        assert_eq!(line, format!("{own} {values}\n"), "{options}");
        // Our header, read and written anew by HAProxy.
        let announced: SocketAddr = "192.0.2.7:56324".parse().unwrap();
        let header = ProxyHeader::between(announced, "192.0.2.9:443".parse().unwrap());
        for version in [ProxyVersion::One, ProxyVersion::Two] {
            let mut bytes = [0; 107];
            let len = header.write(version, &mut bytes).unwrap();
            let mut client = Client::connect(proxied);
            client.send(&bytes[..len]);
            let line = String::from_utf8(client.rest().0).unwrap();
            assert_eq!(
                line,
                format!("{announced} {values}\n"),
                "{options} {version:?}"
            );
        }
    }
    waker.wake();
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while !serving.is_finished() && std::time::Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    serving.join().unwrap();
}
