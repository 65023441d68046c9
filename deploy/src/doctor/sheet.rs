//! One screen of encoders: where each comes from, what was measured, what to set.

use std::fmt::{self, Display, Formatter};

use serde::Deserialize;

use super::text::hang;

/// Answer of `/api/streams`, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Streams {
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    stream: String,
    shown: String,
    role: Option<String>,
    choice: String,
    contributions: Vec<Contribution>,
}

#[derive(Debug, Deserialize)]
struct Contribution {
    role: String,
    protocol: String,
    peer: String,
    seconds: f64,
    doctor: Report,
}

#[derive(Debug, Deserialize)]
struct Report {
    pause_max_ms: Option<i64>,
    declared: Option<Declared>,
    video: Option<Video>,
    audio: Vec<Audio>,
    stamps: Stamps,
    drift: Option<Drift>,
    srt: Option<Srt>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Declared {
    encoder: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Video {
    codec: String,
    width: Option<u32>,
    height: Option<u32>,
    profile: Option<String>,
    frames_per_s: Option<f64>,
    kbps: Option<f64>,
    keyframe_interval_s: Option<f64>,
    b_frames_max: u64,
    arrival_spread_ms: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Audio {
    track: u8,
    codec: String,
    sample_rate_hz: Option<u32>,
    channels: Option<u32>,
    kbps: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Stamps {
    jumps: u64,
    backwards: u64,
    holes: u64,
}

#[derive(Debug, Deserialize)]
struct Drift {
    ppm: f64,
    error_ppm: f64,
}

#[derive(Debug, Deserialize)]
struct Srt {
    rtt_ms: f64,
    latency_ms: u64,
    recent_loss_percent: f64,
    recent_dropped: u64,
}

#[derive(Debug, Deserialize)]
struct Finding {
    severity: String,
    text: String,
}

impl Display for Streams {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, stream) in self.streams.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            stream.fmt(f)?;
        }
        if self.streams.is_empty() {
            writeln!(f, "no stream runs here")?;
        }
        Ok(())
    }
}

impl Display for Stream {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whose = self
            .role
            .as_ref()
            .map(|role| format!(" ({role})"))
            .unwrap_or_default();
        let (stream, shown, choice) = (&self.stream, &self.shown, &self.choice);
        writeln!(f, "stream {stream}   on air: {shown}{whose}   chosen: {choice}")?;
        if self.contributions.is_empty() {
            writeln!(f, "\n  no encoder is connected")?;
        }
        self.contributions
            .iter()
            .try_for_each(|contribution| contribution.fmt(f))
    }
}

impl Display for Contribution {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = &self.doctor;
        let encoder = report
            .declared
            .as_ref()
            .and_then(|declared| declared.encoder.clone());
        let parts = [
            Some(self.protocol.clone()),
            Some(format!("from {}", self.peer)),
            Some(format!("for {}", span(self.seconds))),
        ];
        writeln!(f, "\n{:<9} {}", self.role, joined(parts))?;
        if let Some(encoder) = encoder {
            writeln!(f, "  encoder {}", printable(&encoder))?;
        }
        match &report.video {
            Some(video) => writeln!(f, "  picture {}", video.line())?,
            None => writeln!(f, "  picture none")?,
        }
        for audio in &report.audio {
            writeln!(f, "  sound {} {}", audio.track + 1, audio.line())?;
        }
        if report.audio.is_empty() {
            writeln!(f, "  sound   none")?;
        }
        writeln!(f, "  line    {}", report.line())?;
        if let Some(srt) = &report.srt {
            writeln!(f, "  srt     {}", srt.line())?;
        }
        writeln!(f, "  clock   {}\n", report.clock())?;
        for finding in &report.findings {
            f.write_str(&hang(&finding.severity, &finding.text))?;
        }
        Ok(())
    }
}

impl Video {
    fn line(&self) -> String {
        let size = self
            .width
            .zip(self.height)
            .map(|(width, height)| format!("{width}x{height}"));
        let codec = match &self.profile {
            Some(profile) => format!("{} {profile}", self.codec),
            None => self.codec.clone(),
        };
        joined([
            Some(codec),
            size,
            self.frames_per_s.map(|rate| format!("{rate:.2} fps")),
            self.kbps.map(|kbps| format!("{kbps:.0} kb/s")),
            self.keyframe_interval_s.map(|s| format!("key {s:.1} s")),
            (self.b_frames_max > 0).then(|| format!("B-frames {}", self.b_frames_max)),
        ])
    }
}

