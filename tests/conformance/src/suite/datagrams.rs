//! Datagram sockets, of a platform that has them ([`Datagrams`]).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use usockets::{
    Address, Arrival, Closed, DatagramOption, Datagrams, Departure, Ecn, Error, SocketId,
};

use crate::bed::Bed;
use crate::mail::{ClosesIn, Office, Reading, deliver_until};

/// Two loops, each with a socket: ids and addresses.
struct Both<B: Bed>
where
    B::P: Datagrams,
{
    left: Office<B::P>,
    right: Office<B::P>,
    from: SocketId,
    from_addr: SocketAddr,
    to: SocketId,
    to_addr: SocketAddr,
}

impl<B: Bed> Both<B>
where
    B::P: Datagrams,
{
    fn new(bed: &mut B) -> Self {
        let mut left = Office::new(bed, 0);
        let mut right = Office::new(bed, 1);
        let (from, from_addr) = left.bind(bed.addr(0), 1);
        let (to, to_addr) = right.bind(bed.addr(1), 2);
        Self {
            left,
            right,
            from,
            from_addr,
            to,
            to_addr,
        }
    }

    fn until(
        &mut self,
        bed: &mut B,
        mut done: impl FnMut(&mut Office<B::P>, &mut Office<B::P>) -> bool,
    ) {
        let long = bed.long();
        let both = &mut [&mut self.left, &mut self.right];
        let came = deliver_until(bed, both, long, |offices| {
            let [left, right] = offices else {
                return false;
            };
            done(left, right)
        });
        assert!(came, "it never came about");
    }

    /// Lets both run for a while in which nothing is to come.
    fn quiet(&mut self, bed: &mut B) {
        let both = &mut [&mut self.left, &mut self.right];
        deliver_until(bed, both, Duration::from_millis(100), |_| false);
    }

    /// Sends one, again and again until it is taken.
    fn send(&mut self, bed: &mut B, bytes: &[u8]) {
        let (from, to) = (self.from, self.to_addr);
        self.until(bed, |left, _| left.send(from, to, bytes));
    }
}

/// Bytes, peer, destination and the rest of what a platform may tell are right.
pub fn a_datagram_arrives_whole_with_its_peer<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.send(bed, b"hello");
    both.until(bed, |_, right| !right.post.letters.is_empty());
    let letter = both.right.post.letters[0].clone();
    assert_eq!(
        (letter.id, letter.bytes.as_slice()),
        (both.to, &b"hello"[..])
    );
    let Arrival {
        len,
        segment,
        peer,
        destination,
        ecn,
        truncated,
        ..
    } = letter.arrival;
    assert_eq!((len, segment, truncated), (5, 0, false));
    assert_eq!(peer, both.from_addr);
    assert_eq!(ecn, Ecn::NotEct);
    assert!(destination.is_none_or(|ip| ip == both.to_addr.ip()));
    assert_eq!(both.left.post.opened, [(both.from, 1)]);
    assert_eq!(both.right.post.opened, [(both.to, 2)]);
    assert_eq!(both.right.lp.stats().received, 5);
    assert_eq!(both.left.lp.stats().sent, 5);
    assert_eq!(both.right.lp.stats().breaches, 0);
}

/// More than one call carries, and each is one datagram.
pub fn a_batch_arrives_in_order<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let memory: Vec<u8> = (0..100).collect();
    let mut departures: Vec<_> = (0..100)
        .map(|index| Departure {
            start: index,
            len: 1,
            to: both.to_addr.into(),
            ..Departure::default()
        })
        .collect();
    let from = both.from;
    both.until(bed, |left, _| {
        let sent = left.lp.net().send_batch(from, &memory, &departures);
        assert_eq!(sent.error, None);
        departures.drain(..sent.count);
        departures.is_empty()
    });
    both.until(bed, |_, right| right.post.letters.len() == 100);
    let bytes: Vec<u8> = both.right.post.of(both.to).concat();
    assert_eq!(bytes, memory);
}

