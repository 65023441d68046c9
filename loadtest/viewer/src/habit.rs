//! What players do when a request fails.
//!
//! `HlsJs` is read out of hls.js 1.7.4 (`config.ts`, `utils/error-helper.ts`, `controller/base-playlist-controller.ts`);
//! `Shaka` follows shaka-player's default retry parameters with its fuzz and its endless live retries; `Safari` and
//! `Naive` are models: the first of a patient native player, the second of a page that simply asks again.

use std::time::Duration;

use crate::random::Random;

/// A family of players.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Habit {
    /// hls.js with `lowLatencyMode`: exact delays without jitter, no 4xx is retried, preload hints are not fetched.
    HlsJs,
    /// Jittered delays, never gives up on a live stream, fetches preload hints.
    Shaka,
    /// Few retries with even delays, fetches preload hints.
    Safari,
    /// The same request again after 100 ms, for ever: a storm.
    Naive,
}

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The multivariant playlist.
    Ladder,
    /// A media playlist.
    Playlist,
    /// An init segment, segment or part.
    Media,
}

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No first byte, or no last one, in time.
    Timeout,
    /// Refused, reset or ended early.
    Connection,
    /// Another status than 200.
    Status(u16),
    /// An answer that is not what was asked for.
    Unreadable,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Ask again after this.
    After(Duration),
    /// Another rung, if there is one; else the end of the session.
    Elsewhere,
}

/// How long a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until the first byte.
    pub first_byte: Duration,
    /// Until the last byte.
    pub whole: Duration,
}

impl Habit {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::HlsJs, Self::Shaka, Self::Safari, Self::Naive];

    /// As scenarios name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HlsJs => "hlsjs",
            Self::Shaka => "shaka",
            Self::Safari => "safari",
            Self::Naive => "naive",
        }
    }

    /// Whether it fetches preload hints.
    pub fn hints(self) -> bool {
        matches!(self, Self::Shaka | Self::Safari)
    }

    /// How long a request may take.
    pub fn patience(self, kind: Kind) -> Patience {
        let of = |first_byte, whole| Patience {
            first_byte: Duration::from_secs(first_byte),
            whole: Duration::from_secs(whole),
        };
        match (self, kind) {
            // The first byte has no limit of its own there.
            (Self::HlsJs, Kind::Ladder) => of(20, 20),
            (Self::HlsJs, Kind::Playlist) => of(10, 20),
            (Self::HlsJs, Kind::Media) => of(10, 120),
            (Self::Shaka, _) => of(10, 30),
            (Self::Safari | Self::Naive, _) => of(10, 60),
        }
    }

    /// What comes after a failure that `tries` retries of the same thing came before.
    pub fn verdict(self, kind: Kind, failure: Failure, tries: u32, random: &mut Random) -> Verdict {
        match self {
            Self::HlsJs => hls_js(kind, failure, tries),
            Self::Shaka => {
                // One retry inside the request, then the whole operation again after 100 ms that double.
                let base: u64 = if tries.is_multiple_of(2) {
                    1_000
                } else {
                    100 << (tries / 2).min(6)
                };
                let fuzz = 0.5 + random.unit();
                Verdict::After(Duration::from_millis(base).mul_f64(fuzz))
            }
            Self::Safari if tries < 5 => Verdict::After(Duration::from_secs(1)),
            Self::Safari => Verdict::Elsewhere,
            Self::Naive => Verdict::After(Duration::from_millis(100)),
        }
    }
}

fn hls_js(kind: Kind, failure: Failure, tries: u32) -> Verdict {
    let (errors, timeouts) = match kind {
        Kind::Ladder => (1, 2),
        Kind::Playlist => (2, 2),
        Kind::Media => (6, 4),
    };
    match failure {
        Failure::Timeout if tries < timeouts => Verdict::After(Duration::ZERO),
        // 4xx is never retried, nor is what has no status at all.
        Failure::Status(status) if !(400..500).contains(&status) && tries < errors => {
            Verdict::After(Duration::from_secs(1 << tries.min(3)))
        }
        Failure::Timeout | Failure::Status(_) | Failure::Connection | Failure::Unreadable => {
            Verdict::Elsewhere
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delays of a run of the same failure, seconds, until it goes elsewhere.
    fn run(habit: Habit, kind: Kind, failure: Failure) -> Vec<f64> {
        let mut random = Random::new(3);
        let verdicts = (0..20).map(|tries| habit.verdict(kind, failure, tries, &mut random));
        verdicts
            .map_while(|verdict| match verdict {
                Verdict::After(delay) => Some(delay.as_secs_f64()),
                Verdict::Elsewhere => None,
            })
            .collect()
    }

    #[test]
    fn hls_js_retries_exactly_as_its_source_says() {
        use Failure::{Connection, Status, Timeout, Unreadable};
        let rows: &[(Kind, Failure, &[f64])] = &[
            (Kind::Media, Status(503), &[1.0, 2.0, 4.0, 8.0, 8.0, 8.0]),
            (Kind::Media, Status(500), &[1.0, 2.0, 4.0, 8.0, 8.0, 8.0]),
            (Kind::Media, Timeout, &[0.0; 4]),
            (Kind::Playlist, Status(503), &[1.0, 2.0]),
            (Kind::Playlist, Timeout, &[0.0; 2]),
            (Kind::Ladder, Status(502), &[1.0]),
            (Kind::Ladder, Timeout, &[0.0; 2]),
            (Kind::Media, Status(404), &[]),
            (Kind::Media, Status(429), &[]),
            (Kind::Playlist, Status(404), &[]),
            (Kind::Playlist, Status(400), &[]),
            (Kind::Ladder, Status(403), &[]),
            (Kind::Media, Connection, &[]),
            (Kind::Playlist, Connection, &[]),
            (Kind::Playlist, Unreadable, &[]),
        ];
        for (kind, failure, delays) in rows {
            assert_eq!(
                run(Habit::HlsJs, *kind, *failure),
                *delays,
                "{kind:?} {failure:?}"
            );
        }
    }

    #[test]
    fn the_others_differ_where_it_matters() {
        let shaka = run(Habit::Shaka, Kind::Playlist, Failure::Status(404));
        assert_eq!(shaka.len(), 20, "it never gives up");
        assert!(
            (0.5..1.5).contains(&shaka[0]) && (0.05..0.15).contains(&shaka[1]),
            "{shaka:?}"
        );
        assert_ne!(shaka[0], shaka[2], "it is jittered");
        assert_eq!(run(Habit::Safari, Kind::Media, Failure::Status(503)), [1.0; 5]);
        assert_eq!(run(Habit::Naive, Kind::Media, Failure::Status(404)), [0.1; 20]);
        assert!(!Habit::HlsJs.hints() && Habit::Shaka.hints());
    }
}
