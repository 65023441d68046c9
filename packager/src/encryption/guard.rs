//! PURE. One stream under its keys: parts, segments, init segments, and what playlists say of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cmaf::Init;
use cmaf::protect::{Key, Layout};
use feed::Hello;
use hls::id::{Msn, StreamId};
use hls::path::{Hash, KeyId, Object};
use hls::playlist::{self, Method, Segment};
use sha2::{Digest as _, Sha256};

use super::keys::Period;
use super::{Rule, Under};
use crate::assemble;
use crate::window::Refusal;

/// Names a key without saying anything of it: what is on disk is checked by it against the keys of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal(pub(crate) [u8; 16]);

/// A stream's keys at work.
pub(crate) struct Guard {
    rule: Arc<Rule>,
    stream: StreamId,
    /// Of each track, where samples are encrypted.
    layouts: Vec<Layout>,
    /// Keys of periods that are listed or may still be fetched.
    periods: BTreeMap<Period, Option<Key>>,
    /// Init segments under a key, by the clear one's URI: of each track.
    sealed: Vec<BTreeMap<(Period, String), Init>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Guard {
    /// Refuses tracks that cannot be encrypted as the rule wants.
    pub(crate) fn new(rule: Arc<Rule>, hello: &Hello) -> Result<Self, Refusal> {
        let mut guard = Self {
            rule,
            stream: hello.stream.clone(),
            layouts: Vec::new(),
            periods: BTreeMap::new(),
            sealed: vec![BTreeMap::new(); hello.shape.tracks.len()],
        };
        guard.follow(hello)?;
        Ok(guard)
    }

    /// Another ladder's samples come from now on.
    pub(crate) fn follow(&mut self, hello: &Hello) -> Result<(), Refusal> {
        if self
            .under()
            .is_some_and(|under| under.method == Method::SampleAes)
        {
            let of = |track: &feed::Track| {
                let made = assemble::init(track, &hello.shape.grid).and_then(|(codec, _)| Layout::of(&codec));
                made.map_err(|error| Refusal::Track(track.id.clone(), error))
            };
            self.layouts = hello.shape.tracks.iter().map(of).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    fn under(&self) -> Option<&Under> {
        match &*self.rule {
            Rule::Clear => None,
            Rule::Under(under) => Some(under),
        }
    }

    fn key(&self, msn: Msn) -> Option<Key> {
        let under = self.under()?;
        let period = under.keys.period(msn);
        match self.periods.get(&period) {
            Some(known) => known.clone(),
            None => under.keys.key(&self.stream, period),
        }
    }

    /// A part as it is published; none where it cannot be encrypted, and must not be clear.
    pub(crate) fn part(&self, track: usize, msn: Msn, clear: Bytes) -> Option<Bytes> {
        let (Some(under), Some(key)) = (self.under(), self.key(msn)) else {
            return Some(clear);
        };
        if under.method == Method::Aes128 {
            return Some(key.seal(&clear));
        }
        let made = self.samples(track, &key, &clear);
        made.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(stream = %self.stream, track, %msn, error, "part cannot be encrypted: a gap");
        })
        .ok()
    }

    fn samples(&self, track: usize, key: &Key, clear: &[u8]) -> Result<Bytes, cmaf::Error> {
        let layout = self.layouts.get(track).ok_or(cmaf::Error::Missing("layout"))?;
        let read = cmaf::read::parts(clear)?;
        let [part] = read.as_slice() else {
            return Err(cmaf::Error::Missing("single part"));
        };
        layout.part(key, part.sequence, part.decode_time, &part.samples)
    }

    /// Whether segments are fragments one after the other, as they were cut: AES-128 makes them one cipher text.
    pub(crate) fn keeps_fragments(&self) -> bool {
        self.under().is_none_or(|under| under.method == Method::SampleAes)
    }

    /// What makes a segment of its published parts.
    pub(crate) fn joiner(&self, msn: Msn) -> Joiner {
        let whole = self.under().is_some_and(|under| under.method == Method::Aes128);
        Joiner(self.key(msn).filter(|_| whole))
    }

    /// What tells the key of a segment from any other; none where it is clear.
    pub(crate) fn seal(&self, msn: Msn) -> Option<Seal> {
        let (under, key) = (self.under()?, self.key(msn)?);
        let mut digest = Sha256::new();
        digest.update([match under.method {
            Method::Aes128 => 1,
            Method::SampleAes => 2,
        }]);
        for field in [&key.kid, &key.key, &key.iv] {
            digest.update(field);
        }
        digest.finalize().first_chunk().copied().map(Seal)
    }

    /// Says the key of a segment, and the init segment that belongs to it.
    pub(crate) fn mark(&mut self, track: usize, msn: Msn, clear: &[(Hash, Bytes)], segment: &mut Segment) {
        let rule = Arc::clone(&self.rule);
        let Rule::Under(under) = &*rule else {
            return;
        };
        let period = under.keys.period(msn);
        let key = self
            .periods
            .entry(period)
            .or_insert_with(|| under.keys.key(&self.stream, period));
        let Some(key) = key.clone() else {
            return;
        };
        if under.method == Method::SampleAes
            && let Some(uri) = self.init(track, (period, &segment.map), clear, &key)
        {
            segment.map = uri;
        }
        let kid = KeyId(key.kid);
        segment.key = Some(playlist::Key {
            method: under.method,
            uri: under.uri(kid),
            iv: key.iv,
            format: under.format.clone().map(|format| (format, kid)),
        });
    }

    /// URI of the init segment under a key.
    fn init(
        &mut self,
        track: usize,
        (period, clear_uri): (Period, &str),
        clear: &[(Hash, Bytes)],
        key: &Key,
    ) -> Option<String> {
        let place = (period, clear_uri.to_owned());
        if let Some(known) = self.sealed.get(track)?.get(&place) {
            return Some(known.uri());
        }
        let (hash, bytes) = clear
            .iter()
            .find(|(hash, _)| Object::Init(*hash).uri() == clear_uri)?;
        let clear = Init {
            bytes: bytes.clone(),
            hash: *hash,
        };
        let made = self.layouts.get(track)?.init(&clear, key).ok()?;
        let uri = made.uri();
        self.sealed.get_mut(track)?.insert(place, made);
        Some(uri)
    }

    /// Init segments of a track under keys.
    pub(crate) fn inits(&self, track: usize) -> impl Iterator<Item = (Hash, Bytes)> {
        let sealed = self.sealed.get(track).into_iter().flat_map(BTreeMap::values);
        sealed.map(|init| (init.hash, init.bytes.clone()))
    }

    /// Keys that players may ask for here.
    pub(crate) fn served(&self) -> Vec<(KeyId, Bytes)> {
        let served = self.under().is_some_and(|under| under.uri.is_none());
        let keys = self.periods.values().flatten().filter(|_| served);
        keys.map(|key| (KeyId(key.kid), Bytes::copy_from_slice(&key.key)))
            .collect()
    }

    /// Segments before `oldest` are not served any more.
    pub(crate) fn retain(&mut self, oldest: Msn) {
        let Some(first) = self.under().map(|under| under.keys.period(oldest)) else {
            return;
        };
        self.periods.retain(|period, _| *period >= first);
        for track in &mut self.sealed {
            track.retain(|(period, _), _| *period >= first);
        }
    }
}

/// Makes a segment of parts.
pub(crate) struct Joiner(Option<Key>);

impl Joiner {
    /// Parts under AES-128 are resources of their own, and so is the segment: padding and chaining make it other bytes.
    pub(crate) fn join(&self, parts: Vec<Bytes>) -> Option<Vec<Bytes>> {
        let Some(key) = &self.0 else {
            return Some(parts);
        };
        let clear = parts.iter().map(|part| key.open(part));
        let clear = clear.collect::<Option<Vec<_>>>()?;
        Some(vec![key.seal(&clear.concat())])
    }
}
