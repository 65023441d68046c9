//! From a publisher's units to frames and samples: retimed, decoded, thrown away where nobody could show them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Contribution;
use crate::captions;
use crate::cues::Happening;
use crate::ladder::AUDIO_RATE;
use crate::media::{AudioCodec, Clock, Media, Stamp, VideoFormat};
use crate::metrics::Metrics;
use crate::pipeline::decode::{Branch, Coded, UNITS_MAX};
use crate::retime::{AAC_SAMPLES, Length, Retime, aac_rate};

/// Pictures that wait for their decoder when a key frame arrives are thrown away if they begin this long before it,
/// nanoseconds: after a stall none of them would be shown in time.
const BEHIND_MAX: i64 = 2_000_000_000;
/// A decoder that failed is made anew after this.
const REBUILD_AFTER: Duration = Duration::from_secs(1);

/// Feeds a publisher's units to its decoders, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Decoders {
    contribution: Arc<Contribution>,
    canvas: (u32, u32),
    /// Audio tracks of the stream; further ones of the publisher are passed over.
    sounds: u8,
    /// Whether the stream has captions.
    captioned: bool,
    retime: Retime,
    video: Track<VideoFormat>,
    audio: BTreeMap<u8, Track<AudioCodec>>,
    metrics: Metrics,
}

/// One track on its way into a decoder.
#[derive(Debug)]
struct Track<F> {
    format: Option<F>,
    config: Bytes,
    branch: Option<Branch>,
    /// When the last decoder was made.
    made: Option<Instant>,
    /// Units are passed over until the next key frame.
    lost: bool,
}

impl Decoders {
    /// For one publisher whose protocol has this clock.
    pub(crate) fn new(
        contribution: Arc<Contribution>,
        canvas: (u32, u32),
        sounds: u8,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self {
            contribution,
            canvas,
            sounds,
            captioned: false,
            retime: Retime::new(clock),
            video: Track::default(),
            audio: BTreeMap::new(),
            metrics,
        }
    }

    /// The same for a stream that may have captions.
    pub(crate) fn with_captions(self, captioned: bool) -> Self {
        Self { captioned, ..self }
    }

