//! PURE. An origin that is not ours: its names and ours, learned from its playlists, which are passed on with ours in
//! place of its own and unchanged otherwise. What is not named here was never listed, and is asked of nobody.

mod line;

use std::collections::{BTreeMap, VecDeque};

use hls::id::{Cell, Msn, TrackId};
use hls::path::{Hash, KeyId, Object, Resource, sibling};
use hls::playlist::{self, Parsed};
use url::Url;

/// Renditions of one source.
const TRACKS_MAX: usize = 64;
/// Names of one rendition: two windows of parts and segments.
const OBJECTS_MAX: usize = 16_384;
/// Init segments of one rendition, and keys of one source, that are known; the oldest are forgotten first.
const FEW_MAX: usize = 64;
/// Parts of a segment are numbered in so many bits.
const PART_BITS: u32 = 11;
/// Marks the number of a part by segment and index; the grid has no such cells.
const FOREIGN: u64 = 1 << 62;

/// Why a playlist cannot be passed on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("not UTF-8")]
    Text,
    #[error(transparent)]
    Playlist(#[from] playlist::Error),
    #[error("`{0}` is not a URI")]
    Uri(String),
    #[error("`{0}` is not on the host of the playlist, so viewers would go past this edge")]
    Host(String),
    #[error("BYTERANGE in {0} is not supported")]
    Range(&'static str),
    #[error("segments without EXT-X-MAP (MPEG-TS or packed audio) are not supported")]
    NoMap,
    #[error("no renditions")]
    NoTracks,
    #[error("more than {0} {1}")]
    Many(usize, &'static str),
    #[error("part {1} of segment {0} cannot be numbered")]
    Number(u64, u64),
}

/// The number of a part, the same at every edge.
fn cell(msn: Msn, part: u64) -> Result<Cell, Error> {
    let fits = msn.0 < FOREIGN >> PART_BITS && part < 1 << PART_BITS;
    let number = FOREIGN | msn.0 << PART_BITS | part;
    fits.then_some(Cell(number)).ok_or(Error::Number(msn.0, part))
}

/// Segment and index of a part of an origin that is not ours.
pub(crate) fn place(cell: Cell) -> Option<(Msn, u64)> {
    let number = cell.0.checked_sub(FOREIGN).filter(|number| *number < FOREIGN)?;
    Some((Msn(number >> PART_BITS), number & ((1 << PART_BITS) - 1)))
}

/// The first part of a segment of an origin that is not ours.
pub(crate) fn first_of(msn: Msn) -> Option<Cell> {
    cell(msn, 0).ok()
}

/// The names of one source.
#[derive(Debug)]
pub(crate) struct Names {
    playlist: Url,
    tracks: BTreeMap<TrackId, Track>,
    keys: BTreeMap<KeyId, Url>,
    keys_by_age: VecDeque<KeyId>,
}

#[derive(Debug)]
struct Track {
    playlist: Url,
    objects: BTreeMap<Object, Url>,
    inits_by_age: VecDeque<Hash>,
}

impl Names {
    pub(crate) fn new(playlist: Url) -> Self {
        Self {
            playlist,
            tracks: BTreeMap::new(),
            keys: BTreeMap::new(),
            keys_by_age: VecDeque::new(),
        }
    }

    /// What the origin calls something of ours.
    pub(crate) fn url(&self, resource: &Resource) -> Option<&Url> {
        match resource {
            Resource::Multivariant(_) => Some(&self.playlist),
            Resource::Media(_, track) => self.tracks.get(track).map(|track| &track.playlist),
            Resource::Object(_, track, object) => self.tracks.get(track)?.objects.get(object),
            Resource::Key(_, id) => self.keys.get(id),
            Resource::Dvr(_)
            | Resource::DvrMedia(..)
            | Resource::Frames(..)
            | Resource::Vod(..)
            | Resource::Thumbnails(_)
            | Resource::Thumbnail(..) => None,
        }
    }

    /// The multivariant playlist in our names; one is made up around a lone media playlist. What names things that are not
    /// carried, playlists of key frames and content steering, is left out.
    pub(crate) fn multivariant(&mut self, text: &str) -> Result<String, Error> {
        if !text.starts_with("#EXTM3U") {
            return Err(playlist::Error::NotAPlaylist.into());
        }
        if text.len() > playlist::PLAYLIST_BYTES_MAX {
            return Err(playlist::Error::TooLong(text.len()).into());
        }
        let mut tracks = BTreeMap::new();
        if text.contains("\n#EXT-X-TARGETDURATION:") {
            let track = self.rendition(&mut tracks, self.playlist.clone())?;
            self.tracks = tracks;
            // rfc8216bis §4.4.6.2: BANDWIDTH is required; nobody chooses by it where there is one variant.
            return Ok(format!(
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000\n{track}/media.m3u8\n"
            ));
        }
        let mut out = String::with_capacity(text.len());
        for whole in text.split_inclusive('\n') {
            let line = whole.trim_end();
            let (tag, list) = line.split_once(':').unwrap_or((line, ""));
            match tag {
                "#EXT-X-DEFINE" => return Err(playlist::Error::Unsupported("EXT-X-DEFINE").into()),
                "#EXT-X-I-FRAME-STREAM-INF" | "#EXT-X-CONTENT-STEERING" => {}
                "#EXT-X-MEDIA" => match line::uri(list) {
                    Some(uri) => {
                        let track = self.rendition(&mut tracks, resolve(&self.playlist, uri)?)?;
                        out.push_str(&line::with_uri(whole, uri, &format!("{track}/media.m3u8")));
                    }
                    None => out.push_str(whole),
                },
                "#EXT-X-SESSION-KEY" => {
                    let base = self.playlist.clone();
                    let key = self.key(&base, list)?;
                    let key = key.map(|(uri, id)| line::with_uri(whole, uri, &format!("key-{id}")));
                    out.push_str(key.as_deref().unwrap_or(whole));
                }
                _ if line.is_empty() || line.starts_with('#') => out.push_str(whole),
                _ => {
                    let track = self.rendition(&mut tracks, resolve(&self.playlist, line)?)?;
                    out.push_str(&line::with_uri(whole, line, &format!("{track}/media.m3u8")));
                }
            }
        }
        if tracks.is_empty() {
            return Err(Error::NoTracks);
        }
        self.tracks = tracks;
        Ok(out)
    }

    /// A media playlist in our names.
    pub(crate) fn media(&mut self, id: &TrackId, text: &str) -> Result<String, Error> {
        let parsed = playlist::parse(text)?;
        let base = self.tracks.get(id).ok_or(Error::NoTracks)?.playlist.clone();
        let mut out = String::with_capacity(text.len() + text.len() / 4);
        let mut reader = Reader {
            base: &base,
            msn: parsed.media_sequence,
            part: 0,
            has_map: false,
            found: Vec::new(),
        };
        for whole in text.split_inclusive('\n') {
            let line = whole.trim_end();
            let (tag, list) = line.split_once(':').unwrap_or((line, ""));
            let named = match tag {
                "#EXT-X-RENDITION-REPORT" => match self.report(&base, list) {
                    Some(named) => Some(named),
                    None => continue,
                },
                "#EXT-X-KEY" => self.key(&base, list)?.map(|(uri, id)| (uri, id.uri())),
                _ if line.is_empty() || line.starts_with('#') => reader.tag(tag, list)?,
                _ => Some((line, reader.segment(line)?)),
            };
            match named {
                Some((uri, name)) => out.push_str(&line::with_uri(whole, uri, &name)),
                None => out.push_str(whole),
            }
        }
        let found = reader.found;
        let track = self.tracks.get_mut(id).ok_or(Error::NoTracks)?;
        track.learn(found, &parsed)?;
        Ok(out)
    }

    /// Our name for a rendition. It follows from its URL, so that all edges give the same.
    fn rendition(&self, tracks: &mut BTreeMap<TrackId, Track>, playlist: Url) -> Result<TrackId, Error> {
        let id = track_id(&self.playlist, &playlist)?;
        if tracks.len() >= TRACKS_MAX && !tracks.contains_key(&id) {
            return Err(Error::Many(TRACKS_MAX, "renditions"));
        }
        let known = self.tracks.get(&id);
        tracks.entry(id.clone()).or_insert_with(|| Track {
            objects: known.map(|known| known.objects.clone()).unwrap_or_default(),
            inits_by_age: known.map(|known| known.inits_by_age.clone()).unwrap_or_default(),
            playlist,
        });
        Ok(id)
    }

    /// A rendition report in our names, if it is of a rendition that is listed.
    fn report<'a>(&self, base: &Url, list: &'a str) -> Option<(&'a str, String)> {
        let uri = line::uri(list)?;
        let url = resolve(base, uri).ok()?;
        let is_same = |other: &Url| *other == url || (other.path() == url.path() && url.query().is_none());
        let (track, _) = self.tracks.iter().find(|(_, track)| is_same(&track.playlist))?;
        Some((uri, sibling(track)))
    }

    /// A key that is fetched over HTTP, and our name for it; others are the player's own affair.
    fn key<'a>(&mut self, base: &Url, list: &'a str) -> Result<Option<(&'a str, KeyId)>, Error> {
        let Some(uri) = line::uri(list) else {
            return Ok(None);
        };
        let is_other = Url::parse(uri).is_ok_and(|url| !matches!(url.scheme(), "http" | "https"));
        if is_other {
            return Ok(None);
        }
        let url = resolve(base, uri)?;
        let mut id = [0; 16];
        let halves = [hash(url.as_str(), 0), hash(url.as_str(), 1)];
        for (to, from) in id
            .iter_mut()
            .zip(halves.iter().flat_map(|half| half.to_be_bytes()))
        {
            *to = from;
        }
        let id = KeyId(id);
        if self.keys.insert(id, url).is_none() {
            self.keys_by_age.push_back(id);
        }
        if self.keys_by_age.len() > FEW_MAX
            && let Some(oldest) = self.keys_by_age.pop_front()
        {
            self.keys.remove(&oldest);
        }
        Ok(Some((uri, id)))
    }
}

