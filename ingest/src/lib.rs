//! Ingest: one unbroken stream out of whatever encoders do.
//!
//! # Life of a frame
//! An encoder connects over RTMP, RTMPS (`rtmp`) or SRT (`srt`). Whatever it speaks, the `door` checks its key
//! ([`Keys`]), finds its stream (`streams`), and gives it a seat: primary or backup, in place of whoever had it
//! (`desk`). Its units (`media`) are given one clock (`retime`), decoded in a disposable pipeline (`pipeline::decode`)
//! and kept ready, a second at most, by its `contribution`.
//!
//! The `switcher` is a thread clocked by the stream (`program`), not by any encoder. At every frame time it takes from
//! both encoders the frame that the `playout` clock names, asks `onair` which of them viewers see, adds exactly one
//! frame's worth of `sound`, and hands both to the ladder (`pipeline::ladder`). On the first frame of a GOP it asks for
//! a key frame, once for all rungs. Where there is no encoder it hands on the test picture or the slate (`picture`).
//!
//! What the encoders of the ladder give gets its program time and watermarks (`units`) and goes into the replay ring
//! (`push::replay`), from which every packager is fed at its own pace (`push`).
//!
//! # Code map
//! | module | question it answers | pure |
//! |---|---|---|
//! | [`config`] | what may be set, and every bound | yes |
//! | `start` | how it is put together and taken down | |
//! | `streams` | which streams run, and that they go on | |
//! | `life` | one ladder, or one encoder in its place, from its first frame to its end | |
//! | `stream` | one stream as its publishers see it | |
//! | [`report`] | what operators are told, and what they may order | |
//! | [`keys`] | who may publish what until when, and the file that says so | but for the file |
//! | `hook` | whether somebody else lets it in | |
//! | `door` | the one way in, for every protocol | |
//! | `desk` | who is let in, who has to go | yes |
//! | `gate` | how many connections an address has | |
//! | `rtmp` | sockets, with or without TLS, around the session machine of crate `rtmp` | |
//! | `srt` | publishers of crate `srt`, their MPEG-TS taken apart by crate `ts` | |
//! | `media` | what a publisher sends, in the words of every protocol | yes |
//! | `nal` | NAL units of an access unit, however they are told apart | yes |
//! | `contribution` | one publisher between its socket and the switcher | |
//! | [`doctor`] | what is wrong with what an encoder sends, and what to set there | yes |
//! | `retime` | one clock for its sound and picture | yes |
//! | `passage` | whether an encoder sends what the ladder would make, and its units on the stream's grid | yes |
//! | `relay`, `boarding`, `passer` | passing it on: from its connection to the feed, from which frame on, for how long | |
//! | `multitrack` | what an OBS is told that sends the whole ladder | but for `serve` |
//! | `playout` | which of its frames is due, and how long late sound is waited for | yes |
//! | `sound` | its samples at the stream's pace, without clicks | yes |
//! | `captions` | its captions in step with the stream, in every rung | yes |
//! | `cues` | what it says of breaks, and in which frame of the stream they are | yes |
//! | [`interstitials`] | what operators have players show instead of the programme | yes |
//! | `onair` | test picture, primary, backup, a last picture, or slate | yes |
//! | `switcher` | a frame and its sound at every tick | |
//! | `picture` | test picture with its clock, tone, slate | |
//! | `ladder` | which rungs and renditions the stream has | yes |
//! | [`probe`] | what this machine can encode, and what it lacks for it | |
//! | `branch` | which frames of a rung are encoded, and how busy that keeps it | |
//! | `shed` | which rungs a machine that is too slow goes without | yes |
//! | `overload` | doing so, at every frame | |
//! | `watch` | black, frozen, silent or loud output | yes |
//! | `watcher` | looking at it beside the tick | |
//! | `program` | program time, and what a restart must not fall behind | |
//! | `pipeline` | everything GStreamer: cards, slates, decoders, trials of encoders, the ladder | |
//! | `units` | coded frames to feed messages | |
//! | `push` | connections to packagers, and what they may still ask for | |
//!
//! # Invariants
//! - The ladder gets frame `n` at `t0 + n / rate`, for every `n`, whatever encoders do; late ticks are made up, none is
//!   skipped. Frame numbers and sample numbers of the feed have no holes for as long as a ladder lives.
//! - Key frames stand on the grid and nowhere else, on the same frames in every rung.
//! - Nothing of an encoder but decoded frames and samples reaches the switcher: a fault in a decoder ends with it. What is
//!   passed through keeps the same grid, or is no longer passed through.
//! - The tick path takes no lock that is held across I/O, and waits for nothing but the ladder itself.
//! - libsrt's own threads look into memory and hand on bytes; nothing on them waits.
//! - A cell is complete before its watermark, and program time never steps back, over restarts included.
//! - Every queue has a bound: 256 units from socket to decoder, 120 inside a decoder, 30 decoded frames, 2 s of
//!   samples, 60 raw frames before the ladder and about 1 s of them before each of its encoders, 30 ticks before the
//!   watch, captions of 120 units and 2 s, 64 cues of an encoder and 64 of the stream, 64 interstitials that are not over, 64 reads of an SRT connection, 64 publishers whom the hook is not told of yet, and a replay ring bounded in
//!   time and bytes. Who cannot keep up loses whole GOPs and is told so.
//! - A stream key is held hashed and printed nowhere. Keys change while publishers are live; one that is live stays
//!   unless its key was revoked with `disconnect`.
//!
//! # Deliberately absent
//! Ending an event by itself ([`feed::Message::End`] is an operator's act, a shutdown is not one).

mod boarding;
mod branch;
mod captions;
pub mod config;
mod contribution;
mod cues;
mod desk;
pub mod doctor;
mod door;
mod error;
mod gate;
mod hook;
pub mod interstitials;
pub mod keys;
mod ladder;
mod life;
mod media;
mod metrics;
mod multitrack;
mod nal;
mod onair;
mod overload;
mod passage;
mod passer;
mod picture;
mod pipeline;
mod playout;
pub mod probe;
mod program;
mod push;
mod relay;
pub mod report;
mod retime;
mod rtmp;
mod shed;
mod sound;
mod srt;
mod start;
mod stream;
mod streams;
mod switcher;
mod units;
mod watch;
mod watcher;

pub use desk::{Policy, Role};
pub use error::Error;
pub use keys::{Grant, Keys};
pub use onair::Choice;
pub use report::Control;
pub use start::{Ingest, Ports, Running};
