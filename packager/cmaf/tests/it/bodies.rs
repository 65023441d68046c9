//! What fuzz targets and property tests run alike.

use bytes::Bytes;
use cmaf::protect::{Key, Layout};
use cmaf::push::{Error, Event, Parser};
use cmaf::{Codec, Init, Sample, av1, opus, read, sample};

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

/// Boxes of a part, a segment or an init segment: no sample is more than what is there, nor is any seen twice.
pub(crate) fn boxes(bytes: &[u8]) {
    if let Ok(end) = read::first_sample(bytes) {
        assert!(end <= bytes.len());
    }
    if let Ok(parts) = read::parts(bytes) {
        for sample in parts.iter().flat_map(|part| &part.samples) {
            assert!(sample.data.len() <= bytes.len());
        }
        assert!(parts.iter().all(|part| part.end() >= part.decode_time));
    }
    drop(read::init(bytes));
}

/// An access unit as a sample of each format is no longer than it was, and what it says of itself is within bounds.
pub(crate) fn units(bytes: &[u8]) {
    let unit = Bytes::copy_from_slice(bytes);
    for sample in [sample::avc1, sample::hvc1, av1::av01] {
        let once = sample(unit.clone());
        assert!(once.len() <= unit.len());
        assert_eq!(sample(once.clone()), once);
    }
    sample::is_idr_hvc1(&unit);
    if let Some(samples) = opus::samples(bytes) {
        assert!((1..=5_760).contains(&samples));
    }
    if let Some(config) = av1::configuration(bytes) {
        let codec = Codec::Av1 {
            config,
            width: 64,
            height: 36,
        };
        let name = codec.name().expect("a configuration of ours has a name");
        assert!(name.starts_with("av01."), "{name}");
        Init::new(&codec, 90_000, None).expect("and an init segment");
    }
}

/// A kind of codec, the length of its configuration, that, and an access unit: the track's init segment can be read where
/// there is one, and what is sealed has the length of what was clear, or is refused.
pub(crate) fn seals(bytes: &[u8]) {
    let [kind, length, rest @ ..] = bytes else { return };
    let Some((config, unit)) = rest.split_at_checked(usize::from(*length)) else {
        return;
    };
    let (config, width, height) = (Bytes::copy_from_slice(config), 64, 36);
    let codec = match kind % 5 {
        0 => Codec::H264 {
            config,
            width,
            height,
        },
        1 => Codec::Hevc {
            config,
            width,
            height,
        },
        2 => Codec::Av1 {
            config,
            width,
            height,
        },
        3 => Codec::Aac {
            config,
            channels: 2,
            rate: 48_000,
            bit_rate: 128_000,
        },
        _ => Codec::Opus { config, channels: 2 },
    };
    drop(codec.name());
    let key = Key {
        kid: [1; 16],
        key: [2; 16],
        iv: [3; 16],
    };
    let layout = Layout::of(&codec);
    if let Ok(init) = Init::new(&codec, 48_000, Some("de")) {
        read::init(&init.bytes).expect("an init segment of ours can be read");
        if let Ok(layout) = &layout {
            drop(layout.init(&init, &key));
        }
    }
    let Ok(layout) = layout else { return };
    let clear = Sample {
        duration: 1_000,
        key: true,
        composition: 0,
        data: Bytes::copy_from_slice(unit),
    };
    if let Ok(part) = layout.part(&key, 7, 9_000, std::slice::from_ref(&clear)) {
        let sealed = read::parts(&part).expect("a part of ours can be read");
        assert_eq!(sealed[0].samples[0].data.len(), clear.data.len());
    }
}
