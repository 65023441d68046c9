//! Viewers that check every byte: boxes, continuity, and that everybody is given the same.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};

use viewer::listing::Listing;

use crate::tally::{Tally, count};

/// Things remembered to be compared; beyond it new ones are not.
const REMEMBERED_MAX: usize = 20_000;

/// What the first inspector was given, of everything.
#[derive(Debug, Default)]
pub(crate) struct Evidence(HashMap<u64, u64>);

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

    /// A body that does not change.
    pub(crate) fn body(&mut self, path: &str, body: &[u8], tally: &mut Tally) {
        self.compare(hash(&path), hash(&body), tally);
    }

    fn compare(&mut self, key: u64, value: u64, tally: &mut Tally) {
        match self.0.get(&key) {
            Some(known) => {
                tally.compared += 1;
                tally.divergent += u64::from(*known != value);
            }
            None if self.0.len() < REMEMBERED_MAX => {
                self.0.insert(key, value);
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
}

impl Continuity {
    /// What comes next need not follow: another rung, a jump, a hole that the playlist named.
    pub(crate) fn broken_off(&mut self) {
        self.end = None;
    }

    /// Takes a body apart: an init segment, or media that follows what came before.
    pub(crate) fn check(&mut self, path: &str, body: &[u8], tally: &mut Tally) {
        tally.inspected += 1;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder != self.folder {
            folder.clone_into(&mut self.folder);
            self.end = None;
        }
        if cmaf::read::init(body).is_ok() {
            return;
        }
        match cmaf::read::parts(body) {
            Err(_) => count(&mut tally.broken, "boxes"),
            Ok(parts) if parts.iter().all(|part| part.samples.is_empty()) => {
                count(&mut tally.broken, "empty")
            }
            Ok(parts) => {
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
        Continuity::default().check("/x/part-1.m4s", b"<html>not found</html>", &mut tally);
        assert_eq!(tally.broken.get("boxes"), Some(&1));
    }
}
