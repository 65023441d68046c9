//! Our own writer's bytes, and bytes made by hand where it has no such thing.

use bytes::Bytes;
use cmaf::push::{self, Error, Event, Parser};
use cmaf::{Codec, Init, Sample, part};
use proptest::prelude::*;

use crate::bodies::{events, splits};

/// A real AVCDecoderConfigurationRecord of x264 (baseline, 64x64).
const AVCC: &[u8] = &[
    1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 0x17, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x26, 0xc0, 0x44, 0, 0, 3,
    0, 4, 0, 0, 3, 0, 0xf0, 0x3c, 0x48, 0x99, 0x20, 1, 0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20,
];

fn video() -> Codec {
    Codec::H264 {
        config: Bytes::from_static(AVCC),
        width: 64,
        height: 36,
    }
}

fn audio() -> Codec {
    Codec::Aac {
        config: Bytes::from_static(&[0x11, 0x90]),
        channels: 2,
        rate: 48_000,
        bit_rate: 128_000,
    }
}

fn init(codec: &Codec, timescale: u32) -> Vec<u8> {
    Init::new(codec, timescale, Some("de")).unwrap().bytes.to_vec()
}

fn samples(count: u32) -> Vec<Sample> {
    let sample = |index: u32| Sample {
        duration: 1_000,
        key: index == 0,
        composition: 0,
        data: vec![u8::try_from(index % 251).unwrap(); (index % 7) as usize].into(),
    };
    (0..count).map(sample).collect()
}

/// A box of these bytes.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).unwrap();
    [&size.to_be_bytes(), &kind[..], body].concat()
}

fn stream() -> Vec<u8> {
    let mut body = init(&video(), 30_000);
    for fragment in 0..3_u32 {
        body.extend(boxed(b"styp", b"msdh\0\0\0\0msdhmsix"));
        body.extend(boxed(b"prft", &[0; 24]));
        body.extend_from_slice(&part(fragment, u64::from(fragment) * 15_000, &samples(15)).unwrap());
    }
    body
}

fn error(body: &[u8]) -> Error {
    events(body, &[]).1.unwrap_err()
}

#[test]
fn an_init_segment_says_what_its_track_is() {
    for (codec, timescale) in [(video(), 30_000), (audio(), 48_000)] {
        let (found, ended) = events(&init(&codec, timescale), &[]);
        let [Event::Init(movie)] = found.as_slice() else {
            panic!("one init segment, got {found:?}")
        };
        assert_eq!(ended, Ok(()));
        assert_eq!((movie.timescale, &movie.codec), (timescale, &codec));
        assert_eq!(movie.language.as_deref(), Some("deu"));
    }
}

#[test]
fn units_come_in_order_with_their_times() {
    let (found, ended) = events(&stream(), &[]);
    assert_eq!(ended, Ok(()));
    let units: Vec<_> = found
        .iter()
        .filter_map(|event| match event {
            Event::Unit(unit) => Some(unit),
            Event::Init(_) | Event::Last => None,
        })
        .collect();
    assert_eq!(units.len(), 45);
    for (index, unit) in (0_i64..).zip(units) {
        assert_eq!(
            (unit.time, unit.decode, unit.duration),
            (index * 1_000, index * 1_000, 1_000)
        );
        assert_eq!(unit.key, index % 15 == 0);
        assert_eq!(unit.data.len() as i64, index % 15 % 7);
    }
}

/// One request may have the init segment, and the next one media alone.
#[test]
fn an_init_segment_of_another_body_will_do() {
    let (found, _) = events(&init(&video(), 30_000), &[]);
    let Some(Event::Init(movie)) = found.first() else {
        panic!("no init segment")
    };
    let media = part(7, 90_000, &samples(2)).unwrap();
    let mut parser = Parser::new(Some(movie.clone()));
    parser.push(&media);
    assert!(matches!(parser.next(), Ok(Some(Event::Unit(unit))) if unit.time == 90_000));
    assert_eq!(error(&media), Error::NoInit);
}

#[test]
fn an_edit_list_moves_all_times() {
    // Half a second of nothing in a movie timescale of 1000, then from tick 1024 on.
    let entry = |duration: u32, media: i32| {
        [&duration.to_be_bytes()[..], &media.to_be_bytes(), &[0, 1, 0, 0]].concat()
    };
    for (entries, shift) in [
        (vec![entry(0, 1_024)], -1_024),
        (vec![entry(500, -1), entry(0, 1_024)], 15_000 - 1_024),
        (vec![entry(500, -1)], 15_000),
    ] {
        let count = u32::try_from(entries.len()).unwrap().to_be_bytes();
        let elst = boxed(b"elst", &[&[0; 4][..], &count, &entries.concat()].concat());
        let body = with_edits(&init(&video(), 30_000), &boxed(b"edts", &elst));
        let body = [body, part(1, 60_000, &samples(1)).unwrap().to_vec()].concat();
        let (found, ended) = events(&body, &[]);
        assert_eq!(ended, Ok(()));
        assert!(
            matches!(&found[1], Event::Unit(unit) if unit.time == 60_000 + shift),
            "{found:?}"
        );
    }
}

