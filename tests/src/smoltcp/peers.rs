//! A device whose other end is as many peers as wanted, each of which sends 64 bytes and waits for
//! them to come back: for measuring what the stack alone costs. Or each makes a connection for
//! every message, which the stack ends.

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};
use usockets::Instant;
use usockets_smoltcp::{Capabilities, Medium, PollDevice, TxMeta};

/// What callgrind has to be told so that it counts all but the peers. In this order: the last has
/// it count all at the start.
pub const WITHOUT_PEERS: [&str; 3] = [
    "--toggle-collect=*Peers*receive*",
    "--toggle-collect=*peers*State*read*",
    "--collect-atstart=yes",
];
/// Payload of one message.
pub const MESSAGE: usize = 64;
const HEADERS: usize = 40;
const FRAME: usize = HEADERS + OPTIONS_MAX + MESSAGE;
const OPTIONS_MAX: usize = 20;
const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;
/// The option (RFC 7323, section 3.2).
const TIMESTAMPS: u8 = 8;
/// A SYN's options as Linux sends them, but no timestamp, which all segments would have to have
/// then (RFC 7323, section 3.2): segment size, selective acknowledgements, scale.
const OPTIONS: [u8; OPTIONS_MAX] = [2, 4, 5, 180, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 7];
/// The stack's address and port.
pub const SERVER: [u8; 4] = [10, 0, 0, 2];
pub const PORT: u16 = 80;

#[derive(Clone, Copy)]
struct Peer {
    seq: u32,
    ack: u32,
    /// What the peer sends next.
    next: Next,
    /// Connections that it has ended.
    round: u32,
    /// The last timestamp that the stack sent.
    stamp: [u8; 4],
}

#[derive(Clone, Copy, PartialEq)]
enum Next {
    Syn,
    Nothing,
    /// The acknowledgement that completes the handshake, on its own.
    Open,
    Message,
    End,
    /// Nothing but the acknowledgement of the end.
    Ended,
}

/// The peers, their frames and a clock that moves on by a microsecond with every look.
pub struct Peers {
    pub state: State,
    frames: Vec<[u8; FRAME]>,
    lens: Vec<usize>,
    micros: std::cell::Cell<u64>,
}

/// What the peers have done and will do.
pub struct State {
    peers: Vec<Peer>,
    /// Peers that may send, in order; a ring.
    turn: std::collections::VecDeque<u32>,
    out: Vec<u8>,
    /// Messages that came back.
    pub echoes: u64,
    /// Peers whose handshake is complete.
    pub open: usize,
    /// Messages that may still be sent.
    pub budget: u64,
    /// Every message has a connection of its own, which the stack ends.
    pub churn: bool,
    /// What comes is acknowledged at once, so that nothing is on its way between two messages.
    pub polite: bool,
    /// Peers open connections, say nothing, and end after the stack. Then they may connect again.
    pub silent: bool,
    /// Every segment has a timestamp, which is the number of messages that came back.
    pub stamps: bool,
}

impl Peers {
    pub fn new(count: usize) -> Self {
        let peer = Peer {
            seq: 1,
            ack: 0,
            next: Next::Syn,
            round: 0,
            stamp: [0; 4],
        };
        Self {
            state: State {
                peers: vec![peer; count],
                turn: (0..count as u32).collect(),
                out: vec![0; 2_048],
                echoes: 0,
                open: 0,
                budget: 0,
                churn: false,
                polite: false,
                silent: false,
                stamps: false,
            },
            frames: vec![[0; FRAME]; 64],
            lens: vec![0; 64],
            micros: std::cell::Cell::new(1_000_000),
        }
    }

    /// Lets another time go by.
    pub fn pass(&self, micros: u64) {
        self.micros.set(self.micros.get() + micros);
    }

    /// Lends a frame of the burst and, next to it, what takes the answers.
    pub fn split(&mut self, index: usize) -> (&[u8], &mut State) {
        (&self.frames[index][..self.lens[index]], &mut self.state)
    }
}

