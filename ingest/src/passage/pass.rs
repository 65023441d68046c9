//! Units of a contribution on the programme's grid.

use std::time::Duration;

use bytes::Bytes;
use hls::id::Msn;

use super::picture::{Picture, nanos, nearest};
use super::{Fault, Passage, Passed, Passing, Said, State, avc};
use crate::captions::without_captions;
use crate::cues::Happening;
use crate::media::Stamp;

/// The ladder goes on for so long before the passed pictures take its place: what it has begun must come out.
pub(super) const LEAD: Duration = Duration::from_millis(200);

impl Passage {
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
        let at = at.map_or(Some(now), |at| nearest(grid, at - base).map(place));
        let told = |what| {
            Some(Said {
                now,
                at: at?.max(start),
                what,
            })
        };
        said.into_iter().filter_map(told).collect()
    }

    /// The key frame `key` becomes the first of the next segment that begins late enough.
    pub(super) fn begin(&mut self, key: u64, now: u64) -> Result<Vec<Passed>, Fault> {
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

    pub(super) fn pass(
        &self,
        track: u8,
        index: u64,
        key: bool,
        data: &Bytes,
    ) -> Result<Option<Passed>, Fault> {
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

    pub(super) fn sample(&self, picture: &Picture, data: &Bytes) -> Bytes {
        let sample = cmaf::sample::avc1(avc::unit(picture.framing, data.clone()));
        if self.form.captioned {
            sample
        } else {
            without_captions(sample)
        }
    }
}
