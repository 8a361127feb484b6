//! The stack in user space, over a device that answers anything, with the same calls as every
//! platform, its datagrams and its DHCP client.

use usockets::{Error, Instant, Net, Platform, SocketId, Sockets};
use usockets_smoltcp::dhcp::{Action, DhcpClient};
use usockets_smoltcp::{
    Address, Block, Capabilities, Config, ConnectionView, DatagramMemory, DatagramSlot, InFlight,
    Listener, Medium, Memory, Neighbour, Outstanding, PollDevice, Resting, RxChecksum, RxMeta,
    Secret, SizeClass, Slot, Stack, TimeWaitSlot, TxMeta, Working,
};
#[cfg(feature = "stack")]
use usockets_smoltcp::{Ecn, tcp::Algorithm};
#[cfg(target_has_atomic = "32")]
use usockets_smoltcp::{
    Rss, RssKey, SharedNeighbour, SharedNeighbours, SharedPacket, SharedQueues,
};

use crate::anything::{self, Anything};
use crate::capable;
use crate::hidden::{bytes, fill, hidden, len, long, word, yes};
use crate::outside::{Layer, addr, error};

/// A device that answers anything.
pub struct Card {
    slot: [u8; 1_600],
}

impl PollDevice for Card {
    fn capabilities(&self) -> Capabilities {
        let medium = if yes() { Medium::Ethernet } else { Medium::Ip };
        let capabilities = Capabilities::new(medium, len()).fills(yes());
        if yes() {
            capabilities.segment_max(len())
        } else {
            capabilities
        }
    }

    fn receive(&mut self, _: usize) -> usize {
        len()
    }

    fn frame(&self, _: usize) -> &[u8] {
        bytes()
    }

    fn chained(&self, _: usize, _: usize) -> &[u8] {
        bytes()
    }

    fn rx_meta(&self, _: usize) -> RxMeta {
        RxMeta::NONE.checksum(if yes() {
            RxChecksum::Unknown
        } else {
            RxChecksum::Verified
        })
    }

    fn slot(&mut self, _: usize) -> Option<&mut [u8]> {
        self.slot.get_mut(..len())
    }

    fn commit(&mut self, _: usize, _: &TxMeta) {
        fill(&mut self.slot);
    }

    fn wait(&mut self, _: Option<Instant>) {}

    fn woken(&mut self) -> bool {
        yes()
    }

    fn fault(&self) -> Option<Error> {
        yes().then(error)
    }

    fn now(&self) -> Instant {
        Instant::from_micros(long())
    }
}

impl Layer for Stack<'static, Card> {
    fn call(&mut self) {
        match word() {
            0 => _ = self.counters(),
            1 => _ = self.free_count() ^ self.free_sets(),
            2 => _ = self.is_delivering(),
            8 => {
                let sum = |sum: u32, one: ConnectionView| sum ^ one.info.retransmissions;
                let all = self.connections().fold(0, sum);
                let one = self.connection(&Self::CLOSED);
                hidden((all, one.and_then(|one| one.info.round_trip)));
            }
            3 => fill(&mut self.device_mut().slot),
            4 => _ = self.device().woken_before(),
            5 => {
                let address = Address::new(addr().ip(), word() as u8);
                let gateway = yes().then(|| word().into());
                let _ = self.set_address_v4(yes().then_some((address, gateway)));
            }
            6 => self.probe_address(word().into()),
            7 => self.watch_address(yes().then(|| addr().ip())),
            9 => {
                let address = Address::new(addr().ip(), word() as u8);
                let _ = self.replace_address(addr().ip(), address);
            }
            10 => _ = self.address_state(addr().ip()),
            11 => _ = hidden(self.next_address_change()),
            12 => {
                let data = [0; 8];
                _ = self.send_echo_request(addr().ip(), word() as u16, word() as u16, &data);
            }
            13 => _ = hidden(self.next_echo_reply()),
            _ => _ = self.is_address_taken() | (self.mac() == [0; 6]),
        }
    }

    fn more(net: &mut Net<'_, Self, u32>, id: SocketId) {
        if yes() {
            return capable::datagrams(net, id);
        }
        let _ = DhcpClient::bind(net, word());
        let mut client = DhcpClient::new([2; 6], secret());
        for _ in 0..long() {
            let _ = client.serve(net, id);
            messages(&mut client);
        }
    }

    fn more_own<H: usockets::Handler<Self>>(socket: &mut usockets::Socket<'_, Self, H>) {
        capable::own_datagrams(socket);
    }
}

impl Card {
    fn woken_before(&self) -> bool {
        self.slot.first() == Some(&0)
    }
}

/// Gives a client any messages, at any time.
fn messages(client: &mut DhcpClient) {
    let mut buffer = [0; 400];
    let buffer = buffer.get_mut(..len()).unwrap_or_default();
    let now = Instant::from_micros(long());
    match word() {
        0 => client.on_message(now, bytes()),
        1 => client.on_conflict(now),
        2 => _ = client.release(now, buffer),
        3 => _ = client.lease().map(|lease| lease.server),
        _ => {
            if let Action::Send { len, .. } = client.poll(now, buffer) {
                let _ = buffer.get(..len);
            }
        }
    }
}

fn secret() -> Secret {
    Secret::new(hidden([7; 16]))
}

const CONNECTIONS: usize = 8;

