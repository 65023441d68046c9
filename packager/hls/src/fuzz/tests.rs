use proptest::prelude::*;

use super::*;
use crate::timeline::stage::{SEGMENT, Stage};

/// What playlists are made of, and numbers at the edge of what fits.
const WORDS: [&str; 40] = [
    "#EXTM3U\n",
    "#EXT-X-TARGETDURATION:",
    "#EXT-X-VERSION:",
    "#EXT-X-MEDIA-SEQUENCE:",
    "#EXT-X-DISCONTINUITY-SEQUENCE:",
    "#EXT-X-DISCONTINUITY\n",
    "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12.0,CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.566\n",
    "#EXT-X-PART-INF:PART-TARGET=",
    "#EXT-X-PART:DURATION=0.5,URI=\"part-1.m4s\"\n",
    "#EXT-X-PART:DURATION=",
    "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-2.m4s\"\n",
    "#EXT-X-RENDITION-REPORT:URI=\"../b/media.m3u8\",LAST-MSN=",
    "LAST-PART=",
    "#EXT-X-SKIP:SKIPPED-SEGMENTS=",
    "RECENTLY-REMOVED-DATERANGES=\"a\tb\"",
    "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00.000Z\",DURATION=",
    "#EXT-X-PROGRAM-DATE-TIME:",
    "2026-01-01T00:00:00.000Z\n",
    "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n",
    "#EXT-X-KEY:METHOD=NONE\n",
    "#EXT-X-MAP:URI=\"init-0123456789abcdef.mp4\"\n",
    "#EXT-X-GAP\n",
    "#EXT-X-ENDLIST\n",
    "#EXTINF:",
    "seg-1.m4s\n",
    "#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.42c00a,mp4a.40.2\",AUDIO=\"a\"\n",
    "360p/media.m3u8\n",
    "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"b\",URI=\"c\"\n",
    "18446744073709551615",
    "9223372036854775808",
    "4294967296",
    "0.5",
    "0",
    "-1",
    ",",
    "\"",
    "=",
    "\r\n",
    "\n",
    "é",
];

/// Words in any order, and behind them anything.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![9 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => ".{0,9}"];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// A playlist of ours in which words stand where they should not.
fn spoilt() -> impl Strategy<Value = String> {
    let mut stage = Stage::usual();
    stage.feed(10 * SEGMENT + 2);
    let (text, word) = (stage.text(0), prop::sample::select(&WORDS[..]));
    prop::collection::vec((any::<prop::sample::Index>(), word, 0usize..30), 0..4).prop_map(move |changes| {
        let mut text = text.clone();
        for (place, word, gone) in changes {
            let at = place.index(text.len());
            let end = (at + gone).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, word);
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn any_playlist_is_read_or_refused(text in prop_oneof![words(), spoilt(), words().prop_map(|words|
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{words}"))])
    {
        playlist(text.as_bytes());
        multivariant(text.as_bytes());
    }

    #[test]
    fn any_playlist_may_follow_any_other(
        before in prop_oneof![words(), spoilt()], after in prop_oneof![words(), spoilt()],
    ) {
        successive(format!("{before}{BETWEEN}{after}").as_bytes());
    }

    #[test]
    fn any_target_is_a_resource_or_nothing(
        text in "(/(t|live|main|360p|(init|part|seg|event|clip|key)-[0-9a-f]{0,32}|index|media|dvr|iframes|é)?(\\.m3u8|\\.m4s|\\.mp4)?){0,6}(\\?(&?(_HLS_msn|_HLS_part|_HLS_skip|CMCD)(=(YES|v2|[0-9]{0,21}))?){0,4})?",
    ) {
        target(text.as_bytes());
    }

    #[test]
    fn any_date_is_read_or_refused(text in "[0-9]{1,9}-[0-9]{1,3}-[0-9]{1,3}[Tt ]?[0-9]{1,3}:[0-9]{2}:[0-9]{1,9}(\\.[0-9]{0,12})?(Z|z|[+-][0-9]{1,9}:[0-9]{1,9})?|.{0,40}") {
        date(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for body in [playlist, successive, multivariant, target, date] {
            body(&bytes);
        }
    }
}
