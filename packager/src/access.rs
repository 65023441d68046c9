//! The origin's own count of what each child fetched: the proof that an object is fetched once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hls::id::Cell;
use hls::path::Resource;

/// Children told apart; further ones share one entry.
pub const CHILDREN_MAX: usize = 256;
/// Keys remembered for each child: at 0.2 s parts and ten tracks, more than five minutes.
pub const KEYS_MAX: usize = 32_768;
/// Longest name a child may give itself, bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Request header in which a child names itself.
pub const CHILD: &str = "ringside-child";

/// What was given out: an object, or a playlist in the version that ends with a cell.
pub type Key = (Resource, Option<Cell>);

/// What each child has been given.
#[derive(Debug, Default)]
pub struct Ledger {
    children: BTreeMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    keys: BTreeSet<Key>,
    order: VecDeque<Key>,
}

impl Ledger {
    /// Notes that `child` is given `key`; false when it had it before.
    pub fn first(&mut self, child: &str, key: Key) -> bool {
        let known = self.children.contains_key(child);
        let name = if known || self.children.len() < CHILDREN_MAX {
            child
        } else {
            "others"
        };
        let seen = self.children.entry(name.to_owned()).or_default();
        if !seen.keys.insert(key.clone()) {
            return false;
        }
        seen.order.push_back(key);
        if seen.order.len() > KEYS_MAX {
            let oldest = seen.order.pop_front();
            oldest.map(|oldest| seen.keys.remove(&oldest));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(cell: u64) -> Key {
        (
            Resource::parse("/live/main/360p/media.m3u8").unwrap(),
            Some(Cell(cell)),
        )
    }

    #[test]
    fn the_same_version_counts_once_per_child() {
        let mut ledger = Ledger::default();
        assert!(ledger.first("a", key(1)));
        assert!(!ledger.first("a", key(1)));
        assert!(ledger.first("b", key(1)));
        assert!(ledger.first("a", key(2)));
    }

    #[test]
    fn names_and_keys_cannot_fill_memory() {
        let mut ledger = Ledger::default();
        for n in 0..CHILDREN_MAX + 50 {
            ledger.first(&n.to_string(), key(1));
        }
        assert!(ledger.children.len() <= CHILDREN_MAX + 1);
        (0..KEYS_MAX as u64 + 10).for_each(|n| {
            ledger.first("0", key(n));
        });
        assert_eq!(ledger.children["0"].keys.len(), KEYS_MAX);
    }
}
