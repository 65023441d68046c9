//! What a text says of features beside plain low-latency playlists: versions, variables, encryption, I-frames,
//! interstitials and splices. Of the text alone, for not all of it can be mirrored.

use super::{Rule, Violation, all, tags, unless};
use crate::playlist::{attribute, attributes};

const RULES: &[Rule<str>] = &[
    (20, rule_20_i_frame_playlists_have_no_parts),
    (52, rule_52_the_version_is_high_enough),
    (83, rule_83_splices_are_whole_sections_and_ends_have_a_time),
    (84, rule_84_an_interstitial_names_its_assets),
    (87, rule_87_a_definition_is_of_one_kind_and_name),
    (89, rule_89_i_frames_are_ranges_behind_a_map),
    (90, rule_90_aes_128_has_a_key_and_maps_an_iv),
    (91, rule_91_sample_aes_has_a_key_before_the_parts),
    (92, rule_92_no_encryption_has_no_attributes),
    (93, rule_93_the_version_is_no_higher_than_needed),
];

/// Every rule about the features a text uses, of a media or multivariant playlist.
pub fn features(text: &str) -> Vec<Violation> {
    all(&[RULES], text)
}

fn has(text: &str, tag: &str) -> bool {
    text.lines().any(|line| line.split(':').next() == Some(tag))
}

fn version(text: &str) -> u64 {
    tags(text, "#EXT-X-VERSION")
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1)
}

/// rfc8216bis §4.4.4.9.
fn rule_20_i_frame_playlists_have_no_parts(text: &str) -> Vec<String> {
    let both = has(text, "#EXT-X-I-FRAMES-ONLY") && has(text, "#EXT-X-PART");
    unless(!both, || "parts of I-frames".to_owned())
}

/// rfc8216bis §8, and Apple's table of versions for EXT-X-GAP.
fn needed(text: &str) -> u64 {
    let of = |tag, name| tags(text, tag).any(|list| attribute(list, name).is_some());
    let media = |list: &str| list.contains("REQ-");
    let channels = || tags(text, "#EXT-X-MEDIA").filter_map(|list| attribute(list, "INSTREAM-ID"));
    let i_frames = has(text, "#EXT-X-I-FRAMES-ONLY");
    let needs = [
        (2, of("#EXT-X-KEY", "IV")),
        (3, tags(text, "#EXTINF").any(|value| value.contains('.'))),
        (4, i_frames || has(text, "#EXT-X-BYTERANGE")),
        (
            5,
            of("#EXT-X-KEY", "KEYFORMAT") || of("#EXT-X-KEY", "KEYFORMATVERSIONS") || has(text, "#EXT-X-MAP"),
        ),
        (6, has(text, "#EXT-X-MAP") && !i_frames),
        (7, channels().any(|channel| channel.starts_with("\"SERVICE"))),
        (8, has(text, "#EXT-X-DEFINE") || has(text, "#EXT-X-GAP")),
        (9, has(text, "#EXT-X-SKIP")),
        (11, of("#EXT-X-DEFINE", "QUERYPARAM")),
        (
            12,
            tags(text, "#EXT-X-STREAM-INF").any(media) || tags(text, "#EXT-X-MEDIA").any(media),
        ),
        (
            13,
            channels().any(|channel| !channel.starts_with("\"SERVICE") && !channel.starts_with("\"CC")),
        ),
    ];
    let needed = needs
        .iter()
        .filter(|(_, needs)| *needs)
        .map(|(version, _)| *version);
    needed.max().unwrap_or(1)
}

/// rfc8216bis §8.
fn rule_52_the_version_is_high_enough(text: &str) -> Vec<String> {
    let (is, needed) = (version(text), needed(text));
    unless(is >= needed, || format!("version {is}, {needed} needed"))
}

