//! The stream's rungs, decided once: from the config, or from what the machine can carry.

use feed::message::{Codec, Track};
use hls::id::{StreamId, TrackId};
use hls::time::{Grid, GridError, Profile};

use crate::config::{self, Audio, Captions, Encoder, Ladder, Preset, Probe, Rung};
use crate::passage::Form;
use crate::shed;

/// Track id of the audio rendition where the config names none.
pub(crate) const AUDIO: &str = "audio";
/// Output sample rate, Hz.
pub(crate) const AUDIO_RATE: u32 = 48_000;
/// Output channels.
pub(crate) const CHANNELS: usize = 2;
/// x264's buffer: a segment exceeds its average by at most this much of it.
pub(crate) const VBV_MS: u64 = 600;

/// Everything the ladder's pipeline and the feed's shape are made from.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) grid: Grid,
    /// Largest first; the first one's size is the canvas.
    pub(crate) rungs: Vec<Rung>,
    /// Audio renditions, at least one.
    pub(crate) sounds: Vec<Audio>,
    /// What captions say of themselves; empty where there are none.
    pub(crate) captions: Vec<Captions>,
    pub(crate) default_preset: Preset,
    pub(crate) audio_bps: u64,
    /// Of rungs that do not name their own.
    pub(crate) encoder: Encoder,
    /// None where nothing is ever shed.
    pub(crate) shed: Option<shed::Rules>,
    /// Whether the machine is asked first.
    pub(crate) probe: Probe,
    /// Streams whose encoders may be passed through.
    passthrough: Vec<StreamId>,
}

impl Plan {
    /// `cores` decides the rungs where the config names none.
    pub(crate) fn new(ladder: &Ladder, profile: Profile, cores: usize) -> Result<Self, GridError> {
        let mut rungs = ladder.rungs.clone().unwrap_or_else(|| default_rungs(cores));
        rungs.sort_by_key(|rung| std::cmp::Reverse(u64::from(rung.width) * u64::from(rung.height)));
        let grid = Grid::of(profile, ladder.frame_rate.0, AUDIO_RATE)?;
        Ok(Self {
            grid,
            rungs,
            sounds: ladder.audio.clone().unwrap_or_else(default_sounds),
            captions: ladder.captions.clone().unwrap_or_default(),
            default_preset: if cores > 4 {
                Preset::Veryfast
            } else {
                Preset::Superfast
            },
            audio_bps: u64::from(ladder.audio_bitrate_kbps) * 1_000,
            encoder: ladder.encoder,
            shed: ladder.shed_rules(&grid),
            probe: ladder.probe,
            passthrough: ladder.passthrough.clone(),
        })
    }

    /// The feed's description of the captions.
    pub(crate) fn captions(&self) -> Vec<feed::message::Captions> {
        let said = |captions: &Captions| feed::message::Captions {
            channel: captions.channel.clone(),
            language: captions.language.clone(),
            title: captions.title.clone().filter(|title| !title.is_empty()),
        };
        self.captions.iter().map(said).collect()
    }

    /// Pixels of the picture the switcher hands on.
    pub(crate) fn canvas(&self) -> (u32, u32) {
        self.rungs
            .first()
            .map_or((640, 360), |rung| (rung.width, rung.height))
    }

    /// Whether any stream may be passed through.
    pub(crate) fn passes(&self) -> bool {
        !self.passthrough.is_empty()
    }

    /// What an encoder has to send to be passed through; none where the stream is always transcoded.
    pub(crate) fn form(&self, stream: &StreamId) -> Option<Form> {
        self.passthrough.contains(stream).then(|| Form {
            grid: self.grid,
            rungs: self.rungs.iter().map(|rung| (rung.width, rung.height)).collect(),
            sounds: self.sounds.len(),
            captioned: !self.captions.is_empty(),
        })
    }

    /// The same with the bit rates that were measured of an encoder, bits per second.
    pub(crate) fn with_bit_rates(mut self, measured: impl Fn(usize) -> Option<u64>) -> Self {
        for (index, rung) in self.rungs.iter_mut().enumerate() {
            let kbps = measured(index).and_then(|bps| u32::try_from(bps.div_ceil(1_000)).ok());
            rung.bitrate_kbps = kbps.unwrap_or(rung.bitrate_kbps).max(rung.bitrate_kbps);
        }
        self
    }

