//! What spreads an interface's frames over several packet sockets (`PACKET_FANOUT`, `packet(7)`): a
//! program of the kernel's that computes the hash of a card.

use crate::ip::rss::RssKey;

/// One instruction (`struct sock_filter`, `linux/filter.h`): what, two jumps, a value.
pub(crate) type Instruction = [u8; 8];

/// Bits of the hash that the program computes: as many as a table of 128 entries needs.
pub(super) const HASH_BITS: u32 = 7;

/// Codes of instructions (`linux/bpf_common.h`).
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_MEMORY: u16 = 0x60;
const LOAD_X_MEMORY: u16 = 0x61;
const STORE: u16 = 0x02;
const AND: u16 = 0x54;
const OR_X: u16 = 0x4c;
const XOR_X: u16 = 0xac;
const SHIFT_LEFT: u16 = 0x64;
const SHIFT_RIGHT: u16 = 0x74;
const TO_X: u16 = 0x07;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_ANY: u16 = 0x45;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;
/// Where the network's header lies, and the kind of link-layer payload (`SKF_NET_OFF`; `SKF_AD_OFF`
/// and `SKF_AD_PROTOCOL`).
const NETWORK: u32 = 0xfff0_0000;
const PROTOCOL: u32 = 0xffff_f000;
/// Words of memory: what the words of a bit are added up in, and the hash.
const SUM: u32 = 0;
const HASH: u32 = 1;

/// Instructions for the two addresses and ports of IPv4 and of IPv6, and those around them.
const PROGRAM_MAX: usize = 800;

/// A program, as it is being written.
pub(super) struct Program {
    instructions: [Instruction; PROGRAM_MAX],
    len: usize,
}

impl Program {
    /// Makes the program that returns the lowest [`HASH_BITS`] bits of the hash of what is TCP, and
    /// 0 for all else.
    ///
    /// Each bit of the hash is the parity of those bits of addresses and ports under which the key
    /// has a bit set, so many places on; so it takes no loop, of which such a program has none.
    pub(super) fn hashing(key: &RssKey) -> Self {
        let mut this = Self {
            instructions: [[0; 8]; PROGRAM_MAX],
            len: 0,
        };
        this.put(LOAD_WORD, PROTOCOL);
        // Each part ends with a return, so the next begins where this one does not apply.
        let other = this.branch(JUMP_IF_EQUAL, 0x0800);
        // A header without options, TCP, and no fragment.
        this.put(LOAD_BYTE, NETWORK);
        this.unless(JUMP_IF_EQUAL, 0x45);
        this.put(LOAD_BYTE, NETWORK | 9);
        this.unless(JUMP_IF_EQUAL, 6);
        this.put(LOAD_HALF, NETWORK | 6);
        this.put(JUMP_IF_ANY, 0x3fff);
        this.set_jumps(0, 1);
        this.put(RETURN, 0);
        this.hash(key, 12, 3);
        this.land(other);
        this.unless(JUMP_IF_EQUAL, 0x86dd);
        this.put(LOAD_BYTE, NETWORK | 6);
        this.unless(JUMP_IF_EQUAL, 6);
        this.hash(key, 8, 9);
        this
    }

    /// Returns the instructions.
    pub(super) fn instructions(&self) -> &[Instruction] {
        self.instructions.get(..self.len).unwrap_or_default()
    }

    /// Hashes so many words of the network's header from `at`, and returns what comes out.
    fn hash(&mut self, key: &RssKey, at: u32, words: u32) {
        self.put(AND, 0);
        self.put(STORE, HASH);
        for bit in 0..HASH_BITS {
            for word in 0..words {
                let from = word.wrapping_mul(32).wrapping_add(31).wrapping_sub(bit);
                self.put(LOAD_WORD, NETWORK | at.wrapping_add(word.wrapping_mul(4)));
                self.put(AND, key.word(from));
                if word > 0 {
                    self.put(LOAD_X_MEMORY, SUM);
                    self.put(XOR_X, 0);
                }
                self.put(STORE, SUM);
            }
            for half in [16, 8, 4, 2, 1] {
                self.put(TO_X, 0);
                self.put(SHIFT_RIGHT, half);
                self.put(XOR_X, 0);
            }
            self.put(AND, 1);
            self.put(SHIFT_LEFT, bit);
            self.put(LOAD_X_MEMORY, HASH);
            self.put(OR_X, 0);
            self.put(STORE, HASH);
        }
        self.put(LOAD_MEMORY, HASH);
        self.put(RETURN_A, 0);
    }

    fn put(&mut self, code: u16, value: u32) {
        let [c0, c1] = code.to_ne_bytes();
        let [v0, v1, v2, v3] = value.to_ne_bytes();
        if let Some(place) = self.instructions.get_mut(self.len) {
            *place = [c0, c1, 0, 0, v0, v1, v2, v3];
            self.len = self.len.saturating_add(1);
        }
    }

