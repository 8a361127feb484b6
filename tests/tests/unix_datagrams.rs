//! Unix datagram sockets, wherever a platform has them.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use usockets::{
    Address, Arrival, DatagramOption, Datagrams, Departure, Error, LocalAddress, LocalEndpoint,
    LocalSockets, Platform, SocketId, StalePath,
};
use usockets_posix::local::remove_if_refused;
use usockets_posix::{Poll, Posix};
use usockets_tests::bed::{self, Bed};
use usockets_tests::mail::{Office, Reading, deliver_until};

macro_rules! on_every_platform_with_unix_datagrams {
    ($($name:ident),* $(,)?) => {
        mod on_linux {
            $(#[test]
            fn $name() {
                super::bed::on_linux(|bed| super::$name(bed));
            })*
        }
        mod on_kqueue_model {
            $(#[test]
            fn $name() {
                super::bed::on_kqueue_model(|bed| super::$name(bed));
            })*
        }
        mod on_poll {
            $(#[test]
            fn $name() {
                super::bed::on_poll(|bed| super::$name(bed));
            })*
        }
    };
}

on_every_platform_with_unix_datagrams!(
    datagrams_go_between_paths,
    datagrams_go_between_abstract_names,
    a_batch_of_unix_datagrams_arrives_in_order,
    a_long_unix_datagram_is_cut_and_says_so,
    a_receiver_that_is_not_there_is_refused,
    a_full_receiver_is_told_and_stops_nobody_else,
    a_fixed_peer_that_is_full_is_waited_for,
    a_fixed_peer_that_closes_is_an_error_of_a_datagram,
    a_path_in_use_is_never_taken,
    a_stale_path_is_replaced_only_where_asked,
    a_mode_holds,
    what_is_no_unix_datagram_socket_is_refused,
    descriptors_come_with_their_datagram,
    descriptors_that_are_not_taken_are_closed,
    descriptors_wait_for_room_with_their_datagram,
    what_cannot_be_passed_by_datagram_is_refused,
    as_many_descriptors_as_a_message_carries_exhaust_nothing,
);

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};

        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("usockets-datagrams-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn address(&self, name: &str) -> LocalAddress {
        LocalAddress::path(self.path(name).as_os_str().as_encoded_bytes()).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bind<P: Datagrams + 'static>(office: &mut Office<P>, at: LocalAddress) -> SocketId {
    office.lp.net().bind(at.into(), 1).unwrap()
}

fn to(at: LocalAddress, bytes: &[u8]) -> Departure {
    Departure {
        len: bytes.len(),
        to: at.into(),
        ..Departure::default()
    }
}

fn until<B: Bed>(
    bed: &mut B,
    office: &mut Office<B::P>,
    mut done: impl FnMut(&mut Office<B::P>) -> bool,
) where
    B::P: Datagrams,
{
    let long = bed.long();
    let came = deliver_until(bed, &mut [office], long, |offices| done(offices[0]));
    assert!(came, "it never came about");
}

fn go_between<B: Bed>(bed: &mut B, left: LocalAddress, right: LocalAddress)
where
    B::P: Datagrams + LocalSockets,
{
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, left);
    let with = bind(&mut office, right);
    assert_eq!(office.lp.net().local_addr(from), Some(left.into()));
    assert!(office.send_as(from, b"ask", to(right, b"ask")));
    until(bed, &mut office, |office| !office.post.letters.is_empty());
    let asked = office.post.letters.remove(0);
    assert_eq!((asked.id, asked.bytes.as_slice()), (with, &b"ask"[..]));
    let Arrival {
        peer, truncated, ..
    } = asked.arrival;
    assert_eq!((peer, truncated), (Address::Local(left), false));
    let answer = Departure {
        len: 0,
        to: peer,
        ..Departure::default()
    };
    assert!(office.send_as(with, b"", answer));
    until(bed, &mut office, |office| !office.post.letters.is_empty());
    assert_eq!(office.post.letters[0].bytes, b"");
    assert_eq!(office.post.letters[0].arrival.peer, Address::Local(right));
}

fn datagrams_go_between_paths<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    go_between(bed, directory.address("a"), directory.address("b"));
}