/// A datagram without bytes arrives as one.
pub fn an_empty_datagram_is_one<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.send(bed, b"");
    both.send(bed, b"x");
    both.until(bed, |_, right| right.post.letters.len() == 2);
    assert_eq!(both.right.post.of(both.to), [&b""[..], b"x"]);
}

/// What is longer than its part of the memory is cut to it, and marked as truncated.
pub fn a_long_datagram_is_cut_and_says_so<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.right.post.part = 100;
    both.send(bed, &[7; 100]);
    both.send(bed, &[8; 101]);
    both.send(bed, &[9; 1_000]);
    both.until(bed, |_, right| right.post.letters.len() == 3);
    let letters = both.right.post.letters.iter();
    let cut: Vec<_> = letters
        .map(|letter| {
            (
                letter.bytes[0],
                letter.arrival.len,
                letter.arrival.truncated,
            )
        })
        .collect();
    assert_eq!(cut, [(7, 100, false), (8, 100, true), (9, 100, true)]);
}

/// One batch a call empties a socket in the end, without anything new.
pub fn what_a_batch_leaves_is_told_again<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.right.post.reading = Reading::Nothing;
    for byte in 0..20 {
        both.send(bed, &[byte]);
    }
    both.until(bed, |_, right| !right.post.readable.is_empty());
    both.quiet(bed);
    both.right.post.reading = Reading::Batch;
    both.right.post.batch = 3;
    // The first comes by a call from outside, the others by themselves.
    let mut memory = [0; 300];
    let mut arrivals = [Arrival::default(); 3];
    let mut net = both.right.lp.net();
    let count = net.recv_batch(both.to, &mut memory, &mut arrivals).unwrap();
    assert!((1..=3).contains(&count));
    both.until(bed, |_, right| right.post.letters.len() == 20 - count);
}

/// A program that does not receive is not told again, whatever comes, and can receive later.
pub fn on_readable_comes_once_until_it_is_received<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.right.post.reading = Reading::Nothing;
    both.send(bed, b"a");
    both.until(bed, |_, right| !right.post.readable.is_empty());
    both.send(bed, b"b");
    both.quiet(bed);
    assert_eq!(both.right.post.readable, [both.to]);
    both.right.post.reading = Reading::Batch;
    let (mut memory, mut arrivals) = ([0; 200], [Arrival::default(); 2]);
    let mut seen = Vec::new();
    let to = both.to;
    both.until(bed, |_, right| {
        let mut net = right.lp.net();
        let count = net.recv_batch(to, &mut memory, &mut arrivals).unwrap();
        seen.extend(memory.chunks(100).take(count).map(|bytes| bytes[0]));
        seen.extend(right.post.letters.drain(..).map(|letter| letter.bytes[0]));
        seen.len() == 2
    });
    seen.sort_unstable();
    assert_eq!(seen, b"ab");
}

/// A run arrives as its datagrams, or as a run if the memory is large enough.
pub fn a_run_is_split<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    for part in [2_000, 65_535] {
        both.right.post.part = part;
        let before = both.right.lp.stats().received;
        both.right.post.letters.clear();
        let memory: Vec<u8> = (0..2_500_u32).map(|at| (at / 100) as u8).collect();
        let run = Departure {
            len: memory.len(),
            segment: 1_000,
            to: both.to_addr.into(),
            ..Departure::default()
        };
        let from = both.from;
        both.until(bed, |left, _| left.send_as(from, &memory, run));
        both.until(bed, |_, right| right.lp.stats().received == before + 2_500);
        let mut pieces = Vec::new();
        for letter in &both.right.post.letters {
            let size = match letter.arrival.segment {
                0 => letter.bytes.len().max(1),
                segment => usize::from(segment),
            };
            pieces.extend(letter.bytes.chunks(size).map(<[u8]>::to_vec));
        }
        let lens: Vec<_> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lens, [1_000, 1_000, 500]);
        assert_eq!(pieces.concat(), memory);
    }
}

