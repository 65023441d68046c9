//! The words of an answer, spelt as OBS reads them.

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(super) meta: Meta,
    pub(super) status: Status,
    pub(super) ingest_endpoints: Vec<Endpoint>,
    pub(super) encoder_configurations: Vec<Video>,
    pub(super) audio_configurations: AudioTracks,
}

#[derive(Debug, Serialize)]
pub(super) struct Meta {
    pub(super) service: String,
    pub(super) schema_version: &'static str,
    /// OBS adds it to the stream key, where it means nothing.
    pub(super) config_id: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub(super) result: &'static str,
    /// Rich text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) html_en_us: Option<String>,
}

impl Status {
    pub(super) fn success() -> Self {
        Self {
            result: "success",
            html_en_us: None,
        }
    }

    pub(super) fn error(words: &str) -> Self {
        let plain = words.replace('&', "&amp;").replace('<', "&lt;");
        Self {
            result: "error",
            html_en_us: Some(plain),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Endpoint {
    pub(super) protocol: &'static str,
    pub(super) url_template: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Rate {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Video {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) framerate: Rate,
    pub(super) settings: Settings,
}

/// An encoder takes those it knows and passes over the others.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) rate_control: &'static str,
    /// kb/s.
    pub(super) bitrate: u32,
    pub(super) keyint_sec: u64,
    pub(super) bf: u32,
    pub(super) profile: &'static str,
    pub(super) preset: &'static str,
    pub(super) tune: &'static str,
    pub(super) x264opts: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct AudioTracks {
    pub(super) live: Vec<Audio>,
}

#[derive(Debug, Serialize)]
pub(super) struct Audio {
    pub(super) codec: &'static str,
    pub(super) track_id: u32,
    pub(super) channels: u32,
    pub(super) settings: AudioSettings,
}

#[derive(Debug, Serialize)]
pub(super) struct AudioSettings {
    /// kb/s.
    pub(super) bitrate: u64,
}
