//! What stands below the verdict.

use std::collections::BTreeMap;

use super::html::{Cell, Html, Tone};
use crate::baseline::{self, Comparison, Finding};
use crate::clock::Basis;
use crate::figure::{self, Unit};
use crate::hist::Hist;
use crate::report::{Judged, Report};
use crate::timeline::{Mark, Timeline};

/// Rows of the seconds in figures; more seconds are told by every so many.
const ROWS_MAX: usize = 120;
/// Letters that name faults in the plots.
const LETTERS: u8 = 26;

pub(super) fn all(html: &mut Html, report: &Report) {
    tiles(html, report);
    slos(html, report);
    if let Some(baseline) = &report.baseline {
        against(html, baseline);
    }
    timeline(html, report);
    percentiles(html, report);
    edges(html, report);
    html.raw("<div class=\"two\">\n");
    classes(
        html,
        "Errors by class",
        "No request failed.",
        &report.tally.errors,
        report.tally.requests,
    );
    classes(
        html,
        "How sessions ended",
        "No session ended.",
        &report.tally.ends,
        report.tally.joined,
    );
    rungs(html, report);
    html.raw("</div>\n");
    circumstances(html, report);
    scenario(html, report);
}

fn tiles(html: &mut Html, report: &Report) {
    let measures = &report.measures;
    let ([asked, joined, peak], [_, start]) = (measures.viewers, measures.start_ms);
    let ([_, _, lateness], [_, latency, _]) = (measures.lateness_ms, measures.latency_ms);
    html.raw("<dl class=\"tiles\"><div><dt>Viewers</dt><dd>")
        .count(joined)
        .raw("<small>of ")
        .count(asked)
        .raw(", ")
        .count(peak)
        .raw(" at once</small></dd></div>");
    let mut tile = |name: &'static str, value, unit, note: &'static str| {
        html.raw("<div><dt>")
            .raw(name)
            .raw("</dt><dd>")
            .figure(value, unit)
            .raw("<small>")
            .raw(note)
            .raw("</small></dd></div>");
    };
    tile("Start", start, Unit::Ms, "to the picture, p95");
    tile(
        "Frozen",
        measures.rebuffer_ratio,
        Unit::Share,
        "of the time watched",
    );
    tile("Lateness", lateness, Unit::Ms, "of parts, p99");
    tile("Behind live", latency, Unit::Ms, "p95");
    tile("Errors", measures.errors, Unit::Share, "of all requests");
    tile("Delivered", measures.kbps, Unit::Kbps, "mean of rungs played");
    html.raw("</dl>\n");
}

fn slos(html: &mut Html, report: &Report) {
    html.raw("<section><h2>What was asked for</h2>");
    if report.slos.is_empty() {
        html.raw("<p>The scenario sets no limit, so nothing was judged.</p></section>\n");
        return;
    }
    let rows: Vec<_> = report.slos.iter().map(slo).collect();
    let heads = ["Limit", "Asked", "Measured", "Margin", "Verdict"];
    html.table(
        "Each limit of the scenario. The margin is what was left of it.",
        &heads,
        &rows,
    );
    html.raw("</section>\n");
}

fn slo(judged: &Judged) -> Vec<Cell> {
    let (name, unit) = figure::slo(&judged.slo);
    let floor = figure::is_floor(&judged.slo);
    let sign = if floor { "≥" } else { "≤" };
    let margin = judged.measured.map(|measured| {
        let left = if floor {
            measured - judged.limit
        } else {
            judged.limit - measured
        };
        if judged.limit == 0.0 {
            return unit.say(left);
        }
        format!("{} ({})", unit.say(left), percent(left / judged.limit))
    });
    vec![
        Cell::Text(name.to_owned()),
        Cell::Text(format!("{sign} {}", unit.say(judged.limit))),
        Cell::Figure(judged.measured, unit),
        Cell::Text(margin.unwrap_or_else(|| "none".to_owned())),
        if judged.held {
            Cell::Mark(Tone::Good, "✓ held")
        } else {
            Cell::Mark(Tone::Bad, "✗ missed")
        },
    ]
}

fn percent(share: f64) -> String {
    format!("{:+.0} %", share * 100.0)
}

