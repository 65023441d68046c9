//! Bytes of ours, as FFmpeg reads them.

#[cfg(test)]
mod protect;
#[cfg(test)]
mod stage;
