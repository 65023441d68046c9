//! What an init segment says of its one track (ISO/IEC 14496-12 §8.2 to §8.8; sample entries ISO/IEC 14496-15 and -14).

use bytes::Bytes;

use super::Error;
use super::boxes::{Reader, children, find};
use super::fragment::Defaults;
use crate::Codec;

/// An init segment's track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    /// Its number, which fragments repeat.
    pub track: u32,
    /// Ticks in a second.
    pub timescale: u32,
    /// How it is coded; `hev1` is taken for `hvc1` if all parameter sets are in it.
    pub codec: Codec,
    /// Average bit rate, where it is said (`btrt` or `esds`); never 0.
    pub average_bps: Option<u32>,
    /// What is spoken, ISO 639-2; none where that is `und`.
    pub language: Option<String>,
    /// What the edit list adds to all times, ticks.
    pub(super) shift: i64,
    pub(super) defaults: Defaults,
}

impl Movie {
    /// From the body of a `moov`.
    pub(super) fn read(moov: &[u8]) -> Result<Self, Error> {
        let traks = children(moov, "moov").filter(|child| !matches!(child, Ok((kind, _)) if kind != b"trak"));
        let traks = traks.collect::<Result<Vec<_>, _>>()?;
        let [(_, trak)] = traks.as_slice() else {
            return Err(match traks.len() {
                0 => Error::Missing("trak"),
                more => Error::Tracks(more),
            });
        };
        let inside = |body, kind, within, name| find(body, kind, within)?.ok_or(Error::Missing(name));
        let tkhd = inside(trak, b"tkhd", "trak", "tkhd")?;
        let track = track_id(tkhd).ok_or(Error::Malformed("tkhd"))?;
        let mdia = inside(trak, b"mdia", "trak", "mdia")?;
        let mdhd = inside(mdia, b"mdhd", "mdia", "mdhd")?;
        let (timescale, language) = media_header(mdhd).ok_or(Error::Malformed("mdhd"))?;
        let minf = inside(mdia, b"minf", "mdia", "minf")?;
        let stbl = inside(minf, b"stbl", "minf", "stbl")?;
        let stsd = inside(stbl, b"stsd", "stbl", "stsd")?;
        let (codec, average_bps) = entry(stsd)?;
        let mvhd = inside(moov, b"mvhd", "moov", "mvhd")?;
        let movie_timescale = timescale_of(mvhd).ok_or(Error::Malformed("mvhd"))?;
        let edits = match find(trak, b"edts", "trak")? {
            Some(edts) => find(edts, b"elst", "edts")?,
            None => None,
        };
        let shift = match edits {
            Some(elst) => shift(elst, timescale, movie_timescale).ok_or(Error::Malformed("elst"))?,
            None => 0,
        };
        let mvex = inside(moov, b"mvex", "moov", "mvex")?;
        let trex = inside(mvex, b"trex", "mvex", "trex")?;
        Ok(Self {
            track,
            timescale,
            codec,
            average_bps: average_bps.filter(|bps| *bps > 0),
            language,
            shift,
            defaults: defaults(trex).ok_or(Error::Malformed("trex"))?,
        })
    }
}

fn track_id(tkhd: &[u8]) -> Option<u32> {
    let mut reader = Reader(tkhd);
    let (version, _) = reader.full()?;
    reader.skip(if version == 0 { 8 } else { 16 })?;
    reader.u32()
}

/// Of `mvhd` and `mdhd`, which begin alike.
fn timescale_of(header: &[u8]) -> Option<u32> {
    let mut reader = Reader(header);
    let (version, _) = reader.full()?;
    reader.skip(if version == 0 { 8 } else { 16 })?;
    reader.u32().filter(|scale| *scale > 0)
}

fn media_header(mdhd: &[u8]) -> Option<(u32, Option<String>)> {
    let timescale = timescale_of(mdhd)?;
    let mut reader = Reader(mdhd);
    let (version, _) = reader.full()?;
    reader.skip(if version == 0 { 16 } else { 28 })?;
    let packed = reader.u16()?;
    let letter = |shift: u16| {
        u8::try_from(packed >> shift & 0x1f)
            .unwrap_or(0)
            .saturating_add(0x60)
    };
    let letters = [10, 5, 0].map(letter);
    let language = std::str::from_utf8(&letters).ok().map(str::to_owned);
    let known = |text: &String| text != "und" && text.bytes().all(|byte| byte.is_ascii_lowercase());
    Some((timescale, language.filter(known)))
}