fn datagrams_go_between_abstract_names<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    // A name of this process's own, and the longest.
    let own = Directory::new();
    let text = own.0.as_os_str().as_encoded_bytes();
    let mut longest = [b'x'; 107];
    longest[..text.len()].copy_from_slice(text);
    let names = [text, &longest].map(|name| LocalAddress::abstract_name(name).unwrap());
    go_between(bed, names[0], names[1]);
}

fn a_batch_of_unix_datagrams_arrives_in_order<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let (a, b) = (directory.address("a"), directory.address("b"));
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, a);
    let with = bind(&mut office, b);
    let memory: Vec<u8> = (0..100).collect();
    let batch: Vec<_> = (0..100)
        .map(|start| Departure {
            start,
            ..to(b, b"x")
        })
        .collect();
    let mut done = 0;
    until(bed, &mut office, |office| {
        let sent = office.lp.net().send_batch(from, &memory, &batch[done..]);
        done += sent.count;
        // The receiver's queue (`net.unix.max_dgram_qlen`) is shorter.
        assert!(
            matches!(sent.error, None | Some(Error::Exhausted)),
            "{sent:?}"
        );
        done == batch.len()
    });
    until(bed, &mut office, |office| office.post.letters.len() == 100);
    assert_eq!(office.post.of(with).concat(), memory);
}

fn a_long_unix_datagram_is_cut_and_says_so<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let (a, b) = (directory.address("a"), directory.address("b"));
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, a);
    bind(&mut office, b);
    office.post.part = 100;
    for len in [100, 101, 5_000] {
        let bytes = vec![7; len];
        assert!(office.send_as(from, &bytes, to(b, &bytes)));
    }
    until(bed, &mut office, |office| office.post.letters.len() == 3);
    let cut = office.post.letters.iter();
    let cut: Vec<_> = cut
        .map(|letter| (letter.arrival.len, letter.arrival.truncated))
        .collect();
    assert_eq!(cut, [(100, false), (100, true), (100, true)]);
    // Longer than the socket's buffer.
    let bytes = vec![7; 8 << 20];
    let sent = office.lp.net().send_batch(from, &bytes, &[to(b, &bytes)]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
}

fn a_receiver_that_is_not_there_is_refused<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, directory.address("a"));
    let closed = directory.address("closed");
    drop(UnixDatagram::bind(directory.path("closed")).unwrap());
    let nowhere = directory.address("nowhere");
    let good = bind(&mut office, directory.address("b"));
    let to_good = to(directory.address("b"), b"x");
    for nobody in [closed, nowhere] {
        assert_eq!(
            office.lp.net().set_peer(from, nobody.into()),
            Err(Error::Refused)
        );
        let batch = [to_good, to(nobody, b"x"), to_good];
        let mut errors = Vec::new();
        let mut done = 0;
        while done < batch.len() {
            let sent = office.lp.net().send_batch(from, b"x", &batch[done..]);
            done += sent.count;
            if let Some(error) = sent.error {
                errors.push((done, error));
                done += 1;
            }
        }
        assert_eq!(errors, [(1, Error::Refused)]);
    }
    until(bed, &mut office, |office| office.post.of(good).len() == 4);
}

/// Nobody waits for room that no report tells of.
fn a_full_receiver_is_told_and_stops_nobody_else<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let slow = UnixDatagram::bind(directory.path("slow")).unwrap();
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, directory.address("a"));
    let good = bind(&mut office, directory.address("b"));
    let to_slow = to(directory.address("slow"), b"x");
    let mut taken = 0;
    let error = loop {
        let sent = office.lp.net().send_batch(from, b"x", &[to_slow]);
        taken += sent.count;
        if sent.count == 0 {
            break sent.error;
        }
    };
    assert_eq!(error, Some(Error::Exhausted));
    assert!(office.send_as(from, b"x", to(directory.address("b"), b"x")));
    until(bed, &mut office, |office| office.post.of(good).len() == 1);
    assert_eq!(office.post.writable, []);
    for _ in 0..taken {
        slow.recv(&mut [0; 8]).unwrap();
    }
    assert!(office.send_as(from, b"x", to_slow));
}

