//! A handler on a TCP stack in user space, over frames, and a file of all of them.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use usockets::{Closed, Endpoint, Handler, Instant, Loop, Place, Platform, Slot};
use usockets_smoltcp::{
    Address, Block, Capabilities, Config, End, Faults, Flight, Listener, Medium, Memory, Neighbour,
    Outstanding, Pcap, Secret, SizeClass, Stack, Wire, Working,
};

use crate::Peer;
use crate::crowd::{Crowd, Line};
use crate::peer::Talk;
use crate::rng::Rng;
use crate::script::{Plan, Step, input};

/// Where parts of a file go.
type Sink = Box<dyn FnMut(&[u8])>;
/// The platform of a handler over frames: a stack on one end of a wire whose frames are written
/// down.
pub type FrameHost = Stack<'static, Pcap<End<'static, 'static>, Sink>>;

const MTU: usize = 1_500;
/// Bytes of a frame with its link header.
const FRAME_MAX: usize = MTU + 14;
/// Frames that are on the wire at once, at most.
const FLIGHTS: usize = 512;
/// Connections of a host, and bytes of each of their two buffers.
const CONNECTIONS: usize = 64;
const BUFFER: usize = 4_096;
const PORT: u16 = 80;
/// Times at which something may come about in one run.
const TIMES_MAX: u32 = 200_000;
/// Turns at one time.
const TURNS_MAX: u32 = 20_000;
/// What is missing after so long does not come.
const PATIENCE: Duration = Duration::from_secs(600);

/// A handler and its peers on two stacks in user space (`usockets-smoltcp`), joined by a wire that
/// loses, doubles, damages and reorders frames as the seed decides: what is on the wire becomes a
/// file that Wireshark and tcpdump read.
///
/// For looking at a seed, not for running thousands: the stacks' memory, some 4 MiB a run, is not
/// given back.
///
/// # Example
/// ```
/// # use usockets::{Handler, Opened, Platform, Socket};
/// use usockets_sim::{OverFrames, Peer};
/// # struct Greeter;
/// # impl<P: Platform> Handler<P> for Greeter {
/// #     type Context = ();
/// #     type Ext = ();
/// #     fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
/// #         socket.write(b"hello");
/// #     }
/// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// # }
///
/// let capture = OverFrames::listening(Greeter, ())
///     .peer(Peer::given("who is there?").expects(|_| b"hello".to_vec()))
///     .run(7);
/// assert_eq!(capture.wrong, None);
/// # let folder = std::env::temp_dir().join("usockets-sim-seven.pcap");
/// # let (path, pcap) = (folder.as_path(), &capture.pcap);
/// std::fs::write(path, pcap)?; // tcpdump -r seven.pcap
/// # std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct OverFrames<H: Handler<FrameHost>> {
    handler: H,
    context: H::Context,
    peers: Vec<Peer>,
    faults: Option<Faults>,
}

/// What was on the wire, and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Capture {
    /// Every frame that the handler's host sent, and every one that arrived at it, as a file of
    /// `pcap-savefile(5)`. Frames lost on the way to the host are not in it, as on a real network.
    pub pcap: Vec<u8>,
    /// What each peer said and heard.
    pub talks: Vec<Talk>,
    /// The first conversation that is not as its peer wants, if any.
    pub wrong: Option<String>,
    /// Frames that the wire lost.
    pub lost: u64,
    /// Virtual time that passed.
    pub time: Duration,
    /// Whether something was done so often, 200,000 times at the most, that not all of the time
    /// passed for which the peers wait: a timer of a millisecond does so. What is missing then may
    /// only be late.
    pub cut_short: bool,
}

impl<H: Handler<FrameHost>> OverFrames<H> {
    /// Has the handler listen at one address, with a context.
    pub const fn listening(handler: H, context: H::Context) -> Self {
        Self {
            handler,
            context,
            peers: Vec::new(),
            faults: None,
        }
    }

    /// Adds a kind of peer. Which connect, and when they do what, is drawn from the seed.
    #[must_use]
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }

    /// Says what the wire does to frames, which is else drawn from the seed.
    #[must_use]
    pub const fn faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }
}

impl<H: Handler<FrameHost>> OverFrames<H>
where
    H::Ext: 'static,
    H::Context: 'static,
{
    /// Runs a seed. The same seed makes the same file, to the last byte.
    ///
    /// # Panics
    /// If the handler does, or spins.
    pub fn run(self, seed: u64) -> Capture {
        let mut rng = Rng::new(seed);
        let faults = self.faults.unwrap_or_else(|| draw(&mut rng));
        let plan = Plan {
            peers: &self.peers,
            lines_max: 4,
            wait_max: Duration::from_secs(2),
            disturbs: false,
        };
        let steps = plan.draw(seed, &mut rng);
        let (flights, bytes) = (leak(FLIGHTS, Flight::EMPTY), leak(FLIGHTS * FRAME_MAX, 0));
        let wire: &'static Wire<'static> =
            Box::leak(Box::new(Wire::new(faults, seed, flights, bytes)));
        let ends = wire.ends(
            Capabilities::new(Medium::Ethernet, MTU),
            [leak(65 * FRAME_MAX, 0), leak(65 * FRAME_MAX, 0)],
        );
        let file = Rc::new(RefCell::new(Vec::new()));
        let into = file.clone();
        let [near, far] = ends;
        let sink: Sink = Box::new(move |bytes| into.borrow_mut().extend_from_slice(bytes));
        let mut run = Run {
            wire,
            server: looped(stack(1, Pcap::new(near, sink))),
            handler: self.handler,
            peers: looped(stack(2, Pcap::new(far, Box::new(|_: &[u8]| {})))),
            crowd: Crowd::default(),
            cut_short: false,
        };
        let since = wire.now();
        run.server
            .net()
            .listen(Endpoint::tcp(addr(1, PORT)), self.context)
            .expect("a listener");
        for step in steps {
            run.step(step, &self.peers, seed);
        }
        run.drive(wire.now().saturating_add(PATIENCE));
        let wrong = run.crowd.lines.iter_mut().find_map(|line| {
            let is_broken = matches!(line.talk.closed, Some(Closed::Failed(_)));
            line.talk.is_whole = !line.reset && !is_broken;
            let peer = &self.peers[line.peer?];
            peer.check(&line.talk).err()
        });
        Capture {
            pcap: file.take(),
            talks: run.crowd.lines.into_iter().map(|line| line.talk).collect(),
            wrong,
            lost: wire.lost_count(),
            time: wire.now().saturating_since(since),
            cut_short: run.cut_short,
        }
    }
}

