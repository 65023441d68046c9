use super::*;
use crate::playlist::{Audio, Multivariant, Steering, Variant};

pub(super) fn stream() -> Multivariant {
    let audio = |name: &str, language: Option<&str>| Audio {
        track: id(name),
        name: name.to_owned(),
        language: language.map(str::to_owned),
        channels: 2,
    };
    Multivariant {
        variants: vec![Variant {
            track: id("360p"),
            bandwidth: 1_000_000,
            average_bandwidth: 900_000,
            codecs: vec!["avc1.42c00a".to_owned(), "mp4a.40.2".to_owned()],
            resolution: (640, 360),
            frame_rate: 30.0,
        }],
        audio: vec![
            audio("audio", None),
            audio("comments", Some("de")),
            audio("field", Some("de")),
        ],
        captions: Vec::new(),
        subtitles: Vec::new(),
    }
}

fn mutant_text(rule: u8, from: &str, to: &str) {
    let text = stream().render();
    clean(&multivariant(&text));
    let changed = text.replace(from, to);
    assert_ne!(changed, text);
    only(rule, &multivariant(&changed));
}

#[test]
fn rule_110_names_tell_a_groups_members_apart() {
    mutant_text(110, "NAME=\"field\"", "NAME=\"comments\"");
    mutant_text(110, "NAME=\"field\"", "NAME=\"\"");
    mutant_text(110, "NAME=\"field\",", "");
    let other_group = stream().render().replace(
        "GROUP-ID=\"audio\",NAME=\"field\"",
        "GROUP-ID=\"more\",NAME=\"audio\"",
    );
    clean(&multivariant(&other_group));
}

#[test]
fn rule_111_a_group_has_one_default_at_most() {
    mutant_text(111, "DEFAULT=NO", "DEFAULT=YES");
    mutant_text(111, "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO");
}

#[test]
fn rule_112_a_variants_group_is_there() {
    mutant_text(112, ",AUDIO=\"audio\"", ",AUDIO=\"sound\"");
}

#[test]
fn rule_85_codecs_name_picture_and_sound() {
    mutant_text(85, "CODECS=\"avc1.42c00a,mp4a.40.2\"", "CODECS=\"avc1.42c00a\"");
    mutant_text(85, "CODECS=\"avc1.42c00a,mp4a.40.2\"", "CODECS=\"mp4a.40.2\"");
    mutant_text(85, "CODECS=\"avc1.42c00a,mp4a.40.2\",", "");
}

#[test]
fn rule_86_rates_and_sizes_are_given() {
    mutant_text(86, ",RESOLUTION=640x360", "");
    mutant_text(86, ",FRAME-RATE=30.000", "");
    mutant_text(86, "AVERAGE-BANDWIDTH=900000", "AVERAGE-BANDWIDTH=1000001");
    mutant_text(86, "AVERAGE-BANDWIDTH=900000,", "");
}

#[test]
fn rule_88_steering_has_a_server_and_pathways() {
    let tag =
        "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer\",PATHWAY-ID=\"a\"\n#EXT-X-STREAM-INF:PATHWAY-ID=\"a\",";
    let steered = stream().render().replace("#EXT-X-STREAM-INF:", tag);
    clean(&multivariant(&steered));
    for (from, to) in [
        ("INF:PATHWAY-ID=\"a\",", "INF:"),
        ("SERVER-URI=\"/steer\",", ""),
        (
            "#EXT-X-STREAM",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/b\"\n#EXT-X-STREAM",
        ),
    ] {
        only(88, &multivariant(&steered.replace(from, to)));
    }
}

#[test]
fn steering_is_announced_once_and_every_variant_is_of_the_pathway() {
    let steering = Steering {
        server: "https://steer.example/manifest?event=1".to_owned(),
        pathway: "cdn-a".to_owned(),
    };
    let plain = stream().render_dvr(true);
    let steered = steering.announced(&plain);
    clean(&multivariant(&steered));
    let tag = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://steer.example/manifest?event=1\",PATHWAY-ID=\"cdn-a\"\n";
    let (attribute, variants) = ("PATHWAY-ID=\"cdn-a\",", plain.matches("-INF:").count());
    assert_eq!(
        (steered.matches(tag).count(), steered.matches(attribute).count()),
        (1, variants)
    );
    assert_eq!(
        steered.replace(tag, "").replace(attribute, ""),
        plain,
        "and nothing else is said"
    );
    only(88, &multivariant(&steered.replace(attribute, "")));
}

#[test]
fn rule_100_all_variants_are_on_one_host() {
    mutant_text(100, "\n360p/", "\nhttps://other/360p/");
    mutant_text(100, "URI=\"audio/", "URI=\"//other/audio/");
}
