//! A host of several stacks, one for each receive queue of a TAP or at the end of a veth.

use usockets::{Notify, Waker};
use usockets_linux::EventFd;
use usockets_smoltcp::{
    Packet, PollDevice, Rss, RssKey, SharedNeighbour, SharedNeighbours, SharedPacket, SharedQueues,
    SizeClass, Stack, Tap, Xdp, XdpMode, XdpOptions, XdpProgram,
};

use super::kernel::{Faulty, Losses, MTU, address, command, stack_on, veth_with_queues};
use super::{leak, zeroes};

static KEY: RssKey = RssKey::MICROSOFT;

/// What leads the frames of a queue to its stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// AF_XDP, over queues that the other end of the veth chooses at random.
    Xdp,
    /// Packet sockets, for which the kernel hashes.
    Packet,
    /// A TAP, of which the kernel chooses the queue that sent last.
    Tap,
}

/// What the stacks share.
pub struct Cores {
    way: Way,
    program: Option<XdpProgram>,
    rss: Rss<'static>,
    queues: &'static SharedQueues,
    neighbours: SharedNeighbours<[SharedNeighbour; 64]>,
    wakers: &'static [Waker<EventFd>],
    wake: &'static (dyn Fn(u16) + Sync),
}

impl Cores {
    /// Makes the TAP or veth, in the thread's namespace.
    pub fn new(way: Way, queues: u16) -> &'static Self {
        if way == Way::Tap {
            command("ip tuntap add dev us0 mode tap multi_queue");
            address("us0");
        } else {
            veth_with_queues(queues);
        }
        let waker = || Waker::new(EventFd::new().unwrap());
        let wakers: &'static [Waker<EventFd>] = leak(queues.into(), waker);
        // Its notifier alone ends a wait, and is no wake-up that a handler is told of.
        let wake = move |queue: u16| wakers[usize::from(queue)].notifier().notify();
        let mut turn = (0..queues).cycle();
        let table: &'static [u16] = leak(128, move || turn.next().unwrap());
        let shared: &'static SharedQueues<[SharedPacket; 512]> =
            Box::leak(Box::new(SharedQueues::new(queues)));
        let mode = XdpMode::Native;
        Box::leak(Box::new(Self {
            way,
            program: (way == Way::Xdp).then(|| XdpProgram::attach("us1", mode).unwrap()),
            rss: Rss::new(&KEY, table),
            queues: shared,
            neighbours: SharedNeighbours::new(),
            wakers,
            wake: Box::leak(Box::new(wake)),
        }))
    }

    /// Makes the stack of a queue. They are made in the order of their queues, since the kernel
    /// counts packet sockets as they come.
    pub fn stack(&'static self, queue: u16, classes: &[SizeClass]) -> Stack<'static, Faulty> {
        let waker = &self.wakers[usize::from(queue)];
        let device: Box<dyn PollDevice> = match &self.program {
            Some(program) => {
                let options = XdpOptions::DEFAULT.trusts_checksums(true);
                let xdp = Xdp::open(program, queue.into(), MTU, options).unwrap();
                Box::new(xdp.with_waker(waker))
            }
            None if self.way == Way::Tap => {
                let memory = zeroes(65 * Tap::share(MTU, false));
                let tap = Tap::make_queue("us0", MTU, false, memory).unwrap();
                Box::new(tap.with_waker(waker))
            }
            None => {
                let packet = Packet::open("us1", MTU, false).unwrap();
                Box::new(packet.with_fanout(23, &KEY).unwrap().with_waker(waker))
            }
        };
        let mut net = stack_on(device, classes, Losses::default());
        net.share_neighbours(&self.neighbours);
        net.share_queues(self.queues, self.rss, queue, self.wake)
            .unwrap();
        net
    }
}