/// An empty edit first, if any, then where the media begins; further edits are of files that are over.
fn shift(elst: &[u8], timescale: u32, movie_timescale: u32) -> Option<i64> {
    let mut reader = Reader(elst);
    let (version, _) = reader.full()?;
    let count = reader.u32()?;
    let mut shift = 0_i64;
    for _ in 0..count.min(2) {
        let (duration, media) = match version {
            0 => (i64::from(reader.u32()?), i64::from(reader.i32()?)),
            _ => (reader.i64()?, reader.i64()?),
        };
        reader.skip(4)?;
        if media >= 0 {
            return shift
                .checked_sub(media)
                .filter(|shift| shift.unsigned_abs() < 1 << 61);
        }
        let ticks = i128::from(duration) * i128::from(timescale) / i128::from(movie_timescale);
        shift = i64::try_from(ticks)
            .ok()
            .filter(|ticks| (0..1 << 60).contains(ticks))?;
    }
    Some(shift)
}

fn defaults(trex: &[u8]) -> Option<Defaults> {
    let mut reader = Reader(trex);
    reader.full()?;
    reader.skip(8)?;
    Some(Defaults {
        duration: reader.u32()?,
        size: reader.u32()?,
        flags: reader.u32()?,
    })
}

/// Fixed fields of a picture's sample entry (ISO/IEC 14496-12 §12.1.3), after which its boxes begin.
const VISUAL_BYTES: usize = 78;
/// The same of sound (§12.2.3).
const AUDIO_BYTES: usize = 28;

fn entry(stsd: &[u8]) -> Result<(Codec, Option<u32>), Error> {
    let entries = stsd.get(8..).ok_or(Error::Malformed("stsd"))?;
    let mut entries = children(entries, "stsd");
    let (kind, body) = entries.next().ok_or(Error::Missing("sample entry"))??;
    if entries.next().is_some() {
        return Err(Error::Config("several sample entries in one track"));
    }
    match &kind {
        b"avc1" | b"hvc1" | b"hev1" | b"av01" => visual(kind, body),
        b"mp4a" | b"Opus" => audio(kind, body),
        b"avc3" => Err(Error::Config(
            "avc3 has its parameter sets in the stream: send avc1",
        )),
        b"encv" | b"enca" => Err(Error::Config("encrypted media cannot be packaged: send it clear")),
        other => Err(Error::Format(other.escape_ascii().to_string())),
    }
}

fn visual(kind: [u8; 4], body: &[u8]) -> Result<(Codec, Option<u32>), Error> {
    let malformed = || Error::Malformed("visual sample entry");
    let (fixed, boxes) = body.split_at_checked(VISUAL_BYTES).ok_or_else(malformed)?;
    let mut size = Reader(fixed.get(24..).ok_or_else(malformed)?);
    let (width, height) = size.u16().zip(size.u16()).ok_or_else(malformed)?;
    let config = |kind, name| match find(boxes, kind, "visual sample entry")? {
        Some(config) => Ok(Bytes::copy_from_slice(config)),
        None => Err(Error::Missing(name)),
    };
    // Access units are handed on as they are, so the prefix has to be what all of ours have.
    let four = |byte: Option<&u8>, what| match byte {
        Some(byte) if byte & 3 == 3 => Ok(()),
        Some(_) => Err(Error::Config("NAL units have to have lengths of 4 bytes")),
        None => Err(Error::Malformed(what)),
    };
    let codec = match &kind {
        b"avc1" => {
            let config = config(b"avcC", "avcC")?;
            four(config.get(4), "avcC")?;
            Codec::H264 {
                config,
                width,
                height,
            }
        }
        b"av01" => Codec::Av1 {
            config: config(b"av1C", "av1C")?,
            width,
            height,
        },
        _ => {
            let config = config(b"hvcC", "hvcC")?;
            four(config.get(21), "hvcC")?;
            Codec::Hevc {
                config,
                width,
                height,
            }
        }
    };
    Ok((codec, bit_rate(boxes, "visual sample entry")?))
}

