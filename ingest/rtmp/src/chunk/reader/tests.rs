use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::chunk::Writer;

const LIMIT: usize = 8 << 20;

fn read_all(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

fn message(timestamp_ms: u32, payload: &[u8]) -> Message {
    Message {
        timestamp_ms,
        kind: 9,
        stream: 1,
        payload: Bytes::copy_from_slice(payload),
    }
}

#[test]
fn types_1_2_3_take_the_rest_from_the_header_before() {
    let mut bytes = vec![0x04, 0, 0, 10, 0, 0, 1, 9, 1, 0, 0, 0, 0xA0];
    bytes.extend([0x44, 0, 0, 5, 0, 0, 2, 8, 0xB0, 0xB1]);
    bytes.extend([0x84, 0, 0, 7, 0xC0, 0xC1]);
    bytes.extend([0xC4, 0xD0, 0xD1]);
    let messages = read_all(&mut Reader::new(LIMIT, 64), &bytes).unwrap();
    let seen: Vec<_> = messages
        .iter()
        .map(|m| (m.timestamp_ms, m.kind, m.stream, m.payload.len()))
        .collect();
    assert_eq!(seen, [(10, 9, 1, 1), (15, 8, 1, 2), (22, 8, 1, 2), (29, 8, 1, 2)]);
}

#[test]
fn type_3_after_type_0_adds_its_timestamp() {
    let bytes = [0x04, 0, 0, 10, 0, 0, 1, 9, 1, 0, 0, 0, 1, 0xC4, 2];
    let messages = read_all(&mut Reader::new(LIMIT, 64), &bytes).unwrap();
    assert_eq!(messages[1].timestamp_ms, 20);
}

#[test]
fn extended_timestamps_are_repeated_in_type_3_chunks() {
    for timestamp in [0x00FF_FFFE, 0x00FF_FFFF, 0x0100_0000, u32::MAX] {
        let mut output = BytesMut::new();
        let sent = message(timestamp, &[5; 300]);
        Writer::default().write(6, &sent, &mut output);
        let extended = if timestamp >= 0x00FF_FFFF { 4 * 3 } else { 0 };
        assert_eq!(output.len(), 12 + 300 + 2 + extended);
        assert_eq!(read_all(&mut Reader::new(LIMIT, 64), &output).unwrap(), [sent]);
    }
}

#[test]
fn chunk_stream_ids_have_one_two_or_three_bytes() {
    let rest = [0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0];
    for (basic_header, id) in [
        (vec![0x3F], 63),
        (vec![0x00, 0], 64),
        (vec![0x00, 255], 319),
        (vec![0x01, 255, 255], 65599),
    ] {
        let mut reader = Reader::new(LIMIT, 64);
        let bytes = [basic_header, rest.to_vec()].concat();
        assert_eq!(read_all(&mut reader, &bytes).unwrap().len(), 1);
        assert!(reader.streams.contains_key(&id), "{id}");
    }
}

#[test]
fn a_fresh_chunk_stream_may_begin_with_type_1_but_not_2_or_3() {
    let mut reader = Reader::new(LIMIT, 64);
    assert_eq!(
        read_all(&mut reader, &[0x42, 0, 0, 0, 0, 0, 1, 3, 9])
            .unwrap()
            .len(),
        1
    );
    for first in [0x85, 0xC5] {
        assert_eq!(
            read_all(&mut reader, &[first, 0, 0, 0]),
            Err(Error::NothingToRepeat(5))
        );
    }
}

#[test]
fn chunks_of_two_streams_may_interleave() {
    let mut bytes = vec![0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
    bytes.extend([1; 128]);
    bytes.extend([0x05, 0, 0, 0, 0, 0, 1, 8, 1, 0, 0, 0, 7, 0xC4]);
    bytes.extend([2; 72]);
    let messages = read_all(&mut Reader::new(LIMIT, 64), &bytes).unwrap();
    let seen: Vec<_> = messages.iter().map(|m| (m.kind, m.payload.len())).collect();
    assert_eq!(seen, [(8, 1), (9, 200)]);
}

#[test]
fn a_header_inside_a_message_is_refused() {
    let mut bytes = vec![0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
    bytes.extend([1; 128]);
    bytes.extend([0x84, 0, 0, 0]);
    assert_eq!(
        read_all(&mut Reader::new(LIMIT, 64), &bytes),
        Err(Error::InsideMessage(4))
    );
}

#[test]
fn abort_discards_the_partial_message_only() {
    let mut reader = Reader::new(LIMIT, 64);
    let mut bytes = vec![0x04, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0];
    bytes.extend([1; 128]);
    assert_eq!(read_all(&mut reader, &bytes).unwrap(), []);
    assert_eq!(reader.partial_bytes(), 128);
    reader.abort(4);
    reader.abort(99);
    assert_eq!(reader.partial_bytes(), 0);
    assert_eq!(
        read_all(&mut reader, &[0x44, 0, 0, 0, 0, 0, 1, 8, 3])
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn chunk_sizes_outside_the_range_are_refused() {
    let mut reader = Reader::new(LIMIT, 64);
    for size in [0, 0x8000_0000, 0x8000_0001, u32::MAX] {
        assert_eq!(reader.set_chunk_size(size), Err(Error::Size(size)));
    }
    for (size, in_use) in [
        (1, 1),
        (0x00FF_FFFF, 0x00FF_FFFF),
        (0x0100_0000, 0x00FF_FFFF),
        (0x7FFF_FFFF, 0x00FF_FFFF),
    ] {
        assert_eq!(reader.set_chunk_size(size), Ok(()));
        assert_eq!(reader.chunk_size, in_use);
    }
}

#[test]
fn a_message_over_the_limit_is_refused_at_its_header() {
    let mut reader = Reader::new(1000, 64);
    assert_eq!(
        read_all(&mut reader, &[0x04, 0, 0, 0, 0, 3, 233, 9, 1, 0, 0, 0]),
        Err(Error::MessageTooLong(1001))
    );
}

#[test]
fn partial_messages_share_one_limit() {
    let mut reader = Reader::new(1000, 64);
    let mut result = Ok(Vec::new());
    for id in 3..20 {
        let mut bytes = vec![id, 0, 0, 0, 0, 3, 232, 9, 1, 0, 0, 0];
        bytes.extend([1; 128]);
        result = read_all(&mut reader, &bytes);
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result, Err(Error::PartialsTooLong(1000)));
}

#[test]
fn chunk_streams_are_counted() {
    let mut reader = Reader::new(1000, 64);
    let begin = |id: u8| [id, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0];
    for id in 0..64 {
        read_all(&mut reader, &[&[0, id], &begin(0)[1..]].concat()).unwrap();
    }
    assert_eq!(read_all(&mut reader, &begin(3)), Err(Error::TooManyStreams(64)));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in prop::collection::vec((2..64u8, any::<u32>(), any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..700)), 0..12),
        size in 1..600u16,
        cut in 1..97usize,
    ) {
        let mut writer = Writer::default();
        let mut output = BytesMut::new();
        writer.set_chunk_size(size, &mut output);
        let sent: Vec<_> = messages.into_iter().map(|(id, timestamp_ms, kind, stream, payload)| {
            let message = Message { timestamp_ms, kind, stream, payload: payload.into() };
            writer.write(id, &message, &mut output);
            message
        }).collect();
        let mut reader = Reader::new(LIMIT, 64);
        let (announcement, rest) = output.split_at(16);
        prop_assert_eq!(&read_all(&mut reader, announcement).unwrap()[0].payload[..], &u32::from(size).to_be_bytes()[..]);
        reader.set_chunk_size(size.into()).unwrap();
        let mut got = Vec::new();
        for piece in rest.chunks(cut) {
            got.extend(read_all(&mut reader, piece).unwrap());
        }
        prop_assert_eq!(got, sent);
        prop_assert_eq!(reader.partial_bytes(), 0);
    }

    #[test]
    fn garbage_stays_within_the_limits(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let mut reader = Reader::new(500, 8);
        let mut input = bytes.as_slice();
        while let Ok(Some(message)) = reader.read(&mut input) {
            prop_assert!(message.payload.len() <= 500);
        }
        prop_assert!(reader.partial_bytes() <= 500);
        prop_assert!(reader.header.capacity() <= HEADER_BYTES_MAX);
        prop_assert!(reader.streams.len() <= 8);
    }
}
