//! The viewers of a drill: low-latency HLS players as state machines.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`player`] | what one viewer asks for, when, and what its picture does |
//! | [`listing`] | what a media playlist offers a player; read once for all viewers that are given the same text |
//! | [`ladder`] | which rungs and sounds a multivariant playlist offers |
//! | [`playout`] | where the picture is, when it freezes, how fast it catches up |
//! | [`abr`] | which rung the network can carry |
//! | [`habit`] | what a player does when a request fails |
//! | [`arrival`] | when viewers come, how long they wait and stay, when they leave |
//! | [`random`] | the only source of chance, seeded |
//! | [`url`] | what a relative URI means |
//!
//! # Invariants
//! - No clock, socket or task: `now` is the time since the drill began, and the caller's.
//! - The same seed and the same answers give the same requests.
//! - A player has at most one request in each of its five [`player::Slot`]s.
//! - A player's own state is under a kilobyte; what playlists say is shared.
//! - After `Left` a player asks for nothing.
//!
//! Deliberately absent: sockets and HTTP (`loadtest`), decoding, byte ranges, encryption, content steering.

pub mod abr;
pub mod arrival;
pub mod habit;
pub mod ladder;
pub mod listing;
pub mod player;
pub mod playout;
pub mod random;
pub mod url;

pub use player::{Ask, Failure, Output, Player, Slot};
