//! The conformance suite on stacks over ports of rings: hosts on a hub in this process, in
//! virtual time.
#![allow(
    unsafe_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test may panic, and its numbers are small"
)]

#[allow(dead_code, reason = "each program of tests has some use for it")]
mod support;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use support::{eal, leak, pool, stack_with, v6};
use usockets::{Error, Instant};
use usockets_conformance::Bed;
use usockets_dpdk::{Dpdk, Idle, Pool, Port, PortOptions};
use usockets_smoltcp::{
    Capabilities, DatagramMemory, DatagramSlot, DeviceCounters, PollDevice, RxMeta, SizeClass,
    Stack, TxMeta,
};

/// Connections of a host. A test opens 200 and more at once.
const CONNECTIONS: usize = 300;
/// Bytes of each buffer of a connection.
const BUFFER: usize = 8_192;
/// Datagram sockets of a host.
const DATAGRAMS: usize = 8;

/// A cable: the host's end and the hub's.
type Cable = [&'static Port<'static>; 2];

/// Cables that no host has. DPDK has no more than 32 ports, so they are used again, and one test
/// runs at a time.
static CABLES: Mutex<Vec<Cable>> = Mutex::new(Vec::new());
static TURN: Mutex<()> = Mutex::new(());

/// Returns a cable in which nothing is on its way.
fn cable() -> Cable {
    let mut cables = CABLES.lock().unwrap();
    if let Some(cable) = cables.pop() {
        return cable;
    }
    static MADE: Mutex<usize> = Mutex::new(0);
    let mut made = MADE.lock().unwrap();
    let name = format!("host{made}");
    *made += 1;
    eal().ring_pair(&name, 1, 1_024).unwrap();
    let options = PortOptions::DEFAULT.idle(Idle::Spin);
    ["a", "b"].map(|end| {
        let (name, pool) = (format!("net_ring_{name}{end}"), pool(2_047, Pool::ROOM));
        let port = Port::open(eal(), &name, &[pool], &options).unwrap();
        &*Box::leak(Box::new(port))
    })
}

/// Takes what is on its way out of both ends.
fn empty(cable: Cable) {
    for port in cable {
        let mut device = port.device(0).unwrap();
        while device.receive(64) > 0 {}
    }
}

/// What all hosts' cables lead to: it sends each frame to all others.
struct Hub {
    now: Instant,
    ends: Vec<Option<Dpdk<'static>>>,
    hosts: Vec<Watch>,
}

/// What the bed knows of a host.
#[derive(Default)]
struct Watch {
    /// Something was sent to it that it has not received.
    has_sent: bool,
    /// Frames that were sent to it, and how many of them the bed has told of.
    sent: u64,
    told: u64,
    /// Its last poll waited, and nothing came of it; until when.
    rested: bool,
    wake: Option<Instant>,
    /// When its loop has something to do by itself.
    deadline: Cell<Option<Instant>>,
}

impl Hub {
    fn pass_on(&mut self) {
        for from in 0..self.ends.len() {
            let Some(mut end) = self.ends[from].take() else {
                continue;
            };
            for index in 0..end.receive(64) {
                let frame = end.frame(index);
                for (to, other) in self.ends.iter_mut().enumerate() {
                    // What finds no room is lost, as on a real hub.
                    if let Some(other) = other
                        && let Some(slot) = other.slot(frame.len())
                    {
                        slot.copy_from_slice(frame);
                        other.commit(frame.len(), &TxMeta::NONE);
                        self.hosts[to].has_sent = true;
                        self.hosts[to].sent += 1;
                    }
                }
            }
            self.ends[from] = Some(end);
        }
        for end in self.ends.iter_mut().flatten() {
            end.flush();
        }
    }
}

/// A host's end of its cable.
struct HostEnd {
    device: Option<Dpdk<'static>>,
    cable: Cable,
    hub: Rc<RefCell<Hub>>,
    index: usize,
}

impl HostEnd {
    fn device(&self) -> &Dpdk<'static> {
        self.device.as_ref().unwrap()
    }

    fn device_mut(&mut self) -> &mut Dpdk<'static> {
        self.device.as_mut().unwrap()
    }
}

impl Drop for HostEnd {
    fn drop(&mut self) {
        self.device = None;
        let mut hub = self.hub.borrow_mut();
        hub.ends[self.index] = None;
        hub.hosts[self.index] = Watch::default();
        drop(hub);
        empty(self.cable);
        CABLES.lock().unwrap().push(self.cable);
    }
}

