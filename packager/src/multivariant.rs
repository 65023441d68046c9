//! PURE. A stream's multivariant playlist, from what its feed says of the tracks.

use feed::{Codec, Shape, Track};
use hls::playlist::{Audio, Captions, Multivariant, Variant};

/// The playlist of a shape whose tracks have these CODECS names.
pub(crate) fn multivariant(shape: &Shape, codecs: &[String]) -> Multivariant {
    let tracks = || shape.tracks.iter().zip(codecs);
    let audio: Vec<_> = tracks().filter(|(track, _)| !track.is_video()).collect();
    let most = |bps: fn(&Track) -> u64| audio.iter().map(|(track, _)| bps(track)).max().unwrap_or(0);
    let (peak, average) = (most(|track| track.peak_bps), most(|track| track.average_bps));
    let variant = |(track, codec): (&Track, &String)| {
        let variant = Variant {
            track: track.id.clone(),
            bandwidth: track.peak_bps + peak,
            average_bandwidth: track.average_bps + average,
            codecs: each_once(std::iter::once(codec).chain(audio.iter().map(|(_, codec)| *codec))),
            resolution: track.codec.picture()?,
            frame_rate: shape.grid.rate().as_f64(),
        };
        Some((place(&track.codec), variant))
    };
    let mut variants: Vec<_> = tracks().filter_map(variant).collect();
    variants.sort_by_key(|(place, variant)| (*place, std::cmp::Reverse(variant.bandwidth)));
    Multivariant {
        variants: variants.into_iter().map(|(_, variant)| variant).collect(),
        audio: group(audio.iter().map(|(track, _)| *track)),
        captions: captions(shape),
        subtitles: Vec::new(),
    }
}

/// rfc8216bis §6.2.4: a player without a wish begins with the first variant, so that is one every player has a
/// decoder for. A codec's own variants stand together, best first.
fn place(codec: &Codec) -> u8 {
    match codec {
        Codec::H264 { .. } => 0,
        Codec::Hevc { .. } => 1,
        Codec::Av1 { .. } => 2,
        Codec::Aac { .. } | Codec::Opus { .. } => u8::MAX,
    }
}

/// Whether all sound is of one codec. Every variant is listed with every rendition, and a player that cannot decode
/// one of them would pass over the variant, or fail in the middle of a change.
pub(crate) fn has_one_kind_of_sound(shape: &Shape) -> bool {
    let opus = |track: &&Track| matches!(track.codec, Codec::Opus { .. });
    let sound = || shape.tracks.iter().filter(|track| !track.is_video());
    [0, sound().count()].contains(&sound().filter(opus).count())
}

fn each_once<'a>(codecs: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for codec in codecs {
        if !out.contains(codec) {
            out.push(codec.clone());
        }
    }
    out
}

/// rfc8216bis §4.4.6.1.1: no two members of a group have the same NAME, so a title used twice gets the track's id.
fn group<'a>(tracks: impl Iterator<Item = &'a Track>) -> Vec<Audio> {
    let mut group: Vec<Audio> = Vec::new();
    for track in tracks {
        let Some(channels) = track.codec.channels() else {
            continue;
        };
        let mut name = track.title.clone().unwrap_or_else(|| track.id.to_string());
        while group.iter().any(|other| other.name == name) {
            name = format!("{name} ({})", track.id);
        }
        group.push(Audio {
            track: track.id.clone(),
            name,
            language: track.language.clone(),
            channels,
        });
    }
    group
}

