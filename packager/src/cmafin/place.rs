//! PURE. Which frame or sample of ours a unit is, once a life is under way.

use hls::time::Grid;

use super::line::Line;
use super::refusal::Refusal;
use super::track::{Held, Track};

/// How far sound may be beside the last unit's end and still join it, samples: timescales round.
const JOIN_SAMPLES: i64 = 256;
/// The frame that a picture is; none where it has been.
pub(super) fn frame(track: &Track, line: &Line, grid: &Grid, held: &Held) -> Result<Option<u64>, Refusal> {
    let (offset, off) = line.frame(grid, held.at);
    let want = grid.rate().as_f64();
    if off.abs() > OFF_THOUSANDTHS {
        let got = f64::from(held.at.scale) / f64::from(held.duration.max(1));
        // A hundredth is more than any timescale rounds a frame by and still counts as its rate.
        if (got / want - 1.0).abs() > 0.01 {
            return Err(Refusal::FrameRate { got, want });
        }
        let off = off.abs();
        return Err(Refusal::Drift { off, want });
    }
    let Some(frame) = line.frame.checked_add_signed(offset) else {
        return Ok(None);
    };
    if track.next.is_some_and(|next| frame < next) {
        return Ok(None);
    }
    let cell = grid.cell_of_frame(frame);
    let due = grid.starts_gop(cell) && frame == grid.first_frame(cell);
    if due && !held.key && !track.lost {
        return Err(Refusal::key_frames(track.interval_ns(), grid));
    }
    Ok(Some(frame))
}

/// Thousandths of a frame that a picture may be beside the grid.
const OFF_THOUSANDTHS: i64 = 300;

/// The first sample that a unit of sound is; none where it has been.
pub(super) fn sound(track: &Track, line: &Line, grid: &Grid, held: &Held) -> Option<u64> {
    let offset = line.sample(grid, held.at);
    let time = grid.first_sample(line.frame).checked_add_signed(offset)?;
    let Some(next) = track.next else {
        return Some(time);
    };
    let beside = time.cast_signed().saturating_sub(next.cast_signed());
    if beside.abs() <= JOIN_SAMPLES {
        return Some(next);
    }
    (beside > 0).then_some(time)
}

pub(super) fn half_unit(held: &Held) -> i64 {
    held.end().ns_since(held.at) / 2
}
