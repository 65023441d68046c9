//! Where the slice data of H.264 begins (Rec. ITU-T H.264 §7.3.2.1, §7.3.2.2, §7.3.3).

use std::collections::BTreeMap;

use mp4_atom::Avcc;

use super::bits::Bits;

/// What slice headers cannot be read without.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    sequences: BTreeMap<u32, Sequence>,
    pictures: BTreeMap<u32, Picture>,
}

#[derive(Debug, Clone)]
struct Sequence {
    separate_planes: bool,
    has_chroma: bool,
    frame_number_bits: u32,
    order: Order,
    frames_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Lsb { bits: u32 },
    Deltas { always_zero: bool },
    Output,
}

#[derive(Debug, Clone)]
struct Picture {
    sequence: u32,
    cabac: bool,
    order_of_bottom: bool,
    references: [u32; 2],
    weighted: bool,
    weighted_both: u32,
    deblocking: bool,
    redundant: bool,
}

impl Parameters {
    /// None where a parameter set is malformed, or uses what headers are not read of: slice groups.
    pub(super) fn read(avcc: &Avcc) -> Option<Self> {
        let mut all = Self::default();
        for unit in &avcc.sequence_parameter_sets {
            let (id, sequence) = Sequence::read(&mut Bits::new(unit.get(1..)?))?;
            all.sequences.insert(id, sequence);
        }
        for unit in &avcc.picture_parameter_sets {
            let (id, picture) = Picture::read(&mut Bits::new(unit.get(1..)?))?;
            all.pictures.insert(id, picture);
        }
        (!all.pictures.is_empty()).then_some(all)
    }

    /// Bytes of a NAL unit that stay clear; none where it has no slice data.
    pub(super) fn clear(&self, nal: &[u8]) -> Result<Option<usize>, super::Unreadable> {
        let header = *nal.first().ok_or(super::Unreadable)?;
        // Data partitions (2 to 4) are of the Extended profile, which no player plays.
        match header & 0x1f {
            1 | 5 => self.slice(header, nal).map(Some).ok_or(super::Unreadable),
            2..=4 => Err(super::Unreadable),
            _ => Ok(None),
        }
    }

    /// Bytes up to the first whole one of slice data.
    fn slice(&self, header: u8, nal: &[u8]) -> Option<usize> {
        let mut bits = Bits::new(nal.get(1..)?);
        let (is_idr, is_reference) = (header & 0x1f == 5, header >> 5 & 3 != 0);
        bits.ue()?;
        let kind = Kind::of(bits.ue()?)?;
        let picture = self.pictures.get(&bits.ue()?)?;
        let sequence = self.sequences.get(&picture.sequence)?;
        bits.skip(if sequence.separate_planes { 2 } else { 0 })?;
        bits.skip(sequence.frame_number_bits)?;
        let is_field = !sequence.frames_only && bits.flag()?;
        if is_field {
            bits.skip(1)?;
        }
        if is_idr {
            bits.ue()?;
        }
        let both = picture.order_of_bottom && !is_field;
        match sequence.order {
            Order::Lsb { bits: count } => {
                bits.skip(count)?;
                if both {
                    bits.se()?;
                }
            }
            Order::Deltas { always_zero: false } => {
                bits.se()?;
                if both {
                    bits.se()?;
                }
            }
            Order::Deltas { always_zero: true } | Order::Output => {}
        }
        if picture.redundant {
            bits.ue()?;
        }
        if kind == Kind::B {
            bits.skip(1)?;
        }
        let mut references = picture.references;
        if kind.predicts() && bits.flag()? {
            for count in references.iter_mut().take(kind.lists()) {
                *count = bits.count(31)? + 1;
            }
        }
        for _ in 0..kind.lists() {
            modification(&mut bits)?;
        }
        let weighted = match kind {
            Kind::P | Kind::Sp => picture.weighted,
            Kind::B => picture.weighted_both == 1,
            Kind::I | Kind::Si => false,
        };
        if weighted {
            let lists = references.iter().take(kind.lists());
            weights(&mut bits, sequence.has_chroma, lists.copied())?;
        }
        if is_reference {
            marking(&mut bits, is_idr)?;
        }
        if picture.cabac && kind.predicts() {
            bits.ue()?;
        }
        bits.se()?;
        if matches!(kind, Kind::Sp | Kind::Si) {
            bits.skip(u32::from(kind == Kind::Sp))?;
            bits.se()?;
        }
        if picture.deblocking && bits.ue()? != 1 {
            bits.se()?;
            bits.se()?;
        }
        Some(1 + bits.begun())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P,
    B,
    I,
    Sp,
    Si,
}

impl Kind {
    /// Table 7-6.
    fn of(number: u32) -> Option<Self> {
        [Self::P, Self::B, Self::I, Self::Sp, Self::Si]
            .get(usize::try_from(number % 5).ok()?)
            .copied()
            .filter(|_| number < 10)
    }

