//! What a peer says of itself when it connects, and what it is told of us.

use std::collections::BTreeMap;

use crate::amf::Value;
use crate::codec::{AudioCodec, VideoCodec};

/// Longest `tcUrl` kept, in bytes.
const URL_BYTES_MAX: usize = 512;
/// Longest `flashVer` kept, in bytes.
const ENCODER_BYTES_MAX: usize = 128;
/// Most codecs kept of a peer's lists.
pub const CODECS_MAX: usize = 32;

/// ertmp, CapsExMask.
const RECONNECT: u32 = 1;
const MULTITRACK: u32 = 2;
const MOD_EX: u32 = 4;
const TIMESTAMP_NANO_OFFSET: u32 = 8;
/// ertmp, FourCcInfoMask.
const CAN_DECODE: u8 = 1;

/// What `connect` said. For reports: none of it is a promise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// `tcUrl` without user, password and query, which may be secrets; printable ASCII, at most 512 bytes.
    pub tc_url: Option<String>,
    /// `flashVer`, by which encoders name themselves; printable ASCII, at most 128 bytes.
    pub encoder: Option<String>,
    /// Enhanced RTMP.
    pub capabilities: Capabilities,
}

/// ertmp, "Enhancing NetConnection connect Command".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// FourCC, or `*` for any, to FourCcInfoMask bits: 1 decodes, 2 encodes, 4 forwards, 0 unstated. At most
    /// [`CODECS_MAX`].
    pub codecs: BTreeMap<String, u8>,
    /// It can be asked to connect anew.
    pub reconnect: bool,
    /// It knows several tracks in one stream.
    pub multitrack: bool,
    /// It knows modifiers of packets.
    pub modifiers: bool,
    /// It knows nanosecond offsets of timestamps.
    pub nanos: bool,
}

impl Peer {
    /// Reads the command object of `connect`.
    pub fn from_connect(object: &Value) -> Self {
        let short = |name: &str, bytes_max| {
            let text = object.get(name)?.as_str()?;
            let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            ((1..=bytes_max).contains(&text.len()) && is_printable).then_some(text)
        };
        Self {
            tc_url: short("tcUrl", URL_BYTES_MAX).map(without_secrets),
            encoder: short("flashVer", ENCODER_BYTES_MAX).map(str::to_owned),
            capabilities: Capabilities::from_connect(object),
        }
    }

    /// Bytes of text held.
    pub(crate) fn bytes(&self) -> usize {
        [&self.tc_url, &self.encoder]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum()
    }
}

impl Capabilities {
    fn from_connect(object: &Value) -> Self {
        let mut codecs = BTreeMap::new();
        let mut keep = |name: &str, mask: u8| {
            let is_code =
                name == "*" || name.len() == 4 && name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if is_code && (codecs.len() < CODECS_MAX || codecs.contains_key(name)) {
                *codecs.entry(name.to_owned()).or_default() |= mask;
            }
        };
        if let Some(Value::StrictArray(list)) = object.get("fourCcList") {
            list.iter()
                .filter_map(Value::as_str)
                .for_each(|name| keep(name, 0));
        }
        for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
            for (name, mask) in object.get(map).map_or(&[][..], Value::properties) {
                let [.., low] = bits(mask).to_be_bytes();
                keep(name, low & 7);
            }
        }
        let flags = object.get("capsEx").map_or(0, bits);
        Self {
            codecs,
            reconnect: flags & RECONNECT != 0,
            multitrack: flags & MULTITRACK != 0,
            modifiers: flags & MOD_EX != 0,
            nanos: flags & TIMESTAMP_NANO_OFFSET != 0,
        }
    }
}