fn a_fixed_peer_that_is_full_is_waited_for<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let slow = UnixDatagram::bind(directory.path("slow")).unwrap();
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, directory.address("a"));
    let mut net = office.lp.net();
    net.set_peer(from, directory.address("slow").into())
        .unwrap();
    let batch = [Departure {
        len: 1,
        ..Departure::default()
    }; 1_000];
    let sent = net.send_batch(from, b"x", &batch);
    assert_eq!(sent.error, None);
    assert!((1..1_000).contains(&sent.count), "{sent:?}");
    let short = Duration::from_millis(50);
    deliver_until(bed, &mut [&mut office], short, |_| false);
    assert_eq!(office.post.writable, []);
    for _ in 0..sent.count {
        slow.recv(&mut [0; 8]).unwrap();
    }
    until(bed, &mut office, |office| !office.post.writable.is_empty());
    deliver_until(bed, &mut [&mut office], short, |_| false);
    assert_eq!(office.post.writable, [from]);
    assert!(office.send_as(from, b"x", batch[0]));
}

fn a_fixed_peer_that_closes_is_an_error_of_a_datagram<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let other = UnixDatagram::bind(directory.path("other")).unwrap();
    let mut office = Office::new(bed, 0);
    let (a, b) = (directory.address("a"), directory.address("b"));
    let (from, good) = (bind(&mut office, a), bind(&mut office, b));
    let mut net = office.lp.net();
    net.set_peer(from, directory.address("other").into())
        .unwrap();
    drop(other);
    let one = Departure {
        len: 1,
        ..Departure::default()
    };
    let sent = net.send_batch(from, b"x", &[one]);
    assert_eq!(sent.count, 0);
    assert!(sent.error.is_some());
    // It goes on.
    net.set_peer(from, b.into()).unwrap();
    assert!(office.send_as(from, b"x", one));
    until(bed, &mut office, |office| office.post.of(good).len() == 1);
    assert!(office.send_as(good, b"y", to(a, b"y")));
    until(bed, &mut office, |office| office.post.of(from).len() == 1);
    assert_eq!(office.post.closed, []);
}

/// Neither a socket nor a file that somebody made is removed (W22).
fn a_path_in_use_is_never_taken<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let a = directory.address("a");
    let first = bind(&mut office, a);
    fs::write(directory.path("file"), b"precious").unwrap();
    for stale in [StalePath::Keep, StalePath::RemoveIfRefused] {
        for taken in [a, directory.address("file")] {
            let at = LocalEndpoint::datagrams(taken).stale(stale);
            let again = office.lp.net().bind_local(at, 2);
            assert_eq!(again, Err(Error::AddressInUse));
        }
    }
    assert_eq!(fs::read(directory.path("file")).unwrap(), b"precious");
    assert_eq!(remove_if_refused(&a), Ok(false));
    let from = bind(&mut office, directory.address("b"));
    assert!(office.send_as(from, b"x", to(a, b"x")));
    until(bed, &mut office, |office| office.post.of(first).len() == 1);
}

/// What a process left that is gone is removed on demand, and not otherwise (W22).
fn a_stale_path_is_replaced_only_where_asked<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let a = directory.address("a");
    let id = bind(&mut office, a);
    office.lp.net().close(id);
    assert!(directory.path("a").exists());
    let keeping = office.lp.net().bind(a.into(), 2);
    assert_eq!(keeping, Err(Error::AddressInUse));
    let at = LocalEndpoint::datagrams(a).stale(StalePath::RemoveIfRefused);
    let id = office.lp.net().bind_local(at, 2).unwrap();
    let from = bind(&mut office, directory.address("b"));
    assert!(office.send_as(from, b"x", to(a, b"x")));
    until(bed, &mut office, |office| office.post.of(id).len() == 1);
    office.lp.net().close(id);
    assert_eq!(remove_if_refused(&a), Ok(true));
    assert!(!directory.path("a").exists());
}

fn a_mode_holds<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let at = LocalEndpoint::datagrams(directory.address("a")).mode(0o600);
    office.lp.net().bind_local(at, 1).unwrap();
    let file = fs::symlink_metadata(directory.path("a")).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

