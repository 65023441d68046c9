//! `onMetaData`: what the encoder says about itself.

use crate::amf::Value;
use crate::codec::printable;
use crate::data::text;

/// Longest encoder name and track title kept, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// rfc5646 §4.4.1: longest language tag kept, in bytes.
const LANGUAGE_BYTES_MAX: usize = 35;
/// Most further tracks described for each medium.
pub const TRACKS_MAX: usize = 32;

/// flv §E.5, as far as the encoder filled it in. Informative: decoders go by the codec configurations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub framerate: Option<f64>,
    /// Kilobits per second.
    pub video_kbps: Option<f64>,
    /// Kilobits per second.
    pub audio_kbps: Option<f64>,
    /// Samples per second.
    pub audio_sample_rate: Option<f64>,
    /// Number of channels, where the encoder counts them.
    pub audio_channels: Option<u8>,
    /// Two channels rather than one.
    pub stereo: Option<bool>,
    /// Name and version of the encoder, at most 128 bytes.
    pub encoder: Option<String>,
    /// Tracks beside track 0, by their ids; at most [`TRACKS_MAX`].
    pub video_tracks: Vec<Track>,
    /// Tracks beside track 0, by their ids; at most [`TRACKS_MAX`].
    pub audio_tracks: Vec<Track>,
}

/// ertmp, `videoTrackIdInfoMap` and `audioTrackIdInfoMap`: what distinguishes one track from track 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// Id, as in the events of its media.
    pub track: u8,
    /// FourCC, printable.
    pub codec: Option<String>,
    /// Kilobits per second.
    pub kbps: Option<f64>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub framerate: Option<f64>,
    /// Number of channels.
    pub channels: Option<u8>,
    /// Samples per second.
    pub sample_rate: Option<f64>,
    /// Language tag, at most 35 bytes.
    pub language: Option<String>,
    /// What to call it, at most 128 bytes.
    pub title: Option<String>,
}

impl Metadata {
    pub(crate) fn from_properties(properties: &Value) -> Self {
        Self {
            width: number(properties, &["width"]).and_then(pixels),
            height: number(properties, &["height"]).and_then(pixels),
            framerate: number(properties, &["framerate"]),
            video_kbps: number(properties, &["videodatarate"]),
            audio_kbps: number(properties, &["audiodatarate"]),
            audio_sample_rate: number(properties, &["audiosamplerate"]),
            audio_channels: number(properties, &["audiochannels"]).and_then(channels),
            stereo: properties.get("stereo").and_then(Value::as_boolean),
            encoder: properties.get("encoder").and_then(Value::as_str).map(|encoder| {
                let (encoder, _) = encoder.split_at(encoder.floor_char_boundary(NAME_BYTES_MAX));
                encoder.to_owned()
            }),
            video_tracks: tracks(properties.get("videoTrackIdInfoMap")),
            audio_tracks: tracks(properties.get("audioTrackIdInfoMap")),
        }
    }

    /// Bytes of text and tracks held.
    pub(crate) fn bytes(&self) -> usize {
        let tracks = self.video_tracks.iter().chain(&self.audio_tracks);
        let tracks = tracks.map(|track| {
            let texts = [&track.codec, &track.language, &track.title];
            size_of::<Track>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
        });
        self.encoder.as_ref().map_or(0, String::len) + tracks.sum::<usize>()
    }
}

/// Tracks whose key is no id are left out.
fn tracks(map: Option<&Value>) -> Vec<Track> {
    let mut tracks: Vec<_> = map
        .map_or(&[][..], Value::properties)
        .iter()
        .filter_map(|(id, properties)| Some(Track::from_properties(id.parse().ok()?, properties)))
        .take(TRACKS_MAX)
        .collect();
    tracks.sort_by_key(|track| track.track);
    tracks
}

impl Track {
    fn from_properties(track: u8, properties: &Value) -> Self {
        let named = |names: [&str; 2], bytes_max| {
            names
                .into_iter()
                .find_map(|name| text(properties, name, bytes_max))
        };
        Self {
            track,
            codec: properties
                .get("videocodecid")
                .or_else(|| properties.get("audiocodecid"))
                .and_then(fourcc),
            kbps: number(properties, &["videodatarate", "audiodatarate"]),
            width: number(properties, &["width"]).and_then(pixels),
            height: number(properties, &["height"]).and_then(pixels),
            framerate: number(properties, &["framerate"]),
            channels: number(properties, &["channels", "audiochannels"]).and_then(channels),
            sample_rate: number(properties, &["samplerate", "audiosamplerate"]),
            language: named(["language", "lang"], LANGUAGE_BYTES_MAX),
            title: named(["title", "name"], NAME_BYTES_MAX),
        }
    }
}