    fn predicts(self) -> bool {
        self.lists() > 0
    }

    /// Lists of reference pictures.
    fn lists(self) -> usize {
        match self {
            Self::I | Self::Si => 0,
            Self::P | Self::Sp => 1,
            Self::B => 2,
        }
    }
}

/// §7.3.3.1; a list has 32 entries, and each may be moved twice.
fn modification(bits: &mut Bits<'_>) -> Option<()> {
    if !bits.flag()? {
        return Some(());
    }
    for _ in 0..=66 {
        if bits.count(3)? == 3 {
            return Some(());
        }
        bits.ue()?;
    }
    None
}

/// §7.3.3.2.
fn weights(bits: &mut Bits<'_>, has_chroma: bool, lists: impl Iterator<Item = u32>) -> Option<()> {
    bits.ue()?;
    if has_chroma {
        bits.ue()?;
    }
    for count in lists {
        for _ in 0..count {
            if bits.flag()? {
                bits.se()?;
                bits.se()?;
            }
            if has_chroma && bits.flag()? {
                (0..4).try_for_each(|_| bits.se().map(drop))?;
            }
        }
    }
    Some(())
}

/// §7.3.3.3.
fn marking(bits: &mut Bits<'_>, is_idr: bool) -> Option<()> {
    if is_idr {
        return bits.skip(2);
    }
    if !bits.flag()? {
        return Some(());
    }
    for _ in 0..=66 {
        match bits.count(6)? {
            0 => return Some(()),
            3 => {
                bits.ue()?;
                bits.ue()?;
            }
            5 => {}
            _ => {
                bits.ue()?;
            }
        }
    }
    None
}

/// §7.3.2.1.1: profiles whose sequences say their format of chroma.
const HIGH: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

impl Sequence {
    fn read(bits: &mut Bits<'_>) -> Option<(u32, Self)> {
        let profile = bits.u(8)?;
        bits.skip(16)?;
        let id = bits.count(31)?;
        let (mut chroma, mut separate_planes) = (1, false);
        if HIGH.contains(&profile) {
            chroma = bits.count(3)?;
            separate_planes = chroma == 3 && bits.flag()?;
            bits.ue()?;
            bits.ue()?;
            bits.skip(1)?;
            if bits.flag()? {
                for list in 0..if chroma == 3 { 12 } else { 8 } {
                    if bits.flag()? {
                        scaling(bits, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let frame_number_bits = bits.count(12)? + 4;
        let order = match bits.count(2)? {
            0 => Order::Lsb {
                bits: bits.count(12)? + 4,
            },
            1 => {
                let always_zero = bits.flag()?;
                bits.se()?;
                bits.se()?;
                for _ in 0..bits.count(255)? {
                    bits.se()?;
                }
                Order::Deltas { always_zero }
            }
            _ => Order::Output,
        };
        bits.ue()?;
        bits.skip(1)?;
        bits.ue()?;
        bits.ue()?;
        let sequence = Self {
            separate_planes,
            has_chroma: chroma != 0 && !separate_planes,
            frame_number_bits,
            order,
            frames_only: bits.flag()?,
        };
        Some((id, sequence))
    }
}

/// §7.3.2.1.1.1.
fn scaling(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.checked_add(bits.se()?)?.checked_add(256)?.rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

impl Picture {
    fn read(bits: &mut Bits<'_>) -> Option<(u32, Self)> {
        let id = bits.count(255)?;
        let sequence = bits.count(31)?;
        let (cabac, order_of_bottom) = (bits.flag()?, bits.flag()?);
        // Slice groups are of the Baseline profile alone, and no encoder of live pictures makes them.
        bits.count(0)?;
        let references = [bits.count(31)? + 1, bits.count(31)? + 1];
        let (weighted, weighted_both) = (bits.flag()?, bits.u(2)?);
        bits.se()?;
        bits.se()?;
        bits.se()?;
        let deblocking = bits.flag()?;
        bits.skip(1)?;
        let picture = Self {
            sequence,
            cabac,
            order_of_bottom,
            references,
            weighted,
            weighted_both,
            deblocking,
            redundant: bits.flag()?,
        };
        Some((id, picture))
    }
}
