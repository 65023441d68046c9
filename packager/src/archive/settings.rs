//! What an operator can set of the archive.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[packager.archive]`: an object store that holds every event's recording.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// Where recordings go: `local` (the default: `{data.dir}/archive`), `file:///DIR`, `s3://BUCKET/PREFIX`, or `off`.
    pub url: String,
    /// URL of an S3 service that is not Amazon's. `http://` sends recordings in the clear.
    pub endpoint: Option<String>,
    /// Region of the bucket. Default: `AWS_REGION`, else `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of URLs. Default true; `false`: in the host's name.
    pub path_style: bool,
    /// Default: `AWS_ACCESS_KEY_ID`, else what the machine's role gives.
    pub access_key_id: Option<String>,
    /// Default: `AWS_SECRET_ACCESS_KEY`, else what the machine's role gives. Never printed.
    pub secret_access_key: Option<String>,
    /// Seconds between two versions of a live event's playlists in the store. Default 30, 2 to 120.
    pub refresh_s: u64,
    /// Seconds that one upload may take. Default 30, 1 to 600; then it is tried again, ever more rarely, up to every 30 s.
    pub upload_timeout_s: u64,
    /// Uploads at once. Default 8; further ones wait on disk.
    pub uploads_max: usize,
    /// What may stay on disk beyond `packager.dvr` because the store does not have it yet, bytes. Default 16 GiB; beyond
    /// it the oldest is given up, and the recording has a hole.
    pub backlog_bytes: u64,
    /// Days that an event stays after its end. Default 0 = for ever.
    pub keep_days: u64,
    /// All events in the store, bytes. Default 64 GiB; beyond it the oldest that has ended goes. 0 = without bound.
    pub keep_bytes: u64,
    /// Objects read back at once. Default 8; further requests wait.
    pub reads_max: usize,
    /// Requests that wait for the store. Default 256; further ones get 503.
    pub waiting_max: usize,
    /// Seconds after which a request gets 503 while the store is still busy with it. Default 5, 1 to 60.
    pub read_timeout_s: u64,
    /// What was read back and is kept in memory, bytes. Default 64 MiB.
    pub cache_bytes: u64,
    /// Longest clip, minutes. Default 60; a longer one is refused.
    pub clip_minutes_max: u64,
    /// Clips of one stream. Default 1000; further ones are refused.
    pub clips_max: usize,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            url: "local".to_owned(),
            endpoint: None,
            region: None,
            path_style: true,
            access_key_id: None,
            secret_access_key: None,
            refresh_s: 30,
            upload_timeout_s: 30,
            uploads_max: 8,
            backlog_bytes: 16 << 30,
            keep_days: 0,
            keep_bytes: 64 << 30,
            reads_max: 8,
            waiting_max: 256,
            read_timeout_s: 5,
            cache_bytes: 64 << 20,
            clip_minutes_max: 60,
            clips_max: 1_000,
        }
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Archive {
    /// Whether there is one.
    pub(crate) fn is_on(&self) -> bool {
        self.url != "off"
    }

    pub(crate) fn refresh(&self) -> Duration {
        Duration::from_secs(self.refresh_s)
    }

    pub(crate) fn upload_timeout(&self) -> Duration {
        Duration::from_secs(self.upload_timeout_s)
    }

    pub(crate) fn read_timeout(&self) -> Duration {
        Duration::from_secs(self.read_timeout_s)
    }

    /// Every mistake in the section.
    pub fn mistakes(&self) -> Vec<String> {
        let is_place = ["local", "off"].contains(&self.url.as_str())
            || self
                .url
                .strip_prefix("file:///")
                .is_some_and(|dir| !dir.is_empty())
            || self.bucket().is_some_and(|(bucket, _)| !bucket.is_empty());
        let secrets = self.access_key_id.is_some() == self.secret_access_key.is_some();
        let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let wanted = [
            (
                is_place,
                "packager.archive.url must be local, off, file:///DIR or s3://BUCKET/PREFIX",
            ),
            (
                self.endpoint.as_ref().is_none_or(is_url),
                "packager.archive.endpoint must be a URL",
            ),
            (
                secrets,
                "packager.archive: `access_key_id` and `secret_access_key` are set together",
            ),
            (
                (2..=120).contains(&self.refresh_s),
                "packager.archive.refresh_s must be 2 to 120",
            ),
            (
                (1..=600).contains(&self.upload_timeout_s),
                "packager.archive.upload_timeout_s must be 1 to 600",
            ),
            (
                (1..=256).contains(&self.uploads_max),
                "packager.archive.uploads_max must be 1 to 256",
            ),
            (
                (1..=256).contains(&self.reads_max),
                "packager.archive.reads_max must be 1 to 256",
            ),
            (
                self.waiting_max <= 65_536,
                "packager.archive.waiting_max must be at most 65536",
            ),
            (
                (1..=60).contains(&self.read_timeout_s),
                "packager.archive.read_timeout_s must be 1 to 60",
            ),
            (
                (1..=1_440).contains(&self.clip_minutes_max),
                "packager.archive.clip_minutes_max must be 1 to 1440",
            ),
        ];
        let broken = wanted.into_iter().filter(|(good, _)| !good);
        broken.map(|(_, text)| text.to_owned()).collect()
    }

    /// Of `s3://BUCKET/PREFIX`.
    pub(super) fn bucket(&self) -> Option<(&str, &str)> {
        let rest = self.url.strip_prefix("s3://")?;
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_or_refused() {
        let at = |url: &str| Archive {
            url: url.to_owned(),
            ..Archive::default()
        };
        for good in [
            "local",
            "off",
            "file:///srv/archive",
            "s3://bucket",
            "s3://bucket/a/b",
        ] {
            assert_eq!(at(good).mistakes(), Vec::<String>::new(), "{good}");
        }
        for bad in ["", "file://", "s3://", "s3:///x", "gs://bucket", "/srv"] {
            assert_eq!(at(bad).mistakes().len(), 1, "{bad}");
        }
        assert_eq!(at("s3://b/p/q").bucket(), Some(("b", "p/q")));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let archive = Archive {
            secret_access_key: Some("hush".to_owned()),
            ..Archive::default()
        };
        assert!(!format!("{archive:?}").contains("hush"));
    }
}
