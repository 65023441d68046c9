//! What a viewer saw and heard, and how it is told.

use feed::Unit;

use crate::packager::Seen;
use crate::picture::{self, Luma};

/// Every frame a viewer of the smallest rung saw, with its frame number.
pub(crate) fn watched(seen: &Seen) -> Vec<(u64, Luma)> {
    let tracks = &seen.hellos[0].shape.tracks;
    let index = tracks.iter().rposition(feed::Track::is_video).unwrap();
    let units: Vec<Unit> = seen.of(u16::try_from(index).unwrap()).cloned().collect();
    let times = units.iter().map(|unit| unit.time);
    let pictures = picture::pictures(&tracks[index], &units);
    assert_eq!(pictures.len(), units.len(), "every frame decodes");
    times.zip(pictures).collect()
}

/// Every sample a viewer heard, with the number of the first.
pub(crate) fn heard(seen: &Seen) -> (u64, Vec<f32>) {
    let last = seen.hellos[0].shape.tracks.last().unwrap();
    heard_on(seen, last.id.as_str())
}

/// The same on one rendition.
pub(crate) fn heard_on(seen: &Seen, id: &str) -> (u64, Vec<f32>) {
    let mut tracks = seen.hellos[0].shape.tracks.iter().enumerate();
    let (index, track) = tracks.find(|(_, track)| track.id.as_str() == id).unwrap();
    let units: Vec<Unit> = seen.of(u16::try_from(index).unwrap()).cloned().collect();
    (units[0].time, picture::sound(track, &units))
}

/// From an encoder's first picture on.
pub(crate) fn on_air(pictures: &[(u64, Luma)]) -> &[(u64, Luma)] {
    let first = pictures.iter().position(|(_, picture)| !picture.has_clock());
    &pictures[first.expect("an encoder came on air")..]
}

/// An encoder's flashes and beeps are on air before frame `soon`, and together from then on.
pub(crate) fn assert_shown(seen: &Seen, soon: usize, what: impl std::fmt::Debug) {
    seen.assert_unbroken();
    let pictures = watched(seen);
    let shown = on_air(&pictures);
    let first = pictures.len() - shown.len();
    assert!(first < soon, "{what:?}: only at frame {first}");
    assert_together(seen, shown, 3);
}

/// How often a tone's wave begins: its frequency, over a second of samples.
pub(crate) fn waves(samples: &[f32]) -> usize {
    let begins = |pair: &&[f32]| pair[0] < 0.0 && pair[1] >= 0.0;
    samples.windows(2).filter(begins).count()
}

/// What a picture is of, by its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Test,
    White,
    Grey,
    Slate,
}

pub(crate) fn shown(picture: &Luma) -> Shown {
    // The test picture alone has a black and white clock; the middle of the second eighth is a plain place in all.
    match picture.middle() {
        _ if picture.has_clock() => Shown::Test,
        200.. => Shown::White,
        90..=160 => Shown::Grey,
        _ => Shown::Slate,
    }
}

/// The story of an evening: what was shown, and for how many frames.
pub(crate) fn story(seen: &Seen) -> Vec<(Shown, usize)> {
    let mut story: Vec<(Shown, usize)> = Vec::new();
    for (_, picture) in watched(seen) {
        let now = shown(&picture);
        match story.last_mut() {
            Some((last, count)) if *last == now => *count += 1,
            _ => story.push((now, 1)),
        }
    }
    story
}

pub(crate) fn scenes(story: &[(Shown, usize)]) -> Vec<Shown> {
    story.iter().map(|(shown, _)| *shown).collect()
}

/// Flashes and beeps of [`crate::encoder`] in `pictures`, from 1.5 s on, come as pairs.
pub(crate) fn assert_together(seen: &Seen, pictures: &[(u64, Luma)], pairs_min: usize) {
    let flashes: Vec<u64> = pictures
        .windows(2)
        .filter(|pair| pair[0].1.middle() < 60 && pair[1].1.middle() > 180)
        .map(|pair| pair[1].0 * 1_600)
        .collect();
    let (start, samples) = heard(seen);
    let mut beeps: Vec<u64> = Vec::new();
    for (n, sample) in samples.iter().enumerate() {
        let at = start + n as u64;
        if sample.abs() > 0.25 && beeps.last().is_none_or(|last| at - last > 24_000) {
            beeps.push(at);
        }
    }
    // Of the last flash the sound may not have come yet.
    let heard_until = start + samples.len() as u64 - 12_000;
    let clean = flashes
        .iter()
        .filter(|flash| **flash > (pictures[0].0 + 45) * 1_600 && **flash < heard_until);
    let pairs: Vec<i64> = clean
        .filter_map(|flash| {
            let apart = |beep: &u64| (beep.cast_signed() - flash.cast_signed()) / 48;
            beeps.iter().map(apart).min_by_key(|ms| ms.abs())
        })
        .collect();
    assert!(pairs.len() >= pairs_min, "flashes {flashes:?} beeps {beeps:?}");
    // A frame is 33 ms, and the encoder's own AAC adds up to 21; a starved machine may delay some sound more.
    let mut off: Vec<i64> = pairs.iter().map(|ms| ms.abs()).collect();
    off.sort_unstable();
    assert!(
        off[off.len() / 2] <= 45 && off[off.len() - 1] <= 110,
        "sound minus picture: {pairs:?} ms"
    );
}
