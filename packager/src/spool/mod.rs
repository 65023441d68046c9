//! What is published goes to disk, for a restart and for rewinding. The live path hands cells over and never waits.
//!
//! # On disk
//! `events/{stream}/{event}/`, readable by their owner alone; an event is called after its first cell.
//! | file | what |
//! |---|---|
//! | `event.json` | version, tracks, whether it is over; written by rename |
//! | `seg-{msn}` | bytes of all tracks' parts, cell by cell |
//! | `thumb-{msn}` | a picture of the segment, written by rename |
//! | `journal-{cell}` | which cells these are, from that cell on: [`codec`] |
//!
//! A cell is in the journal once its bytes are in the segment's file. So a process that is killed loses no more than the
//! cell it was at. Nothing is flushed to the device: what a power failure takes is found by its checksum.

mod codec;
pub(crate) mod disk;
mod entry;
mod event;
mod load;
mod queue;
mod recording;
#[cfg(test)]
mod samples;
mod shelf;
mod tape;
mod writer;

pub(crate) use entry::Life;
pub(crate) use load::{Loaded, open, past_event};
pub(crate) use queue::{Job, Spool};
pub(crate) use recording::Due;
pub(crate) use shelf::{List, Lost, Shelf};
pub(crate) use tape::mark;
