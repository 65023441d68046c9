//! The URL grammar, for origin and edge alike. Nothing else builds or takes apart a URL.

use crate::id::{Cell, ClipId, Msn, StreamId, TrackId};

/// Longest path and query a server reads, bytes.
pub const TARGET_BYTES_MAX: usize = 1_024;

/// Name of a track's live playlist.
pub(crate) const MEDIA: &str = "media.m3u8";
/// Name of a playlist for rewinding, a stream's and a track's.
pub(crate) const DVR: &str = "dvr.m3u8";
/// Name of a track's playlist of key frames.
pub(crate) const FRAMES: &str = "iframes.m3u8";
/// Name of a stream's thumbnail track.
const THUMBNAILS: &str = "thumbnails.vtt";
/// Name of a multivariant playlist.
const INDEX: &str = "index.m3u8";
const EVENT: &str = "event-";
const CLIP: &str = "clip-";

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `/live/{stream}/index.m3u8`
    Multivariant(StreamId),
    /// `/live/{stream}/key-{kid}`: all tracks have the same
    Key(StreamId, KeyId),
    /// `/live/{stream}/thumbnails.vtt`: pictures of what can be rewound to
    Thumbnails(StreamId),
    /// `/live/{stream}/thumb-{msn}.jpg`: a picture of a segment
    Thumbnail(StreamId, Msn),
    /// `/live/{stream}/{track}/media.m3u8`
    Media(StreamId, TrackId),
    /// `/live/{stream}/dvr.m3u8`: the multivariant playlist for rewinding
    Dvr(StreamId),
    /// `/live/{stream}/{track}/dvr.m3u8`
    DvrMedia(StreamId, TrackId),
    /// `/live/{stream}/{track}/iframes.m3u8`: the key frames of the recording, for scrubbing
    Frames(StreamId, TrackId),
    /// `/live/{stream}/{track}/{object}`
    Object(StreamId, TrackId, Object),
    /// `/live/{stream}/{vod}/...`: something that is kept for good, with the names of a stream below its own
    Vod(StreamId, Vod, Leaf),
}

/// A directory of something that is kept for good.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vod {
    /// `event-{cell}`: an event, called after its first cell
    Event(Cell),
    /// `clip-{id}`
    Clip(ClipId),
}

/// A name below a [`Vod`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leaf {
    /// `index.m3u8`
    Multivariant,
    /// `{track}/media.m3u8`
    Media(TrackId),
    /// `{track}/{object}`; parts and subtitles are not kept
    Object(TrackId, Object),
}

impl Vod {
    /// The directory's name.
    pub fn name(&self) -> String {
        match self {
            Self::Event(cell) => format!("{EVENT}{cell}"),
            Self::Clip(id) => format!("{CLIP}{id}"),
        }
    }

    /// Reads a directory's name.
    pub fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix(EVENT) {
            Some(cell) => number(cell).map(|cell| Self::Event(Cell(cell))),
            None => ClipId::new(name.strip_prefix(CLIP)?).ok().map(Self::Clip),
        }
    }
}

impl Leaf {
    /// The name, relative to the directory.
    pub fn name(&self) -> String {
        match self {
            Self::Multivariant => INDEX.to_owned(),
            Self::Media(track) => format!("{track}/{MEDIA}"),
            Self::Object(track, object) => format!("{track}/{}", object.uri()),
        }
    }

    fn parse(first: &str, second: Option<&str>) -> Option<Self> {
        let Some(second) = second else {
            return (first == INDEX).then_some(Self::Multivariant);
        };
        let track = TrackId::new(first).ok()?;
        match second {
            MEDIA => Some(Self::Media(track)),
            _ => match Object::parse(second)? {
                Object::Part(_) | Object::Vtt(_) => None,
                object @ (Object::Init(_) | Object::Segment(_)) => Some(Self::Object(track, object)),
            },
        }
    }
}

