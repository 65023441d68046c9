//! PURE. What a journal says, entry by entry.

use std::sync::Arc;

use bytes::Bytes;
use feed::{Cue, Hello};
use hls::id::{Cell, TrackId};
use hls::path::{Hash, Object};
use hls::timeline::{self, Share};

use crate::encryption::guard::Seal;

/// One ladder's time on air, as the stream took it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    /// How its feed introduced itself; the signature is left out.
    pub(crate) hello: Hello,
    /// Its first cell that was wanted.
    pub(crate) first: Cell,
    /// Just after the last cell of the ladder before; none for a stream's first one.
    pub(crate) after: Option<Cell>,
    /// Ladders before it, as playlists count them.
    pub(crate) discontinuity: u64,
    /// Each track's init segment.
    pub(crate) inits: Vec<(Hash, Bytes)>,
}

/// Where a part's bytes are in its segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    /// CRC32C of the bytes.
    pub(crate) sum: u32,
    /// Bytes up to the end of the first sample where that is a key frame that can be had alone; 0 elsewhere.
    pub(crate) frame: u32,
}

/// A cell that is on disk: each track's share, and where its bytes are unless it is a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) cell: Cell,
    /// When it was published, microseconds of Unix time.
    pub(crate) available_us: u64,
    /// The key its bytes are under; none where they are clear.
    pub(crate) seal: Option<Seal>,
    pub(crate) shares: Vec<(Share, Option<Extent>)>,
}

/// What a journal says, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// What follows is this ladder's; said again at the head of every journal.
    Life(Arc<Life>),
    /// What happens in the programme; may be said again.
    Cue(Cue),
    Cell(Kept),
    /// The event is over.
    End,
}

impl Life {
    /// The same, as a timeline takes it.
    pub(crate) fn to_timeline(&self) -> timeline::Life {
        timeline::Life {
            first: self.first,
            discontinuity: self.discontinuity,
            maps: self
                .inits
                .iter()
                .map(|(hash, _)| Object::Init(*hash).uri())
                .collect(),
        }
    }

    pub(crate) fn tracks(&self) -> Vec<TrackId> {
        self.hello
            .shape
            .tracks
            .iter()
            .map(|track| track.id.clone())
            .collect()
    }
}
