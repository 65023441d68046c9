//! The verdict as JUnit XML: a test case for each thing that was asked for, as build servers show it.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::baseline;
use crate::figure;
use crate::report::{Report, Verdict};

/// A test case.
struct Case {
    class: &'static str,
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Held,
    Failed(String),
    Broken(String),
    Skipped(&'static str),
}

/// The whole file.
pub fn text(report: &Report) -> io::Result<String> {
    let cases = cases(report);
    let count = |of: fn(&Outcome) -> bool| cases.iter().filter(|case| of(&case.outcome)).count().to_string();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let errors = count(|outcome| matches!(outcome, Outcome::Broken(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let time = format!("{:.3}", report.circumstances.ran_ms as f64 / 1_000.0);
    let tests = cases.len().to_string();
    let name = clean(&format!("drill of {}", report.scenario.stream));
    let began = report.machine.as_ref().map(|machine| clean(&machine.began));

    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut suite = xml.create_element("testsuite").with_attributes([
        ("name", name.as_str()),
        ("tests", tests.as_str()),
        ("failures", failures.as_str()),
        ("errors", errors.as_str()),
        ("skipped", skipped.as_str()),
        ("time", time.as_str()),
    ]);
    if let Some(began) = &began {
        suite = suite.with_attribute(("timestamp", began.as_str()));
    }
    suite.write_inner_content(|xml| cases.iter().try_for_each(|case| case.write(xml)))?;
    String::from_utf8(xml.into_inner()).map_err(io::Error::other)
}

impl Case {
    fn write(&self, xml: &mut Writer<Vec<u8>>) -> io::Result<()> {
        let name = clean(&self.name);
        let case = xml
            .create_element("testcase")
            .with_attributes([("classname", self.class), ("name", name.as_str())]);
        let (element, message) = match &self.outcome {
            Outcome::Held => return case.write_empty().map(|_| ()),
            Outcome::Failed(why) => ("failure", clean(why)),
            Outcome::Broken(why) => ("error", clean(why)),
            Outcome::Skipped(why) => ("skipped", (*why).to_owned()),
        };
        case.write_inner_content(|xml| {
            let said = xml
                .create_element(element)
                .with_attribute(("message", message.as_str()));
            said.write_text_content(BytesText::new(&message)).map(|_| ())
        })
        .map(|_| ())
    }
}

fn cases(report: &Report) -> Vec<Case> {
    let invalid = report.verdict == Verdict::Invalid;
    let validity = if invalid {
        Outcome::Broken(report.invalid_because.join("; "))
    } else {
        Outcome::Held
    };
    let mut cases = vec![Case {
        class: "drill",
        name: "the measurement can be believed".to_owned(),
        outcome: validity,
    }];
    let judged = |held: bool, why: String| match (invalid, held) {
        (true, _) => Outcome::Skipped("the run is INVALID"),
        (false, true) => Outcome::Held,
        (false, false) => Outcome::Failed(why),
    };
    for slo in &report.slos {
        let (name, unit) = figure::slo(&slo.slo);
        let measured = slo
            .measured
            .map_or_else(|| "not measured".to_owned(), |value| unit.say(value));
        let bound = if figure::is_floor(&slo.slo) {
            "at least"
        } else {
            "at most"
        };
        cases.push(Case {
            class: "drill.slo",
            name: format!("{}: {name}", slo.slo),
            outcome: judged(
                slo.held,
                format!("{measured}, {bound} {} was asked for", unit.say(slo.limit)),
            ),
        });
    }
    for mark in report.timeline.iter().flat_map(|timeline| &timeline.marks) {
        let (Some(held), Some(bound)) = (mark.held(), mark.bound_s) else {
            continue;
        };
        let took = mark.recovered_s.map_or_else(
            || "not recovered".to_owned(),
            |took| format!("recovered after {took} s"),
        );
        cases.push(Case {
            class: "drill.fault",
            name: format!("{} {} at {} s", mark.kind, mark.node, mark.t),
            outcome: judged(held, format!("{took}, {bound} s were allowed")),
        });
    }
    let judges = |comparison: &&baseline::Comparison| comparison.tolerance.is_some();
    for compared in report
        .baseline
        .iter()
        .filter(judges)
        .flat_map(|found| &found.figures)
    {
        let (name, unit) = baseline::words(&compared.figure);
        let say = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| unit.say(value));
        cases.push(Case {
            class: "drill.baseline",
            name: format!("{}: {name}", compared.figure),
            outcome: judged(
                !compared.intolerable,
                format!(
                    "was {}, is {}: worse than tolerated",
                    say(compared.old),
                    say(compared.new)
                ),
            ),
        });
    }
    cases
}

/// Characters that XML 1.0 has no way to write become U+FFFD.
fn clean(text: &str) -> String {
    let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars()
        .map(|c| {
            if allowed(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Scenario, Slo};
    use crate::tally::{Circumstances, Tally};
    use crate::timeline::{Mark, Timeline};

    fn sample(partial: bool) -> Report {
        let mut tally = Tally {
            joined: 100,
            requests: 10,
            ..Tally::default()
        };
        tally.lag.record(std::time::Duration::from_millis(1));
        crate::tally::count(&mut tally.errors, "playlist 503");
        let scenario = Scenario {
            stream: "a<b>&\"c\u{1}\u{ffff}".to_owned(),
            slo: Slo {
                errors_max: Some(0.01),
                unstarted_max: Some(0.5),
                ..Slo::default()
            },
            ..Scenario::default()
        };
        let circumstances = Circumstances {
            partial,
            basis: crate::clock::Basis::SameMachine,
            offset_us: 0,
            probes: 0,
            ran_ms: 1_500,
        };
        let mut report = Report::of(scenario, tally, circumstances);
        let mark = |recovered_s| Mark {
            kind: "kill <".to_owned(),
            bound_s: Some(5.0),
            recovered_s,
            ..Mark::default()
        };
        report.timeline = Some(Timeline {
            marks: vec![mark(None), mark(Some(2.0)), Mark::default()],
            ..Timeline::default()
        });
        report
    }

    fn outcomes(text: &str) -> Vec<String> {
        let file = roxmltree::Document::parse(text).unwrap();
        let suite = file.root_element();
        let cases: Vec<_> = suite
            .children()
            .filter(|node| node.has_tag_name("testcase"))
            .collect();
        assert_eq!(suite.attribute("tests"), Some(cases.len().to_string().as_str()));
        let outcome = |case: &roxmltree::Node<'_, '_>| {
            let said = case.children().find(roxmltree::Node::is_element);
            said.map_or("held", |said| said.tag_name().name()).to_owned()
        };
        cases.iter().map(outcome).collect()
    }

    #[test]
    fn each_thing_that_was_asked_for_is_a_case() {
        let file = text(&sample(false)).unwrap();
        assert_eq!(
            outcomes(&file),
            ["held", "held", "failure", "failure", "held"],
            "{file}"
        );
        assert!(file.contains("10 %, at most 1 % was asked for"), "{file}");
        let read = roxmltree::Document::parse(&file).unwrap();
        let suite = read.root_element();
        assert_eq!(suite.attribute("name"), Some("drill of a<b>&\"c\u{fffd}\u{fffd}"));
        assert_eq!(
            (suite.attribute("failures"), suite.attribute("time")),
            (Some("2"), Some("1.500"))
        );
    }

    #[test]
    fn nothing_is_judged_of_a_run_that_says_nothing() {
        let file = text(&sample(true)).unwrap();
        assert_eq!(
            outcomes(&file),
            ["error", "skipped", "skipped", "skipped", "skipped"],
            "{file}"
        );
    }
}
