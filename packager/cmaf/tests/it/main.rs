//! The push parser on what others send: whole, in any pieces, and spoilt.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod push;