/// rfc8216bis §6.2.1. What a live playlist may come to need at any moment, EXT-X-GAP, it may announce from the first:
/// no permitted edit changes a version. A delta update may need one more than its own tags show, and nothing needs
/// less than EXT-X-MAP does.
fn rule_93_the_version_is_no_higher_than_needed(text: &str) -> Vec<String> {
    let is_live = has(text, "#EXT-X-TARGETDURATION") && !has(text, "#EXT-X-ENDLIST");
    // A playlist that has ended keeps its version, and what it said of the server.
    let least = if is_live || has(text, "#EXT-X-SERVER-CONTROL") {
        8
    } else {
        6
    };
    let delta = if has(text, "#EXT-X-SKIP") { 10 } else { least };
    let (is, most) = (version(text), needed(text).max(delta));
    unless(is <= most, || format!("version {is}, {most} needed"))
}

/// rfc8216bis §4.4.5.1.1. Values that are no hexadecimal sequences are rule 80's.
fn rule_83_splices_are_whole_sections_and_ends_have_a_time(text: &str) -> Vec<String> {
    let wrong = |list: &&str| {
        let section = |name| attribute(list, name).and_then(|value| value.strip_prefix("0x"));
        let is_no_section = |name| {
            section(name)
                .is_some_and(|hex| !hex.get(..2).is_some_and(|first| first.eq_ignore_ascii_case("FC")))
        };
        let timed = ["DURATION", "END-DATE"]
            .iter()
            .any(|name| attribute(list, name).is_some());
        ["SCTE35-OUT", "SCTE35-IN", "SCTE35-CMD"]
            .into_iter()
            .any(is_no_section)
            || (section("SCTE35-IN").is_some() && !timed)
    };
    tags(text, "#EXT-X-DATERANGE")
        .filter(wrong)
        .map(str::to_owned)
        .collect()
}

/// rfc8216bis Appendix D.2.
fn rule_84_an_interstitial_names_its_assets(text: &str) -> Vec<String> {
    let is_interstitial = |list: &&str| attribute(list, "CLASS") == Some("\"com.apple.hls.interstitial\"");
    let wrong = |list: &&str| {
        let of = |name| attribute(list, name);
        let assets = ["X-ASSET-URI", "X-ASSET-LIST"].into_iter().filter_map(of);
        let assets: Vec<_> = assets.collect();
        let named = assets.len() == 1 && assets.iter().all(|uri| uri.len() > 2 && uri.starts_with('"'));
        let absolute = of("X-ASSET-URI").is_none_or(|uri| uri.contains("://"));
        let number = |name| of(name).is_none_or(|value| value.parse::<f64>().is_ok_and(f64::is_finite));
        let positive = |name| of(name).is_none_or(|value| value.parse::<f64>().is_ok_and(|n| n >= 0.0));
        let among = |name, known: &[&str]| {
            of(name).is_none_or(|list| {
                list.trim_matches('"')
                    .split(',')
                    .all(|word| known.contains(&word))
            })
        };
        !(named
            && absolute
            && number("X-RESUME-OFFSET")
            && positive("X-PLAYOUT-LIMIT")
            && among("X-SNAP", &["OUT", "IN"])
            && among("X-CONTENT-MAY-VARY", &["YES", "NO"])
            && among("X-RESTRICT", &["SKIP", "JUMP"])
            && among("X-TIMELINE-OCCUPIES", &["POINT", "RANGE"])
            && among("X-TIMELINE-STYLE", &["HIGHLIGHT", "PRIMARY"]))
    };
    let interstitials = tags(text, "#EXT-X-DATERANGE").filter(is_interstitial);
    interstitials.filter(wrong).map(str::to_owned).collect()
}

/// rfc8216bis §4.4.2.3.
fn rule_87_a_definition_is_of_one_kind_and_name(text: &str) -> Vec<String> {
    let is_media = has(text, "#EXT-X-TARGETDURATION");
    let (mut names, mut out) = (Vec::new(), Vec::new());
    for list in tags(text, "#EXT-X-DEFINE") {
        let kinds: Vec<_> = ["NAME", "IMPORT", "QUERYPARAM"]
            .into_iter()
            .filter_map(|kind| Some((kind, attribute(list, kind)?)))
            .collect();
        let valued = attribute(list, "VALUE").is_some();
        let good = match kinds[..] {
            [(kind, name)] => {
                let again = names.contains(&name);
                names.push(name);
                !again && valued == (kind == "NAME") && (kind != "IMPORT" || is_media)
            }
            _ => false,
        };
        if !good {
            out.push(list.to_owned());
        }
    }
    out
}

