//! Figures of a drill in words: what each is called, its unit, and how it is written.

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// A part of 1, written in percent.
    Share,
    /// Times in an hour.
    PerHour,
    /// Thousand bits per second.
    Kbps,
    /// Things.
    Count,
}

impl Unit {
    /// A value for people, exact enough to tell it from another that matters.
    pub fn say(self, value: f64) -> String {
        match self {
            Self::Ms => format!("{} ms", rounded(value, places(value))),
            Self::Seconds => format!("{} s", rounded(value, places(value))),
            Self::Share => format!(
                "{} %",
                rounded(value * 100.0, if value.abs() < 0.01 { 4 } else { 2 })
            ),
            Self::PerHour => format!("{} /h", rounded(value, 2)),
            Self::Kbps => format!("{} kb/s", rounded(value, places(value))),
            Self::Count => rounded(value, 2),
        }
    }
}

/// What an SLO is called, and its unit. A name that is not known is its own.
pub fn slo(key: &str) -> (&str, Unit) {
    match key {
        "start_ms_p95" => ("Time to the picture, p95", Unit::Ms),
        "unstarted_max" => ("Viewers who never saw a picture", Unit::Share),
        "rebuffer_ratio_max" => ("Frozen time", Unit::Share),
        "stalls_per_hour_max" => ("Freezes in an hour of playing", Unit::PerHour),
        "lateness_ms_p50" => ("Part lateness, p50", Unit::Ms),
        "lateness_ms_p99" => ("Part lateness, p99", Unit::Ms),
        "latency_ms_p95" => ("Behind live, p95", Unit::Ms),
        "kbps_min" => ("Delivered rate", Unit::Kbps),
        "errors_max" => ("Failed requests", Unit::Share),
        "divergent_max" => (
            "Playlists and parts that were not the same for everybody",
            Unit::Count,
        ),
        "broken_max" => ("Broken parts", Unit::Count),
        "origin_ratio_max" => ("Requests at the origin for each object and edge", Unit::Count),
        other => (other, Unit::Count),
    }
}

/// Whether more is better.
pub fn is_floor(slo: &str) -> bool {
    slo.ends_with("_min")
}

/// A whole number in groups of three.
pub fn count(n: u64) -> String {
    grouped(&n.to_string())
}

fn places(value: f64) -> usize {
    match value.abs() {
        small if small < 10.0 => 2,
        middle if middle < 1_000.0 => 1,
        _ => 0,
    }
}

fn rounded(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let whole = if fraction.is_empty() && whole == "-0" {
        "0"
    } else {
        whole
    };
    match fraction {
        "" => grouped(whole),
        fraction => format!("{}.{fraction}", grouped(whole)),
    }
}

fn grouped(digits: &str) -> String {
    let length = digits.len();
    let mut out = String::with_capacity(length + length / 3);
    for (index, digit) in digits.chars().enumerate() {
        let left = length - index;
        if index > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Slo;

    #[test]
    fn figures_are_written_for_people() {
        for (unit, value, said) in [
            (Unit::Ms, 0.1234, "0.12 ms"),
            (Unit::Ms, 512.04, "512 ms"),
            (Unit::Ms, -1_234.5, "-1,234 ms"),
            (Unit::Ms, -123.0, "-123 ms"),
            (Unit::Share, 0.000_05, "0.005 %"),
            (Unit::Share, 0.25, "25 %"),
            (Unit::PerHour, 1.5, "1.5 /h"),
            (Unit::Kbps, 1_234_567.0, "1,234,567 kb/s"),
            (Unit::Count, 0.0, "0"),
            (Unit::Seconds, -0.001, "0 s"),
        ] {
            assert_eq!(unit.say(value), said, "{value}");
        }
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn every_slo_has_a_name() {
        for (key, _) in Slo::default().limits() {
            assert_ne!(slo(key).0, key);
        }
    }
}
