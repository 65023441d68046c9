//! Where the slice data of HEVC begins (Rec. ITU-T H.265 §7.3.2.2, §7.3.2.3, §7.3.6, §7.3.7).

use std::collections::BTreeMap;

use mp4_atom::Hvcc;

use super::bits::{Bits, bits_of};

const SPS: u8 = 33;
const PPS: u8 = 34;
/// Bytes of a NAL unit's header.
const HEADER: usize = 2;

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
    address_bits: u32,
    order_bits: u32,
    sets: Vec<Set>,
    /// Long-term pictures it names, and whether each is used by the current picture.
    long_term: Option<Vec<bool>>,
    sample_offset: bool,
    temporal_motion: bool,
}

#[derive(Debug, Clone)]
struct Picture {
    sequence: u32,
    dependent: bool,
    output: bool,
    extra_bits: u32,
    cabac: bool,
    references: [u32; 2],
    chroma_offsets: bool,
    weighted: bool,
    weighted_both: bool,
    entry_points: bool,
    across_slices: bool,
    deblocking_override: bool,
    deblocking_off: bool,
    modification: bool,
    extension: bool,
}

/// A set of short-term reference pictures: distance, and whether the current picture uses it.
#[derive(Debug, Clone, Default)]
struct Set {
    before: Vec<(i32, bool)>,
    after: Vec<(i32, bool)>,
}

impl Parameters {
    /// None where a parameter set is malformed, or uses what headers are not read of: range and later extensions.
    pub(super) fn read(hvcc: &Hvcc) -> Option<Self> {
        let mut all = Self::default();
        let units = |kind| {
            let arrays = hvcc
                .arrays
                .iter()
                .filter(move |array| array.nal_unit_type == kind);
            arrays.flat_map(|array| &array.nalus)
        };
        for unit in units(SPS) {
            let (id, sequence) = Sequence::read(&mut Bits::new(unit.get(HEADER..)?))?;
            all.sequences.insert(id, sequence);
        }
        for unit in units(PPS) {
            let (id, picture) = Picture::read(&mut Bits::new(unit.get(HEADER..)?))?;
            all.pictures.insert(id, picture);
        }
        (!all.pictures.is_empty()).then_some(all)
    }

    /// Bytes of a NAL unit that stay clear; none where it has no slice data.
    pub(super) fn clear(&self, nal: &[u8]) -> Result<Option<usize>, super::Unreadable> {
        let kind = nal.first().ok_or(super::Unreadable)? >> 1 & 0x3f;
        match kind {
            0..=9 | 16..=21 => self.slice(kind, nal).map(Some).ok_or(super::Unreadable),
            // Reserved types of slices.
            10..=15 | 22..=31 => Err(super::Unreadable),
            _ => Ok(None),
        }
    }

    fn slice(&self, kind: u8, nal: &[u8]) -> Option<usize> {
        let mut bits = Bits::new(nal.get(HEADER..)?);
        let is_first = bits.flag()?;
        if kind >= 16 {
            bits.skip(1)?;
        }
        let picture = self.pictures.get(&bits.ue()?)?;
        let sequence = self.sequences.get(&picture.sequence)?;
        let is_dependent = !is_first && picture.dependent && bits.flag()?;
        if !is_first {
            bits.skip(sequence.address_bits)?;
        }
        if !is_dependent {
            independent(&mut bits, kind, sequence, picture)?;
        }
        if picture.entry_points {
            let count = bits.count(65_535)?;
            if count > 0 {
                let size = bits.count(31)? + 1;
                (0..count).try_for_each(|_| bits.skip(size))?;
            }
        }
        if picture.extension {
            let bytes = bits.count(256)?;
            bits.skip(bytes * 8)?;
        }
        // byte_alignment() is a one and zeros: where the header ends with a byte, one more is its.
        bits.skip(1)?;
        Some(HEADER + bits.begun())
    }
}

const B: u32 = 0;
const I: u32 = 2;

