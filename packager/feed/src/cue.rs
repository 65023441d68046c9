//! Cues on the wire: where programme and breaks meet, in program time.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use hls::playlist::{Place, Trigger, Value};

use crate::wire::{get_bytes, get_flag, get_text, put_bytes, put_said};

/// Longest id of a cue, bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest class of a cue, bytes.
pub const CLASS_BYTES_MAX: usize = 128;
/// Longest splice_info_section, bytes: scte35 §9.6 allows 4093 behind its length.
pub const SECTION_BYTES_MAX: usize = 4_096;
/// Most attributes of a cue.
pub const ATTRIBUTES_MAX: usize = 16;
/// Longest name of an attribute, bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest value of an attribute, bytes of UTF-8.
pub const VALUE_BYTES_MAX: usize = 1_024;
/// Longest duration of a cue.
pub const DURATION_MAX: Duration = Duration::from_hours(24);

/// What happens at a cue's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A break begins; an [`Kind::In`] of the same id ends it.
    Out,
    /// The break of this id ends.
    In,
    /// Neither: something happens here, perhaps for a while.
    Plain,
    /// More attributes of this id; nothing else of it counts.
    More,
    /// What has this id does not take place, unless it has begun; nothing else of it counts.
    Cancel,
}

/// One cue. The same id means the same happening: what comes again says nothing new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Unique in the stream for ever, but for the two ends of a break; see [`is_id`].
    pub id: String,
    /// What kind of happening it is; no quotes and control characters, at most [`CLASS_BYTES_MAX`].
    pub class: Option<String>,
    /// Program time at which it takes effect, frames; of an `In`, where the break ends.
    pub frame: u64,
    /// What happens there.
    pub kind: Kind,
    /// How long it is planned to be (`Out`) or is (`Plain`); at most [`DURATION_MAX`].
    pub duration: Option<Duration>,
    /// The splice_info_section that says so; empty where there is none, at most [`SECTION_BYTES_MAX`].
    pub section: Bytes,
    /// When it is, in place of its time.
    pub trigger: Option<Trigger>,
    /// More about it, at most [`ATTRIBUTES_MAX`]; see [`is_name`] and, of texts, [`is_value`].
    pub attributes: Vec<(String, Value)>,
}

/// Whether a text may be a cue's id: letters, digits and `._:-`.
pub fn is_id(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(good)
}

/// Whether a text may be an attribute's name behind `X-` (rfc8216bis §4.2).
pub fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(good)
}

/// Whether a text may stand between quotes in a playlist (rfc8216bis §4.2).
pub fn is_value(text: &str) -> bool {
    text.len() <= VALUE_BYTES_MAX && is_quotable(text)
}

/// Whether a text may be a cue's class.
pub fn is_class(text: &str) -> bool {
    (1..=CLASS_BYTES_MAX).contains(&text.len()) && is_quotable(text)
}

fn is_quotable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c == '"')
}

pub(crate) fn put(cue: &Cue, out: &mut BytesMut) {
    put_bytes(cue.id.as_bytes(), out);
    put_said(cue.class.as_deref(), out);
    out.put_u64(cue.frame);
    out.put_u8(match cue.kind {
        Kind::Out => 1,
        Kind::In => 2,
        Kind::Plain => 3,
        Kind::More => 4,
        Kind::Cancel => 5,
    });
    out.put_u8(u8::from(cue.duration.is_some()));
    if let Some(duration) = cue.duration {
        out.put_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
    put_bytes(&cue.section, out);
    out.put_u8(cue.trigger.map_or(0, bits));
    out.put_u16(u16::try_from(cue.attributes.len()).unwrap_or(u16::MAX));
    for (name, value) in &cue.attributes {
        put_bytes(name.as_bytes(), out);
        put_value(value, out);
    }
}

/// `None` where the fields end early or are over their bounds.
pub(crate) fn get(body: &mut Bytes) -> Option<Cue> {
    Some(Cue {
        id: get_text(body).filter(|id| is_id(id))?,
        class: match get_flag(body)? {
            true => Some(get_text(body).filter(|class| is_class(class))?),
            false => None,
        },
        frame: body.try_get_u64().ok()?,
        kind: match body.try_get_u8().ok()? {
            1 => Kind::Out,
            2 => Kind::In,
            3 => Kind::Plain,
            4 => Kind::More,
            5 => Kind::Cancel,
            _ => return None,
        },
        duration: match get_flag(body)? {
            true => {
                let duration = Duration::from_nanos(body.try_get_u64().ok()?);
                Some(duration)
                    .filter(|duration| *duration <= DURATION_MAX)
                    .map(Some)?
            }
            false => None,
        },
        section: get_bytes(body).filter(|section| section.len() <= SECTION_BYTES_MAX)?,
        trigger: get_trigger(body)?,
        attributes: get_attributes(body)?,
    })
}

const TEXT: u8 = 1;
const NUMBER: u8 = 2;

fn put_value(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Text(text) => {
            out.put_u8(TEXT);
            put_bytes(text.as_bytes(), out);
        }
        Value::Number(thousandths) => {
            out.put_u8(NUMBER);
            out.put_i64(*thousandths);
        }
    }
}

