//! What a splice_info_section says; scte35 §9.

use crate::TICKS_WRAP;
use crate::bits::Bits;

/// The table id of splice_info_section.
pub const TABLE: u8 = 0xFC;
/// Segmentation descriptors kept of one section; later ones are passed over.
pub const SEGMENTATIONS_MAX: usize = 16;

/// Why a section is not a splice_info_section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another table.
    #[error("table id is not 0xFC")]
    Table,
    /// A protocol of the future.
    #[error("protocol version is not 0")]
    Version,
    /// A field leads out of the section.
    #[error("section ends within a field")]
    Truncated,
}

/// A splice message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// What to do.
    pub command: Command,
    /// When: pts_time + pts_adjustment in 90 kHz ticks, 33 bits; none if immediate, unspecified or encrypted.
    pub pts: Option<u64>,
    /// What the segmentation descriptors say; empty if encrypted.
    pub segmentations: Vec<Segmentation>,
}

/// The command of a splice message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// splice_null: a sign of life.
    Null,
    /// splice_schedule, not taken apart.
    Schedule,
    /// splice_insert.
    Insert(Insert),
    /// time_signal: what happens is in the segmentation descriptors.
    TimeSignal,
    /// bandwidth_reservation.
    BandwidthReservation,
    /// private_command.
    Private,
    /// A type that the standard reserves.
    Reserved(u8),
    /// The message is encrypted.
    Encrypted,
}

/// splice_insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insert {
    /// splice_event_id.
    pub event_id: u32,
    /// Takes back the event of this id; the fields below then say nothing.
    pub cancel: bool,
    /// True to leave the network feed, false to return to it.
    pub out_of_network: bool,
    /// As soon as possible, without a time.
    pub immediate: bool,
    /// How long the break is, 90 kHz ticks.
    pub break_duration: Option<u64>,
    /// The break ends by itself after its duration.
    pub auto_return: bool,
}

/// segmentation_descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segmentation {
    /// segmentation_event_id.
    pub event_id: u32,
    /// Takes back the event of this id; the fields below then say nothing.
    pub cancel: bool,
    /// segmentation_type_id, scte35 table 23: 0x34 is a provider placement opportunity's start, 0x35 its end.
    pub type_id: u8,
    /// How long the segment is, 90 kHz ticks.
    pub duration: Option<u64>,
}

/// Reads a section whose CRC was checked.
pub fn parse(section: &[u8]) -> Result<Splice, Error> {
    if section.first() != Some(&TABLE) {
        return Err(Error::Table);
    }
    if section.get(3).is_some_and(|version| *version != 0) {
        return Err(Error::Version);
    }
    let (body, _crc) = section.split_last_chunk::<4>().ok_or(Error::Truncated)?;
    read(body).ok_or(Error::Truncated)
}

fn read(section: &[u8]) -> Option<Splice> {
    let (head, rest) = section.split_first_chunk::<14>()?;
    let mut bits = Bits::new(head);
    bits.skip(32)?;
    let encrypted = bits.flag()?;
    bits.skip(6)?;
    let adjustment = bits.read(33)?;
    bits.skip(20)?;
    let command_len = usize::try_from(bits.read(12)?).ok()?;
    let kind = u8::try_from(bits.read(8)?).ok()?;
    if encrypted {
        return Some(Splice {
            command: Command::Encrypted,
            pts: None,
            segmentations: Vec::new(),
        });
    }
    // 0xFFF: a length that old encoders did not fill in.
    let unsaid = command_len == 0xFFF;
    let mut command = Bits::new(if unsaid { rest } else { rest.get(..command_len)? });
    let (command, time, read_len) = read_command(kind, &mut command)?;
    let pts = time.map(|time| (time + adjustment) % TICKS_WRAP);
    let descriptors = match (unsaid, read_len) {
        (false, _) => rest.get(command_len..),
        (true, Some(len)) => rest.get(len..),
        (true, None) => None,
    };
    let segmentations = descriptors.map_or_else(|| Some(Vec::new()), read_descriptors)?;
    Some(Splice {
        command,
        pts,
        segmentations,
    })
}

