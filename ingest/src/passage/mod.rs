//! PURE. Passing an encoder's own pictures and sound on as the rungs, for as long as they are what a ladder would make.
//!
//! Code map: here the machine; `picture` and `sound` watch one track each, `stamps` undoes wraps, `avc` brings H.264 to
//! the form of a track, `fault` says why not.
//!
//! A contribution is watched first. It is ready once every rung has a track of its size that keeps the grid's frame
//! rate, without B-frames, with a key frame at every segment's length, the same in all of them. Then, when it is allowed
//! to, it begins with the next such key frame, which becomes the first frame of a segment of the programme. From there
//! on every frame has its number by counting; the first irregularity ends it, and the ladder encodes again.

mod avc;
mod fault;
mod picture;
mod sound;
mod stamps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hls::id::{Cell, Msn};
use hls::time::Grid;

use crate::captions::without_captions;
use crate::cues::Happening;
use crate::doctor::picture_size;
use crate::media::{AudioCodec, Clock, Media, Stamp, VideoCodec, VideoFormat};
pub(crate) use fault::Fault;
use picture::{Frame, Picture, nanos};
use sound::Sound;
use stamps::Stamps;

/// A track that is behind the others by more has stopped, nanoseconds.
const PATIENCE: i64 = 2_000_000_000;
/// The ladder goes on for so long before the passed pictures take its place: what it has begun must come out.
const LEAD: Duration = Duration::from_millis(200);
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
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is not fit yet, or no longer; why, as far as it is known.
    Watching(Option<Fault>),
    Passing(Passing),
    /// It was passed on, and is no longer.
    Over(Fault),
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
            state: State::Watching(None),
        }
    }

    /// The first cell, once it is passed on.
    pub(crate) fn first(&self) -> Option<Cell> {
        match &self.state {
            State::Passing(passing) => Some(passing.first),
            State::Watching(_) | State::Over(_) => None,
        }
    }

    /// Why it is not passed on, as far as that is known.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match &self.state {
            State::Watching(fault) => fault.as_ref(),
            State::Over(fault) => Some(fault),
            State::Passing(_) => None,
        }
    }

    /// Bits a second of a rung's track, as measured.
    pub(crate) fn bit_rate(&self, rung: usize) -> Option<u64> {
        let size = self.form.rungs.get(rung)?;
        let picture = self.pictures.values().find(|picture| picture.size == *size)?;
        Some(picture.bit_rate(&self.form.grid))
    }

    /// Ends it, from outside.
    pub(crate) fn stop(&mut self, fault: Fault) {
        if matches!(self.state, State::Passing(_)) {
            self.state = State::Over(fault);
        }
    }

    /// Takes what came. `frame_now` is the frame of the programme that is on its way, if passing may begin.
    pub(crate) fn take(&mut self, media: &Media, frame_now: Option<u64>) -> Vec<Passed> {
        if matches!(self.state, State::Over(_)) {
            return Vec::new();
        }
        let taken = self.look(media, frame_now);
        taken.unwrap_or_else(|fault| {
            match &mut self.state {
                State::Passing(_) => self.state = State::Over(fault),
                State::Watching(_) | State::Over(_) => self.begin_anew(fault),
            }
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

    /// What was said of a time, or of right now, once it is passed on.
    pub(crate) fn said(&mut self, at: Option<Stamp>, said: Vec<Happening>) -> Vec<Said> {
        let at = at.map(|stamp| self.stamps.line(stamp));
        let (State::Passing(passing), Some(base)) = (&self.state, self.base) else {
            return Vec::new();
        };
        let grid = &self.form.grid;
        let start = grid.first_frame(passing.first);
        let place = |index: u64| start.saturating_add(index).saturating_sub(passing.key);
        let newest = self.pictures.values().filter_map(|picture| picture.next).max();
        let now = place(newest.unwrap_or(passing.key).saturating_sub(1));
        let at = at.map_or(Some(now), |at| picture::nearest(grid, at - base).map(place));
        let told = |what| {
            Some(Said {
                now,
                at: at?.max(start),
                what,
            })
        };
        said.into_iter().filter_map(told).collect()
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

    /// All tracks go on, as seen from a picture at `at`.
    fn check_presence(&self, at: i64) -> Result<(), Fault> {
        if !matches!(self.state, State::Passing(_)) {
            return Ok(());
        }
        let base = self.base.unwrap_or(at);
        for picture in self.pictures.values() {
            let newest = picture.next.map_or(0, |next| nanos(&self.form.grid, next));
            if at - base - newest > PATIENCE {
                return Err(Fault::Stopped { track: picture.track });
            }
        }
        let stopped = self.sounds.values().find(|sound| !sound.is_there(at, PATIENCE));
        stopped.map_or(Ok(()), |sound| Err(Fault::SoundStopped { track: sound.track }))
    }

    /// Whether no other track has had this frame; only then can all begin with it.
    fn is_new(&self, track: u8, index: u64) -> bool {
        let mut others = self.pictures.values().filter(|other| other.track != track);
        others.all(|other| other.next.is_some_and(|next| next <= index))
    }

    /// Whether passing could begin at the key frame `index` of a track; if not, why, as far as that is known.
    fn fit(&self, track: u8, index: u64) -> Result<(), Option<Fault>> {
        let form = &self.form;
        if self.sounds.len() < form.sounds {
            let (want, got) = (form.sounds, self.sounds.len());
            return Err(Some(Fault::Sounds { want, got }));
        }
        if let Some(sound) = self.sounds.values().find(|sound| !sound.is_fit()) {
            return Err(Some(Fault::Sound { track: sound.track }));
        }
        let segment = self.segment();
        for (number, _) in self.rungs()? {
            let Some(picture) = self.pictures.get(&number) else {
                continue;
            };
            if !picture.is_exact() {
                return Err(Some(picture.uneven(&form.grid)));
            }
            let mut steady = picture.steady_keys(segment).peekable();
            if steady.peek().is_none() {
                let (track, spacing) = (number, picture.spacing());
                return Err(spacing.map(|frames| Fault::Keys {
                    track,
                    frames,
                    segment,
                }));
            }
            if !steady.any(|key| key.abs_diff(index).is_multiple_of(segment)) {
                let track = number.max(track);
                return Err(Some(Fault::KeysApart { track }));
            }
        }
        Ok(())
    }

    /// The feed's track for each of the encoder's.
    fn rungs(&self) -> Result<BTreeMap<u8, usize>, Fault> {
        let mut rungs = BTreeMap::new();
        if self.pictures.len() < self.form.rungs.len() {
            let (want, got) = (self.form.rungs.len(), self.pictures.len());
            return Err(Fault::Pictures { want, got });
        }
        for (rung, size) in self.form.rungs.iter().enumerate() {
            let free = |picture: &&Picture| picture.size == *size && !rungs.contains_key(&picture.track);
            let (width, height) = *size;
            let found = self
                .pictures
                .values()
                .find(free)
                .ok_or(Fault::Size { width, height })?;
            rungs.insert(found.track, rung);
        }
        Ok(rungs)
    }

    /// Frames of a segment.
    fn segment(&self) -> u64 {
        let grid = &self.form.grid;
        u64::from(grid.part_frames()) * u64::from(grid.segment_parts())
    }

    /// The key frame `key` becomes the first of the next segment that begins late enough.
    fn begin(&mut self, key: u64, now: u64) -> Result<Vec<Passed>, Fault> {
        let grid = self.form.grid;
        let earliest = now + grid.frame_at(LEAD);
        let msn = Msn(earliest.div_ceil(self.segment()));
        let first = grid.first_cell(msn);
        let rungs = self.rungs()?;
        // What no rung is made of is not watched any longer.
        self.pictures.retain(|track, _| rungs.contains_key(track));
        let key_at = self.base.unwrap_or(0) + nanos(&grid, key);
        let mut passed = Vec::new();
        for sound in self.sounds.values_mut() {
            let index = rungs.len() + usize::from(sound.track);
            let units = sound.begin(&grid, key_at, grid.first_frame(first))?;
            passed.extend(
                units
                    .into_iter()
                    .map(|(time, data)| sound.passed(index, time, data)),
            );
        }
        self.state = State::Passing(Passing { key, first, rungs });
        Ok(passed)
    }

    fn pass(&self, track: u8, index: u64, key: bool, data: &Bytes) -> Result<Option<Passed>, Fault> {
        let (State::Passing(passing), Some(picture)) = (&self.state, self.pictures.get(&track)) else {
            return Ok(None);
        };
        let (Some(since), Some(rung)) = (index.checked_sub(passing.key), passing.rungs.get(&track)) else {
            return Ok(None);
        };
        let segment = self.segment();
        if since.is_multiple_of(segment) && !key {
            let frames = picture.spacing().unwrap_or(0);
            return Err(Fault::Keys {
                track,
                frames,
                segment,
            });
        }
        Ok(Some(Passed {
            index: *rung,
            time: self.form.grid.first_frame(passing.first) + since,
            key,
            data: self.sample(picture, data),
            config: picture.record.clone(),
        }))
    }

    fn sample(&self, picture: &Picture, data: &Bytes) -> Bytes {
        let sample = cmaf::sample::avc1(avc::unit(picture.framing, data.clone()));
        if self.form.captioned {
            sample
        } else {
            without_captions(sample)
        }
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