fn get_value(body: &mut Bytes) -> Option<Value> {
    match body.try_get_u8().ok()? {
        TEXT => get_text(body).filter(|value| is_value(value)).map(Value::Text),
        NUMBER => body.try_get_i64().ok().map(Value::Number),
        _ => None,
    }
}

const BEFORE: u8 = 1;
const AFTER: u8 = 2;
const ONCE: u8 = 4;

/// Never zero: that is no trigger.
fn bits(trigger: Trigger) -> u8 {
    let place = match trigger.place {
        Some(Place::Before) => BEFORE,
        Some(Place::After) => AFTER,
        None => 0,
    };
    place | if trigger.once { ONCE } else { 0 }
}

/// The outer `None` is a malformed message.
fn get_trigger(body: &mut Bytes) -> Option<Option<Trigger>> {
    let bits = body.try_get_u8().ok()?;
    let place = match bits & !ONCE {
        0 => None,
        BEFORE => Some(Place::Before),
        AFTER => Some(Place::After),
        _ => return None,
    };
    let once = bits & ONCE != 0;
    Some((bits != 0).then_some(Trigger { place, once }))
}

fn get_attributes(body: &mut Bytes) -> Option<Vec<(String, Value)>> {
    let count = usize::from(body.try_get_u16().ok()?);
    if count > ATTRIBUTES_MAX {
        return None;
    }
    let pair = |_| {
        let name = get_text(body).filter(|name| is_name(name))?;
        Some((name, get_value(body)?))
    };
    (0..count).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Error, Message, encode};

    fn cue() -> Cue {
        Cue {
            id: "scte35-7-900".to_owned(),
            class: Some("ringside.cue".to_owned()),
            frame: 900,
            kind: Kind::Out,
            duration: Some(Duration::from_secs(30)),
            section: Bytes::from_static(&[0xFC, 0x30]),
            trigger: Some(Trigger {
                place: Some(Place::Before),
                once: true,
            }),
            attributes: vec![
                ("NAME".to_owned(), Value::Text("A, b = \u{e9}".to_owned())),
                ("X".to_owned(), Value::Number(i64::MIN)),
            ],
        }
    }

    fn there_and_back(cue: Cue) -> Result<Option<Message>, Error> {
        let (mut bytes, mut decoder) = (BytesMut::new(), Decoder::default());
        encode(&Message::Cue(Box::new(cue)), &mut bytes);
        decoder.push(&bytes);
        decoder.next()
    }

    #[test]
    fn every_kind_comes_as_it_was_sent() {
        for kind in [Kind::Out, Kind::In, Kind::Plain, Kind::More, Kind::Cancel] {
            for class in [None, cue().class] {
                let sent = Cue { kind, class, ..cue() };
                let got = there_and_back(sent.clone());
                assert_eq!(got, Ok(Some(Message::Cue(Box::new(sent)))));
            }
        }
        for place in [None, Some(Place::Before), Some(Place::After)] {
            for trigger in [None, Some(Trigger { place, once: true })] {
                let sent = Cue { trigger, ..cue() };
                let got = there_and_back(sent.clone());
                assert_eq!(got, Ok(Some(Message::Cue(Box::new(sent)))));
            }
        }
        let longest = Cue {
            section: vec![0xFC; SECTION_BYTES_MAX].into(),
            attributes: vec![
                (
                    "X".repeat(NAME_BYTES_MAX),
                    Value::Text("y".repeat(VALUE_BYTES_MAX))
                );
                ATTRIBUTES_MAX
            ],
            duration: Some(DURATION_MAX),
            ..cue()
        };
        assert!(there_and_back(longest).is_ok());
    }

    #[test]
    fn what_is_over_a_bound_or_could_not_be_quoted_is_malformed() {
        let said = |name: &str, value: &str| vec![(name.to_owned(), Value::Text(value.to_owned()))];
        let id = |id: &str| Cue {
            id: id.to_owned(),
            ..cue()
        };
        let attributes = |attributes| Cue { attributes, ..cue() };
        let bad = [
            id(""),
            id("a b"),
            id("a\"b"),
            id(&"a".repeat(ID_BYTES_MAX + 1)),
            attributes(said("", "v")),
            attributes(said("lower", "v")),
            attributes(said("A", "a\"b")),
            attributes(said("A", "a\nb")),
            attributes(said("A", &"v".repeat(VALUE_BYTES_MAX + 1))),
            attributes(vec![("A".to_owned(), Value::Number(0)); ATTRIBUTES_MAX + 1]),
            Cue {
                class: Some("\"".to_owned()),
                ..cue()
            },
            Cue {
                section: vec![0; SECTION_BYTES_MAX + 1].into(),
                ..cue()
            },
            Cue {
                duration: Some(DURATION_MAX + Duration::from_nanos(1)),
                ..cue()
            },
        ];
        for bad in bad {
            let said = format!("{bad:?}");
            assert_eq!(there_and_back(bad), Err(Error::Malformed(9)), "{said}");
        }
    }
}
