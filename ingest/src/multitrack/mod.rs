//! PURE. What an OBS is told that can send the whole ladder itself (its "Enhanced Broadcasting").
//!
//! OBS posts what it is and what its canvas looks like; the answer names an encoder for each rung, so that what it then
//! sends is what [`crate::passage`] passes through. The schema is OBS's own (`2024-06-04`); what it is not content with
//! stands in `status`, which OBS shows to its user.

mod answer;
pub(crate) mod serve;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::ladder::Plan;
pub(crate) use answer::Answer;
use answer::{Audio, AudioSettings, AudioTracks, Endpoint, Meta, Rate, Settings, Status, Video};

/// The schema that is spoken; OBS sends its own and reads any that has these fields.
const SCHEMA: &str = "2024-06-04";

/// What OBS says, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    service: String,
    /// The stream key.
    pub(crate) authentication: String,
    #[serde(default)]
    preferences: Preferences,
}

#[derive(Debug, Default, Deserialize)]
struct Preferences {
    maximum_aggregate_bitrate: Option<u64>,
    maximum_video_tracks: Option<u32>,
    framerate: Option<Rate>,
    canvas_width: Option<u32>,
    canvas_height: Option<u32>,
}

/// Where to send it to.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    pub(crate) host: String,
    pub(crate) rtmp: u16,
    /// None without a certificate.
    pub(crate) rtmps: Option<u16>,
}

/// The answer to a key that opens a stream which may be passed through.
pub(crate) fn configure(asked: &Asked, plan: &Plan, encoder: &str, doors: &Doors) -> Answer {
    let status = match obstacle(&asked.preferences, plan) {
        Some(words) => return refuse(&asked.service, &words),
        None => Status::success(),
    };
    Answer {
        meta: meta(&asked.service),
        status,
        ingest_endpoints: endpoints(doors),
        encoder_configurations: videos(plan, encoder),
        audio_configurations: audios(plan),
    }
}

/// An answer that OBS shows to its user; nothing is sent after it.
pub(crate) fn refuse(service: &str, words: &str) -> Answer {
    Answer {
        meta: meta(service),
        status: Status::error(words),
        ingest_endpoints: Vec::new(),
        encoder_configurations: Vec::new(),
        audio_configurations: AudioTracks::default(),
    }
}

/// Why this OBS, as it is set up, cannot send the ladder; with what to set.
fn obstacle(preferences: &Preferences, plan: &Plan) -> Option<String> {
    let rate = plan.grid.rate();
    if let Some(theirs) = &preferences.framerate {
        // OBS leaves out frames, but only all but each n-th.
        let (theirs, ours) = (
            u64::from(theirs.numerator) * u64::from(rate.den()),
            u64::from(rate.num()) * u64::from(theirs.denominator),
        );
        if ours == 0 || theirs < ours || !theirs.is_multiple_of(ours) {
            let fps = format!("{:.3}", rate.as_f64());
            let fps = fps.trim_end_matches('0').trim_end_matches('.');
            return Some(format!(
                "This stream has {fps} frames a second: choose them in Settings, Video, FPS."
            ));
        }
    }
    let (width, height) = plan.canvas();
    let canvas = preferences.canvas_width.zip(preferences.canvas_height);
    if canvas.is_some_and(|(across, down)| across < width || down < height) {
        return Some(format!(
            "The largest picture of this stream is {width}x{height}: choose a base canvas of that size or more in \
             Settings, Video."
        ));
    }
    let rungs = plan.rungs.len();
    let most = preferences.maximum_video_tracks;
    if most.is_some_and(|most| usize::try_from(most).unwrap_or(usize::MAX) < rungs) {
        return Some(format!(
            "This stream has {rungs} video tracks: set their maximum to Auto in Settings, Stream."
        ));
    }
    let kbps: u64 = plan.rungs.iter().map(|rung| u64::from(rung.bitrate_kbps)).sum();
    let most = preferences.maximum_aggregate_bitrate;
    most.is_some_and(|most| most < kbps).then(|| {
        format!("This stream needs {kbps} kb/s for all its video tracks: set the maximum to Auto in Settings, Stream.")
    })
}

fn meta(service: &str) -> Meta {
    Meta {
        service: service.chars().take(64).collect(),
        schema_version: SCHEMA,
        config_id: "ringside",
    }
}

/// RTMP first: OBS takes the first one unless its user asks for the other.
fn endpoints(doors: &Doors) -> Vec<Endpoint> {
    let endpoint = |protocol: &'static str, port: u16| {
        let scheme = protocol.to_ascii_lowercase();
        Endpoint {
            protocol,
            url_template: format!("{scheme}://{}:{port}/live/{{stream_key}}", doors.host),
        }
    };
    let plain = endpoint("RTMP", doors.rtmp);
    std::iter::once(plain)
        .chain(doors.rtmps.map(|port| endpoint("RTMPS", port)))
        .collect()
}

/// One for each rung: constant rate, no B-frames, a key frame where a segment starts and nowhere else.
fn videos(plan: &Plan, encoder: &str) -> Vec<Video> {
    let rate = plan.grid.rate();
    let frames = u64::from(plan.grid.part_frames()) * u64::from(plan.grid.segment_parts());
    let segment = plan.grid.cell_duration() * plan.grid.segment_parts();
    let video = |rung: &crate::config::Rung| Video {
        kind: encoder.to_owned(),
        width: rung.width,
        height: rung.height,
        framerate: Rate {
            numerator: rate.num(),
            denominator: rate.den(),
        },
        settings: Settings {
            rate_control: "CBR",
            bitrate: rung.bitrate_kbps,
            keyint_sec: segment.as_secs().max(1),
            bf: 0,
            profile: "main",
            preset: rung.preset.unwrap_or(plan.default_preset).as_str(),
            tune: "zerolatency",
            // Whole seconds are not whole frames at 29.97.
            x264opts: format!("keyint={frames} min-keyint={frames} bframes=0 scenecut=0"),
        },
    };
    plan.rungs.iter().map(video).collect()
}

fn audios(plan: &Plan) -> AudioTracks {
    let audio = |track_id| Audio {
        codec: "ffmpeg_aac",
        track_id,
        channels: 2,
        settings: AudioSettings {
            bitrate: plan.audio_bps / 1_000,
        },
    };
    AudioTracks {
        live: (1..).take(plan.sounds.len()).map(audio).collect(),
    }
}