/// A file beside a media playlist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// `init-{hash}.mp4`
    Init(Hash),
    /// `part-{cell}.m4s`
    Part(Cell),
    /// `seg-{msn}.m4s`
    Segment(Msn),
    /// `seg-{msn}.vtt`: the same of a subtitle track
    Vtt(Msn),
}

/// Sixteen lower-case hexadecimal digits that name an init segment by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub u64);

/// Thirty-two lower-case hexadecimal digits that name a content key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl KeyId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let exact = text.len() == 32 && text.bytes().all(is_hex);
        let number = exact.then(|| u128::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }

    /// URI of the key, relative to a media playlist.
    pub fn uri(&self) -> String {
        format!("../key-{self}")
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl Object {
    /// The URI as a media playlist lists it, relative to itself.
    pub fn uri(&self) -> String {
        match self {
            Self::Init(hash) => format!("init-{:016x}.mp4", hash.0),
            Self::Part(cell) => format!("part-{cell}.m4s"),
            Self::Segment(msn) => format!("seg-{msn}.m4s"),
            Self::Vtt(msn) => format!("seg-{msn}.vtt"),
        }
    }

    /// Reads a URI as a media playlist of ours lists it.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(hash) = name.strip_prefix("init-").and_then(|n| n.strip_suffix(".mp4")) {
            let exact = hash.len() == 16 && hash.bytes().all(is_hex);
            return if exact {
                u64::from_str_radix(hash, 16).ok().map(|h| Self::Init(Hash(h)))
            } else {
                None
            };
        }
        if let Some(msn) = name.strip_prefix("seg-").and_then(|n| n.strip_suffix(".vtt")) {
            return number(msn).map(|n| Self::Vtt(Msn(n)));
        }
        let name = name.strip_suffix(".m4s")?;
        match name.strip_prefix("part-") {
            Some(cell) => number(cell).map(|n| Self::Part(Cell(n))),
            None => number(name.strip_prefix("seg-")?).map(|n| Self::Segment(Msn(n))),
        }
    }
}

/// Name of a segment's picture, beside its stream's multivariant playlist.
pub(crate) fn thumbnail(msn: Msn) -> String {
    format!("thumb-{msn}.jpg")
}

/// Reads such a name.
pub(crate) fn thumbnail_of(name: &str) -> Option<Msn> {
    let msn = name.strip_prefix("thumb-")?.strip_suffix(".jpg")?;
    number(msn).map(Msn)
}

