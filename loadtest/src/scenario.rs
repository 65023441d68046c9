//! What a drill is to be, as a TOML file says it. Every key has a default; every mistake is named with its line.

mod fault;

use std::time::Duration;

pub use fault::{Fault, FaultKind, Well};
use serde::{Deserialize, Serialize};
use viewer::arrival::{Curve, ExitWave};
use viewer::habit::Habit;

/// Longest drill.
const DURATION_S_MAX: f64 = 6.0 * 3_600.0;
/// Most viewers: what one host could number.
const VIEWERS_MAX: u32 = 1_000_000;
/// Most worker processes.
pub const WORKERS_MAX: u32 = 64;
/// Mistakes named at once.
const MISTAKES_MAX: usize = 50;

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Who comes.
    pub viewers: u32,
    /// When it ends at the latest, seconds.
    pub duration_s: f64,
    /// Chance; the same seed gives the same crowd.
    pub seed: u64,
    /// The stream.
    pub stream: String,
    /// Whether viewers play sound that is apart from the video.
    pub audio: bool,
    /// Fastest catch-up rate; 1 is the default of hls.js.
    pub rate_max: f64,
    /// One viewer in so many checks every byte; 0 for none.
    pub inspect_every: u32,
    /// The run is invalid when the tool itself was later than this, p99, milliseconds.
    pub lag_ms_max: f64,
    /// How they come.
    pub arrivals: Arrivals,
    /// How long they stay.
    pub stay: Option<Spread>,
    /// How long they wait for a picture.
    pub patience: Spread,
    /// A part of them goes at once.
    pub exit: Option<Exit>,
    /// Weights of the players.
    pub mix: Mix,
    /// Shares of viewers with a cap on the rung.
    pub caps: Vec<Cap>,
    /// Viewers with slow networks.
    pub slow: Option<Slow>,
    /// Viewers who watch what was, not what is.
    pub rewind: Option<Rewind>,
    /// Worker processes; none is as many as viewers, descriptors and cores ask for.
    pub workers: Option<u32>,
    /// Whether a viewer whose edge cannot be reached goes to the next one.
    pub failover: bool,
    /// What is done to the system.
    pub faults: Vec<Fault>,
    /// When the crowd counts as well again after a fault.
    pub well: Well,
    /// A figure surely worse than in the run of `--baseline` by more than this share of it fails; none only tells.
    pub baseline_tolerance: Option<f64>,
    /// What must hold.
    pub slo: Slo,
}

/// How viewers come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "curve", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// Evenly.
    Ramp {
        /// Until all are there, seconds.
        over_s: f64,
    },
    /// In groups.
    Step {
        /// Groups.
        steps: u32,
        /// Between two, seconds.
        every_s: f64,
    },
    /// All at once.
    Wall {
        /// When, seconds.
        at_s: f64,
    },
    /// As recorded.
    Replay {
        /// `seconds,viewers` lines.
        csv: String,
    },
}

/// A log-normal spread of times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Half are under this, seconds.
    pub median_s: f64,
    /// Spread of the logarithm; 0 gives the median always.
    #[serde(default)]
    pub sigma: f64,
}

/// Many go at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    /// When, seconds.
    pub at_s: f64,
    /// Within, seconds.
    #[serde(default)]
    pub over_s: f64,
    /// Of those who are there.
    pub share: f64,
}

/// Weights of players.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mix {
    /// hls.js.
    pub hlsjs: f64,
    /// Shaka-like.
    pub shaka: f64,
    /// Safari-like.
    pub safari: f64,
    /// Asks again at once.
    pub naive: f64,
}

/// A cap on the rung.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Highest BANDWIDTH used, bits per second.
    pub bandwidth_max: u64,
    /// Of all viewers.
    pub share: f64,
}

/// Slow networks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Of all viewers.
    pub share: f64,
    /// Bits per second, thousands, of each connection.
    pub kbps: f64,
}

/// Viewers of the rewind playlist.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewind {
    /// Of all viewers.
    pub share: f64,
    /// How far behind the live edge they begin, seconds; at the beginning where it is further.
    pub behind_s: f64,
}