/// A socket with a fixed peer sends without naming it, and receives from nobody else.
pub fn a_fixed_peer_needs_no_address_and_is_alone<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let (stranger, _) = both.left.bind(bed.addr(0), 3);
    let (from, to_addr) = (both.from, both.to_addr);
    both.right
        .lp
        .net()
        .set_peer(both.to, both.from_addr.into())
        .unwrap();
    both.left.lp.net().set_peer(from, to_addr.into()).unwrap();
    assert_eq!(
        both.left.lp.net().local_addr(from),
        Some(both.from_addr.into())
    );
    both.until(bed, |left, _| left.send(stranger, to_addr, b"no"));
    let yes = Departure {
        len: 3,
        ..Departure::default()
    };
    both.until(bed, |left, _| left.send_as(from, b"yes", yes));
    both.until(bed, |_, right| !right.post.letters.is_empty());
    both.quiet(bed);
    assert_eq!(both.right.post.of(both.to), [b"yes"]);
    // Nobody was named, and no peer is fixed.
    let sent = both.left.lp.net().send_batch(stranger, b"yes", &[yes]);
    assert_eq!((sent.count, sent.error), (0, Some(Error::Invalid)));
}

/// Nobody listens at a port: the datagram's error comes back, with its destination, and the socket
/// sends and receives as before.
pub fn an_error_is_of_the_datagram_and_the_socket_goes_on<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let (gone, nobody) = both.right.bind(bed.addr(1), 9);
    let from = both.from;
    both.left.lp.net().set_peer(from, nobody.into()).unwrap();
    both.right.lp.net().close(gone);
    both.until(bed, |_, right| right.post.opened.len() == 1);
    both.until(bed, |left, _| left.send(from, nobody, b"lost"));
    both.until(bed, |left, _| !left.post.errors.is_empty());
    let (id, error) = both.left.post.errors[0];
    assert_eq!((id, error.error), (from, Error::Refused));
    assert_eq!(error.to, Address::from(nobody));
    both.left
        .lp
        .net()
        .set_peer(from, both.to_addr.into())
        .unwrap();
    both.send(bed, b"found");
    both.until(bed, |_, right| !right.post.letters.is_empty());
    assert!(both.left.lp.net().is_open(from));
    assert_eq!(both.left.post.closed, []);
}

/// Sends in a row, the later of which meet the errors of the earlier: none of them fails, and the
/// program is told of an error at least once, with its destination.
pub fn errors_that_sends_meet_are_told<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let (gone, nobody) = both.right.bind(bed.addr(1), 9);
    let from = both.from;
    both.left.lp.net().set_peer(from, nobody.into()).unwrap();
    both.right.lp.net().close(gone);
    both.until(bed, |_, right| right.post.opened.len() == 1);
    let mut taken = 0;
    both.until(bed, |left, _| {
        taken += (0..5).filter(|_| left.send(from, nobody, b"lost")).count();
        taken >= 5
    });
    both.until(bed, |left, _| !left.post.errors.is_empty());
    both.quiet(bed);
    for (id, error) in &both.left.post.errors {
        assert_eq!((*id, error.error), (from, Error::Refused));
        assert_eq!(error.to, Address::from(nobody));
    }
    assert_eq!(both.left.post.closed, []);
}

/// A report of an error alone hides nothing that comes later.
pub fn a_socket_receives_after_errors<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    for round in 0..3 {
        let (gone, nobody) = both.right.bind(bed.addr(1), 9);
        let (from, from_addr) = (both.from, both.from_addr);
        both.left.lp.net().set_peer(from, nobody.into()).unwrap();
        both.right.lp.net().close(gone);
        both.until(bed, |left, _| left.send(from, nobody, b"lost"));
        both.until(bed, |left, _| left.post.errors.len() > round);
        let (to, to_addr) = (both.to, both.to_addr);
        both.left.lp.net().set_peer(from, to_addr.into()).unwrap();
        both.until(bed, |_, right| right.send(to, from_addr, b"found"));
        both.until(bed, |left, _| left.post.letters.len() > round);
    }
}

