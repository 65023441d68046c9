//! Section `ingest.hook`: who else is asked whether an encoder may publish.

use serde::{Deserialize, Serialize};

use super::out_of_range;
use crate::hook::Target;

/// Section `ingest.hook`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hook {
    /// Where `publish` and `unpublish` are POSTed, http only. Absent = nobody is asked. Any address is taken,
    /// loopback and private ones as well, since only the operator sets it; redirects are not followed.
    pub url: Option<String>,
    /// Signs what is sent, at least 16 characters: header `ringside-signature: t=UNIX,v1=HEX`, where HEX is
    /// HMAC-SHA256 over `UNIX.BODY`. Absent = unsigned.
    pub secret: Option<String>,
    /// Milliseconds from asking to the answer, waiting for a free one of the 16 calls included. Default 2000.
    pub timeout_ms: u64,
    /// What counts when no answer comes in time, or one that is neither yes (2xx) nor no (401, 403, 404, 409):
    /// "allow" or "deny". Default "allow": live does not wait for a control plane.
    pub on_failure: OnFailure,
}

/// What counts when the hook does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The encoder is let in.
    #[default]
    Allow,
    /// The encoder is refused.
    Deny,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            timeout_ms: 2_000,
            on_failure: OnFailure::default(),
        }
    }
}

impl Hook {
    pub(super) fn validate(&self) -> Vec<String> {
        let mut wrong = out_of_range("ingest.hook", &[("timeout_ms", self.timeout_ms, 100, 10_000)]);
        if let Some(Err(why)) = self.url.as_deref().map(|url| Target::new(url, None)) {
            wrong.push(format!("ingest.hook.url: {why}"));
        }
        if self.secret.as_ref().is_some_and(|secret| secret.len() < 16) {
            wrong.push("ingest.hook.secret: at least 16 characters".to_owned());
        }
        wrong
    }
}
