//! PURE. Why an encoder is refused, in one line that says what to set, and the status it goes with.

use cmaf::push;
use hls::id::TrackId;
use hls::time::Grid;
use http::StatusCode;

/// Said to the encoder as plain text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Bytes(push::Error),
    #[error("no bit rate: neither the init segment nor packager.cmaf.streams says one (bitrate_kbps)")]
    BitRate,
    #[error("{0} cannot be packaged: {1}")]
    Track(TrackId, String),
    #[error("sound of {got} Hz; the stream's other sound has {want} Hz")]
    AudioRate { got: u32, want: u32 },
    #[error("no video track among packager.cmaf.streams.tracks")]
    NoVideo,
    #[error(
        "the init segment of this track was of the other kind: it cannot change between picture and sound"
    )]
    Kind,
    #[error("frame rate {got:.3}; this stream has {want:.3}: set -r {want}")]
    FrameRate { got: f64, want: f64 },
    #[error(
        "frames are off this stream's grid by {off} thousandths of a frame: set a constant rate of {want:.3} (-r {want} -vsync cfr)"
    )]
    Drift { off: i64, want: f64 },
    #[error("B-frames: pictures have to be shown in the order in which they are sent: set -bf 0")]
    Reordered,
    #[error(
        "key frames {}; this stream needs one every {:.3} s: set -g {frames} -keyint_min {frames} -sc_threshold 0",
        spacing(*.every_ns), seconds(*.gop_ns)
    )]
    KeyFrames {
        /// None where no second one came in time.
        every_ns: Option<i64>,
        gop_ns: i64,
        frames: u32,
    },
    #[error("sound in units of {0} samples; want AAC-LC of 1024, or Opus of at most 20 ms")]
    AudioFrame(i64),
    #[error("media is {:.1} s ahead of real time: send it as it happens (-re)", seconds(*.ns))]
    Ahead {
        /// By so much, nanoseconds.
        ns: i64,
    },
    #[error("a newer connection took over")]
    Replaced,
    #[error("the time or format of this stream changed again within {0} s: does another encoder send it?")]
    Unsteady(u64),
    #[error("tracks are not on one clock: {0} is at {1:.3} s, {2} at {3:.3} s")]
    Clocks(TrackId, f64, TrackId, f64),
    #[error("{0}")]
    Conflict(String),
}

fn seconds(ns: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "to be read")]
    let ns = ns as f64;
    ns / 1e9
}

fn spacing(every: Option<i64>) -> String {
    every.map_or_else(
        || "are missing".to_owned(),
        |every| format!("every {:.3} s", seconds(every)),
    )
}

impl Refusal {
    pub(crate) fn key_frames(every_ns: Option<i64>, grid: &Grid) -> Self {
        Self::KeyFrames {
            every_ns,
            gop_ns: gop_ns(grid),
            frames: grid.part_frames().saturating_mul(grid.gop_parts()),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            // DASH-IF Live Media Ingest §6.2: what cannot be used without an init segment.
            Self::Bytes(push::Error::NoInit) => StatusCode::PRECONDITION_FAILED,
            Self::Bytes(push::Error::NotMp4 | push::Error::Format(_) | push::Error::Config(_))
            | Self::Track(..)
            | Self::AudioRate { .. }
            | Self::FrameRate { .. }
            | Self::Drift { .. }
            | Self::Reordered
            | Self::KeyFrames { .. }
            | Self::AudioFrame(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Bytes(_) | Self::BitRate | Self::NoVideo | Self::Ahead { .. } => StatusCode::BAD_REQUEST,
            Self::Kind | Self::Replaced | Self::Unsteady(_) | Self::Clocks(..) | Self::Conflict(_) => {
                StatusCode::CONFLICT
            }
        }
    }
}

/// Nanoseconds of a GOP.
pub(crate) fn gop_ns(grid: &Grid) -> i64 {
    super::line::ns(grid.cell_duration()).saturating_mul(i64::from(grid.gop_parts()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::time::{FrameRate, Profile};

    #[test]
    fn a_wrong_gop_is_told_what_to_set() {
        let grid = Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
        let text = |every| Refusal::key_frames(every, &grid).to_string();
        assert_eq!(
            text(Some(3_200_000_000)),
            "key frames every 3.200 s; this stream needs one every 1.000 s: set -g 30 -keyint_min 30 -sc_threshold 0"
        );
        assert!(text(None).starts_with("key frames are missing; this stream needs"));
    }
}
