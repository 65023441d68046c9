//! Which date ranges came and went lately: what `_HLS_skip=v2` is about, and no single text can say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::id;

/// Removed date ranges remembered; the oldest is forgotten at the bound.
pub const REMOVED_MAX: usize = 1_024;

/// The date ranges of a playlist's versions, one after the other.
#[derive(Debug, Default)]
pub struct History {
    known: BTreeMap<String, Known>,
    removed: VecDeque<(Duration, String)>,
}

#[derive(Debug, Default)]
struct Known {
    lists: Vec<String>,
    since: Duration,
}

/// What of a version's date ranges is new, and what has gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    pub(crate) fresh: BTreeSet<String>,
    /// IDs that have gone lately, oldest first.
    pub(crate) removed: Vec<String>,
}

impl Recent {
    /// All of these attribute lists are new, and nothing has gone.
    pub fn all<'a>(lists: impl Iterator<Item = &'a str>) -> Self {
        Self {
            fresh: lists.filter_map(id).map(str::to_owned).collect(),
            removed: Vec::new(),
        }
    }

    pub(super) fn is_fresh(&self, list: &str) -> bool {
        id(list).is_none_or(|id| self.fresh.contains(id))
    }
}

impl History {
    /// Takes a version's attribute lists at `now`, of a clock that does not jump. What was said within `until` is
    /// fresh (rfc8216bis §6.2.5.1). Attributes added later make a tag another one; what is there from the first is fresh.
    pub fn note<'a>(
        &mut self,
        now: Duration,
        until: Duration,
        lists: impl Iterator<Item = &'a str>,
    ) -> Recent {
        let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for list in lists {
            if let Some(id) = id(list) {
                said.entry(id).or_default().push(list);
            }
        }
        for (id, lists) in &said {
            let known = self.known.entry((*id).to_owned()).or_default();
            if known.lists != *lists {
                known.lists = lists.iter().map(|list| (*list).to_owned()).collect();
                known.since = now;
            }
        }
        let removed = &mut self.removed;
        self.known.retain(|id, _| {
            let stays = said.contains_key(id.as_str());
            if !stays {
                removed.push_back((now, id.clone()));
            }
            stays
        });
        removed.retain(|(at, id)| now.saturating_sub(*at) <= until && !said.contains_key(id.as_str()));
        while removed.len() > REMOVED_MAX {
            removed.pop_front();
        }
        let fresh = self
            .known
            .iter()
            .filter(|(_, known)| now.saturating_sub(known.since) <= until);
        Recent {
            fresh: fresh.map(|(id, _)| id.clone()).collect(),
            removed: self.removed.iter().map(|(_, id)| id.clone()).collect(),
        }
    }
}
