//! What a program does, as bytes say, within its calls and between iterations.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::compose::Either;
use usockets::{
    Address, Arrival, DatagramOption, Datagrams, Departure, Endpoint, LocalAddress, LocalEndpoint,
    LocalSockets, LocalType, Net, Platform, Read, SocketId, SocketOption, StalePath, WhenFull,
};

use super::host::Descriptor;
use super::world::World;

/// Bytes that are written, from the front.
const BYTES: [u8; 256] = [7; 256];

/// A context that a byte says.
pub trait Named: Copy + PartialEq + Send {
    fn of(number: u8) -> Self;
}

impl Named for u8 {
    fn of(number: u8) -> Self {
        number % 3
    }
}

impl Named for Either<u8, u8> {
    fn of(number: u8) -> Self {
        match number % 2 {
            0 => Self::First(number % 3),
            _ => Self::Second(number % 3),
        }
    }
}

/// Platforms that can do everything that the contract knows of, with descriptors of the test's.
pub trait Full: LocalSockets + Datagrams + usockets::Descriptors<Descriptor = Descriptor> {}

impl<P: LocalSockets + Datagrams + usockets::Descriptors<Descriptor = Descriptor>> Full for P {}

fn duration(world: &World<'_>) -> Duration {
    let number = u64::from(world.draw());
    match number % 4 {
        0 => Duration::ZERO,
        1 => Duration::from_millis(number),
        2 => Duration::from_secs(number),
        _ => match number {
            255 => Duration::MAX,
            _ => Duration::from_micros(number << (number % 48)),
        },
    }
}

pub fn endpoint(world: &World<'_>) -> Endpoint<'static> {
    let [policy, reserve, most] = [world.draw(), world.draw(), world.draw()];
    let policies = [WhenFull::Pause, WhenFull::Refuse, WhenFull::EvictIdle];
    let at = Endpoint::tcp(SocketAddr::from(([10, 0, 0, 1], 80)))
        .when_full(policies[usize::from(policy) % 3]);
    let at = match reserve {
        200.. => at.reserve(u32::from(reserve) - 200),
        _ => at,
    };
    match most {
        200.. => at.connections_max(u32::from(most) - 200),
        _ => at,
    }
}

fn local_endpoint(world: &World<'_>) -> Option<LocalEndpoint> {
    let number = world.draw();
    let path = LocalAddress::path(b"/run/a").ok()?;
    let types = [
        LocalType::Stream,
        LocalType::Seqpacket,
        LocalType::Datagrams,
    ];
    let at = LocalEndpoint::stream(path).socket_type(types[usize::from(number) % 3]);
    Some(
        at.stale(StalePath::RemoveIfRefused)
            .reserve(u32::from(number) / 64),
    )
}

/// Does one thing that every platform can. `own` is the socket that the running call is about.
pub fn act<P: Platform, C: Named>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
    own: Option<SocketId>,
) {
    match world.below(4) {
        2 => make(world, host, net),
        3 => groups(world, net),
        _ => touch(world, host, net, own),
    }
}

/// Does one thing to one socket, which is mostly that of the running call, or to a listener.
pub fn touch<P: Platform, C: Copy + PartialEq>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
    own: Option<SocketId>,
) {
    let action = world.draw();
    let own = own.filter(|_| action % 4 < 3);
    let Some(id) = own.or_else(|| world.id(host)) else {
        return;
    };
    match action / 4 % 24 {
        0..=2 => {
            let _ = net.write(id, &BYTES[..world.draw().into()]);
        }
        3 => {
            let len = usize::from(world.draw());
            let _ = net.write_vectored(id, &[&BYTES[..len], &[], &BYTES[..len / 2]]);
        }
        4 | 5 => net.finish(id),
        6 => net.close_with(id, world.draw().into()),
        7 => net.abort(id, world.draw().into()),
        8 => net.pause(id),
        9 | 10 => net.resume(id),
        11 | 12 => net.set_timeout(id, duration(world)),
        13 | 14 => net.set_pull(id, world.seldom(2)),
        15 | 16 => read(world, net, id),
        17 | 18 => net.cork(id),
        19 => net.uncork(id),
        20 => ask(net, id),
        _ => listeners(world, host, net),
    }
}

