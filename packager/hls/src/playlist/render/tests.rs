//! Keys in playlists. What other tags look like, the timeline's tests show.

use std::time::Duration;

use super::*;
use crate::check;
use crate::id::{Cell, Msn};
use crate::path::KeyId;
use crate::playlist::{delta, parse};
use crate::time::{FrameRate, Grid, Profile};
use crate::timeline::stage::Stage;

fn key(method: Method, period: u8) -> Key {
    let kid = KeyId([period; 16]);
    Key {
        method,
        uri: kid.uri(),
        iv: [period; 16],
        format: None,
    }
}

/// A playlist whose segments are under the key of their period; none is clear.
fn under(method: Method, periods: fn(u64) -> Option<u8>, init: fn(u64) -> u8) -> (Msn, String) {
    let grid = Grid::of(Profile::Low, FrameRate::new(30, 1).unwrap(), 48_000).unwrap();
    let mut stage = Stage::new(grid, Cell(160_000), Duration::from_secs(40));
    stage.feed(90);
    let mut media = stage.timeline.playlist(0).unwrap();
    let (first, mut before) = (media.media_sequence, None);
    for (n, segment) in (first.0..).zip(&mut media.segments) {
        segment.key = periods(n).map(|period| key(method, period));
        segment.map = format!("init-{}.mp4", init(n));
        // A ladder that takes over has other init segments under the same key.
        let now = Some((init(n), segment.key.clone()));
        let other = before
            .as_ref()
            .zip(now.as_ref())
            .is_some_and(|(a, b): (&(u8, _), _)| a.0 != b.0 && a.1 == b.1);
        segment.discontinuities = u64::from(other);
        before = now;
    }
    (first, media.render())
}

fn tags(text: &str) -> Vec<&str> {
    let all = text
        .lines()
        .filter(|line| line.starts_with("#EXT-X-KEY") || line.starts_with("#EXT-X-MAP"));
    all.collect()
}

/// Rules 11 and 90 to 92, of the full text and of what delta updates make of it.
fn sound(text: &str) {
    assert_eq!(check::playlist(text), []);
    assert_eq!(check::features(text), []);
    let delta = delta::derive(text, None).unwrap();
    let merged = delta::merge(text, &delta).unwrap();
    assert_eq!(parse(&merged).unwrap(), parse(text).unwrap());
    assert_eq!(check::features(&merged), []);
}

fn by_five(n: u64) -> Option<u8> {
    u8::try_from(n / 5 % 3 + 1).ok()
}

#[test]
fn a_key_is_said_where_it_changes_and_kept_while_it_applies() {
    let (_, text) = under(Method::Aes128, by_five, |_| 1);
    sound(&text);
    let said = tags(&text);
    assert_eq!(said[0], "#EXT-X-MAP:URI=\"init-1.mp4\"");
    assert!(
        said[1].starts_with("#EXT-X-KEY:METHOD=AES-128,URI=\"../key-"),
        "{}",
        said[1]
    );
    assert!(said[1].ends_with(",KEYFORMAT=\"identity\""));
    assert!((3..=6).contains(&said.len()), "{said:?}");
    assert!(
        parse(&text)
            .unwrap()
            .segments
            .iter()
            .all(|segment| segment.is_sealed())
    );
}

#[test]
fn an_init_segment_is_never_under_a_key_of_whole_resources() {
    let (_, text) = under(Method::Aes128, |_| Some(1), |n| u8::from(n % 2 == 0));
    sound(&text);
    let mut in_force = false;
    for tag in tags(&text) {
        assert!(!(in_force && tag.contains("MAP")), "{text}");
        in_force = tag.contains("AES-128") || (in_force && !tag.contains("NONE"));
    }
}

#[test]
fn a_new_key_of_samples_comes_with_its_init_segment_and_without_a_discontinuity() {
    let (_, text) = under(Method::SampleAes, by_five, |n| by_five(n).unwrap());
    sound(&text);
    let said = tags(&text);
    for pair in said.chunks(2) {
        assert!(
            pair[0].contains("MAP") && pair[1].contains("SAMPLE-AES"),
            "{said:?}"
        );
    }
    assert!(!text.contains("EXT-X-DISCONTINUITY\n") && !text.contains("NONE"));
    assert!(
        parse(&text)
            .unwrap()
            .segments
            .iter()
            .all(|segment| !segment.is_sealed())
    );
}

#[test]
fn clear_segments_after_encrypted_ones_are_under_none() {
    let (first, text) = under(
        Method::Aes128,
        |n| by_five(n).filter(|period| *period != 2),
        |_| 1,
    );
    sound(&text);
    assert!(tags(&text).contains(&"#EXT-X-KEY:METHOD=NONE"));
    for (n, segment) in (first.0..).zip(parse(&text).unwrap().segments) {
        assert_eq!(segment.is_sealed(), by_five(n) != Some(2));
    }
    let (_, text) = under(Method::Aes128, |_| None, |_| 1);
    assert_eq!(tags(&text).len(), 1, "a clear stream says nothing of keys");
}

#[test]
fn players_that_ask_by_the_key_s_id_are_told_it() {
    let of_clear_key = Key {
        format: Some(("org.w3.clearkey".to_owned(), KeyId([0xab; 16]))),
        ..key(Method::SampleAes, 1)
    };
    let mut text = String::new();
    of_clear_key.write(&mut text).unwrap();
    let wanted = format!(",KEYFORMAT=\"org.w3.clearkey\",KEYID=0x{}\n", "ab".repeat(16));
    assert!(text.ends_with(&wanted), "{text}");
}
