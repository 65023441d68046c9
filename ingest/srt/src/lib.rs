//! SRT, the server's side of publishing: one UDP port for many callers, on libsrt 1.5.
//!
//! [`Listener::bind`] takes [`Options`], a function that answers each caller by its stream id ([`Verdict`]: accept,
//! perhaps with the passphrase of that stream, or refuse with a code the caller can show), and a function that gives
//! each accepted [`Connection`] the [`Sink`] its bytes go to. No async runtime: the owner's end of a sink is its own.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`streamid`] | pure: what an encoder's stream id means |
//! | `options` | what an operator can set, and its bounds |
//! | `listener` | opening and closing the port |
//! | `gate` | who may come in: limits, the owner's verdict, who is between verdict and connection |
//! | `connection` | one publisher as its owner sees it: address, counters, end |
//! | `reader` | the one thread that reads all connections |
//! | `link` | one connection as the reader sees it: reading, held up, draining |
//! | `counters` | what a listener has counted |
//! | [`log`] | where libsrt's own lines go |
//! | `process` | starting libsrt once, and ending it before the process ends |
//! | `ffi` | libsrt; the only `unsafe` |
//!
//! # Invariants
//! - Where a stream has a passphrase, nobody publishes without it; where it has none, encrypted callers are refused.
//! - Everything accepted is ended once, with a reason. What was received before a caller left is delivered.
//! - Nothing here prints a stream key or a passphrase.
//! - A listener that is gone has left no thread, no port and no socket; a process may exit at any time.
//! - A panic in the owner's functions ends that connection, or refuses that caller, and is counted.
//!
//! # Bounds
//! Connections in all and per address, libsrt's buffers, time without packets, time a sink may be full: [`Options`].
//! libsrt keeps no state before it has verified a caller's cookie, and finishes a handshake in the call that asks
//! for the verdict: there is no half-open connection to time out. It runs one thread per connection of its own.
//!
//! # Deliberately absent
//! Calling, rendezvous, sending, file mode, socket groups (the distribution's library is built without), callers
//! before SRT 1.3, which have no stream ids. Whether a caller encrypts is not known when the verdict is asked for;
//! libsrt checks that afterwards, by the verdict's passphrase.

mod connection;
mod counters;
mod ffi;
mod gate;
mod link;
mod listener;
pub mod log;
mod options;
mod process;
mod reader;
pub mod streamid;

pub use connection::{Connection, End, Flow, Sink};
pub use counters::Counters;
pub use ffi::{Failure, Stats};
pub use gate::{Authorize, Passphrase, Refusal, Request, Verdict};
pub use listener::{Error, Listener};
pub use options::{Invalid, Options};
pub use streamid::StreamId;
