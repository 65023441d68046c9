//! What every input must satisfy, one function for each reader of foreign bytes. Property tests run them here, and
//! `fuzz/` runs them under libFuzzer. They panic where it does not hold.

use bytes::BytesMut;
use hls::id::Cell;

use crate::message::{CAPTIONS_MAX, Hello, Message};
use crate::wire::TRACKS_MAX;
use crate::{Decoder, Error, encode};

/// Messages are the same however their bytes were split, and each is written as it was read.
pub fn wire(bytes: &[u8]) {
    let Some((&piece, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len());
    assert_eq!(whole, read(bytes, piece.into()));
    let mut written = BytesMut::new();
    for message in &whole.0 {
        encode(message, &mut written);
        if let Message::Hello(hello) = message {
            shape(hello);
        }
    }
    assert_eq!(bytes.get(..written.len()), Some(written.as_ref()));
}

/// The same for one message of a kind, whose length is right.
pub fn message(bytes: &[u8]) {
    let Ok(length) = u32::try_from(bytes.len()) else {
        return;
    };
    wire(&[&[3], &length.to_be_bytes()[..], bytes].concat());
}

fn read(bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Error>) {
    let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
    for portion in bytes.chunks(piece.max(1)) {
        decoder.push(portion);
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// A shape within its bounds, and a grid that any number can be asked of.
fn shape(hello: &Hello) {
    assert!((1..=TRACKS_MAX).contains(&hello.shape.tracks.len()));
    assert!(hello.shape.captions.len() <= CAPTIONS_MAX);
    let grid = &hello.shape.grid;
    assert!(grid.part_target() >= grid.cell_duration());
    assert!(grid.target_duration() >= grid.part_target() || grid.segment_parts() == 1);
    for number in [0, hello.epoch.0, hello.discontinuity, u64::MAX] {
        let cell = Cell(number);
        assert!(grid.first_cell(grid.msn(cell)) <= cell);
        assert!(grid.cell_of_frame(grid.first_frame(cell)) <= cell);
        grid.cell_of_sample(number);
        grid.frame_at(grid.frame_time(number));
        grid.first_sample(number);
    }
}

#[cfg(test)]
mod tests;