/// What must hold; what is not said is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Time to the first picture, p95, milliseconds.
    pub start_ms_p95: Option<f64>,
    /// Share of viewers that never saw one.
    pub unstarted_max: Option<f64>,
    /// Frozen time by frozen and played time.
    pub rebuffer_ratio_max: Option<f64>,
    /// Freezes in an hour of playing.
    pub stalls_per_hour_max: Option<f64>,
    /// From publication to the last byte, p50, milliseconds.
    pub lateness_ms_p50: Option<f64>,
    /// The same, p99.
    pub lateness_ms_p99: Option<f64>,
    /// Behind the stream's clock, p95, milliseconds.
    pub latency_ms_p95: Option<f64>,
    /// Mean rate of the rungs that were played, thousand bits per second.
    pub kbps_min: Option<f64>,
    /// Failed requests by all requests.
    pub errors_max: Option<f64>,
    /// Playlists and parts that were not the same for everybody.
    pub divergent_max: Option<f64>,
    /// Parts that inspectors found broken or out of order.
    pub broken_max: Option<f64>,
    /// Requests the origin gave something for by what it gave for the first time: 1 where everything is fetched once.
    pub origin_ratio_max: Option<f64>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            viewers: 100,
            duration_s: 30.0,
            seed: 1,
            stream: "main".to_owned(),
            audio: true,
            rate_max: 1.0,
            inspect_every: 50,
            lag_ms_max: 50.0,
            arrivals: Arrivals::Ramp { over_s: 5.0 },
            stay: None,
            patience: Spread {
                median_s: 10.0,
                sigma: 0.0,
            },
            exit: None,
            mix: Mix::default(),
            caps: Vec::new(),
            slow: None,
            rewind: None,
            workers: None,
            failover: false,
            faults: Vec::new(),
            well: Well::default(),
            baseline_tolerance: None,
            slo: Slo::default(),
        }
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            hlsjs: 1.0,
            shaka: 0.0,
            safari: 0.0,
            naive: 0.0,
        }
    }
}

impl Mix {
    /// Weights in the order of [`Habit::ALL`].
    pub fn weights(&self) -> [f64; 4] {
        [self.hlsjs, self.shaka, self.safari, self.naive]
    }

    /// A player of this number.
    pub fn habit(index: usize) -> Habit {
        Habit::ALL.get(index).copied().unwrap_or(Habit::HlsJs)
    }
}

/// Seconds as a file says them.
pub fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::ZERO)
}

impl Scenario {
    /// Reads a scenario, or says every mistake in it, each with its line.
    pub fn read(text: &str) -> Result<Self, Vec<String>> {
        let (mut left, mut mistakes) = (text.to_owned(), Vec::new());
        let scenario = loop {
            match toml::from_str::<Self>(&left) {
                Ok(scenario) => break scenario,
                Err(error) => {
                    let at = error.span().map_or(0, |span| span.start);
                    let line = left.get(..at).unwrap_or_default().matches('\n').count();
                    mistakes.push((line + 1, error.message().replace('\n', ", ")));
                    match without(&left, line) {
                        Some(rest) if mistakes.len() < MISTAKES_MAX => left = rest,
                        _ => return Err(said(mistakes)),
                    }
                }
            }
        };
        mistakes.extend(scenario.impossible(text));
        if mistakes.is_empty() {
            Ok(scenario)
        } else {
            Err(said(mistakes))
        }
    }

