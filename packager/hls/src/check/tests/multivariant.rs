use super::*;
use crate::playlist::{Audio, Multivariant, Variant};

fn stream() -> Multivariant {
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
