//! Where the head of a request or a response ends.

/// Bytes of the end of a head: an empty line.
pub const END: usize = 4;

/// Returns how many bytes of the end of a head have come with `byte`, of which `seen` had before.
pub const fn seen_with(byte: u8, seen: usize) -> usize {
    match (byte, seen) {
        (b'\r', 0 | 2) | (b'\n', 1 | 3) => seen + 1,
        (b'\r', _) => 1,
        _ => 0,
    }
}
