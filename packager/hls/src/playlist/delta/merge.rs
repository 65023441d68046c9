//! A full text of the previous one and a delta update.

use std::collections::BTreeSet;

use super::lines::{Class, class, lines};
use super::{VERSION_SKIP, VERSION_SKIP_DATES, id, list};
use crate::playlist::parse::{self, attribute};

/// Why a delta update does not become a full playlist; the full one has to be asked for (rfc8216bis §6.3.7).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A tag without which segments have no numbers does not follow its grammar.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// EXT-X-SKIP more than once (rfc8216bis §4.4.5.2).
    #[error("several EXT-X-SKIP")]
    Twice,
    /// The previous playlist does not have all that was skipped.
    #[error("segments {from} to {to} were skipped, {had} to {until} were here")]
    Missing {
        /// First one skipped.
        from: u64,
        /// Just after the last one skipped.
        to: u64,
        /// First one of the previous playlist.
        had: u64,
        /// Just after its last whole one.
        until: u64,
    },
}

/// The full playlist whose delta update this is, where `previous` is an earlier full playlist. A text without EXT-X-SKIP
/// is full already.
///
/// MAP and KEY that apply to the first segment are said again before it. Parts of skipped segments are gone: they are
/// further from the end than any part is listed (rfc8216bis §6.2.2). The version is the previous one's, unless the delta's
/// is higher than a delta needs.
pub fn merge(previous: &str, delta: &str) -> Result<String, Error> {
    let Some(skip) = Skip::read(delta)? else {
        return Ok(delta.to_owned());
    };
    let before = Previous::read(previous, skip.from, skip.to)?;
    let mut out = String::with_capacity(previous.len() + delta.len());
    let (mut put, version) = (Put(&mut out), version(previous, delta));
    for (_, line) in lines(delta, 0).take(skip.line) {
        match class(line) {
            Class::Version => {
                if let Some(version) = &version {
                    put.line(version);
                }
            }
            Class::Dates if skip.removed.is_some() => {}
            Class::First
            | Class::Skip
            | Class::Playlist
            | Class::Dates
            | Class::Segment
            | Class::Part
            | Class::Uri
            | Class::Other => put.line(line),
        }
    }
    if let Some(removed) = &skip.removed {
        dates(previous, delta, skip.line, removed, &mut put);
    }
    before.write(&mut put);
    lines(delta, 0)
        .skip(skip.line + 1)
        .for_each(|(_, line)| put.line(line));
    Ok(out)
}

struct Put<'a>(&'a mut String);

impl Put<'_> {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// EXT-X-SKIP, with the numbers of what it replaces.
struct Skip<'a> {
    /// Lines before it.
    line: usize,
    from: u64,
    to: u64,
    /// RECENTLY-REMOVED-DATERANGES.
    removed: Option<BTreeSet<&'a str>>,
}

impl<'a> Skip<'a> {
    fn read(delta: &'a str) -> Result<Option<Self>, Error> {
        let mut found = None;
        for (line, (_, text)) in lines(delta, 0).enumerate() {
            if class(text) != Class::Skip {
                continue;
            }
            if found.replace((line, text)).is_some() {
                return Err(Error::Twice);
            }
        }
        let Some((line, text)) = found else {
            return Ok(None);
        };
        let attributes = text.split_once(':').map_or("", |(_, list)| list);
        let segments = attribute(attributes, "SKIPPED-SEGMENTS").and_then(parse::number);
        let from = number(delta, "#EXT-X-MEDIA-SEQUENCE:", 0)?;
        let removed = attribute(attributes, "RECENTLY-REMOVED-DATERANGES").map(|ids| {
            ids.trim_matches('"')
                .split('\t')
                .filter(|id| !id.is_empty())
                .collect()
        });
        let to = segments.and_then(|count| from.checked_add(count));
        Ok(Some(Self {
            line,
            from,
            to: to.ok_or(Error::Malformed("EXT-X-SKIP"))?,
            removed,
        }))
    }
}

/// The one number of a tag.
fn number(text: &str, tag: &'static str, absent: u64) -> Result<u64, Error> {
    let value = lines(text, 0).find_map(|(_, line)| line.strip_prefix(tag));
    value.map_or(Ok(absent), |value| {
        parse::number(value.trim_end()).ok_or(Error::Malformed(tag))
    })
}

