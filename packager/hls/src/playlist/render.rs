//! Playlists as text. Rendered once per version and shared, so clarity is worth more than nanoseconds.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::time::Duration;

use super::{Key, Media, Method, Multivariant, Segment};
use crate::path::{DVR, FRAMES, MEDIA, sibling};
use crate::time::date_time;

/// CAN-SKIP-UNTIL, target durations (rfc8216bis §4.4.3.8: at least six).
pub(super) const SKIP_TARGETS: u32 = 6;

impl Media {
    /// The playlist's text.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(512 + self.segments.len() * 160);
        self.write(&mut text).expect("writing to a String does not fail");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "#EXTM3U")?;
        // Apple's table of versions puts EXT-X-GAP at 8. A live playlist may need one at any time, and its version
        // should not change between reloads.
        writeln!(out, "#EXT-X-VERSION:8")?;
        writeln!(out, "#EXT-X-TARGETDURATION:{}", self.target_duration.as_secs())?;
        writeln!(
            out,
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={},CAN-SKIP-DATERANGES=YES,PART-HOLD-BACK={}",
            Seconds(self.target_duration * SKIP_TARGETS, 1),
            Seconds(self.part_hold_back, 3)
        )?;
        writeln!(
            out,
            "#EXT-X-PART-INF:PART-TARGET={}",
            Seconds(self.part_target, 3)
        )?;
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence)?;
        writeln!(
            out,
            "#EXT-X-DISCONTINUITY-SEQUENCE:{}",
            self.discontinuity_sequence
        )?;
        self.dates.iter().try_for_each(|range| range.write(out))?;
        let mut force = Force::default();
        for segment in &self.segments {
            segment.write(&mut force, out)?;
        }
        if let Some(hint) = &self.hint {
            writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hint}\"")?;
        }
        for report in &self.reports {
            report.write(out)?;
        }
        if self.ended {
            writeln!(out, "#EXT-X-ENDLIST")?;
        }
        Ok(())
    }
}

/// What applies until it is said otherwise.
#[derive(Default)]
pub(super) struct Force<'a> {
    pub(super) map: Option<&'a str>,
    pub(super) key: Option<&'a Key>,
}

impl<'a> Force<'a> {
    /// Says what changes with a segment. rfc8216bis §4.4.4.4: a KEY applies to every MAP behind it, too. Ours are clear,
    /// and SAMPLE-AES finds no samples in them.
    fn change(&mut self, segment: &'a Segment, out: &mut String) -> std::fmt::Result {
        if self.map != Some(&segment.map) {
            if self.key.is_some_and(|key| key.method == Method::Aes128) {
                writeln!(out, "{CLEAR}")?;
                self.key = None;
            }
            writeln!(out, "#EXT-X-MAP:URI=\"{}\"", segment.map)?;
            self.map = Some(&segment.map);
        }
        let key = segment.key.as_ref();
        if key != self.key {
            match key {
                Some(key) => key.write(out)?,
                None => writeln!(out, "{CLEAR}")?,
            }
            self.key = key;
        }
        Ok(())
    }
}

/// rfc8216bis §4.4.4.4: without any other attribute.
pub(super) const CLEAR: &str = "#EXT-X-KEY:METHOD=NONE";

impl Key {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let method = match self.method {
            Method::Aes128 => "AES-128",
            Method::SampleAes => "SAMPLE-AES",
        };
        let iv = u128::from_be_bytes(self.iv);
        write!(
            out,
            "#EXT-X-KEY:METHOD={method},URI=\"{}\",IV=0x{iv:032x}",
            self.uri
        )?;
        match &self.format {
            Some((format, kid)) => writeln!(out, ",KEYFORMAT=\"{format}\",KEYID=0x{kid}"),
            None => writeln!(out, ",KEYFORMAT=\"identity\""),
        }
    }
}

impl Segment {
    pub(super) fn head<'a>(&'a self, force: &mut Force<'a>, out: &mut String) -> std::fmt::Result {
        for _ in 0..self.discontinuities {
            writeln!(out, "#EXT-X-DISCONTINUITY")?;
        }
        force.change(self, out)?;
        writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(self.start))
    }

    /// rfc8216bis §4.4.4.9: what applies to a segment stands before its first part.
    pub(super) fn write<'a>(&'a self, force: &mut Force<'a>, out: &mut String) -> std::fmt::Result {
        self.head(force, out)?;
        for part in &self.parts {
            write!(
                out,
                "#EXT-X-PART:DURATION={},URI=\"{}\"",
                Seconds(part.duration, 5),
                part.uri
            )?;
            if part.independent {
                write!(out, ",INDEPENDENT=YES")?;
            }
            if part.gap {
                write!(out, ",GAP=YES")?;
            }
            writeln!(out)?;
        }
        if let Some(whole) = &self.whole {
            if self.gap {
                writeln!(out, "#EXT-X-GAP")?;
            }
            writeln!(out, "#EXTINF:{},\n{}", Seconds(whole.duration, 5), whole.uri)?;
        }
        Ok(())
    }
}

impl Multivariant {
    /// The playlist's text.
    pub fn render(&self) -> String {
        self.render_with(MEDIA, false)
    }

    /// The same renditions for rewinding, with their key frames where those can be had alone.
    pub fn render_dvr(&self, frames: bool) -> String {
        self.render_with(DVR, frames)
    }

