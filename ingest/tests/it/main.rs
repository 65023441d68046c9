//! The whole ingest on loopback, with a stand-in for the packager.
#[cfg(test)]
mod backup;
#[cfg(test)]
mod captions;
#[cfg(test)]
mod codecs;
#[cfg(test)]
mod cues;
#[cfg(test)]
mod encoder;
#[cfg(test)]
mod enhanced;
#[cfg(test)]
mod hook;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ladder;
#[cfg(test)]
mod misbehaviour;
#[cfg(test)]
mod packager;
#[cfg(test)]
mod passthrough;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod srt;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod viewer;