/// Plain decimal without sign or leading zeros, so that one object has one URL.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0');
    (plain && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

impl Resource {
    /// Reads a path; `None` is a 404 without a look at anything.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > TARGET_BYTES_MAX {
            return None;
        }
        let mut names = path.strip_prefix("/live/")?.split('/');
        let stream = StreamId::new(names.next()?).ok()?;
        let second = names.next()?;
        let Some(third) = names.next() else {
            return match (second, second.strip_prefix("key-")) {
                (INDEX, _) => Some(Self::Multivariant(stream)),
                (DVR, _) => Some(Self::Dvr(stream)),
                (THUMBNAILS, _) => Some(Self::Thumbnails(stream)),
                (_, Some(kid)) => KeyId::parse(kid).map(|kid| Self::Key(stream, kid)),
                (_, None) => thumbnail_of(second).map(|msn| Self::Thumbnail(stream, msn)),
            };
        };
        let fourth = names.next();
        if names.next().is_some() {
            return None;
        }
        if let (Some(vod), true) = (Vod::parse(second), fourth.is_some() || third == INDEX) {
            return Leaf::parse(third, fourth).map(|leaf| Self::Vod(stream, vod, leaf));
        }
        let track = TrackId::new(second).ok()?;
        if fourth.is_some() {
            return None;
        }
        match third {
            MEDIA => Some(Self::Media(stream, track)),
            DVR => Some(Self::DvrMedia(stream, track)),
            FRAMES => Some(Self::Frames(stream, track)),
            _ => Object::parse(third).map(|object| Self::Object(stream, track, object)),
        }
    }

    /// The path, as [`Resource::parse`] reads it.
    pub fn path(&self) -> String {
        match self {
            Self::Multivariant(stream) => format!("/live/{stream}/{INDEX}"),
            Self::Key(stream, kid) => format!("/live/{stream}/key-{kid}"),
            Self::Thumbnails(stream) => format!("/live/{stream}/{THUMBNAILS}"),
            Self::Thumbnail(stream, msn) => format!("/live/{stream}/{}", thumbnail(*msn)),
            Self::Media(stream, track) => format!("/live/{stream}/{track}/{MEDIA}"),
            Self::Dvr(stream) => format!("/live/{stream}/{DVR}"),
            Self::DvrMedia(stream, track) => format!("/live/{stream}/{track}/{DVR}"),
            Self::Frames(stream, track) => format!("/live/{stream}/{track}/{FRAMES}"),
            Self::Object(stream, track, object) => format!("/live/{stream}/{track}/{}", object.uri()),
            Self::Vod(stream, vod, leaf) => format!("/live/{stream}/{}/{}", vod.name(), leaf.name()),
        }
    }

    /// The stream it belongs to.
    pub fn stream(&self) -> &StreamId {
        match self {
            Self::Multivariant(stream)
            | Self::Key(stream, _)
            | Self::Media(stream, _)
            | Self::Dvr(stream)
            | Self::DvrMedia(stream, _)
            | Self::Frames(stream, _)
            | Self::Object(stream, _, _)
            | Self::Thumbnails(stream)
            | Self::Thumbnail(stream, _)
            | Self::Vod(stream, _, _) => stream,
        }
    }
}

/// A path's playback token, and the path without it: `/t/{token}/live/…` is `/live/…` for whoever has the token.
pub fn split_token(path: &str) -> (Option<&str>, &str) {
    let split = path.strip_prefix("/t/").and_then(|rest| {
        let (token, _) = rest.split_once('/')?;
        Some((token, rest.get(token.len()..)?))
    });
    match split {
        Some((token, rest)) => (Some(token), rest),
        None => (None, path),
    }
}

/// URI of another track's media playlist, relative to a media playlist.
pub fn sibling(track: &TrackId) -> String {
    format!("../{track}/{MEDIA}")
}

/// Delivery directives of a playlist request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Directives {
    /// `_HLS_msn` and, with it, `_HLS_part`.
    pub wait: Option<(u64, Option<u64>)>,
    /// `_HLS_skip`.
    pub skip: Option<Skip>,
}

/// What a delta update may leave out (rfc8216bis §6.2.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// `YES`: segments.
    Segments,
    /// `v2`: segments and date ranges.
    Dates,
}

/// Why directives are refused with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveError {
    /// Not a decimal number that fits 64 bits.
    #[error("{0} is not a decimal number")]
    NotANumber(&'static str),
    /// `_HLS_part` without `_HLS_msn`.
    #[error("_HLS_part without _HLS_msn")]
    PartAlone,
    /// The same directive with two values.
    #[error("{0} given twice")]
    Twice(&'static str),
}

impl Directives {
    /// Reads a query. Arguments that are not ours, CMCD among them, are dropped: they are part of no key.
    pub fn parse(query: &str) -> Result<Self, DirectiveError> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "_HLS_msn" => take(&mut msn, "_HLS_msn", value)?,
                "_HLS_part" => take(&mut part, "_HLS_part", value)?,
                "_HLS_skip" => {
                    // rfc8216bis §6.2.5.1 knows two values; any other asks for nothing that we know.
                    let known = match value {
                        "YES" => Some(Skip::Segments),
                        "v2" => Some(Skip::Dates),
                        _ => None,
                    };
                    if skip.replace(known).is_some() {
                        return Err(DirectiveError::Twice("_HLS_skip"));
                    }
                }
                // rfc8216bis §6.2.5: unknown _HLS_ parameters are ignored.
                _ => {}
            }
        }
        let wait = match (msn, part) {
            (None, Some(_)) => return Err(DirectiveError::PartAlone), // rfc8216bis §6.2.5.2
            (None, None) => None,
            (Some(msn), part) => Some((msn, part)),
        };
        Ok(Self {
            wait,
            skip: skip.flatten(),
        })
    }

    /// The query that asks for this, without `?`; directives in the order caches expect.
    pub fn query(&self) -> Option<String> {
        // rfc8216bis §6.3.2: parameters in UTF-8 order, so that caches see one key.
        let wait = self.wait.map(|(msn, part)| match part {
            Some(part) => format!("_HLS_msn={msn}&_HLS_part={part}"),
            None => format!("_HLS_msn={msn}"),
        });
        let skip = self.skip.map(|skip| match skip {
            Skip::Segments => "_HLS_skip=YES",
            Skip::Dates => "_HLS_skip=v2",
        });
        match (wait, skip) {
            (Some(wait), Some(skip)) => Some(format!("{wait}&{skip}")),
            (wait, skip) => wait.or(skip.map(str::to_owned)),
        }
    }
}

