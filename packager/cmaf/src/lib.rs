//! Access units in, CMAF bytes out; and back, to check what was written.
//!
//! Code map: [`codec`] what a track holds and its CODECS string, [`sample`] and [`av1`] access units as samples,
//! [`opus`] lengths of packets, `entry` sample entries, [`init`] init segments, `language` what a track speaks,
//! [`mod@part`] parts, [`protect`] both under a key, [`read`] both read back, [`push`] what other encoders send, as it
//! comes.
//!
//! Invariants:
//! - Deterministic: the same samples give the same bytes, on any machine, in any process.
//! - A part is one `moof` and one `mdat`; a segment is its parts' bytes, one after the other.
//! - Every part carries its own decode time, so any part plays after the init segment alone.
//! - A sample entry holds what decoders need before the first sample; `avc1` and `hvc1` have their parameter sets
//!   nowhere else.
//! - One track to a file (ISO/IEC 23000-19: video and audio are separate CMAF tracks).

pub mod av1;
pub mod codec;
mod entry;
pub mod init;
mod language;
pub mod opus;
pub mod part;
pub mod protect;
pub mod push;
pub mod read;
pub mod sample;

pub use codec::Codec;
pub use init::Init;
pub use part::{Sample, part};

/// Why bytes could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A decoder configuration that is not what its format says.
    #[error("{0} configuration is malformed")]
    Config(&'static str),
    /// A box could not be written or read.
    #[error("box")]
    Box(#[from] mp4_atom::Error),
    /// A part without samples.
    #[error("part without samples")]
    Empty,
    /// A sample or part that does not fit its 32-bit field.
    #[error("part is larger than 2 GiB")]
    TooLarge,
    /// What SAMPLE-AES cannot protect.
    #[error("{0} cannot be encrypted sample by sample")]
    Unprotectable(&'static str),
    /// A box that has to be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
}
