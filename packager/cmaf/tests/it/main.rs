//! Bytes of ours, as FFmpeg reads them; and what others send: whole, in any pieces, and spoilt.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod protect;
#[cfg(test)]
mod push;
#[cfg(test)]
mod spoilt;
#[cfg(test)]
mod stage;
