//! PURE. Passing an encoder's own pictures and sound on as the rungs, for as long as they are what a ladder would make.
//!
//! Code map: here the machine; `fit` judges, `pass` numbers what is passed on; `picture` and `sound` watch one track each, `stamps` undoes wraps, `avc` brings H.264 to
//! the form of a track, `fault` says why not.
//!
//! A contribution is watched first. It is ready once every rung has a track of its size that keeps the grid's frame
//! rate, without B-frames, with a key frame at every segment's length, the same in all of them. Then, when it is allowed
//! to, it begins with the next such key frame, which becomes the first frame of a segment of the programme. From there
//! on every frame has its number by counting; the first irregularity ends it, and the ladder encodes again. After that it
//! has to be flawless for a minute, and for twice as long after each further failure.

mod avc;
mod fault;
mod fit;
mod pass;
mod picture;
mod sound;
mod stamps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use hls::id::Cell;
use hls::time::Grid;

use crate::cues::Happening;
use crate::doctor::picture_size;
use crate::media::{AudioCodec, Clock, Media, VideoCodec, VideoFormat};
pub(crate) use fault::Fault;
use picture::{Frame, Picture};
use sound::Sound;
use stamps::Stamps;

/// Video tracks that are watched; more are passed over.
const PICTURES_MAX: usize = 8;
/// Audio tracks that are watched.
const SOUNDS_MAX: usize = 8;

/// What a contribution must consist of.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) grid: Grid,
    /// Pixels of each rung.
    pub(crate) rungs: Vec<(u32, u32)>,
    /// Audio renditions.
    pub(crate) sounds: usize,
    /// Whether captions are declared; what comes else is taken out.
    pub(crate) captioned: bool,
}

/// What an encoder said, in the programme's frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The newest frame when it was said.
    pub(crate) now: u64,
    /// The frame it is about.
    pub(crate) at: u64,
    pub(crate) what: Happening,
}

/// One unit for the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Index among the stream's tracks.
    pub(crate) index: usize,
    /// Program time: frames or samples.
    pub(crate) time: u64,
    pub(crate) key: bool,
    pub(crate) data: Bytes,
    /// Decoder configuration of its track.
    pub(crate) config: Bytes,
}

/// The machine of one contribution.
#[derive(Debug)]
pub(crate) struct Passage {
    form: Form,
    stamps: Stamps,
    /// Time stamp of the first key frame.
    base: Option<i64>,
    pictures: BTreeMap<u8, Picture>,
    sounds: BTreeMap<u8, Sound>,
    /// How often it failed while it was passed on.
    failures: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is not fit yet, or no longer; why, as far as it is known.
    Watching(Option<Fault>),
    Passing(Passing),
}

/// How the encoder's numbers become the programme's.
#[derive(Debug)]
struct Passing {
    /// Encoder's frame that begins.
    key: u64,
    /// Program cell that it begins.
    first: Cell,
    /// Feed track of each video track.
    rungs: BTreeMap<u8, usize>,
}

impl Passage {
    pub(crate) fn new(form: Form, clock: Clock) -> Self {
        Self {
            form,
            stamps: Stamps::new(clock),
            base: None,
            pictures: BTreeMap::new(),
            sounds: BTreeMap::new(),
            failures: 0,
            state: State::Watching(None),
        }
    }

    /// The first cell, once it is passed on.
    pub(crate) fn first(&self) -> Option<Cell> {
        match &self.state {
            State::Passing(passing) => Some(passing.first),
            State::Watching(_) => None,
        }
    }