/// A run that is under way.
struct Run<H: Handler<FrameHost>>
where
    H::Ext: 'static,
    H::Context: 'static,
{
    wire: &'static Wire<'static>,
    server: Loop<'static, FrameHost, H>,
    handler: H,
    peers: Loop<'static, FrameHost, Crowd>,
    crowd: Crowd,
    cut_short: bool,
}

impl<H: Handler<FrameHost>> Run<H>
where
    H::Ext: 'static,
    H::Context: 'static,
{
    fn step(&mut self, step: Step, peers: &[Peer], seed: u64) {
        if let Step::Open { line, peer } = step {
            if self.crowd.lines.len() <= line {
                self.crowd.lines.resize_with(line + 1, Line::default);
            }
            self.crowd.lines[line].peer = Some(peer);
            self.crowd.lines[line].input = input(&peers[peer], seed, line);
            let connect = self.peers.net().connect(Endpoint::tcp(addr(1, PORT)), line);
            if let Err(error) = connect {
                self.crowd.lines[line].talk.closed = Some(Closed::Failed(error));
            }
        }
        self.crowd.act(&mut self.peers.net(), step);
        let wait = match step {
            Step::Wait(time) => time,
            _ => Duration::ZERO,
        };
        self.drive(self.wire.now().saturating_add(wait));
    }

    /// Lets everything come about until `until`, or until nothing more would.
    fn drive(&mut self, until: Instant) {
        for _ in 0..TIMES_MAX {
            let mut turns = 0..TURNS_MAX;
            loop {
                self.server
                    .poll(&mut self.handler, None)
                    .expect("a sound wire");
                self.peers
                    .poll(&mut self.crowd, None)
                    .expect("a sound wire");
                let deadlines = [self.server.next_deadline(), self.peers.next_deadline()];
                let now = self.wire.now();
                if !deadlines.iter().flatten().any(|at| *at <= now) {
                    break;
                }
                turns.next().expect("the handler spins");
            }
            if self.wire.now() >= until || !self.wire.advance() {
                return;
            }
        }
        self.cut_short = true;
    }
}

/// Draws what a wire does: nothing on one in four.
fn draw(rng: &mut Rng) -> Faults {
    let delay = Duration::from_micros(rng.between(10, 20_000));
    let mut chance = || rng.pick(&[0, 1_000, 10_000, 50_000]);
    let (loss, duplicate) = (chance(), chance());
    let (corrupt, reorder) = (chance(), chance());
    let faults = Faults::NONE.delay(delay);
    if rng.chance(2_500) {
        return faults;
    }
    faults
        .loss(loss)
        .duplicate(duplicate)
        .corrupt(corrupt)
        .reorder(reorder)
}

fn leak<T: Clone>(len: usize, one: T) -> &'static mut [T] {
    vec![one; len].leak()
}

/// Memory of what cannot be cloned.
fn leak_with<T>(len: usize, make: impl FnMut() -> T) -> &'static mut [T] {
    std::iter::repeat_with(make)
        .take(len)
        .collect::<Vec<_>>()
        .leak()
}

fn addr(host: u8, port: u16) -> SocketAddr {
    ([10, 0, 0, host], port).into()
}

fn stack(host: u8, device: Pcap<End<'static, 'static>, Sink>) -> FrameHost {
    let class = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
    let addresses = [Address::new([10, 0, 0, host].into(), 24)];
    let config = Config::new([2, 0, 0, 0, 0, host], &addresses, Secret::new([host; 16]));
    let memory = Memory {
        slots: leak_with(CONNECTIONS, || usockets_smoltcp::Slot::EMPTY),
        working: leak_with(class.working_len(), || Working::EMPTY),
        resting: &mut [],
        in_flight: &mut [],
        outstanding: leak(class.outstanding_len(), Outstanding::EMPTY),
        ranges: leak(class.ranges_len(), Block::EMPTY),
        bytes: leak(class.bytes(), 0),
        buckets: leak(CONNECTIONS, 0),
        listeners: leak_with(4, || Listener::EMPTY),
        neighbours: leak(8, Neighbour::EMPTY),
        scratch: leak(2 * FRAME_MAX, 0),
    };
    Stack::new(device, &config, memory, &[class]).expect("memory enough")
}

fn looped<H: Handler<FrameHost>>(platform: FrameHost) -> Loop<'static, FrameHost, H>
where
    H::Ext: 'static,
    H::Context: 'static,
{
    let slots = leak_with(CONNECTIONS, || Slot::free(<FrameHost as Platform>::CLOSED));
    let places = leak_with(CONNECTIONS, || Place::Vacant);
    Loop::with_slices(platform, slots, places, leak(2_048, 0)).expect("a place and a byte")
}

impl<H: Handler<FrameHost>> fmt::Debug for OverFrames<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverFrames")
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}
