//! What the stack alone costs, in memory: nanoseconds per echo of 64 bytes at many connections, and
//! of a poll with nothing to do. In processor time of the thread, so that a busy machine matters
//! little. Usage: `smoltcp_bench [stock|churn] [stamps] [CONNECTIONS [ECHOES]]`, with the echoes of
//! one run of the five: two numbers of them under callgrind give the instructions of one echo (with
//! the feature `valgrind`). With `stamps` every segment has a timestamp. With `churn` every echo
//! has a connection of its own, which the stack ends, in a pool of 256; so many peers do that at
//! once. `smoltcp_bench idle CONNECTIONS POLLS` only opens the connections and polls in vain, for
//! `budget` to count the instructions of.

use std::hint::black_box;

use usockets::{Endpoint, Instant, Platform, Recv, SocketId};
use usockets_smoltcp::{
    Address, Block, Config, InFlight, Listener, Memory, Outstanding, Resting, Secret, SizeClass,
    Slot, Socket, Stack, Working,
};
use usockets_tests::smoltcp::leak;
use usockets_tests::smoltcp::peers::{PORT, Peers, SERVER, cpu_nanos};

type Net = Stack<'static, Peers>;

/// Buffers of each connection.
const BUFFER: usize = 512;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().flat_map(|word| word.parse()).collect();
    let connections = numbers.first().map(|count| *count as usize);
    let echoes = numbers.get(1).copied();
    let stamps = arguments.iter().any(|word| word == "stamps");
    if arguments.iter().any(|word| word == "stock") {
        return stock::main(connections, echoes, stamps);
    }
    if arguments.iter().any(|word| word == "churn") {
        return churn::main(connections.unwrap_or(8), echoes.unwrap_or(100_000));
    }
    if arguments.iter().any(|word| word == "idle") {
        let (mut net, ..) = open(connections.unwrap_or(1), stamps);
        return idle(&mut net, echoes.unwrap_or(1_000));
    }
    println!("connections  ns/echo(median of 5)  min  max  idle poll ns  bytes/connection");
    let all = [1, 16, 128, 1_024, 8_192, 65_536];
    for count in connections.map_or(all.to_vec(), |count| vec![count]) {
        measure(count, echoes.unwrap_or(400_000), stamps);
    }
    println!("slot {}", size_of::<Slot>() + size_of::<Working>());
}

fn stack(count: usize, peers: usize) -> Net {
    let classes = [SizeClass::new(count, BUFFER, BUFFER).half_open(count)];
    let addresses = [Address::new(SERVER.into(), 8)];
    let config = Config::new([0; 6], &addresses, Secret::new([7; 16]));
    let memory = Memory {
        slots: leak(count, || Slot::EMPTY),
        working: leak(classes[0].working_len(), || Working::EMPTY),
        resting: leak(classes[0].resting_len(), || Resting::EMPTY),
        in_flight: leak(classes[0].in_flight_len(), || InFlight::EMPTY),
        outstanding: leak(classes[0].outstanding_len(), || Outstanding::EMPTY),
        ranges: leak(classes[0].ranges_len(), || Block::EMPTY),
        bytes: leak(classes[0].bytes(), || 0),
        buckets: leak(count, || 0),
        listeners: leak(1, || Listener::EMPTY),
        neighbours: &mut [],
        scratch: leak(2_048, || 0),
    };
    Stack::new(Peers::new(peers), &config, memory, &classes).unwrap()
}

