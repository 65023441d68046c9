//! MPEG-TS in, access units out: the demultiplexer of a contribution, as a machine without sockets, clock or randomness.
//!
//! The shell hands every received byte to [`Demux::handle`], drains [`Demux::poll`] after each call, and calls
//! [`Demux::finish`] when the contribution ends.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`event`] | what comes out: tracks, units, cues, counters |
//! | [`limits`] | every bound, with unit and default |
//! | `demux` | the machine: tables, and which PID goes where |
//! | `stream` | one stream: its packets to units, what a loss does |
//! | `framer` | where packets begin in a byte stream |
//! | `packet` | one packet's header and adaptation field; continuity |
//! | `section` | packets to PSI and SCTE-35 sections, CRC checked |
//! | `psi` | PAT and PMT; stream types and descriptors to codecs |
//! | `pes` | packets to PES headers and payload |
//! | `video` | PES payload to access units: boundaries, key frames, parameter sets, missing timestamps |
//! | `audio` | PES payload to audio frames and their exact times; `adts` and `opus` know the headers |
//! | [`scte35`] | what a splice_info_section says |
//! | `queue` | the bounded queue of events |
//! | `bits` | bit fields |
//!
//! # Invariants
//! - Bytes from the peer never panic, and never make the machine hold more than [`Limits`] says; nothing is allocated
//!   from a length read off the wire.
//! - Events do not depend on how the bytes were split into calls, as long as the queue is drained between calls.
//! - A unit that lost bytes is never handed out: it is dropped and counted, and [`Event::Discontinuity`] tells the
//!   owner, who may then skip to the next key frame.
//! - Timestamps are the encoder's own, 33 bits, not unwrapped. A unit without one is given one only next to a unit of
//!   known time; after a loss units without a timestamp are dropped until one arrives.
//! - An access unit leaves when the next one begins (it may go on in the next PES packet), or at [`Demux::finish`].
//!
//! # Deliberately absent
//! 192 and 204 byte packets, descrambling, all programs but the first, LATM, AC-3 and other codecs (named in
//! [`Codec::Unsupported`]), teletext and subtitles, SVC and MVC layers, decoding of parameter sets, pairing of fields (a
//! field coded as its own picture is its own access unit), measuring of PCR jitter (it needs a clock).
//!
//! # Specifications
//! | cited as | revision |
//! |---|---|
//! | `iso13818-1` | MPEG-2 Systems, ITU-T H.222.0 (06/2021) |
//! | `iso14496-3` | MPEG-4 Audio, 2009 |
//! | `h264` | ITU-T H.264 (08/2021) |
//! | `h265` | ITU-T H.265 (08/2021) |
//! | `scte35` | ANSI/SCTE 35 2022 |
//! | `opus-ts` | ETSI TS Opus draft 0.1.3, Xiph OpusTS |

mod adts;
mod audio;
mod bits;
mod demux;
pub mod event;
mod framer;
pub mod limits;
mod opus;
mod packet;
mod pes;
mod psi;
mod queue;
pub mod scte35;
mod section;
mod stream;
mod video;

pub use demux::Demux;
pub use event::{AudioCodec, Codec, Counters, Event, Language, Medium, Track, VideoCodec};
pub use limits::Limits;

/// Ticks in a second of every `pts` and `dts`.
pub const TICKS_PER_SECOND: u64 = 90_000;

/// One more than the largest `pts` and `dts`: where they wrap.
pub const TICKS_WRAP: u64 = 1 << 33;
