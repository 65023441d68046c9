//! Whether a contribution is what a ladder would make.

use std::collections::BTreeMap;
use std::time::Duration;

use super::picture::{Picture, nanos};
use super::{Fault, Passage, State};

/// A track that is behind the others by more has stopped, nanoseconds.
const PATIENCE: i64 = 2_000_000_000;
/// How long an encoder that failed has to be flawless; doubled with each failure, up to an hour.
const PROBATION: Duration = Duration::from_mins(1);
const PROBATION_MAX: Duration = Duration::from_hours(1);

impl Passage {
    /// All tracks go on, as seen from a picture at `at`.
    pub(super) fn check_presence(&self, at: i64) -> Result<(), Fault> {
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
    pub(super) fn is_new(&self, track: u8, index: u64) -> bool {
        let mut others = self.pictures.values().filter(|other| other.track != track);
        others.all(|other| other.next.is_some_and(|next| next <= index))
    }

    /// Whether passing could begin at the key frame `index` of a track; if not, why, as far as that is known.
    pub(super) fn fit(&self, track: u8, index: u64) -> Result<(), Option<Fault>> {
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
            if picture.frames() < self.probation() {
                return Err(None);
            }
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
        let at = self.base.unwrap_or(0) + nanos(&form.grid, index);
        if let Some(sound) = self.sounds.values().find(|sound| !sound.is_there(at, PATIENCE)) {
            return Err(Some(Fault::SoundStopped { track: sound.track }));
        }
        Ok(())
    }

    /// Frames without a fault before an encoder that failed is trusted again.
    pub(super) fn probation(&self) -> u64 {
        let Some(doublings) = self.failures.checked_sub(1) else {
            return 0;
        };
        let flawless = PROBATION * 2_u32.pow(doublings.min(6));
        self.form.grid.frame_at(flawless.min(PROBATION_MAX))
    }

    /// The feed's track for each of the encoder's.
    pub(super) fn rungs(&self) -> Result<BTreeMap<u8, usize>, Fault> {
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
    pub(super) fn segment(&self) -> u64 {
        let grid = &self.form.grid;
        u64::from(grid.part_frames()) * u64::from(grid.segment_parts())
    }
}
