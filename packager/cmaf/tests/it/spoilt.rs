//! Bytes of ours with changes, and any bytes at all, to whatever reads them.

use bytes::Bytes;
use cmaf::{Codec, Init, Sample, part};
use proptest::prelude::*;

use crate::bodies::{boxes, seals, units};

/// A real AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

type Body = fn(&[u8]);

/// NAL units: parameter sets, SEI, an IDR slice and one that refers.
fn unit() -> Vec<u8> {
    let nal = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let slice = |head: &[u8]| nal(&[head, &[0xa5; 200]].concat());
    [
        nal(&[9, 0xf0]),
        nal(&[6, 5, 1, 0]),
        slice(&[0x65, 0x88, 0x84, 0x0a]),
        slice(&[0x41, 0x9a, 0x24]),
    ]
    .concat()
}

/// Kind of codec, length, configuration, unit: as `seals` takes them.
fn protected() -> Vec<u8> {
    [&[0, u8::try_from(AVCC.len()).unwrap()], AVCC, &unit()].concat()
}

fn segment() -> Vec<u8> {
    let codec = Codec::H264 {
        config: Bytes::from_static(AVCC),
        width: 64,
        height: 36,
    };
    let sample = |key| Sample {
        duration: 1_000,
        key,
        composition: 0,
        data: unit().into(),
    };
    let mut bytes = Init::new(&codec, 30_000, None).unwrap().bytes.to_vec();
    bytes.extend(part(7, 9_000, &[sample(true), sample(false)]).unwrap());
    bytes
}

/// AV1: a temporal delimiter, and a sequence header of libaom (64x64, main profile).
const AV1: &[u8] = &[
    0x12, 0, 0x0a, 0x0a, 0, 0, 0, 0x02, 0xaf, 0xff, 0x9b, 0x5f, 0x20, 0x08,
];

#[test]
fn what_is_changed_here_is_read_as_it_is() {
    assert_eq!(cmaf::read::parts(&segment()).unwrap()[0].samples.len(), 2);
    assert!(cmaf::read::init(&segment()).is_ok());
    assert!(cmaf::av1::configuration(AV1).is_some());
    [&unit()[..], AV1].into_iter().for_each(units);
    seals(&protected());
    boxes(&segment());
}

#[test]
fn a_part_at_the_end_of_time_has_an_end() {
    let mut bytes = segment();
    let tfdt = bytes.windows(4).position(|kind| kind == b"tfdt").unwrap();
    assert_eq!(bytes[tfdt + 4], 1, "of 64 bits");
    bytes[tfdt + 8..tfdt + 16].fill(0xff);
    boxes(&bytes);
    assert_eq!(cmaf::read::parts(&bytes).unwrap()[0].end(), u64::MAX);
}

proptest! {
    #[test]
    fn spoilt_bytes_are_read_or_refused(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), end in any::<prop::sample::Index>(),
    ) {
        let bodies: [(Vec<u8>, Body); 4] =
            [(segment(), boxes), (unit(), units), (AV1.to_vec(), units), (protected(), seals)];
        for (mut bytes, body) in bodies {
            for (index, byte) in &at {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            body(&bytes);
            body(&bytes[..end.index(bytes.len())]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for body in [boxes, units, seals] {
            body(&bytes);
        }
    }
}
