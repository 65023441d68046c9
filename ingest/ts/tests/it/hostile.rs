//! Any split, any loss, any bytes.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use ts::{Demux, Event, Limits};

use crate::bodies;
use crate::oracle::{command, demux};

/// Two seconds of H.264 with B-frames and AAC.
static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    command(
        dir.path(),
        "ffmpeg -v error -f lavfi -i testsrc2=s=160x90:r=30:d=2 -f lavfi -i sine=r=48000:d=2 \
         -c:v libx264 -preset veryfast -g 20 -bf 2 -c:a aac out.ts",
    );
    std::fs::read(dir.path().join("out.ts")).unwrap()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_events(splits in vec(0..1500_usize, 1..200), junk in vec(any::<u8>(), 0..300)) {
        let bytes = [&junk[..], &STREAM].concat();
        let (mut machine, mut events, mut rest) = (Demux::new(Limits::default()), Vec::new(), &bytes[..]);
        for len in splits {
            let (chunk, after) = rest.split_at(len.min(rest.len()));
            machine.handle(chunk);
            events.extend(std::iter::from_fn(|| machine.poll()));
            rest = after;
        }
        machine.handle(rest);
        machine.finish();
        events.extend(std::iter::from_fn(|| machine.poll()));
        let (whole, counters) = demux(&bytes);
        prop_assert_eq!(events, whole);
        prop_assert_eq!(machine.counters(), counters);
    }

    #[test]
    fn what_survives_a_loss_is_as_it_was(lost in vec(any::<prop::sample::Index>(), 1..40)) {
        // Nothing tells the loss of a track's last packets, so these stay.
        let count = STREAM.len() / 188 - 60;
        let lost: Vec<_> = lost.iter().map(|index| index.index(count)).collect();
        let kept: Vec<u8> = STREAM
            .chunks(188)
            .enumerate()
            .filter(|(index, _)| !lost.contains(index))
            .flat_map(|(_, packet)| packet.to_vec())
            .collect();
        let (whole, _) = demux(&STREAM);
        let (events, counters) = demux(&kept);
        let mut rest = whole.iter();
        let mut losses = 0;
        for event in &events {
            match event {
                Event::Discontinuity { .. } => losses += 1,
                Event::Video { .. } | Event::Audio { .. } => {
                    prop_assert!(rest.any(|other| other == event), "not in the whole stream, or out of order: {event:?}");
                }
                Event::Tracks(_) | Event::VideoConfig { .. } | Event::AudioConfig { .. } | Event::Cue { .. } => {}
            }
        }
        prop_assert!(counters.continuity_errors >= losses);
        prop_assert!(events.len() + 10 * lost.len() + 80 >= whole.len());
    }

    #[test]
    fn turned_bytes_never_panic(turns in vec((any::<prop::sample::Index>(), any::<u8>()), 1..500), split: u8) {
        let mut bytes = [&[split][..], &STREAM].concat();
        let len = bytes.len();
        for (index, value) in turns {
            bytes[index.index(len)] ^= value;
        }
        bodies::stream(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_stream(bytes in vec(prop_oneof![Just(0x47), any::<u8>()], 0..3000)) {
        bodies::stream(&bytes);
    }

    #[test]
    fn any_bytes_as_payload(bytes in vec(prop_oneof![Just(0), Just(1), Just(0xFF), any::<u8>()], 0..2000)) {
        bodies::payloads(&bytes);
    }

    #[test]
    fn any_bytes_as_splice(mut bytes in vec(any::<u8>(), 0..100)) {
        bodies::splice(&bytes);
        if let [table, _, _, version, ..] = &mut bytes[..] {
            (*table, *version) = (0xFC, 0);
        }
        bodies::splice(&bytes);
    }
}