static mut SOCKETS: Sockets<Stack<'static, Card>, Anything, 64> = Sockets::new();
static mut SLOTS: [Slot; CONNECTIONS] = [const { Slot::EMPTY }; CONNECTIONS];
static mut WORKING: [Working; CONNECTIONS] = [const { Working::EMPTY }; CONNECTIONS];
static mut RESTING: [Resting; CONNECTIONS] = [const { Resting::EMPTY }; CONNECTIONS];
static mut IN_FLIGHT: [InFlight; CONNECTIONS] = [const { InFlight::EMPTY }; CONNECTIONS];
static mut TIME_WAIT: [TimeWaitSlot; CONNECTIONS] = [TimeWaitSlot::EMPTY; CONNECTIONS];
static mut OUTSTANDING: [Outstanding; 64] = [Outstanding::EMPTY; 64];
static mut RANGES: [Block; 64] = [Block::EMPTY; 64];
static mut BYTES: [u8; 16_384] = [0; 16_384];
static mut BUCKETS: [u32; CONNECTIONS] = [0; CONNECTIONS];
static mut LISTENERS: [Listener; 2] = [const { Listener::EMPTY }; 2];
static mut NEIGHBOURS: [Neighbour; 8] = [Neighbour::EMPTY; 8];
static mut SCRATCH: [u8; 4_096] = [0; 4_096];
static mut DATAGRAMS: [DatagramSlot; 4] = [const { DatagramSlot::EMPTY }; 4];
static mut DATAGRAM_BUCKETS: [u32; 4] = [0; 4];
static mut RECEIVED: [u8; 4_096] = [0; 4_096];
static mut HELD: [u8; 4_096] = [0; 4_096];

/// Makes it one of several, with any card.
#[cfg(target_has_atomic = "32")]
fn share(stack: &mut Stack<'static, Card>) -> Result<(), Error> {
    static NEIGHBOURS: SharedNeighbours<[SharedNeighbour; 8]> = SharedNeighbours::new();
    static QUEUES: SharedQueues<[SharedPacket; 4]> = SharedQueues::new(2);
    static KEY: RssKey = RssKey::MICROSOFT;
    static TABLE: [u16; 4] = Rss::spread(2);
    let queues: &'static SharedQueues = &QUEUES;
    let table = TABLE.get(..len()).unwrap_or_default();
    let rss = Rss::new(&KEY, hidden(table));
    if yes() {
        stack.share_neighbours(&NEIGHBOURS);
        stack.share_queues(queues, rss, word() as u16, &|queue| _ = hidden(queue))?;
    }
    let _ = (KEY.hash(bytes()), rss.queue_for(addr(), addr()));
    let _ = (
        queues.queue_count(),
        stack.counters().sum(*stack.counters()),
    );
    Ok(())
}

/// Makes any calls on it.
pub fn run(receive: &'static mut [u8], cork: &'static mut [u8]) -> Result<(), Error> {
    // SAFETY: the only place that names the statics, and it is entered once.
    let (sockets, memory, time_wait, datagrams) = unsafe {
        let memory = Memory {
            slots: &mut *&raw mut SLOTS,
            working: &mut *&raw mut WORKING,
            resting: &mut *&raw mut RESTING,
            in_flight: &mut *&raw mut IN_FLIGHT,
            outstanding: &mut *&raw mut OUTSTANDING,
            ranges: &mut *&raw mut RANGES,
            bytes: &mut *&raw mut BYTES,
            buckets: &mut *&raw mut BUCKETS,
            listeners: &mut *&raw mut LISTENERS,
            neighbours: &mut *&raw mut NEIGHBOURS,
            scratch: &mut *&raw mut SCRATCH,
        };
        let datagrams = DatagramMemory {
            sockets: &mut *&raw mut DATAGRAMS,
            buckets: &mut *&raw mut DATAGRAM_BUCKETS,
            received: &mut *&raw mut RECEIVED,
            held: &mut *&raw mut HELD,
        };
        let time_wait = &mut *&raw mut TIME_WAIT;
        (&mut *&raw mut SOCKETS, memory, time_wait, datagrams)
    };
    let addresses = [Address::new(addr().ip(), word() as u8); 2];
    let addresses = addresses.get(..len()).unwrap_or_default();
    let config = Config::new([2; 6], addresses, secret()).cookies(yes());
    let config = config.probe_addresses(yes());
    #[cfg(feature = "stack")]
    let config = config.pacing(yes()).algorithm(algorithm()).ecn(if yes() {
        Ecn::Request
    } else {
        Ecn::Off
    });
    let class = SizeClass::new(len(), len(), len());
    let class = if yes() { class.leased(len()) } else { class };
    let card = Card { slot: [0; 1_600] };
    let mut stack = Stack::new(card, &config, memory, &[class])?;
    stack.start_time_wait(time_wait.get_mut(..len()).unwrap_or_default())?;
    stack.start_datagrams(datagrams)?;
    let _ = hidden(stack.time_wait_count());
    #[cfg(target_has_atomic = "32")]
    share(&mut stack)?;
    anything::run(stack, sockets, receive, cork)
}

/// Any congestion control.
#[cfg(feature = "stack")]
fn algorithm() -> Algorithm {
    if yes() {
        Algorithm::Bbr
    } else {
        Algorithm::default()
    }
}
