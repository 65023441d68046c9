use super::*;

/// Only in this text of ours with something put in is a rule broken; with something else in that place none is.
fn put(before: &str, good: &str, bad: &[(u8, &str)]) {
    let with = |more: &str| running().text(0).replacen(before, &format!("{more}{before}"), 1);
    clean(&features(&with(good)));
    for (rule, more) in bad {
        only(*rule, &features(&with(more)));
    }
}

const RANGE: &str = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-07-15T11:33:00.000Z\"";

#[test]
fn rule_20_i_frame_playlists_have_no_parts() {
    let i_frames = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"i\"\n\
        #EXTINF:2.0,\n#EXT-X-BYTERANGE:10@0\na.m4s\n";
    clean(&features(i_frames));
    only(
        20,
        &features(&format!("{i_frames}#EXT-X-PART:DURATION=1,URI=\"p\"\n")),
    );
}

#[test]
fn rule_83_splices_are_whole_sections() {
    let line = |more: &str| format!("{RANGE}{more}\n");
    put(
        "#EXT-X-MAP",
        &(line(",SCTE35-OUT=0xFC30") + &line(",DURATION=5,SCTE35-OUT=0xfc30,SCTE35-IN=0xFC31")),
        &[
            (83, &line(",SCTE35-OUT=0x30FC")),
            (83, &line(",SCTE35-IN=0xFC30")),
            (83, &line(",SCTE35-CMD=0x")),
        ],
    );
}

#[test]
fn rule_84_an_interstitial_names_its_assets() {
    let line = |more: &str| format!("{RANGE},CLASS=\"com.apple.hls.interstitial\"{more}\n");
    let good = line(
        ",X-ASSET-URI=\"https://a/a.m3u8\",X-RESUME-OFFSET=-1.5,X-PLAYOUT-LIMIT=15,X-SNAP=\"OUT,IN\"",
    ) + &line(
        ",X-ASSET-LIST=\"a.json\",X-RESTRICT=\"SKIP,JUMP\",X-TIMELINE-OCCUPIES=\"RANGE\",X-CONTENT-MAY-VARY=\"NO\"",
    );
    let bad = [
        "",
        ",X-ASSET-URI=\"https://a\",X-ASSET-LIST=\"b\"",
        ",X-ASSET-URI=\"\"",
        ",X-ASSET-URI=\"a.m3u8\"",
        ",X-ASSET-LIST=\"a.json\",X-TIMELINE-STYLE=\"BOLD\"",
        ",X-ASSET-LIST=\"a.json\",X-CONTENT-MAY-VARY=\"MAYBE\"",
        ",X-ASSET-URI=\"https://a\",X-RESUME-OFFSET=\"0\"",
        ",X-ASSET-URI=\"https://a\",X-PLAYOUT-LIMIT=-1",
        ",X-ASSET-URI=\"https://a\",X-SNAP=\"BOTH\"",
        ",X-ASSET-URI=\"https://a\",X-RESTRICT=\"SEEK\"",
    ];
    let bad = bad.map(line);
    put(
        "#EXT-X-MAP",
        &good,
        &bad.each_ref().map(|line| (84, line.as_str())),
    );
}

#[test]
fn rule_87_a_definition_is_of_one_kind_and_name() {
    put(
        "#EXT-X-MAP",
        "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"\n#EXT-X-DEFINE:IMPORT=\"b\"\n",
        &[
            (87, "#EXT-X-DEFINE:NAME=\"a\"\n"),
            (87, "#EXT-X-DEFINE:VALUE=\"a\"\n"),
            (87, "#EXT-X-DEFINE:IMPORT=\"a\",VALUE=\"1\"\n"),
            (87, "#EXT-X-DEFINE:NAME=\"a\",IMPORT=\"b\",VALUE=\"1\"\n"),
            (
                87,
                "#EXT-X-DEFINE:IMPORT=\"a\"\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"\n",
            ),
        ],
    );
    let top = "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-DEFINE:IMPORT=\"a\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb\n";
    only(87, &features(top));
    clean(&features(&top.replace("IMPORT=\"a\"", "NAME=\"a\",VALUE=\"b\"")));
}

#[test]
fn rule_89_i_frames_are_ranges_behind_a_map() {
    let good = "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:2\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"i\"\n\
        #EXTINF:2.0,\n#EXT-X-BYTERANGE:10@0\na.m4s\n#EXTINF:2.0,\n#EXT-X-BYTERANGE:10@90\na.m4s\n";
    clean(&features(good));
    for bad in [
        without(good, "#EXT-X-MAP"),
        good.replace(":10@90", ":0@90"),
        without(good, "#EXT-X-BYTERANGE:10@90"),
    ] {
        only(89, &features(&bad));
    }
}

const KEY: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x00112233445566778899aabbccddeeff\n";

#[test]
fn rule_90_aes_128_has_a_key_and_maps_an_iv() {
    let short = KEY.replace("ff\n", "f\n");
    put(
        "#EXT-X-MAP",
        KEY,
        &[
            (90, &short),
            (90, &KEY.replace(",URI=\"k\"", "")),
            (90, "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n"),
        ],
    );
    put("#EXT-X-PROGRAM", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n", &[]);
}

#[test]
fn rule_91_sample_aes_has_a_key_before_the_parts() {
    let key = KEY.replace("AES-128", "SAMPLE-AES");
    put("#EXT-X-MAP", &key, &[(91, &key.replace(",URI=\"k\"", ""))]);
    put("#EXT-X-PART:", &key, &[]);
    put("#EXT-X-PRELOAD", "", &[(91, &key)]);
}

#[test]
fn rule_92_no_encryption_has_no_attributes() {
    put(
        "#EXT-X-MAP",
        "#EXT-X-KEY:METHOD=NONE\n",
        &[
            (92, "#EXT-X-KEY:METHOD=NONE,URI=\"k\"\n"),
            (92, "#EXT-X-KEY:METHOD=NONE,KEYFORMAT=\"identity\"\n"),
        ],
    );
}

#[test]
fn rule_93_the_version_is_no_higher_than_the_tags_need() {
    text_mutant(93, |text| text.replace("VERSION:8", "VERSION:9"));
    let delta = crate::playlist::delta::derive(&running().text(0), None).unwrap();
    clean(&features(&delta));
    only(93, &features(&delta.replace("VERSION:9", "VERSION:11")));
    let plain = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n";
    clean(&features(plain));
    only(93, &features(&plain.replace(":6", ":7")));
    let ours = multivariant::stream().render();
    clean(&features(&ours));
}