    /// What follows the grammar and cannot be.
    fn impossible(&self, text: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut check = |holds: bool, section: &str, key: &str, why: &str| {
            if !holds {
                let name = if section.is_empty() {
                    key.to_owned()
                } else {
                    format!("{section}.{key}")
                };
                found.push((line_of(text, section, key), format!("{name}: {why}")));
            }
        };
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let time = |value: f64| (0.0..=self.duration_s).contains(&value);
        check(
            (1..=VIEWERS_MAX).contains(&self.viewers),
            "",
            "viewers",
            "1 to 1000000",
        );
        let bounded = self.duration_s > 0.0 && self.duration_s <= DURATION_S_MAX;
        check(bounded, "", "duration_s", "more than 0, at most six hours");
        check(
            !self.stream.is_empty() && !self.stream.contains(['/', ' ', '\r', '\n']),
            "",
            "stream",
            "not a stream's name",
        );
        check((1.0..=2.0).contains(&self.rate_max), "", "rate_max", "1 to 2");
        check(self.lag_ms_max > 0.0, "", "lag_ms_max", "more than 0");
        match &self.arrivals {
            Arrivals::Ramp { over_s } => check(time(*over_s), "arrivals", "over_s", "not within duration_s"),
            Arrivals::Wall { at_s } => check(time(*at_s), "arrivals", "at_s", "not within duration_s"),
            Arrivals::Step { steps, every_s } => {
                check((1..=10_000).contains(steps), "arrivals", "steps", "1 to 10000");
                check(
                    time(every_s * f64::from(*steps)),
                    "arrivals",
                    "every_s",
                    "not within duration_s",
                );
            }
            Arrivals::Replay { csv } => match Curve::replay(csv) {
                Err(error) => check(false, "arrivals", "csv", &error.to_string()),
                Ok(curve) => {
                    let last = curve
                        .times(self.viewers.min(10))
                        .last()
                        .copied()
                        .unwrap_or_default();
                    check(
                        last <= seconds(self.duration_s),
                        "arrivals",
                        "csv",
                        "not within duration_s",
                    );
                }
            },
        }
        for (section, spread) in [("stay", self.stay), ("patience", Some(self.patience))] {
            if let Some(spread) = spread {
                check(
                    spread.median_s > 0.0 && spread.median_s <= 1e6,
                    section,
                    "median_s",
                    "more than 0",
                );
                check((0.0..=5.0).contains(&spread.sigma), section, "sigma", "0 to 5");
            }
        }
        if let Some(exit) = self.exit {
            check(
                time(exit.at_s) && exit.over_s >= 0.0 && exit.over_s.is_finite(),
                "exit",
                "at_s",
                "not within duration_s",
            );
            check(share(exit.share), "exit", "share", "0 to 1");
        }
        let weights = self.mix.weights();
        let sane =
            weights.iter().all(|weight| (0.0..=1e9).contains(weight)) && weights.iter().sum::<f64>() > 0.0;
        check(
            sane,
            "mix",
            "hlsjs",
            "weights are not negative, and one is more than 0",
        );
        let capped: f64 = self.caps.iter().map(|cap| cap.share).sum();
        let sane = self.caps.iter().all(|cap| share(cap.share)) && capped <= 1.0 + 1e-9;
        check(sane, "caps", "share", "shares are 0 to 1, and 1 in all at most");
        if let Some(slow) = self.slow {
            check(share(slow.share), "slow", "share", "0 to 1");
            check((1.0..=1e6).contains(&slow.kbps), "slow", "kbps", "1 to 1000000");
        }
        if let Some(rewind) = self.rewind {
            check(share(rewind.share), "rewind", "share", "0 to 1");
            check(
                (0.0..=1e6).contains(&rewind.behind_s),
                "rewind",
                "behind_s",
                "0 to 1000000",
            );
        }
        let workers = self.workers.is_none_or(|n| (1..=WORKERS_MAX).contains(&n));
        check(workers, "", "workers", "1 to 64");
        fault::impossible(&self.faults, &self.well, self.duration_s, &mut check);
        let tolerated = self
            .baseline_tolerance
            .is_none_or(|share| (0.0..=10.0).contains(&share));
        check(tolerated, "", "baseline_tolerance", "0 to 10");
        let limits = self.slo.limits();
        limits
            .into_iter()
            .for_each(|(key, limit)| check(limit.is_none_or(|l| l >= 0.0), "slo", key, "not negative"));
        let checked = self.slo.divergent_max.is_none() && self.slo.broken_max.is_none();
        check(
            checked || self.inspect_every > 0,
            "",
            "inspect_every",
            "0, and slo asks for what only inspectors see",
        );
        found
    }

