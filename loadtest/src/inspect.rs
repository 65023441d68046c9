//! Viewers that check every byte: boxes, continuity, and that everybody is given the same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use viewer::listing::{Listing, Micros};

use crate::tally::{Tally, count};

/// Things remembered to be compared; beyond it new ones are not.
const REMEMBERED_MAX: usize = 20_000;

/// What the first inspector was given, of everything.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    given: HashMap<u64, u64>,
    /// By when a piece begins, how far its own clock is from the playlist's, microseconds.
    clocks: HashMap<Micros, Micros>,
}

/// Pieces of two rungs that begin within this are the same.
const SAME_US: Micros = 100_000;
/// Clocks of two rungs that differ by more do not match: a frame of 30 a second, and a little.
const MISALIGNED_US: Micros = 40_000;

impl Evidence {
    /// A playlist as an edge showed it; two of the same end list the same.
    pub(crate) fn playlist(&mut self, path: &str, listing: &Listing, tally: &mut Tally) {
        let name = path.split('?').next().unwrap_or(path);
        let key = hash(&(name, listing.last, listing.closed));
        let items: Vec<_> = listing
            .items
            .iter()
            .map(|item| (&item.path, item.start, item.length, item.independent, item.gap))
            .collect();
        self.compare(key, hash(&(listing.first, &listing.hint, items)), tally);
    }

    /// A blocking reload was answered; before what it waited for was there, it should not have been (rfc8216bis §6.2.5.2).
    pub(crate) fn waited(&self, path: &str, listing: &Listing, tally: &mut Tally) {
        let asked = |name: &str| {
            let (_, query) = path.split_once('?')?;
            let value = query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            value.parse::<u64>().ok()
        };
        let Some(msn) = asked("_HLS_msn").filter(|_| !listing.ended) else {
            return;
        };
        let (last, last_part) = listing.last;
        let is_early = match (last_part.filter(|_| !listing.closed), asked("_HLS_part")) {
            _ if last != msn => last < msn,
            (Some(last_part), Some(part)) => last_part < part,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_early {
            count(&mut tally.broken, "answered early");
        }
    }

    /// The same time of two rungs has to show the same: players cut from one to the other.
    fn clock(&mut self, start: Micros, own: Micros, tally: &mut Tally) {
        let same = start.div_euclid(SAME_US);
        match self.clocks.get(&same) {
            Some(known) if (own - start - known).abs() > MISALIGNED_US => {
                count(&mut tally.broken, "misaligned")
            }
            Some(_) => {}
            None if self.clocks.len() < REMEMBERED_MAX => {
                self.clocks.insert(same, own - start);
            }
            None => {}
        }
    }

    /// A body that does not change.
    pub(crate) fn body(&mut self, path: &str, body: &[u8], tally: &mut Tally) {
        self.compare(hash(&path), hash(&body), tally);
    }

    fn compare(&mut self, key: u64, value: u64, tally: &mut Tally) {
        match self.given.get(&key) {
            Some(known) => {
                tally.compared += 1;
                tally.divergent += u64::from(*known != value);
            }
            None if self.given.len() < REMEMBERED_MAX => {
                self.given.insert(key, value);
            }
            None => {}
        }
    }
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Where one inspector's track is.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    folder: String,
    end: Option<u64>,
    timescale: Option<u32>,
}

impl Continuity {
    /// What comes next need not follow: another rung, a jump, a hole that the playlist named.
    pub(crate) fn broken_off(&mut self) {
        self.end = None;
    }

    /// Takes a body apart: an init segment, or media that follows what came before.
    /// Of a rung, `start` is when it begins by its playlist.
    pub(crate) fn check(
        &mut self,
        path: &str,
        body: &[u8],
        start: Option<Micros>,
        evidence: &mut Evidence,
        tally: &mut Tally,
    ) {
        tally.inspected += 1;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder != self.folder {
            folder.clone_into(&mut self.folder);
            (self.end, self.timescale) = (None, None);
        }
        if let Ok((timescale, _)) = cmaf::read::init(body) {
            self.timescale = Some(timescale);
            return;
        }
        match cmaf::read::parts(body) {
            Err(_) => count(&mut tally.broken, "boxes"),
            Ok(parts) if parts.iter().all(|part| part.samples.is_empty()) => {
                count(&mut tally.broken, "empty")
            }
            Ok(parts) => {
                let first = parts.first().map(|part| part.decode_time);
                if let (Some(first), Some(start), Some(timescale)) = (first, start, self.timescale) {
                    let own = u128::from(first) * 1_000_000 / u128::from(timescale.max(1));
                    evidence.clock(start, Micros::try_from(own).unwrap_or(Micros::MAX), tally);
                }
                for part in parts {
                    match self.end {
                        Some(end) if part.decode_time > end => count(&mut tally.broken, "hole"),
                        Some(end) if part.decode_time < end => count(&mut tally.broken, "overlap"),
                        Some(_) | None => {}
                    }
                    self.end = Some(part.end());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_and_what_is_no_media_is_counted() {
        let (mut evidence, mut tally) = (Evidence::default(), Tally::default());
        evidence.body("/a", b"one", &mut tally);
        evidence.body("/a", b"one", &mut tally);
        evidence.body("/a", b"two", &mut tally);
        evidence.body("/b", b"two", &mut tally);
        assert_eq!((tally.compared, tally.divergent), (2, 1));
        let body = b"<html>not found</html>";
        Continuity::default().check("/x/part-1.m4s", body, None, &mut evidence, &mut tally);
        assert_eq!(tally.broken.get("boxes"), Some(&1));
        evidence.clock(500_000, 9_500_000, &mut tally);
        evidence.clock(500_020, 9_520_000, &mut tally);
        assert_eq!(tally.broken.get("misaligned"), None);
        evidence.clock(500_000, 10_000_000, &mut tally);
        assert_eq!(tally.broken.get("misaligned"), Some(&1));
    }

    #[test]
    fn an_answer_before_its_part_is_early() {
        let text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXT-X-PART:DURATION=0.5,URI=\"a\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"b\"\n";
        let listing = Listing::read("/live/main/x/media.m3u8", text.to_owned()).unwrap();
        assert_eq!((listing.last, listing.closed), ((7, Some(1)), false));
        let early = |query: &str| {
            let mut tally = Tally::default();
            Evidence::default().waited(&format!("/x?{query}"), &listing, &mut tally);
            !tally.broken.is_empty()
        };
        for right in [
            "_HLS_skip=YES",
            "_HLS_msn=6&_HLS_part=3",
            "_HLS_msn=7&_HLS_part=1",
            "_HLS_msn=6",
        ] {
            assert!(!early(right), "{right}");
        }
        for wrong in ["_HLS_msn=7&_HLS_part=2", "_HLS_msn=7", "_HLS_msn=8&_HLS_part=0"] {
            assert!(early(wrong), "{wrong}");
        }
    }
}