fn against(html: &mut Html, found: &Comparison) {
    html.raw("<section><h2>Against an older run</h2><p class=\"soft small\">");
    match &found.began {
        Some(began) => html.raw("The run of ").text(&began.replace('T', " ")).raw(". "),
        None => html.raw("A run that does not say when it was. "),
    };
    match found.tolerance {
        Some(share) => html
            .raw("Surely worse by more than ")
            .figure(Some(share), Unit::Share)
            .raw(" fails."),
        None => html.raw("Nothing of this is judged: the scenario sets no baseline_tolerance."),
    };
    html.raw("</p>");
    for why in &found.incomparable {
        html.raw("<p><strong>Not compared:</strong> ")
            .text(why)
            .raw("</p>");
    }
    for note in &found.notes {
        html.raw("<p class=\"soft\">Note: ").text(note).raw("</p>");
    }
    if !found.figures.is_empty() {
        let rows: Vec<_> = found.figures.iter().map(compared).collect();
        let heads = ["Figure", "Older", "This run", "Difference, band", "Finding"];
        html.table("Differences that chance does not explain.", &heads, &rows);
    }
    html.raw("<p class=\"soft small\">")
        .raw(Comparison::METHOD)
        .raw("</p></section>\n");
}

fn compared(found: &baseline::Compared) -> Vec<Cell> {
    let (name, unit) = baseline::words(&found.figure);
    let band = found.band.map_or_else(
        || "too short a run".to_owned(),
        |[low, high]| format!("{} to {}", unit.say(low), unit.say(high)),
    );
    let finding = match (found.finding, found.intolerable) {
        (_, true) => Cell::Mark(Tone::Bad, "✗ worse than tolerated"),
        (Finding::Worse, false) => Cell::Mark(Tone::Bad, "▼ worse"),
        (Finding::Better, false) => Cell::Mark(Tone::Good, "▲ better"),
        (Finding::Same, false) => Cell::Mark(Tone::Even, "= no difference to be told"),
        (Finding::Unknown, false) => Cell::Mark(Tone::Even, "cannot be told"),
    };
    vec![
        Cell::Text(name.to_owned()),
        Cell::Figure(found.old, unit),
        Cell::Figure(found.new, unit),
        Cell::Text(band),
        finding,
    ]
}

fn timeline(html: &mut Html, report: &Report) {
    html.raw("<section class=\"long\"><h2>Timeline</h2>");
    let Some(timeline) = report
        .timeline
        .as_ref()
        .filter(|timeline| !timeline.seconds.is_empty())
    else {
        html.raw("<p>This run kept no series of its seconds.</p></section>\n");
        return;
    };
    html.raw("<p class=\"soft small hint\">Arrow keys walk through the seconds of a plot, dragging enlarges a part, Escape shows all of it again.");
    if !timeline.marks.is_empty() {
        html.raw(" Shaded: faults, by the letters of the table below.");
    }
    html.raw("</p><p id=\"unplotted\">The plots need scripts; the seconds stand in figures below.</p>");
    for (id, title) in [
        ("viewers", "Viewers"),
        ("lateness", "Lateness of parts, milliseconds"),
        ("latency", "Behind live, milliseconds"),
        ("trouble", "Errors and freezes in each second"),
        ("traffic", "Requests a second, and Mbit/s on the right"),
    ] {
        html.raw("<div class=\"plot\"><h3>")
            .raw(title)
            .raw("</h3><div tabindex=\"0\" role=\"img\" aria-label=\"")
            .raw(title)
            .raw("\" data-plot=\"")
            .raw(id)
            .raw("\"></div><output></output></div>");
    }
    if !timeline.marks.is_empty() {
        let rows: Vec<_> = timeline.marks.iter().enumerate().map(fault).collect();
        let heads = [
            "Fault",
            "Node",
            "From",
            "Until",
            "Well again after",
            "Allowed",
            "Verdict",
        ];
        html.raw("<h3>Faults</h3>");
        html.table(
            "What was done to the fleet, seconds since the beginning.",
            &heads,
            &rows,
        );
    }
    seconds(html, timeline);
    html.raw("</section>\n");
}

fn fault((index, mark): (usize, &Mark)) -> Vec<Cell> {
    let letter = u8::try_from(index)
        .ok()
        .filter(|index| *index < LETTERS)
        .map_or_else(
            || (index + 1).to_string(),
            |index| char::from(b'A' + index).to_string(),
        );
    let verdict = match mark.held() {
        Some(true) => Cell::Mark(Tone::Good, "✓ held"),
        Some(false) => Cell::Mark(Tone::Bad, "✗ missed"),
        None => Cell::Mark(Tone::Even, "not judged"),
    };
    vec![
        Cell::Text(format!("{letter}: {}", mark.kind)),
        Cell::Text(mark.node.clone()),
        Cell::Figure(Some(mark.t), Unit::Seconds),
        match mark.until {
            Some(until) => Cell::Figure(Some(until), Unit::Seconds),
            None => Cell::Text("for good".to_owned()),
        },
        match mark.recovered_s {
            Some(took) => Cell::Figure(Some(took), Unit::Seconds),
            None => Cell::Text("never".to_owned()),
        },
        match mark.bound_s {
            Some(bound) => Cell::Figure(Some(bound), Unit::Seconds),
            None => Cell::Text("no limit".to_owned()),
        },
        verdict,
    ]
}