    /// Sets how many instructions the last one skips if it is so, and if not.
    fn set_jumps(&mut self, so: u8, not: u8) {
        let last = self.len.wrapping_sub(1);
        if let Some([_, _, if_so, if_not, ..]) = self.instructions.get_mut(last) {
            (*if_so, *if_not) = (so, not);
        }
    }

    /// Returns 0 unless a comparison holds.
    fn unless(&mut self, code: u16, value: u32) {
        self.put(code, value);
        self.set_jumps(1, 0);
        self.put(RETURN, 0);
    }

    /// Goes on with the next instruction if a comparison holds, and else to where [`Self::land`]
    /// says; that is too far for a conditional jump.
    fn branch(&mut self, code: u16, value: u32) -> usize {
        self.put(code, value);
        self.set_jumps(1, 0);
        let at = self.len;
        self.put(0x05, 0);
        at
    }

    /// Has the jump at `at` lead to the next instruction.
    fn land(&mut self, at: usize) {
        let over = crate::number::count(self.len.wrapping_sub(at).wrapping_sub(1));
        if let Some(jump) = self.instructions.get_mut(at) {
            crate::number::put(jump, 4, over.to_ne_bytes());
        }
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    extern crate std;
    use super::*;
    use core::net::SocketAddr;
    use std::vec::Vec;

    /// Runs a program on a packet, as the kernel does.
    fn run(program: &[Instruction], protocol: u32, packet: &[u8]) -> u32 {
        let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; 16]);
        let mut at = 0;
        loop {
            let [c0, c1, so, not, v0, v1, v2, v3] = program[at];
            let code = u16::from_ne_bytes([c0, c1]);
            let value = u32::from_ne_bytes([v0, v1, v2, v3]);
            let offset = usize::try_from(value & 0xf_ffff).unwrap();
            let bytes = |len: usize| {
                let bytes = packet[offset..offset + len].iter();
                bytes.fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte))
            };
            at += 1;
            match code {
                LOAD_WORD if value == PROTOCOL => a = protocol,
                LOAD_WORD => a = bytes(4),
                LOAD_HALF => a = bytes(2),
                LOAD_BYTE => a = bytes(1),
                LOAD_MEMORY => a = memory[offset],
                LOAD_X_MEMORY => x = memory[offset],
                STORE => memory[offset] = a,
                AND => a &= value,
                OR_X => a |= x,
                XOR_X => a ^= x,
                SHIFT_LEFT => a <<= value,
                SHIFT_RIGHT => a >>= value,
                TO_X => x = a,
                0x05 => at += offset,
                JUMP_IF_EQUAL => at += usize::from(if a == value { so } else { not }),
                JUMP_IF_ANY => at += usize::from(if a & value != 0 { so } else { not }),
                RETURN => return value,
                RETURN_A => return a,
                other => std::panic!("{other:#x}"),
            }
        }
    }

    fn packet(from: SocketAddr, to: SocketAddr) -> (u32, Vec<u8>) {
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => {
                let mut packet = std::vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
                packet.extend(from.ip().octets());
                packet.extend(to.ip().octets());
                packet.extend(ports);
                (0x0800, packet)
            }
            (SocketAddr::V6(from), SocketAddr::V6(to)) => {
                let mut packet = std::vec![0x60, 0, 0, 0, 0, 20, 6, 64];
                packet.extend(from.ip().octets());
                packet.extend(to.ip().octets());
                packet.extend(ports);
                (0x86dd, packet)
            }
            _ => (0, Vec::new()),
        }
    }

    #[test]
    fn the_program_computes_the_hash() {
        let key = RssKey::MICROSOFT;
        let program = Program::hashing(&key);
        let program = program.instructions();
        assert!(program.len() < PROGRAM_MAX, "{}", program.len());
        for (from, to) in [
            ("66.9.149.187:2794", "161.142.100.80:1766"),
            ("199.92.111.2:14230", "65.69.140.83:4739"),
            ("[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766"),
        ] {
            for port in 0..300 {
                let from: SocketAddr = from.parse().unwrap();
                let to: SocketAddr = to.parse().unwrap();
                let to = SocketAddr::new(to.ip(), to.port() + port);
                let (protocol, packet) = packet(from, to);
                let hash = key.hash_ends(from, to) & ((1 << HASH_BITS) - 1);
                assert_eq!(run(program, protocol, &packet), hash, "{from} {to}");
            }
        }
    }

    #[test]
    fn all_else_goes_to_the_first() {
        let program = Program::hashing(&RssKey::MICROSOFT);
        let (from, to) = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 81).into());
        let (protocol, whole) = packet(from, to);
        let changed = |at: usize, byte: u8| {
            let mut packet = whole.clone();
            packet[at] = byte;
            run(program.instructions(), protocol, &packet)
        };
        assert_ne!(changed(0, 0x45), 0);
        assert_eq!(changed(0, 0x46), 0, "options");
        assert_eq!(changed(9, 17), 0, "UDP");
        assert_eq!(changed(6, 0x20), 0, "a fragment");
        assert_eq!(changed(7, 1), 0, "a later one");
        assert_eq!(run(program.instructions(), 0x0806, &whole), 0, "ARP");
    }
}
