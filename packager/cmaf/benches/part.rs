//! What a track's publication costs: a part of half a second at 2.4 Mb/s, its init segment, and both read back.

use bytes::Bytes;
use cmaf::protect::{Key, Layout};
use cmaf::{Codec, Error, Init, Sample, read};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

const TIMESCALE: u32 = 30_000;
const SAMPLES: usize = 15;
const SAMPLE_BYTES: usize = 10_000;
/// Fragment number and decode time of a part two and a half years after the program epoch.
const SEQUENCE: u32 = 160_000_000;
const DECODE_TIME: u64 = SEQUENCE as u64 * SAMPLES as u64 * 1_000;

/// An AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

fn main() {
    divan::main();
}

#[divan::bench]
fn write_part(bencher: Bencher) {
    let samples = samples();
    bencher
        .counter(BytesCount::new(SAMPLES * SAMPLE_BYTES))
        .bench(|| cmaf::part(SEQUENCE, DECODE_TIME, black_box(&samples)));
}

#[divan::bench]
fn read_part(bencher: Bencher) {
    let samples = samples();
    let bytes = cmaf::part(SEQUENCE, DECODE_TIME, &samples).expect("the samples fit a part");
    let back = read::parts(&bytes).expect("what is written can be read");
    assert!(back.iter().map(|part| &part.samples).eq([&samples]));
    bencher
        .counter(BytesCount::new(SAMPLES * SAMPLE_BYTES))
        .bench(|| read::parts(black_box(&bytes)));
}

/// AES-128: the part that was written, as a whole.
#[divan::bench]
fn seal_part(bencher: Bencher) {
    let bytes = cmaf::part(SEQUENCE, DECODE_TIME, &samples()).expect("the samples fit a part");
    bencher
        .counter(BytesCount::new(SAMPLES * SAMPLE_BYTES))
        .bench(|| KEY.seal(black_box(&bytes)));
}

/// SAMPLE-AES of sound, which encrypts ten times as much as that of pictures.
#[divan::bench]
fn write_part_of_sealed_samples(bencher: Bencher) {
    let (samples, layout) = (samples(), Layout::of(&opus()).expect("sound can be encrypted"));
    bencher
        .counter(BytesCount::new(SAMPLES * SAMPLE_BYTES))
        .bench(|| layout.part(&KEY, SEQUENCE, DECODE_TIME, black_box(&samples)));
}

const KEY: Key = Key {
    kid: [1; 16],
    key: [2; 16],
    iv: [3; 16],
};

fn opus() -> Codec {
    Codec::Opus {
        config: Bytes::new(),
        channels: 2,
    }
}

#[divan::bench]
fn write_init(bencher: Bencher) {
    let codec = codec();
    init(&codec).expect("the configuration is sound");
    bencher.bench(|| init(black_box(&codec)));
}

#[divan::bench]
fn read_init(bencher: Bencher) {
    let init = init(&codec()).expect("the configuration is sound");
    let (timescale, _) = read::init(&init.bytes).expect("what is written can be read");
    assert_eq!(timescale, TIMESCALE);
    bencher.bench(|| read::init(black_box(&init.bytes)));
}

fn init(codec: &Codec) -> Result<Init, Error> {
    Init::new(codec, TIMESCALE, None)
}

fn codec() -> Codec {
    Codec::H264 {
        config: Bytes::from_static(AVCC),
        width: 64,
        height: 64,
    }
}

/// A key frame and what depends on it, each in memory of its own as the feed delivers them.
fn samples() -> Vec<Sample> {
    let sample = |index| Sample {
        duration: 1_000,
        key: index == 0,
        composition: 0,
        data: Bytes::from(vec![0xAB; SAMPLE_BYTES]),
    };
    (0..SAMPLES).map(sample).collect()
}
