//! WebVTT: cues as they come, and segments of them as they are served.
//!
//! A segment says where its timestamps are on the media timeline (rfc8216bis §3.1.4), whose zero is the program epoch. A cue
//! that lasts over several segments is in each of them with the same times, so that players see it is one.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// Longest text of a cue, bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Longest settings of a cue, bytes.
pub const SETTINGS_BYTES_MAX: usize = 256;
/// How long a cue may be shown.
pub const LENGTH_MAX: Duration = Duration::from_secs(600);

/// Settings of WebVTT (§3.5 there). Not `region`: no file of ours defines any.
const SETTINGS: [&str; 5] = ["vertical", "line", "position", "size", "align"];
/// What the timestamps of a segment count from is a whole one of these, so that they stay short.
const BASE: u64 = 3_600;
/// MPEG-2 timestamps have 33 bits and count 90 kHz.
const MPEGTS: (u64, u64) = (90_000, 1 << 33);

/// Something that is shown for a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cue {
    /// Program time at which it appears, whole milliseconds.
    pub start: Duration,
    /// Program time at which it is gone, whole milliseconds.
    pub end: Duration,
    /// Settings as WebVTT writes them behind the times; may be empty.
    pub settings: String,
    /// WebVTT cue text: one or several lines.
    pub text: String,
}

impl Cue {
    /// A cue, with times cut to milliseconds and line ends as `\n`.
    pub fn new((start, end): (Duration, Duration), text: &str, settings: &str) -> Self {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        Self {
            start: cut(start),
            end: cut(end),
            settings: settings.trim().to_owned(),
            text: text.trim_matches('\n').to_owned(),
        }
    }

    /// Everything that is wrong with it.
    pub fn mistakes(&self) -> Vec<&'static str> {
        let mut mistakes = Vec::new();
        let mut want = |good: bool, why: &'static str| {
            if !good {
                mistakes.push(why);
            }
        };
        let length = self.end.saturating_sub(self.start);
        want(!length.is_zero(), "`end` must be later than `start`");
        want(length <= LENGTH_MAX, "it may be shown for 600 seconds at most");
        let text = &self.text;
        want(
            (1..=TEXT_BYTES_MAX).contains(&text.len()),
            "`text` must be 1 to 4096 bytes",
        );
        want(!text.contains("-->"), "`text` may not have `-->`");
        // An empty line ends a cue; what follows it would be another one.
        let blank = text.split('\n').any(|line| line.trim().is_empty());
        want(text.is_empty() || !blank, "`text` may not have an empty line");
        want(
            !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'),
            "`text` may not have control characters",
        );
        want(
            is_settings(&self.settings),
            "`settings` must be `vertical`, `line`, `position`, `size` or `align`, each with `:` and a value, 256 bytes at most",
        );
        mistakes
    }

    /// Whether some of it is in a range of program time.
    pub fn is_within(&self, from: Duration, to: Duration) -> bool {
        self.start < to && self.end > from
    }
}

fn is_settings(text: &str) -> bool {
    let is_setting = |word: &str| {
        word.split_once(':').is_some_and(|(name, value)| {
            let good = |c: char| c.is_ascii_alphanumeric() || ".,%-".contains(c);
            SETTINGS.contains(&name) && !value.is_empty() && value.chars().all(good) && !value.contains("--")
        })
    };
    text.len() <= SETTINGS_BYTES_MAX
        && !text.contains(['\n', '\r'])
        && text.split_whitespace().all(is_setting)
}

/// A segment that begins at `start` of program time, with these cues, in the order of their begin.
pub fn segment<'a>(start: Duration, cues: impl Iterator<Item = &'a Cue>) -> String {
    // No cue of it began earlier than the longest one could.
    let base = start.saturating_sub(LENGTH_MAX).as_secs() / BASE * BASE;
    let (rate, wrap) = MPEGTS;
    let mpegts = u128::from(base) * u128::from(rate) % u128::from(wrap);
    let mut out = format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{mpegts},LOCAL:00:00:00.000\n");
    let base = Duration::from_secs(base);
    for cue in cues {
        let (from, to) = (timestamp(cue.start, base), timestamp(cue.end, base));
        let settings = if cue.settings.is_empty() {
            String::new()
        } else {
            format!(" {}", cue.settings)
        };
        out += &format!("\n{from} --> {to}{settings}\n{}\n", cue.text);
    }
    out
}

fn timestamp(time: Duration, base: Duration) -> String {
    let time = time.saturating_sub(base);
    let (s, ms) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

/// Cues of a WebVTT file whose 00:00:00.000 is at `offset` of program time; else every line that is wrong.
/// Notes are passed over; style sheets and regions are, too, for they cannot be carried on.
pub fn parse(text: &str, offset: Duration) -> Result<Vec<Cue>, Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let first = text.lines().next().unwrap_or_default();
    if first != "WEBVTT" && !first.starts_with("WEBVTT ") && !first.starts_with("WEBVTT\t") {
        return Err(vec!["line 1: WEBVTT is wanted".to_owned()]);
    }
    let (mut cues, mut wrong) = (Vec::new(), Vec::new());
    let mut block: Vec<(usize, &str)> = Vec::new();
    let ends = std::iter::once((0, ""));
    for (number, line) in text.lines().enumerate().skip(1).chain(ends) {
        if !line.is_empty() {
            block.push((number + 1, line));
            continue;
        }
        let Some(at) = block.iter().take(2).position(|(_, line)| line.contains("-->")) else {
            block.clear();
            continue;
        };
        let (times, lines) = (block.get(at).copied().unwrap_or_default(), block.get(at + 1..));
        let body: Vec<_> = lines.unwrap_or_default().iter().map(|(_, line)| *line).collect();
        match timing(times.1) {
            Some((from, to, settings)) => {
                cues.push(Cue::new((offset + from, offset + to), &body.join("\n"), settings));
            }
            None => wrong.push(format!("line {}: no times of a cue", times.0)),
        }
        block.clear();
    }
    if wrong.is_empty() { Ok(cues) } else { Err(wrong) }
}

/// `[hh:]mm:ss.mmm --> [hh:]mm:ss.mmm settings`
fn timing(line: &str) -> Option<(Duration, Duration, &str)> {
    let (from, rest) = line.split_once("-->")?;
    let rest = rest.trim();
    let (to, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((clock(from.trim())?, clock(to)?, settings))
}

fn clock(text: &str) -> Option<Duration> {
    let (whole, ms) = text.split_once('.')?;
    let number = |text: &str| -> Option<u64> {
        let plain = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok())?
    };
    let ms = number(ms).filter(|_| ms.len() == 3)?;
    let fields: Vec<u64> = whole.split(':').map(number).collect::<Option<_>>()?;
    let (h, m, s) = match *fields.as_slice() {
        [m, s] => (0, m, s),
        [h, m, s] => (h, m, s),
        _ => return None,
    };
    (m < 60 && s < 60).then(|| Duration::from_secs(h * 3_600 + m * 60 + s) + Duration::from_millis(ms))
}

fn cut(time: Duration) -> Duration {
    Duration::new(time.as_secs(), time.subsec_millis() * 1_000_000)
}