/// §7.3.6.1, what dependent slice segments have of the one before.
fn independent(bits: &mut Bits<'_>, nal: u8, sequence: &Sequence, picture: &Picture) -> Option<()> {
    bits.skip(picture.extra_bits)?;
    let kind = bits.count(I)?;
    bits.skip(u32::from(picture.output))?;
    bits.skip(if sequence.separate_planes { 2 } else { 0 })?;
    let (mut current, mut temporal) = (0, false);
    if !(19..=20).contains(&nal) {
        bits.skip(sequence.order_bits)?;
        current = references(bits, sequence)?;
        temporal = sequence.temporal_motion && bits.flag()?;
    }
    let mut offset = false;
    if sequence.sample_offset {
        offset = bits.flag()?;
        offset |= sequence.has_chroma && bits.flag()?;
    }
    if kind != I {
        predicted(bits, kind, (current, temporal), sequence, picture)?;
    }
    bits.se()?;
    if picture.chroma_offsets {
        bits.se()?;
        bits.se()?;
    }
    let mut is_off = picture.deblocking_off;
    if picture.deblocking_override && bits.flag()? {
        is_off = bits.flag()?;
        if !is_off {
            bits.se()?;
            bits.se()?;
        }
    }
    if picture.across_slices && (offset || !is_off) {
        bits.skip(1)?;
    }
    Some(())
}

/// Reference pictures; returns NumPicTotalCurr.
fn references(bits: &mut Bits<'_>, sequence: &Sequence) -> Option<u32> {
    let sets = &sequence.sets;
    let count = u32::try_from(sets.len()).ok()?;
    let own;
    let set = if !bits.flag()? {
        own = Set::read(bits, sets, sets.len(), true)?;
        &own
    } else {
        let index = bits.u(bits_of(count))?;
        sets.get(usize::try_from(index).ok()?)?
    };
    let mut current = set
        .before
        .iter()
        .chain(&set.after)
        .filter(|(_, used)| *used)
        .count();
    if let Some(known) = &sequence.long_term {
        let of_known = u32::try_from(known.len()).ok()?;
        let named = if of_known > 0 { bits.count(32)? } else { 0 };
        let more = bits.count(32)?;
        for i in 0..named + more {
            let used = if i < named {
                let index = bits.u(bits_of(of_known))?;
                *known.get(usize::try_from(index).ok()?)?
            } else {
                bits.skip(sequence.order_bits)?;
                bits.flag()?
            };
            current += usize::from(used);
            if bits.flag()? {
                bits.ue()?;
            }
        }
    }
    u32::try_from(current).ok()
}

/// What P and B slices say besides.
fn predicted(
    bits: &mut Bits<'_>,
    kind: u32,
    (current, temporal): (u32, bool),
    sequence: &Sequence,
    picture: &Picture,
) -> Option<()> {
    let lists = if kind == B { 2 } else { 1 };
    let mut references = picture.references;
    if bits.flag()? {
        for count in references.iter_mut().take(lists) {
            *count = bits.count(15)? + 1;
        }
    }
    if picture.modification && current > 1 {
        for count in references.iter().take(lists) {
            if bits.flag()? {
                bits.skip(count * bits_of(current))?;
            }
        }
    }
    bits.skip(u32::from(kind == B))?;
    bits.skip(u32::from(picture.cabac))?;
    if temporal {
        let second = kind == B && !bits.flag()?;
        let [first, other] = references;
        if (if second { other } else { first }) > 1 {
            bits.ue()?;
        }
    }
    if if kind == B {
        picture.weighted_both
    } else {
        picture.weighted
    } {
        weights(bits, sequence.has_chroma, references.iter().take(lists).copied())?;
    }
    bits.ue().map(drop)
}

