//! EXT-X-DATERANGE: what happens in the programme, and when.

use std::fmt::Write as _;
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
    /// Names behind `X-`, and their values as quoted strings.
    pub attributes: Vec<(String, String)>,
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

    pub(super) fn write(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "#EXT-X-DATERANGE:ID=\"{}\"", self.id)?;
        if let Some(class) = &self.class {
            write!(out, ",CLASS=\"{class}\"")?;
        }
        write!(out, ",START-DATE=\"{}\"", date_time(self.start))?;
        if let Some(duration) = self.duration {
            write!(out, ",DURATION={}", Seconds(duration, 5))?;
        }
        if let Some(planned) = self.planned {
            write!(out, ",PLANNED-DURATION={}", Seconds(planned, 5))?;
        }
        for (name, value) in &self.attributes {
            write!(out, ",X-{name}=\"{value}\"")?;
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
