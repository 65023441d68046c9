//! What can end an ingest, or keep it from starting.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why an ingest did not start or did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Every mistake of the config at once.
    #[error("bad ingest config: {}", .0.join("; "))]
    Config(Vec<String>),
    /// GStreamer itself cannot be initialised.
    #[error("gstreamer cannot start")]
    Gstreamer(#[source] gst::glib::Error),
    /// An element is not installed; the package is Debian 12's.
    #[error("gstreamer element {element} is missing: apt-get install {package}")]
    Missing {
        /// Factory name.
        element: &'static str,
        /// Debian package that brings it.
        package: &'static str,
    },
    /// A pipeline could not be put together or started.
    #[error("pipeline `{pipeline}` cannot be built: {reason}")]
    Build {
        /// Which pipeline.
        pipeline: &'static str,
        /// GStreamer's own words.
        reason: String,
    },
    /// No encoder of the wanted kind is there and works.
    #[error("no encoder for rung `{rung}`: {}", .reasons.join("; "))]
    Encoder {
        /// Name of the rung.
        rung: String,
        /// What is wrong with each candidate.
        reasons: Vec<String>,
    },
    /// An element of the running ladder failed.
    #[error("ladder failed in {element}: {reason}")]
    Ladder {
        /// Name of the element that reported it.
        element: String,
        /// GStreamer's own words.
        reason: String,
    },
    /// The encoders are slower than real time.
    #[error("ladder is {behind_ms} ms behind its clock: too many or too large rungs for this machine")]
    Behind {
        /// Lateness of the frame that could not be handed on, milliseconds.
        behind_ms: u64,
    },
    /// The probe of a new stream's ladder found the machine too slow for it.
    #[error(
        "this machine encodes the ladder at {times:.1} x real time: fewer or smaller `ladder.rungs`, or `ladder.probe = \"warn\"`"
    )]
    TooSlow {
        /// Multiple of real time.
        times: f64,
    },
    /// A listener could not be opened.
    #[error("cannot listen on {addr} (config key `{key}`)")]
    Listen {
        /// The config key that says where.
        key: &'static str,
        /// The configured address.
        addr: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The listener for OBS's questions could not be opened.
    #[error(transparent)]
    Ask(#[from] listen::Error),
    /// The SRT listener could not be opened.
    #[error("srt cannot listen (config key `ingest.srt.listen`)")]
    Srt(#[source] Box<srt::Error>),
    /// Program time cannot be kept, so a restart could step back.
    #[error("cannot keep program time in {}", path.display())]
    ProgramTime {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no thread or no random bytes.
    #[error("out of system resources: {0}")]
    System(String),
}
