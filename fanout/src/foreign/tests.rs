use hls::id::StreamId;

use super::*;

fn names() -> Names {
    Names::new(Url::parse("http://origin:81/event/7/master.m3u8?key=1").unwrap())
}

/// Names of a source with one rendition, and that one's id.
fn one() -> (Names, TrackId) {
    let mut names = names();
    let text = names
        .multivariant("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv/hi.m3u8\n")
        .unwrap();
    let id = text.lines().last().unwrap().strip_suffix("/media.m3u8").unwrap();
    let id = TrackId::new(id).unwrap();
    (names, id)
}

const HEAD: &str =
    "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:10\n";
const MAP: &str = "#EXT-X-MAP:URI=\"i.mp4\"\n";

#[test]
fn renditions_get_names_of_ours_and_all_else_stays() {
    let mut names = names();
    let text = "#EXTM3U\r\n#EXT-X-VENDOR:x,URI=\"a\"\r\n\
        #EXT-X-MEDIA:TYPE=AUDIO,NAME=\"../Aud.m3u8\",GROUP-ID=\"a\",URI=\"../Aud.m3u8\",DEFAULT=YES\r\n\
        #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",INSTREAM-ID=\"CC1\"\r\n\
        #EXT-X-I-FRAME-STREAM-INF:URI=\"i.m3u8\"\r\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"/s\"\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=5,AUDIO=\"a\"\r\nhttp://origin:81/v/HI.m3u8?q=2\r\n";
    let ours = names.multivariant(text).unwrap();
    let ids: Vec<_> = names.tracks.keys().map(TrackId::as_str).collect();
    let [audio, video] = ids.as_slice() else {
        panic!("{ids:?}")
    };
    assert!(audio.starts_with("aud-") && video.starts_with("v-hi-"), "{ids:?}");
    let wanted = format!(
        "#EXTM3U\r\n#EXT-X-VENDOR:x,URI=\"a\"\r\n\
         #EXT-X-MEDIA:TYPE=AUDIO,NAME=\"../Aud.m3u8\",GROUP-ID=\"a\",URI=\"{audio}/media.m3u8\",DEFAULT=YES\r\n\
         #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",INSTREAM-ID=\"CC1\"\r\n\
         #EXT-X-STREAM-INF:BANDWIDTH=5,AUDIO=\"a\"\r\n{video}/media.m3u8\r\n"
    );
    assert_eq!(ours, wanted);
    let media = Resource::Media(StreamId::new("s").unwrap(), TrackId::new(video).unwrap());
    assert_eq!(
        names.url(&media).unwrap().as_str(),
        "http://origin:81/v/HI.m3u8?q=2"
    );
    let urls: Vec<_> = names
        .tracks
        .values()
        .map(|track| track.playlist.as_str())
        .collect();
    assert!(urls.contains(&"http://origin:81/event/Aud.m3u8"), "{urls:?}");
}

#[test]
fn a_lone_media_playlist_is_its_own_rendition() {
    let mut names = names();
    let text = names.multivariant(HEAD).unwrap();
    assert!(
        text.contains("\nmedia-") && text.ends_with("/media.m3u8\n"),
        "{text}"
    );
    assert_eq!(names.tracks.values().next().unwrap().playlist, names.playlist);
}

#[test]
fn parts_segments_and_hints_are_numbered_by_place() {
    let (mut names, id) = one();
    let text = format!(
        "{HEAD}{MAP}#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\"\n#EXTINF:2,\nhttp://origin:81/x/s10.mp4\n\
         #EXT-X-DATERANGE:ID=\"x\",X-URI=\"p\"\n#EXT-X-PART:URI=\"/a/p0?x=1\",DURATION=0.5\n\
         #EXT-X-PART:DURATION=0.5,URI=\"p1\",GAP=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p2\"\n\
         #EXT-X-RENDITION-REPORT:URI=\"hi.m3u8\",LAST-MSN=11,LAST-PART=1\n\
         #EXT-X-RENDITION-REPORT:URI=\"nobody.m3u8\",LAST-MSN=11\n"
    );
    let ours = names.media(&id, &text).unwrap();
    let number = |part| cell(Msn(11), part).unwrap();
    let Some(Object::Init(hash)) = names.tracks[&id].objects.keys().next().cloned() else {
        panic!("{names:?}")
    };
    let wanted = text
        .replace("i.mp4", &Object::Init(hash).uri())
        .replace("http://origin:81/x/s10.mp4", "seg-10.m4s")
        .replace("/a/p0?x=1", &format!("part-{}.m4s", number(0)))
        .replace("\"p1\"", &format!("\"part-{}.m4s\"", number(1)))
        .replace("\"p2\"", &format!("\"part-{}.m4s\"", number(2)))
        .replace("\"hi.m3u8\"", &format!("\"../{id}/media.m3u8\""))
        .replace("#EXT-X-RENDITION-REPORT:URI=\"nobody.m3u8\",LAST-MSN=11\n", "");
    assert_eq!(ours, wanted);
    let url = |object| {
        let resource = Resource::Object(StreamId::new("s").unwrap(), id.clone(), object);
        names.url(&resource).map(Url::as_str)
    };
    assert_eq!(url(Object::Part(number(0))), Some("http://origin:81/a/p0?x=1"));
    assert_eq!(
        url(Object::Part(number(2))),
        Some("http://origin:81/event/7/v/p2")
    );
    assert_eq!(url(Object::Segment(Msn(10))), Some("http://origin:81/x/s10.mp4"));
    assert_eq!(url(Object::Part(number(3))), None);
    assert_eq!(place(number(2)), Some((Msn(11), 2)));
    assert_eq!(place(Cell(3_400_000_000)), None);
}

