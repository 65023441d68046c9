use super::*;
use crate::check::delivery::{Answered, Kind, check, rule_97_a_higher_bit_rate_is_never_more_urgent};

fn answered(kind: Kind) -> Answered {
    let (kind_of, cache, priority) = match kind {
        Kind::Media => ("video/mp4", "public, max-age=3600", "u=3"),
        Kind::Plain => ("application/vnd.apple.mpegurl", "public, max-age=1", "u=1"),
        Kind::Directed => (
            "application/vnd.apple.mpegurl",
            "public, max-age=0, s-maxage=12",
            "u=1",
        ),
    };
    let headers = [
        ("content-type", kind_of),
        ("cache-control", cache),
        ("priority", priority),
        ("vary", "Accept-Encoding"),
        ("age", "1"),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "Age, Date"),
    ];
    Answered {
        kind,
        accepts_gzip: false,
        cached: true,
        status: 200,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        target_duration: Duration::from_secs(2),
    }
}

/// With one header said otherwise, or not at all, one rule is broken.
fn mutants(rule: u8, kind: Kind, name: &str, values: &[Option<&str>]) {
    clean(&check(&answered(kind)));
    for value in values {
        let mut mutant = answered(kind);
        mutant.headers.retain(|(known, _)| known != name);
        mutant
            .headers
            .extend(value.map(|value| (name.to_owned(), value.to_owned())));
        only(rule, &check(&mutant));
    }
}

#[test]
fn every_rule_about_headers_misses_its_own() {
    for kind in [Kind::Plain, Kind::Directed] {
        mutants(95, kind, "vary", &[None, Some("Origin")]);
        mutants(95, kind, "content-encoding", &[Some("gzip")]);
        mutants(97, kind, "priority", &[None, Some("u=2"), Some("i")]);
        mutants(103, kind, "content-type", &[None, Some("text/plain")]);
    }
    mutants(95, Kind::Media, "content-encoding", &[Some("gzip"), Some("br")]);
    mutants(97, Kind::Media, "priority", &[None, Some("u=1"), Some("u=7")]);
    mutants(
        98,
        Kind::Plain,
        "cache-control",
        &[None, Some("max-age=2"), Some("no-cache")],
    );
    mutants(
        98,
        Kind::Directed,
        "cache-control",
        &[None, Some("max-age=1"), Some("max-age=12, s-maxage=1")],
    );
    mutants(99, Kind::Plain, "age", &[None, Some("0.5"), Some("-1")]);
    mutants(101, Kind::Media, "access-control-allow-origin", &[None]);
    mutants(
        101,
        Kind::Plain,
        "access-control-expose-headers",
        &[None, Some("date")],
    );
    mutants(
        103,
        Kind::Media,
        "content-type",
        &[None, Some("application/octet-stream")],
    );
    mutants(104, Kind::Media, "cache-control", &[None, Some("max-age=11")]);
    let redirect = Answered {
        status: 302,
        ..answered(Kind::Media)
    };
    only(102, &check(&redirect));
    let (low, mut high) = (answered(Kind::Media), answered(Kind::Media));
    clean(&rule_97_a_higher_bit_rate_is_never_more_urgent(&[
        (1, &low),
        (2, &high),
    ]));
    high.headers[2].1 = "u=2".to_owned();
    only(
        97,
        &rule_97_a_higher_bit_rate_is_never_more_urgent(&[(1, &low), (2, &high)]),
    );
}