/// §7.3.6.3, of pictures of one layer.
fn weights(bits: &mut Bits<'_>, has_chroma: bool, lists: impl Iterator<Item = u32>) -> Option<()> {
    bits.ue()?;
    if has_chroma {
        bits.se()?;
    }
    for count in lists {
        let flags = |bits: &mut Bits<'_>| (0..count).map(|_| bits.flag()).collect::<Option<Vec<_>>>();
        let luma = flags(bits)?;
        let chroma = if has_chroma {
            flags(bits)?
        } else {
            vec![false; luma.len()]
        };
        for (luma, chroma) in luma.into_iter().zip(chroma) {
            let numbers = if luma { 2 } else { 0 } + if chroma { 4 } else { 0 };
            (0..numbers).try_for_each(|_| bits.se().map(drop))?;
        }
    }
    Some(())
}

impl Set {
    /// §7.3.7 and §7.4.8.
    fn read(bits: &mut Bits<'_>, known: &[Self], index: usize, in_slice: bool) -> Option<Self> {
        if index > 0 && bits.flag()? {
            let back = if in_slice { bits.ue()? + 1 } else { 1 };
            let from = known.get(index.checked_sub(usize::try_from(back).ok()?)?)?;
            return Self::predict(bits, from);
        }
        let (before, after) = (bits.count(16)?, bits.count(16)?);
        let mut side = |count: u32, sign: i32| {
            let mut distance = 0i32;
            let picture = |_| {
                let step = i32::try_from(bits.count(1 << 15)?).ok()? + 1;
                distance = distance.checked_add(step * sign)?;
                Some((distance, bits.flag()?))
            };
            (0..count).map(picture).collect::<Option<Vec<_>>>()
        };
        Some(Self {
            before: side(before, -1)?,
            after: side(after, 1)?,
        })
    }

    /// §7.4.8 (7-61) and (7-62).
    fn predict(bits: &mut Bits<'_>, from: &Self) -> Option<Self> {
        let is_negative = bits.flag()?;
        let delta = i32::try_from(bits.count(1 << 15)?).ok()? + 1;
        let delta = if is_negative { -delta } else { delta };
        let mut kept = |distance: i32| {
            let used = bits.flag()?;
            let keep = used || bits.flag()?;
            Some((distance.checked_add(delta)?, used, keep))
        };
        // The flags are of the pictures before, then after, then of the one predicted from itself.
        let mut of = |all: &[(i32, bool)]| all.iter().map(|(d, _)| kept(*d)).collect::<Option<Vec<_>>>();
        let (before, after) = (of(&from.before)?, of(&from.after)?);
        let own = of(&[(0, false)])?;
        let pick = |order: Vec<&(i32, bool, bool)>, sign: i32| {
            let picked = order
                .into_iter()
                .filter(|(d, _, keep)| *keep && d.signum() == sign);
            picked.map(|(d, used, _)| (*d, *used)).collect::<Vec<_>>()
        };
        let set = Self {
            before: pick(after.iter().rev().chain(&own).chain(&before).collect(), -1),
            after: pick(before.iter().rev().chain(&own).chain(&after).collect(), 1),
        };
        (set.before.len() + set.after.len() <= 16).then_some(set)
    }
}

