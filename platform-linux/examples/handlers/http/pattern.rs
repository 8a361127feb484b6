//! Bytes to send a lot of.

/// Bytes after which the pattern repeats: a prime, so that a block that is lost or sent twice
/// shows, whatever power of two its length is.
const PERIOD: usize = 89;
/// A whole number of periods: one where more would take a good part of the flash.
const LEN: usize = PERIOD * if cfg!(target_os = "none") { 1 } else { 92 };

/// Printable bytes in a fixed order. A long body repeats it.
pub(crate) static PATTERN: [u8; LEN] = make();

const fn make() -> [u8; LEN] {
    let mut pattern = [b'!'; LEN];
    let mut rest: &mut [u8] = &mut pattern;
    let mut byte = b'!';
    while let Some((first, after)) = rest.split_first_mut() {
        *first = byte;
        byte = if byte == b'y' {
            b'!'
        } else {
            byte.wrapping_add(1)
        };
        rest = after;
    }
    pattern
}
