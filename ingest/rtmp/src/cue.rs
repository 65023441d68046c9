//! Cues: where programme and advertisements meet, as encoders say it in data messages.
//!
//! Senders agree on little. AWS Elemental sends `onCuePoint` named `scte35` with details in `parameters`, Adobe's ad
//! signalling sends `onAdCue` with a SCTE-35 section as base64 in `cue`, YouTube's form of `onCuePoint` has fields of
//! its own. So a field is looked for by each name known for it, in the object and in its `parameters`, and a section
//! is known by its first bytes, whatever its field is called.

use crate::amf::Value;

/// Data messages that carry cues.
pub const MESSAGES: [&str; 3] = ["onCuePoint", "onAdCue", "onSCTE35"];
/// Longest name, kind or id, in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// Longest section as text: scte35 §9.6 allows 4096 bytes, in hexadecimal behind `0x`.
pub const SECTION_BYTES_MAX: usize = 2 + 2 * 4096;
/// scte35 §9.6: the shortest section is a `splice_null` of 20 bytes.
const SECTION_BYTES_MIN: usize = 20;

/// One cue. Times are the sender's, in seconds; where a cue has none, it applies at the message's timestamp.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cue {
    /// One of [`MESSAGES`].
    pub message: &'static str,
    /// `name`, at most 256 bytes.
    pub name: Option<String>,
    /// `type`, at most 256 bytes: `event`, `SpliceOut`, `scte35` and others.
    pub kind: Option<String>,
    /// Identity of the break, at most 256 bytes; the same in repetitions.
    pub id: Option<String>,
    /// When it applies, on the sender's presentation clock.
    pub time_s: Option<f64>,
    /// How long the break lasts.
    pub duration_s: Option<f64>,
    /// Whether a break begins or ends, where the sender says so.
    pub start: Option<bool>,
    /// A `splice_info_section`, as the sender's base64 or hexadecimal text, at most 8194 bytes; only its first byte
    /// and its alphabet were looked at.
    pub scte35: Option<String>,
}

/// Why a message is no cue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither an object nor a section.
    #[error("{0} without an object")]
    Nothing(&'static str),
    /// A name, kind or id longer than [`TEXT_BYTES_MAX`], or a section longer than [`SECTION_BYTES_MAX`].
    #[error("{0} with a text over the limit")]
    TooLong(&'static str),
}

impl Cue {
    pub(crate) fn from_arguments(message: &'static str, arguments: &[Value]) -> Result<Self, Error> {
        let is_object = |value: &&Value| matches!(value, Value::Object(_) | Value::EcmaArray(_));
        let object = arguments.iter().find(is_object);
        let parameters = object.and_then(|object| object.get("parameters"));
        let places = [object, parameters];
        let cue = Self {
            message,
            name: text(message, &places, &["name"])?,
            kind: text(message, &places, &["type"])?,
            id: text(message, &places, &["id", "splice_event_id"])?,
            time_s: seconds(&places, &["time"]),
            duration_s: seconds(&places, &["duration", "break_duration_sec"]),
            start: find(&places, &["cue_point_start"]).and_then(Value::as_boolean),
            scte35: section(message, arguments, &places)?,
        };
        if object.is_none() && cue.scte35.is_none() {
            return Err(Error::Nothing(message));
        }
        Ok(cue)
    }

    /// Bytes of text held.
    pub(crate) fn bytes(&self) -> usize {
        [&self.name, &self.kind, &self.id, &self.scte35]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum()
    }
}

fn find<'a>(places: &[Option<&'a Value>], names: &[&str]) -> Option<&'a Value> {
    let mut places = places.iter().flatten();
    places.find_map(|place| names.iter().find_map(|name| place.get(name)))
}

fn text(message: &'static str, places: &[Option<&Value>], names: &[&str]) -> Result<Option<String>, Error> {
    match find(places, names) {
        Some(Value::String(text)) if text.len() > TEXT_BYTES_MAX => Err(Error::TooLong(message)),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        _ => Ok(None),
    }
}