    /// Decodes until the publisher's end of the queue is gone.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<(Instant, Media)>) {
        while let Some((arrival, media)) = queue.blocking_recv() {
            self.handle(arrival, media);
        }
    }

    /// Takes what came at `arrival`.
    pub(crate) fn handle(&mut self, arrival: Instant, media: Media) {
        let since = arrival.saturating_duration_since(self.contribution.origin);
        let arrival = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        match media {
            Media::VideoConfig {
                track: 0,
                format,
                config,
            } => self.video_config(format, config),
            Media::Video {
                track: 0,
                dts,
                composition_ns,
                key,
                data,
            } => {
                let dts = self.retime.video(dts, arrival);
                let pts = dts + composition_ns;
                self.captions(pts, &data);
                self.video(key, Coded::new(pts, dts, data));
            }
            Media::AudioConfig { track, codec, config } if track < self.sounds => {
                self.audio_config(track, codec, config);
            }
            Media::Audio { track, pts, data } => self.sound(track, pts, arrival, data),
            Media::Cue { at, said } => self.cue(at, said),
            Media::Lost => self.video.lost = true,
            // Other pictures than the first, and sound the stream has no rendition for.
            Media::VideoConfig { .. } | Media::Video { .. } | Media::AudioConfig { .. } => {}
        }
        self.metrics.stamps_jumped.increment(self.retime.take_jumps());
    }

    fn captions(&self, pts: i64, unit: &[u8]) {
        let Some(format) = self.video.format.filter(|_| self.captioned) else {
            return;
        };
        let triples = captions::of_unit(format, unit);
        if !triples.is_empty() {
            self.contribution.take_captions(pts, triples);
        }
    }

    /// What comes before any media has no place in the programme.
    fn cue(&mut self, at: Option<Stamp>, said: Vec<Happening>) {
        match self.retime.cue(at) {
            Some(at) => self.contribution.take_cues(at, said),
            None => self.metrics.cues_lost.increment(said.len() as u64),
        }
    }

    fn video_config(&mut self, format: VideoFormat, config: Bytes) {
        let same_format = self.video.format == Some(format);
        if same_format && self.video.config == config {
            return;
        }
        match &self.video.branch {
            Some(branch) if same_format => branch.reconfigure(format, &config),
            // Another codec needs another decoder; what the old one still holds is of no use to it.
            Some(_) | None => self.video = Track::default(),
        }
        // A changed configuration means nothing to frames before its own key frame.
        self.video.lost = true;
        self.video.config = config;
        self.video.format = Some(format);
    }

    fn audio_config(&mut self, track: u8, codec: AudioCodec, config: Bytes) {
        let known = self.audio.get(&track);
        if known.is_some_and(|known| known.format == Some(codec) && known.config == config) {
            return;
        }
        // A decoder that is told of a new rate half way goes on at the old one without an error.
        let anew = Track {
            format: Some(codec),
            config,
            ..Track::default()
        };
        self.audio.insert(track, anew);
    }

    fn video(&mut self, key: bool, mut unit: Coded) {
        if key {
            self.skip_stale(unit.dts);
        }
        let (contribution, canvas) = (&self.contribution, self.canvas);
        if let Some(format) = self.video.to_be_made()
            && key
        {
            let take = contribution.clone();
            let branch = Branch::video(format, &self.video.config, canvas, move |pts, frame| {
                take.take_frame(pts, frame)
            });
            self.video.made(branch);
        }
        let Some(branch) = &mut self.video.branch else {
            return;
        };
        let depth = branch.depth();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.metrics.decode_queue.set(depth as f64);
        self.video.lost |= depth >= UNITS_MAX;
        if self.video.lost && (!key || depth > UNITS_MAX / 2) {
            self.metrics.units_dropped.increment(1);
            return;
        }
        unit.after_loss = std::mem::take(&mut self.video.lost);
        branch.push(unit);
    }

    /// The key frame at `dts` gets a new decoder if the one there is has too much before it.
    fn skip_stale(&mut self, dts: i64) {
        let stale = |branch: &mut Branch| branch.behind(dts) > BEHIND_MAX;
        if let Some(branch) = self.video.branch.take_if(stale) {
            self.metrics.units_dropped.increment(branch.depth());
            self.video.made = None;
        }
    }

    fn sound(&mut self, number: u8, pts: Stamp, arrival: i64, data: Bytes) {
        let Some(track) = self.audio.get_mut(&number) else {
            return;
        };
        let Some(length) = track.length(&data) else {
            self.metrics.units_dropped.increment(1);
            return;
        };
        let pts = self.retime.audio(number, pts, arrival, length);
        if let Some(codec) = track.to_be_made() {
            let take = self.contribution.clone();
            let branch = Branch::audio(codec, &track.config, move |pts, block| {
                take.take_sound(number.into(), pts, &block)
            });
            track.made(branch);
        }
        let Some(branch) = &mut track.branch else {
            return;
        };
        if branch.depth() >= UNITS_MAX {
            self.metrics.units_dropped.increment(1);
            return;
        }
        branch.push(Coded::new(pts, pts, data));
    }
}

impl<F> Default for Track<F> {
    fn default() -> Self {
        Self {
            format: None,
            config: Bytes::new(),
            branch: None,
            made: None,
            lost: false,
        }
    }
}

impl<F: Copy> Track<F> {
    /// The format for which a decoder is wanted, where there is none that works; not more often than once in a
    /// while.
    fn to_be_made(&self) -> Option<F> {
        let works = self.branch.as_ref().is_some_and(|branch| !branch.has_failed());
        let rested = self.made.is_none_or(|made| made.elapsed() >= REBUILD_AFTER);
        self.format.filter(|_| !works && rested)
    }

    fn made(&mut self, branch: Result<Branch, crate::Error>) {
        self.made = Some(Instant::now());
        self.branch = branch.map_err(|error| tracing::warn!(%error, "no decoder")).ok();
    }
}

impl Track<AudioCodec> {
    /// Of one unit; none where it is malformed.
    fn length(&self, unit: &[u8]) -> Option<Length> {
        match self.format? {
            AudioCodec::Aac => Some(Length {
                samples: AAC_SAMPLES,
                rate: aac_rate(&self.config).unwrap_or(AUDIO_RATE),
            }),
            AudioCodec::Opus => cmaf::opus::samples(unit).map(|samples| Length {
                samples,
                rate: AUDIO_RATE,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