/// Addresses, types and options of others end in an error, and nothing is left over.
fn what_is_no_unix_datagram_socket_is_refused<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let (a, b) = (directory.address("a"), directory.address("b"));
    let from = bind(&mut office, a);
    let (udp, udp_at) = office.bind(bed.addr(0), 1);
    let in_use = office.lp.stats().in_use;
    let mut net = office.lp.net();
    let stream = net.bind_local(LocalEndpoint::stream(b), 1);
    assert_eq!(stream, Err(Error::Invalid));
    let listening = net.listen_local(LocalEndpoint::datagrams(b), 1);
    assert_eq!(listening.err(), Some(Error::Unsupported));
    let connecting = net.connect_local(LocalEndpoint::datagrams(a), 1);
    assert_eq!(connecting.err(), Some(Error::Unsupported));
    let absent = directory.address("no/such/directory");
    assert!(net.bind(absent.into(), 1).is_err());
    assert!(!directory.path("b").exists());
    assert_eq!(net.set_peer(from, udp_at.into()), Err(Error::Invalid));
    assert_eq!(net.set_peer(udp, a.into()), Err(Error::Invalid));
    let hops = net.set_datagram_option(from, DatagramOption::Hops(3));
    assert_eq!(hops, Err(Error::Unsupported));
    let to_udp = Departure {
        to: udp_at.into(),
        ..to(a, b"x")
    };
    let sent = net.send_batch(from, b"x", &[to_udp]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
    let sent = net.send_batch(udp, b"x", &[to(a, b"x")]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
    // A stream stands at the path.
    let listener = std::os::unix::net::UnixListener::bind(directory.path("stream")).unwrap();
    let to_stream = to(directory.address("stream"), b"x");
    let sent = net.send_batch(from, b"x", &[to_stream]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
    drop(listener);
    assert_eq!(office.lp.stats().in_use, in_use);
}

fn pass<B: Bed>(bed: &mut B) -> (Directory, Office<B::P>, SocketId, SocketId, LocalAddress)
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let to = directory.address("to");
    let from = bind(&mut office, directory.address("from"));
    let with = bind(&mut office, to);
    (directory, office, from, with, to)
}

/// What one `recv_batch` of at most four brought, and the descriptors that are there afterwards.
type Came = (Vec<Vec<u8>>, Vec<UnixDatagram>);

/// Receives, outside the loop's calls, until nothing more comes.
fn receive<B: Bed>(bed: &mut B, office: &mut Office<B::P>, id: SocketId) -> Vec<Came>
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    office.post.reading = Reading::Nothing;
    office.post.readable.clear();
    until(bed, office, |office| office.post.readable.contains(&id));
    let mut came = Vec::new();
    loop {
        let (mut memory, mut arrivals) = ([0; 4 * 16], [Arrival::default(); 4]);
        let mut net = office.lp.net();
        let count = net.recv_batch(id, &mut memory, &mut arrivals).unwrap();
        let parts = arrivals[..count].iter().zip(memory.chunks(16));
        let bytes = parts.map(|(one, part)| part[..one.len].to_vec()).collect();
        let descriptors: Vec<_> = std::iter::from_fn(|| net.next_descriptor(id)).collect();
        if count == 0 {
            assert!(descriptors.is_empty());
            return came;
        }
        came.push((bytes, descriptors.into_iter().map(Into::into).collect()));
    }
}

/// A batch ends behind the datagram that they came with.
fn descriptors_come_with_their_datagram<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    let (_directory, mut office, from, with, at) = pass(bed);
    let pairs = [0, 1, 2].map(|_| UnixDatagram::pair().unwrap());
    let copies = pairs
        .each_ref()
        .map(|(passed, _)| passed.try_clone().unwrap());
    let [one, two, three] = copies.map(OwnedFd::from);
    let watched = pairs.map(|(_, watched)| watched);
    assert!(office.send_as(from, b"plain", to(at, b"plain")));
    let mut net = office.lp.net();
    let sent = net.send_with_descriptors(from, b"two", &to(at, b"two"), &[&one, &two]);
    assert_eq!((sent.count, sent.error), (1, None));
    // Nor do they need a byte.
    let sent = net.send_with_descriptors(from, b"", &to(at, b""), &[&three]);
    assert_eq!((sent.count, sent.error), (1, None));
    let none = net.send_with_descriptors(from, b"none", &to(at, b"none"), &[]);
    assert_eq!((none.count, none.error), (1, None));
    drop([one, two, three]);
    let came = receive(bed, &mut office, with);
    assert!(office.lp.net().next_descriptor(from).is_none());
    let bytes: Vec<Vec<&[u8]>> = came
        .iter()
        .map(|(bytes, _)| bytes.iter().map(Vec::as_slice).collect())
        .collect();
    assert_eq!(
        bytes,
        [vec![&b"plain"[..], b"two"], vec![b""], vec![b"none"]]
    );
    let counts: Vec<_> = came.iter().map(|(_, list)| list.len()).collect();
    assert_eq!(counts, [2, 1, 0]);
    let descriptors: Vec<_> = came.into_iter().flat_map(|(_, list)| list).collect();
    for (descriptor, watched) in descriptors.iter().zip(&watched) {
        descriptor.send(b"here").unwrap();
        assert_eq!(watched.recv(&mut [0; 8]).unwrap(), 4);
        let flags = rustix::io::fcntl_getfd(descriptor).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    drop(descriptors);
    assert!(watched.iter().all(|watched| watched.send(b"x").is_err()));
}