impl State {
    /// Lets only those before `first` connect by themselves.
    pub fn hold_back(&mut self, first: usize) {
        self.turn.truncate(first);
    }

    /// Lets these connect, which have no connection.
    pub fn connect(&mut self, numbers: std::ops::Range<u32>) {
        self.turn.extend(numbers);
    }

    /// Every connection of a peer's comes from another port, until they come round.
    fn address(&self, index: u32) -> ([u8; 4], u16) {
        let count = self.peers.len() as u32;
        let round = if self.churn {
            self.peers[index as usize].round % (60_000 / count).max(1)
        } else {
            0
        };
        let number = index + round * count;
        let [_, a, b, c] = (number / 60_000).to_be_bytes();
        ([11, a, b, c], 1_024 + (number % 60_000) as u16)
    }

    fn index(&self, ip: &[u8], port: u16) -> usize {
        let high = u32::from_be_bytes([0, ip[1], ip[2], ip[3]]);
        let number = (high * 60_000) as usize + usize::from(port - 1_024);
        if self.churn {
            number % self.peers.len()
        } else {
            number
        }
    }

    /// Writes a peer's next frame and returns its length.
    fn write(&mut self, frame: &mut [u8; FRAME], index: u32) -> usize {
        let (ip, port) = self.address(index);
        let peer = &mut self.peers[index as usize];
        let mut memory = OPTIONS;
        let options = if self.stamps {
            let [a, b, c, d] = (self.echoes as u32 + 1).to_be_bytes();
            memory[..8].copy_from_slice(&[1, 1, TIMESTAMPS, 10, a, b, c, d]);
            memory[8..12].copy_from_slice(&peer.stamp);
            &memory[..12]
        } else if self.churn && peer.next == Next::Syn {
            &memory[..]
        } else {
            &[]
        };
        let (control, len) = match peer.next {
            Next::Syn => (SYN, 0),
            Next::Open => (ACK, 0),
            Next::End => (ACK | FIN, 0),
            _ => (ACK | PSH, MESSAGE),
        };
        let len = options.len() + len;
        let total = (HEADERS + len) as u16;
        frame[..10].copy_from_slice(&[
            0x45,
            0,
            (total >> 8) as u8,
            total as u8,
            0,
            0,
            0x40,
            0,
            64,
            6,
        ]);
        frame[10..12].fill(0);
        frame[12..16].copy_from_slice(&ip);
        frame[16..20].copy_from_slice(&SERVER);
        frame[20..22].copy_from_slice(&port.to_be_bytes());
        frame[22..24].copy_from_slice(&PORT.to_be_bytes());
        frame[24..28].copy_from_slice(&peer.seq.to_be_bytes());
        frame[28..32].copy_from_slice(&peer.ack.to_be_bytes());
        frame[32..34].copy_from_slice(&[0x50 + ((options.len() as u8) << 2), control]);
        frame[34..36].copy_from_slice(&u16::MAX.to_be_bytes());
        frame[36..40].fill(0);
        frame[HEADERS..HEADERS + options.len()].copy_from_slice(options);
        fill_checksums(&mut frame[..HEADERS + len]);
        let (used, next) = match peer.next {
            Next::Syn => (1, Next::Nothing),
            Next::End => (1, Next::Ended),
            Next::Open => (0, Next::Message),
            _ => (MESSAGE as u32, Next::Nothing),
        };
        peer.seq = peer.seq.wrapping_add(used);
        peer.next = next;
        HEADERS + len
    }