/// Puts a box at the end of `trak`, whose movie timescale it makes 1000.
fn with_edits(init: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut out = init.to_vec();
    let at = |bytes: &[u8], kind: &[u8; 4]| bytes.windows(4).position(|four| four == kind).unwrap() - 4;
    let size = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mvhd = at(&out, b"mvhd");
    let scale = mvhd + if out[mvhd + 8] == 0 { 20 } else { 28 };
    out[scale..scale + 4].copy_from_slice(&1_000_u32.to_be_bytes());
    let trak = at(&out, b"trak");
    let end = trak + size(&out, trak) as usize;
    out.splice(end..end, edits.iter().copied());
    for kind in [b"trak", b"moov"] {
        let at = at(&out, kind);
        let longer = size(&out, at) + u32::try_from(edits.len()).unwrap();
        out[at..at + 4].copy_from_slice(&longer.to_be_bytes());
    }
    out
}

#[test]
fn the_last_segment_says_so() {
    let body = boxed(b"styp", b"msdh\0\0\0\0msdhlmsg");
    assert_eq!(events(&body, &[]), (vec![Event::Last], Ok(())));
    let version = boxed(b"styp", b"msdhlmsgmsdhmsix");
    assert_eq!(events(&version, &[]).0, [], "a minor version is no brand");
}

#[test]
fn what_is_no_media_is_refused_by_name() {
    assert_eq!(error(b"GIF89a and so on"), Error::NotMp4);
    assert_eq!(error(b"#EXT"), Error::NotMp4);
    assert_eq!(
        error(&[0, 0, 0, 7, b'f', b't', b'y', b'p']),
        Error::Malformed("size")
    );
    let long = (300_u32 << 10).to_be_bytes();
    assert!(matches!(
        error(&[&long[..], b"moov"].concat()),
        Error::TooLong("moov", _)
    ));
    let whole = stream();
    assert_eq!(error(&whole[..whole.len() - 3]), Error::Truncated);
    let two = boxed(b"moov", &[boxed(b"trak", &[]), boxed(b"trak", &[])].concat());
    assert_eq!(error(&two), Error::Tracks(2));
    // A `moof` whose samples are longer than its `mdat`.
    let mut short = init(&video(), 30_000);
    let media = part(1, 0, &samples(3)).unwrap();
    let mdat = media.windows(4).position(|four| four == b"mdat").unwrap() - 4;
    short.extend_from_slice(&media[..mdat]);
    short.extend(boxed(b"mdat", &[1]));
    assert_eq!(error(&short), Error::Malformed("trun"));
}

/// A `trun` may claim what it likes: nothing is made room for before its bytes are here.
#[test]
fn claims_are_bounded() {
    let full = |flags: u32, rest: &[u32]| -> Vec<u8> {
        let words = [&[flags], rest].concat();
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    };
    let fragment = |trun: &[u8]| {
        let tfhd = boxed(b"tfhd", &full(0x02_0000, &[1]));
        let tfdt = boxed(b"tfdt", &full(0, &[0]));
        let traf = boxed(b"traf", &[tfhd, tfdt, boxed(b"trun", trun)].concat());
        [init(&video(), 30_000), boxed(b"moof", &traf)].concat()
    };
    let many = u32::try_from(push::SAMPLES_MAX).unwrap() + 1;
    assert_eq!(error(&fragment(&full(1, &[many, 0]))), Error::Malformed("trun"));
    let long = full(0x201, &[1, 0, push::SAMPLE_BYTES_MAX + 1]);
    assert!(matches!(error(&fragment(&long)), Error::TooLong("sample", _)));
    let torn = full(0x201, &[2, 0, 1]);
    assert_eq!(error(&fragment(&torn)), Error::Malformed("trun"));
}

proptest! {
    #[test]
    fn any_splitting_gives_the_same_units(pieces in prop::collection::vec(1usize..900, 1..40)) {
        let body = stream();
        prop_assert_eq!(events(&body, &[]), events(&body, &pieces));
    }

    #[test]
    fn spoilt_bytes_end_in_words(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), end in any::<prop::sample::Index>(),
    ) {
        let mut body = stream();
        for (index, byte) in at {
            let index = index.index(body.len());
            body[index] = byte;
        }
        body.truncate(end.index(body.len()) + 1);
        splits(&body);
    }

    #[test]
    fn any_bytes_end_in_words(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        splits(&bytes);
        splits(&[init(&video(), 30_000), bytes].concat());
    }
}