/// What is not taken is closed by the next receive, and with the socket.
fn descriptors_that_are_not_taken_are_closed<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    let (_directory, mut office, from, with, at) = pass(bed);
    office.post.reading = Reading::Nothing;
    for close in [false, true] {
        office.post.readable.clear();
        let (passed, watched) = UnixDatagram::pair().unwrap();
        let passed = passed.into();
        let mut net = office.lp.net();
        let sent = net.send_with_descriptors(from, b"x", &to(at, b"x"), &[&passed]);
        assert_eq!(sent.count, 1);
        drop(passed);
        until(bed, &mut office, |office| {
            office.post.readable.contains(&with)
        });
        let (mut memory, mut arrivals) = ([0; 4], [Arrival::default()]);
        let mut net = office.lp.net();
        assert_eq!(net.recv_batch(with, &mut memory, &mut arrivals), Ok(1));
        assert!(watched.send(b"it is still there").is_ok());
        if close {
            net.close(with);
        } else {
            assert_eq!(net.recv_batch(with, &mut memory, &mut arrivals), Ok(0));
        }
        assert!(office.lp.net().next_descriptor(with).is_none());
        assert!(watched.send(b"x").is_err());
    }
}

/// A fixed peer whose queue is full is waited for, and the descriptors did not go meanwhile.
fn descriptors_wait_for_room_with_their_datagram<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    let directory = Directory::new();
    let slow = UnixDatagram::bind(directory.path("slow")).unwrap();
    let mut office = Office::new(bed, 0);
    let from = bind(&mut office, directory.address("a"));
    office
        .lp
        .net()
        .set_peer(from, directory.address("slow").into())
        .unwrap();
    let (passed, watched) = UnixDatagram::pair().unwrap();
    let passed = passed.into();
    let one = Departure {
        len: 1,
        ..Departure::default()
    };
    let mut count = 0;
    loop {
        let mut net = office.lp.net();
        let sent = net.send_with_descriptors(from, b"x", &one, &[&passed]);
        assert_eq!(sent.error, None);
        if sent.count == 0 {
            break;
        }
        count += 1;
        assert!(count < 10_000, "it never blocks");
    }
    drop(passed);
    for _ in 0..count {
        // The system closes what its reader does not ask for.
        slow.recv(&mut [0; 8]).unwrap();
    }
    assert!(watched.send(b"x").is_err());
    until(bed, &mut office, |office| !office.post.writable.is_empty());
    assert_eq!(office.post.writable, [from]);
}