/// Returns the nanoseconds of each of so many echoes in five runs, ascending, after one that does
/// not count.
fn time(net: &mut Net, echoes: u64, mut turn: impl FnMut(&mut Net)) -> Vec<f64> {
    let mut run = || {
        net.device_mut().state.budget = echoes;
        let goal = net.device().state.echoes + echoes;
        let start = cpu_nanos();
        while net.device().state.echoes < goal {
            turn(net);
        }
        (cpu_nanos() - start) as f64 / echoes as f64
    };
    run();
    let mut all: Vec<f64> = (0..5).map(|_| run()).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// One turn of the smallest possible loop. Nothing is allocated.
fn turn(net: &mut Net, listener: &mut Socket, sockets: &mut Vec<Socket>) {
    net.poll(Some(Instant::ZERO)).unwrap();
    while let Some(ready) = net.next_ready() {
        let index = ready.id.index() as usize;
        if index == u32::MAX as usize {
            loop {
                let id = SocketId::from_bits((1 << 32) | sockets.len() as u64).unwrap();
                let mut socket = Net::CLOSED;
                match net.accept(listener, &mut socket, id) {
                    Ok(Some(_)) => sockets.push(socket),
                    _ => break,
                }
            }
        } else if let Some(socket) = sockets.get_mut(index) {
            let mut buffer = [0; 256];
            while let Ok(Recv::Data { len, drained }) = net.recv(socket, &mut buffer) {
                net.send(socket, &buffer[..len]).unwrap();
                if drained {
                    break;
                }
            }
        }
    }
}

/// Makes a stack with so many connections that say nothing.
fn open(count: usize, stamps: bool) -> (Net, Socket, Vec<Socket>) {
    let mut net = stack(count, count);
    net.device_mut().state.stamps = stamps;
    let mut listener = Net::CLOSED;
    let mut sockets = Vec::with_capacity(count);
    let id = SocketId::from_bits((1 << 32) | u64::from(u32::MAX)).unwrap();
    let at = Endpoint::tcp((SERVER, PORT).into()).backlog(u16::MAX);
    net.listen(&mut listener, id, &at).unwrap();
    while net.device().state.open < count || sockets.len() < count {
        net.device_mut().state.budget = count as u64;
        turn(&mut net, &mut listener, &mut sockets);
    }
    net.device_mut().state.budget = 0;
    rest(&mut net, &mut listener, &mut sockets);
    (net, listener, sockets)
}

/// Lets everything come to rest.
fn rest(net: &mut Net, listener: &mut Socket, sockets: &mut Vec<Socket>) {
    for _ in 0..200 {
        net.device().pass(1_000);
        turn(net, listener, sockets);
    }
}

/// Polls with nothing to do.
fn idle(net: &mut Net, polls: u64) {
    for _ in 0..polls {
        black_box(&mut *net).poll(Some(Instant::ZERO)).unwrap();
    }
}

fn measure(count: usize, echoes: u64, stamps: bool) {
    let (mut net, mut listener, mut sockets) = open(count, stamps);
    let all = time(&mut net, echoes, |net| {
        turn(net, &mut listener, &mut sockets);
    });
    net.device_mut().state.budget = 0;
    rest(&mut net, &mut listener, &mut sockets);
    let polls = 200_000;
    let start = cpu_nanos();
    idle(&mut net, polls);
    let idle = (cpu_nanos() - start) as f64 / polls as f64;
    let slot = size_of::<Slot>() + size_of::<Working>() + 4;
    println!(
        "{count:>11}  {:>20.0}  {:.0}  {:.0}  {idle:>12.0}  {slot}",
        all[2], all[0], all[4]
    );
}

/// Short connections.
mod churn {
    use usockets::{Endpoint, Instant, Platform, Recv, SocketId};
    use usockets_smoltcp::Socket;
    use usockets_tests::smoltcp::peers::{PORT, SERVER};

    use super::{Net, stack, time};

    /// Slots of the pool.
    const POOL: usize = 256;
    /// Index of the listener's name.
    const LISTENER: u32 = u32::MAX;

    pub fn main(peers: usize, echoes: u64) {
        println!("short connections\npeers  ns/connection(median of 5)");
        let mut net = stack(POOL, peers);
        net.device_mut().state.churn = true;
        let mut listener = Net::CLOSED;
        let at = Endpoint::tcp((SERVER, PORT).into()).backlog(256);
        net.listen(&mut listener, id(LISTENER), &at).unwrap();
        let mut sockets: Vec<Option<Socket>> = (0..POOL).map(|_| None).collect();
        let all = time(&mut net, echoes, |net| {
            turn(net, &mut listener, &mut sockets);
        });
        println!("{peers:>5}  {:.0}\n{:?}", all[2], net.counters());
    }

    fn id(index: u32) -> SocketId {
        SocketId::from_bits((1 << 32) | u64::from(index)).unwrap()
    }

    /// Accepts; sends what comes back and closes.
    fn turn(net: &mut Net, listener: &mut Socket, sockets: &mut [Option<Socket>]) {
        net.poll(Some(Instant::ZERO)).unwrap();
        while let Some(ready) = net.next_ready() {
            if ready.id.index() == LISTENER {
                loop {
                    let free = sockets.iter().position(Option::is_none).unwrap();
                    let mut socket = Net::CLOSED;
                    match net.accept(listener, &mut socket, id(free as u32)) {
                        Ok(Some(_)) => sockets[free] = Some(socket),
                        _ => break,
                    }
                }
                continue;
            }
            let place = &mut sockets[ready.id.index() as usize];
            let mut buffer = [0; 256];
            if let Some(socket) = place
                && let Ok(Recv::Data { len, .. }) = net.recv(socket, &mut buffer)
            {
                net.send(socket, &buffer[..len]).unwrap();
                net.close(socket);
                *place = None;
            }
        }
    }
}

/// The same with smoltcp as it comes: one interface, one set of sockets.
mod stock {
    use std::hint::black_box;

    use smoltcp::iface::{Config, Interface, SocketSet};
    use smoltcp::phy::{self, DeviceCapabilities};
    use smoltcp::socket::tcp::{Socket, SocketBuffer};
    use smoltcp::time::Instant;
    use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
    use usockets::Platform;
    use usockets_smoltcp::PollDevice;
    use usockets_tests::smoltcp::leak;
    use usockets_tests::smoltcp::peers::{PORT, Peers, SERVER, State};

    use super::{BUFFER, cpu_nanos};

    struct Stock {
        peers: Peers,
        left: std::ops::Range<usize>,
    }

    struct Rx<'d>(&'d [u8]);
    struct Tx<'d>(&'d mut State);

    impl phy::RxToken for Rx<'_> {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
            f(self.0)
        }
    }

    impl phy::TxToken for Tx<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
            let result = f(self.0.slot(len).unwrap());
            self.0.read(len);
            result
        }
    }

    impl phy::Device for Stock {
        type RxToken<'t> = Rx<'t>;
        type TxToken<'t> = Tx<'t>;

        fn receive(&mut self, _: Instant) -> Option<(Rx<'_>, Tx<'_>)> {
            let index = self.left.next()?;
            let (frame, state) = self.peers.split(index);
            Some((Rx(frame), Tx(state)))
        }

        fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
            Some(Tx(&mut self.peers.state))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut said = DeviceCapabilities::default();
            said.medium = phy::Medium::Ip;
            said.max_transmission_unit = 1_500;
            said
        }
    }

    pub fn main(connections: Option<usize>, echoes: Option<u64>, stamps: bool) {
        println!("stock smoltcp\nconnections  ns/echo(median of 5)");
        let all = connections.map_or(vec![1, 16, 128, 1_024], |count| vec![count]);
        for count in all {
            let few = if count > 100 { 40_000 } else { 400_000 };
            measure(count, echoes.unwrap_or(few), stamps);
        }
    }

    fn measure(count: usize, echoes: u64, stamps: bool) {
        let mut device = Stock {
            peers: Peers::new(count),
            left: 0..0,
        };
        device.peers.state.stamps = stamps;
        let mut interface =
            Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::ZERO);
        let own = IpAddress::from(std::net::IpAddr::from(SERVER));
        interface.update_ip_addrs(|all| all.push(IpCidr::new(own, 8)).unwrap());
        let mut set = SocketSet::new(leak(count, Default::default));
        let buffer = || SocketBuffer::new(leak(BUFFER, || 0_u8));
        let handles: Vec<_> = (0..count)
            .map(|_| {
                let mut socket = Socket::new(buffer(), buffer());
                socket.set_nagle_enabled(false);
                if stamps {
                    socket.set_tsval_generator(Some(|| 1));
                }
                socket.listen(PORT).unwrap();
                set.add(socket)
            })
            .collect();
        let mut run = |echoes: u64| {
            device.peers.state.budget = echoes;
            let goal = device.peers.state.echoes + echoes;
            let start = cpu_nanos();
            while device.peers.state.echoes < goal {
                device.left = 0..device.peers.receive(usockets_smoltcp::FRAMES_MAX);
                let micros = i64::try_from(device.peers.now().as_micros()).unwrap();
                interface.poll(Instant::from_micros(micros), &mut device, &mut set);
                for handle in &handles {
                    let socket = set.get_mut::<Socket<'_>>(*handle);
                    let mut buffer = [0; 256];
                    if socket.can_recv() {
                        let len = socket.recv_slice(&mut buffer).unwrap();
                        socket.send_slice(&buffer[..len]).unwrap();
                    }
                }
                // When to look again: what every loop of smoltcp's asks before it waits.
                let micros = i64::try_from(device.peers.now().as_micros()).unwrap();
                black_box(interface.poll_delay(Instant::from_micros(micros), &set));
            }
            (cpu_nanos() - start) as f64 / echoes as f64
        };
        run(echoes);
        let mut all: Vec<f64> = (0..5).map(|_| run(echoes)).collect();
        all.sort_by(f64::total_cmp);
        println!("{count:>11}  {:.0}", all[2]);
        let _ = super::Net::CLOSED;
    }
}
