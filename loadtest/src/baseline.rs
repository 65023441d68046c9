//! Two runs of one scenario: what got worse, and what cannot be told apart from chance.
//!
//! The seconds of a run are drawn again in blocks (circular block bootstrap), since one bad moment spoils its
//! neighbours and every viewer at once: thousands of parts that are late together are one observation. Start times are
//! drawn by viewer. A band holds 95 % of the differences, shared among all figures that are compared (Bonferroni); a
//! difference is claimed only where its band is clear of zero. Rates are also drawn from both runs as though they were
//! one, since a run in which something rare never happened does not know that it could have. What differs between any
//! two runs as wholes, such as another load on the machine, is in no band: that is what the tolerance is for.

mod draw;
mod series;

use serde::{Deserialize, Serialize};

use crate::figure::Unit;
use crate::report::{Report, Verdict};
use draw::{Band, Draws};
use series::Series;

/// Of all figures together.
const CONFIDENCE: f64 = 0.95;

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The whole band is on the bad side.
    Worse,
    /// The whole band is on the good side.
    Better,
    /// The band holds no difference at all.
    Same,
    /// One of the runs was too short to say, or did not measure it.
    Unknown,
}

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Its name.
    pub figure: String,
    /// In the older run.
    pub old: Option<f64>,
    /// In this one.
    pub new: Option<f64>,
    /// The band of new less old.
    pub band: Option<[f64; 2]>,
    /// What is claimed.
    pub finding: Finding,
    /// Worse by more than is tolerated, and surely so.
    pub intolerable: bool,
}

/// This run against an older one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// When the older one began; none where it does not say.
    pub began: Option<String>,
    /// What is tolerated, a share of the older figure; none judges nothing.
    pub tolerance: Option<f64>,
    /// Why the two cannot be compared; nothing is claimed then.
    pub incomparable: Vec<String>,
    /// What should be kept in mind.
    pub notes: Vec<String>,
    /// The figures.
    pub figures: Vec<Compared>,
}

impl Comparison {
    /// How the bands were made, for who reads them.
    pub const METHOD: &'static str = "Circular block bootstrap over the seconds of each run (start times: over viewers), \
         4,000 draws with a fixed seed, rates also from both runs as one; the bands of all figures together hold with 95 % (Bonferroni). A difference is \
         claimed only where its band does not touch zero. What differs between two runs as wholes is in no band.";

    /// Compares.
    pub fn of(old: &Report, new: &Report) -> Self {
        let incomparable = incomparable(old, new);
        let tolerance = new.scenario.baseline_tolerance;
        let figures = if incomparable.is_empty() {
            compare(&series::all(old), &series::all(new), tolerance)
        } else {
            Vec::new()
        };
        Self {
            began: old.machine.as_ref().map(|machine| machine.began.clone()),
            tolerance,
            incomparable,
            notes: notes(old, new),
            figures,
        }
    }

    /// What is claimed to be worse.
    pub fn regressions(&self) -> impl Iterator<Item = &Compared> {
        self.figures
            .iter()
            .filter(|compared| compared.finding == Finding::Worse)
    }

    /// What is worse than is tolerated.
    pub fn intolerable(&self) -> impl Iterator<Item = &Compared> {
        self.figures.iter().filter(|compared| compared.intolerable)
    }

    /// In lines.
    pub fn text(&self) -> String {
        let began = self.began.as_deref().unwrap_or("a date it does not say");
        let mut lines = vec![format!("against the run of {began}:")];
        lines.extend(
            self.incomparable
                .iter()
                .map(|why| format!("  not compared: {why}")),
        );
        lines.extend(self.notes.iter().map(|note| format!("  {note}")));
        for compared in &self.figures {
            let (_, unit) = words(&compared.figure);
            let say = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| unit.say(value));
            let band = compared.band.map_or_else(
                || "no band".to_owned(),
                |[low, high]| format!("{} to {}", unit.say(low), unit.say(high)),
            );
            let said = match (compared.finding, compared.intolerable) {
                (_, true) => "WORSE than tolerated",
                (Finding::Worse, false) => "worse",
                (Finding::Better, false) => "better",
                (Finding::Same, false) => "no difference to be told",
                (Finding::Unknown, false) => "cannot be told",
            };
            let (old, new) = (say(compared.old), say(compared.new));
            lines.push(format!(
                "  {:22} {old} -> {new}, difference {band}: {said}",
                compared.figure
            ));
        }
        lines.join("\n") + "\n"
    }
}

