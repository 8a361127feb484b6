//! Ephemeral ports, for both platforms.

/// First and number of ephemeral ports (RFC 6335, section 6).
const FIRST: u16 = 49_152;
pub(crate) const PORTS: u16 = 16_384;

/// Returns an ephemeral port; numbers that follow one another have all of them in turn.
pub(crate) fn ephemeral(number: u32) -> u16 {
    let number = number & u32::from(PORTS.wrapping_sub(1));
    FIRST.wrapping_add(u16::try_from(number).unwrap_or(0))
}

/// Returns all ephemeral ports, beginning with that of a number.
#[cfg(feature = "smoltcp")]
pub(crate) fn all_from(number: u32) -> impl Iterator<Item = u16> {
    (0..u32::from(PORTS)).map(move |offset| ephemeral(number.wrapping_add(offset)))
}
