//! What the doctor states: numbers with their units in their names, and findings.

use serde::Serialize;

/// Everything about one publisher as it is now.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// How long it has been examined.
    pub seconds: f64,
    /// Since its last unit came.
    pub silent_s: f64,
    /// Longest pause of at least 100 ms between two units, over the last ten seconds.
    pub pause_max_ms: Option<i64>,
    /// What the encoder says about itself; SRT has no word for it.
    pub declared: Option<Declared>,
    /// The first picture track, once a picture came.
    pub video: Option<Video>,
    /// Audio tracks, the first eight.
    pub audio: Vec<Audio>,
    /// There are more of them.
    pub audio_passed_over: bool,
    /// Faults of the time stamps of all tracks.
    pub stamps: Stamps,
    /// How often a transport stream said that something is missing.
    pub losses: u64,
    /// The encoder's clock against ours; stated after a minute.
    pub drift: Option<Drift>,
    /// The line, where the publisher comes by SRT.
    pub srt: Option<Srt>,
    /// What all this means, the worst first; never empty.
    pub findings: Vec<Finding>,
}

/// What the encoder declared.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Declared {
    /// Its name and version.
    pub encoder: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frame rate.
    pub frames_per_s: Option<f64>,
    /// Bit rate of the picture.
    pub video_kbps: Option<f64>,
    /// Bit rate of the sound.
    pub audio_kbps: Option<f64>,
}

/// The picture. Rates are of the last ten seconds, by the encoder's own clock.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Video {
    /// "H.264", "HEVC", "AV1" or "VP9".
    pub codec: &'static str,
    /// Pixels shown, where the configuration tells.
    pub width: Option<u32>,
    /// Pixels shown, where the configuration tells.
    pub height: Option<u32>,
    /// Profile by name, where the configuration tells.
    pub profile: Option<String>,
    /// Fields rather than frames.
    pub interlaced: bool,
    /// Measured frame rate.
    pub frames_per_s: Option<f64>,
    /// Measured bit rate.
    pub kbps: Option<f64>,
    /// Between the last two key frames.
    pub keyframe_interval_s: Option<f64>,
    /// Shortest of the last eight intervals.
    pub keyframe_interval_min_s: Option<f64>,
    /// Longest of the last eight intervals.
    pub keyframe_interval_max_s: Option<f64>,
    /// Intervals seen, at most eight.
    pub keyframe_intervals: u64,
    /// From the last key frame to the newest picture.
    pub keyframe_since_s: Option<f64>,
    /// Most pictures in a row that are shown before one that was sent earlier.
    pub b_frames_max: u64,
    /// How much longer they make the way to the viewer.
    pub b_frames_delay_ms: Option<f64>,
    /// Largest distance from decoding to presentation.
    pub composition_max_ms: Option<i64>,
    /// Largest distance of two pictures.
    pub frame_step_max_ms: Option<i64>,
    /// Between the picture that was held up least and the one held up most.
    pub arrival_spread_ms: Option<i64>,
    /// How far sound is sent ahead of the picture, at its farthest; below zero it is behind.
    pub sound_ahead_ms: Option<i64>,
    /// Since the last picture came.
    pub silent_s: f64,
}

/// One audio track.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Audio {
    /// Its number, from 0.
    pub track: u8,
    /// "AAC" or "Opus".
    pub codec: &'static str,
    /// Samples per second that come out of the decoder.
    pub sample_rate_hz: Option<u32>,
    /// Channels, where the configuration counts them.
    pub channels: Option<u32>,
    /// Measured bit rate.
    pub kbps: Option<f64>,
    /// Since its last unit came; absent where none ever came.
    pub silent_s: Option<f64>,
}

/// Faults of time stamps since the publisher was let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Stamps {
    /// Far from where they should be.
    pub jumps: u64,
    /// Before the unit that was sent before.
    pub backwards: u64,
    /// More than 250 ms after the unit before, and that much time had passed.
    pub holes: u64,
    /// All of them within the last minute; at most 64 are counted.
    pub last_minute: u64,
}

/// Speed of the encoder's clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drift {
    /// Parts per million by which it is fast; below zero it is slow.
    pub ppm: f64,
    /// Standard error of that.
    pub error_ppm: f64,
}

/// The line, as SRT counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Srt {
    /// Smoothed round trip.
    pub rtt_ms: f64,
    /// Agreed time for a packet to arrive.
    pub latency_ms: u64,
    /// Data packets that came, repeated ones included.
    pub packets_received: u64,
    /// Packets found missing.
    pub packets_lost: u64,
    /// Packets that came as repetitions.
    pub packets_retransmitted: u64,
    /// Packets given up.
    pub packets_dropped: u64,
    /// Share of packets lost at first, over the last ten seconds.
    pub recent_loss_percent: f64,
    /// Packets given up over the last ten seconds.
    pub recent_dropped: u64,
}

/// One thing to know, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub code: Code,
    /// One line for people, in the words of OBS.
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do.
    Ok,
    /// Could be better.
    Hint,
    /// Viewers may notice.
    Warn,
    /// Viewers notice now.
    Fault,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Nothing is wrong.
    Healthy,
    /// Too early to say.
    Measuring,
    /// Nothing comes at all.
    Silence,
    /// Sound comes, pictures do not.
    NoPicture,
    /// Pictures come, sound does not.
    NoSound,
    /// Sound comes and carries nothing.
    QuietSound,
    /// Key frames are far apart.
    KeyframeInterval,
    /// Key frames come as they like.
    KeyframeIrregular,
    /// Pictures are sent out of order.
    BFrames,
    /// Fewer pictures than declared.
    FrameRate,
    /// Less or more than declared.
    VideoBitrate,
    /// Too little for music.
    AudioBitrate,
    /// Sound has to be resampled.
    SampleRate,
    /// Fields.
    Interlaced,
    /// Time stamps jump, step back or leave holes.
    Stamps,
    /// Sound and picture are sent far apart.
    Interleave,
    /// The encoder's clock is fast or slow.
    Drift,
    /// Media comes in bursts.
    Bursts,
    /// SRT loses packets.
    PacketLoss,
    /// SRT's latency is short for this path.
    Latency,
}
