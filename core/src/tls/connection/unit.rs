//! Whole units at the front of what has come: a record, or the records of a client's first hello.
//!
//! Memory is leased for whole units only, so this tells from a look at the bytes how many more
//! there have to be.

use crate::tls::connection::state::Connection;
use crate::tls::handshake::message::{CLIENT_HELLO, MESSAGE_HEADER};
use crate::tls::record::protection::{Content, HEADER, Header, RECORD_MAX};
use crate::tls::wire::part;

/// What is at the front of some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    /// So many bytes can be processed: whole units, or what will be refused as it stands.
    Whole(usize),
    /// So many bytes from the front make the unit whole, or more of it known. At most
    /// [`RECORD_MAX`].
    Partial(usize),
}

impl Connection {
    /// Returns how much at the front of `input` can be processed: units of at most `most` bytes
    /// together, but always one.
    pub(crate) fn unit(&self, input: &[u8], most: usize) -> Unit {
        if self.awaits_first_hello() {
            return hello(input);
        }
        let mut end = 0_usize;
        loop {
            match record(input, end) {
                Unit::Whole(next) if end == 0 || next <= most => end = next,
                Unit::Partial(need) if end == 0 => return Unit::Partial(need),
                _ => return Unit::Whole(end),
            }
        }
    }
}

/// Returns where the record ends that starts at byte `start`.
fn record(input: &[u8], start: usize) -> Unit {
    let rest = part(input, start..);
    let len = match Header::read(rest) {
        Ok(Some(header)) => HEADER.wrapping_add(header.len),
        Ok(None) => HEADER,
        Err(_) => rest.len(),
    };
    // Within a record of the input's length.
    let end = start.wrapping_add(len);
    match len <= rest.len() {
        true => Unit::Whole(end),
        false => Unit::Partial(end),
    }
}

/// Returns how much has to come of a `ClientHello`, which may lie in several records. What is none,
/// or would not fit where it is read, is not waited for.
fn hello(input: &[u8]) -> Unit {
    let mut start = 0_usize;
    let mut header = [0; MESSAGE_HEADER];
    let mut len = 0_usize;
    loop {
        let end = match record(input, start) {
            Unit::Whole(end) => end,
            Unit::Partial(need) if need <= RECORD_MAX => return Unit::Partial(need),
            Unit::Partial(_) => return Unit::Whole(input.len()),
        };
        let body_at = start.wrapping_add(HEADER);
        let body = input.get(body_at..end).unwrap_or_default();
        let is_handshake = input.get(start).copied() == Some(Content::Handshake.code());
        if !is_handshake || body.is_empty() {
            return Unit::Whole(input.len());
        }
        for (slot, byte) in header.iter_mut().skip(len).zip(body) {
            *slot = *byte;
        }
        len = len.wrapping_add(body.len());
        let [kind, high, middle, low] = header;
        if kind != CLIENT_HELLO {
            return Unit::Whole(input.len());
        }
        if len >= MESSAGE_HEADER {
            let total = u32::from_be_bytes([0, high, middle, low]);
            let total = usize::try_from(total).unwrap_or(usize::MAX);
            let total = total.wrapping_add(MESSAGE_HEADER);
            if len >= total || total > RECORD_MAX {
                return Unit::Whole(input.len());
            }
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::tls::connection::state::State;

    /// Puts a hello of `len` bytes into records of at most `piece` bytes.
    fn records(len: u8, piece: usize) -> Vec<u8> {
        let mut message = vec![CLIENT_HELLO, 0, 0, len];
        message.resize(4 + usize::from(len), 7);
        let record =
            |piece: &[u8]| [&[22, 3, 1, 0, u8::try_from(piece.len()).unwrap()], piece].concat();
        message.chunks(piece).flat_map(record).collect()
    }

    #[test]
    fn a_hello_is_whole_with_its_last_byte() {
        let server = Connection::server();
        for piece in [1, 3, 4, 5, 50, 200] {
            let bytes = records(90, piece);
            for end in 0..bytes.len() {
                let Unit::Partial(need) = server.unit(&bytes[..end], 0) else {
                    panic!("{end} of {} bytes in pieces of {piece}", bytes.len());
                };
                assert!(need > end && need <= bytes.len(), "{need} at {end}");
            }
            assert_eq!(server.unit(&bytes, 0), Unit::Whole(bytes.len()));
        }
    }

    #[test]
    fn what_is_no_hello_is_not_waited_for() {
        let server = Connection::server();
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            &[22, 3, 1, 0, 1, 2],
            &[21, 3, 1, 0, 2, 2, 40],
            // Its level is the kind of a hello.
            &[21, 3, 1, 0, 2, CLIENT_HELLO, 0],
            &[22, 3, 1, 0, 0],
            &[22, 3, 1, 0, 1, CLIENT_HELLO, 22, 3, 1, 0, 0],
            &[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(server.unit(bytes, 0), Unit::Whole(bytes.len()), "{bytes:?}");
        }
        // Too many records for one look.
        let many = records(u8::MAX, 1).repeat(12);
        assert_eq!(server.unit(&many[..1_500], 0), Unit::Partial(1_505));
        // The next header would lie behind what there is room for.
        let pieces = [22, 3, 1, 0, 1, 0].repeat(2_770);
        let long = [1, 0, 0x3e, 0x80].map(|byte| [22, 3, 1, 0, 1, byte]);
        let long = [long.as_flattened(), &pieces].concat();
        let shorter = &long[..long.len() - 6];
        assert_eq!(server.unit(shorter, 0), Unit::Partial(long.len() - 1));
        assert_eq!(server.unit(&long, 0), Unit::Whole(long.len()));
    }

    #[test]
    fn records_are_counted_up_to_a_limit() {
        let mut client = Connection::server();
        client.state = State::Open;
        let record = [
            23, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let three = record.repeat(3);
        assert_eq!(client.unit(&three, 10), Unit::Whole(25));
        assert_eq!(client.unit(&three, 50), Unit::Whole(50));
        assert_eq!(client.unit(&three, usize::MAX), Unit::Whole(75));
        assert_eq!(client.unit(&three[..60], usize::MAX), Unit::Whole(50));
        assert_eq!(client.unit(&three[..24], usize::MAX), Unit::Partial(25));
        assert_eq!(client.unit(&three[..4], usize::MAX), Unit::Partial(5));
    }
}