fn seconds(html: &mut Html, timeline: &Timeline) {
    let every = timeline.seconds.len().div_ceil(ROWS_MAX).max(1);
    html.raw("<details><summary>The seconds in figures");
    if every > 1 {
        html.raw(" (one in ")
            .count(u64::try_from(every).unwrap_or(0))
            .raw(")");
    }
    html.raw("</summary>");
    let rows: Vec<_> = timeline
        .seconds
        .iter()
        .step_by(every)
        .map(|second| {
            vec![
                Cell::Text(format!("{} s", second.t)),
                Cell::Count(second.playing.into()),
                Cell::Count(second.joining.into()),
                Cell::Count(second.stalled.into()),
                Cell::Count(second.stalls.into()),
                Cell::Count(second.errors.into()),
                Cell::Figure(second.lateness_ms_p99, Unit::Ms),
                Cell::Figure(second.latency_ms_p50, Unit::Ms),
                Cell::Count(second.requests.into()),
                Cell::Figure(Some(second.bytes as f64 * 8.0 / 1_000.0), Unit::Kbps),
            ]
        })
        .collect();
    let heads = [
        "Second",
        "Playing",
        "Joining",
        "Stalled",
        "Freezes",
        "Errors",
        "Lateness p99",
        "Behind live p50",
        "Requests",
        "Rate",
    ];
    html.table("What the plots draw.", &heads, &rows);
    html.raw("</details>");
}

fn percentiles(html: &mut Html, report: &Report) {
    let tally = &report.tally;
    let clocked = |hist| (report.circumstances.basis != Basis::None).then_some(hist);
    let row = |name: &str, hist: Option<&Hist>| {
        let mut row = vec![Cell::Text(name.to_owned())];
        row.extend(
            [0.5, 0.9, 0.95, 0.99, 1.0].map(|q| Cell::Figure(hist.and_then(|hist| hist.ms(q)), Unit::Ms)),
        );
        row.push(Cell::Count(hist.map_or(0, Hist::count)));
        row
    };
    let rows = [
        row("Time to the picture", Some(&tally.start)),
        row("Part lateness", clocked(&tally.lateness)),
        row("Behind live", clocked(&tally.latency)),
        row("The tool's own lag", Some(&tally.lag)),
    ];
    html.raw("<section><h2>Percentiles</h2>");
    let heads = ["Time", "p50", "p90", "p95", "p99", "Longest", "Of"];
    html.table(
        "Lateness is from publication to the last byte, by the origin's clock; parts that never came count.",
        &heads,
        &rows,
    );
    html.raw("<p><strong>Freezes:</strong> ")
        .count(tally.stalls)
        .raw(", ")
        .figure(report.measures.stalls_per_hour, Unit::PerHour)
        .raw(" of playing; ")
        .figure(Some(tally.stalled_s), Unit::Seconds)
        .raw(" frozen and ")
        .figure(Some(tally.played_s), Unit::Seconds)
        .raw(" played by all viewers. <strong>Inspected:</strong> ")
        .count(tally.inspected)
        .raw(" parts, ")
        .count(tally.broken.values().sum())
        .raw(" faults in them; ")
        .count(tally.compared)
        .raw(" playlists and parts compared, ")
        .count(tally.divergent)
        .raw(" not the same for everybody.</p></section>\n");
}

fn edges(html: &mut Html, report: &Report) {
    html.raw("<section><h2>Edges</h2>");
    if report.edges.is_empty() {
        html.raw("<p>This run did not count its edges apart.</p></section>\n");
        return;
    }
    let rows: Vec<_> = report
        .edges
        .iter()
        .map(|edge| {
            let failed = (edge.requests > 0).then(|| edge.errors as f64 / edge.requests as f64);
            vec![
                Cell::Text(edge.target.clone()),
                Cell::Count(edge.requests),
                Cell::Count(edge.errors),
                Cell::Figure(failed, Unit::Share),
                Cell::Text(bytes(edge.bytes)),
                Cell::Figure(edge.lateness_ms_p50, Unit::Ms),
                Cell::Figure(edge.lateness_ms_p99, Unit::Ms),
            ]
        })
        .collect();
    let heads = [
        "Edge",
        "Requests",
        "Failed",
        "Share",
        "Sent",
        "Lateness p50",
        "p99",
    ];
    html.table("What viewers had of each edge.", &heads, &rows);
    html.raw("</section>\n");
}

