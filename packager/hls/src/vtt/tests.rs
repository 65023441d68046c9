use super::*;
use proptest::prelude::*;

const HOUR: u64 = 3_600;

fn cue(start_ms: u64, end_ms: u64, text: &str) -> Cue {
    let [start, end] = [start_ms, end_ms].map(Duration::from_millis);
    Cue::new((start, end), text, "")
}

#[test]
fn a_segment_in_its_own_words() {
    let start = Duration::from_secs(25_000 * HOUR + 1_200);
    let at = |ms: u64| u64::try_from(start.as_millis()).unwrap() + ms;
    let mut cues = [
        cue(at(0) - 500, at(1_500), "one\ntwo"),
        cue(at(250), at(9_000), "<i>three</i>"),
    ];
    cues[1].settings = "line:80% align:start".to_owned();
    let expected = "WEBVTT
X-TIMESTAMP-MAP=MPEGTS:8281614336,LOCAL:00:00:00.000

00:19:59.500 --> 00:20:01.500
one
two

00:20:00.250 --> 00:20:09.000 line:80% align:start
<i>three</i>
";
    assert_eq!(segment(start, cues.iter()), expected);
    assert_eq!(u128::from(25_000 * HOUR) * 90_000 % (1 << 33), 8_281_614_336);
    let empty = segment(start, [].iter());
    assert_eq!(
        empty,
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:8281614336,LOCAL:00:00:00.000\n"
    );
}

#[test]
fn what_would_break_a_file_is_a_mistake() {
    let of = |text: &str| cue(1_000, 2_000, text).mistakes().len();
    for good in ["a", "a --&gt; b", "a\nb", "\u{e9}\n", &"a".repeat(TEXT_BYTES_MAX)] {
        assert_eq!(of(good), 0, "{good}");
    }
    for bad in [
        "",
        "\n",
        "a --> b",
        "a\n\nb",
        "a\n \nb",
        "a\r\n\r\nb",
        "a\0",
        &"a".repeat(TEXT_BYTES_MAX + 1),
    ] {
        assert_eq!(of(bad), 1, "{bad:?}");
    }
    for (start, end, count) in [(1, 1, 1), (2, 1, 1), (0, 600_000, 0), (0, 600_001, 1)] {
        assert_eq!(cue(start, end, "a").mistakes().len(), count);
    }
    let set = |settings: &str| {
        Cue::new((Duration::ZERO, Duration::from_secs(1)), "a", settings)
            .mistakes()
            .len()
    };
    for good in [
        "",
        "line:0",
        "line:-1 position:50%,line-left size:33.3%",
        "vertical:rl align:center",
    ] {
        assert_eq!(set(good), 0, "{good}");
    }
    for bad in [
        "line",
        "line:",
        "region:a",
        "line:1\nalign:end",
        "line:1 -->",
        "line:<b>",
        &"size:1% ".repeat(40),
    ] {
        assert_eq!(set(bad), 1, "{bad}");
    }
}

#[test]
fn a_file_is_read() {
    let offset = Duration::from_secs(10);
    let file = "\u{feff}WEBVTT - live\r\nKind: captions\r\n\r\nNOTE nothing\r\n\r\nSTYLE\r\n::cue { }\r\n\r\n1\r\n\
        00:01.000 --> 00:02.500 line:0\r\none\r\ntwo\r\n\r\n01:00:00.000 --> 01:00:00.100\r\nthree";
    let cues = parse(file, offset).unwrap();
    let mut first = cue(11_000, 12_500, "one\ntwo");
    first.settings = "line:0".to_owned();
    assert_eq!(cues, [first, cue(3_610_000, 3_610_100, "three")]);
    assert_eq!(parse("", offset).unwrap_err().len(), 1);
    assert_eq!(parse("WEBVTTX\n", offset).unwrap_err().len(), 1);
    let bad = "WEBVTT\n\n00:01 --> 00:02.000\na\n\n00:60.000 --> 00:61.000\nb\n\nx --> y\nc\n\n00:01.000 --> 00:02.000\nd\n";
    let wrong = parse(bad, offset).unwrap_err();
    let lines: Vec<_> = wrong.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(lines, ["line 3", "line 6", "line 9"]);
}

proptest! {
    /// Whatever is without mistakes comes back as it was: no text can end its cue or begin another one.
    #[test]
    fn what_is_written_is_read_back(
        start in 0_u64..200_000 * HOUR * 1_000,
        cues in prop::collection::vec((0_u64..700_000, 1_u64..600_000, "[a-z<>&\\-\n\r\t ]{0,12}", "(line:[0-9]%)?"), 0..6),
    ) {
        let start = Duration::from_millis(start);
        let mut cues: Vec<Cue> = cues
            .into_iter()
            .map(|(before, length, text, settings)| {
                let from = (start + Duration::from_secs(2)).saturating_sub(Duration::from_millis(before));
                Cue::new((from, from + Duration::from_millis(length)), &text, &settings)
            })
            .filter(|cue| cue.mistakes().is_empty() && cue.is_within(start, start + Duration::from_secs(2)))
            .collect();
        cues.sort();
        let text = segment(start, cues.iter());
        let base = start.saturating_sub(LENGTH_MAX).as_secs() / BASE * BASE;
        let mpegts = u128::from(base) * 90_000 % (1 << 33);
        prop_assert!(text.contains(&format!("MPEGTS:{mpegts},LOCAL:00:00:00.000\n")), "{}", text);
        prop_assert_eq!(parse(&text, Duration::from_secs(base)).unwrap(), cues);
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in "(WEBVTT\n\n)?[0-9:.> \n-]{0,60}\\PC{0,20}") {
        let _either = parse(&text, Duration::ZERO);
    }
}
