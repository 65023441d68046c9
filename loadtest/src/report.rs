//! The verdict: what was measured against what was asked for, and whether the measurement can be believed at all.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::baseline::Comparison;
use crate::clock::Basis;
use crate::machine::Machine;
use crate::scenario::Scenario;
use crate::tally::{Circumstances, Tally};
use crate::timeline::{Edge, Second, Timeline};

/// How a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every SLO held.
    Pass,
    /// One did not.
    Fail,
    /// The measurement says nothing, whatever its figures.
    Invalid,
}

/// One SLO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Key in the scenario.
    pub slo: String,
    /// What was allowed.
    pub limit: f64,
    /// What was; none where nothing was measured.
    pub measured: Option<f64>,
    /// Whether it held; what was not measured did not.
    pub held: bool,
}

/// The result file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// PASS, FAIL or INVALID.
    pub verdict: Verdict,
    /// Stopped by hand: figures of a part of the drill.
    pub partial: bool,
    /// Why it is invalid.
    pub invalid_because: Vec<String>,
    /// The SLOs.
    pub slos: Vec<Judged>,
    /// What was measured, in the units of the SLOs.
    pub measures: Measures,
    /// How it went.
    pub circumstances: Circumstances,
    /// What was asked for.
    pub scenario: Scenario,
    /// Everything that was counted.
    pub tally: Tally,
    /// Where and when it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Second by second, and what was done to the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    /// Edge by edge.
    #[serde(default)]
    pub edges: Vec<Edge>,
    /// Against an older run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Comparison>,
}

/// Figures of a run. `None` is nothing measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// Viewers of the scenario, those that joined, and most at once.
    pub viewers: [u64; 3],
    /// Time to the picture, p50 and p95.
    pub start_ms: [Option<f64>; 2],
    /// Share that never saw one.
    pub unstarted: Option<f64>,
    /// Frozen by frozen and played time.
    pub rebuffer_ratio: Option<f64>,
    /// Freezes in an hour of playing.
    pub stalls_per_hour: Option<f64>,
    /// Publication to last byte, p50, p95 and p99.
    pub lateness_ms: [Option<f64>; 3],
    /// Behind the stream's clock, p50, p95 and p99.
    pub latency_ms: [Option<f64>; 3],
    /// Mean rate of the rungs played.
    pub kbps: Option<f64>,
    /// Failed by all requests.
    pub errors: Option<f64>,
    /// Playlists and parts that were not the same for everybody; none where none were compared.
    pub divergent: Option<f64>,
    /// Parts that were broken; none where none were taken apart.
    pub broken: Option<f64>,
    /// What the origin gave by what it gave for the first time.
    pub origin_ratio: Option<f64>,
    /// The tool's own lateness, p99.
    pub lag_ms_p99: Option<f64>,
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl Measures {
    fn of(scenario: &Scenario, tally: &Tally, basis: Basis) -> Self {
        let clocked = |value: Option<f64>| value.filter(|_| basis != Basis::None);
        let unstarted: u64 = tally.unstarted.values().sum();
        let errors: u64 = tally.errors.values().sum();
        let broken: u64 = tally.broken.values().sum();
        Self {
            viewers: [u64::from(scenario.viewers), tally.joined, tally.peak],
            start_ms: [0.5, 0.95].map(|q| tally.start.ms(q)),
            unstarted: ratio(unstarted as f64, tally.joined as f64),
            rebuffer_ratio: ratio(tally.stalled_s, tally.stalled_s + tally.played_s),
            stalls_per_hour: ratio(tally.stalls as f64, tally.played_s / 3_600.0),
            lateness_ms: [0.5, 0.95, 0.99].map(|q| clocked(tally.lateness.ms(q))),
            latency_ms: [0.5, 0.95, 0.99].map(|q| clocked(tally.latency.ms(q))),
            kbps: ratio(tally.rung_bits as f64 / 1_000.0, tally.loaded_s),
            errors: ratio(errors as f64, tally.requests as f64),
            divergent: (tally.compared > 0).then_some(tally.divergent as f64),
            broken: (tally.inspected > 0).then_some(broken as f64),
            origin_ratio: tally
                .origin
                .and_then(|[objects, repeats]| ratio((objects + repeats) as f64, objects as f64)),
            lag_ms_p99: tally.lag.ms(0.99),
        }
    }

    fn of_slo(&self, slo: &str) -> Option<f64> {
        let [lateness_p50, _, lateness_p99] = self.lateness_ms;
        let ([_, start], [_, latency, _]) = (self.start_ms, self.latency_ms);
        match slo {
            "start_ms_p95" => start,
            "unstarted_max" => self.unstarted,
            "rebuffer_ratio_max" => self.rebuffer_ratio,
            "stalls_per_hour_max" => self.stalls_per_hour,
            "lateness_ms_p50" => lateness_p50,
            "lateness_ms_p99" => lateness_p99,
            "latency_ms_p95" => latency,
            "kbps_min" => self.kbps,
            "errors_max" => self.errors,
            "divergent_max" => self.divergent,
            "broken_max" => self.broken,
            "origin_ratio_max" => self.origin_ratio,
            _ => None,
        }
    }
}