/// Many errors, none taken: datagrams still come and go.
pub fn errors_that_nobody_takes_do_no_harm<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let (gone, nobody) = both.right.bind(bed.addr(1), 9);
    both.right.lp.net().close(gone);
    both.left.post.takes_errors = false;
    let (from, back) = (both.from, both.from_addr);
    for round in 0..300_u32 {
        // A send may be told the error of the one before; it is not the socket's.
        let one = Departure {
            len: 4,
            to: nobody.into(),
            ..Departure::default()
        };
        let _ = both
            .left
            .lp
            .net()
            .send_batch(from, &round.to_be_bytes(), &[one]);
    }
    both.quiet(bed);
    let to = both.to;
    for round in 0..20 {
        both.until(bed, |_, right| right.send(to, back, &[round]));
        both.until(bed, |left, _| {
            left.post.letters.len() == usize::from(round) + 1
        });
    }
    both.send(bed, b"x");
    both.until(bed, |_, right| !right.post.letters.is_empty());
    assert_eq!(both.left.post.closed, []);
}

/// A socket is reported closed once, with the code of the close, and its port is free then.
pub fn a_socket_is_told_and_closed_once<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.send(bed, b"x");
    both.until(bed, |_, right| !right.post.letters.is_empty());
    let (to, addr) = (both.to, both.to_addr);
    assert!(both.right.lp.net().is_open(to));
    both.right.lp.net().close_with(to, 7);
    assert!(!both.right.lp.net().is_open(to));
    both.right.lp.net().close(to);
    both.until(bed, |_, right| !right.post.closed.is_empty());
    both.quiet(bed);
    assert_eq!(both.right.post.closed, [(to, Closed::Local(7))]);
    assert_eq!(both.right.lp.stats().in_use, 0);
    assert_eq!(both.right.lp.stats().open, 0);
    // The port is free again.
    both.right.bind(addr, 3);
}

/// A socket that is closed by the call that received from it receives no more.
pub fn a_socket_closes_inside_its_own_call<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.right.post.reading = Reading::AndClose;
    both.right.post.batch = 1;
    both.send(bed, b"a");
    both.send(bed, b"b");
    both.until(bed, |_, right| !right.post.closed.is_empty());
    both.quiet(bed);
    assert_eq!(both.right.post.letters.len(), 1);
    assert_eq!(both.right.post.closed, [(both.to, Closed::Local(0))]);
}

/// A socket may be closed in any call: it is closed once, its slot and its port are free, and no
/// other call of it follows.
pub fn a_socket_closes_inside_any_call<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    // Each is alone in its loop, since a report may be spurious.
    both.right.lp.net().close(both.to);
    both.until(bed, |left, right| {
        left.post.opened.len() == 1 && right.lp.stats().in_use == 0
    });
    let calls = [
        ClosesIn::Open,
        ClosesIn::Readable,
        ClosesIn::Writable,
        ClosesIn::Timeout,
    ];
    for call in calls {
        both.right.post.closed.clear();
        both.right.post.closes_in = Some(call);
        let (id, addr) = both.right.bind(bed.addr(1), 3);
        let from = both.from;
        match call {
            ClosesIn::Open => {}
            ClosesIn::Readable => both.until(bed, |left, _| left.send(from, addr, b"x")),
            ClosesIn::Writable => {
                let back = both.from_addr;
                if !(0..2_000).any(|_| !both.right.send(id, back, &[0; 1_000])) {
                    // It never blocks, so there is no such call.
                    both.right.lp.net().close(id);
                }
            }
            ClosesIn::Timeout => {
                let soon = Duration::from_millis(20);
                both.right.lp.net().set_timeout(id, soon);
            }
        }
        both.until(bed, |_, right| right.lp.stats().in_use == 0);
        both.quiet(bed);
        let closed = &both.right.post.closed;
        let was_told = both
            .right
            .post
            .opened
            .iter()
            .any(|(opened, _)| *opened == id);
        let expected = [(id, Closed::Local(0))];
        assert_eq!(closed[..], expected[..usize::from(was_told)], "{call:?}");
        // The port is free.
        both.right.post.closes_in = None;
        let (again, _) = both.right.bind(addr, 4);
        both.right.lp.net().close(again);
    }
}

