//! Commands a publisher sends, and the server's words back.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::amf::{self, Value};
use crate::peer::{self, Peer};

/// Longest stream key, app name, reason given and URL to reconnect to, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

/// A secret that maps to a stream. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey(String);

impl StreamKey {
    /// The secret itself: compare it in constant time, keep it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a command cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not AMF0.
    #[error("command message")]
    Amf(#[from] amf::Error),
    /// The message does not begin with a name and a transaction id.
    #[error("command without name or transaction id")]
    NoName,
    /// An argument is absent, of another type or longer than 512 bytes.
    #[error("{command} without a usable {argument}")]
    Argument {
        /// Name of the command.
        command: &'static str,
        /// What is wrong with it.
        argument: &'static str,
    },
}

/// A command of rtmp §7.2 as a publisher uses it, with the transaction id its answer must carry (0: no answer wanted).
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Transaction id.
    pub transaction: f64,
    /// What is asked for.
    pub verb: Verb,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// rtmp §7.2.1.1
    Connect {
        /// Application, without query and slash at its end.
        app: String,
        /// What else the peer says of itself.
        peer: Peer,
    },
    /// rtmp §7.2.1.3
    CreateStream,
    /// rtmp §7.2.2.6
    Publish {
        /// Publishing name, with whatever query stands behind it.
        key: StreamKey,
    },
    /// `releaseStream`, `_checkbw`: calls that want an answer and no action.
    Acknowledge,
    /// `FCPublish`: a publish is about to come.
    Announce,
    /// `FCUnpublish`: the end of the publish; `DeleteStream` follows.
    Unpublish,
    /// rtmp §7.2.2.3 `deleteStream`, and `closeStream`.
    DeleteStream {
        /// Which one; `None` for the one that is published.
        stream: Option<f64>,
    },
    /// rtmp §7.2.2.1, §7.2.2.2 `play`, `play2`.
    Play,
    /// Anything else.
    Other,
}

/// Reads a command message.
pub fn parse(payload: &[u8]) -> Result<Command, Error> {
    let values = amf::decode(payload)?;
    let [name, transaction, arguments @ ..] = values.as_slice() else {
        return Err(Error::NoName);
    };
    let (Some(name), Some(transaction)) = (name.as_str(), transaction.as_number()) else {
        return Err(Error::NoName);
    };
    let verb = match name {
        "connect" => {
            let object = arguments.first().unwrap_or(&Value::Null);
            let app = object.get("app").and_then(Value::as_str);
            let app = app.map(|app| without_query(app).trim_end_matches('/'));
            Verb::Connect {
                app: bounded(app, "connect", "app")?,
                peer: Peer::from_connect(object),
            }
        }
        "createStream" => Verb::CreateStream,
        "publish" => {
            let name = arguments.get(1).and_then(Value::as_str);
            let name = name.filter(|name| !without_query(name).is_empty());
            Verb::Publish {
                key: StreamKey(bounded(name, "publish", "stream key")?),
            }
        }
        "releaseStream" | "_checkbw" => Verb::Acknowledge,
        "FCPublish" => Verb::Announce,
        "FCUnpublish" => Verb::Unpublish,
        "deleteStream" => Verb::DeleteStream {
            stream: arguments.get(1).and_then(Value::as_number),
        },
        "closeStream" => Verb::DeleteStream { stream: None },
        "play" | "play2" => Verb::Play,
        _ => Verb::Other,
    };
    Ok(Command { transaction, verb })
}

/// rtmp §7.2.1.1: the answer to an accepted `connect`, with what ertmp adds to it.
pub fn connected(transaction: f64) -> Bytes {
    message([
        Value::string("_result"),
        Value::Number(transaction),
        Value::object([
            ("fmsVer", Value::string("FMS/3,0,1,123")),
            ("capabilities", Value::Number(31.0)),
        ]),
        info(
            "status",
            "NetConnection.Connect.Success",
            "connected",
            [("objectEncoding", Value::Number(0.0))]
                .into_iter()
                .chain(peer::advertised()),
        ),
    ])
}

/// A `_result` carrying one value: the stream id of `createStream`, or nothing.
pub fn result(transaction: f64, value: Value) -> Bytes {
    message([
        Value::string("_result"),
        Value::Number(transaction),
        Value::Null,
        value,
    ])
}

/// rtmp §7.2.1.2: an `_error`, the answer to a call that is refused.
pub fn error(transaction: f64, code: &str, description: &str) -> Bytes {
    message([
        Value::string("_error"),
        Value::Number(transaction),
        Value::Null,
        info("error", code, description, []),
    ])
}

/// rtmp §7.2.2: an `onStatus`; `level` is `status` or `error`. A description past 512 bytes is cut.
pub fn on_status(level: &str, code: &str, description: &str) -> Bytes {
    notice("onStatus", info(level, code, description, []))
}

/// `onFCPublish` and `onFCUnpublish`: what encoders of Adobe's line wait for after `FCPublish` and `FCUnpublish`.
pub fn on_fc(name: &str, code: &str, description: &str) -> Bytes {
    notice(name, info("status", code, description, []))
}

/// ertmp, "Reconnect Request": asks a peer to connect anew, to `tc_url` if there is one. A description past 512 bytes
/// is cut.
pub fn reconnect_request(description: &str, tc_url: Option<&str>) -> Bytes {
    let tc_url = tc_url.map(|url| ("tcUrl", Value::string(url)));
    let code = "NetConnection.Connect.ReconnectRequest";
    notice("onStatus", info("status", code, description, tc_url))
}