impl Report {
    /// Judges a run.
    pub fn of(scenario: Scenario, mut tally: Tally, circumstances: Circumstances) -> Self {
        let measures = Measures::of(&scenario, &tally, circumstances.basis);
        let slos: Vec<Judged> = scenario
            .slo
            .limits()
            .into_iter()
            .filter_map(|(slo, limit)| {
                let (limit, measured) = (limit?, measures.of_slo(slo));
                let held = measured.is_some_and(|value| {
                    if slo.ends_with("_min") {
                        value >= limit
                    } else {
                        value <= limit
                    }
                });
                Some(Judged {
                    slo: slo.to_owned(),
                    limit,
                    measured,
                    held,
                })
            })
            .collect();
        let invalid_because = invalid(&scenario, &tally, &circumstances, &measures);
        let series = std::mem::take(&mut tally.series).0;
        let timeline = Timeline {
            seconds: series.iter().map(|(t, counts)| Second::of(*t, counts)).collect(),
            marks: std::mem::take(&mut tally.marks),
        };
        let edges = std::mem::take(&mut tally.edges);
        let edges = edges
            .iter()
            .map(|(target, counts)| Edge::of(target, counts))
            .collect();
        let recovered = timeline.marks.iter().all(|mark| mark.held() != Some(false));
        let verdict = if !invalid_because.is_empty() {
            Verdict::Invalid
        } else if recovered && slos.iter().all(|judged| judged.held) {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        Self {
            verdict,
            partial: circumstances.partial,
            invalid_because,
            slos,
            measures,
            circumstances,
            scenario,
            timeline: Some(timeline),
            edges,
            tally,
            machine: None,
            baseline: None,
        }
    }

    /// Compares with an older run; worse than is tolerated fails, and where that cannot be judged, the run is invalid.
    pub fn against(&mut self, old: &Self) {
        let found = Comparison::of(old, self);
        if found.tolerance.is_some() {
            if !found.incomparable.is_empty() {
                let why = found.incomparable.join(", ");
                self.invalid_because
                    .push(format!("the baseline cannot be judged: {why}"));
                self.verdict = Verdict::Invalid;
            } else if self.verdict == Verdict::Pass && found.intolerable().next().is_some() {
                self.verdict = Verdict::Fail;
            }
        }
        self.baseline = Some(found);
    }

    /// 0 pass, 1 fail, 2 invalid.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Invalid => 2,
        }
    }

    /// The report in lines.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _infallible = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let measures = &self.measures;
        let [asked, joined, peak] = measures.viewers;
        let one = |value: Option<f64>| {
            value.map_or("-".to_owned(), |value| {
                format!("{value:.4}")
                    .trim_end_matches('0')
                    .trim_end_matches('.')
                    .to_owned()
            })
        };
        let all = |values: &[Option<f64>]| {
            values
                .iter()
                .map(|value| one(*value))
                .collect::<Vec<_>>()
                .join(" / ")
        };
        writeln!(out, "viewers          {joined} of {asked} joined, {peak} at once")?;
        writeln!(
            out,
            "start            {} ms p50 / p95, {} never started",
            all(&measures.start_ms),
            one(measures.unstarted)
        )?;
        writeln!(
            out,
            "rebuffer ratio   {}, {} stalls an hour",
            one(measures.rebuffer_ratio),
            one(measures.stalls_per_hour)
        )?;
        let basis = match self.circumstances.basis {
            Basis::Probed => format!(
                "offset {} us by {} probes",
                self.circumstances.offset_us, self.circumstances.probes
            ),
            Basis::SameMachine => "clock of the same machine".to_owned(),
            Basis::None => "no clock: name the origin".to_owned(),
        };
        writeln!(
            out,
            "part lateness    {} ms p50 / p95 / p99 of {} ({basis})",
            all(&measures.lateness_ms),
            self.tally.lateness.count()
        )?;
        writeln!(
            out,
            "live latency     {} ms p50 / p95 / p99",
            all(&measures.latency_ms)
        )?;
        writeln!(
            out,
            "delivered        {} kb/s, {} switches, {} skips",
            one(measures.kbps),
            self.tally.switches,
            self.tally.skips
        )?;
        writeln!(
            out,
            "errors           {} of {} requests {:?}",
            one(measures.errors),
            self.tally.requests,
            self.tally.errors
        )?;
        writeln!(
            out,
            "inspected        {} parts, broken {:?}; {} compared, {} differed",
            self.tally.inspected, self.tally.broken, self.tally.compared, self.tally.divergent
        )?;
        if let Some([objects, repeats]) = self.tally.origin {
            writeln!(out, "origin           {objects} objects, {repeats} repeats")?;
        }
        writeln!(out, "tool's own lag   {} ms p99", one(measures.lag_ms_p99))?;
        for judged in &self.slos {
            let word = if judged.held { "held" } else { "MISSED" };
            writeln!(
                out,
                "{word:8} {} {} (measured {})",
                judged.slo,
                judged.limit,
                one(judged.measured)
            )?;
        }
        for mark in self.timeline.iter().flat_map(|timeline| &timeline.marks) {
            let word = if mark.held() == Some(false) {
                "MISSED"
            } else {
                "held"
            };
            let (took, bound) = (one(mark.recovered_s), one(mark.bound_s));
            writeln!(
                out,
                "{word:8} {} {} at {} s: recovered in {took} s of {bound}",
                mark.kind, mark.node, mark.t
            )?;
        }
        if let Some(baseline) = &self.baseline {
            write!(out, "{}", baseline.text())?;
        }
        for why in &self.invalid_because {
            writeln!(out, "INVALID  {why}")?;
        }
        let partial = if self.partial {
            " (partial: stopped by hand)"
        } else {
            ""
        };
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Invalid => "INVALID",
        };
        writeln!(out, "{verdict}{partial}")
    }
}