/// What the answer to `connect` says of us: the same four properties.
pub fn advertised() -> [(&'static str, Value); 4] {
    let video = VideoCodec::ALL.map(VideoCodec::fourcc);
    let audio = AudioCodec::ALL.map(AudioCodec::fourcc);
    let can_decode = Value::Number(CAN_DECODE.into());
    let list = video.iter().chain(&audio).map(|code| Value::string(code));
    let flags = RECONNECT | MULTITRACK | MOD_EX | TIMESTAMP_NANO_OFFSET;
    [
        ("fourCcList", Value::StrictArray(list.collect())),
        (
            "videoFourCcInfoMap",
            Value::object(video.map(|code| (code, can_decode.clone()))),
        ),
        (
            "audioFourCcInfoMap",
            Value::object(audio.map(|code| (code, can_decode.clone()))),
        ),
        ("capsEx", Value::Number(flags.into())),
    ]
}

/// A set of flags, which AMF0 can only write as a number; 0 when it is none.
fn bits(value: &Value) -> u32 {
    let number = value.as_number().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked first"
    )]
    if (0.0..=f64::from(u32::MAX)).contains(&number) {
        number as u32
    } else {
        0
    }
}

/// rfc3986 §3: drops the user information of the authority, the query and the fragment.
fn without_secrets(url: &str) -> String {
    let (url, _) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_loses_what_may_be_secret() {
        for (url, kept) in [
            ("rtmp://127.0.0.1:1935/live", "rtmp://127.0.0.1:1935/live"),
            ("rtmps://me:pass@host/live?token=1", "rtmps://host/live"),
            ("rtmp://a@b@host", "rtmp://host"),
            ("rtmp://host/live#part", "rtmp://host/live"),
            ("nonsense?x", "nonsense"),
        ] {
            let peer = Peer::from_connect(&Value::object([("tcUrl", Value::string(url))]));
            assert_eq!(peer.tc_url.as_deref(), Some(kept));
        }
    }

    #[test]
    fn texts_are_short_and_printable_or_left_out() {
        let read = |name: &str, text: String| {
            let peer = Peer::from_connect(&Value::object([(name, Value::String(text))]));
            peer.tc_url.or(peer.encoder).map(|text| text.len())
        };
        assert_eq!(read("tcUrl", "x".repeat(512)), Some(512));
        assert_eq!(read("flashVer", "x".repeat(128)), Some(128));
        for (name, text) in [
            ("tcUrl", "x".repeat(513)),
            ("flashVer", "x".repeat(129)),
            ("flashVer", String::new()),
            ("flashVer", "line\n".into()),
            ("tcUrl", "rtmp://hÄst".into()),
        ] {
            assert_eq!(read(name, text), None);
        }
    }

    #[test]
    fn capabilities_of_all_four_properties_are_joined() {
        let object = Value::object([
            (
                "fourCcList",
                Value::StrictArray(vec![Value::string("av01"), Value::Null, Value::string("long.")]),
            ),
            (
                "videoFourCcInfoMap",
                Value::object([("*", Value::Number(4.0)), ("av01", Value::Number(2.0))]),
            ),
            (
                "audioFourCcInfoMap",
                Value::EcmaArray(vec![("Opus".into(), Value::Number(f64::NAN))]),
            ),
            ("capsEx", Value::Number(9.0)),
        ]);
        let expected = Capabilities {
            codecs: [("*", 4), ("av01", 2), ("Opus", 0)]
                .map(|(name, mask)| (name.to_owned(), mask))
                .into(),
            reconnect: true,
            nanos: true,
            ..Capabilities::default()
        };
        assert_eq!(Peer::from_connect(&object).capabilities, expected);
        assert_eq!(Peer::from_connect(&Value::Null), Peer::default());
    }

    #[test]
    fn lists_are_bounded() {
        let list = (0..100).map(|n| Value::String(format!("x{n:03}")));
        let object = Value::object([("fourCcList", Value::StrictArray(list.collect()))]);
        let capabilities = Peer::from_connect(&object).capabilities;
        assert_eq!(capabilities.codecs.len(), CODECS_MAX);
    }

    #[test]
    fn what_is_advertised_reads_back() {
        let object = Value::object(advertised());
        let capabilities = Peer::from_connect(&object).capabilities;
        let names: Vec<_> = capabilities.codecs.keys().map(String::as_str).collect();
        assert_eq!(names, ["Opus", "av01", "avc1", "hvc1", "mp4a", "vp09"]);
        assert!(capabilities.codecs.values().all(|mask| *mask == CAN_DECODE));
        assert!(capabilities.reconnect && capabilities.multitrack);
        assert!(capabilities.modifiers && capabilities.nanos);
    }
}
