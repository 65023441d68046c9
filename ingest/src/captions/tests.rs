use super::*;
use crate::media::{Framing, VideoCodec, VideoFormat};
use proptest::prelude::*;

const LENGTHS: VideoFormat = VideoFormat {
    codec: VideoCodec::H264,
    framing: Framing::Record,
};

fn rate(num: u32, den: u32) -> FrameRate {
    FrameRate::new(num, den).unwrap()
}

fn unit(nals: &[&[u8]]) -> Bytes {
    let nals = nals.iter().flat_map(|nal| {
        let length = u32::try_from(nal.len()).unwrap().to_be_bytes();
        length.into_iter().chain(nal.iter().copied())
    });
    nals.collect()
}

/// Pair `n` of a field.
fn pair(field: u8, n: u8) -> Triple {
    [0xFC | field, 0x80 | n, 0x20]
}

#[test]
fn padding_is_left_out_and_other_messages_are_passed_over() {
    let said = [
        pair(0, 1),
        [0xFC, 0x80, 0x80],
        [0xF8, 1, 2],
        [0xFA, 0, 0],
        pair(1, 2),
        [0xFF, 2, 0],
    ];
    let sei = sei::write(&said);
    // A message of another type before it, of more than 255 bytes.
    let mut two = vec![6, 5, 255, 10];
    two.extend([9; 265]);
    two.extend(&sei[1..]);
    let expected = [pair(0, 1), pair(1, 2), [0xFF, 2, 0]];
    assert_eq!(of_unit(LENGTHS, &unit(&[&[9, 0xF0], &two, &[0x65, 1]])), expected);
    let start_codes = VideoFormat {
        framing: Framing::StartCodes,
        ..LENGTHS
    };
    let bytes = [&[0, 0, 0, 1, 9, 0xF0, 0, 0, 1][..], &two, &[0, 0, 1, 0x65, 1]].concat();
    assert_eq!(of_unit(start_codes, &bytes), expected);
    let hevc = VideoFormat {
        codec: VideoCodec::Hevc,
        ..LENGTHS
    };
    let prefix = [&[39 << 1, 1][..], &sei[1..]].concat();
    assert_eq!(of_unit(hevc, &unit(&[&prefix])), expected);
}

#[test]
fn the_sei_stands_right_before_the_picture() {
    let sei = sei::write(&[pair(0, 1)]);
    let plain = unit(&[&[6, 5, 1, 7, 0x80], &[0x65, 1, 2]]);
    let with = with_sei(plain.clone(), &sei);
    assert_eq!(without_captions(with.clone()), plain, "they are taken out again");
    assert_eq!(without_captions(plain.clone()), plain);
    assert_eq!(with, unit(&[&[6, 5, 1, 7, 0x80], &sei, &[0x65, 1, 2]]));
    let none = unit(&[&[6, 5, 1, 7, 0x80]]);
    assert_eq!(with_sei(none.clone(), &sei), none);
}

#[test]
fn rates_of_encoder_and_stream_may_differ() {
    for (num, den) in [(24, 1), (25, 1), (30_000, 1_001), (30, 1), (50, 1), (60, 1)] {
        let (mut queue, mut out) = (Queue::default(), Vec::new());
        // 25 frames a second with a pair each, and 15 triples of CEA-708.
        for n in 0..100_u64 {
            let number = u8::try_from(n).unwrap();
            let services = (0..15).map(|k| [0xFE, number, k]);
            assert_eq!(
                queue.push([pair(0, number), pair(1, number)].into_iter().chain(services)),
                0
            );
            let (from, to) = (
                n * u64::from(num) / u64::from(den) / 25,
                (n + 1) * u64::from(num) / u64::from(den) / 25,
            );
            for frame in from..to {
                let triples = queue.frame(frame, rate(num, den));
                assert!(
                    triples.len() <= 31 && triples.len() as u64 <= 600 * u64::from(den) / u64::from(num) + 1
                );
                out.extend(triples);
            }
        }
        (1_000..1_030).for_each(|frame| out.extend(queue.frame(frame, rate(num, den))));
        for field in 0..2 {
            let of_field = out.iter().filter(|triple| triple[0] & 3 == field).copied();
            let expected: Vec<Triple> = (0..100).map(|n| pair(field, n)).collect();
            assert_eq!(of_field.collect::<Vec<_>>(), expected, "{num}/{den}");
        }
        let services = out.iter().filter(|triple| triple[0] == 0xFE);
        assert!(
            services.clone().is_sorted() && services.count() == 1_500,
            "{num}/{den}"
        );
    }
}

#[test]
fn what_waits_is_bounded_and_the_oldest_go() {
    let mut queue = Queue::default();
    let lost: u64 = (0..100).map(|n| queue.push([pair(0, n)])).sum();
    assert_eq!(lost, 100 - PAIRS_MAX as u64);
    assert_eq!(queue.frame(0, rate(30, 1)), [pair(0, 40)]);
    queue.clear();
    assert_eq!(queue.frame(1, rate(30, 1)), [[0; 3]; 0]);
    let board = Board::default();
    (0..1_000).for_each(|frame| board.note(frame, &[pair(0, 1)]));
    assert!(board.of(399).is_none() && board.of(400).is_some() && board.of(999).is_some());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(triples in prop::collection::vec(any::<[u8; 2]>(), 0..=31)) {
        let triples: Vec<Triple> = triples.into_iter().map(|[one, two]| [0xFE, one, two]).collect();
        let sei = sei::write(&triples);
        prop_assert!(!sei.windows(3).any(|three| three[..2] == [0, 0] && three[2] < 3));
        let with = with_sei(unit(&[&[0x41, 0]]), &sei);
        prop_assert_eq!(of_unit(LENGTHS, &with), triples);
    }

    #[test]
    fn any_bytes_are_read_or_passed_over(bytes in prop::collection::vec(any::<u8>(), 0..200), by_length: bool) {
        let framing = if by_length { Framing::Record } else { Framing::StartCodes };
        let nal = [&[6_u8][..], &bytes].concat();
        of_unit(VideoFormat { framing, ..LENGTHS }, &bytes);
        of_unit(LENGTHS, &unit(&[&nal]));
    }
}