/// A number, or text that is one.
fn seconds(places: &[Option<&Value>], names: &[&str]) -> Option<f64> {
    let value = find(places, names)?;
    let number = value.as_number().or_else(|| value.as_str()?.parse().ok())?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn section(
    message: &'static str,
    arguments: &[Value],
    places: &[Option<&Value>],
) -> Result<Option<String>, Error> {
    let properties = places.iter().flatten().flat_map(|place| place.properties());
    let mut texts = arguments
        .iter()
        .chain(properties.map(|(_, value)| value))
        .filter_map(Value::as_str);
    match texts.find(|text| is_section(text)) {
        Some(text) if text.len() > SECTION_BYTES_MAX => Err(Error::TooLong(message)),
        found => Ok(found.map(str::to_owned)),
    }
}

/// scte35 §9.6: the first byte is 0xFC, the next two bits are 0; in base64 (rfc4648 §4) or hexadecimal.
fn is_section(text: &str) -> bool {
    let hexadecimal = text.strip_prefix("0x").unwrap_or(text);
    let is_hexadecimal = hexadecimal
        .get(..2)
        .is_some_and(|byte| byte.eq_ignore_ascii_case("fc"))
        && hexadecimal.len() >= 2 * SECTION_BYTES_MIN
        && hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_base64 = matches!(text.as_bytes(), [b'/', b'A'..=b'D', ..])
        && text.len() >= SECTION_BYTES_MIN.div_ceil(3) * 4
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    is_hexadecimal || is_base64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scte35 §14.1: a time_signal.
    const BASE64: &str = "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg==";
    const HEXADECIMAL: &str = "0xFC3034000000000000FFFFF00506FE72BD0050001E021C435545494800008E7FCF0001A599B00808000000002CA0A18A3402009AC9D17E";

    fn read(message: &'static str, value: Value) -> Result<Cue, Error> {
        Cue::from_arguments(message, &[value])
    }

    #[test]
    fn elemental() {
        let parameters = Value::EcmaArray(vec![
            ("id".into(), Value::string("1085900")),
            ("duration".into(), Value::string("30.5")),
        ]);
        let object = Value::object([
            ("name", Value::string("scte35")),
            ("time", Value::Number(12.25)),
            ("type", Value::string("event")),
            ("parameters", parameters),
        ]);
        let expected = Cue {
            message: "onCuePoint",
            name: Some("scte35".into()),
            kind: Some("event".into()),
            id: Some("1085900".into()),
            time_s: Some(12.25),
            duration_s: Some(30.5),
            ..Cue::default()
        };
        assert_eq!(read("onCuePoint", object), Ok(expected));
    }

    #[test]
    fn adobe() {
        let object = Value::object([
            ("cue", Value::string(BASE64)),
            ("type", Value::string("scte35")),
            ("id", Value::string("95766")),
            ("duration", Value::Number(0.0)),
            ("time", Value::Number(7.0)),
        ]);
        let cue = read("onAdCue", object).unwrap();
        assert_eq!((cue.scte35.as_deref(), cue.time_s), (Some(BASE64), Some(7.0)));
        assert_eq!(cue.bytes(), BASE64.len() + "scte35".len() + "95766".len());
    }

    #[test]
    fn youtube() {
        let object = Value::object([
            ("type", Value::string("com.youtube.cuepoint")),
            ("version", Value::string("0.1")),
            ("pre_roll_time_sec", Value::Number(2.56)),
            ("cue_point_start", Value::Boolean(true)),
            ("break_duration_sec", Value::Number(30.0)),
            ("splice_event_id", Value::Number(7.0)),
        ]);
        let cue = read("onCuePoint", object).unwrap();
        assert_eq!(
            (cue.start, cue.duration_s, cue.id.as_deref()),
            (Some(true), Some(30.0), Some("7"))
        );
    }

    #[test]
    fn a_section_is_found_in_any_field_and_alone() {
        for section in [BASE64, HEXADECIMAL, &HEXADECIMAL[2..]] {
            let nested = Value::object([("parameters", Value::object([("splice", Value::string(section))]))]);
            let cue = read("onCuePoint", nested).unwrap();
            assert_eq!(cue.scte35.as_deref(), Some(section));
            let alone = read("onSCTE35", Value::string(section)).unwrap();
            assert_eq!(alone.scte35.as_deref(), Some(section));
        }
        let private = BASE64.replacen("/D", "/E", 1);
        for other in [
            "",
            "0x",
            "FC",
            "/D",
            "scte35",
            &BASE64[..20],
            &BASE64[1..],
            &private,
        ] {
            let object = Value::object([("cue", Value::string(other))]);
            assert_eq!(read("onAdCue", object).unwrap().scte35, None, "{other}");
        }
    }

    #[test]
    fn bounds() {
        for name in ["name", "type", "id"] {
            let object = |length| Value::object([(name, Value::String("x".repeat(length)))]);
            assert_eq!(read("onCuePoint", object(256)).unwrap().bytes(), 256);
            assert_eq!(read("onCuePoint", object(257)), Err(Error::TooLong("onCuePoint")));
        }
        let section = |length: usize| Value::String(format!("0xFC{}", "0".repeat(length - 4)));
        assert!(
            read("onSCTE35", section(SECTION_BYTES_MAX))
                .unwrap()
                .scte35
                .is_some()
        );
        assert_eq!(
            read("onSCTE35", section(SECTION_BYTES_MAX + 1)),
            Err(Error::TooLong("onSCTE35"))
        );
    }

    #[test]
    fn unusable_numbers_are_left_out() {
        for number in [f64::NAN, f64::INFINITY, -1.0] {
            let object = Value::object([("time", Value::Number(number)), ("duration", Value::Null)]);
            let cue = read("onCuePoint", object).unwrap();
            assert_eq!((cue.time_s, cue.duration_s), (None, None));
        }
        assert_eq!(read("onCuePoint", Value::Null), Err(Error::Nothing("onCuePoint")));
    }
}