/// A socket that is closed before `on_open` makes no call, and its slot is free at once.
pub fn a_socket_closed_before_it_is_told_makes_no_call<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut office = Office::new(bed, 0);
    let (id, addr) = office.bind(bed.addr(0), 1);
    assert!(!office.lp.net().is_open(id));
    // It can be used before it is told.
    office.send(id, addr, b"x");
    office.lp.net().close(id);
    assert_eq!(office.lp.stats().in_use, 0);
    let again = office.bind(bed.addr(0), 2).0;
    let limit = Duration::from_millis(50);
    deliver_until(bed, &mut [&mut office], limit, |_| false);
    assert_eq!(office.post.opened, [(again, 2)]);
    assert_eq!(office.post.closed, []);
}

/// A timeout is a call, and the socket goes on.
pub fn a_timeout_comes_and_does_not_close<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let to = both.to;
    both.right
        .lp
        .net()
        .set_timeout(to, Duration::from_millis(20));
    both.until(bed, |_, right| !right.post.timeouts.is_empty());
    both.send(bed, b"x");
    both.until(bed, |_, right| !right.post.letters.is_empty());
    assert_eq!(both.right.post.timeouts, [to]);
}

/// Writing, finishing, pausing and corking are of streams: they do no harm to a datagram socket.
pub fn streams_calls_do_nothing<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    both.send(bed, b"x");
    both.until(bed, |_, right| !right.post.letters.is_empty());
    let mut net = both.right.lp.net();
    let to = both.to;
    assert_eq!(net.write(to, b"x"), 0);
    assert_eq!(net.write_vectored(to, &[b"x"]), 0);
    assert_eq!(net.read(to, &mut [0; 8]), Err(Error::Invalid));
    net.pause(to);
    net.finish(to);
    net.cork(to);
    net.set_pull(to, true);
    net.resume(to);
    both.send(bed, b"y");
    both.until(bed, |_, right| right.post.letters.len() == 2);
    assert_eq!(both.right.post.closed, []);
}

/// A send that would block is followed by one call, and what does not block by none.
pub fn room_is_told_once_for_each_block<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let memory = vec![0; 1_000];
    let batch = vec![
        Departure {
            len: memory.len(),
            to: both.to_addr.into(),
            ..Departure::default()
        };
        300
    ];
    let (from, mut done, mut blocks) = (both.from, 0, 0);
    both.until(bed, |left, _| {
        if left.post.writable.len() < blocks {
            return false;
        }
        assert_eq!(left.post.writable.len(), blocks);
        let sent = left.lp.net().send_batch(from, &memory, &batch[done..]);
        assert_eq!(sent.error, None);
        done += sent.count;
        blocks += usize::from(done < batch.len());
        done == batch.len()
    });
    both.quiet(bed);
    assert_eq!(both.left.post.writable.len(), blocks);
    assert_eq!(both.left.lp.stats().sent, 300_000);
}

/// What lies outside the memory, is too long, or goes nowhere is told by its place in the batch.
pub fn a_bad_departure_is_named_and_the_others_go<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let memory = vec![1; 70_000];
    let good = Departure {
        len: 1,
        to: both.to_addr.into(),
        ..Departure::default()
    };
    let bad = [
        Departure {
            start: 70_000,
            ..good
        },
        Departure {
            start: usize::MAX,
            ..good
        },
        Departure {
            len: 70_000,
            ..good
        },
        Departure {
            len: 65,
            segment: 1,
            ..good
        },
        Departure {
            to: Address::Unnamed,
            ..good
        },
    ];
    for bad in bad {
        let batch = [good, good, bad, good];
        let mut done = 0;
        let mut errors = Vec::new();
        let from = both.from;
        both.until(bed, |left, _| {
            let rest = &batch[done..];
            let sent = left.lp.net().send_batch(from, &memory, rest);
            done += sent.count;
            if let Some(error) = sent.error {
                errors.push((done, error));
                done += 1;
            }
            done == batch.len()
        });
        assert_eq!(errors, [(2, Error::Invalid)], "{bad:?}");
        both.until(bed, |_, right| right.post.letters.len() == 3);
        both.right.post.letters.clear();
    }
}

