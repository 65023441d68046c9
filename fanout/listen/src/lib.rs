//! HTTP listeners of origin, edge and ops: bounded connections, deadlines, TLS, and a drain that loses nobody.
//!
//! Code map: `serve` the accept loop, `plain` HTTP/1.1 as players speak it (hyper speaks the rest, and all of HTTP/2), [`Peer`] who is at the
//! other end, [`Incoming`] what a request carries, [`Body`] an answer made of shared chunks or a [`File`], [`answer`] the headers that origin and edge share, [`playlist`] a text's delta and compressed forms, `negotiate` what headers ask for, [`tls`] the certificate.
//!
//! Invariants:
//! - A connection has a deadline in every state: TLS handshake, request head, idle, and unacknowledged bytes.
//! - At [`Limits::connections`] no more are accepted; the kernel's backlog holds the rest.
//! - On shutdown accepting stops, requests under way are answered, and after [`Limits::drain`] what is left is cut.

mod again;
pub mod answer;
mod body;
mod file;
mod incoming;
mod metrics;
mod negotiate;
mod peer;
mod plain;
pub mod playlist;
mod serve;
pub mod tls;

pub use body::Body;
pub use file::File;
pub use incoming::Incoming;
pub use peer::Peer;
pub use serve::{Error, Limits, Listener, Open, bind};
