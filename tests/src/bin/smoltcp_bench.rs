//! What the stack alone costs, in memory: nanoseconds per echo of 64 bytes at many connections,
//! and of a poll with nothing to do. Usage: `smoltcp_bench [stock]`.

use std::hint::black_box;
use std::time::Instant as Clock;

use usockets::{Endpoint, Instant, Platform, Recv, SocketId};
use usockets_smoltcp::{
    Address, Config, Listener, Memory, Secret, SizeClass, Slot, Socket, SocketStorage, Stack,
};
use usockets_tests::smoltcp::leak;
use usockets_tests::smoltcp::peers::{PORT, Peers, SERVER};

type Net = Stack<'static, Peers>;

/// Buffers of each connection.
const BUFFER: usize = 512;

fn main() {
    println!("connections  ns/echo(median of 5)  min  max  idle poll ns  bytes/connection");
    for count in [1, 16, 128, 1_024, 8_192, 65_536] {
        measure(count);
    }
    println!(
        "slot {} storage {}",
        size_of::<Slot<'_>>(),
        size_of::<SocketStorage<'_>>()
    );
}

fn stack(count: usize) -> Net {
    let classes = [SizeClass::new(count, BUFFER, BUFFER).half_open(count)];
    let addresses = [Address::new(SERVER.into(), 8)];
    let config = Config::new([0; 6], &addresses, Secret::new([7; 16]));
    let memory = Memory {
        slots: leak(count, || Slot::EMPTY),
        storage: leak(count, || SocketStorage::EMPTY),
        bytes: leak(classes[0].bytes(), || 0),
        buckets: leak(count, || 0),
        listeners: leak(1, || Listener::EMPTY),
        neighbours: &mut [],
        scratch: leak(2_048, || 0),
    };
    Stack::new(Peers::new(count), &config, memory, &classes).unwrap()
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

fn measure(count: usize) {
    let mut net = stack(count);
    let mut listener = Net::CLOSED;
    let mut sockets = Vec::with_capacity(count);
    let id = SocketId::from_bits((1 << 32) | u64::from(u32::MAX)).unwrap();
    let at = Endpoint::tcp((SERVER, PORT).into()).backlog(u16::MAX);
    net.listen(&mut listener, id, &at).unwrap();
    while net.device().open < count || sockets.len() < count {
        net.device_mut().budget = count as u64;
        turn(&mut net, &mut listener, &mut sockets);
    }
    let mut run = |echoes: u64| {
        net.device_mut().budget = echoes;
        let goal = net.device().echoes + echoes;
        let start = Clock::now();
        while net.device().echoes < goal {
            turn(&mut net, &mut listener, &mut sockets);
        }
        start.elapsed().as_nanos() as f64 / echoes as f64
    };
    run(400_000);
    let mut all: Vec<f64> = (0..5).map(|_| run(400_000)).collect();
    all.sort_by(f64::total_cmp);
    net.device_mut().budget = 0;
    for _ in 0..200 {
        net.device().pass(1_000);
        turn(&mut net, &mut listener, &mut sockets);
    }
    let polls = 200_000_u32;
    let start = Clock::now();
    for _ in 0..polls {
        black_box(net.poll(Some(Instant::ZERO)).unwrap());
    }
    let idle = start.elapsed().as_nanos() as f64 / f64::from(polls);
    let slot = size_of::<Slot<'_>>() + size_of::<SocketStorage<'_>>() + 4;
    println!(
        "{count:>11}  {:>20.0}  {:.0}  {:.0}  {idle:>12.0}  {slot}",
        all[2], all[0], all[4]
    );
}