impl Track {
    /// Takes a version's names in, and lets go of those that are not within a window of it.
    fn learn(&mut self, found: Vec<(Object, Url)>, parsed: &Parsed) -> Result<(), Error> {
        let listed = parsed.segments.len() as u64 + 1;
        let first = parsed.media_sequence.0;
        let near = first.saturating_sub(listed)..=first.saturating_add(listed * 2);
        self.objects.retain(|object, _| match object {
            Object::Init(_) => true,
            Object::Part(cell) => place(*cell).is_some_and(|(msn, _)| near.contains(&msn.0)),
            Object::Segment(msn) | Object::Vtt(msn) => near.contains(&msn.0),
        });
        for (name, url) in found {
            let init = match name {
                Object::Init(hash) => Some(hash),
                Object::Part(_) | Object::Segment(_) | Object::Vtt(_) => None,
            };
            if self.objects.insert(name, url).is_none() {
                self.inits_by_age.extend(init);
            }
        }
        while self.inits_by_age.len() > FEW_MAX {
            if let Some(oldest) = self.inits_by_age.pop_front() {
                self.objects.remove(&Object::Init(oldest));
            }
        }
        if self.objects.len() > OBJECTS_MAX {
            self.objects.clear();
            self.inits_by_age.clear();
            return Err(Error::Many(OBJECTS_MAX, "names in a rendition"));
        }
        Ok(())
    }
}

