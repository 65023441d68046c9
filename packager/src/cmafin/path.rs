//! PURE. Which track a request is of.
//!
//! `/STREAM/TRACK.cmfv` (`.cmfa`, `.mp4`, `.m4s`): a body that goes on for hours, or one segment after the other.
//! `/STREAM/Streams(TRACK.cmfv)`: the same, as DASH-IF writes it. `/STREAM/TRACK/ANYTHING.m4s`: a body for each segment,
//! whatever they are called. `/STREAM/init-stream0.m4s` and `/STREAM/chunk-stream0-00001.m4s`: what FFmpeg's `dash`
//! muxer calls them by itself; the number is the track's place in the configuration. Manifests are taken and not read:
//! `/STREAM/ANYTHING.mpd`, `.m3u8`.

use hls::id::{StreamId, TrackId};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) stream: StreamId,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A track, by its name.
    Track(TrackId),
    /// A track, by its place among the configured ones.
    Place(usize),
    /// Something that is not needed.
    Manifest,
}

impl Path {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (stream, rest) = path.strip_prefix('/')?.split_once('/')?;
        Some(Self {
            stream: StreamId::new(stream).ok()?,
            what: what(rest)?,
        })
    }
}

fn what(rest: &str) -> Option<What> {
    let inside = rest
        .strip_prefix("Streams(")
        .and_then(|rest| rest.strip_suffix(')'));
    if let Some(file) = inside {
        return track(media(file)?);
    }
    if let Some((name, file)) = rest.split_once('/') {
        return (is_manifest(file) || media(file).is_some())
            .then(|| track(name))
            .flatten();
    }
    if is_manifest(rest) {
        return Some(What::Manifest);
    }
    let name = media(rest)?;
    place(name).map(What::Place).or_else(|| track(name))
}

fn track(name: &str) -> Option<What> {
    TrackId::new(name).ok().map(What::Track)
}

/// A media file's name without its extension.
fn media(file: &str) -> Option<&str> {
    let (name, extension) = file.rsplit_once('.')?;
    ["cmfv", "cmfa", "mp4", "m4s", "m4v", "m4a"]
        .contains(&extension)
        .then_some(name)
}

fn is_manifest(file: &str) -> bool {
    file.ends_with(".mpd") || file.ends_with(".m3u8")
}

fn place(name: &str) -> Option<usize> {
    let number = name.strip_prefix("init-stream").or_else(|| {
        let (number, _segment) = name.strip_prefix("chunk-stream")?.split_once('-')?;
        Some(number)
    });
    number.filter(|digits| digits.len() <= 2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_named_in_the_ways_of_encoders() {
        let named = |id: &str| What::Track(TrackId::new(id).unwrap());
        for (path, what) in [
            ("/main/720p.cmfv", Some(named("720p"))),
            ("/main/audio.mp4", Some(named("audio"))),
            ("/main/Streams(720p.cmfv)", Some(named("720p"))),
            ("/main/720p/init.mp4", Some(named("720p"))),
            ("/main/720p/1-2.m4s", Some(named("720p"))),
            ("/main/init-stream0.m4s", Some(What::Place(0))),
            ("/main/chunk-stream12-00001.m4s", Some(What::Place(12))),
            ("/main/live.mpd", Some(What::Manifest)),
            ("/main/master.m3u8", Some(What::Manifest)),
            ("/main/720p.txt", None),
            ("/main/720P.cmfv", None),
            ("/main", None),
            ("/Main/720p.cmfv", None),
            ("/main/a/../b.m4s", Some(named("a"))),
        ] {
            let found = Path::parse(path).map(|path| path.what);
            assert_eq!(found, what, "{path}");
        }
    }
}
