//! Multicast on a wire: what another host sends to a group comes to a socket that joined it, for
//! any source or for one, and to no other. The other host is a network namespace at the far end of
//! a veth pair.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant as Time};

use usockets::{
    Arrival, DatagramOption, Datagrams, Error, Handler, Loop, Opened, Platform, Socket, SocketId,
    Sockets,
};
use usockets_linux::Linux;

#[path = "support/namespace.rs"]
mod namespace;

/// A wire from `d0`, here, to `d1`, at another host with two addresses of each family. `$FAR` is a
/// process of that host.
const WIRE: &str = "
    unshare --net sleep 60 >/dev/null 2>&1 &
    export FAR=$!
    tries=0
    while [ \"$(readlink /proc/$FAR/ns/net)\" = \"$(readlink /proc/$$/ns/net)\" ]; do
        tries=$((tries + 1)); [ $tries -lt 500 ]; sleep 0.01
    done
    ip link add d0 type veth peer name d1 netns $FAR
    ip addr add 10.9.8.1/24 dev d0
    ip addr add fd00:98::1/64 dev d0 nodad
    ip link set lo up
    ip link set d0 up
    nsenter --net=/proc/$FAR/ns/net sh -e -c '
        ip addr add 10.9.8.2/24 dev d1
        ip addr add 10.9.8.3/24 dev d1
        ip addr add fd00:98::2/64 dev d1 nodad
        ip addr add fd00:98::3/64 dev d1 nodad
        ip link set d1 up
        # Routes of IPv6 come when the link is ready.
        tries=0
        until ip -6 route show table local dev d1 | grep -q ff00::/8; do
            tries=$((tries + 1)); [ $tries -lt 500 ]; sleep 0.01
        done
    '";

/// Keeps what came.
#[derive(Default)]
struct Keep(Vec<(Arrival, Vec<u8>)>);

impl<P: Datagrams> Handler<P> for Keep {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut ()) {
        let (mut memory, mut arrivals) = ([0; 4 * 512], [Arrival::default(); 4]);
        let count = socket.recv_batch(&mut memory, &mut arrivals).unwrap();
        for (arrival, bytes) in arrivals.iter().zip(memory.chunks(512)).take(count) {
            self.0.push((*arrival, bytes[..arrival.len].to_vec()));
        }
    }
}

struct Host {
    lp: Loop<'static, Linux, Keep>,
    keep: Keep,
    id: SocketId,
    port: u16,
}

impl Host {
    fn bind(at: &str) -> Self {
        let sockets = Box::leak(Box::new(Sockets::<Linux, Keep, 1>::new()));
        let mut lp = Loop::new(Linux::new().unwrap(), sockets, Box::leak(Box::new([0; 1])));
        let at: SocketAddr = at.parse().unwrap();
        let id = lp.net().bind(at.into(), ()).unwrap();
        let port = lp.net().local_addr(id).unwrap().ip().unwrap().port();
        Self {
            lp,
            keep: Keep::default(),
            id,
            port,
        }
    }

    fn set(&mut self, option: DatagramOption) -> Result<(), Error> {
        self.lp.net().set_datagram_option(self.id, option)
    }

    /// Runs until a datagram says `last`, and returns what came, without it.
    fn receive(&mut self, last: &[u8]) -> Vec<(Arrival, Vec<u8>)> {
        let start = Time::now();
        while self.keep.0.last().is_none_or(|(_, bytes)| bytes != last) {
            assert!(start.elapsed() < Duration::from_secs(20), "it never came");
            let until = self.lp.platform().now();
            let until = until.saturating_add(Duration::from_millis(20));
            self.lp.poll(&mut self.keep, Some(until)).unwrap();
        }
        let mut came = std::mem::take(&mut self.keep.0);
        came.pop();
        came
    }
}

