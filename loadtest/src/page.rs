//! The report as one HTML file for who was not there. It needs nothing but itself, and is made from the result file alone.

mod html;
mod sections;

use rust_embed::RustEmbed;
use serde::Serialize;

use crate::baseline;
use crate::figure::{self, Unit};
use crate::report::{Report, Verdict};
use crate::timeline::{Mark, Second};
use html::Html;

#[derive(RustEmbed)]
#[folder = "page/dist"]
struct Built;

/// What the plots draw.
#[derive(Serialize)]
struct Drawn<'a> {
    seconds: &'a [Second],
    marks: &'a [Mark],
    limits: &'a crate::scenario::Slo,
}

/// The page.
pub fn text(report: &Report) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"")
        .text(&built("csp.txt"))
        .raw("\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
        .text(word(report.verdict))
        .raw(": drill of ")
        .text(&report.scenario.stream)
        .raw("</title>\n<style>")
        .built(&built("report.css"))
        .raw("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the verdict</a>\n");
    header(&mut html, report);
    html.raw("<main id=\"main\">\n");
    verdict(&mut html, report);
    sections::all(&mut html, report);
    html.raw("</main>\n");
    footer(&mut html, report);
    if let Some(timeline) = &report.timeline {
        let drawn = Drawn {
            seconds: &timeline.seconds,
            marks: &timeline.marks,
            limits: &report.scenario.slo,
        };
        html.raw("<script type=\"application/json\" id=\"series\">")
            .json(&drawn)
            .raw("</script>\n<script>")
            .built(&built("plots.js"))
            .raw("</script>\n");
    }
    html.raw("</body>\n</html>\n");
    html.into_text()
}

/// The verdict's name.
pub(crate) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Invalid => "INVALID",
    }
}

fn built(name: &str) -> String {
    let file = Built::get(name).expect("the build of the page makes it");
    String::from_utf8_lossy(&file.data).into_owned()
}

fn header(html: &mut Html, report: &Report) {
    html.raw("<header><h1>Load drill of <em>")
        .text(&report.scenario.stream)
        .raw("</em></h1><p class=\"soft small\">");
    match &report.machine {
        Some(machine) => html
            .raw("Began ")
            .text(&machine.began.replace('T', " "))
            .raw(" on ")
            .text(&machine.processor)
            .raw(", ")
            .count(machine.cores)
            .raw(" cores, ")
            .text(&machine.memory_gb.to_string())
            .raw(" GB."),
        None => html.raw("The run does not say when and where it was."),
    };
    html.raw("</p></header>\n");
}

fn verdict(html: &mut Html, report: &Report) {
    html.raw("<section class=\"verdict ")
        .raw(match report.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Invalid => "invalid",
        })
        .raw("\" aria-label=\"Verdict\"><strong>")
        .raw(match report.verdict {
            Verdict::Pass => "✓ PASS",
            Verdict::Fail => "✗ FAIL",
            Verdict::Invalid => "? INVALID",
        })
        .raw("</strong><p class=\"said\">")
        .text(&sentence(report))
        .raw("</p>");
    let why = why(report);
    if !why.is_empty() {
        html.raw("<ul>");
        for reason in why {
            html.raw("<li>").text(&reason).raw("</li>");
        }
        html.raw("</ul>");
    }
    html.raw("</section>\n");
}

/// The verdict in a sentence.
fn sentence(report: &Report) -> String {
    let [_, joined, _] = report.measures.viewers;
    let asked = report.slos.len();
    let held = report.slos.iter().filter(|judged| judged.held).count();
    let ran = Unit::Seconds.say((report.circumstances.ran_ms as f64 / 1_000.0).round());
    let crowd = format!("{} viewers, {ran}.", figure::count(joined));
    match report.verdict {
        Verdict::Invalid => "The measurement cannot be believed, whatever its figures.".to_owned(),
        Verdict::Fail => format!("Held {held} of {asked} limits. {crowd}"),
        Verdict::Pass => match asked {
            0 => format!("Nothing was asked for: the scenario sets no limit. {crowd}"),
            1 => format!("The one limit held. {crowd}"),
            _ => format!("All {asked} limits held. {crowd}"),
        },
    }
}

/// What was missed, or why nothing can be said.
fn why(report: &Report) -> Vec<String> {
    let mut why = report.invalid_because.clone();
    for judged in report.slos.iter().filter(|judged| !judged.held) {
        let (name, unit) = figure::slo(&judged.slo);
        let bound = if figure::is_floor(&judged.slo) {
            "at least"
        } else {
            "at most"
        };
        let measured = judged
            .measured
            .map_or_else(|| "not measured".to_owned(), |value| unit.say(value));
        why.push(format!(
            "{name}: {measured}, {bound} {} was asked for.",
            unit.say(judged.limit)
        ));
    }
    for mark in report.timeline.iter().flat_map(|timeline| &timeline.marks) {
        if mark.held() == Some(false) {
            let took = mark.recovered_s.map_or_else(
                || "viewers were not well again by the end".to_owned(),
                |took| format!("viewers were well again after {}", Unit::Seconds.say(took)),
            );
            let bound = mark
                .bound_s
                .map(|bound| Unit::Seconds.say(bound))
                .unwrap_or_default();
            why.push(format!(
                "Fault {} of {}: {took}, {bound} were allowed.",
                mark.kind, mark.node
            ));
        }
    }
    for worse in report.baseline.iter().flat_map(|found| found.intolerable()) {
        let (name, _) = baseline::words(&worse.figure);
        why.push(format!(
            "{name}: surely worse than in the older run, by more than is tolerated."
        ));
    }
    why
}

fn footer(html: &mut Html, report: &Report) {
    html.raw("<footer><p>Made by ringside");
    if let Some(machine) = &report.machine {
        html.raw(" ").text(&machine.version);
    }
    html.raw(" from the result file of the drill. Every figure carries its exact value. The page asks nothing of any network.</p>")
        .raw("<details><summary>Software within this page</summary><pre>")
        .text(&built("THIRD-PARTY.txt"))
        .raw("</pre></details></footer>\n");
}

#[cfg(test)]
mod tests;
