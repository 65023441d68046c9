//! HTTP listeners of origin, edge and ops: bounded connections, deadlines, TLS, and a drain that loses nobody.
//!
//! Code map: `serve` the accept loop, `limits` its bounds, `seat` and `roster` what connections do and when they have to end, `guard` and
//! `sent` where they tell so, `plain` HTTP/1.1 as players speak it (hyper speaks the rest), `strict` what is no request, `failure` why a
//! connection broke, [`Peer`] who is at the other end, [`Incoming`] what a request brings, [`Body`] an answer made of shared chunks, which may
//! also be a [`File`], [`answer`] the headers that origin and edge share, [`playlist`] a text's delta and compressed forms,
//! `negotiate` what headers ask for, [`tls`] the certificate.
//!
//! Invariants:
//! - A connection has a deadline in every state: TLS handshake, request head, idle, an answer that does not move, unacknowledged bytes.
//!   Waiting for an answer has none here: whoever answers has.
//! - What the kernel holds for a connection is bounded, and the rest of an answer is shared.
//! - At [`Limits::connections`] the longest idle are closed for newcomers; where nobody is idle, the kernel's backlog holds the rest.
//! - On shutdown accepting stops, requests under way are answered, and after [`Limits::drain`] what is left is cut.
//! - Whatever is refused or cut here is counted by its cause.

mod again;
pub mod answer;
mod body;
mod failure;
mod file;
mod guard;
mod incoming;
mod limits;
mod metrics;
mod negotiate;
mod peer;
mod plain;
pub mod playlist;
mod roster;
mod seat;
mod sent;
mod serve;
mod strict;
pub mod tls;

pub use body::Body;
pub use file::File;
pub use incoming::Incoming;
pub use limits::Limits;
pub use peer::Peer;
pub use serve::{Error, Listener, Open, bind};
