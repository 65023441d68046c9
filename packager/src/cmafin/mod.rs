//! CMAF from other encoders, by HTTP: DASH-IF Live Media Ingest Protocol, Interface 1.
//!
//! | module | question it answers |
//! |---|---|
//! | [`config`] | which streams may be sent, and what they have to look like |
//! | `path` | PURE: which track a request is of |
//! | `line`, `place`, `track`, `machine` | PURE: where an encoder's units lie on our grid, and when a life begins |
//! | `refusal` | PURE: what an encoder is told that cannot be taken |
//! | `claims` | who sends a stream: ingests or an encoder |
//! | `session` | one stream: its machine, and the window it writes to |
//! | `intake` | what a request is answered |
//!
//! What the machine has to say goes the way of a feed's messages, so that all that is behind knows no difference.

pub(crate) mod claims;
pub mod config;
mod intake;
mod line;
mod machine;
mod path;
mod place;
mod refusal;
mod session;
#[cfg(test)]
mod tests;
mod track;

pub(crate) use intake::Intake;