    /// When each viewer comes.
    pub fn times(&self) -> Vec<Duration> {
        let curve = match &self.arrivals {
            Arrivals::Ramp { over_s } => Curve::Ramp {
                over: seconds(*over_s),
            },
            Arrivals::Wall { at_s } => Curve::Wall { at: seconds(*at_s) },
            Arrivals::Step { steps, every_s } => Curve::Step {
                steps: *steps,
                every: seconds(*every_s),
            },
            Arrivals::Replay { csv } => Curve::replay(csv).unwrap_or(Curve::Wall { at: Duration::ZERO }),
        };
        curve.times(self.viewers)
    }

    /// When many go at once.
    pub fn exit_wave(&self) -> Option<ExitWave> {
        self.exit.map(|exit| ExitWave {
            at: seconds(exit.at_s),
            over: seconds(exit.over_s),
            share: exit.share,
        })
    }
}

impl Slo {
    /// Every one by name.
    pub fn limits(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("start_ms_p95", self.start_ms_p95),
            ("unstarted_max", self.unstarted_max),
            ("rebuffer_ratio_max", self.rebuffer_ratio_max),
            ("stalls_per_hour_max", self.stalls_per_hour_max),
            ("lateness_ms_p50", self.lateness_ms_p50),
            ("lateness_ms_p99", self.lateness_ms_p99),
            ("latency_ms_p95", self.latency_ms_p95),
            ("kbps_min", self.kbps_min),
            ("errors_max", self.errors_max),
            ("divergent_max", self.divergent_max),
            ("broken_max", self.broken_max),
            ("origin_ratio_max", self.origin_ratio_max),
        ]
    }
}

fn said(mut mistakes: Vec<(usize, String)>) -> Vec<String> {
    mistakes.sort();
    mistakes
        .into_iter()
        .map(|(line, why)| format!("line {line}: {why}"))
        .collect()
}

/// The text with this line, or the whole table that it begins, made empty; none where nothing was left of it.
fn without(text: &str, line: usize) -> Option<String> {
    let is_header = |line: &str| line.trim_start().starts_with('[');
    let mut cutting = false;
    let mut changed = false;
    let lines: Vec<&str> = text
        .lines()
        .enumerate()
        .map(|(number, own)| {
            cutting = (number == line) || (cutting && number > line && !is_header(own));
            let cut = cutting && !own.is_empty();
            if number == line && !is_header(own) {
                cutting = false;
            }
            changed |= cut;
            if cut { "" } else { own }
        })
        .collect();
    changed.then(|| lines.join("\n"))
}

/// Line of a key, of its table where it is not said, or 1.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let (mut inside, mut table) = (section.is_empty(), 1);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']) == section;
            if inside {
                table = number + 1;
            }
        } else if inside && line.split('=').next().is_some_and(|name| name.trim() == key) {
            return number + 1;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_a_small_drill() {
        assert_eq!(Scenario::read("").unwrap(), Scenario::default());
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = "viewers = 0
veiwers = 5
rate_max = 3.0
seed = \"one\"

[arivals]
curve = \"ramp\"
over_s = 1

[arrivals]
curve = \"ramp\"
over_s = 99

[slo]
start_ms_p95 = -1
";
        let mistakes = Scenario::read(text).unwrap_err();
        let lines: Vec<_> = mistakes
            .iter()
            .map(|said| said.split(':').next().unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                "line 1", "line 2", "line 3", "line 4", "line 6", "line 12", "line 15"
            ],
            "{mistakes:#?}"
        );
        assert!(mistakes[1].contains("unknown field `veiwers`"), "{mistakes:#?}");
        assert!(
            mistakes[5].contains("arrivals.over_s: not within duration_s"),
            "{mistakes:#?}"
        );
    }

    #[test]
    fn text_that_is_no_toml_is_refused() {
        assert!(Scenario::read("viewers = = 1").unwrap_err()[0].starts_with("line 1"));
    }

    #[test]
    fn scenarios_in_the_folder_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(
                Scenario::read(&text).is_ok(),
                "{path:?}: {:?}",
                Scenario::read(&text)
            );
        }
    }
}