/// The same for captions, whose channels differ.
fn captions(shape: &Shape) -> Vec<Captions> {
    let mut group: Vec<Captions> = Vec::new();
    for said in &shape.captions {
        let mut name = said.title.clone().unwrap_or_else(|| said.channel.clone());
        while group.iter().any(|other| other.name == name) {
            name = format!("{name} ({})", said.channel);
        }
        group.push(Captions {
            channel: said.channel.clone(),
            name,
            language: said.language.clone(),
        });
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::check;
    use hls::id::TrackId;
    use hls::time::{FrameRate, Grid, Profile};
    use proptest::prelude::*;

    fn track(id: &str, kbps: u64) -> Track {
        let (config, width, height) = (bytes::Bytes::new(), 640, 360);
        let codec = match id.split_once('-') {
            Some((_, "hevc")) => Codec::Hevc {
                config,
                width,
                height,
            },
            Some((_, "av1")) => Codec::Av1 {
                config,
                width,
                height,
            },
            Some((_, "opus")) => Codec::Opus { config, channels: 2 },
            _ if id.ends_with('p') => Codec::H264 {
                config,
                width,
                height,
            },
            _ => Codec::Aac { config, channels: 2 },
        };
        Track {
            id: TrackId::new(id).unwrap(),
            codec,
            average_bps: kbps * 1_000,
            peak_bps: kbps * 1_500,
            language: None,
            title: None,
        }
    }

    fn said(id: &str, kbps: u64, language: &str, title: Option<&str>) -> Track {
        Track {
            language: Some(language.to_owned()),
            title: title.map(str::to_owned),
            ..track(id, kbps)
        }
    }

    fn text(tracks: Vec<Track>) -> String {
        captioned(tracks, vec![])
    }

    fn captioned(tracks: Vec<Track>, captions: Vec<feed::message::Captions>) -> String {
        let name = |track: &Track| match track.codec {
            Codec::H264 { .. } => "avc1.42c00a",
            Codec::Hevc { .. } => "hvc1.1.6.L60.90",
            Codec::Av1 { .. } => "av01.0.00M.08",
            Codec::Aac { .. } => "mp4a.40.2",
            Codec::Opus { .. } => "Opus",
        };
        let codecs: Vec<String> = tracks.iter().map(|track| name(track).to_owned()).collect();
        let grid = Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
        let shape = Shape {
            grid,
            tracks,
            captions,
        };
        multivariant(&shape, &codecs).render()
    }

    #[test]
    fn one_rendition_in_its_own_words() {
        let expected = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio/media.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1392000,AVERAGE-BANDWIDTH=928000,CODECS=\"avc1.42c00a,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
360p/media.m3u8
";
        assert_eq!(text(vec![track("360p", 800), track("audio", 128)]), expected);
    }

    /// The most demanding audio counts, each codec is named once, and only the first rendition is the default.
    #[test]
    fn several_renditions_in_their_own_words() {
        let expected = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Stadium, live\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio/media.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"comments\",LANGUAGE=\"pt-BR\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"comments/media.m3u8\"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"Stadium, live (field)\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"field/media.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1500000,AVERAGE-BANDWIDTH=1000000,CODECS=\"avc1.42c00a,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
360p/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=825000,AVERAGE-BANDWIDTH=550000,CODECS=\"avc1.42c00a,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
240p/media.m3u8
";
        let tracks = vec![
            track("240p", 350),
            track("360p", 800),
            said("audio", 128, "en", Some("Stadium, live")),
            said("comments", 64, "pt-BR", None),
            said("field", 200, "en", Some("Stadium, live")),
        ];
        assert_eq!(text(tracks), expected);
        assert_eq!(check::multivariant(expected), []);
    }

    /// However they are fed, and whatever they cost: H.264 first, then each codec's own, best first.
    #[test]
    fn a_player_without_a_wish_begins_with_h264() {
        let expected = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"voice-opus\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"voice-opus/media.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1350000,AVERAGE-BANDWIDTH=900000,CODECS=\"avc1.42c00a,Opus\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
360p/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=600000,AVERAGE-BANDWIDTH=400000,CODECS=\"avc1.42c00a,Opus\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
240p/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=4650000,AVERAGE-BANDWIDTH=3100000,CODECS=\"hvc1.1.6.L60.90,Opus\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
720p-hevc/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3150000,AVERAGE-BANDWIDTH=2100000,CODECS=\"av01.0.00M.08,Opus\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
720p-av1/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=600000,CODECS=\"av01.0.00M.08,Opus\",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO=\"audio\",CLOSED-CAPTIONS=NONE
360p-av1/media.m3u8
";
        let tracks = vec![
            track("360p-av1", 500),
            track("720p-av1", 2_000),
            track("720p-hevc", 3_000),
            track("240p", 300),
            track("360p", 800),
            track("voice-opus", 100),
        ];
        assert_eq!(text(tracks), expected);
        assert_eq!(check::multivariant(expected), []);
    }

    #[test]
    fn sound_is_of_one_codec() {
        let grid = Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
        let one = |ids: &[&str]| {
            let tracks = ids.iter().map(|id| track(id, 100)).collect();
            has_one_kind_of_sound(&Shape {
                grid,
                tracks,
                captions: vec![],
            })
        };
        assert!(one(&["360p"]) && one(&["360p", "a", "b"]) && one(&["360p", "a-opus", "b-opus"]));
        assert!(!one(&["360p", "a", "b-opus"]) && !one(&["a-opus", "b"]));
    }

    #[test]
    fn captions_in_their_own_words() {
        let said = |channel: &str, language: Option<&str>, title: Option<&str>| feed::message::Captions {
            channel: channel.to_owned(),
            language: language.map(str::to_owned),
            title: title.map(str::to_owned),
        };
        let captions = vec![
            said("CC1", Some("en"), Some("English")),
            said("SERVICE2", None, Some("English")),
        ];
        let text = captioned(vec![track("360p", 800), track("240p", 350)], captions);
        let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,INSTREAM-ID=\"CC1\"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"English (SERVICE2)\",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID=\"SERVICE2\"
";
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.matches(",CLOSED-CAPTIONS=\"captions\"\n").count(), 2);
        assert_eq!(check::multivariant(&text), []);
        let broken = |from: &str, to: &str| {
            let text = text.replacen(from, to, 1);
            check::multivariant(&text)
                .iter()
                .map(|broken| broken.rule)
                .collect::<Vec<_>>()
        };
        assert_eq!(broken(",INSTREAM-ID=\"CC1\"", ""), [113]);
        assert_eq!(
            broken("CLOSED-CAPTIONS=\"captions\"", "CLOSED-CAPTIONS=NONE"),
            [113]
        );
        assert_eq!(
            broken("CLOSED-CAPTIONS=\"captions\"", "CLOSED-CAPTIONS=\"other\""),
            [112]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_titles_every_rule_of_a_group_holds(
            titles in prop::collection::vec(prop::option::of("[ab]( \\([ab]\\)){0,2}"), 1..8),
        ) {
            let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let mut tracks = vec![track("360p", 800)];
            tracks.extend(ids.iter().zip(titles).map(|(id, title)| Track { title, ..track(id, 128) }));
            prop_assert_eq!(check::multivariant(&text(tracks)), []);
        }
    }
}
