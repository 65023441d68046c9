//! The parameter sets in force.

use bytes::{BufMut, Bytes, BytesMut};

use super::nal::Set;
use crate::event::VideoCodec;

/// Sets remembered; h264 and h265 allow more, no encoder sends them.
const SETS_MAX: usize = 64;

/// The parameter sets of a stream, as its units carry them.
#[derive(Debug, Default)]
pub(super) struct Sets {
    sets: Vec<(Set, Bytes)>,
    sent: Bytes,
}

impl Sets {
    /// Takes the sets of one unit; gives all in force if that changed them and they are complete.
    ///
    /// A unit with an SPS replaces every kind that it carries; one without adds those that are new.
    pub(super) fn update(&mut self, codec: VideoCodec, fresh: &[(Set, &[u8])]) -> Option<Bytes> {
        if fresh.is_empty() {
            return None;
        }
        if fresh.iter().any(|(set, _)| *set == Set::Sps) {
            self.sets
                .retain(|(known, _)| fresh.iter().all(|(set, _)| set != known));
        }
        for (set, nal) in fresh {
            let known = self
                .sets
                .iter()
                .any(|(other, bytes)| other == set && bytes == nal);
            if !known {
                self.sets.push((*set, Bytes::copy_from_slice(nal)));
            }
        }
        if let Some(surplus @ 1..) = self.sets.len().checked_sub(SETS_MAX) {
            self.sets.drain(..surplus);
        }
        self.sets.sort_by_key(|(set, _)| *set);
        let has = |set| self.sets.iter().any(|(known, _)| *known == set);
        let complete = has(Set::Sps) && has(Set::Pps) && (codec == VideoCodec::H264 || has(Set::Vps));
        let mut config = BytesMut::new();
        for (_, nal) in &self.sets {
            config.put_slice(&[0, 0, 0, 1]);
            config.put_slice(nal);
        }
        if !complete || config == self.sent {
            return None;
        }
        self.sent = config.freeze();
        Some(self.sent.clone())
    }

    /// The last update did not reach anybody.
    pub(super) fn forget(&mut self, sent: bool) {
        if sent {
            self.sent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_only_when_complete() {
        let mut sets = Sets::default();
        let codec = VideoCodec::H264;
        assert_eq!(sets.update(codec, &[(Set::Sps, &[1])]), None);
        let both = Bytes::from_static(&[0, 0, 0, 1, 1, 0, 0, 0, 1, 2]);
        assert_eq!(sets.update(codec, &[(Set::Pps, &[2])]), Some(both.clone()));
        assert_eq!(sets.update(codec, &[(Set::Sps, &[1]), (Set::Pps, &[2])]), None);
        assert_eq!(sets.update(VideoCodec::Hevc, &[(Set::Pps, &[3])]), None, "no VPS");
        assert_eq!(
            sets.update(codec, &[(Set::Sps, &[1]), (Set::Pps, &[2])]),
            None,
            "as it was sent"
        );
        assert!(
            sets.update(codec, &[(Set::Sps, &[9]), (Set::Pps, &[2])])
                .is_some()
        );
    }
}