fn bytes(n: u64) -> String {
    match n as f64 {
        b if b >= 1e9 => format!("{:.2} GB", b / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} kB", b / 1e3),
    }
}

fn classes(
    html: &mut Html,
    title: &'static str,
    none: &'static str,
    map: &BTreeMap<String, u64>,
    whole: u64,
) {
    html.raw("<section><h2>").raw(title).raw("</h2>");
    if map.is_empty() {
        html.raw("<p>").raw(none).raw("</p></section>\n");
        return;
    }
    let mut classes: Vec<_> = map.iter().collect();
    classes.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let rows: Vec<_> = classes
        .into_iter()
        .map(|(class, n)| {
            let share = (whole > 0).then(|| *n as f64 / whole as f64);
            vec![
                Cell::Text(class.clone()),
                Cell::Count(*n),
                Cell::Figure(share, Unit::Share),
            ]
        })
        .collect();
    html.table("", &["Class", "Times", "Share"], &rows);
    html.raw("</section>\n");
}

fn rungs(html: &mut Html, report: &Report) {
    let rungs = &report.tally.rungs_s;
    let whole: f64 = rungs.values().sum();
    html.raw("<section><h2>Rungs delivered</h2>");
    if whole <= 0.0 {
        html.raw("<p>No video was loaded.</p></section>\n");
        return;
    }
    let rows: Vec<_> = rungs
        .iter()
        .rev()
        .map(|(kbps, seconds)| {
            vec![
                Cell::Text(Unit::Kbps.say(*kbps as f64)),
                Cell::Figure(Some(*seconds), Unit::Seconds),
                Cell::Figure(Some(seconds / whole), Unit::Share),
            ]
        })
        .collect();
    html.table(
        "Video loaded by all viewers.",
        &["Rung", "Loaded", "Share"],
        &rows,
    );
    html.raw("<p class=\"soft small\">")
        .count(report.tally.switches)
        .raw(" changes of rung, ")
        .count(report.tally.skips)
        .raw(" jumps, ")
        .count(report.tally.gaps)
        .raw(" gaps.</p></section>\n");
}

fn circumstances(html: &mut Html, report: &Report) {
    let (measures, own) = (&report.measures, &report.circumstances);
    html.raw("<section><h2>Circumstances</h2><dl class=\"facts\"><dt>Tool's own lag</dt><dd>")
        .figure(measures.lag_ms_p99, Unit::Ms)
        .raw(" p99, of ")
        .figure(Some(report.scenario.lag_ms_max), Unit::Ms)
        .raw(" allowed</dd><dt>Lateness counted by</dt><dd>");
    match own.basis {
        Basis::Probed => html
            .raw("the origin's clock: offset ")
            .figure(Some(own.offset_us as f64 / 1_000.0), Unit::Ms)
            .raw(" by ")
            .count(own.probes)
            .raw(" probes"),
        Basis::SameMachine => html.raw("the clock of this machine, which is the origin's too"),
        Basis::None => html.raw("nothing: no lateness is claimed"),
    };
    html.raw("</dd><dt>Ran</dt><dd>")
        .figure(Some(own.ran_ms as f64 / 1_000.0), Unit::Seconds)
        .raw(if own.partial { ", stopped by hand" } else { "" })
        .raw("</dd><dt>Carried</dt><dd>")
        .count(report.tally.requests)
        .raw(" requests, ")
        .text(&bytes(report.tally.bytes))
        .raw("</dd>");
    if let Some(machine) = &report.machine {
        html.raw("<dt>System</dt><dd>")
            .text(&machine.system)
            .raw("</dd><dt>Edges asked</dt><dd>");
        html.text(&machine.targets.join(", ")).raw("</dd>");
        if let Some(origin) = &machine.origin {
            html.raw("<dt>Origin</dt><dd>").text(origin).raw("</dd>");
        }
    }
    html.raw("</dl></section>\n");
}

fn scenario(html: &mut Html, report: &Report) {
    let text = toml::to_string_pretty(&report.scenario)
        .unwrap_or_else(|error| format!("the scenario cannot be written as TOML: {error}"));
    html.raw("<section class=\"long\"><h2>Scenario</h2><details><summary>What was asked for, every key</summary><pre>")
        .text(&text)
        .raw("</pre></details></section>\n");
}
