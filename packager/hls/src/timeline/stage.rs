//! A stream with two rungs and audio for tests, fed in virtual time by the shares a packager would make.

use std::time::Duration;

use super::{Config, Life, Progress, Share, Timeline};
use crate::id::{Cell, TrackId};
use crate::playlist::Media;
use crate::time::{AUDIO_FRAME_SAMPLES, FrameRate, Grid, Profile};

/// Cells of a segment in the usual grid.
pub(crate) const SEGMENT: u64 = 4;

/// The tracks' playlists, relative to the multivariant playlist.
pub(crate) const URIS: [&str; 3] = ["360p/media.m3u8", "240p/media.m3u8", "audio/media.m3u8"];

pub(crate) struct Stage {
    pub(crate) grid: Grid,
    pub(crate) timeline: Timeline,
    /// Time of the life's first audio frame, samples.
    phase: u64,
}

/// A life whose init segments are called after `name`.
pub(crate) fn life(name: &str, first: Cell, discontinuity: u64) -> Life {
    Life {
        first,
        discontinuity,
        maps: URIS
            .map(|uri| format!("init-{name}-{}.mp4", uri.split_once('/').unwrap().0))
            .to_vec(),
    }
}

impl Stage {
    pub(crate) fn new(grid: Grid, first: Cell, window: Duration) -> Self {
        let track = |name: &str| TrackId::new(name).unwrap();
        let tracks = ["360p", "240p", "audio"].map(track).to_vec();
        let maps = ["360p", "240p", "audio"]
            .map(|name| format!("init-{name}.mp4"))
            .to_vec();
        let opening = Life {
            first,
            discontinuity: 0,
            maps,
        };
        let timeline = Timeline::new(Config { grid, tracks, window }, opening);
        Self {
            grid,
            timeline,
            phase: grid.first_sample(grid.first_frame(first)),
        }
    }

    /// 30 frames a second in parts of 0.5 s, from a segment's first cell on.
    pub(crate) fn usual() -> Self {
        let grid = Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
        Self::new(grid, Cell(160_000_000), Duration::from_secs(60))
    }

    /// The share of a track whose media is complete. Audio is cut between frames, as the grid asks.
    pub(crate) fn share(&self, track: usize, cell: Cell) -> Share {
        let grid = &self.grid;
        if URIS[track].starts_with("audio") {
            let frames =
                |cell: Cell| (grid.first_sample(grid.first_frame(cell)) - self.phase).div_ceil(1_024);
            let samples = (frames(cell.next()) - frames(cell)) * u64::from(AUDIO_FRAME_SAMPLES);
            let begins = self.phase + frames(cell) * u64::from(AUDIO_FRAME_SAMPLES);
            let late = begins - grid.first_sample(grid.first_frame(cell));
            let time =
                |samples: u64| Duration::from_nanos(samples * 1_000_000_000 / u64::from(grid.audio_rate()));
            return Share::Media {
                duration: time(samples),
                independent: true,
                offset: time(late),
            };
        }
        Share::Media {
            duration: grid.cell_duration(),
            independent: grid.starts_gop(cell),
            offset: Duration::ZERO,
        }
    }

    /// Another ladder takes over; returns the cell from which on it is listed.
    pub(crate) fn take_over(&mut self, life: Life) -> Cell {
        let first = life.first;
        let wanted = self.timeline.take_over(life);
        self.phase = self.grid.first_sample(self.grid.first_frame(first.min(wanted)));
        wanted
    }

    /// Publishes one cell of all tracks.
    pub(crate) fn publish(&mut self) -> Progress {
        let mut progress = Progress::Waiting;
        for track in 0..URIS.len() {
            let cell = self.timeline.due(track).unwrap();
            progress = self.timeline.share(track, cell, self.share(track, cell)).unwrap();
        }
        progress
    }

    /// Publishes this many cells in all tracks.
    pub(crate) fn feed(&mut self, cells: u64) {
        for _ in 0..cells {
            self.publish();
        }
    }

    pub(crate) fn media(&self, track: usize) -> Media {
        self.timeline.playlist(track).unwrap()
    }

    pub(crate) fn text(&self, track: usize) -> String {
        self.media(track).render()
    }
}