/// A socket at `[::]` is reached by both families, sees IPv4 as IPv4, and answers it (W27).
pub fn both_families_meet_at_a_socket_of_ipv6<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let any = SocketAddr::from(([0_u16; 8], 0));
    let mut left = Office::new(bed, 0);
    let mut right = Office::new(bed, 1);
    let (Some(left_v6), Some(right_v6)) = (bed.addr_v6(0), bed.addr_v6(1)) else {
        return println!("there is no IPv6");
    };
    let (to, port) = right.bind(any, 1);
    let port = port.port();
    let sides = [
        (left.bind(bed.addr(0), 4), bed.addr(1).ip()),
        (left.bind(left_v6, 6), right_v6.ip()),
    ];
    let long = bed.long();
    for ((from, from_addr), ip) in sides {
        let at = SocketAddr::new(ip, port);
        let both = &mut [&mut left, &mut right];
        assert!(deliver_until(bed, both, long, |both| both[0].send(from, at, b"ask")));
        assert!(deliver_until(bed, both, long, |both| {
            !both[1].post.letters.is_empty()
        }));
        let asked = both[1].post.letters.remove(0).arrival;
        assert_eq!(asked.peer, from_addr);
        assert!(asked.destination.is_none_or(|there| there == ip));
        // The answer comes from the address that was asked.
        let answer = Departure {
            len: 2,
            to: asked.peer,
            source: asked.destination,
            ..Departure::default()
        };
        assert!(deliver_until(bed, both, long, |both| both[1].send_as(to, b"ok", answer)));
        assert!(deliver_until(bed, both, long, |both| {
            !both[0].post.letters.is_empty()
        }));
        let answered = both[0].post.letters.remove(0);
        assert_eq!((answered.id, answered.bytes.as_slice()), (from, &b"ok"[..]));
        assert_eq!(answered.arrival.peer, at);
    }
}

/// An address in use, of another host or of no kind is an error, and takes no slot.
pub fn a_taken_address_is_told<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut both = Both::new(bed);
    let in_use = both.right.lp.stats().in_use;
    let again = both.right.lp.net().bind(both.to_addr.into(), 3);
    assert_eq!(again, Err(Error::AddressInUse));
    let elsewhere = SocketAddr::new(IpAddr::from([192, 0, 2, 77]), 0);
    let absent = both.right.lp.net().bind(elsewhere.into(), 3);
    assert_eq!(absent, Err(Error::AddressUnavailable));
    assert!(both.right.lp.net().bind(Address::Unnamed, 3).is_err());
    assert_eq!(both.right.lp.stats().in_use, in_use);
}

/// An id that is stale or of something else is refused, and reaches nobody.
pub fn ids_of_others_are_refused<B: Bed>(bed: &mut B)
where
    B::P: Datagrams,
{
    let mut office = Office::new(bed, 0);
    let (id, addr) = office.bind(bed.addr(0), 1);
    office.lp.net().close(id);
    let mut net = office.lp.net();
    let hello = Departure {
        len: 1,
        to: addr.into(),
        ..Departure::default()
    };
    assert_eq!(
        net.send_batch(id, b"x", &[hello]).error,
        Some(Error::Invalid)
    );
    let mut arrivals = [Arrival::default()];
    let received = net.recv_batch(id, &mut [0; 8], &mut arrivals);
    assert_eq!(received, Err(Error::Invalid));
    assert_eq!(net.set_peer(id, addr.into()), Err(Error::Invalid));
    assert_eq!(net.next_datagram_error(id), None);
    let option = DatagramOption::Broadcast(true);
    assert_eq!(net.set_datagram_option(id, option), Err(Error::Invalid));
}