/// EXT-X-VERSION of the full playlist.
fn version(previous: &str, delta: &str) -> Option<String> {
    const TAG: &str = "#EXT-X-VERSION:";
    let of = |text| number(text, TAG, 0).ok();
    let needed = |version| (VERSION_SKIP..=VERSION_SKIP_DATES).contains(&version);
    let version = of(delta)
        .filter(|version| !needed(*version))
        .or_else(|| of(previous));
    version
        .filter(|version| *version > 0)
        .map(|version| format!("{TAG}{version}"))
}

/// Lines of the segments that were skipped.
struct Previous<'a> {
    /// What applies to the first of them and was said before it.
    state: Vec<(String, &'a str)>,
    lines: Vec<&'a str>,
}

impl<'a> Previous<'a> {
    fn read(previous: &'a str, from: u64, to: u64) -> Result<Self, Error> {
        let first = number(previous, "#EXT-X-MEDIA-SEQUENCE:", 0)?;
        let (mut msn, mut in_block) = (first, false);
        let mut out = Self {
            state: Vec::new(),
            lines: Vec::new(),
        };
        for (_, line) in lines(previous, 0) {
            let what = class(line);
            match what {
                Class::Segment | Class::Uri | Class::Part => in_block = true,
                Class::Other if in_block => {}
                Class::First
                | Class::Version
                | Class::Skip
                | Class::Playlist
                | Class::Dates
                | Class::Other => {
                    continue;
                }
            }
            if msn < from {
                out.state(line);
            } else if msn < to && what != Class::Part {
                out.lines.push(line);
            }
            msn += u64::from(what == Class::Uri);
        }
        if from < first || msn < to {
            return Err(Error::Missing {
                from,
                to,
                had: first,
                until: msn,
            });
        }
        Ok(out)
    }

    /// rfc8216bis §4.4.4.4, §4.4.4.5: KEY applies until the next one of its format, MAP until the next one.
    fn state(&mut self, line: &'a str) {
        let Some(slot) = slot(line) else {
            return;
        };
        let ends_all = line.contains("METHOD=NONE");
        self.state
            .retain(|(known, _)| *known != slot && !(ends_all && known.starts_with("#EXT-X-KEY")));
        self.state.push((slot, line));
    }

    fn write(&self, put: &mut Put<'_>) {
        let begins = |line: &&&str| **line != "#EXT-X-DISCONTINUITY";
        let at = self.lines.iter().position(|line| begins(&line)).unwrap_or(0);
        let first = self.lines.iter().take_while(|line| class(line) != Class::Uri);
        let said: Vec<String> = first.filter_map(|line| slot(line)).collect();
        let (head, rest) = self.lines.split_at(at);
        head.iter().for_each(|line| put.line(line));
        let again = self.state.iter().filter(|(slot, _)| !said.contains(slot));
        again.for_each(|(_, line)| put.line(line));
        rest.iter().for_each(|line| put.line(line));
    }
}

/// What a line that stays in force replaces.
fn slot(line: &str) -> Option<String> {
    let (tag, list) = line.split_once(':')?;
    match tag {
        "#EXT-X-MAP" | "#EXT-X-BITRATE" => Some(tag.to_owned()),
        "#EXT-X-KEY" => {
            let format = attribute(list, "KEYFORMAT").unwrap_or("\"identity\"");
            Some(format!("{tag}{format}"))
        }
        _ => None,
    }
}

/// The date ranges before EXT-X-SKIP: the previous ones in their order, without those removed and with what has been
/// said of them since, and behind them the new ones.
fn dates(previous: &str, delta: &str, skip: usize, removed: &BTreeSet<&str>, put: &mut Put<'_>) {
    let now = || {
        lines(delta, 0)
            .enumerate()
            .filter_map(|(at, (_, line))| Some((at, line, id(list(line)?)?)))
    };
    let mut written = BTreeSet::new();
    let behind: BTreeSet<&str> = now().filter(|(at, ..)| *at > skip).map(|(.., id)| id).collect();
    for (_, line) in lines(previous, 0) {
        let Some(id) = list(line).and_then(id) else {
            continue;
        };
        let mut newer = now()
            .filter(|(at, _, other)| *at < skip && *other == id)
            .peekable();
        if removed.contains(id) || behind.contains(id) {
            continue;
        }
        if newer.peek().is_none() {
            put.line(line);
        } else if written.insert(id) {
            newer.for_each(|(_, line, _)| put.line(line));
        }
    }
    let new = now().filter(|(at, _, id)| *at < skip && !written.contains(id));
    new.for_each(|(_, line, _)| put.line(line));
}
