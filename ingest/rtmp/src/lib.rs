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
//! | [`flv`] | bodies of audio and video messages, aggregates |
//! | [`metadata`] | `onMetaData` |
//!
//! # Invariants
//! - Bytes from the peer never panic, and never make the session hold more than [`Limits`] and [`EVENTS_MAX`] say;
//!   nothing is allocated from a length read off the wire.
//! - Events do not depend on how the peer's bytes were split into reads.
//! - One connection publishes at most once. No media leaves before the shell accepted it.
//! - Every state has a deadline.
//! - No session, event, message or error prints a stream key.
//!
//! # Deliberately absent
//! Playing, shared objects, AMF3 values, RTMPE, the digest handshake (ffmpeg offers it and accepts the simple answer),
//! decoding of anything but H.264 and AAC. Enhanced RTMP is not advertised; its tags are named in [`Event::Unsupported`].
//! Message stream ids of media are not compared: with one publish per connection they cannot be ambiguous.
//!
//! # Specifications
//! | cited as | revision |
//! |---|---|
//! | `rtmp` | Adobe's Real Time Messaging Protocol 1.0, December 21, 2012 |
//! | `amf0` | Action Message Format AMF 0, November 2007 |
//! | `flv` | Adobe Flash Video File Format Specification 10.1, August 2010, annex E |
//! | `iso14496-15` | Carriage of NAL unit structured video, 2010 |
//! | `ertmp` | Enhanced RTMP v2, veovera.org, v2-2024-09-30 (recognised by name only) |

pub mod amf;
pub mod chunk;
pub mod command;
pub mod flv;
pub mod handshake;
pub mod metadata;
pub mod session;

pub use command::StreamKey;
pub use metadata::Metadata;
pub use session::{EVENTS_MAX, Error, Event, Limits, Session, Waiting};
