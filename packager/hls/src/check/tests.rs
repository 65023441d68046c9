//! Each rule on playlists our timeline makes, and on a mutant that breaks that rule alone.

mod clock;
mod control;
mod dates;
mod delivery;
mod delta;
mod features;
mod hints;
mod multivariant;
mod parts;
mod siblings;
mod verdicts;

use std::time::Duration;

use super::*;
use crate::id::{Cell, TrackId};
use crate::playlist::Media;
use crate::time::{FrameRate, Grid, Profile};
use crate::timeline::stage::{SEGMENT, Stage, URIS};

/// Half way into a segment, with ten whole ones before it.
fn running() -> Stage {
    let mut stage = Stage::usual();
    stage.feed(10 * SEGMENT + 2);
    stage
}

/// The numbers of the rules that are broken, each once.
fn rules(violations: &[Violation]) -> Vec<u8> {
    let mut rules: Vec<u8> = violations.iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn clean(violations: &[Violation]) {
    assert_eq!(violations, [], "our own playlists follow every rule");
}

fn only(rule: u8, violations: &[Violation]) {
    assert_eq!(rules(violations), [rule], "{violations:?}");
}

/// The first track's playlist is right, and with `change` breaks `rule` alone.
fn mutant(rule: u8, change: impl FnOnce(&mut Media)) {
    mutant_of(&running(), rule, change);
}

fn mutant_of(stage: &Stage, rule: u8, change: impl FnOnce(&mut Media)) {
    let mut media = stage.media(0);
    clean(&playlist(&media.render()));
    change(&mut media);
    only(rule, &playlist(&media.render()));
}

/// The same, for what only the text can say.
fn text_mutant(rule: u8, change: impl FnOnce(String) -> String) {
    let text = running().text(0);
    clean(&playlist(&text));
    let changed = change(text.clone());
    assert_ne!(changed, text);
    only(rule, &playlist(&changed));
}

/// The stream's playlists agree, and with `change` break `rule` alone.
fn sibling_mutant(rule: u8, change: impl FnOnce(&mut [Media])) {
    let stage = running();
    let mut all: Vec<Media> = (0..URIS.len()).map(|track| stage.media(track)).collect();
    clean(&together(&all.iter().map(Media::render).collect::<Vec<_>>()));
    change(&mut all);
    only(
        rule,
        &together(&all.iter().map(Media::render).collect::<Vec<_>>()),
    );
}

fn together(texts: &[String]) -> Vec<Violation> {
    let all: Vec<Sibling<'_>> = URIS
        .iter()
        .zip(texts)
        .map(|(uri, text)| Sibling { uri, text })
        .collect();
    siblings(&all)
}

/// Two playlists that follow one another do so rightly, and with `change` to the second break `rule` alone.
fn next_mutant(rule: u8, between: u64, change: impl FnOnce(&mut Media)) {
    let mut stage = running();
    let before = stage.text(0);
    stage.feed(between);
    let mut after = stage.media(0);
    clean(&successive(&before, &after.render()));
    change(&mut after);
    only(rule, &successive(&before, &after.render()));
}

fn without(text: &str, tag: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with(tag))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn id(name: &str) -> TrackId {
    TrackId::new(name).unwrap()
}
