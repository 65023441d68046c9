//! What a transport stream tells, in the words of every protocol.

use std::net::SocketAddr;

use ::ts::{Codec, Demux, Event, Medium, Track};

use crate::cues;
use crate::door::Seat;
use crate::media::{AudioCodec, Framing, Media, Stamp, VideoCodec, VideoFormat};

/// Remembers the programme, so that a loss is known to be the picture's.
#[derive(Debug, Default)]
pub(super) struct Units {
    pictures: Vec<u16>,
}

impl Units {
    /// Hands on all that the machine has ready.
    pub(super) async fn give_all(&mut self, demux: &mut Demux, seat: &mut Seat, peer: SocketAddr) {
        while let Some(event) = demux.poll() {
            match event {
                Event::Tracks(tracks) => self.tracks(&tracks, peer),
                Event::Cue {
                    pts, splice, section, ..
                } => {
                    tracing::debug!(%peer, ?splice, "cue");
                    let (at, said) = (pts.map(stamp), cues::of_splice(&splice, &section));
                    seat.give(Media::Cue { at, said }).await;
                }
                event @ (Event::VideoConfig { .. }
                | Event::Video { .. }
                | Event::AudioConfig { .. }
                | Event::Audio { .. }
                | Event::Discontinuity { .. }) => {
                    if let Some(media) = self.media(event) {
                        seat.give(media).await;
                    }
                }
            }
        }
    }

    fn tracks(&mut self, tracks: &[Track], peer: SocketAddr) {
        tracing::info!(%peer, ?tracks, "encoder");
        for track in tracks {
            if let Codec::Unsupported(what) = track.codec {
                tracing::warn!(%peer, what, pid = track.pid, "passed over");
            }
        }
        let pictures = tracks.iter().filter(|track| track.medium == Medium::Video);
        self.pictures = pictures.map(|track| track.pid).collect();
    }

    fn media(&self, event: Event) -> Option<Media> {
        match event {
            Event::VideoConfig { track, codec, config } => Some(Media::VideoConfig {
                track,
                format: video_format(codec),
                config,
            }),
            Event::Video {
                track,
                pts,
                dts,
                key,
                data,
                ..
            } => Some(Media::Video {
                track,
                dts: stamp(dts),
                composition_ns: composition_ns(pts, dts),
                key,
                data,
            }),
            Event::AudioConfig { track, codec, config } => {
                let codec = match codec {
                    ::ts::AudioCodec::Aac => AudioCodec::Aac,
                    ::ts::AudioCodec::Opus => AudioCodec::Opus,
                };
                Some(Media::AudioConfig { track, codec, config })
            }
            Event::Audio { track, pts, data, .. } => {
                let pts = stamp(pts);
                Some(Media::Audio { track, pts, data })
            }
            Event::Discontinuity { pid } => self.pictures.contains(&pid).then_some(Media::Lost),
            Event::Tracks(_) | Event::Cue { .. } => None,
        }
    }
}

fn stamp(ticks: u64) -> Stamp {
    Stamp { ticks, nanos: 0 }
}

/// Both wrap at 33 bits, each for itself.
fn composition_ns(pts: u64, dts: u64) -> i64 {
    let step = pts.wrapping_sub(dts) << 31;
    (step.cast_signed() >> 31) * 100_000 / 9
}

fn video_format(codec: ::ts::VideoCodec) -> VideoFormat {
    let codec = match codec {
        ::ts::VideoCodec::H264 => VideoCodec::H264,
        ::ts::VideoCodec::Hevc => VideoCodec::Hevc,
    };
    let framing = Framing::StartCodes;
    VideoFormat { codec, framing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composition_goes_over_the_wrap() {
        assert_eq!(composition_ns(9_000, 0), 100_000_000);
        assert_eq!(composition_ns(10, (1 << 33) - 8_990), 100_000_000);
        assert_eq!(composition_ns((1 << 33) - 9, 0), -100_000);
    }
}
