//! A platform that is lent to its loop, or that a layer stands above which has nothing to do, gets
//! every call as it was made, and its answers come back as they are.

use std::net::SocketAddr;

use usockets::proxy::{Proxied, Untrusted};
use usockets::{
    Accepted, Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure,
    Endpoint, Error, Instant, Platform, Progress, Readiness, Recv, SocketId, SocketOption,
};
use usockets_tests::scripted::Scripted;

/// A platform whose answers are none of the usual ones, twice each, the second time other ones.
fn unusual() -> Scripted {
    let mut platform = Scripted {
        now: 77,
        ..Scripted::default()
    };
    let id = SocketId::from_bits(1 << 32 | 5).expect("an id");
    platform.report(id, Readiness::READABLE);
    let answers = &mut platform.answers;
    let peer = Address::from(SocketAddr::from(([192, 0, 2, 1], 1)));
    let accepted = Accepted {
        peer,
        drained: true,
    };
    let received = Recv::Data {
        len: 3,
        drained: false,
    };
    let arrivals = Arrivals {
        count: 1,
        drained: false,
    };
    answers.listen = [Err(Error::AddressInUse), Ok(())].into();
    answers.connect = [Err(Error::Unreachable), Ok(())].into();
    answers.accept = [Ok(Some(accepted)), Err(Error::Exhausted)].into();
    answers.refuse = [Ok(true), Ok(false)].into();
    answers.set_accepting = [Err(Error::Exhausted), Ok(())].into();
    answers.open = [Ok(Progress::Again), Ok(Progress::Pending)].into();
    answers.flush = [Ok(Progress::Again), Ok(Progress::Pending)].into();
    answers.take_error = [Some(Error::Reset), None].into();
    answers.recv = [Ok(received), Ok(Recv::Finished)].into();
    answers.peek = [Ok(received), Ok(Recv::Finished)].into();
    answers.set_low_water = [Err(Error::Invalid), Ok(())].into();
    answers.set_option = [Err(Error::Denied), Ok(())].into();
    answers.send = [Ok(4), Ok(3)].into();
    answers.send_vectored = [Ok(4), Ok(3)].into();
    answers.finish = [Ok(Progress::Again), Ok(Progress::Pending)].into();
    answers.linger = [true, false].into();
    answers.woken = [true, false].into();
    answers.next_deadline = Some(Instant::from_micros(99));
    answers.bind = [Err(Error::AddressInUse), Ok(())].into();
    answers.set_peer = [Err(Error::Unreachable), Ok(())].into();
    answers.recv_batch = [Ok(arrivals), Err(Error::Reset)].into();
    answers.send_batch = [Ok(4), Ok(3)].into();
    answers.next_error = [DatagramError::new(peer, Error::Refused, 0)].into();
    answers.set_datagram_option = [Err(Error::Denied), Ok(())].into();
    platform
}

/// Makes each call twice; returns what comes of each.
fn streams<P: Platform>(platform: &mut P) -> Vec<String> {
    let (socket, other) = (&mut { P::CLOSED }, &mut { P::CLOSED });
    let id = SocketId::from_bits(1 << 32 | 3).expect("an id");
    let at = Endpoint::tcp(([127, 0, 0, 1], 80).into());
    let mut told = vec![format!("{}", P::HOLDS_OUTPUT)];
    let mut buffer = [0; 6];
    for _ in 0..2 {
        told.extend([
            format!("listen {:?}", platform.listen(socket, id, &at)),
            format!("connect {:?}", platform.connect(socket, id, &at)),
            format!("accept {:?}", platform.accept(socket, other, id)),
            format!("refuse {:?}", platform.refuse(socket)),
            format!("set {:?}", platform.set_accepting(socket, id, true)),
            format!("open {:?}", platform.open(socket, Readiness::WRITABLE)),
            format!("flush {:?}", platform.flush(socket)),
            format!("error {:?}", platform.take_error(socket)),
            format!("recv {:?}", platform.recv(socket, &mut buffer)),
            format!("{buffer:?}"),
            format!("peek {:?}", platform.peek(socket, &mut buffer)),
            format!("low {:?}", platform.set_low_water(socket, 5)),
            format!(
                "option {:?}",
                platform.set_option(socket, SocketOption::NoDelay(true))
            ),
            format!("send {:?}", platform.send(socket, b"12345")),
            format!(
                "send {:?}",
                platform.send_vectored(socket, &[b"12", b"345"])
            ),
            format!("finish {:?}", platform.finish(socket)),
            format!("linger {:?}", platform.linger(socket)),
            format!("local {:?}", P::local_addr(platform, socket)),
            format!("peer {:?}", P::peer_addr(platform, socket)),
            format!("protocol {:?}", P::protocol(platform, socket)),
            format!("poll {:?}", platform.poll(Some(Instant::from_micros(5)))),
            format!("deadline {:?}", P::next_deadline(platform)),
            format!("ready {:?}", platform.next_ready()),
            format!("woken {:?}", platform.woken()),
            format!("now {:?}", P::now(platform)),
        ]);
        platform.abort(socket);
        platform.close(socket);
    }
    told
}