    /// Why it is not passed on, as far as that is known.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match &self.state {
            State::Watching(fault) => fault.as_ref(),
            State::Passing(_) => None,
        }
    }

    /// Bits a second of a rung's track, as measured.
    pub(crate) fn bit_rate(&self, rung: usize) -> Option<u64> {
        let size = self.form.rungs.get(rung)?;
        let picture = self.pictures.values().find(|picture| picture.size == *size)?;
        Some(picture.bit_rate(&self.form.grid))
    }

    /// Ends it from outside, by no fault of the encoder's.
    pub(crate) fn stop(&mut self, why: Fault) {
        if matches!(self.state, State::Passing(_)) {
            self.begin_anew(why);
        }
    }

    /// Takes what came. `frame_now` is the frame of the programme that is on its way, if passing may begin.
    pub(crate) fn take(&mut self, media: &Media, frame_now: Option<u64>) -> Vec<Passed> {
        let taken = self.look(media, frame_now);
        taken.unwrap_or_else(|fault| {
            if matches!(self.state, State::Passing(_)) {
                self.failures += 1;
            }
            self.begin_anew(fault);
            Vec::new()
        })
    }

    fn begin_anew(&mut self, fault: Fault) {
        self.base = None;
        self.pictures.values_mut().for_each(Picture::reset);
        self.sounds.values_mut().for_each(Sound::reset);
        self.state = State::Watching(Some(fault));
    }

    fn look(&mut self, media: &Media, frame_now: Option<u64>) -> Result<Vec<Passed>, Fault> {
        match media {
            Media::VideoConfig {
                track,
                format,
                config,
            } => self.describe(*track, *format, config),
            Media::Video {
                track,
                dts,
                composition_ns,
                key,
                data,
            } => {
                let at = self.stamps.line(*dts) + composition_ns;
                let frame = (*key, *composition_ns, data);
                self.picture(*track, at, frame, frame_now)
            }
            Media::AudioConfig { track, codec, config } => self.describe_sound(*track, *codec, config),
            Media::Audio { track, pts, data } => {
                let at = self.stamps.line(*pts);
                self.sound(*track, at, data)
            }
            Media::Lost => Err(Fault::Lost),
            // Of what is passed on, [`Passage::said`] knows the place.
            Media::Cue { .. } => Ok(Vec::new()),
        }
    }

    fn describe(&mut self, track: u8, format: VideoFormat, config: &Bytes) -> Result<Vec<Passed>, Fault> {
        let record = match format.codec {
            VideoCodec::H264 => avc::record(format.framing, config),
            VideoCodec::Hevc | VideoCodec::Av1 | VideoCodec::Vp9 => None,
        };
        let known = self.pictures.get(&track);
        if known.is_some_and(|known| Some(&known.record) == record.as_ref()) {
            return Ok(Vec::new());
        }
        let was_known = self.pictures.remove(&track).is_some();
        if let (Some(record), Some((size, interlaced))) = (record, picture_size(format, config)) {
            if interlaced {
                return Err(Fault::Interlaced { track });
            }
            if self.pictures.len() < PICTURES_MAX {
                self.pictures
                    .insert(track, Picture::new(track, format.framing, record, size));
            }
        }
        if was_known {
            Err(Fault::Changed { track })
        } else {
            Ok(Vec::new())
        }
    }

    fn describe_sound(&mut self, track: u8, codec: AudioCodec, config: &Bytes) -> Result<Vec<Passed>, Fault> {
        if usize::from(track) >= self.form.sounds.min(SOUNDS_MAX)
            || self
                .sounds
                .get(&track)
                .is_some_and(|known| known.config == config)
        {
            return Ok(Vec::new());
        }
        let before = self
            .sounds
            .insert(track, Sound::new(track, codec, config.clone()));
        if before.is_some() {
            Err(Fault::Changed { track })
        } else {
            Ok(Vec::new())
        }
    }

    fn picture(
        &mut self,
        track: u8,
        at: i64,
        (key, composition, data): (bool, i64, &Bytes),
        frame_now: Option<u64>,
    ) -> Result<Vec<Passed>, Fault> {
        let Some(picture) = self.pictures.get_mut(&track) else {
            return Ok(Vec::new());
        };
        if self.base.is_none() && !key {
            return Ok(Vec::new());
        }
        let base = *self.base.get_or_insert(at);
        let frame = Frame {
            at: at - base,
            composition,
            key,
            bytes: data.len(),
        };
        let Some(index) = picture.take(&self.form.grid, frame)? else {
            return Ok(Vec::new());
        };
        self.check_presence(at)?;
        let mut passed = Vec::new();
        if matches!(self.state, State::Watching(_)) {
            if !key {
                return Ok(passed);
            }
            let fit = self.fit(track, index);
            let Some(now) = frame_now.filter(|_| fit.is_ok() && self.is_new(track, index)) else {
                match fit {
                    Ok(()) => self.state = State::Watching(None),
                    Err(Some(fault)) => self.state = State::Watching(Some(fault)),
                    // What was said before stands.
                    Err(None) => {}
                }
                return Ok(passed);
            };
            passed = self.begin(index, now)?;
        }
        passed.extend(self.pass(track, index, key, data)?);
        Ok(passed)
    }

    fn sound(&mut self, track: u8, at: i64, data: &Bytes) -> Result<Vec<Passed>, Fault> {
        let Some(sound) = self.sounds.get_mut(&track) else {
            return Ok(Vec::new());
        };
        let index = self.form.rungs.len() + usize::from(track);
        let unit = sound.take(at, data.clone())?;
        Ok(unit
            .map(|(time, data)| sound.passed(index, time, data))
            .into_iter()
            .collect())
    }
}