fn take(slot: &mut Option<u64>, name: &'static str, value: &str) -> Result<(), DirectiveError> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    let number = number.ok_or(DirectiveError::NotANumber(name))?;
    match slot.replace(number) {
        None => Ok(()),
        Some(_) => Err(DirectiveError::Twice(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_outside_the_grammar_name_nothing() {
        for bad in [
            "/",
            "/live",
            "/live/",
            "/live/main",
            "/live/main/",
            "/live/Main/index.m3u8",
            "/live/main/360p",
            "/live/main/360p/",
            "/live/main/360p/x.m4s",
            "/live/main/subs-en/seg-01.vtt",
            "/live/main/subs-en/seg-.vtt",
            "/live/main/subs-en/part-1.vtt",
            "/live/main/event-7/subs-en/seg-1.vtt",
            "/live/main/360p/dvr.m3u8/",
            "/live/main/360p/index.m3u8",
            "/live/main/event-7/360p/part-1.m4s",
            "/live/main/event-07/index.m3u8",
            "/live/main/event-7/dvr.m3u8/x",
            "/live/main/event-7/360p/dvr.m3u8",
            "/live/main/clip-/index.m3u8",
            "/live/main/clip-A/index.m3u8",
            "/live/main/clip-a/360p/media.m3u8/x",
            "/live/main/360p/360p/media.m3u8",
            "/live/main/360p/part-.m4s",
            "/live/main/360p/part-01.m4s",
            "/live/main/360p/part-+1.m4s",
            "/live/main/360p/part--1.m4s",
            "/live/main/360p/part-18446744073709551616.m4s",
            "/live/main/360p/seg-1.m4s/",
            "/live/main/360p/init-ABCDEF0123456789.mp4",
            "/live/main/360p/init-12.mp4",
            "/live/main/key-",
            "/live/main/thumb-.jpg",
            "/live/main/thumb-01.jpg",
            "/live/main/thumb-1.jpeg",
            "/live/main/360p/thumb-1.jpg",
            "/live/main/360p/thumbnails.vtt",
            "/live/main/key-0123456789abcdef",
            "/live/main/key-0123456789ABCDEF0123456789ABCDEF",
            "/live/main/360p/key-0123456789abcdef0123456789abcdef",
            "/live/../main/index.m3u8",
            "/live/main/%33/media.m3u8",
            "/live/é/index.m3u8",
        ] {
            assert_eq!(Resource::parse(bad), None, "{bad}");
        }
        assert_eq!(
            Resource::parse(&format!("/live/main/{}", "a".repeat(2_000))),
            None
        );
    }

    #[test]
    fn a_token_is_a_prefix_that_leaves_a_path() {
        for (path, token, rest) in [
            (
                "/t/abc/live/main/index.m3u8",
                Some("abc"),
                "/live/main/index.m3u8",
            ),
            ("/t/abc/", Some("abc"), "/"),
            ("/t//live/main/index.m3u8", Some(""), "/live/main/index.m3u8"),
            ("/t/abc", None, "/t/abc"),
            ("/live/t/abc/", None, "/live/t/abc/"),
            ("/t/a/t/b/live", Some("a"), "/t/b/live"),
        ] {
            assert_eq!(split_token(path), (token, rest), "{path}");
        }
    }

    #[test]
    fn directives_are_numbers_or_an_error() {
        let wait = |q: &str| Directives::parse(q).unwrap().wait;
        assert_eq!(wait(""), None);
        assert_eq!(wait("_HLS_msn=5"), Some((5, None)));
        assert_eq!(wait("_HLS_part=2&CMCD=x&_HLS_msn=5"), Some((5, Some(2))));
        assert_eq!(wait("_HLS_future=1&_HLS_skip=YES"), None);
        let skip = |q: &str| Directives::parse(q).unwrap().skip;
        assert_eq!(skip("_HLS_skip=YES&CMCD=x"), Some(Skip::Segments));
        assert_eq!(skip("_HLS_msn=1&_HLS_skip=v2"), Some(Skip::Dates));
        assert_eq!(
            [skip("_HLS_skip=v3"), skip("_HLS_skip=yes"), skip("_HLS_skip")],
            [None; 3]
        );
        let all = Directives::parse("_HLS_skip=v2&_HLS_part=2&_HLS_msn=5").unwrap();
        assert_eq!(all.query().unwrap(), "_HLS_msn=5&_HLS_part=2&_HLS_skip=v2");
        for bad in [
            "_HLS_msn=-1",
            "_HLS_msn=",
            "_HLS_msn=a",
            "_HLS_msn=1.5",
            "_HLS_msn=99999999999999999999",
            "_HLS_msn=1&_HLS_part=+1",
            "_HLS_part=1",
            "_HLS_msn=1&_HLS_msn=2",
            "_HLS_skip=YES&_HLS_skip=v2",
        ] {
            assert!(Directives::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_resource_is_read_back(n in any::<u64>(), which in 0usize..16) {
            let stream = StreamId::new("main").unwrap();
            let track = TrackId::new("360p").unwrap();
            let object = |o| Resource::Object(stream.clone(), track.clone(), o);
            let resource = match which {
                0 => Resource::Multivariant(stream),
                1 => Resource::Media(stream, track),
                2 => object(Object::Init(Hash(n))),
                3 => object(Object::Part(Cell(n))),
                4 => Resource::Dvr(stream),
                5 => Resource::DvrMedia(stream, track),
                6 => Resource::Frames(stream, track),
                7 => Resource::Key(stream, KeyId((u128::from(n) << 32).to_be_bytes())),
                8 => Resource::Vod(stream, Vod::Event(Cell(n)), Leaf::Multivariant),
                9 => Resource::Vod(stream, Vod::Event(Cell(n)), Leaf::Object(track, Object::Segment(Msn(n)))),
                10 => Resource::Vod(stream, Vod::Clip(ClipId::new("goal-1").unwrap()), Leaf::Media(track)),
                11 => Resource::Media(stream, TrackId::new("clip-7").unwrap()),
                12 => object(Object::Vtt(Msn(n))),
                13 => Resource::Thumbnails(stream),
                14 => Resource::Thumbnail(stream, Msn(n)),
                _ => object(Object::Segment(Msn(n))),
            };
            prop_assert_eq!(Resource::parse(&resource.path()), Some(resource));
        }

        #[test]
        fn any_text_is_a_resource_or_nothing(path in ".{0,200}", query in ".{0,100}") {
            if let Some(resource) = Resource::parse(&path) {
                prop_assert_eq!(resource.path(), path);
            }
            if let Ok(directives) = Directives::parse(&query) {
                let again = Directives::parse(&directives.query().unwrap_or_default());
                prop_assert_eq!(again, Ok(directives));
            }
        }
    }
}