/// Changes a listener.
fn listeners<P: Platform, C: Copy + PartialEq>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
) {
    let Some(listener) = world.pick(&world.sides[host].listeners) else {
        return;
    };
    match world.below(6) {
        0 => net.stop_listening(listener),
        1 | 2 => net.pause_listening(listener),
        3 | 4 => net.resume_listening(listener),
        _ => {
            let _ = net.listening_addr(listener);
        }
    }
}

/// Reads on demand.
fn read<P: Platform, C: Copy + PartialEq>(
    world: &World<'_>,
    net: &mut Net<'_, P, C>,
    id: SocketId,
) {
    let (mut memory, len) = ([0; 64], usize::from(world.draw() % 65));
    if let Ok(Read::Data(count)) = net.read(id, &mut memory[..len]) {
        assert!(count <= len, "no more is read than there is room for");
    }
}

/// Asks everything about a socket.
fn ask<P: Platform, C: Copy + PartialEq>(net: &mut Net<'_, P, C>, id: SocketId) {
    let _ = net.is_blocked(id);
    let _ = net.context(id);
    let _ = net.local_addr(id);
    let _ = net.peer_addr(id);
    let _ = net.protocol(id);
    let _ = net.is_open(id);
    let _ = net.failure(id);
    let _ = net.platform_socket(id).is_some();
    let _ = net.set_option(id, SocketOption::NoDelay(true));
    net.platform_mut();
}

/// Does something to a group.
fn groups<P: Platform, C: Named>(world: &World<'_>, net: &mut Net<'_, P, C>) {
    let number = world.draw();
    let context = C::of(number / 8);
    match number % 8 {
        0..=4 => {
            let count = net.write_each(
                &BYTES[..16],
                |one| *one == context,
                |net, id, _| {
                    if world.seldom(4) {
                        net.close(id);
                    }
                },
            );
            assert!(count <= net.count_where(|one| *one == context));
        }
        5 => net.close_all(context, 1),
        6 => net.close_where(2, |one| *one == context),
        _ => assert!(net.count_where(|_| true) <= net.stats().in_use as usize),
    }
}

/// Makes something, or changes a timer or the loop.
fn make<P: Platform, C: Named>(world: &World<'_>, host: usize, net: &mut Net<'_, P, C>) {
    let side = &world.sides[host];
    match world.below(12) {
        0 | 1 => {
            let context = C::of(world.draw());
            let _ = net.connect(endpoint(world), context);
        }
        2..=5 => {
            let context = C::of(world.draw());
            if let Ok(listener) = net.listen(endpoint(world), context) {
                side.listeners.borrow_mut().push(listener);
            }
        }
        6 => {
            let (after, repeat) = (duration(world), duration(world));
            let timer = match world.seldom(2) {
                true => net.start_timer_in(C::of(world.draw()), after, repeat),
                false => net.start_timer(after, repeat),
            };
            if let Ok(timer) = timer {
                world.note_id(host, timer.into());
                side.timers.borrow_mut().push(timer);
            }
        }
        7 => {
            if let Some(timer) = world.pick(&side.timers) {
                net.move_timer(timer, duration(world), duration(world));
            }
        }
        8 => {
            if let Some(timer) = world.pick(&side.timers) {
                net.stop_timer(timer);
            }
        }
        9 => {
            if let Some(id) = world.id(host) {
                net.adopt(id, C::of(world.draw()));
            }
        }
        10 => {
            let within = match world.seldom(4) {
                true => duration(world),
                false => Duration::from_millis(100 * u64::from(world.draw())),
            };
            net.drain(within);
            assert!(net.is_draining());
        }
        _ => net.keep_alive(world.seldom(2)),
    }
}