/// Where in a media playlist it is read, and what it has named so far.
struct Reader<'a> {
    base: &'a Url,
    msn: Msn,
    part: u64,
    has_map: bool,
    found: Vec<(Object, Url)>,
}

impl Reader<'_> {
    /// The URI of a tag that names something to fetch, and our name for it.
    fn tag<'a>(&mut self, tag: &str, list: &'a str) -> Result<Option<(&'a str, String)>, Error> {
        let Some(uri) = line::uri(list) else {
            return Ok(None);
        };
        let (is_part, tag) = match (tag, line::plain(list, "TYPE")) {
            ("#EXT-X-PART", _) => (true, "EXT-X-PART"),
            ("#EXT-X-MAP", _) => (false, "EXT-X-MAP"),
            ("#EXT-X-PRELOAD-HINT", Some("PART")) => (true, "EXT-X-PRELOAD-HINT"),
            ("#EXT-X-PRELOAD-HINT", Some("MAP")) => (false, "EXT-X-PRELOAD-HINT"),
            _ => return Ok(None),
        };
        if playlist::attribute(list, "BYTERANGE").is_some() {
            return Err(Error::Range(tag));
        }
        let url = resolve(self.base, uri)?;
        let name = if is_part {
            Object::Part(cell(self.msn, self.part)?)
        } else {
            // Named after its URL: what is in it is not known yet.
            Object::Init(Hash(hash(url.as_str(), 0)))
        };
        self.part += u64::from(is_part);
        self.has_map |= !is_part;
        let ours = name.uri();
        self.found.push((name, url));
        Ok(Some((uri, ours)))
    }

    fn segment(&mut self, uri: &str) -> Result<String, Error> {
        let url = resolve(self.base, uri)?;
        let name = match is_text(&url) {
            true => Object::Vtt(self.msn),
            false if self.has_map && !url.path().ends_with(".ts") => Object::Segment(self.msn),
            false => return Err(Error::NoMap),
        };
        (self.msn, self.part) = (self.msn.next(), 0);
        let ours = name.uri();
        self.found.push((name, url));
        Ok(ours)
    }
}

fn is_text(url: &Url) -> bool {
    [".vtt", ".webvtt"].iter().any(|end| url.path().ends_with(end))
}

fn resolve(base: &Url, uri: &str) -> Result<Url, Error> {
    let short = || uri.chars().take(128).collect();
    let mut url = base.join(uri).map_err(|_| Error::Uri(short()))?;
    if url.origin() != base.origin() {
        return Err(Error::Host(short()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// Words of the path that can be read, and a number that tells it apart.
fn track_id(base: &Url, playlist: &Url) -> Result<TrackId, Error> {
    let relative = base.make_relative(playlist).unwrap_or_default();
    let path = relative.split('?').next().unwrap_or_default();
    let path = path.strip_suffix(".m3u8").unwrap_or(path);
    let mut words = String::new();
    for c in path.chars().take(40) {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => words.push(c),
            _ if words.is_empty() || words.ends_with('-') => {}
            _ => words.push('-'),
        }
    }
    let words = words.trim_end_matches('-');
    let words = if words.is_empty() { "media" } else { words };
    let number = hash(playlist.as_str(), 0) >> 32;
    TrackId::new(&format!("{words}-{number:08x}")).map_err(|_| Error::Uri(relative))
}

/// FNV-1a: the same at every edge and in every version of it.
fn hash(text: &str, seed: u64) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
