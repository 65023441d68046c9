//! Why a contribution is not, or no longer, passed through, in words an operator can act on.

/// What keeps an encoder's own pictures from being the rungs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{got} video tracks, the ladder has {want} rungs")]
    Pictures { want: usize, got: usize },
    #[error("no video track is H.264 of {width}x{height}")]
    Size { width: u32, height: u32 },
    #[error("video track {track} is interlaced")]
    Interlaced { track: u8 },
    #[error("video track {track} has B-frames: set their maximum to 0")]
    Reordered { track: u8 },
    #[error("video track {track} does not keep {rate} frames a second without a hole")]
    Rate { track: u8, rate: String },
    #[error(
        "video track {track} has a key frame every {frames} frames; a segment of {segment} needs one at its start"
    )]
    Keys { track: u8, frames: u64, segment: u64 },
    #[error("the key frames of video track {track} are not where the others have theirs")]
    KeysApart { track: u8 },
    #[error("{got} audio tracks, the ladder has {want} renditions")]
    Sounds { want: usize, got: usize },
    #[error("audio track {track} is not AAC-LC of 48 kHz stereo")]
    Sound { track: u8 },
    #[error("audio track {track} has a hole")]
    SoundHole { track: u8 },
    #[error("video track {track} has stopped")]
    Stopped { track: u8 },
    #[error("audio track {track} has stopped")]
    SoundStopped { track: u8 },
    #[error("video track {track} changed its configuration")]
    Changed { track: u8 },
    #[error("it is not on air")]
    OffAir,
    #[error("a unit was lost on the way")]
    Lost,
    #[error("more waits to be passed on than may")]
    Full,
}