/// A positive number, under the first of `names` that has one.
fn number(properties: &Value, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| {
        let number = properties.get(name).and_then(Value::as_number);
        number.filter(|number| number.is_finite() && *number > 0.0)
    })
}

fn pixels(number: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked first"
    )]
    (1.0..=65_536.0).contains(&number).then_some(number as u32)
}

fn channels(number: f64) -> Option<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked first"
    )]
    (1.0..=255.0).contains(&number).then_some(number as u8)
}

/// ertmp: a FourCC is a big-endian number; old ids stay below 16.
fn fourcc(value: &Value) -> Option<String> {
    let number = value.as_number()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked first"
    )]
    (16.0..=f64::from(u32::MAX))
        .contains(&number)
        .then(|| printable((number as u32).to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_usable() {
        let properties = Value::EcmaArray(vec![
            ("duration".into(), Value::Number(0.0)),
            ("width".into(), Value::Number(1280.0)),
            ("height".into(), Value::Number(-720.0)),
            ("framerate".into(), Value::Number(f64::NAN)),
            ("videodatarate".into(), Value::Number(2500.0)),
            ("audiochannels".into(), Value::Number(6.0)),
            ("stereo".into(), Value::Boolean(true)),
            ("encoder".into(), Value::String("obs".repeat(100))),
        ]);
        let expected = Metadata {
            width: Some(1280),
            video_kbps: Some(2500.0),
            audio_channels: Some(6),
            stereo: Some(true),
            encoder: Some("obs".repeat(100)[..128].to_owned()),
            ..Metadata::default()
        };
        assert_eq!(Metadata::from_properties(&properties), expected);
        assert_eq!(expected.bytes(), 128);
        assert_eq!(Metadata::from_properties(&Value::Null), Metadata::default());
    }

    #[test]
    fn tracks_are_read_by_their_ids() {
        let video = Value::object([
            ("width", Value::Number(1024.0)),
            ("height", Value::Number(768.0)),
            ("videodatarate", Value::Number(2000.0)),
            ("videocodecid", Value::Number(1_635_135_537.0)),
        ]);
        let audio = Value::EcmaArray(vec![
            ("audiodatarate".into(), Value::Number(256.0)),
            ("channels".into(), Value::Number(2.0)),
            ("samplerate".into(), Value::Number(44_100.0)),
            ("audiocodecid".into(), Value::Number(10.0)),
            ("language".into(), Value::string("de-AT")),
            ("title".into(), Value::string("Kommentar")),
        ]);
        let map = |entries: &[(&str, &Value)]| {
            Value::object([0, 1].map(|at| (entries[at].0, entries[at].1.clone())))
        };
        let properties = Value::object([
            ("videoTrackIdInfoMap", map(&[("2", &video), ("256", &video)])),
            ("audioTrackIdInfoMap", map(&[("7", &Value::Null), ("1", &audio)])),
        ]);
        let metadata = Metadata::from_properties(&properties);
        let expected = Track {
            track: 2,
            codec: Some("av01".into()),
            kbps: Some(2000.0),
            width: Some(1024),
            height: Some(768),
            ..Track::default()
        };
        assert_eq!(metadata.video_tracks, [expected]);
        let expected = Track {
            track: 1,
            kbps: Some(256.0),
            channels: Some(2),
            sample_rate: Some(44_100.0),
            language: Some("de-AT".into()),
            title: Some("Kommentar".into()),
            ..Track::default()
        };
        let empty = Track {
            track: 7,
            ..Track::default()
        };
        assert_eq!(metadata.audio_tracks, [expected, empty]);
    }

    #[test]
    fn tracks_and_their_texts_are_bounded() {
        let long = Value::object([
            ("title", Value::String("x".repeat(129))),
            ("language", Value::string("x-0123456789-0123456789-0123456789-0")),
        ]);
        let entries = (0..256).map(|id| (id.to_string(), long.clone())).collect();
        let metadata =
            Metadata::from_properties(&Value::object([("audioTrackIdInfoMap", Value::Object(entries))]));
        assert_eq!(metadata.audio_tracks.len(), TRACKS_MAX);
        let empty = Track::default();
        assert_eq!(metadata.audio_tracks.first(), Some(&empty));
    }
}