/// Nothing goes then, and everything goes on.
fn what_cannot_be_passed_by_datagram_is_refused<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    let (directory, mut office, from, with, at) = pass(bed);
    let (udp, udp_at) = office.bind(bed.addr(0), 1);
    let passed: OwnedFd = UnixDatagram::unbound().unwrap().into();
    let many = [&passed; 254];
    let run = Departure {
        segment: 2,
        ..to(at, b"abcd")
    };
    let beyond = Departure {
        start: 3,
        ..to(at, b"abcd")
    };
    let to_udp = Departure {
        to: udp_at.into(),
        ..to(at, b"abcd")
    };
    let absent = to(directory.address("absent"), b"abcd");
    let mut net = office.lp.net();
    for (id, departure, descriptors, error) in [
        (from, to(at, b"abcd"), &many[..], Error::Invalid),
        (from, run, &many[..1], Error::Invalid),
        (from, beyond, &many[..1], Error::Invalid),
        (from, to_udp, &many[..1], Error::Invalid),
        (from, absent, &many[..1], Error::Refused),
        (udp, to_udp, &many[..1], Error::Invalid),
    ] {
        let sent = net.send_with_descriptors(id, b"abcd", &departure, descriptors);
        assert_eq!((sent.count, sent.error), (0, Some(error)), "{departure:?}");
    }
    let sent = net.send_with_descriptors(from, b"abcd", &to(at, b"abcd"), &many[..253]);
    assert_eq!((sent.count, sent.error), (1, None));
    until(bed, &mut office, |office| office.post.of(with) == [b"abcd"]);
    office.lp.net().close(from);
    let mut net = office.lp.net();
    let sent = net.send_with_descriptors(from, b"abcd", &to(at, b"abcd"), &many[..1]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
}

/// As many as one message may carry: they exhaust nothing.
fn as_many_descriptors_as_a_message_carries_exhaust_nothing<B: Bed>(bed: &mut B)
where
    B::P: Datagrams + LocalSockets<Descriptor = OwnedFd>,
{
    let directory = Directory::new();
    let mut office = Office::new(bed, 0);
    let id = bind(&mut office, directory.address("a"));
    let peer = UnixDatagram::unbound().unwrap();
    peer.connect(directory.path("a")).unwrap();
    let (passed, watched) = UnixDatagram::pair().unwrap();
    let passed = OwnedFd::from(passed);
    let list = [rustix::fd::AsFd::as_fd(&passed); 253];
    let mut space = vec![std::mem::MaybeUninit::uninit(); 2_048];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&list)));
    let bytes = &[rustix::io::IoSlice::new(b"many")];
    let sent = rustix::net::sendmsg(&peer, bytes, &mut control, SendFlags::empty());
    assert_eq!(sent, Ok(4));
    drop(passed);
    let came = receive(bed, &mut office, id);
    let [(bytes, kept)] = &came[..] else {
        panic!("one datagram");
    };
    assert_eq!(bytes[..], [b"many"]);
    assert_eq!(kept.len(), usockets_posix::local::RECEIVED_MAX);
    assert!(watched.send(b"x").is_ok());
    drop(came);
    // No copy is open any more: the other end is alone.
    assert!(watched.send(b"x").is_err());
}

/// A run of which the first datagrams went and a later one did not counts as sent: sent again, it
/// would come twice.
#[test]
fn a_run_that_was_begun_is_not_sent_twice() {
    let directory = Directory::new();
    let receiver = UnixDatagram::bind(directory.path("to")).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let mut platform = Posix::new(Box::leak(Box::new(Poll::<4>::new())));
    let mut socket = <Posix<&mut Poll<4>> as Platform>::CLOSED;
    let at = LocalEndpoint::datagrams(directory.address("from"));
    let id = SocketId::from_bits(1 << 32).unwrap();
    platform.bind_local(&mut socket, id, &at).unwrap();
    // More than any queue holds, one byte each.
    let memory = [7; 4_000];
    let run = Departure {
        segment: 1,
        ..to(directory.address("to"), &memory)
    };
    let sent = platform.send_batch(&mut socket, &memory, &[run]);
    let mut came = 0;
    while receiver.recv(&mut [0; 8]).is_ok() {
        came += 1;
    }
    assert!(came > 0 && came < 4_000, "{came}");
    assert_eq!(sent, Ok(1), "{came} of it came");
}

/// What is bound and then cannot be watched leaves no path behind.
#[test]
fn what_cannot_be_watched_leaves_no_path() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let mut platform = Posix::new(Box::leak(Box::new(Poll::<2>::new())));
    let mut socket = <Posix<&mut Poll<2>> as Platform>::CLOSED;
    let beyond = SocketId::from_bits((1 << 32) | 9).unwrap();
    let datagrams = LocalEndpoint::datagrams(directory.address("socket"));
    assert!(
        platform
            .bind_local(&mut socket, beyond, &datagrams)
            .is_err()
    );
    assert!(!path.exists());
    let stream = LocalEndpoint::stream(directory.address("socket"));
    assert!(platform.listen_local(&mut socket, beyond, &stream).is_err());
    assert!(!path.exists());
}