    /// Rungs in the order in which a machine that is too slow goes without them: those that only some players decode
    /// first, then from the largest down. The last one is never shed, and every player decodes it.
    pub(crate) fn shed_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rungs.len()).collect();
        order.sort_by_key(|index| self.is_h264(*index));
        order
    }

    /// Whether a track is a rung of H.264.
    pub(crate) fn is_h264(&self, index: usize) -> bool {
        let rung = self.rungs.get(index);
        rung.is_some_and(|rung| rung.codec == config::Codec::H264)
    }

    /// Tracks of the feed: the rungs, then the audio renditions.
    pub(crate) fn tracks(&self) -> usize {
        self.rungs.len() + self.sounds.len()
    }

    /// Id of a track.
    pub(crate) fn id(&self, index: usize) -> TrackId {
        let rung = self.rungs.get(index).map(|rung| &rung.name);
        let sound = || {
            let sound = self.sounds.get(index.checked_sub(self.rungs.len())?)?;
            Some(&sound.name)
        };
        rung.or_else(sound)
            .cloned()
            .expect("callers count up to `tracks`")
    }

    /// The feed's description of a track whose decoder configuration the encoder has just told.
    pub(crate) fn track(&self, index: usize, config: bytes::Bytes) -> Track {
        match self.rungs.get(index) {
            Some(rung) => {
                let average_bps = u64::from(rung.bitrate_kbps) * 1_000;
                let (width, height) = (rung.width, rung.height);
                let codec = match rung.codec {
                    config::Codec::H264 => Codec::H264 {
                        config,
                        width,
                        height,
                    },
                    config::Codec::Hevc => Codec::Hevc {
                        config,
                        width,
                        height,
                    },
                    config::Codec::Av1 => Codec::Av1 {
                        config,
                        width,
                        height,
                    },
                };
                let peak_bps = average_bps + self.vbv_bps(average_bps) + self.container_bps();
                Track {
                    id: self.id(index),
                    codec,
                    average_bps,
                    peak_bps,
                    language: None,
                    title: None,
                }
            }
            None => {
                let sound = self.sounds.get(index.saturating_sub(self.rungs.len()));
                let title = sound.and_then(|sound| sound.title.clone());
                Track {
                    id: self.id(index),
                    codec: Codec::Aac { config, channels: 2 },
                    average_bps: self.audio_bps,
                    // The AAC encoder holds its rate only on average; a quarter more covers its swings.
                    peak_bps: self.audio_bps * 5 / 4 + self.container_bps(),
                    language: sound.and_then(|sound| sound.language.clone()),
                    title: title.filter(|title| !title.is_empty()),
                }
            }
        }
    }

    /// A full buffer spent inside one segment, spread over that segment.
    fn vbv_bps(&self, average_bps: u64) -> u64 {
        let segment = self.grid.cell_duration() * self.grid.segment_parts();
        let ms = u64::try_from(segment.as_millis()).unwrap_or(u64::MAX).max(1);
        average_bps * VBV_MS / ms
    }

    /// Boxes of CMAF: about 200 bytes a part and 16 a sample, at up to 60 samples a second.
    fn container_bps(&self) -> u64 {
        let part_ms = u64::try_from(self.grid.cell_duration().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        200 * 8 * 1_000 / part_ms + 16 * 8 * 60
    }
}

fn default_sounds() -> Vec<Audio> {
    vec![Audio {
        name: TrackId::new(AUDIO).expect("`audio` follows the id grammar"),
        language: None,
        title: None,
    }]
}

fn default_rungs(cores: usize) -> Vec<Rung> {
    let rung = |name, width, height, bitrate_kbps| Rung {
        name: TrackId::new(name).expect("default names follow the id grammar"),
        width,
        height,
        bitrate_kbps,
        codec: config::Codec::H264,
        preset: None,
        encoder: None,
    };
    if cores <= 2 {
        vec![rung("360p", 640, 360, 800), rung("240p", 426, 240, 350)]
    } else {
        vec![
            rung("720p", 1280, 720, 3_000),
            rung("480p", 854, 480, 1_400),
            rung("360p", 640, 360, 800),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_get_two_small_rungs() {
        let names = |cores| {
            let plan = Plan::new(&Ladder::default(), Profile::Low, cores).unwrap();
            plan.rungs
                .iter()
                .map(|r| r.name.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(2), ["360p", "240p"]);
        assert_eq!(names(8), ["720p", "480p", "360p"]);
    }

    #[test]
    fn the_smallest_rung_that_every_player_decodes_stays() {
        use config::Codec::{Av1, H264, Hevc};
        let rung = |(at, codec): (usize, config::Codec)| Rung {
            name: TrackId::new(&format!("r{at}")).unwrap(),
            width: 1_280 - 64 * u32::try_from(at).unwrap(),
            codec,
            ..default_rungs(8).remove(0)
        };
        for (codecs, order) in [
            (&[H264, H264, H264][..], &[0, 1, 2][..]),
            (&[Av1, H264, Hevc, H264, Av1], &[0, 2, 4, 1, 3]),
            (&[H264, Av1], &[1, 0]),
        ] {
            let rungs = codecs.iter().copied().enumerate().map(rung).collect();
            let ladder = Ladder {
                rungs: Some(rungs),
                ..Ladder::default()
            };
            let plan = Plan::new(&ladder, Profile::Low, 2).unwrap();
            assert_eq!(plan.shed_order(), order, "{codecs:?}");
        }
    }

    #[test]
    fn the_peak_holds_a_full_encoder_buffer() {
        let plan = Plan::new(&Ladder::default(), Profile::Low, 2).unwrap();
        let track = plan.track(0, bytes::Bytes::new());
        assert_eq!(track.average_bps, 800_000);
        assert!(track.peak_bps > 800_000 * 26 / 20 && track.peak_bps < 800_000 * 28 / 20);
        assert!(!plan.track(2, bytes::Bytes::new()).is_video());
    }

    #[test]
    fn a_rendition_says_what_the_config_says_of_it() {
        let sound = |name, language: Option<&str>, title: Option<&str>| Audio {
            name: TrackId::new(name).unwrap(),
            language: language.map(str::to_owned),
            title: title.map(str::to_owned),
        };
        let ladder = Ladder {
            audio: Some(vec![
                sound("audio", Some("en"), Some("")),
                sound("comments", None, Some("Comments")),
            ]),
            ..Ladder::default()
        };
        let plan = Plan::new(&ladder, Profile::Low, 2).unwrap();
        let said = |index| {
            let track = plan.track(index, bytes::Bytes::new());
            (track.id.to_string(), track.language, track.title)
        };
        assert_eq!(said(0), ("360p".to_owned(), None, None));
        assert_eq!(said(2), ("audio".to_owned(), Some("en".to_owned()), None));
        assert_eq!(
            said(3),
            ("comments".to_owned(), None, Some("Comments".to_owned()))
        );
    }
}