#[test]
fn names_that_are_long_gone_are_forgotten() {
    let (mut names, id) = one();
    for first in 0..200 {
        let listed: String = (first..first + 3)
            .map(|n| format!("#EXTINF:2,\ns{n}\n#EXT-X-MAP:URI=\"i{n}\"\n"))
            .collect();
        let head = HEAD.replace(":10\n", &format!(":{first}\n"));
        names.media(&id, &format!("{head}{MAP}{listed}")).unwrap();
    }
    let track = &names.tracks[&id];
    assert!(track.objects.len() <= FEW_MAX + 12, "{}", track.objects.len());
    assert!(track.objects.contains_key(&Object::Segment(Msn(199))));
    // The origin began anew: what it had is not named by what it has.
    names
        .media(&id, &format!("{HEAD}{MAP}#EXTINF:2,\ns\n").replace(":10", ":0"))
        .unwrap();
    assert!(!names.tracks[&id].objects.contains_key(&Object::Segment(Msn(199))));
}

#[test]
fn what_is_not_carried_is_refused_by_name() {
    let (mut names, id) = one();
    let mut media = |tail: &str| {
        names
            .media(&id, &format!("{HEAD}{tail}"))
            .unwrap_err()
            .to_string()
    };
    let part = "#EXT-X-PART:DURATION=1,URI=\"p\",BYTERANGE=\"5@0\"\n";
    assert_eq!(media(part), "BYTERANGE in EXT-X-PART is not supported");
    let map = "#EXT-X-MAP:URI=\"p\",BYTERANGE=\"5@0\"\n";
    assert_eq!(media(map), "BYTERANGE in EXT-X-MAP is not supported");
    let no_map = "segments without EXT-X-MAP (MPEG-TS or packed audio) are not supported";
    assert_eq!(media("#EXTINF:2,\ns.mp4\n"), no_map);
    assert_eq!(media(&format!("{MAP}#EXTINF:2,\ns.ts?x\n")), no_map);
    let define = "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n";
    assert_eq!(media(define), "EXT-X-DEFINE is not supported");
    for other in ["http://cdn:81/p", "//cdn/p", "https://origin:81/p"] {
        let part = format!("#EXT-X-PART:DURATION=1,URI=\"{other}\"\n");
        assert!(
            media(&part).contains(&format!("`{other}` is not on the host")),
            "{other}"
        );
    }
    let many: String = (0..=1 << PART_BITS)
        .map(|n| format!("#EXT-X-PART:DURATION=1,URI=\"{n}\"\n"))
        .collect();
    assert_eq!(media(&many), "part 2048 of segment 10 cannot be numbered");
    let mut multivariant = |tail: &str| names.multivariant(&format!("#EXTM3U\n{tail}")).unwrap_err();
    assert_eq!(multivariant("#EXT-X-VERSION:6\n"), Error::NoTracks);
    assert!(matches!(multivariant(define), Error::Playlist(_)));
    assert!(matches!(
        multivariant("#EXT-X-STREAM-INF:X\nhttp://cdn/v.m3u8\n"),
        Error::Host(_)
    ));
    let many: String = (0..=TRACKS_MAX).map(|n| format!("{n}.m3u8\n")).collect();
    assert_eq!(multivariant(&many), Error::Many(TRACKS_MAX, "renditions"));
}

#[test]
fn keys_over_http_are_ours_to_fetch() {
    let (mut names, id) = one();
    let text = format!("{HEAD}{MAP}#EXT-X-KEY:METHOD=AES-128,URI=\"k?1\"\n#EXTINF:2,\ns\n");
    let ours = names.media(&id, &text).unwrap();
    let (key, url) = names.keys.iter().next().unwrap();
    assert!(ours.contains(&format!("URI=\"../key-{key}\"")), "{ours}");
    assert_eq!(url.as_str(), "http://origin:81/event/7/v/k?1");
}