/// Binds sockets at the far host, and returns them with the number that its interface has there.
fn far_sockets(addresses: [&'static str; 2]) -> ([UdpSocket; 2], u32) {
    let far = format!("/proc/{}/ns/net", std::env::var("FAR").unwrap());
    let far = File::open(far).unwrap();
    // A thread has a namespace of its own, and a socket that of the thread which made it.
    let bound = thread::spawn(move || {
        let network = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(far.as_fd(), Some(network)).unwrap();
        let sockets = addresses.map(|address| {
            let ip: IpAddr = address.parse().unwrap();
            UdpSocket::bind((ip, 0)).unwrap()
        });
        let index = rustix::net::netdevice::name_to_index(&sockets[0], "d1").unwrap();
        (sockets, index)
    });
    bound.join().unwrap()
}

/// Ends the far host.
struct Far;

impl Drop for Far {
    fn drop(&mut self) {
        if let Some(far) = std::env::var_os("FAR") {
            let _ = Command::new("kill").arg(far).status();
        }
    }
}

/// Joins, receives and leaves, with senders `[first, second]` at the far host.
fn check_group(at: &str, group: &str, near: &str, senders: [&'static str; 2]) {
    let mut host = Host::bind(at);
    let group: IpAddr = group.parse().unwrap();
    let near: IpAddr = near.parse().unwrap();
    let ([first, second], far_index) = far_sockets(senders);
    let interface =
        rustix::net::netdevice::name_to_index(UdpSocket::bind((near, 0)).unwrap(), "d0");
    let interface = interface.unwrap();
    let to = match group {
        IpAddr::V4(_) => SocketAddr::new(group, host.port),
        IpAddr::V6(group) => SocketAddrV6::new(group, host.port, 0, far_index).into(),
    };
    let mark = SocketAddr::new(near, host.port);
    // Sends to the group from both, and then what comes however it went.
    let send = |what: &[u8]| {
        first.send_to(what, to).unwrap();
        second.send_to(what, to).unwrap();
        second.send_to(b"mark", mark).unwrap();
    };
    send(b"before");
    assert_eq!(host.receive(b"mark"), [], "{group}");
    let one: IpAddr = senders[0].parse().unwrap();
    for (source, expected) in [(None, 2), (Some(one), 1)] {
        let joined = DatagramOption::Join {
            group,
            source,
            interface,
        };
        host.set(joined).unwrap();
        send(b"within");
        let came = host.receive(b"mark");
        assert_eq!(came.len(), expected, "{group} {source:?}: {came:?}");
        for (arrival, bytes) in came {
            assert_eq!(bytes, b"within");
            assert_eq!(arrival.destination, Some(group));
            assert_eq!(arrival.interface, interface);
            let peer = arrival.peer.ip().unwrap().ip();
            assert!(source.is_none_or(|source| source == peer), "{peer}");
        }
        let left = DatagramOption::Leave {
            group,
            source,
            interface,
        };
        host.set(left).unwrap();
        send(b"after");
        assert_eq!(host.receive(b"mark"), [], "{group} {source:?}");
    }
}

#[test]
fn groups_of_ipv4_are_received_for_any_source_and_for_one() {
    let own = "groups_of_ipv4_are_received_for_any_source_and_for_one";
    namespace::run_apart(own, WIRE, || {
        let _far = Far;
        let senders = ["10.9.8.2", "10.9.8.3"];
        check_group("0.0.0.0:0", "239.1.2.3", "10.9.8.1", senders);
        // A socket of IPv6 may join a group of IPv4.
        check_group("[::]:0", "239.1.2.4", "10.9.8.1", senders);
    });
}

#[test]
fn groups_of_ipv6_are_received_for_any_source_and_for_one() {
    let own = "groups_of_ipv6_are_received_for_any_source_and_for_one";
    namespace::run_apart(own, WIRE, || {
        let _far = Far;
        let senders = ["fd00:98::2", "fd00:98::3"];
        check_group("[::]:0", "ff12::77", "fd00:98::1", senders);
    });
}
