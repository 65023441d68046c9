//! RTMP, the server's side of one publish, as a machine without sockets, clock or randomness.
//!
//! The shell reads bytes and calls [`Session::handle`], drains [`Session::poll_event`] and [`Session::poll_output`],
//! answers [`Event::Publish`] by [`Session::accept`] or [`Session::refuse`], and calls [`Session::handle_timeout`]
//! when [`Session::deadline`] has passed.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`session`] | the machine: states, order of commands, deadlines, acknowledgements |
//! | [`handshake`] | C0 C1 C2 in, S0 S1 S2 out (the simple form) |
//! | [`chunk`] | chunks to messages ([`chunk::Reader`]) and messages to chunks ([`chunk::Writer`]) |
//! | [`amf`] | AMF0 values |
//! | [`command`] | NetConnection and NetStream commands in; `_result`, `_error` and `onStatus` out |
//! | [`peer`] | what a peer says of itself when it connects, and what it is told of us |
//! | [`flv`] | bodies of audio and video messages, aggregates |
//! | [`ertmp`] | their extended headers: FourCC codes, tracks, modifiers |
//! | [`codec`] | which codecs are taken |
//! | [`record`] | whether a decoder configuration record is sound |
//! | [`data`] | data messages: [`metadata`] (`onMetaData`) and [`cue`] (where advertisements go) |
//!
//! What all readers of foreign bytes must satisfy is in `src/fuzz.rs`, for property tests here and for `fuzz/`, a
//! workspace of its own that runs it under libFuzzer.
//!
//! # Invariants
//! - Bytes from the peer never panic, and never make the session hold more than [`Limits`] say; nothing is allocated
//!   from a length read off the wire, and no event keeps more than twice its bytes of a large message alive.
//! - Events do not depend on how the peer's bytes were split into reads.
//! - One connection publishes at most once. No media leaves before the shell accepted it.
//! - Every state has a deadline.
//! - No session, event, message or error prints a stream key.
//! - What only informs (metadata, cues, capabilities) never ends a session; a malformed media tag does.
//!
//! # Deliberately absent
//! Playing, shared objects, AMF3 values, RTMPE, the digest handshake (ffmpeg offers it and accepts the simple answer),
//! decoding. Codecs besides those of [`codec`], MPEG-2 TS forms of tags and reserved kinds of multitrack are named in
//! [`Event::Unsupported`] and passed over; so is nothing else of a message that holds them. Colour information and
//! channel maps are passed over in silence: bitstreams and configuration records say the same. SCTE-35 sections are
//! handed on as the text they came as. Message stream ids of media are not compared: with one publish per connection
//! they cannot be ambiguous.
//!
//! # Specifications
//! | cited as | revision |
//! |---|---|
//! | `rtmp` | Adobe's Real Time Messaging Protocol 1.0, December 21, 2012 |
//! | `amf0` | Action Message Format AMF 0, November 2007 |
//! | `flv` | Adobe Flash Video File Format Specification 10.1, August 2010, annex E |
//! | `ertmp` | Enhanced RTMP v2, veovera.org, v2-2026-01-31-r2 |
//! | `iso14496-15` | Carriage of NAL unit structured video, 2010 (AVC) and 2022 (HEVC) |
//! | `av1-isobmff` | AV1 Codec ISO Media File Format Binding v1.2.0 |
//! | `rfc7845` | Ogg Encapsulation for the Opus Audio Codec, April 2016 |
//! | `scte35` | Digital Program Insertion Cueing Message, 2023 |
//! | `rfc3986`, `rfc4648`, `rfc5646` | URIs; base64; language tags |

pub mod amf;
pub mod chunk;
pub mod codec;
pub mod command;
pub mod cue;
pub mod data;
pub mod ertmp;
pub mod flv;
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod metadata;
pub mod peer;
pub mod record;
pub mod session;

pub use codec::{AudioCodec, VideoCodec};
pub use command::StreamKey;
pub use cue::Cue;
pub use metadata::Metadata;
pub use peer::{Capabilities, Peer};
pub use session::{Error, Event, Limits, Session, Waiting};
