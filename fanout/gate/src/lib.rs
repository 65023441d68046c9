//! What an edge's gate decides.
//!
//! # Code map
//! | module | question it answers |
//! |---|---|
//! | [`admission`] | who is served when not everybody can be |
//! | [`cmcd`] | what a player reports |
//! | [`sketch`] | how many different viewers there are |
//! | [`token`] | may this viewer play this stream (CTA-5007 Common Access Token: CWT in COSE) |
//!
//! # Invariants
//! - No clock, socket, task or file: time, addresses and texts are arguments. Only making and using a signer draws randomness.
//! - A token is read within fixed bounds, and never shown: no error and no `Debug` here contains one, or a key's secret.
//! - A restriction that is not understood refuses.

pub mod admission;
pub mod cmcd;
pub mod sketch;
pub mod token;
