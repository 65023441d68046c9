//! Whether an answer's headers say what caches and players need.

use std::time::Duration;

use super::{Rule, Violation, all, unless};

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A playlist that was waited for.
    Directed,
    /// A playlist as it is.
    Plain,
    /// A part, segment or init segment.
    Media,
}

/// An answer, and what is known of its request.
#[derive(Debug, Clone)]
pub struct Answered {
    /// What was asked for.
    pub kind: Kind,
    /// Whether the request accepted gzip.
    pub accepts_gzip: bool,
    /// Whether a cache answered.
    pub cached: bool,
    /// Status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// EXT-X-TARGETDURATION.
    pub target_duration: Duration,
}

const RULES: &[Rule<Answered>] = &[
    (95, rule_95_playlists_are_compressed_and_media_is_not),
    (97, rule_97_urgency_is_said),
    (98, rule_98_answers_live_as_long_as_they_may),
    (99, rule_99_caches_say_the_age),
    (101, rule_101_pages_may_read_what_players_need),
    (102, rule_102_nothing_is_redirected),
    (103, rule_103_types_are_those_of_the_medium),
    (104, rule_104_media_says_how_long_it_stays),
];

/// Every rule about one answer.
pub fn check(answered: &Answered) -> Vec<Violation> {
    all(&[RULES], answered)
}

impl Answered {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    fn is_playlist(&self) -> bool {
        self.kind != Kind::Media
    }

    fn max_age(&self) -> Option<u64> {
        self.age_of("max-age=")
    }

    /// For caches that several share (RFC 9111 §5.2.2.10).
    fn shared_age(&self) -> Option<u64> {
        self.age_of("s-maxage=").or_else(|| self.max_age())
    }

    fn age_of(&self, name: &str) -> Option<u64> {
        let directives = self.header("cache-control")?.split(',');
        directives
            .filter_map(|d| d.trim().strip_prefix(name))
            .find_map(|age| age.parse().ok())
    }

    fn urgency(&self) -> Option<u8> {
        let members = self.header("priority")?.split(',');
        members
            .filter_map(|member| member.trim().strip_prefix("u="))
            .find_map(|u| u.parse().ok())
    }

    fn said(&self, name: &'static str) -> String {
        format!("{:?} {}: {name}: {:?}", self.kind, self.status, self.header(name))
    }
}

/// rfc8216bis §6.2.1 and B.1.
fn rule_95_playlists_are_compressed_and_media_is_not(answered: &Answered) -> Vec<String> {
    if answered.status != 200 {
        return Vec::new();
    }
    let gzip = answered.header("content-encoding") == Some("gzip");
    let varies = answered
        .header("vary")
        .is_some_and(|names| names.to_ascii_lowercase().contains("accept-encoding"));
    let good = if answered.is_playlist() {
        varies && gzip == answered.accepts_gzip
    } else {
        answered.header("content-encoding").is_none()
    };
    unless(good, || answered.said("content-encoding"))
}

/// rfc8216bis B.1, RFC 9218.
fn rule_97_urgency_is_said(answered: &Answered) -> Vec<String> {
    if answered.status != 200 {
        return Vec::new();
    }
    let good = match answered.urgency() {
        Some(1) => answered.is_playlist(),
        Some(2..=6) => !answered.is_playlist(),
        Some(_) | None => false,
    };
    unless(good, || answered.said("priority"))
}

/// Rule 97 among renditions: bit rates, and the answers with their media.
pub fn rule_97_a_higher_bit_rate_is_never_more_urgent(rates: &[(u64, &Answered)]) -> Vec<Violation> {
    let mut out = Vec::new();
    for (rate, answered) in rates {
        let above = rates.iter().filter(|(other, _)| other > rate);
        let wrong = above
            .filter(|(_, other)| other.urgency() < answered.urgency())
            .count();
        if wrong > 0 {
            super::violations(
                &mut out,
                97,
                vec![format!("{wrong} of more than {rate} are more urgent")],
            );
        }
    }
    out
}

/// rfc8216bis B.1, but for refusals: one that is kept turns one impatient player into an outage for all.
fn rule_98_answers_live_as_long_as_they_may(answered: &Answered) -> Vec<String> {
    let target = answered.target_duration.as_secs();
    let good = match (answered.status, answered.kind, answered.shared_age()) {
        (200, Kind::Media, _) => true,
        (200, Kind::Directed, age) => age == Some(target * 6),
        (200, Kind::Plain, age) => age.is_some_and(|age| (1..=(target / 2).max(1)).contains(&age)),
        (400.., _, age) => age.is_some_and(|age| age <= 1),
        (_, _, _) => true,
    };
    unless(good, || answered.said("cache-control"))
}

/// rfc8216bis B.1 and Appendix C.
fn rule_99_caches_say_the_age(answered: &Answered) -> Vec<String> {
    let is_number = |age: &str| !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit());
    let due = answered.cached && answered.status == 200;
    let good = answered.header("age").map_or(!due, is_number);
    unless(good, || answered.said("age"))
}

/// hls.js adds Age to what it knows of the live edge.
fn rule_101_pages_may_read_what_players_need(answered: &Answered) -> Vec<String> {
    let exposed = answered
        .header("access-control-expose-headers")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let names: Vec<&str> = exposed.split(',').map(str::trim).collect();
    let good = answered.header("access-control-allow-origin") == Some("*")
        && ["age", "date"].iter().all(|name| names.contains(name));
    unless(good, || answered.said("access-control-expose-headers"))
}

/// Apple authoring 8.18.
fn rule_102_nothing_is_redirected(answered: &Answered) -> Vec<String> {
    let redirected = (300..400).contains(&answered.status) && answered.status != 304;
    unless(!redirected, || answered.said("location"))
}

/// Apple authoring 10.4.
fn rule_103_types_are_those_of_the_medium(answered: &Answered) -> Vec<String> {
    let kind = answered.header("content-type").unwrap_or_default();
    let good = match answered.kind {
        _ if answered.status != 200 => true,
        Kind::Media => ["video/mp4", "video/iso.segment", "audio/mp4", "text/vtt"].contains(&kind),
        Kind::Directed | Kind::Plain => kind == "application/vnd.apple.mpegurl",
    };
    unless(good, || answered.said("content-type"))
}

/// rfc8216bis §6.2.2 and B.1.
fn rule_104_media_says_how_long_it_stays(answered: &Answered) -> Vec<String> {
    if answered.is_playlist() || answered.status != 200 {
        return Vec::new();
    }
    let long = answered
        .max_age()
        .is_some_and(|age| age >= answered.target_duration.as_secs() * 6);
    unless(long || answered.header("expires").is_some(), || {
        answered.said("cache-control")
    })
}

/// Rule 107: HEAD says what GET does (RFC 9110 §9.3.2), but for what the moment says.
pub fn rule_107_head_says_what_get_does(get: &Answered, head: &Answered) -> Vec<Violation> {
    let lasting = |answered: &Answered| {
        let mut headers = answered.headers.clone();
        headers.retain(|(name, _)| name != "date" && name != "age");
        headers.sort();
        (answered.status, headers)
    };
    let same = lasting(get) == lasting(head);
    let mut out = Vec::new();
    super::violations(
        &mut out,
        107,
        unless(same, || format!("{:?}, not {:?}", head.headers, get.headers)),
    );
    out
}
