//! Writing text into memory that is there already.

/// Decimal digits of the largest `u64`.
const DIGITS_MAX: usize = 20;

/// Writes text into a slice, front to back. What does not fit is left out, and told.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
    fits: bool,
}

impl<'a> Text<'a> {
    /// Starts at the front of `bytes`.
    pub(crate) const fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            len: 0,
            fits: true,
        }
    }

    /// Appends `part`, all of it or nothing.
    pub(crate) fn put(&mut self, part: &[u8]) {
        let end = self.len.saturating_add(part.len());
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(part);
            self.len = end;
        } else {
            self.fits = false;
        }
    }

    /// Appends a number in decimal.
    pub(crate) fn put_decimal(&mut self, number: u64) {
        self.put_digits(number, 10);
    }

    /// Appends a number in hexadecimal.
    pub(crate) fn put_hex(&mut self, number: u64) {
        self.put_digits(number, 16);
    }

    fn put_digits(&mut self, mut number: u64, base: u64) {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut count = 0_usize;
        for place in digits.iter_mut().rev() {
            let digit = u8::try_from(number.checked_rem(base).unwrap_or(0)).unwrap_or(0);
            *place = match digit {
                0..=9 => digit.saturating_add(b'0'),
                _ => digit.saturating_sub(10).saturating_add(b'a'),
            };
            number = number.checked_div(base).unwrap_or(0);
            count = count.saturating_add(1);
            if number == 0 {
                break;
            }
        }
        let from = DIGITS_MAX.saturating_sub(count);
        self.put(digits.get(from..).unwrap_or_default());
    }

    /// Returns how many bytes were written.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether everything did fit.
    pub(crate) const fn fits(&self) -> bool {
        self.fits
    }
}
