//! What players report of themselves: CMCD (CTA-5004, version 1, and 5004-B, version 2), as far as it is counted here.
//!
//! The text is a structured-fields dictionary, more or less: players differ, and a report must never fail a request. So what cannot be read
//! is passed over, and the length, the number of pairs and the number of records are bounded.

/// Longest report that is looked at, bytes; of a longer one the beginning.
pub const REPORT_BYTES_MAX: usize = 4_096;
/// Pairs of one report that are looked at.
const PAIRS_MAX: usize = 64;
/// Records of one POST that are looked at.
pub const RECORDS_MAX: usize = 32;
/// Longest session id that is one; the standard's limit is 64.
const SESSION_MAX: usize = 64;

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// `bl`: what the player has in hand, milliseconds.
    pub buffer_ms: Option<u64>,
    /// `mtp`: throughput it has measured, kilobits a second.
    pub throughput_kbps: Option<u64>,
    /// `ltc`: how far behind the live edge it is, milliseconds.
    pub latency_ms: Option<u64>,
    /// `msd`: from the wish to play to the first picture, milliseconds.
    pub startup_ms: Option<u64>,
    /// `bs`: it ran dry since the last report.
    pub has_stalled: bool,
    /// `sid`: its session.
    pub session: Option<String>,
    /// `cid`: what it plays.
    pub content: Option<String>,
}

impl Report {
    /// Whether it says nothing that is counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads one report: the value of a query's `CMCD`, decoded, or of a header.
    pub fn parse(text: &str) -> Self {
        let mut report = Self::default();
        report.read(text);
        report
    }

    /// Reads more of the same report: it may be spread over four headers.
    pub fn read(&mut self, text: &str) {
        let text = text
            .get(..text.floor_char_boundary(REPORT_BYTES_MAX))
            .unwrap_or(text);
        for pair in pairs(text).take(PAIRS_MAX) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "?1"));
            self.take(key.trim(), value.trim());
        }
    }

    /// The report in a query, if there is one.
    pub fn of_query(query: &str) -> Option<Self> {
        let value = query.split('&').find_map(|pair| pair.strip_prefix("CMCD="))?;
        let value = value
            .get(..value.floor_char_boundary(3 * REPORT_BYTES_MAX))
            .unwrap_or(value);
        Some(Self::parse(&decoded(value)))
    }

    /// The records of a POST, one a line.
    pub fn of_body(body: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(body);
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let reports = lines.take(RECORDS_MAX).map(Self::parse);
        reports.filter(|report| !report.is_empty()).collect()
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "bl" => self.buffer_ms = number(value),
            "mtp" => self.throughput_kbps = number(value),
            // hls.js has no `ltc` of its own; our page sends one under its own name.
            "ltc" | "com.ringside-ltc" => self.latency_ms = number(value),
            "msd" => self.startup_ms = number(value),
            "bs" => self.has_stalled |= value != "?0" && value != "false",
            "sid" => self.session = string(value),
            "cid" => self.content = string(value),
            _ => {}
        }
    }
}

/// Pairs between commas that are not in a string.
fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_string, mut is_escaped) = (false, false);
    text.split(move |letter: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match letter {
            '\\' if is_string && !was_escaped => is_escaped = true,
            '"' if !was_escaped => is_string = !is_string,
            ',' => return !is_string,
            _ => {}
        }
        false
    })
}

/// A number, or the first of a list of them (`(7200)`, version 2), whole and of any sane size.
fn number(value: &str) -> Option<u64> {
    let first = value.trim_start_matches('(');
    let end = first.find([' ', ')', ';']).unwrap_or(first.len());
    let digits = first.get(..end)?;
    let whole = digits.split('.').next()?;
    let number: u64 = whole.parse().ok()?;
    // A day in milliseconds; what is beyond is a mistake of the player's.
    (number <= 86_400_000).then_some(number)
}

/// A string or a token of at most 64 bytes that are visible.
fn string(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = inner.unwrap_or(value);
    let good = (1..=SESSION_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| text.to_owned())
}

/// Percent-decoded; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escape = (byte == b'%').then(|| {
            let mut ahead = rest.clone();
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(ahead.next())?, digit(ahead.next())?);
            rest = ahead;
            u8::try_from(high * 16 + low).ok()
        });
        bytes.push(escape.flatten().unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn version_1_of_a_query_is_read() {
        let query = "_HLS_msn=5&CMCD=bl%3D21300%2Cbs%2Ccid%3D%22main%22%2Cmtp%3D25400%2Csid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22&x=1";
        let report = Report::of_query(query).unwrap();
        assert_eq!(
            (report.buffer_ms, report.throughput_kbps),
            (Some(21_300), Some(25_400))
        );
        assert!(report.has_stalled);
        assert_eq!(report.content.as_deref(), Some("main"));
        assert_eq!(
            report.session.as_deref(),
            Some("6e2fb550-c457-11e9-bb97-0800200c9a66")
        );
        assert_eq!(Report::of_query("_HLS_msn=5&CMCDX=1"), None);
    }

    #[test]
    fn version_2_of_hls_js_is_read() {
        let line = r#"bl=(7200),br=(950),cid="demo",com.ringside-df="0",com.ringside-ltc=7291,e=t,mtp=(22500),sf=h,sid="a,b\"c",st=l,sta=p,ts=1,v=2"#;
        let body = format!("{line}\n\nmsd=812,sid=\"x\",v=2\r\nv=2\n");
        let reports = Report::of_body(body.as_bytes());
        assert_eq!(reports.len(), 2);
        assert_eq!(reports[0].buffer_ms, Some(7_200));
        assert_eq!(reports[0].latency_ms, Some(7_291));
        assert_eq!(reports[0].session.as_deref(), Some(r#"a,b\"c"#));
        assert_eq!(
            (reports[1].startup_ms, reports[1].has_stalled),
            (Some(812), false)
        );
    }

    #[test]
    fn headers_add_up_and_nonsense_is_passed_over() {
        let mut report = Report::default();
        report.read("bl=100,mtp=xyz");
        report.read("bs=?0,sid=\"\",ltc=-5");
        report.read("bl=99999999999999999999999,==,,=\",");
        assert_eq!(report, Report::default());
        report.read("msd=1.9, bs");
        assert_eq!((report.startup_ms, report.has_stalled), (Some(1), true));
        let long = format!("{}bl=5", "a=1,".repeat(64));
        assert_eq!(Report::parse(&long), Report::default(), "pairs are bounded");
        assert!(Report::of_body("bs\n".repeat(99).as_bytes()).len() == RECORDS_MAX);
    }

    proptest! {
        #[test]
        fn any_text_is_a_report(text in ".{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let report = Report::parse(&text);
            prop_assert!(report.session.is_none_or(|id| id.len() <= SESSION_MAX));
            let _any = Report::of_query(&format!("CMCD={text}"));
            prop_assert!(Report::of_body(&bytes).len() <= RECORDS_MAX);
        }

        #[test]
        fn what_is_encoded_is_read(bl in 0u64..86_400_000, sid in "[a-z0-9-]{1,64}") {
            let plain = format!("bl={bl},sid=\"{sid}\"");
            let coded: String = plain.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let report = Report::of_query(&format!("CMCD={coded}")).unwrap();
            prop_assert_eq!(&report, &Report::parse(&plain));
            prop_assert_eq!(report.buffer_ms, Some(bl));
            prop_assert_eq!(report.session, Some(sid));
        }
    }
}
