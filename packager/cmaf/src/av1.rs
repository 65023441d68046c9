//! AV1: what a sequence header says (AV1 §5.5), the configuration record made from it, and samples of `av01`.

mod obu;
mod sequence;

use bytes::{BufMut as _, Bytes, BytesMut};
use mp4_atom::{Atom as _, Av1c};

use crate::Error;
use obu::{Kind, Obus};
use sequence::{Colour, Sequence};

/// A temporal unit as a sample of type `av01` (AV1-ISOBMFF §2.4): without temporal delimiters, padding and tile lists,
/// which it should not or must not have. Sequence headers stay, since a sync sample needs its own.
pub fn av01(unit: Bytes) -> Bytes {
    let (mut obus, mut kept) = (Obus::new(&unit), BytesMut::with_capacity(unit.len()));
    for obu in obus.by_ref() {
        if !matches!(obu.kind, Kind::TemporalDelimiter | Kind::TileList | Kind::Padding) {
            kept.put_slice(obu.bytes);
        }
    }
    // What cannot be walked is handed on as it came.
    if obus.is_torn() { unit } else { kept.freeze() }
}

/// The AV1CodecConfigurationRecord (AV1-ISOBMFF §2.3) of a temporal unit with a sequence header; none of any other.
pub fn configuration(unit: &[u8]) -> Option<Bytes> {
    let header = Obus::new(unit).find(|obu| obu.kind == Kind::SequenceHeader)?;
    let sequence = Sequence::read(header.payload)?;
    let mut body = Vec::with_capacity(4 + header.bytes.len());
    sequence
        .record(header.bytes.to_vec())
        .encode_body(&mut body)
        .ok()?;
    Some(body.into())
}

impl Sequence {
    /// What a record says by itself: nothing of colours.
    fn of(record: &Av1c) -> Self {
        let depth = match (record.high_bitdepth, record.twelve_bit) {
            (_, true) => 12,
            (true, false) => 10,
            (false, false) => 8,
        };
        Self {
            profile: record.seq_profile,
            level: record.seq_level_idx_0,
            high_tier: record.seq_tier_0,
            colour: Colour {
                depth,
                monochrome: record.monochrome,
                subsampling: (record.chroma_subsampling_x, record.chroma_subsampling_y),
                sample_position: record.chroma_sample_position,
                ..Colour::default()
            },
        }
    }

    fn record(&self, config_obus: Vec<u8>) -> Av1c {
        Av1c {
            seq_profile: self.profile,
            seq_level_idx_0: self.level,
            seq_tier_0: self.high_tier,
            high_bitdepth: self.colour.depth > 8,
            twelve_bit: self.colour.depth == 12,
            monochrome: self.colour.monochrome,
            chroma_subsampling_x: self.colour.subsampling.0,
            chroma_subsampling_y: self.colour.subsampling.1,
            chroma_sample_position: self.colour.sample_position,
            initial_presentation_delay: None,
            config_obus,
        }
    }
}

/// A configuration record read back.
pub(crate) struct Configuration(Sequence);

impl Configuration {
    pub(crate) fn read(mut config: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::Config("AV1");
        let av1c = Av1c::decode_body(&mut config).map_err(|_| malformed())?;
        // AV1-ISOBMFF §2.3.4: the sequence header may be in the samples alone; here, the record's fields are its own.
        if av1c.config_obus.is_empty() {
            return Ok(Self(Sequence::of(&av1c)));
        }
        let header = Obus::new(&av1c.config_obus).find(|obu| obu.kind == Kind::SequenceHeader);
        let sequence = header.and_then(|header| Sequence::read(header.payload));
        let sequence = sequence.ok_or_else(malformed)?;
        let mut told = sequence.record(av1c.config_obus.clone());
        told.initial_presentation_delay = av1c.initial_presentation_delay;
        (told == av1c).then_some(Self(sequence)).ok_or_else(malformed)
    }

    /// AV1-ISOBMFF §5. Fields from monochrome on are left out together where all have their defaults.
    pub(crate) fn name(&self) -> String {
        let Sequence {
            profile,
            level,
            high_tier,
            colour,
        } = &self.0;
        let tier = if *high_tier { 'H' } else { 'M' };
        let name = format!("av01.{profile}.{level:02}{tier}.{:02}", colour.depth);
        if *colour
            == (Colour {
                depth: colour.depth,
                ..Colour::default()
            })
        {
            return name;
        }
        let (x, y) = colour.subsampling;
        let position = if x && y { colour.sample_position } else { 0 };
        let (primaries, transfer, matrix) = colour.description;
        format!(
            "{name}.{}.{}{}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
            u8::from(colour.monochrome),
            u8::from(x),
            u8::from(y),
            u8::from(colour.full_range)
        )
    }
}

#[cfg(test)]
mod tests;
