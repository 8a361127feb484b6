//! One end: a connection with its memory, and segments that own their text.

use usockets::Instant;
use usockets_smoltcp::tcp::{
    Block, Buffers, Connection, Events, Flags, Options, Outstanding, Segment, Seq, Settings,
    Transmit,
};

use crate::injected_bugs::inject_named;

/// A segment on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packet {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    pub(crate) window: u16,
    pub(crate) flags: Flags,
    pub(crate) options: Options,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// A segment with the given flags and numbers, and a large window.
    pub(crate) fn new(flags: Flags, seq: u32, ack: u32) -> Self {
        Self {
            seq: Seq::new(seq),
            ack: Seq::new(ack),
            window: 0x7fff,
            flags,
            options: Options::NONE,
            payload: Vec::new(),
        }
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    pub(crate) fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    pub(crate) fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    pub(crate) fn segment(&self) -> Segment<'_> {
        Segment {
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            flags: self.flags,
            options: self.options,
            payload: &self.payload,
        }
    }

    /// Octets in the network, with headers of IPv4 and TCP.
    pub(crate) fn frame_len(&self) -> u64 {
        40 + u64::from(self.options.len()) + self.payload.len() as u64
    }

    pub(crate) fn has(&self, flags: Flags) -> bool {
        self.flags.has(flags)
    }
}

/// A connection and its memory.
pub(crate) struct Host {
    pub(crate) tcp: Connection,
    send: Vec<u8>,
    receive: Vec<u8>,
    outstanding: Vec<Outstanding>,
    ranges: Vec<Block>,
    /// Most octets of a segment that the device cuts to size.
    pub(crate) segment_max: u32,
    /// Keep only what is remembered of a quiet connection, and give its memory to others meanwhile.
    pub(crate) rests: bool,
    /// How often it did.
    pub(crate) rested: u32,
}

impl Host {
    /// A closed one with buffers of the given sizes.
    pub(crate) fn new(send: usize, receive: usize) -> Self {
        inject_named();
        Self {
            tcp: Connection::CLOSED,
            send: vec![0; send],
            receive: vec![0; receive],
            outstanding: vec![Outstanding::EMPTY; (send / 1_000).max(16) * 2],
            ranges: vec![Block::EMPTY; (receive / 16_384).clamp(8, 128)],
            segment_max: 0,
            rests: false,
            rested: 0,
        }
    }

    /// Replaces the tables.
    pub(crate) fn tables(mut self, outstanding: usize, ranges: usize) -> Self {
        self.outstanding = vec![Outstanding::EMPTY; outstanding];
        self.ranges = vec![Block::EMPTY; ranges];
        self
    }

    fn parts(&mut self) -> (&mut Connection, Buffers<'_>) {
        let buffers = Buffers {
            send: &mut self.send,
            receive: &mut self.receive,
            outstanding: &mut self.outstanding,
            ranges: &mut self.ranges,
        };
        (&mut self.tcp, buffers)
    }

    pub(crate) fn connect(&mut self, now: Instant, settings: &Settings, iss: u32) {
        let (tcp, mut buffers) = self.parts();
        tcp.connect(now, settings, Seq::new(iss), &mut buffers);
    }

    pub(crate) fn accept(&mut self, now: Instant, settings: &Settings, iss: u32, syn: &Packet) {
        let (tcp, mut buffers) = self.parts();
        tcp.accept(now, settings, Seq::new(iss), &syn.segment(), &mut buffers);
    }

    pub(crate) fn on_packet(&mut self, now: Instant, packet: &Packet) -> Events {
        self.with(|tcp, buffers| tcp.on_segment(now, &packet.segment(), buffers))
    }

    pub(crate) fn on_timer(&mut self, now: Instant) -> Events {
        self.with(|tcp, buffers| tcp.on_timer(now, buffers))
    }

    /// Calls the connection with its buffers, and checks it afterwards.
    pub(crate) fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Connection, &mut Buffers<'_>) -> R,
    ) -> R {
        let (tcp, mut buffers) = self.parts();
        let result = call(tcp, &mut buffers);
        if let Err(broken) = tcp.check(&buffers) {
            panic!("not true: {broken}: {tcp:?}");
        }
        if self.rests {
            self.rest();
        }
        result
    }

    /// What a shell does that leases memory to those that have something to do.
    fn rest(&mut self) {
        let Some(quiet) = self.tcp.quiet() else {
            return;
        };
        assert_eq!(quiet.state(), self.tcp.state());
        assert_eq!(quiet.error(), self.tcp.error());
        assert_eq!(quiet.deadline(), self.tcp.deadline());
        self.tcp = quiet.resume();
        self.send.fill(0xaa);
        self.receive.fill(0xaa);
        self.outstanding.fill(Outstanding::EMPTY);
        self.ranges.fill(Block::EMPTY);
        self.rested += 1;
    }

    pub(crate) fn send(&mut self, data: &[u8]) -> usize {
        self.with(|tcp, buffers| tcp.send(data, buffers))
    }

    /// Receives at most `max` octets.
    pub(crate) fn receive(&mut self, max: usize) -> Vec<u8> {
        let mut data = vec![0; max];
        let len = self.with(|tcp, buffers| tcp.receive(&mut data, buffers));
        data.truncate(len);
        data
    }

    /// The next segment as it was described.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Transmit> {
        let segment_max = self.segment_max;
        self.with(|tcp, buffers| tcp.poll_transmit(now, segment_max, buffers))
    }

    /// Everything that is to be sent now, cut to size.
    pub(crate) fn transmit(&mut self, now: Instant) -> Vec<Packet> {
        let mut packets = Vec::new();
        for rounds in 0.. {
            assert!(rounds < 100_000, "sends without end: {:?}", self.tcp);
            let Some(transmit) = self.poll(now) else {
                break;
            };
            let payload: Vec<u8> =
                self.with(|tcp, buffers| tcp.payload(&transmit, buffers).concat());
            assert_eq!(payload.len(), transmit.payload_len as usize);
            packets.extend(cut(&transmit, payload));
        }
        packets
    }
}

/// What a device makes of a description.
fn cut(transmit: &Transmit, payload: Vec<u8>) -> Vec<Packet> {
    let whole = Packet {
        seq: transmit.seq,
        ack: transmit.ack,
        window: transmit.window,
        flags: transmit.flags,
        options: transmit.options,
        payload,
    };
    let Some(size) = transmit.segment_size else {
        return vec![whole];
    };
    let last_only = Flags::FIN | Flags::PSH;
    let count = whole.payload.len().div_ceil(usize::from(size.get()));
    let pieces = whole.payload.chunks(usize::from(size.get())).enumerate();
    pieces
        .map(|(index, piece)| Packet {
            seq: whole.seq.plus(u32::from(size.get()) * index as u32),
            flags: if index + 1 == count {
                whole.flags
            } else {
                whole.flags.without(last_only)
            },
            payload: piece.to_vec(),
            ..whole.clone()
        })
        .collect()
}
