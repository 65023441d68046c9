//! A sequence header (AV1 §5.5), as far as configuration records and names need it.

/// What it says of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) profile: u8,
    /// Of the first operating point.
    pub(super) level: u8,
    pub(super) high_tier: bool,
    pub(super) colour: Colour,
}

/// What it says of colours; the default is what AV1-ISOBMFF §5 takes for granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Colour {
    /// Bits of a sample.
    pub(super) depth: u8,
    pub(super) monochrome: bool,
    /// Across and down.
    pub(super) subsampling: (bool, bool),
    pub(super) sample_position: u8,
    /// Primaries, transfer and matrix (ISO/IEC 23091-2).
    pub(super) description: (u8, u8, u8),
    pub(super) full_range: bool,
}

const BT709: (u8, u8, u8) = (1, 1, 1);
/// §6.4.2: sRGB with an identity matrix is never subsampled.
const RGB: (u8, u8, u8) = (1, 13, 0);

impl Default for Colour {
    fn default() -> Self {
        Self {
            depth: 8,
            monochrome: false,
            subsampling: (true, true),
            sample_position: 0,
            description: BT709,
            full_range: false,
        }
    }
}

impl Sequence {
    /// §5.5.1.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits {
            bytes: payload,
            at: 0,
        };
        let profile = bits.small(3)?;
        bits.skip(1)?;
        let reduced = bits.flag()?;
        let (level, high_tier) = if reduced {
            (bits.small(5)?, false)
        } else {
            operating_points(&mut bits)?
        };
        let (across, down) = (bits.number(4)?, bits.number(4)?);
        bits.skip(across + 1 + down + 1)?;
        if !reduced && bits.flag()? {
            bits.skip(4 + 3)?; // lengths of frame ids
        }
        bits.skip(3)?; // 128x128 superblocks, intra filters and edges
        if !reduced {
            tools(&mut bits)?;
        }
        bits.skip(3)?; // superres, CDEF, restoration
        Some(Self {
            profile,
            level,
            high_tier,
            colour: colour(&mut bits, profile)?,
        })
    }
}

/// Level and tier of the first one.
fn operating_points(bits: &mut Bits) -> Option<(u8, bool)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(32 + 32)?; // display tick, time scale
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.number(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delay = bits.flag()?;
    let count = bits.number(5)? + 1;
    let mut first = None;
    for _ in 0..count {
        bits.skip(12)?;
        let level = bits.small(5)?;
        let high_tier = level > 7 && bits.flag()?;
        first = first.or(Some((level, high_tier)));
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    first
}

fn tools(bits: &mut Bits) -> Option<()> {
    bits.skip(4)?; // interintra, masked, warped, dual filter
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2)?;
    }
    // §6.4.1: where the choice is each frame's own, screen content tools count as possible.
    let screen_content = bits.flag()? || bits.flag()?;
    if screen_content && !bits.flag()? {
        bits.skip(1)?;
    }
    if order_hint {
        bits.skip(3)?;
    }
    Some(())
}

/// §5.5.2.
fn colour(bits: &mut Bits, profile: u8) -> Option<Colour> {
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let depth = match (high, twelve) {
        (_, true) => 12,
        (true, false) => 10,
        (false, false) => 8,
    };
    let monochrome = profile != 1 && bits.flag()?;
    let described = bits.flag()?;
    // What is not described is taken for the default, as players do.
    let description = if described {
        (bits.small(8)?, bits.small(8)?, bits.small(8)?)
    } else {
        BT709
    };
    let mut colour = Colour {
        depth,
        monochrome,
        description,
        ..Colour::default()
    };
    if !monochrome && described && description == RGB {
        colour.full_range = true;
        colour.subsampling = (false, false);
        return Some(colour);
    }
    colour.full_range = bits.flag()?;
    if monochrome {
        return Some(colour);
    }
    colour.subsampling = match (profile, depth) {
        (0, _) => (true, true),
        (1, _) => (false, false),
        (_, 12) => {
            let across = bits.flag()?;
            (across, across && bits.flag()?)
        }
        _ => (true, false),
    };
    if colour.subsampling == (true, true) {
        colour.sample_position = bits.small(2)?;
    }
    Some(colour)
}

/// Bits, most significant first; none once they are used up.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn number(&mut self, bits: usize) -> Option<usize> {
        (0..bits).try_fold(0, |number, _| Some(number << 1 | usize::from(self.flag()?)))
    }

    /// A number of at most eight bits.
    fn small(&mut self, bits: usize) -> Option<u8> {
        u8::try_from(self.number(bits)?).ok()
    }

    fn skip(&mut self, bits: usize) -> Option<()> {
        self.at += bits;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// §4.10.3.
    fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        // From 32 zeros on, no bits follow.
        if zeros < 32 { self.skip(zeros) } else { Some(()) }
    }
}
