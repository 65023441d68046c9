use std::time::Duration;

use super::*;
use crate::clock::Basis;
use crate::machine::Machine;
use crate::scenario::{Scenario, Slo};
use crate::tally::{Circumstances, Tally, count};
use crate::timeline::{Edge, Timeline};

const EVIL: &str = "</script></style><img src=x onerror=alert(1)>\"'&\u{202e}";

fn sample(stream: &str) -> Report {
    let mut tally = Tally {
        joined: 1_000,
        peak: 998,
        requests: 123_456,
        stalls: 17,
        stalled_s: 12.5,
        played_s: 1_234.5,
        ..Tally::default()
    };
    tally.lag.record(Duration::from_micros(1_230));
    tally.start.record(Duration::from_millis(640));
    tally.part(Duration::from_millis(912), 100_000);
    count(&mut tally.errors, stream);
    count(&mut tally.ends, stream);
    tally.rungs_s.insert(3_000, 100.0);
    let scenario = Scenario {
        viewers: 1_000,
        stream: stream.to_owned(),
        slo: Slo {
            lateness_ms_p99: Some(500.5),
            rebuffer_ratio_max: Some(0.02),
            ..Slo::default()
        },
        ..Scenario::default()
    };
    let circumstances = Circumstances {
        partial: false,
        basis: Basis::Probed,
        offset_us: -1_234,
        probes: 9,
        ran_ms: 60_000,
    };
    let mut report = Report::of(scenario, tally, circumstances);
    report.machine = Some(Machine {
        processor: stream.to_owned(),
        targets: vec![stream.to_owned()],
        ..Machine::here(&[], None)
    });
    report.edges.push(Edge {
        target: stream.to_owned(),
        requests: 100,
        errors: 3,
        ..Edge::default()
    });
    report.timeline = Some(Timeline {
        seconds: vec![Second::default(); 300],
        marks: vec![Mark {
            t: 5.0,
            until: Some(9.0),
            kind: stream.to_owned(),
            node: stream.to_owned(),
            recovered_s: None,
            bound_s: Some(10.0),
        }],
    });
    report
}

#[test]
fn what_comes_from_outside_is_text_everywhere() {
    let mut report = sample(EVIL);
    report.invalid_because.push(EVIL.to_owned());
    report.against(&sample("other"));
    let page = text(&report);
    let (well, evil) = (text(&sample("main")), |part: &str| page.matches(part).count());
    assert_eq!(evil("<img"), 0);
    assert_eq!(
        evil("onerror=alert(1)&gt;"),
        evil("&lt;img"),
        "all of it is escaped"
    );
    assert!(evil("&lt;img src=x") >= 9, "it is shown: {}", evil("&lt;img"));
    for ends in ["</script>", "</style>", "<script"] {
        assert_eq!(evil(ends), well.matches(ends).count(), "{ends}");
    }
    assert!(
        !page.contains('\u{202e}') || page.contains("\\u003cimg"),
        "turned text is only data"
    );
}

#[test]
fn the_page_is_made_from_the_file_alone_and_its_figures_are_the_file_s() {
    let report = sample("main");
    let file = serde_json::to_string(&report).unwrap();
    let page = text(&serde_json::from_str(&file).unwrap());
    assert_eq!(page, text(&report));
    let file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let mut shown = 0;
    for (slo, judged) in report.slos.iter().zip(file["slos"].as_array().unwrap()) {
        let (name, unit) = figure::slo(&slo.slo);
        let exact = judged["measured"].as_f64().unwrap();
        let row = page
            .split("<tr>")
            .find(|row| row.starts_with(&format!("<th scope=\"row\">{name}")));
        let figure = format!("<data value=\"{exact}\">{}</data>", unit.say(exact));
        assert!(row.unwrap().contains(&figure), "{figure} is not in {row:?}");
        shown += 1;
    }
    assert_eq!(shown, 2);
    for key in ["joined", "requests", "stalls"] {
        let exact = file["tally"][key].as_u64().unwrap();
        let figure = format!("<data value=\"{exact}\">{}</data>", figure::count(exact));
        assert!(page.contains(&figure), "{key}");
    }
    assert!(
        page.contains("<data value=\"-1.234\">-1.23 ms</data>"),
        "the offset"
    );
}

#[test]
fn a_verdict_says_why() {
    let page = text(&sample("main"));
    for said in [
        "✗ FAIL",
        "Held 1 of 2 limits. 1,000 viewers, 60 s.",
        "Part lateness, p99: 812",
        "at most 500.5 ms was asked for.",
        "Fault main of main: viewers were not well again by the end, 10 s were allowed.",
        "-311", // the margin
    ] {
        assert!(page.contains(said), "{said}");
    }
    let mut partial = sample("main");
    (partial.verdict, partial.invalid_because) = (Verdict::Invalid, vec!["stopped by hand".to_owned()]);
    assert!(text(&partial).contains("<li>stopped by hand</li>"));
}

#[test]
fn an_old_run_without_seconds_edges_and_machine_has_a_page() {
    let mut report = sample("main");
    (report.timeline, report.machine, report.edges) = (None, None, Vec::new());
    let mut file = serde_json::to_value(&report).unwrap();
    file.as_object_mut().unwrap().remove("edges");
    let page = text(&serde_json::from_value(file).unwrap());
    for said in [
        "kept no series of its seconds",
        "did not count its edges apart",
        "does not say when and where",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("<script"));
}

#[test]
fn the_policy_lets_nothing_but_the_page_s_own_parts_run() {
    let page = text(&sample("main"));
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap();
    let policy = policy.split('"').next().unwrap();
    assert!(
        policy.starts_with("default-src &#39;none&#39;; script-src &#39;sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
}
