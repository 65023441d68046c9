//! The bytes OBS sends, and the server's answers read back.

use super::*;

pub(super) const AVCC: &[u8] = &[1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 2, 0x67, 0x64, 1, 0, 1, 0x68];
const FRAME_BYTES: usize = 9000;

/// Instants are counted from here.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant cannot be written literally; tests count from this one"
)]
pub(super) fn base() -> Instant {
    Instant::now()
}

pub(super) fn handshake() -> Vec<u8> {
    [
        &[3][..],
        &[0; 8],
        &[0xC1; RANDOM_BYTES],
        &[0xC2; handshake::PACKET_BYTES],
    ]
    .concat()
}

pub(super) struct Publisher {
    pub(super) amf3: bool,
    pub(super) key: &'static str,
    pub(super) caps_ex: Option<f64>,
}

/// One message as chunks of `chunk_size`.
fn chunks(id: u8, chunk_size: u16, message: &Message) -> Vec<u8> {
    let mut writer = chunk::Writer::default();
    let mut output = BytesMut::new();
    writer.set_chunk_size(chunk_size, &mut output);
    output.clear();
    writer.write(id, message, &mut output);
    output.to_vec()
}

impl Publisher {
    pub(super) fn obs() -> Self {
        Self {
            amf3: false,
            key: "secret?bitrate=1",
            caps_ex: None,
        }
    }

    fn call(&self, stream: u32, values: &[Value]) -> Vec<u8> {
        let mut payload = BytesMut::new();
        if self.amf3 {
            payload.extend_from_slice(&[0]);
        }
        amf::encode(values, &mut payload);
        let kind = if self.amf3 {
            kind::COMMAND_AMF3
        } else {
            kind::COMMAND
        };
        chunks(
            3,
            4096,
            &Message {
                timestamp_ms: 0,
                kind,
                stream,
                payload: payload.freeze(),
            },
        )
    }

    fn media(&self, kind: u8, timestamp_ms: u32, body: &[u8]) -> Vec<u8> {
        let payload = Bytes::copy_from_slice(body);
        chunks(
            4,
            4096,
            &Message {
                timestamp_ms,
                kind,
                stream: 1,
                payload,
            },
        )
    }

    pub(super) fn control(&self, kind: u8, payload: &[u8]) -> Vec<u8> {
        chunks(2, 4096, &chunk::control(kind, payload))
    }

    pub(super) fn connect(&self) -> Vec<u8> {
        let caps_ex = self.caps_ex.map_or(Value::Undefined, Value::Number);
        let object = Value::object([
            ("app", Value::string("live")),
            ("capsEx", caps_ex),
            ("type", Value::string("nonprivate")),
            ("flashVer", Value::string("FMLE/3.0 (compatible; FMSc/1.0)")),
            ("tcUrl", Value::string("rtmp://127.0.0.1:1935/live")),
        ]);
        self.call(0, &[Value::string("connect"), Value::Number(1.0), object])
    }

    pub(super) fn named(&self, name: &str, transaction: f64) -> Vec<u8> {
        let values = [
            Value::string(name),
            Value::Number(transaction),
            Value::Null,
            Value::string("secret"),
        ];
        self.call(0, &values)
    }

    pub(super) fn create_stream(&self) -> Vec<u8> {
        self.call(
            0,
            &[Value::string("createStream"), Value::Number(4.0), Value::Null],
        )
    }

    pub(super) fn publish(&self) -> Vec<u8> {
        let key = Value::string(self.key);
        self.call(
            1,
            &[
                Value::string("publish"),
                Value::Number(5.0),
                Value::Null,
                key,
                Value::string("live"),
            ],
        )
    }

    pub(super) fn play(&self) -> Vec<u8> {
        self.named("play", 4.0)
    }

    pub(super) fn unpublish(&self) -> Vec<u8> {
        self.named("FCUnpublish", 6.0)
    }

    pub(super) fn delete_stream(&self, id: f64) -> Vec<u8> {
        self.call(
            0,
            &[
                Value::string("deleteStream"),
                Value::Number(7.0),
                Value::Null,
                Value::Number(id),
            ],
        )
    }