impl Audio {
    fn line(&self) -> String {
        joined([
            Some(self.codec.clone()),
            self.sample_rate_hz
                .map(|rate| format!("{} kHz", f64::from(rate) / 1_000.0)),
            self.channels.map(|channels| match channels {
                1 => "mono".to_owned(),
                2 => "stereo".to_owned(),
                more => format!("{more} channels"),
            }),
            self.kbps.map(|kbps| format!("{kbps:.0} kb/s")),
        ])
    }
}

impl Report {
    fn line(&self) -> String {
        let spread = self.video.as_ref().and_then(|video| video.arrival_spread_ms);
        joined([
            spread.map(|ms| format!("spread {ms} ms")),
            self.pause_max_ms.map(|ms| format!("pause {ms} ms")),
        ])
    }

    fn clock(&self) -> String {
        let drift = match &self.drift {
            Some(drift) => format!("{:+.0} ppm (±{:.0})", drift.ppm, drift.error_ppm),
            None => "drift after 60 s".to_owned(),
        };
        let Stamps {
            jumps,
            backwards,
            holes,
        } = self.stamps;
        joined([
            Some(drift),
            Some(format!("{jumps} jumps")),
            Some(format!("{backwards} steps back")),
            Some(format!("{holes} holes")),
        ])
    }
}

impl Srt {
    fn line(&self) -> String {
        format!(
            "round trip {:.1} ms  latency {} ms  lost {:.1} %  dropped {}",
            self.rtt_ms, self.latency_ms, self.recent_loss_percent, self.recent_dropped
        )
    }
}

/// What is known, side by side.
fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "not measured yet".to_owned(),
        false => parts.join("  "),
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.0} s"),
        middling if middling < 7_200.0 => format!("{:.0} min", (middling / 60.0).floor()),
        long => format!("{:.1} h", long / 3_600.0),
    }
}

/// An encoder's name is a stranger's text on an operator's terminal.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"streams":[{"stream":"main","shown":"contribution","role":"primary","choice":"auto",
        "contributions":[{"role":"primary","protocol":"srt","peer":"192.0.2.7:53124","seconds":4012.3,"silent_ms":4,
        "doctor":{"seconds":4012.3,"silent_s":0.0,"pause_max_ms":null,
        "declared":{"encoder":"obs-output\u001b[2J 31.0"},
        "video":{"codec":"H.264","width":1280,"height":720,"profile":"High","frames_per_s":30.0,"kbps":4320.0,
        "keyframe_interval_s":8.33,"b_frames_max":2,"arrival_spread_ms":12},
        "audio":[{"track":0,"codec":"AAC","sample_rate_hz":44100,"channels":2,"kbps":160.0}],
        "stamps":{"jumps":1,"backwards":0,"holes":2},"drift":{"ppm":-12.3,"error_ppm":3.1},
        "srt":{"rtt_ms":41.2,"latency_ms":200,"recent_loss_percent":3.1,"recent_dropped":4},
        "findings":[{"severity":"warn","code":"keyframe_interval","text":
        "Keyframe Interval is 8.3 s: set Settings > Output > Streaming > Keyframe Interval to 2 s"}]}}]}]}"#;

    #[test]
    fn the_sheet_reads_as_it_should() {
        let streams: Streams = serde_json::from_str(ANSWER).unwrap();
        let sheet = streams.to_string();
        let wanted = "\
stream main   on air: contribution (primary)   chosen: auto

primary   srt  from 192.0.2.7:53124  for 66 min
  encoder obs-output[2J 31.0
  picture H.264 High  1280x720  30.00 fps  4320 kb/s  key 8.3 s  B-frames 2
  sound 1 AAC  44.1 kHz  stereo  160 kb/s
  line    spread 12 ms
  srt     round trip 41.2 ms  latency 200 ms  lost 3.1 %  dropped 4
  clock   -12 ppm (±3)  1 jumps  0 steps back  2 holes

warn  Keyframe Interval is 8.3 s: set Settings > Output > Streaming > Keyframe
      Interval to 2 s
";
        assert_eq!(sheet, wanted);
        assert!(sheet.lines().all(|line| line.chars().count() <= 80));
        let none: Streams = serde_json::from_str(r#"{"streams":[]}"#).unwrap();
        assert_eq!(none.to_string(), "no stream runs here\n");
    }
}
