//! A server of frames by two queues, and a client that takes its answers as late as it likes.

use std::time::Duration;

use crate::rng::Rng;
use crate::sim::{Faults, Sim};
use usockets::{
    Closed, Endpoint, Frame, FrameError, FrameSpans, Frames, Handler, Loop, Opened, Output,
    Platform, Socket, Sockets,
};

/// Longest frame, its length included.
pub const FRAME_MAX: usize = 41;
/// Bytes that are received at once.
pub const RECEIVE: usize = 64;
/// Bytes of the input.
pub const IN: usize = FRAME_MAX + RECEIVE;
/// Room for two answers at least.
const OUT: usize = 3 * FRAME_MAX;
/// The length of the frame that ends the connection.
pub const LAST: u8 = 0xff;
/// Longer than any run, unless it has come to a stop.
const EVER: Duration = Duration::from_secs(1 << 30);
const STEPS_MAX: u32 = 200_000;

/// Where the memory of a server's connection is.
pub enum Memory {
    Own(Box<Frames<IN, OUT>>),
    Elsewhere(FrameSpans),
}

/// Answers each frame with as many frames as its first byte says, 0 to 2, which it counts.
#[derive(Debug)]
pub struct Server {
    /// The queues are in the memory of the connection.
    pub is_own: bool,
    memory: (Vec<u8>, Vec<u8>),
    /// Frames that it has acted on.
    pub frames: u32,
    /// Answers that found no room.
    pub no_room: u32,
    pub error: Option<FrameError>,
    pub closed: Option<Closed>,
}

/// A frame is its length and so many bytes.
fn frame(counts: &mut (u32, u32), bytes: &mut [u8], output: &mut Output<'_>) -> Frame {
    let length = bytes[0];
    if length == LAST {
        counts.0 += 1;
        return Frame::Last(1);
    }
    let len = 1 + usize::from(length);
    let Some(frame) = bytes.get(..len) else {
        return Frame::Incomplete;
    };
    let repeats = frame.get(1).map_or(1, |first| first % 3);
    for _ in 0..repeats {
        if !output.push_all(frame) {
            counts.1 += 1;
            return Frame::NoRoom;
        }
    }
    counts.0 += 1;
    Frame::Used(len)
}

/// The answers to a stream of frames, and how many frames it has.
pub fn answers(mut stream: &[u8]) -> (Vec<u8>, u32) {
    let (mut all, mut count) = (Vec::new(), 0);
    while let Some((&length, rest)) = stream.split_first() {
        if length == LAST {
            return (all, count + 1);
        }
        let Some(payload) = rest.get(..usize::from(length)) else {
            break;
        };
        let repeats = payload.first().map_or(1, |first| first % 3);
        for _ in 0..repeats {
            all.push(length);
            all.extend_from_slice(payload);
        }
        count += 1;
        stream = &rest[payload.len()..];
    }
    (all, count)
}

impl Server {
    fn note(&mut self, counts: (u32, u32), result: Result<(), FrameError>) -> bool {
        self.frames += counts.0;
        self.no_room += counts.1;
        self.error = self.error.or(result.err());
        result.is_err()
    }
}

impl<P: Platform> Handler<P> for Server {
    type Context = ();
    type Ext = Memory;

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Memory {
        if self.is_own {
            Memory::Own(Box::default())
        } else {
            Memory::Elsewhere(FrameSpans::EMPTY)
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, it: &mut Memory, data: &mut [u8]) {
        let mut counts = (0, 0);
        let (input, output) = &mut self.memory;
        let act = |_: &mut Socket<'_, P, Self>, bytes: &mut [u8], output: &mut Output<'_>| {
            frame(&mut counts, bytes, output)
        };
        let result = match it {
            Memory::Own(frames) => frames.on_data(socket, data, act),
            Memory::Elsewhere(spans) => spans.of(input, output).on_data(socket, data, act),
        };
        if self.note(counts, result) {
            socket.close();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, it: &mut Memory) {
        let mut counts = (0, 0);
        let (input, output) = &mut self.memory;
        let act = |_: &mut Socket<'_, P, Self>, bytes: &mut [u8], output: &mut Output<'_>| {
            frame(&mut counts, bytes, output)
        };
        let result = match it {
            Memory::Own(frames) => frames.on_writable(socket, act),
            Memory::Elsewhere(spans) => spans.of(input, output).on_writable(socket, act),
        };
        if self.note(counts, result) {
            socket.close();
        }
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, it: &mut Memory) {
        let mut counts = (0, 0);
        let (input, output) = &mut self.memory;
        let act = |_: &mut Socket<'_, P, Self>, bytes: &mut [u8], output: &mut Output<'_>| {
            frame(&mut counts, bytes, output)
        };
        let result = match it {
            Memory::Own(frames) => frames.on_end(socket, act),
            Memory::Elsewhere(spans) => spans.of(input, output).on_end(socket, act),
        };
        self.note(counts, result);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, _: &mut Memory, closed: Closed) {
        self.closed = Some(closed);
    }
}

/// Sends all it has, ends its direction, and reads only now and then.
struct Client<'s> {
    rng: Rng,
    unsent: &'s [u8],
    got: Vec<u8>,
    closed: Option<Closed>,
}

impl Client<'_> {
    fn send<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>) {
        let count = socket.write(self.unsent);
        self.unsent = &self.unsent[count..];
        if self.unsent.is_empty() {
            socket.finish();
        }
    }
}

impl<P: Platform> Handler<P> for Client<'_> {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.send(socket);
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        self.got.extend_from_slice(data);
        if self.rng.below(4) == 0 {
            socket.pause();
            socket.set_timeout(Duration::from_millis(1 + self.rng.below(500)));
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        socket.resume();
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        self.send(socket);
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.closed = Some(closed);
    }
}

/// Serves one client; returns what it got, and the server.
pub fn run(seed: u64, stream: &[u8]) -> (Vec<u8>, Server) {
    let mut rng = Rng::new(seed);
    let sim = Sim::new(seed, Faults::rough(seed));
    let mut server = Server {
        is_own: rng.below(2) == 0,
        memory: (vec![0; IN], vec![0; OUT]),
        frames: 0,
        no_room: 0,
        error: None,
        closed: None,
    };
    let mut sockets = Sockets::<_, Server, 2>::new();
    let mut buffer = [0; RECEIVE];
    let len = 1 + rng.below(RECEIVE as u64) as usize;
    let mut serving = Loop::with_buffer(sim.host(), &mut sockets, &mut buffer[..len]).unwrap();
    let mut client_sockets = Sockets::<_, Client<'_>, 1>::new();
    let mut client_buffer = [0; 300];
    let mut asking = Loop::new(sim.host(), &mut client_sockets, &mut client_buffer);
    let mut client = Client {
        rng,
        unsent: stream,
        got: Vec::new(),
        closed: None,
    };
    let at = Endpoint::tcp((sim.addresses(0)[0], 7).into());
    serving.net().listen(at, ()).unwrap();
    asking.net().connect(at, ()).unwrap();
    for _ in 0..STEPS_MAX {
        serving.poll(&mut server, None).unwrap();
        asking.poll(&mut client, None).unwrap();
        if client.closed.is_some() && server.closed.is_some() {
            return (client.got, server);
        }
        if !sim.is_due(0) && !sim.is_due(1) {
            assert!(sim.step(EVER), "seed {seed}: everyone waits");
        }
    }
    panic!("seed {seed}: the connection does not end");
}