    /// Lends memory for a frame to send.
    pub fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.out.get_mut(..len)
    }

    /// Takes what the stack sent there.
    #[inline(never)]
    pub fn read(&mut self, len: usize) {
        let frame = &self.out[..len];
        let port = u16::from_be_bytes([frame[22], frame[23]]);
        let index = self.index(&frame[16..20], port);
        let seq = u32::from_be_bytes(frame[24..28].try_into().unwrap());
        let header = 20 + usize::from(frame[32] >> 4) * 4;
        let payload = len - header;
        let peer = &mut self.peers[index];
        if self.stamps {
            let stamp = timestamp(&frame[HEADERS..header]).expect("each segment has one");
            peer.stamp.copy_from_slice(stamp);
        }
        let before = std::mem::replace(&mut peer.next, Next::Message);
        if frame[33] & SYN != 0 {
            peer.ack = seq.wrapping_add(1);
            self.open += 1;
            if self.churn || self.polite {
                peer.next = Next::Open;
            }
        } else if frame[33] & FIN != 0 {
            peer.ack = seq.wrapping_add(payload as u32 + 1);
            peer.next = Next::End;
        } else if payload > 0 {
            peer.ack = seq.wrapping_add(payload as u32);
            self.echoes += 1;
            if self.polite {
                peer.next = Next::Open;
                self.turn.push_front(index as u32);
                return;
            }
        } else if before == Next::Ended && frame[28..32] == peer.seq.to_be_bytes() {
            self.echoes += 1;
            peer.round += 1;
            peer.next = Next::Syn;
            if self.silent {
                return;
            }
        } else {
            peer.next = before;
            return;
        }
        // Handshakes are completed before others begin: a SYN that is dropped is not sent again.
        if frame[33] & SYN != 0 {
            self.turn.push_front(index as u32);
        } else {
            self.turn.push_back(index as u32);
        }
    }
}

/// Fills in the checksums of a packet without options of IP.
fn fill_checksums(frame: &mut [u8]) {
    let sum = |from: u32, bytes: &[u8]| {
        let words = bytes.as_chunks::<2>().0.iter();
        words.fold(from, |sum, word| sum + u32::from(u16::from_be_bytes(*word)))
    };
    let finish = |mut sum: u32| {
        sum = (sum >> 16) + (sum & 0xffff);
        !((sum + (sum >> 16)) as u16)
    };
    let header = finish(sum(0, &frame[..20]));
    frame[10..12].copy_from_slice(&header.to_be_bytes());
    let pseudo = sum(6 + (frame.len() - 20) as u32, &frame[12..20]);
    let check = finish(sum(pseudo, &frame[20..]));
    frame[36..38].copy_from_slice(&check.to_be_bytes());
}

/// Finds the timestamp among a header's options.
fn timestamp(mut options: &[u8]) -> Option<&[u8]> {
    loop {
        match options {
            [1, rest @ ..] => options = rest,
            [TIMESTAMPS, 10, rest @ ..] => return rest.get(..4),
            [_, len, ..] if *len >= 2 => options = options.get(usize::from(*len)..)?,
            _ => return None,
        }
    }
}

impl PollDevice for Peers {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Medium::Ip, 1_500)
    }

    #[inline(never)]
    fn receive(&mut self, frames_max: usize) -> usize {
        let state = &mut self.state;
        let mut count = 0;
        while count < frames_max {
            let Some(&index) = state.turn.front() else {
                break;
            };
            let next = state.peers[index as usize].next;
            if next
                == if state.churn {
                    Next::Syn
                } else {
                    Next::Message
                }
            {
                if state.budget == 0 {
                    break;
                }
                state.budget -= 1;
            }
            state.turn.pop_front();
            self.lens[count] = state.write(&mut self.frames[count], index);
            if next == Next::Open && state.silent {
                // It has said all that it says.
            } else if next == Next::Open && state.polite {
                state.turn.push_back(index);
            } else if next == Next::Open {
                state.turn.push_front(index);
            }
            count += 1;
        }
        count
    }

    fn frame(&self, index: usize) -> &[u8] {
        &self.frames[index][..self.lens[index]]
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.state.slot(len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        self.state.read(len);
    }

    fn wait(&mut self, until: Option<Instant>) {
        let now = self.micros.get();
        self.micros
            .set(until.map_or(now, |until| until.as_micros().clamp(now, now + 10_000)));
    }

    fn now(&self) -> Instant {
        self.pass(1);
        Instant::from_micros(self.micros.get())
    }
}

/// Returns the processor time of this thread, in nanoseconds.
#[cfg(target_os = "linux")]
pub fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