impl Sequence {
    fn read(bits: &mut Bits<'_>) -> Option<(u32, Self)> {
        bits.skip(4)?;
        let layers = bits.u(3)?;
        bits.skip(1)?;
        levels(bits, layers)?;
        let id = bits.count(15)?;
        let chroma = bits.count(3)?;
        let separate_planes = chroma == 3 && bits.flag()?;
        let (width, height) = (bits.count(1 << 16)?, bits.count(1 << 16)?);
        if bits.flag()? {
            (0..4).try_for_each(|_| bits.ue().map(drop))?;
        }
        bits.ue()?;
        bits.ue()?;
        let order_bits = bits.count(12)? + 4;
        let said = if bits.flag()? { layers + 1 } else { 1 };
        (0..said * 3).try_for_each(|_| bits.ue().map(drop))?;
        let block = bits.count(3)? + 3 + bits.count(3)?;
        (0..4).try_for_each(|_| bits.ue().map(drop))?;
        if bits.flag()? && bits.flag()? {
            scaling(bits)?;
        }
        bits.skip(1)?;
        let sample_offset = bits.flag()?;
        if bits.flag()? {
            bits.skip(8)?;
            bits.ue()?;
            bits.ue()?;
            bits.skip(1)?;
        }
        let mut sets: Vec<Set> = Vec::new();
        for index in 0..usize::try_from(bits.count(64)?).ok()? {
            let set = Set::read(bits, &sets, index, false)?;
            sets.push(set);
        }
        let long_term = if bits.flag()? {
            let named = (0..bits.count(32)?).map(|_| {
                bits.skip(order_bits)?;
                bits.flag()
            });
            Some(named.collect::<Option<Vec<_>>>()?)
        } else {
            None
        };
        let blocks = |size: u32| size.div_ceil(1 << block);
        let sequence = Self {
            separate_planes,
            has_chroma: chroma != 0 && !separate_planes,
            address_bits: bits_of(blocks(width).checked_mul(blocks(height))?),
            order_bits,
            sets,
            long_term,
            sample_offset,
            temporal_motion: bits.flag()?,
        };
        Some((id, sequence))
    }
}

/// §7.3.3.
fn levels(bits: &mut Bits<'_>, layers: u32) -> Option<()> {
    bits.skip(96)?;
    let said = (0..layers).map(|_| Some((bits.flag()?, bits.flag()?)));
    let said = said.collect::<Option<Vec<_>>>()?;
    if layers > 0 {
        bits.skip(2 * 8u32.saturating_sub(layers))?;
    }
    for (profile, level) in said {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Some(())
}

/// §7.3.4.
fn scaling(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if bits.flag()? {
                bits.skip_signed((1u32 << (4 + (size << 1))).min(64) + u32::from(size > 1))?;
            } else {
                bits.ue()?;
            }
        }
    }
    Some(())
}

impl Bits<'_> {
    fn skip_signed(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.se().map(drop))
    }
}

impl Picture {
    fn read(bits: &mut Bits<'_>) -> Option<(u32, Self)> {
        let id = bits.count(63)?;
        let sequence = bits.count(15)?;
        let (dependent, output) = (bits.flag()?, bits.flag()?);
        let extra_bits = bits.u(3)?;
        bits.skip(1)?;
        let cabac = bits.flag()?;
        let references = [bits.count(14)? + 1, bits.count(14)? + 1];
        bits.se()?;
        bits.skip(2)?;
        if bits.flag()? {
            bits.ue()?;
        }
        bits.se()?;
        bits.se()?;
        let chroma_offsets = bits.flag()?;
        let (weighted, weighted_both) = (bits.flag()?, bits.flag()?);
        bits.skip(1)?;
        let (tiles, rows_in_step) = (bits.flag()?, bits.flag()?);
        if tiles {
            let (columns, rows) = (bits.count(1 << 10)?, bits.count(1 << 10)?);
            if !bits.flag()? {
                (0..columns + rows).try_for_each(|_| bits.ue().map(drop))?;
            }
            bits.skip(1)?;
        }
        let across_slices = bits.flag()?;
        let (mut deblocking_override, mut deblocking_off) = (false, false);
        if bits.flag()? {
            deblocking_override = bits.flag()?;
            deblocking_off = bits.flag()?;
            if !deblocking_off {
                bits.se()?;
                bits.se()?;
            }
        }
        if bits.flag()? {
            scaling(bits)?;
        }
        let modification = bits.flag()?;
        bits.ue()?;
        let extension = bits.flag()?;
        // Of these extensions some add to the slice header.
        if bits.flag()? {
            return None;
        }
        let picture = Self {
            sequence,
            dependent,
            output,
            extra_bits,
            cabac,
            references,
            chroma_offsets,
            weighted,
            weighted_both,
            entry_points: tiles || rows_in_step,
            across_slices,
            deblocking_override,
            deblocking_off,
            modification,
            extension,
        };
        Some((id, picture))
    }
}
