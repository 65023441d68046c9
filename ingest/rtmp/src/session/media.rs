//! Audio, video and data of an accepted publish, as events.

use bytes::Bytes;

use super::{Error, Event, Session};
use crate::chunk::{Message, kind};
use crate::data::{self, Data};
use crate::flv::{self, Body, Tag, Tags};

/// Messages up to this size are kept alive whole by whatever part of them goes on.
const WHOLE_BYTES_MAX: usize = 4096;

impl Session {
    pub(super) fn media(&mut self, message: Message) -> Result<(), Error> {
        let Message {
            timestamp_ms,
            kind,
            payload,
            ..
        } = message;
        let whole = payload.len();
        match kind {
            kind::AGGREGATE => {
                for part in flv::parts(payload) {
                    let part = part?;
                    let timestamp_ms = timestamp_ms.wrapping_add(part.offset_ms);
                    self.message_body(part.kind, timestamp_ms, part.body, whole)?;
                }
                Ok(())
            }
            kind::DATA_AMF3 => match payload.split_first() {
                Some((0, amf0)) => self.data(timestamp_ms, amf0),
                Some(_) | None => self.events.unsupported("AMF3 data".to_owned()),
            },
            kind => self.message_body(kind, timestamp_ms, payload, whole),
        }
    }

    /// `whole` is the size of the message that the body is a part of.
    fn message_body(&mut self, kind: u8, timestamp_ms: u32, body: Bytes, whole: usize) -> Result<(), Error> {
        match kind {
            kind::VIDEO => self.tags(flv::video(body), timestamp_ms, whole),
            kind::AUDIO => self.tags(flv::audio(body), timestamp_ms, whole),
            kind::DATA => self.data(timestamp_ms, &body),
            other => self.events.unsupported(format!("tag type {other}")),
        }
    }

    fn tags(&mut self, tags: Tags, timestamp_ms: u32, whole: usize) -> Result<(), Error> {
        for tag in tags {
            let Tag { track, nanos, body } = tag?;
            match body {
                Body::VideoConfig { codec, config } => self.events.push(Event::VideoConfig {
                    track,
                    timestamp_ms,
                    codec,
                    config: detached(config, whole),
                }),
                Body::Video {
                    codec,
                    composition_ms,
                    key,
                    data,
                } => self.events.push(Event::Video {
                    track,
                    timestamp_ms,
                    nanos,
                    composition_ms,
                    codec,
                    key,
                    data: detached(data, whole),
                }),
                Body::AudioConfig { codec, config } => self.events.push(Event::AudioConfig {
                    track,
                    timestamp_ms,
                    codec,
                    config: detached(config, whole),
                }),
                Body::Audio { codec, data } => self.events.push(Event::Audio {
                    track,
                    timestamp_ms,
                    nanos,
                    codec,
                    data: detached(data, whole),
                }),
                Body::Empty => Ok(()),
                Body::Ignored(what) => self.events.unsupported(what),
            }?;
        }
        Ok(())
    }

    /// Data informs only, so what cannot be read does not end a publish.
    fn data(&mut self, timestamp_ms: u32, payload: &[u8]) -> Result<(), Error> {
        match data::parse(payload) {
            Ok(Data::Metadata(metadata)) => self.events.push(Event::Metadata(metadata)),
            Ok(Data::Cue(cue)) => self.events.push(Event::Cue { timestamp_ms, cue }),
            Ok(Data::Other) => Ok(()),
            Err(error) => self.events.unsupported(error.to_string()),
        }
    }
}

/// A small part of a large message is copied, lest a few bytes keep megabytes alive that no limit counts.
fn detached(part: Bytes, whole: usize) -> Bytes {
    if whole > WHOLE_BYTES_MAX && part.len() < whole / 2 {
        return Bytes::copy_from_slice(&part);
    }
    part
}