/// Does one thing that only platforms with descriptors, datagrams and Unix sockets can, or one that
/// every platform can.
pub fn act_fully<P: Full, C: Named>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
    own: Option<SocketId>,
) {
    match world.below(8) {
        5 => descriptors(world, host, net, own),
        6 => datagrams(world, host, net, own),
        7 => local(world, host, net, own),
        _ => act(world, host, net, own),
    }
}

/// Returns a descriptor that is on its way, or one that was made elsewhere.
fn descriptor(world: &World<'_>) -> Descriptor {
    let sent = world.descriptors.borrow_mut().pop();
    sent.unwrap_or(Descriptor)
}

fn descriptors<P: Full, C: Named>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
    own: Option<SocketId>,
) {
    let action = world.draw();
    let context = C::of(action);
    let back = match action / 8 % 6 {
        0 | 1 => net.watch(descriptor(world), context).err(),
        2 => net.insert(descriptor(world), context).err(),
        3 => match net.insert_listener(descriptor(world), &endpoint(world), context) {
            Ok(listener) => {
                world.sides[host].listeners.borrow_mut().push(listener);
                None
            }
            Err(back) => Some(back),
        },
        number => {
            let Some(id) = own.or_else(|| world.id(host)) else {
                return;
            };
            let mut unread = [0; 4];
            let taken = match number {
                4 => net.take(id, &mut unread).ok().map(|(taken, len)| {
                    assert!(
                        len <= unread.len(),
                        "no more is unread than there is room for"
                    );
                    taken
                }),
                _ => net.unwatch(id),
            };
            world.descriptors.borrow_mut().extend(taken);
            None
        }
    };
    world
        .descriptors
        .borrow_mut()
        .extend(back.map(|(descriptor, _)| descriptor));
}

fn datagrams<P: Full, C: Named>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
    own: Option<SocketId>,
) {
    let action = world.draw();
    if action.is_multiple_of(4) {
        let _ = net.bind(world.address(), C::of(action));
        return;
    }
    let Some(id) = own.or_else(|| world.id(host)) else {
        return;
    };
    match action / 4 % 6 {
        0 | 1 => {
            let (mut memory, mut arrivals) = ([0; 64], [Arrival::default(); 4]);
            let (room, most) = (world.below(65), world.below(5));
            let came = net.recv_batch(id, &mut memory[..room], &mut arrivals[..most]);
            if let Ok(count) = came {
                assert!(arrivals[..count].iter().all(|one| one.len <= room));
            }
        }
        2 | 3 => {
            let one = |start: u8| Departure {
                start: start.into(),
                len: usize::from(start / 2),
                segment: u16::from(start) % 3,
                ..Departure::default()
            };
            let batch = [one(world.draw()), one(world.draw())];
            let sent = net.send_batch(id, &BYTES, &batch[..world.below(3)]);
            assert!(sent.count <= batch.len());
        }
        4 => {
            let _ = net.next_datagram_error(id);
        }
        _ => {
            let _ = net.set_peer(id, Address::Unnamed);
            let _ = net.set_datagram_option(id, DatagramOption::Hops(3));
        }
    }
}

fn local<P: Full, C: Named>(
    world: &World<'_>,
    host: usize,
    net: &mut Net<'_, P, C>,
    own: Option<SocketId>,
) {
    let action = world.draw();
    let Some(at) = local_endpoint(world) else {
        return;
    };
    match action % 4 {
        0 => {
            if let Ok(listener) = net.listen_local(at, C::of(action)) {
                world.sides[host].listeners.borrow_mut().push(listener);
            }
        }
        1 => drop(net.connect_local(at, C::of(action))),
        2 => drop(net.bind_local(at, C::of(action))),
        _ => {
            let Some(id) = own.or_else(|| world.id(host)) else {
                return;
            };
            let (sent, one) = (descriptor(world), Departure::default());
            let _ = net.peer_credentials(id);
            let _ = net.write_with_descriptors(id, &BYTES[..8], &[&sent]);
            let _ = net.send_with_descriptors(id, &BYTES, &one, &[&sent]);
            let came = net.next_descriptor(id);
            world.descriptors.borrow_mut().extend(came);
        }
    }
}
