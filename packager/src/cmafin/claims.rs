//! PURE but for its lock. Who sends a stream: ingests by their feed, or an encoder by CMAF, never both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hls::id::StreamId;

/// How a stream comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// From an ingest.
    Feed,
    /// From an encoder of somebody else's.
    Cmaf,
}

/// Who sends what at the moment. As many entries as there are connections at most, which are bounded.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<BTreeMap<StreamId, (Source, usize)>>);

/// The right to send a stream; others of the same kind may have it, too. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Arc<Claims>,
    stream: StreamId,
}

/// The stream comes otherwise.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream {0} comes {1} now")]
pub(crate) struct Taken(StreamId, &'static str);

impl Claims {
    pub(crate) fn claim(self: &Arc<Self>, stream: &StreamId, source: Source) -> Result<Claim, Taken> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, count) = claims.entry(stream.clone()).or_insert((source, 0));
        if *holder != source {
            let how = match holder {
                Source::Feed => "from an ingest",
                Source::Cmaf => "as CMAF (packager.cmaf)",
            };
            return Err(Taken(stream.clone(), how));
        }
        *count += 1;
        Ok(Claim {
            claims: Arc::clone(self),
            stream: stream.clone(),
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = claims.get_mut(&self.stream) {
            *count -= 1;
            if *count == 0 {
                claims.remove(&self.stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_comes_one_way_at_a_time() {
        let (claims, main) = (Arc::new(Claims::default()), StreamId::new("main").unwrap());
        let first = claims.claim(&main, Source::Feed).unwrap();
        let second = claims.claim(&main, Source::Feed).unwrap();
        drop(first);
        let refused = claims.claim(&main, Source::Cmaf).unwrap_err();
        assert_eq!(refused.to_string(), "stream main comes from an ingest now");
        drop(second);
        let _other = claims.claim(&main, Source::Cmaf).unwrap();
        assert!(claims.claim(&main, Source::Feed).is_err());
    }
}
