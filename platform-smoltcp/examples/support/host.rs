//! Several stacks that are one host, and the HTTP server over each: what `xdp_http` has in common
//! with `dpdk_http`, whose workspace is another.

use core::net::IpAddr;
use std::process::ExitCode;
use std::thread;
use std::time::SystemTime;

use usockets::{Endpoint, Error, Loop, Notify, Place, Platform, Waker};
use usockets_smoltcp::{
    Block, Config, Listener, Memory, Neighbour, Outstanding, PollDevice, Rss, RssKey,
    SharedNeighbour, SharedNeighbours, SharedPacket, SharedQueues, SizeClass, Slot, Stack, Working,
};

use crate::http::date::WallClock;
use crate::http::memory::{Memory as HttpMemory, Tables};
use crate::http::routes::route;
use crate::http::server::{Group, Server};
use crate::http::service::Service;

/// Connections of each stack, and the bytes of each one's two buffers.
const CONNECTIONS: usize = 256;
const BUFFER: usize = 65_535;
const CLASS: SizeClass = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
/// Packets that may wait for each stack, with the most queues.
const PACKETS: usize = 2_048;
/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;

static NEIGHBOURS: SharedNeighbours<[SharedNeighbour; 256]> = SharedNeighbours::new();
/// By which connections belong to one stack or the other.
pub(crate) static KEY: RssKey = RssKey::MICROSOFT;

/// A server, and the loop that it runs in.
pub(crate) type Http = Server<'static, IN, OUT>;
pub(crate) type HttpLoop<D> = Loop<'static, Stack<'static, D>, Http>;

/// Tells the stacks through which hosts other networks are reached.
pub(crate) fn set_gateways(config: &mut Config<'_>, gateways: &[IpAddr]) {
    for gateway in gateways {
        match gateway {
            IpAddr::V4(gateway) => config.gateway_v4 = Some(*gateway),
            IpAddr::V6(gateway) => config.gateway_v6 = Some(*gateway),
        }
    }
}

/// Makes a stack for each device, all of them one host. Each has a waker, which its device heeds;
/// a card's table of queues has so many `entries`.
pub(crate) fn join<D: PollDevice, N: Notify + Sync>(
    devices: Vec<D>,
    wakers: &'static [Waker<N>],
    entries: usize,
    config: &Config<'_>,
) -> Result<Vec<Stack<'static, D>>, Error> {
    // Its notifier alone ends a wait, and is no wake-up that a handler is told of.
    let wake: &'static (dyn Fn(u16) + Sync) = Box::leak(Box::new(move |queue: u16| {
        if let Some(waker) = wakers.get(usize::from(queue)) {
            waker.notifier().notify();
        }
    }));
    let queues = u16::try_from(devices.len()).map_err(|_| Error::Invalid)?;
    let shared: &'static SharedQueues<[SharedPacket; PACKETS]> =
        Box::leak(Box::new(SharedQueues::new(queues)));
    let table: Vec<u16> = (0..queues).cycle().take(entries).collect();
    let rss = Rss::new(&KEY, table.leak());
    let mut stacks = Vec::new();
    for (device, queue) in devices.into_iter().zip(0..) {
        let mut stack = Stack::new(device, config, memory(), &[CLASS])?;
        stack.share_neighbours(&NEIGHBOURS);
        stack.share_queues(shared, rss, queue, wake)?;
        stacks.push(stack);
    }
    Ok(stacks)
}

/// Serves on a thread for each stack, until one fails.
pub(crate) fn serve_all<D: Send + 'static>(
    stacks: Vec<Stack<'static, D>>,
    serve: impl Fn(Stack<'static, D>, u16) -> Result<(), Error> + Copy + Send + 'static,
) -> ExitCode {
    let (send, receive) = std::sync::mpsc::channel();
    for (stack, queue) in stacks.into_iter().zip(0_u16..) {
        let send = send.clone();
        thread::spawn(move || {
            let served = serve(stack, queue);
            let _ = send.send((queue, served));
        });
    }
    if let Ok((queue, Err(error))) = receive.recv() {
        eprintln!("queue {queue}: {error}");
    }
    ExitCode::FAILURE
}

/// Makes a server on port 80.
pub(crate) fn http<D: PollDevice>(stack: Stack<'static, D>) -> Result<(HttpLoop<D>, Http), Error> {
    let tables = Tables {
        inputs: leak(CONNECTIONS, || [0; IN]),
        outputs: leak(CONNECTIONS, || [0; OUT]),
        clients: leak(CONNECTIONS, || None),
        draft: leak(1, || [0; OUT]).first_mut().ok_or(Error::Invalid)?,
    };
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let http = Server::with_pool(Service::new(route, clock), tables);
    let slots = leak(CONNECTIONS, || usockets::Slot::free(Stack::<D>::CLOSED));
    let data = leak(CONNECTIONS, || Place::Vacant);
    let buffer = leak(HttpMemory::<IN, OUT>::RECEIVE_MAX, || 0);
    let mut server = Loop::with_slices(stack, slots, data, buffer)?;
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    server.net().listen(at, Group::Listener)?;
    Ok((server, http))
}

/// Returns memory for a stack, for as long as the program runs.
fn memory() -> Memory<'static> {
    Memory {
        slots: leak(CONNECTIONS, || Slot::EMPTY),
        working: leak(CLASS.working_len(), || Working::EMPTY),
        resting: &mut [],
        in_flight: &mut [],
        outstanding: leak(CLASS.outstanding_len(), || Outstanding::EMPTY),
        ranges: leak(CLASS.ranges_len(), || Block::EMPTY),
        bytes: leak(CLASS.bytes(), || 0),
        buckets: leak(CONNECTIONS, || 0),
        listeners: leak(4, || Listener::EMPTY),
        neighbours: leak(64, || Neighbour::EMPTY),
        // A large frame, and others in several parts put together.
        scratch: leak(65_600 * 2, || 0),
    }
}

/// Returns memory for as long as the program runs.
fn leak<T>(count: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    let mut all = Vec::new();
    all.resize_with(count, make);
    all.leak()
}