/// What a compared figure is called, and its unit.
pub fn words(figure: &str) -> (&str, Unit) {
    match figure {
        "lateness_ms" => ("Part lateness: p99 of the median second", Unit::Ms),
        "latency_ms" => ("Behind live: p50 of the median second", Unit::Ms),
        "stalled" => ("Viewers frozen", Unit::Share),
        "stalls_per_hour" => ("Freezes in an hour of playing", Unit::PerHour),
        "errors" => ("Failed requests", Unit::Share),
        "kbps" => ("Bits to each playing viewer", Unit::Kbps),
        "start_ms_p95" => ("Time to the picture, p95", Unit::Ms),
        "lateness_ms_p50" => ("Part lateness, p50", Unit::Ms),
        "lateness_ms_p99" => ("Part lateness, p99", Unit::Ms),
        "latency_ms_p95" => ("Behind live, p95", Unit::Ms),
        other => (other, Unit::Count),
    }
}

fn compare(old: &[Series], new: &[Series], tolerance: Option<f64>) -> Vec<Compared> {
    let pairs: Vec<_> = old
        .iter()
        .filter_map(|before| Some((before, new.iter().find(|after| after.figure == before.figure)?)))
        .collect();
    let draws = Draws::new(CONFIDENCE, pairs.len());
    let judge = |(before, after): (&Series, &Series)| {
        let (was, is) = (before.value(), after.value());
        let band = draws.difference(before, after);
        let toward_bad = band.map(|band| {
            if before.more_is_better {
                band.mirrored()
            } else {
                band
            }
        });
        let finding = match toward_bad {
            None => Finding::Unknown,
            Some(band) if band.low > 0.0 => Finding::Worse,
            Some(band) if band.high < 0.0 => Finding::Better,
            Some(_) => Finding::Same,
        };
        let surely_above =
            |share: f64| toward_bad.is_some_and(|band| band.low > share * was.unwrap_or(0.0).abs());
        Compared {
            figure: before.figure.to_owned(),
            old: was,
            new: is,
            band: band.map(|Band { low, high }| [low, high]),
            finding,
            intolerable: finding == Finding::Worse && tolerance.is_some_and(surely_above),
        }
    };
    pairs.into_iter().map(judge).collect()
}

fn incomparable(old: &Report, new: &Report) -> Vec<String> {
    let mut why = Vec::new();
    for (which, report) in [("the older run", old), ("this run", new)] {
        if report.verdict == Verdict::Invalid {
            why.push(format!("{which} is INVALID"));
        }
    }
    if old.circumstances.basis != new.circumstances.basis {
        why.push("lateness was not counted by the same clock".to_owned());
    }
    // The chance of it, and what is judged, may differ.
    let asked = |report: &Report| {
        let mut scenario = serde_json::to_value(&report.scenario).unwrap_or_default();
        if let Some(keys) = scenario.as_object_mut() {
            for key in ["seed", "slo", "lag_ms_max", "baseline_tolerance", "workers"] {
                keys.remove(key);
            }
        }
        scenario
    };
    let (before, after) = (asked(old), asked(new));
    let keys = before.as_object().into_iter().chain(after.as_object());
    let mut keys: Vec<_> = keys.flat_map(|map| map.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (was, is) = (before.get(key), after.get(key));
        if was != is {
            let say =
                |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
            why.push(format!("scenario: {key} was {}, and is {}", say(was), say(is)));
        }
    }
    why
}

fn notes(old: &Report, new: &Report) -> Vec<String> {
    let (Some(was), Some(is)) = (&old.machine, &new.machine) else {
        return vec!["one of the runs does not say which machine it ran on".to_owned()];
    };
    let differs = [
        ("processor", was.processor != is.processor),
        ("cores", was.cores != is.cores),
        ("kernel", was.system != is.system),
        ("number of edges", was.targets.len() != is.targets.len()),
    ];
    differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(what, _)| format!("another {what}: differences may be its own"))
        .collect()
}

#[cfg(test)]
mod tests;
