//! What a second of a track at 4 Mb/s costs between ingest and packager.

use bytes::{Bytes, BytesMut};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use feed::{Decoder, Message, Unit, encode};
use hls::id::Cell;

const UNITS: u64 = 30;
const UNIT_BYTES: usize = 16_000;
/// Half a second of units between two watermarks.
const CELL_UNITS: u64 = 15;

fn main() {
    divan::main();
}

/// In portions of so many bytes, as reads of a socket give them. The units are kept, as in an open cell.
#[divan::bench(args = [4 << 10, 64 << 10])]
fn decode_units(bencher: Bencher, portion: usize) {
    let (messages, wire) = second();
    let mut decoder = Decoder::default();
    assert_eq!(decode(&mut decoder, &wire, portion), messages);
    bencher
        .counter(BytesCount::new(wire.len()))
        .bench_local(|| decode(&mut decoder, black_box(&wire), portion));
}

/// Into a buffer that is used again.
#[divan::bench]
fn encode_units(bencher: Bencher) {
    let (messages, wire) = second();
    let mut out = BytesMut::with_capacity(wire.len());
    bencher.counter(BytesCount::new(wire.len())).bench_local(|| {
        out.clear();
        black_box(&messages)
            .iter()
            .for_each(|message| encode(message, &mut out));
        out.len()
    });
}

fn decode(decoder: &mut Decoder, wire: &[u8], portion: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for bytes in wire.chunks(portion) {
        decoder.push(bytes);
        while let Some(message) = decoder.next().expect("the bytes are a feed") {
            messages.push(message);
        }
    }
    messages
}

/// One second's messages, each unit in memory of its own as the encoder delivers them, and their bytes.
fn second() -> (Vec<Message>, BytesMut) {
    let mut messages = Vec::new();
    for time in 0..UNITS {
        messages.push(Message::Unit(Unit {
            track: 0,
            time,
            key: time == 0,
            data: Bytes::from(vec![0xAB; UNIT_BYTES]),
        }));
        if time % CELL_UNITS == CELL_UNITS - 1 {
            let cell = Cell(time / CELL_UNITS);
            messages.push(Message::Watermark { track: 0, cell });
        }
    }
    let mut wire = BytesMut::new();
    messages.iter().for_each(|message| encode(message, &mut wire));
    (messages, wire)
}
