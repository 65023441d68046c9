//! What a multivariant playlist offers.

use std::sync::Arc;

use crate::abr::Rung;
use crate::url::resolve;

/// Most rungs and sounds kept of one playlist; the rest are passed over.
pub const ENTRIES_MAX: usize = 32;

/// Rungs and sounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    /// Media playlists of the rungs, lowest first.
    pub paths: Vec<Arc<str>>,
    /// Their rates, in the same order.
    pub rungs: Vec<Rung>,
    /// The default audio rendition's media playlist, where sound is apart.
    pub audio: Option<Arc<str>>,
}

/// Why a text is no ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first line is not `#EXTM3U`.
    #[error("not a playlist: #EXTM3U is missing")]
    NotAPlaylist,
    /// No EXT-X-STREAM-INF that can be used.
    #[error("no EXT-X-STREAM-INF with BANDWIDTH and a URI of this host")]
    NoRung,
}

impl Ladder {
    /// Reads the text that was found at a path. Rungs of the same playlist count once; trick play and sound that is in
    /// the video are passed over.
    pub fn read(path: &str, text: &str) -> Result<Self, Error> {
        let mut lines = text.lines().map(str::trim_end);
        if lines.next() != Some("#EXTM3U") {
            return Err(Error::NotAPlaylist);
        }
        let (mut entries, mut audio, mut pending) = (Vec::<(Rung, Arc<str>)>::new(), None, None);
        for line in lines {
            if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
                pending = rung(list);
            } else if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
                let uri = attribute(list, "URI").and_then(|uri| resolve(path, uri));
                let wanted = attribute(list, "TYPE") == Some("AUDIO");
                if let Some(uri) = uri.filter(|_| wanted) {
                    let default = attribute(list, "DEFAULT") == Some("YES");
                    if audio.is_none() || default {
                        audio = Some(Arc::from(uri));
                    }
                }
            } else if !line.is_empty() && !line.starts_with('#') {
                let path = resolve(path, line);
                if let (Some(rung), Some(path)) = (pending.take(), path) {
                    let known = entries.iter().any(|(_, known)| **known == *path);
                    if !known && entries.len() < ENTRIES_MAX {
                        entries.push((rung, Arc::from(path)));
                    }
                }
            }
        }
        if entries.is_empty() {
            return Err(Error::NoRung);
        }
        entries.sort_by_key(|(rung, _)| rung.peak);
        let (rungs, paths) = entries.into_iter().unzip();
        Ok(Self { paths, rungs, audio })
    }

    /// How many rungs a viewer uses whose BANDWIDTH is capped; the lowest is always one of them.
    pub fn under(&self, bandwidth_max: Option<u64>) -> usize {
        let fits = |rung: &&Rung| bandwidth_max.is_none_or(|max| rung.peak <= max);
        self.rungs.iter().filter(fits).count().max(1)
    }
}

fn rung(list: &str) -> Option<Rung> {
    let number = |name| attribute(list, name).and_then(|text| text.parse::<u64>().ok());
    let peak = number("BANDWIDTH")?;
    Some(Rung {
        peak,
        average: number("AVERAGE-BANDWIDTH").unwrap_or(peak),
    })
}

/// An attribute's value without quotes. Commas inside quotes do not end a value.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(inner) => inner.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim() == name {
            return Some(value);
        }
        rest = next.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x,DEFAULT=YES\",URI=\"fr/media.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"audio/media.m3u8\"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"en\",DEFAULT=YES,INSTREAM-ID=\"CC1\"
#EXT-X-STREAM-INF:BANDWIDTH=1221760,AVERAGE-BANDWIDTH=928000,CODECS=\"avc1.4d401e,mp4a.40.2\",AUDIO=\"a\"
360p/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=636760,CODECS=\"avc1.4d4015,mp4a.40.2\",AUDIO=\"a\"
240p/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"b\"
http://elsewhere/media.m3u8
";

    #[test]
    fn rungs_are_lowest_first_and_the_default_sound_is_taken() {
        let ladder = Ladder::read("/live/main/index.m3u8", TEXT).unwrap();
        let paths: Vec<&str> = ladder.paths.iter().map(|path| &**path).collect();
        assert_eq!(
            paths,
            ["/live/main/240p/media.m3u8", "/live/main/360p/media.m3u8"]
        );
        assert_eq!(
            ladder.rungs[0],
            Rung {
                peak: 636_760,
                average: 636_760
            }
        );
        assert_eq!(ladder.rungs[1].average, 928_000);
        assert_eq!(ladder.audio.as_deref(), Some("/live/main/audio/media.m3u8"));
        assert_eq!(
            (
                ladder.under(None),
                ladder.under(Some(700_000)),
                ladder.under(Some(1))
            ),
            (2, 1, 1)
        );
    }

    #[test]
    fn what_is_no_ladder_is_refused() {
        assert_eq!(Ladder::read("/", "<html>"), Err(Error::NotAPlaylist));
        assert_eq!(
            Ladder::read("/", "#EXTM3U\n#EXT-X-TARGETDURATION:2\na.m4s\n"),
            Err(Error::NoRung)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(body in "(#EXT-X-(STREAM-INF|MEDIA):[A-Z\",=0-9-]{0,40}\n|[a-z./]{0,9}\n){0,20}") {
            let _either_is_fine = Ladder::read("/a/b", &format!("#EXTM3U\n{body}"));
        }
    }
}