impl PollDevice for HostEnd {
    fn capabilities(&self) -> Capabilities {
        self.device().capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.hub.borrow_mut().pass_on();
        let count = self.device_mut().receive(frames_max);
        let host = &mut self.hub.borrow_mut().hosts[self.index];
        host.has_sent &= count == frames_max;
        host.rested &= count == 0;
        count
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.device().frame(index)
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        self.device().chained(index, place)
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        self.device().rx_meta(index)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.device_mut().slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        self.device_mut().commit(len, meta);
    }

    fn flush(&mut self) {
        self.device_mut().flush();
        self.hub.borrow_mut().pass_on();
    }

    fn wait(&mut self, until: Option<Instant>) {
        // What the port itself has to wait for, there is at once.
        self.device_mut().wait(Some(Instant::ZERO));
        let host = &mut self.hub.borrow_mut().hosts[self.index];
        (host.rested, host.wake) = (true, until);
    }

    fn woken(&mut self) -> bool {
        self.device_mut().woken()
    }

    fn fault(&self) -> Option<Error> {
        self.device().fault()
    }

    fn now(&self) -> Instant {
        self.hub.borrow().now
    }

    fn counters(&mut self) -> DeviceCounters {
        self.device_mut().counters()
    }
}

/// Hosts on a hub.
struct RingBed {
    hub: Rc<RefCell<Hub>>,
    _turn: MutexGuard<'static, ()>,
}

fn on_rings() -> RingBed {
    let hub = Hub {
        now: Instant::from_micros(1_000_000),
        ends: Vec::new(),
        hosts: Vec::new(),
    };
    RingBed {
        hub: Rc::new(RefCell::new(hub)),
        _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
    }
}

impl Bed for RingBed {
    type P = Stack<'static, HostEnd>;

    fn platform(&mut self) -> Self::P {
        let cable = cable();
        let [own, other] = cable.map(|port| port.device(0).unwrap());
        let index = {
            let mut hub = self.hub.borrow_mut();
            hub.ends.push(Some(other));
            hub.hosts.push(Watch::default());
            hub.hosts.len() - 1
        };
        let end = HostEnd {
            device: Some(own),
            cable,
            hub: Rc::clone(&self.hub),
            index,
        };
        let class = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
        let mut stack = stack_with(end, index as u8 + 1, class);
        let memory = DatagramMemory {
            sockets: leak(DATAGRAMS, || DatagramSlot::EMPTY),
            buckets: leak(DATAGRAMS, || 0),
            received: leak(DATAGRAMS * 65_536, || 0),
            held: leak(DATAGRAMS * 16_384, || 0),
        };
        stack.start_datagrams(memory).unwrap();
        stack
    }

    fn addr(&self, host: usize) -> SocketAddr {
        ([10, 0, 0, host as u8 + 1], 0).into()
    }

    fn addr_v6(&self, host: usize) -> Option<SocketAddr> {
        Some(v6(host as u8 + 1, 0))
    }

    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        let mut hub = self.hub.borrow_mut();
        hub.pass_on();
        let watch = &hub.hosts[host];
        watch.deadline.set(deadline);
        let mut times = [deadline, watch.wake].into_iter().flatten();
        watch.has_sent || !watch.rested || times.any(|at| at <= hub.now)
    }

    fn edge(&mut self, host: usize) -> bool {
        let watch = &mut self.hub.borrow_mut().hosts[host];
        std::mem::replace(&mut watch.told, watch.sent) < watch.sent
    }

    fn pass(&mut self, most: Duration) {
        let hub = &mut *self.hub.borrow_mut();
        let end = hub.now.saturating_add(most);
        let times = hub
            .hosts
            .iter()
            .flat_map(|watch| [watch.wake, watch.deadline.get()]);
        let next = times.flatten().filter(|at| *at > hub.now).min();
        hub.now = next.map_or(end, |next| next.min(end));
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.hub.borrow().now.as_micros())
    }

    fn plenty(&self) -> usize {
        4 * BUFFER + 50
    }

    fn reports_max(&self) -> usize {
        CONNECTIONS + 8
    }

    fn learns_unasked(&self) -> bool {
        false
    }

    fn is_virtual(&self) -> bool {
        true
    }
}

usockets_conformance::conformance!(on_rings);
usockets_conformance::conformance_of_datagrams!(on_rings);
