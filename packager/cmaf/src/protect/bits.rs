//! Bits of a NAL unit, and how many of its bytes have been touched.

/// Reads the payload of a NAL unit, past the bytes that keep start codes out (Rec. ITU-T H.264 §7.4.1.1).
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Bytes begun, those that are no payload included.
    begun: usize,
    byte: u8,
    left: u8,
    zeros: u8,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            begun: 0,
            byte: 0,
            left: 0,
            zeros: 0,
        }
    }

    /// Bytes of the unit up to and with the one the last bit was in.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.begun)?;
        self.begun += 1;
        Some(byte)
    }

    fn bit(&mut self) -> Option<u32> {
        if self.left == 0 {
            let mut byte = self.next()?;
            if self.zeros >= 2 && byte == 3 {
                self.zeros = 0;
                byte = self.next()?;
            }
            self.zeros = if byte == 0 {
                self.zeros.saturating_add(1)
            } else {
                0
            };
            (self.byte, self.left) = (byte, 8);
        }
        self.left -= 1;
        Some(u32::from(self.byte >> self.left & 1))
    }

    /// u(n) of up to 32 bits.
    pub(super) fn u(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| Some(value << 1 | self.bit()?))
    }

    /// u(1).
    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.bit()? == 1)
    }

    /// Passes over bits.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.bit().map(drop))
    }

    /// ue(v).
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.u(zeros)?)
    }

    /// se(v).
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = i64::from(self.ue()?);
        let value = if code & 1 == 1 {
            (code + 1) / 2
        } else {
            -(code / 2)
        };
        i32::try_from(value).ok()
    }

    /// A ue(v) that counts something, of which there are at most so many.
    pub(super) fn count(&mut self, most: u32) -> Option<u32> {
        self.ue().filter(|count| *count <= most)
    }
}

/// Ceil(Log2(n)).
pub(super) fn bits_of(n: u32) -> u32 {
    n.max(1).next_power_of_two().trailing_zeros()
}
