//! What an RTMP session tells, in the words of every protocol.

use std::collections::BTreeMap;

use ::rtmp::Event;
use ::rtmp::codec;
use bytes::{BufMut, Bytes, BytesMut};

use crate::cues;
use crate::media::{AudioCodec, Framing, Media, Stamp, VideoCodec, VideoFormat};

/// A cue's own time further from its message is on another clock.
const CUE_NEAR_MS: u32 = 60_000;

/// Remembers which tracks were described: VP9 and Opus come without a configuration.
#[derive(Debug, Default)]
pub(super) struct Units {
    video: BTreeMap<u8, VideoFormat>,
    audio: BTreeMap<u8, AudioCodec>,
}

impl Units {
    /// One event that carries media; a track that was never described is described first.
    pub(super) fn take(&mut self, event: Event) -> impl Iterator<Item = Media> {
        let (described, media) = match event {
            Event::VideoConfig {
                track, codec, config, ..
            } => (None, Some(self.video_config(track, video_format(codec), config))),
            Event::Video {
                track,
                timestamp_ms,
                nanos,
                composition_ms,
                codec,
                key,
                data,
            } => {
                let format = video_format(codec);
                let bare = codec == codec::VideoCodec::Vp9 && self.video.get(&track) != Some(&format);
                let described = bare.then(|| self.video_config(track, format, Bytes::new()));
                let media = Media::Video {
                    track,
                    dts: stamp(timestamp_ms, nanos),
                    composition_ns: i64::from(composition_ms) * 1_000_000,
                    key,
                    data,
                };
                (described, Some(media))
            }
            Event::AudioConfig {
                track, codec, config, ..
            } => (None, Some(self.audio_config(track, audio_codec(codec), config))),
            Event::Audio {
                track,
                timestamp_ms,
                nanos,
                codec,
                data,
            } => {
                let codec = audio_codec(codec);
                let bare = codec == AudioCodec::Opus && self.audio.get(&track) != Some(&codec);
                let described = bare.then(|| self.audio_config(track, codec, stereo_opus()));
                let pts = stamp(timestamp_ms, nanos);
                (described, Some(Media::Audio { track, pts, data }))
            }
            Event::Cue { timestamp_ms, cue } => {
                let at = Some(stamp(cue_ms(timestamp_ms, cue.time_s), 0));
                let said = cues::of_message(&cue);
                (None, Some(Media::Cue { at, said }))
            }
            Event::Publish { .. } | Event::Metadata(_) | Event::Unsupported { .. } | Event::Unpublish => {
                (None, None)
            }
        };
        described.into_iter().chain(media)
    }

    fn video_config(&mut self, track: u8, format: VideoFormat, config: Bytes) -> Media {
        self.video.insert(track, format);
        Media::VideoConfig {
            track,
            format,
            config,
        }
    }

    fn audio_config(&mut self, track: u8, codec: AudioCodec, config: Bytes) -> Media {
        self.audio.insert(track, codec);
        Media::AudioConfig { track, codec, config }
    }
}

/// When a cue applies: at its own time, where that can be on the clock of its message, else with its message.
fn cue_ms(timestamp_ms: u32, time_s: Option<f64>) -> u32 {
    let own = time_s.map(|time_s| time_s * 1_000.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range by the filter"
    )]
    let own = own
        .filter(|ms| (0.0..f64::from(u32::MAX)).contains(ms))
        .map(|ms| ms.round() as u32);
    let near = |ms: &u32| ms.abs_diff(timestamp_ms) <= CUE_NEAR_MS;
    own.filter(near).unwrap_or(timestamp_ms)
}

fn stamp(timestamp_ms: u32, nanos: u32) -> Stamp {
    Stamp {
        ticks: timestamp_ms.into(),
        nanos,
    }
}

fn video_format(codec: codec::VideoCodec) -> VideoFormat {
    let codec = match codec {
        codec::VideoCodec::H264 => VideoCodec::H264,
        codec::VideoCodec::Hevc => VideoCodec::Hevc,
        codec::VideoCodec::Av1 => VideoCodec::Av1,
        codec::VideoCodec::Vp9 => VideoCodec::Vp9,
    };
    let framing = Framing::Record;
    VideoFormat { codec, framing }
}

fn audio_codec(codec: codec::AudioCodec) -> AudioCodec {
    match codec {
        codec::AudioCodec::Aac => AudioCodec::Aac,
        codec::AudioCodec::Opus => AudioCodec::Opus,
    }
}

/// RFC 7845 §5.1, for packets that come without it: two channels, 3840 samples of pre-skip at most, no gain.
fn stereo_opus() -> Bytes {
    let mut head = BytesMut::from(&b"OpusHead"[..]);
    head.put_slice(&[1, 2]);
    head.put_u16_le(0);
    head.put_u32_le(48_000);
    head.put_slice(&[0, 0, 0]);
    head.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_without_a_configuration_are_described_once() {
        let mut units = Units::default();
        let frame = |codec, track| Event::Video {
            track,
            timestamp_ms: 5,
            nanos: 7,
            composition_ms: -2,
            codec,
            key: true,
            data: Bytes::from_static(b"x"),
        };
        let taken: Vec<Media> = units.take(frame(codec::VideoCodec::Vp9, 0)).collect();
        let [
            Media::VideoConfig { .. },
            Media::Video {
                dts, composition_ns, ..
            },
        ] = taken.as_slice()
        else {
            panic!("{taken:?}");
        };
        assert_eq!((dts.ticks, dts.nanos, *composition_ns), (5, 7, -2_000_000));
        assert_eq!(units.take(frame(codec::VideoCodec::Vp9, 0)).count(), 1);
        assert_eq!(units.take(frame(codec::VideoCodec::Vp9, 1)).count(), 2);
        assert_eq!(units.take(frame(codec::VideoCodec::H264, 2)).count(), 1);
        let sound = Event::Audio {
            track: 0,
            timestamp_ms: 0,
            nanos: 0,
            codec: codec::AudioCodec::Opus,
            data: Bytes::from_static(b"x"),
        };
        assert_eq!(units.take(sound.clone()).count(), 2);
        assert_eq!(units.take(sound).count(), 1);
        assert_eq!(stereo_opus().len(), 19);
    }
}
