//! The feed: encoded access units on their way from ingest to packager.
//!
//! Code map: [`message`] what is said, [`wire`] how it looks in bytes, [`auth`] who may say it,
//! [`cue`] where programme and breaks meet, [`mod@fuzz`] what every input must satisfy: for property tests here, and for
//! `fuzz/`, a workspace of its own.
//!
//! A connection goes: packager sends [`Message::Challenge`]; ingest answers [`Message::Hello`], which carries
//! the stream's whole shape and a MAC over the challenge; packager sends [`Message::Resume`] with the cell it
//! wants first, or [`Message::Refuse`]; then ingest sends units, gaps and watermarks until [`Message::End`].
//!
//! Invariants:
//! - Units of a track come in order of their time, and before the watermark that closes their cell.
//! - A watermark means: every unit of that cell and all before it has been sent, or a gap was declared.
//! - No length read off the wire is allocated before its bytes are here; no message exceeds
//!   [`wire::MESSAGE_BYTES_MAX`].
//! - There is no clock, socket or task here.

pub mod auth;
pub mod cue;
pub mod fuzz;
pub mod message;
pub mod wire;

pub use cue::Cue;
pub use message::{Codec, Hello, Message, Shape, Track, Unit};
pub use wire::{Decoder, Error, encode};
