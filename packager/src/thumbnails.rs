//! PURE. Pictures of the live window's segments, until they are on disk and after: one each, the first that comes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use hls::id::Msn;

/// How many segments a picture may be ahead of what is published: it waits for no encoder.
const AHEAD: u64 = 8;
/// Most pictures that wait for the next cell on its way to disk; further ones are only in the live window.
const UNKEPT_MAX: usize = 8;

/// What became of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Shown,
    /// Its segment has one, which stays: it may be in caches.
    Superfluous,
    /// Of no segment of the live window, or of one that is encrypted.
    Refused,
}

#[derive(Debug, Default)]
pub(crate) struct Album {
    held: BTreeMap<Msn, Bytes>,
    unkept: Vec<(Msn, Bytes)>,
}

impl Album {
    /// A picture of a stream whose live window has these segments; `is_kept` tells whether there is one on disk.
    pub(crate) fn take(
        &mut self,
        msn: Msn,
        jpeg: Bytes,
        window: RangeInclusive<Msn>,
        is_kept: impl FnOnce(Msn) -> bool,
    ) -> Taken {
        if msn < *window.start() || msn.0 > window.end().0.saturating_add(AHEAD) {
            return Taken::Refused;
        }
        if self.held.contains_key(&msn) || is_kept(msn) {
            return Taken::Superfluous;
        }
        self.held.insert(msn, jpeg.clone());
        if self.unkept.len() < UNKEPT_MAX {
            self.unkept.push((msn, jpeg));
        }
        Taken::Shown
    }

    pub(crate) fn get(&self, msn: Msn) -> Option<Bytes> {
        self.held.get(&msn).cloned()
    }

    /// Oldest first.
    pub(crate) fn msns(&self) -> impl Iterator<Item = Msn> {
        self.held.keys().copied()
    }

    /// Those that were not handed over before.
    pub(crate) fn unkept(&mut self) -> Vec<(Msn, Bytes)> {
        std::mem::take(&mut self.unkept)
    }

    /// What is before `msn` has left the live window.
    pub(crate) fn retain(&mut self, msn: Msn) {
        self.held = self.held.split_off(&msn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: RangeInclusive<Msn> = Msn(10)..=Msn(40);

    fn take(album: &mut Album, msn: u64, jpeg: &'static [u8]) -> Taken {
        album.take(Msn(msn), Bytes::from_static(jpeg), WINDOW, |msn| msn == Msn(12))
    }

    #[test]
    fn the_first_picture_of_a_segment_stays_also_one_that_is_on_disk_alone() {
        let mut album = Album::default();
        assert_eq!(take(&mut album, 11, b"first"), Taken::Shown);
        assert_eq!(take(&mut album, 11, b"second"), Taken::Superfluous);
        assert_eq!(take(&mut album, 12, b"new"), Taken::Superfluous);
        assert_eq!(album.get(Msn(11)).unwrap(), "first");
        assert_eq!(album.unkept().len(), 1);
        assert!(album.unkept().is_empty());
    }

    #[test]
    fn memory_is_bounded_by_the_window_and_the_way_to_disk() {
        let mut album = Album::default();
        for msn in 0..200 {
            take(&mut album, msn, b"x");
        }
        let held: Vec<u64> = album.msns().map(|msn| msn.0).collect();
        assert_eq!((held.first(), held.last()), (Some(&10), Some(&48)));
        assert_eq!(album.unkept().len(), UNKEPT_MAX);
        album.retain(Msn(45));
        assert_eq!(album.msns().count(), 4);
    }
}
