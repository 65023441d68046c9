//! The encoder doctor: what one publisher really sends, measured as it arrives, and what to set at the encoder.
//!
//! The exam is pure: it is told when things came, measures over the last ten seconds in bounded memory and states a
//! [`Report`] on demand. It never touches media; what it cannot read it leaves unstated.

mod config;
mod drift;
mod findings;
mod line;
mod pictures;
mod report;
mod sounds;
mod stamps;

use std::collections::BTreeMap;

pub(crate) use line::Line;
pub use report::{Audio, Code, Declared, Drift, Finding, Report, Severity, Srt, Stamps, Video};

use crate::media::{Clock, Media, VideoFormat};
use drift::Trend;
use line::Counters;
use pictures::{Picture, Pictures};
use sounds::Sounds;
use stamps::{Faults, Track};

/// What is stated is measured over this much of the past, nanoseconds.
const WINDOW: i64 = 10_000_000_000;
/// Audio tracks that are measured; further ones are only counted.
const SOUNDS_MAX: usize = 8;
/// Between two packets longer than this the line was silent, nanoseconds.
const PAUSE: i64 = 1_000_000_000;

/// Width and height of a picture in pixels and whether it is interlaced, where its configuration tells.
pub(crate) fn picture_size(format: VideoFormat, config: &[u8]) -> Option<((u32, u32), bool)> {
    let shape = config::video(format, config);
    Some(((shape.width?, shape.height?), shape.interlaced))
}

/// One publisher under examination. All instants are nanoseconds of one monotonic clock.
#[derive(Debug)]
pub(crate) struct Exam {
    clock: Clock,
    began: i64,
    first_unit: Option<i64>,
    last_unit: i64,
    /// The longest pause between two units of the window, with its end.
    pause: Option<(i64, i64)>,
    declared: Option<Declared>,
    pictures: Pictures,
    picture_stamps: Track,
    sounds: BTreeMap<u8, (Sounds, Track)>,
    sounds_passed_over: bool,
    losses: u64,
    faults: Faults,
    drift: Trend,
    counters: Counters,
}

impl Exam {
    /// For a publisher whose protocol has this clock and who was let in at `now`.
    pub(crate) fn new(now: i64, clock: Clock) -> Self {
        Self {
            clock,
            began: now,
            first_unit: None,
            last_unit: now,
            pause: None,
            declared: None,
            pictures: Pictures::default(),
            picture_stamps: Track::default(),
            sounds: BTreeMap::new(),
            sounds_passed_over: false,
            losses: 0,
            faults: Faults::default(),
            drift: Trend::default(),
            counters: Counters::default(),
        }
    }

    /// What the encoder says about itself.
    pub(crate) fn declare(&mut self, declared: Declared) {
        self.declared = Some(declared);
    }

    /// What the transport counted up to `now`; asked for about once a second.
    pub(crate) fn count(&mut self, now: i64, line: Line) {
        self.counters.take(now, line);
    }

    /// What came at `now`.
    pub(crate) fn take(&mut self, now: i64, media: &Media) {
        if media.is_frame() {
            self.arrived(now);
        }
        match media {
            Media::VideoConfig {
                track: 0,
                format,
                config,
            } => self.pictures.describe(*format, config),
            Media::Video {
                track: 0,
                dts,
                composition_ns,
                key,
                data,
            } => {
                let reading = self.picture_stamps.read(self.clock, *dts, now);
                self.faults.note(now, reading);
                if reading.restarts() {
                    self.begin_anew();
                }
                self.drift.observe(true, now, reading.ns);
                self.pictures.take(Picture {
                    arrival: now,
                    dts: reading.ns,
                    pts: reading.ns.saturating_add(*composition_ns),
                    bytes: data.len() as u64,
                    key: *key,
                    ahead: self.sound_ahead(now, reading.ns),
                });
            }
            Media::AudioConfig { track, codec, config } => {
                if let Some((sounds, _)) = self.sounds(*track) {
                    sounds.describe(*codec, config);
                }
            }
            Media::Audio { track, pts, data } => {
                let clock = self.clock;
                let Some((sounds, stamps)) = self.sounds(*track) else {
                    return;
                };
                let reading = stamps.read(clock, *pts, now);
                if reading.restarts() {
                    sounds.begin_anew();
                }
                sounds.take(now, reading.ns, data.len() as u64);
                self.faults.note(now, reading);
                if *track == 0 {
                    self.drift.observe(false, now, reading.ns);
                }
            }
            Media::Lost => self.losses += 1,
            Media::VideoConfig { .. } | Media::Video { .. } | Media::Cue { .. } => {}
        }
    }

    /// Everything as it stands at `now`.
    pub(crate) fn report(&self, now: i64) -> Report {
        let mut report = Report {
            seconds: seconds(now - self.began, 1),
            silent_s: seconds(now - self.last_unit, 1),
            pause_max_ms: self
                .pause
                .filter(|(_, end)| now - end <= WINDOW)
                .map(|(length, _)| length / 1_000_000),
            declared: self.declared.clone(),
            video: self.pictures.report(now),
            audio: self
                .sounds
                .iter()
                .map(|(track, (sounds, _))| sounds.report(*track, now))
                .collect(),
            audio_passed_over: self.sounds_passed_over,
            stamps: self.faults.report(now),
            losses: self.losses,
            drift: self.drift.report(),
            srt: self.counters.report(now),
            findings: Vec::new(),
        };
        report.findings = findings::of(&report);
        report
    }

    fn arrived(&mut self, now: i64) {
        self.first_unit.get_or_insert(now);
        let pause = now - self.last_unit;
        let longest = self.pause.filter(|(_, end)| now - end <= WINDOW);
        if pause >= PAUSE / 10 && longest.is_none_or(|(length, _)| pause >= length) {
            self.pause = Some((pause, now));
        }
        self.last_unit = self.last_unit.max(now);
    }

    fn sounds(&mut self, track: u8) -> Option<&mut (Sounds, Track)> {
        if self.sounds.len() >= SOUNDS_MAX && !self.sounds.contains_key(&track) {
            self.sounds_passed_over = true;
            return None;
        }
        Some(self.sounds.entry(track).or_default())
    }

    /// How far the first track's sound was sent ahead of a picture, where it is coming.
    fn sound_ahead(&self, now: i64, dts: i64) -> Option<i64> {
        let (sounds, _) = self.sounds.get(&0)?;
        let (arrival, pts) = sounds.newest()?;
        (now - arrival <= PAUSE).then(|| pts.saturating_sub(dts))
    }

    /// After a jump, what was measured before it can no longer be compared.
    fn begin_anew(&mut self) {
        self.pictures.begin_anew();
        self.drift = Trend::default();
    }
}

/// Nanoseconds as seconds with few digits, as people read them.
fn seconds(ns: i64, digits: i32) -> f64 {
    rounded(ns as f64 / 1e9, digits)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests;