fn notice(name: &str, info: Value) -> Bytes {
    message([Value::string(name), Value::Number(0.0), Value::Null, info])
}

fn info(
    level: &str,
    code: &str,
    description: &str,
    more: impl IntoIterator<Item = (&'static str, Value)>,
) -> Value {
    let (description, _) = description.split_at(description.floor_char_boundary(TEXT_BYTES_MAX));
    let properties = [
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ];
    let properties = properties.into_iter().chain(more);
    Value::Object(properties.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn message<const N: usize>(values: [Value; N]) -> Bytes {
    let mut output = BytesMut::new();
    amf::encode(&values, &mut output);
    output.freeze()
}

fn bounded(text: Option<&str>, command: &'static str, argument: &'static str) -> Result<String, Error> {
    match text {
        Some(text) if text.len() <= TEXT_BYTES_MAX => Ok(text.to_owned()),
        Some(_) | None => Err(Error::Argument { command, argument }),
    }
}

fn without_query(name: &str) -> &str {
    name.split_once('?').map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(name: Value) -> Result<Command, Error> {
        parse(&message([
            Value::string("publish"),
            Value::Number(5.0),
            Value::Null,
            name,
            Value::string("live"),
        ]))
    }

    #[test]
    fn a_query_stays_with_the_key() {
        for name in ["secret", "secret?role=backup", "secret?a?b"] {
            let Verb::Publish { key } = publish(Value::string(name)).unwrap().verb else {
                panic!("not publish")
            };
            assert_eq!(key.expose(), name);
        }
    }

    #[test]
    fn keys_are_not_printed() {
        let command = publish(Value::string("secret")).unwrap();
        let printed = format!("{command:?}");
        assert!(
            printed.contains("***") && !printed.contains("secret"),
            "{printed}"
        );
    }

    #[test]
    fn an_unusable_key_is_an_error() {
        let error = Err(Error::Argument {
            command: "publish",
            argument: "stream key",
        });
        for name in [
            Value::string(""),
            Value::string("?a=b"),
            Value::Null,
            Value::String("k".repeat(513)),
        ] {
            assert_eq!(publish(name), error);
        }
    }

    #[test]
    fn the_app_loses_its_slash_and_query() {
        for app in ["live", "live/", "live?token=1"] {
            let payload = message([
                Value::string("connect"),
                Value::Number(1.0),
                Value::object([("app", Value::string(app)), ("type", Value::string("nonprivate"))]),
            ]);
            let verb = Verb::Connect {
                app: "live".into(),
                peer: Peer::default(),
            };
            assert_eq!(
                parse(&payload),
                Ok(Command {
                    transaction: 1.0,
                    verb
                })
            );
        }
    }

    #[test]
    fn an_accepted_connect_says_what_we_can() {
        let values = amf::decode(&connected(1.0)).unwrap();
        let (name, info) = (&values[0], &values[3]);
        assert_eq!(name.as_str(), Some("_result"));
        assert_eq!(
            info.get("code").and_then(Value::as_str),
            Some("NetConnection.Connect.Success")
        );
        let capabilities = Peer::from_connect(info).capabilities;
        assert!(capabilities.reconnect && capabilities.multitrack && capabilities.nanos);
        assert_eq!(info.get("capsEx"), Some(&Value::Number(15.0)));
        assert_eq!(capabilities.codecs.len(), 6);
    }

    #[test]
    fn a_request_to_reconnect_may_name_a_url() {
        let url = "rtmp://other/live";
        for tc_url in [None, Some(url)] {
            let values = amf::decode(&reconnect_request("updates", tc_url)).unwrap();
            assert_eq!(
                values[..3],
                [Value::string("onStatus"), Value::Number(0.0), Value::Null]
            );
            let text = |name| values[3].get(name).and_then(Value::as_str);
            assert_eq!(text("level"), Some("status"));
            assert_eq!(text("code"), Some("NetConnection.Connect.ReconnectRequest"));
            assert_eq!((text("description"), text("tcUrl")), (Some("updates"), tc_url));
        }
    }

    #[test]
    fn a_command_needs_name_and_transaction() {
        assert_eq!(parse(&[]), Err(Error::NoName));
        assert_eq!(parse(&message([Value::string("publish")])), Err(Error::NoName));
        assert_eq!(
            parse(&message([Value::Number(1.0), Value::Number(1.0)])),
            Err(Error::NoName)
        );
        assert_eq!(parse(&[17]), Err(Error::Amf(amf::Error::Marker(17))));
    }

    #[test]
    fn refusals_read_back() {
        let long = "ä".repeat(400);
        let values = amf::decode(&on_status("error", "NetStream.Publish.Denied", &long)).unwrap();
        assert_eq!(
            values[..3],
            [Value::string("onStatus"), Value::Number(0.0), Value::Null]
        );
        assert_eq!(values[3].get("level").and_then(Value::as_str), Some("error"));
        assert_eq!(
            values[3].get("code").and_then(Value::as_str),
            Some("NetStream.Publish.Denied")
        );
        assert_eq!(
            values[3].get("description").and_then(Value::as_str),
            Some("ä".repeat(256).as_str())
        );
    }
}