/// Likewise those of datagrams.
fn datagrams<P: Datagrams>(platform: &mut P) -> Vec<String> {
    let socket = &mut { P::CLOSED };
    let id = SocketId::from_bits(1 << 32 | 3).expect("an id");
    let at = Address::from(SocketAddr::from(([127, 0, 0, 1], 80)));
    let (mut told, mut memory) = (Vec::new(), [1; 8]);
    let mut arrivals = [Arrival::default(); 2];
    let departures = [Departure::default(); 5];
    for on in [true, false] {
        told.extend([
            format!("bind {:?}", platform.bind(socket, id, at)),
            format!("peer {:?}", platform.set_peer(socket, at)),
            format!(
                "recv {:?}",
                platform.recv_batch(socket, &mut memory, &mut arrivals)
            ),
            format!(
                "send {:?}",
                platform.send_batch(socket, &memory, &departures)
            ),
            format!("error {:?}", platform.next_error(socket)),
            format!(
                "option {:?}",
                platform.set_datagram_option(socket, DatagramOption::Broadcast(on))
            ),
        ]);
        platform.await_room(socket, id, on);
    }
    told
}

#[test]
fn a_platform_that_is_lent_does_what_it_does_itself() {
    let (mut one, mut other) = (unusual(), unusual());
    let told = (streams(&mut one), datagrams(&mut one));
    let mut lent = &mut other;
    assert_eq!((streams(&mut lent), datagrams(&mut lent)), told);
    assert_eq!((one.calls, one.polls), (other.calls, other.polls));
}

/// But that the loop reads what came behind a header by itself.
#[test]
fn connections_without_a_header_pass_through_the_layer_that_reads_headers() {
    let (mut one, other) = (unusual(), unusual());
    let told = streams(&mut one);
    let mut proxied = Proxied::new(other, &[]).with_untrusted(Untrusted::Direct);
    assert_eq!(streams(&mut proxied)[1..], told[1..]);
    let other = proxied.inner();
    assert_eq!((&one.calls, &one.polls), (&other.calls, &other.polls));
    assert_eq!(proxied.invalid(), 0);
}

/// But that its sockets hold output, and nothing is looked at or awaited below.
#[cfg(feature = "tls")]
#[test]
fn plain_connections_pass_through_tls() {
    use usockets::tls::{Tls, TlsMemory};
    use usockets_tests::steady::{Crypto, Steady, config};

    let (mut one, other) = (unusual(), unusual());
    let told = streams(&mut one);
    let mut memory = Box::new(TlsMemory::<Crypto, 2, 1, 1, 1>::NEW);
    let mut layer = Tls::new(other, Crypto::new(Steady(1)), config(), &mut *memory);
    let through = streams(&mut layer);
    let is_same = |line: &&String| !line.starts_with("peek") && !line.starts_with("low");
    let same = |lines: &[String]| {
        lines[1..]
            .iter()
            .filter(is_same)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(same(&through), same(&told));
    one.calls
        .retain(|call| !call.starts_with("peek") && !call.starts_with("set_low_water"));
    assert_eq!(datagrams(&mut layer), datagrams(&mut one));
    assert_eq!(layer.inner().calls, one.calls);
    assert_eq!((&layer.inner().polls, layer.breaches()), (&one.polls, 0));
}