    /// The same once the event is over, and what was live is the recording.
    pub fn render_recording(&self, frames: bool) -> String {
        self.render_with(MEDIA, frames)
    }

    fn render_with(&self, file: &str, frames: bool) -> String {
        let mut out = String::new();
        self.write(file, &mut out)
            .and_then(|()| if frames { self.frames(&mut out) } else { Ok(()) })
            .expect("writing to a String does not fail");
        out
    }

    /// rfc8216bis §4.4.6.3. The rate of key frames alone is no higher than that of all.
    fn frames(&self, out: &mut String) -> std::fmt::Result {
        for variant in &self.variants {
            let (width, height) = variant.resolution;
            writeln!(
                out,
                "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={width}x{height},URI=\"{}/{FRAMES}\"",
                variant.bandwidth,
                variant.average_bandwidth,
                variant.codecs.first().map_or("", String::as_str),
                variant.track
            )?;
        }
        Ok(())
    }

    fn write(&self, file: &str, out: &mut String) -> std::fmt::Result {
        // rfc8216bis §8: SERVICE values of INSTREAM-ID came with version 7.
        let is_service = |captions: &super::Captions| captions.channel.starts_with("SERVICE");
        let version = if self.captions.iter().any(is_service) {
            7
        } else {
            6
        };
        writeln!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-INDEPENDENT-SEGMENTS"
        )?;
        for (i, audio) in self.audio.iter().enumerate() {
            let default = if i == 0 { "YES" } else { "NO" };
            write!(
                out,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"{}\"",
                audio.name
            )?;
            if let Some(language) = &audio.language {
                write!(out, ",LANGUAGE=\"{language}\"")?;
            }
            writeln!(
                out,
                ",DEFAULT={default},AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{}/{file}\"",
                audio.channels, audio.track
            )?;
        }
        for (i, captions) in self.captions.iter().enumerate() {
            let default = if i == 0 { "YES" } else { "NO" };
            write!(
                out,
                "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"{}\"",
                captions.name
            )?;
            if let Some(language) = &captions.language {
                write!(out, ",LANGUAGE=\"{language}\"")?;
            }
            writeln!(
                out,
                ",DEFAULT={default},AUTOSELECT=YES,INSTREAM-ID=\"{}\"",
                captions.channel
            )?;
        }
        for subtitles in &self.subtitles {
            subtitles.write(file, out)?;
        }
        // rfc8216bis §4.4.6.2: NONE in every variant, or in none.
        let captions = if self.captions.is_empty() {
            "NONE"
        } else {
            "\"captions\""
        };
        for variant in &self.variants {
            let (width, height) = variant.resolution;
            write!(
                out,
                "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\",RESOLUTION={width}x{height},FRAME-RATE={:.3}",
                variant.bandwidth,
                variant.average_bandwidth,
                variant.codecs.join(","),
                variant.frame_rate
            )?;
            if !self.audio.is_empty() {
                write!(out, ",AUDIO=\"audio\"")?;
            }
            if !self.subtitles.is_empty() {
                write!(out, ",SUBTITLES=\"subtitles\"")?;
            }
            writeln!(out, ",CLOSED-CAPTIONS={captions}\n{}/{file}", variant.track)?;
        }
        Ok(())
    }
}

impl super::Subtitles {
    fn write(&self, file: &str, out: &mut String) -> std::fmt::Result {
        let said = |is| if is { "YES" } else { "NO" };
        write!(
            out,
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"{}\"",
            self.name
        )?;
        if let Some(language) = &self.language {
            write!(out, ",LANGUAGE=\"{language}\"")?;
        }
        writeln!(
            out,
            ",DEFAULT={},AUTOSELECT=YES,FORCED={},URI=\"{}/{file}\"",
            said(self.default),
            said(self.forced),
            self.track
        )
    }
}

impl super::Report {
    /// The report a playlist gives of another track.
    pub fn of(track: &crate::id::TrackId, last: (crate::id::Msn, crate::id::PartIndex)) -> Self {
        Self {
            uri: sibling(track),
            last_msn: last.0,
            last_part: Some(last.1),
        }
    }

    /// The same of a track without parts.
    pub fn of_whole(track: &crate::id::TrackId, last: crate::id::Msn) -> Self {
        Self {
            uri: sibling(track),
            last_msn: last,
            last_part: None,
        }
    }

    /// rfc8216bis §4.4.5.4: LAST-PART only where there are parts.
    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        write!(
            out,
            "#EXT-X-RENDITION-REPORT:URI=\"{}\",LAST-MSN={}",
            self.uri, self.last_msn
        )?;
        match self.last_part {
            Some(part) => writeln!(out, ",LAST-PART={part}"),
            None => writeln!(out),
        }
    }
}

/// Seconds with a fixed number of decimals, rounded half up: exact, and the same on every machine.
pub(super) struct Seconds(pub(super) Duration, pub(super) u32);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(duration, decimals) = *self;
        let unit = 10_u128.pow(9 - decimals);
        let scaled = (duration.as_nanos() + unit / 2) / unit;
        let scale = 10_u128.pow(decimals);
        let width = decimals as usize;
        write!(f, "{}.{:0width$}", scaled / scale, scaled % scale)
    }
}