/// Why figures cannot be believed.
fn invalid(
    scenario: &Scenario,
    tally: &Tally,
    circumstances: &Circumstances,
    measures: &Measures,
) -> Vec<String> {
    let mut why = tally.doubts.clone();
    if circumstances.partial {
        why.push("stopped by hand before its time".to_owned());
    }
    let asked = u64::from(scenario.viewers);
    if tally.joined < asked {
        why.push(format!("{} of {asked} viewers ran", tally.joined));
    }
    match measures.lag_ms_p99 {
        Some(lag) if lag <= scenario.lag_ms_max => {}
        lag => why.push(format!(
            "the tool itself was {} ms late at p99, of {} allowed",
            lag.unwrap_or(f64::NAN),
            scenario.lag_ms_max
        )),
    }
    let clocked = scenario
        .slo
        .lateness_ms_p50
        .or(scenario.slo.lateness_ms_p99)
        .or(scenario.slo.latency_ms_p95)
        .is_some();
    if clocked && circumstances.basis == Basis::None {
        why.push("lateness is an SLO, and the origin's clock is not known: name it with --origin".to_owned());
    }
    if tally.before_time * 100 > tally.lateness.count() {
        why.push(format!(
            "{} parts came before they were published: a clock is wrong",
            tally.before_time
        ));
    }
    why
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::timeline::Mark;

    fn run(set: impl FnOnce(&mut Scenario, &mut Tally, &mut Circumstances)) -> Report {
        let mut scenario = Scenario {
            viewers: 2,
            ..Scenario::default()
        };
        let mut tally = Tally {
            joined: 2,
            ..Tally::default()
        };
        tally.lag.record(Duration::from_millis(1));
        tally.part(Duration::from_millis(600), 100_000);
        let mut circumstances = Circumstances {
            partial: false,
            basis: Basis::SameMachine,
            offset_us: 0,
            probes: 0,
            ran_ms: 1,
        };
        set(&mut scenario, &mut tally, &mut circumstances);
        Report::of(scenario, tally, circumstances)
    }

    #[test]
    fn what_was_asked_for_decides() {
        assert_eq!(run(|_, _, _| {}).exit_code(), 0);
        assert_eq!(
            run(|scenario, _, _| scenario.slo.lateness_ms_p99 = Some(600.0)).exit_code(),
            0
        );
        assert_eq!(
            run(|scenario, _, _| scenario.slo.lateness_ms_p99 = Some(400.0)).exit_code(),
            1
        );
        assert_eq!(
            run(|scenario, _, _| scenario.slo.kbps_min = Some(1.0)).exit_code(),
            1,
            "not measured is not held"
        );
        assert_eq!(
            run(|scenario, _, _| scenario.slo.broken_max = Some(0.0)).exit_code(),
            1
        );
    }

    #[test]
    fn a_run_that_says_nothing_is_invalid() {
        let invalid = |set: fn(&mut Scenario, &mut Tally, &mut Circumstances)| {
            let report = run(set);
            (report.exit_code(), report.invalid_because.len()) == (2, 1)
        };
        assert!(invalid(|_, _, circumstances| circumstances.partial = true));
        assert!(invalid(|_, tally, _| tally.joined = 1));
        assert!(invalid(|_, tally, _| tally
            .doubts
            .push("worker 1 of 3 was lost".to_owned())));
        assert!(invalid(
            |_, tally, _| (0..200).for_each(|_| tally.lag.record(Duration::from_millis(90)))
        ));
        assert!(invalid(|_, tally, _| tally.lag = crate::hist::Hist::default()));
        assert!(invalid(|_, tally, _| tally.part(Duration::ZERO, 5)));
        assert!(invalid(|scenario, _, circumstances| {
            scenario.slo.lateness_ms_p99 = Some(1.0);
            circumstances.basis = Basis::None;
        }));
    }

    #[test]
    fn a_fault_that_was_not_recovered_from_in_time_decides() {
        let faulted = |recovered_s, bound_s| {
            run(|_, tally, _| {
                tally.marks.push(Mark {
                    t: 5.0,
                    until: Some(9.0),
                    kind: "kill".to_owned(),
                    node: "edge-1".to_owned(),
                    recovered_s,
                    bound_s,
                });
            })
        };
        assert_eq!(faulted(Some(3.0), Some(4.0)).exit_code(), 0);
        assert_eq!(faulted(None, None).exit_code(), 0);
        assert_eq!(faulted(Some(5.0), Some(4.0)).exit_code(), 1);
        let never = faulted(None, Some(4.0));
        assert_eq!(never.exit_code(), 1);
        assert!(
            never.text().contains("MISSED   kill edge-1 at 5 s"),
            "{}",
            never.text()
        );
    }

    #[test]
    fn tallies_add_up_after_the_wire() {
        let mut one = run(|_, _, _| {}).tally;
        crate::tally::count(&mut one.errors, "playlist 503");
        let text = serde_json::to_string(&one).unwrap();
        let other: Tally = serde_json::from_str(&text).unwrap();
        one.merge(&other);
        assert_eq!(
            (one.joined, one.lateness.count(), one.errors.get("playlist 503")),
            (4, 2, Some(&2))
        );
    }
}
