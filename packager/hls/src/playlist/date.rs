//! EXT-X-DATERANGE: what happens in the programme, and when.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::render::Seconds;
use crate::time::date_time;

/// A date range (rfc8216bis §4.4.5.1). END-DATE is never said: START-DATE and DURATION say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateRange {
    /// ID; letters, digits and `._:-`.
    pub id: String,
    /// CLASS; no quotes and control characters.
    pub class: Option<String>,
    /// START-DATE: program time of its start.
    pub start: Duration,
    /// PLANNED-DURATION.
    pub planned: Option<Duration>,
    /// DURATION; none while it is not known.
    pub duration: Option<Duration>,
    /// SCTE35-CMD, SCTE35-OUT or SCTE35-IN with their sections.
    pub sections: Vec<(Splice, Vec<u8>)>,
    /// CUE; none where the range is dated by START-DATE alone.
    pub trigger: Option<Trigger>,
    /// Names behind `X-`, and their values.
    pub attributes: Vec<(String, Value)>,
}

/// A client-defined attribute's value (rfc8216bis §4.4.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A quoted string; no quotes and control characters.
    Text(String),
    /// A decimal number, in thousandths.
    Number(i64),
}

/// When what a date range asks for is done, in place of its START-DATE (§4.4.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// Before or after the programme; none at START-DATE.
    pub place: Option<Place>,
    /// ONCE: never again for the same viewer.
    pub once: bool,
}

/// Beside the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// PRE: before playback begins.
    Before,
    /// POST: when playback has reached the programme's end.
    After,
}

/// What a splice_info_section is to its date range (§4.4.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Splice {
    /// Something that is no break.
    Cmd,
    /// The begin of a break.
    Out,
    /// The end of a break.
    In,
}

impl DateRange {
    /// Its line, with the line's end.
    pub fn line(&self) -> String {
        let mut line = String::new();
        self.write(&mut line).expect("writing to a String does not fail");
        line
    }

    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        write!(out, "#EXT-X-DATERANGE:ID=\"{}\"", self.id)?;
        if let Some(class) = &self.class {
            write!(out, ",CLASS=\"{class}\"")?;
        }
        write!(out, ",START-DATE=\"{}\"", date_time(self.start))?;
        if let Some(trigger) = self.trigger {
            write!(out, ",CUE=\"{trigger}\"")?;
        }
        if let Some(duration) = self.duration {
            write!(out, ",DURATION={}", Seconds(duration, 5))?;
        }
        if let Some(planned) = self.planned {
            write!(out, ",PLANNED-DURATION={}", Seconds(planned, 5))?;
        }
        for (name, value) in &self.attributes {
            write!(out, ",X-{name}={value}")?;
        }
        for (splice, section) in &self.sections {
            let name = match splice {
                Splice::Cmd => "CMD",
                Splice::Out => "OUT",
                Splice::In => "IN",
            };
            write!(out, ",SCTE35-{name}=0x")?;
            section.iter().try_for_each(|byte| write!(out, "{byte:02X}"))?;
        }
        writeln!(out)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(out, "\"{text}\""),
            Self::Number(thousandths) => {
                let sign = if *thousandths < 0 { "-" } else { "" };
                let of = thousandths.unsigned_abs();
                write!(out, "{sign}{}.{:03}", of / 1_000, of % 1_000)
            }
        }
    }
}

/// The words of an enumerated-string-list.
impl fmt::Display for Trigger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.map(|place| match place {
            Place::Before => "PRE",
            Place::After => "POST",
        });
        let words: Vec<&str> = place.into_iter().chain(self.once.then_some("ONCE")).collect();
        out.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8216bis_4_4_5_1_values_and_words_are_written_as_players_read_them() {
        let number = |thousandths| Value::Number(thousandths).to_string();
        assert_eq!(
            [number(15_050), number(0), number(-5)],
            ["15.050", "0.000", "-0.005"]
        );
        assert_eq!(number(i64::MIN), "-9223372036854775.808");
        let said = |place, once| Trigger { place, once }.to_string();
        assert_eq!(said(Some(Place::Before), true), "PRE,ONCE");
        assert_eq!(said(Some(Place::After), false), "POST");
        assert_eq!(said(None, true), "ONCE");
    }
}