/// ISO/IEC 14496-12 §8.5.2: `btrt`.
fn bit_rate(boxes: &[u8], name: &'static str) -> Result<Option<u32>, Error> {
    let Some(btrt) = find(boxes, b"btrt", name)? else {
        return Ok(None);
    };
    let mut reader = Reader(btrt);
    let rates = reader.u32().and_then(|_| reader.u32().zip(reader.u32()));
    let (max, average) = rates.ok_or(Error::Malformed("btrt"))?;
    Ok(Some(if average > 0 { average } else { max }))
}

fn audio(kind: [u8; 4], body: &[u8]) -> Result<(Codec, Option<u32>), Error> {
    let malformed = || Error::Malformed("audio sample entry");
    let (fixed, boxes) = body.split_at_checked(AUDIO_BYTES).ok_or_else(malformed)?;
    let mut said = Reader(fixed.get(16..).ok_or_else(malformed)?);
    let channels = said.u16().ok_or_else(malformed)?;
    let said_bps = bit_rate(boxes, "audio sample entry")?;
    if &kind == b"Opus" {
        let dops = find(boxes, b"dOps", "audio sample entry")?.ok_or(Error::Missing("dOps"))?;
        let codec = Codec::Opus {
            channels: dops.get(1).map_or(channels, |count| u16::from(*count)),
            config: Bytes::copy_from_slice(dops),
        };
        return Ok((codec, said_bps));
    }
    let esds = find(boxes, b"esds", "audio sample entry")?.ok_or(Error::Missing("esds"))?;
    let (config, bps) = descriptor(esds).ok_or(Error::Malformed("esds"))?;
    let (rate, channels) = specific(config, channels)?;
    let average = said_bps.filter(|bps| *bps > 0).or(Some(bps));
    let codec = Codec::Aac {
        config: Bytes::copy_from_slice(config),
        channels,
        rate,
        bit_rate: average.unwrap_or(0),
    };
    Ok((codec, average))
}

/// ISO/IEC 14496-1 §7.2.6.5: AudioSpecificConfig and average bit rate.
fn descriptor(esds: &[u8]) -> Option<(&[u8], u32)> {
    let mut reader = Reader(esds);
    reader.full()?;
    let mut es = Reader(tagged(&mut reader, 3)?);
    es.skip(2)?;
    let flags = es.u8()?;
    if flags & 0x80 != 0 {
        es.skip(2)?;
    }
    if flags & 0x40 != 0 {
        let length = es.u8()?;
        es.skip(usize::from(length))?;
    }
    if flags & 0x20 != 0 {
        es.skip(2)?;
    }
    let mut decoder = Reader(tagged(&mut es, 4)?);
    // MPEG-4 audio, or MPEG-2 AAC LC; streams of MP3 are `mp4a`, too.
    if ![0x40, 0x67].contains(&decoder.u8()?) {
        return None;
    }
    decoder.skip(8)?;
    let average = decoder.u32()?;
    Some((tagged(&mut decoder, 5)?, average))
}

fn tagged<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    if reader.u8()? != tag {
        return None;
    }
    let mut length = 0_usize;
    for _ in 0..4 {
        let byte = reader.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return reader.bytes(length);
        }
    }
    None
}

/// ISO/IEC 14496-3 §1.6.3.4: sampling frequencies by index.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];

/// Rate and channels of an AudioSpecificConfig of AAC-LC; those of others would not be cut as ours are.
fn specific(config: &[u8], said: u16) -> Result<(u32, u16), Error> {
    let [first, second, ..] = config else {
        return Err(Error::Malformed("AudioSpecificConfig"));
    };
    if first >> 3 != 2 {
        return Err(Error::Config(
            "only AAC-LC is carried: set -c:a aac -profile:a aac_low",
        ));
    }
    let index = usize::from((first & 7) << 1 | second >> 7);
    let rate = RATES.get(index).copied();
    let channels = match second >> 3 & 0xf {
        0 => said,
        7 => 8,
        count => u16::from(count),
    };
    Ok((rate.ok_or(Error::Malformed("AudioSpecificConfig"))?, channels))
}
