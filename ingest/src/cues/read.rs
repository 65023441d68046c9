//! SCTE-35 sections and data messages of RTMP as happenings.

use std::time::Duration;

use ::rtmp::cue::Cue as Said;
use ::ts::scte35::{self, Command, Insert, Segmentation, Splice};
use bytes::Bytes;
use feed::cue::{DURATION_MAX, SECTION_BYTES_MAX, is_value};
use hls::playlist::Value;

use super::{Happening, What};

/// Class of what comes without a section; a section is class enough.
const CLASS: &str = "com.ringside.cuepoint";
/// Longest key of an encoder's own words, bytes.
const KEY_BYTES_MAX: usize = 64;

/// What a section says; nothing where it only shows that somebody is there, or where it cannot be read.
pub(crate) fn of_splice(splice: &Splice, section: &Bytes) -> Vec<Happening> {
    let happenings = match &splice.command {
        Command::Insert(insert) => vec![of_insert(insert)],
        // rfc8216bis §4.4.5.1.1: different segmentations are different date ranges, each with the whole section.
        Command::TimeSignal if !splice.segmentations.is_empty() => {
            splice.segmentations.iter().map(of_segmentation).collect()
        }
        Command::TimeSignal => vec![happening("scte35-signal".to_owned(), What::Plain, None)],
        Command::Null
        | Command::Schedule
        | Command::BandwidthReservation
        | Command::Private
        | Command::Reserved(_)
        | Command::Encrypted => Vec::new(),
    };
    let section = if section.len() <= SECTION_BYTES_MAX {
        section.clone()
    } else {
        Bytes::new()
    };
    let whole = |happening| Happening {
        section: section.clone(),
        ..happening
    };
    happenings.into_iter().map(whole).collect()
}

/// What a data message says. Its section, where it has one, says it better.
pub(crate) fn of_message(said: &Said) -> Vec<Happening> {
    let section = said.scte35.as_deref().and_then(bytes_of).map(Bytes::from);
    if let Some(section) = section
        && let Ok(splice) = scte35::parse(&section)
    {
        return of_splice(&splice, &section);
    }
    let kind = said.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
    let what = match (said.start, kind.as_str()) {
        (Some(true), _) | (None, "spliceout") => What::Out { returns: false },
        (Some(false), _) | (None, "splicein") => What::In,
        (None, _) => What::Plain,
    };
    let named = said.id.as_deref().or(said.name.as_deref()).unwrap_or("cue");
    let duration = said.duration_s.and_then(|s| Duration::try_from_secs_f64(s).ok());
    let attributes = [
        ("MESSAGE", Some(said.message)),
        ("NAME", said.name.as_deref()),
        ("TYPE", said.kind.as_deref()),
        ("ID", said.id.as_deref()),
    ];
    let attributes = attributes.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| is_value(value))?;
        Some((format!("COM-RINGSIDE-{name}"), Value::Text(value.to_owned())))
    });
    vec![Happening {
        is_named: said.id.is_some(),
        class: Some(CLASS.to_owned()),
        attributes: attributes.collect(),
        ..happening(format!("amf-{}", plain(named)), what, duration)
    }]
}

fn happening(key: String, what: What, duration: Option<Duration>) -> Happening {
    Happening {
        key,
        is_named: true,
        what,
        duration: duration.filter(|duration| *duration <= DURATION_MAX),
        class: None,
        section: Bytes::new(),
        attributes: Vec::new(),
    }
}

fn of_insert(insert: &Insert) -> Happening {
    let what = match (insert.cancel, insert.out_of_network) {
        (true, _) => What::Cancel,
        (false, true) => What::Out {
            returns: insert.auto_return,
        },
        (false, false) => What::In,
    };
    let duration = insert.break_duration.map(of_ticks);
    happening(format!("scte35-{}", insert.event_id), what, duration)
}

/// scte35 table 23: types come in pairs of a start and an end; these are of times in which something else is shown.
fn of_segmentation(segmentation: &Segmentation) -> Happening {
    let what = match segmentation.type_id {
        _ if segmentation.cancel => What::Cancel,
        0x22 | 0x30 | 0x32 | 0x34 | 0x36 | 0x44 | 0x46 => What::Out { returns: false },
        0x23 | 0x31 | 0x33 | 0x35 | 0x37 | 0x45 | 0x47 => What::In,
        _ => What::Plain,
    };
    let event = segmentation.event_id;
    // A start and its end have one event; chapters and programmes say each for itself.
    let key = match what {
        What::Plain => format!("scte35-{event}-{}", segmentation.type_id),
        What::Out { .. } | What::In | What::Cancel => format!("scte35-{event}"),
    };
    happening(key, what, segmentation.duration.map(of_ticks))
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(100_000) / 9)
}

/// A key out of an encoder's own words.
fn plain(text: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || "._:-".contains(c) {
            c
        } else {
            '_'
        }
    };
    text.chars().map(fit).take(KEY_BYTES_MAX).collect()
}

/// Hexadecimal or base64 (rfc4648 §4), as it was told apart when the message was read.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    if text.starts_with('/') {
        return of_base64(text);
    }
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

fn of_base64(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xFF).ok()?);
        }
    }
    Some(out)
}