/// rfc8216bis §4.4.3.6 and §4.4.4.5: each picture a range of bytes, behind the init segment. One that never came has
/// none.
fn rule_89_i_frames_are_ranges_behind_a_map(text: &str) -> Vec<String> {
    if !has(text, "#EXT-X-I-FRAMES-ONLY") {
        return Vec::new();
    }
    let gaps = text.lines().filter(|line| *line == "#EXT-X-GAP").count();
    let pictures = tags(text, "#EXTINF").count().saturating_sub(gaps);
    let place = |range: &str| {
        let mut numbers = range.split('@').map(|n| n.parse::<u64>().unwrap_or(0));
        numbers.next().is_some_and(|length| length > 0)
    };
    let ranges = tags(text, "#EXT-X-BYTERANGE")
        .filter(|range| place(range))
        .count();
    unless(has(text, "#EXT-X-MAP") && ranges == pictures, || {
        format!("{ranges} ranges of {pictures} pictures")
    })
}

/// Keys of one METHOD, by where they stand.
fn keys<'a>(text: &'a str, method: &'static str) -> impl Iterator<Item = &'a str> {
    tags(text, "#EXT-X-KEY").filter(move |list| attribute(list, "METHOD") == Some(method))
}

fn has_key(list: &str) -> bool {
    let iv = attribute(list, "IV").is_none_or(|iv| {
        let hex = iv
            .strip_prefix("0x")
            .or(iv.strip_prefix("0X"))
            .unwrap_or_default();
        hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    attribute(list, "URI").is_some_and(|uri| uri.len() > 2 && uri.starts_with('"')) && iv
}

/// rfc8216bis §4.4.4.4 and §4.4.4.5: an init segment has no number to make an IV of.
fn rule_90_aes_128_has_a_key_and_maps_an_iv(text: &str) -> Vec<String> {
    let mut out: Vec<String> = keys(text, "AES-128")
        .filter(|list| !has_key(list))
        .map(str::to_owned)
        .collect();
    let mut without_iv = false;
    for line in text.lines() {
        if let Some(list) = line.strip_prefix("#EXT-X-KEY:") {
            without_iv = attribute(list, "METHOD") == Some("AES-128") && attribute(list, "IV").is_none();
        } else if without_iv && line.starts_with("#EXT-X-MAP:") {
            out.push(format!("encrypted without an IV: {line}"));
        }
    }
    out
}

/// rfc8216bis §4.4.4.4 and §4.4.4.9.
fn rule_91_sample_aes_has_a_key_before_the_parts(text: &str) -> Vec<String> {
    let methods = ["SAMPLE-AES", "SAMPLE-AES-CTR"];
    let mut out: Vec<String> = methods
        .into_iter()
        .flat_map(|method| keys(text, method))
        .filter(|list| !has_key(list))
        .map(str::to_owned)
        .collect();
    let mut in_parts = false;
    for line in text.lines() {
        let begins = line.starts_with("#EXT-X-PART:");
        in_parts = begins || (in_parts && line.starts_with('#'));
        if in_parts && line.starts_with("#EXT-X-KEY:") && line.contains("METHOD=SAMPLE-AES") {
            out.push(format!("behind a part: {line}"));
        }
    }
    out
}

/// rfc8216bis §4.4.4.4.
fn rule_92_no_encryption_has_no_attributes(text: &str) -> Vec<String> {
    let more = |list: &&str| attributes(list).is_none_or(|all| all.len() != 1);
    keys(text, "NONE").filter(more).map(str::to_owned).collect()
}