    pub(super) fn ping(&self) -> Vec<u8> {
        self.control(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4])
    }

    pub(super) fn window(&self, bytes: u32) -> Vec<u8> {
        self.control(kind::WINDOW_ACK_SIZE, &bytes.to_be_bytes())
    }

    pub(super) fn video(&self, body: &[u8]) -> Vec<u8> {
        self.media(kind::VIDEO, 40, body)
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        self.video(&frame_body())
    }

    fn metadata(&self) -> Vec<u8> {
        let properties = Value::EcmaArray(vec![
            ("width".into(), Value::Number(640.0)),
            ("encoder".into(), Value::string("obs-output module (libobs)")),
        ]);
        let wrapper = Value::string("@setDataFrame");
        self.data(0, &[wrapper, Value::string("onMetaData"), properties])
    }

    pub(super) fn data(&self, timestamp_ms: u32, values: &[Value]) -> Vec<u8> {
        let mut payload = BytesMut::new();
        amf::encode(values, &mut payload);
        self.media(kind::DATA, timestamp_ms, &payload)
    }

    pub(super) fn up_to_publish(&self) -> Vec<u8> {
        [
            handshake(),
            chunks(
                2,
                4096,
                &chunk::control(kind::SET_CHUNK_SIZE, &4096_u32.to_be_bytes()),
            ),
            self.connect(),
            self.window(2_500_000),
            self.named("releaseStream", 2.0),
            self.named("FCPublish", 3.0),
            self.create_stream(),
            self.named("_checkbw", 0.0),
            self.publish(),
        ]
        .concat()
    }

    /// Everything up to `publish`, and everything after its answer.
    pub(super) fn halves(&self) -> (Vec<u8>, Vec<u8>) {
        let after = [
            self.metadata(),
            self.media(kind::VIDEO, 0, &[&[0x17, 0, 0, 0, 0], AVCC].concat()),
            self.media(kind::AUDIO, 0, &[0xAF, 0, 0x11, 0x90]),
            self.frame(),
            // A timestamp of more than 24 bits, as after 4.7 hours.
            self.media(kind::AUDIO, 0x0123_4567, &[0xAF, 1, 0x21, 0x10]),
            self.unpublish(),
            self.delete_stream(1.0),
        ];
        (self.up_to_publish(), after.concat())
    }
}

fn frame_body() -> Vec<u8> {
    [&[0x17, 1, 0, 0, 80][..], &[0xAB; FRAME_BYTES]].concat()
}

/// The media events of `halves`, and the end.
pub(super) fn media_events() -> Vec<Event> {
    vec![
        Event::VideoConfig {
            track: 0,
            timestamp_ms: 0,
            codec: VideoCodec::H264,
            config: Bytes::from_static(AVCC),
        },
        Event::AudioConfig {
            track: 0,
            timestamp_ms: 0,
            codec: AudioCodec::Aac,
            config: Bytes::from_static(&[0x11, 0x90]),
        },
        Event::Video {
            track: 0,
            timestamp_ms: 40,
            nanos: 0,
            codec: VideoCodec::H264,
            composition_ms: 80,
            key: true,
            data: vec![0xAB; FRAME_BYTES].into(),
        },
        Event::Audio {
            track: 0,
            timestamp_ms: 0x0123_4567,
            nanos: 0,
            codec: AudioCodec::Aac,
            data: Bytes::from_static(&[0x21, 0x10]),
        },
        Event::Unpublish,
    ]
}

/// The server's messages after its handshake.
pub(super) fn onwards(output: &[u8]) -> Vec<Message> {
    let mut rest = &output[1 + 2 * handshake::PACKET_BYTES..];
    let mut reader = chunk::Reader::new(1 << 20, 64);
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut rest).unwrap() {
        if message.kind == kind::SET_CHUNK_SIZE {
            reader
                .set_chunk_size(u32::from_be_bytes(*message.payload.first_chunk().unwrap()))
                .unwrap();
        }
        messages.push(message);
    }
    messages
}

/// Level, code and description of an answer that has them.
pub(super) fn status(message: &Message) -> Option<(String, String, String)> {
    let values = amf::decode(&message.payload).ok()?;
    let text = |name| values.get(3)?.get(name)?.as_str().map(str::to_owned);
    Some((text("level")?, text("code")?, text("description")?))
}
