//! What fuzz targets and property tests run alike.

use cmaf::push::{Error, Event, Parser};

/// All events of a body that comes in pieces of these lengths, over and over, and how it ended.
pub(crate) fn events(body: &[u8], pieces: &[usize]) -> (Vec<Event>, Result<(), Error>) {
    let mut parser = Parser::new(None);
    let (mut events, mut rest) = (Vec::new(), body);
    let mut lengths = pieces.iter().copied().filter(|length| *length > 0).cycle();
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        parser.push(piece);
        loop {
            match parser.next() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    let ended = parser.finish();
    (events, ended)
}

/// Whatever the bytes are, how they are cut changes nothing, and no more comes out than went in.
pub(crate) fn splits(body: &[u8]) {
    let whole = events(body, &[]);
    let cut = body.first().map_or(1, |byte| usize::from(byte % 61) + 1);
    assert_eq!(whole, events(body, &[1]));
    assert_eq!(whole, events(body, &[cut, 3, 1_024]));
    let media: usize = whole
        .0
        .iter()
        .map(|event| match event {
            Event::Unit(unit) => unit.data.len(),
            Event::Init(_) | Event::Last => 0,
        })
        .sum();
    assert!(media <= body.len());
}