/// The command, its time, and its length in bytes where its type tells it.
fn read_command(kind: u8, bits: &mut Bits<'_>) -> Option<(Command, Option<u64>, Option<usize>)> {
    let (command, time) = match kind {
        0x00 => (Command::Null, None),
        0x04 => return Some((Command::Schedule, None, None)),
        0x05 => {
            let (insert, time) = read_insert(bits)?;
            (Command::Insert(insert), time)
        }
        0x06 => (Command::TimeSignal, read_time(bits)?),
        0x07 => (Command::BandwidthReservation, None),
        0xFF => return Some((Command::Private, None, None)),
        other => return Some((Command::Reserved(other), None, None)),
    };
    Some((command, time, Some(bits.position().div_ceil(8))))
}

/// scte35 §9.7.3
fn read_insert(bits: &mut Bits<'_>) -> Option<(Insert, Option<u64>)> {
    let event_id = u32::try_from(bits.read(32)?).ok()?;
    let cancel = bits.flag()?;
    bits.skip(7)?;
    let mut insert = Insert {
        event_id,
        cancel,
        out_of_network: false,
        immediate: false,
        break_duration: None,
        auto_return: false,
    };
    if cancel {
        return Some((insert, None));
    }
    insert.out_of_network = bits.flag()?;
    let program = bits.flag()?;
    let has_duration = bits.flag()?;
    insert.immediate = bits.flag()?;
    bits.skip(4)?;
    let mut time = None;
    if program && !insert.immediate {
        time = read_time(bits)?;
    }
    if !program {
        for _ in 0..bits.read(8)? {
            bits.skip(8)?;
            if !insert.immediate {
                time = time.or(read_time(bits)?);
            }
        }
    }
    if has_duration {
        insert.auto_return = bits.flag()?;
        bits.skip(6)?;
        insert.break_duration = Some(bits.read(33)?);
    }
    bits.skip(32)?;
    Some((insert, time))
}

/// splice_time, scte35 §9.8.1: None outside where it is cut off, None inside where no time is given.
fn read_time(bits: &mut Bits<'_>) -> Option<Option<u64>> {
    if bits.flag()? {
        bits.skip(6)?;
        Some(Some(bits.read(33)?))
    } else {
        bits.skip(7)?;
        Some(None)
    }
}

/// scte35 §10
fn read_descriptors(bytes: &[u8]) -> Option<Vec<Segmentation>> {
    let (len, rest) = bytes.split_first_chunk()?;
    let mut rest = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
    let mut segmentations = Vec::new();
    while let Some(([tag, len], after)) = rest.split_first_chunk() {
        let (body, after) = after.split_at_checked(usize::from(*len))?;
        rest = after;
        let body = body.strip_prefix(b"CUEI").filter(|_| *tag == 2);
        if let Some(body) = body.filter(|_| segmentations.len() < SEGMENTATIONS_MAX) {
            segmentations.push(read_segmentation(&mut Bits::new(body))?);
        }
    }
    Some(segmentations)
}

/// scte35 §10.3.3
fn read_segmentation(bits: &mut Bits<'_>) -> Option<Segmentation> {
    let event_id = u32::try_from(bits.read(32)?).ok()?;
    let cancel = bits.flag()?;
    bits.skip(7)?;
    if cancel {
        return Some(Segmentation {
            event_id,
            cancel,
            type_id: 0,
            duration: None,
        });
    }
    let program = bits.flag()?;
    let has_duration = bits.flag()?;
    bits.skip(6)?;
    if !program {
        let components = usize::try_from(bits.read(8)?).ok()?;
        bits.skip(components * 48)?;
    }
    let duration = if has_duration { Some(bits.read(40)?) } else { None };
    bits.skip(8)?;
    let upid = usize::try_from(bits.read(8)?).ok()?;
    bits.skip(upid * 8)?;
    let type_id = u8::try_from(bits.read(8)?).ok()?;
    Some(Segmentation {
        event_id,
        cancel,
        type_id,
        duration,
    })
}

#[cfg(test)]
mod tests;
