//! Audio, video and data of an accepted publish, as events.

use bytes::Bytes;

use super::{Error, Event, Session};
use crate::chunk::{Message, kind};
use crate::flv::{self, Tag};
use crate::metadata::Metadata;

impl Session {
    pub(super) fn media(&mut self, message: Message) -> Result<(), Error> {
        let Message {
            timestamp_ms,
            kind,
            payload,
            ..
        } = message;
        match kind {
            kind::AGGREGATE => {
                for part in flv::parts(payload) {
                    let part = part?;
                    self.tag(part.kind, timestamp_ms.wrapping_add(part.offset_ms), part.body)?;
                }
                Ok(())
            }
            kind::DATA_AMF3 => match payload.split_first() {
                Some((0, amf0)) => self.metadata(amf0),
                Some(_) | None => self.events.unsupported("AMF3 data".to_owned()),
            },
            kind => self.tag(kind, timestamp_ms, payload),
        }
    }

    fn tag(&mut self, kind: u8, timestamp_ms: u32, body: Bytes) -> Result<(), Error> {
        let tag = match kind {
            kind::VIDEO => flv::video(body)?,
            kind::AUDIO => flv::audio(body)?,
            kind::DATA => return self.metadata(&body),
            other => Tag::Ignored(format!("tag type {other}")),
        };
        match tag {
            Tag::VideoConfig(avcc) => self.events.push(Event::VideoConfig { timestamp_ms, avcc }),
            Tag::Video {
                composition_ms,
                key,
                data,
            } => self.events.push(Event::Video {
                timestamp_ms,
                composition_ms,
                key,
                data,
            }),
            Tag::AudioConfig(asc) => self.events.push(Event::AudioConfig { timestamp_ms, asc }),
            Tag::Audio(data) => self.events.push(Event::Audio { timestamp_ms, data }),
            Tag::Empty => Ok(()),
            Tag::Ignored(what) => self.events.unsupported(what),
        }
    }

    /// Metadata informs only, so what cannot be read does not end a publish.
    fn metadata(&mut self, payload: &[u8]) -> Result<(), Error> {
        match Metadata::parse(payload) {
            Ok(Some(metadata)) => self.events.push(Event::Metadata(metadata)),
            Ok(None) => Ok(()),
            Err(error) => self.events.unsupported(format!("metadata: {error}")),
        }
    }
}
