//! Commands a publisher sends, and the server's words back.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::amf::{self, Value};

/// Longest stream key, longest app name and longest reason given, in bytes.
const TEXT_BYTES_MAX: usize = 512;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// rtmp §7.2.1.1
    Connect {
        /// Application, without query and slash at its end.
        app: String,
    },
    /// rtmp §7.2.1.3
    CreateStream,
    /// rtmp §7.2.2.6
    Publish {
        /// Publishing name, without query.
        key: StreamKey,
    },
    /// `releaseStream`, `FCPublish`: announcements that want an answer and no action.
    Announce,
    /// `FCUnpublish`: the end of the publish; `DeleteStream` follows.
    Unpublish,
    /// rtmp §7.2.2.3 `deleteStream`, and `closeStream`.
    DeleteStream,
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
            let app = arguments
                .first()
                .and_then(|object| object.get("app"))
                .and_then(Value::as_str);
            let app = app.map(|app| without_query(app).trim_end_matches('/'));
            Verb::Connect {
                app: bounded(app, "connect", "app")?,
            }
        }
        "createStream" => Verb::CreateStream,
        "publish" => {
            let name = arguments.get(1).and_then(Value::as_str).map(without_query);
            let name = name.filter(|name| !name.is_empty());
            Verb::Publish {
                key: StreamKey(bounded(name, "publish", "stream key")?),
            }
        }
        "releaseStream" | "FCPublish" => Verb::Announce,
        "FCUnpublish" => Verb::Unpublish,
        "deleteStream" | "closeStream" => Verb::DeleteStream,
        "play" | "play2" => Verb::Play,
        _ => Verb::Other,
    };
    Ok(Command { transaction, verb })
}

/// rtmp §7.2.1.1: the answer to an accepted `connect`.
pub fn connected(transaction: f64) -> Bytes {
    message([
        Value::string("_result"),
        Value::Number(transaction),
        Value::object([
            ("fmsVer", Value::string("FMS/3,0,1,123")),
            ("capabilities", Value::Number(31.0)),
        ]),
        Value::object([
            ("level", Value::string("status")),
            ("code", Value::string("NetConnection.Connect.Success")),
            ("description", Value::string("connected")),
            ("objectEncoding", Value::Number(0.0)),
        ]),
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
        info("error", code, description),
    ])
}

/// rtmp §7.2.2: an `onStatus`; `level` is `status` or `error`. A description past 512 bytes is cut.
pub fn on_status(level: &str, code: &str, description: &str) -> Bytes {
    message([
        Value::string("onStatus"),
        Value::Number(0.0),
        Value::Null,
        info(level, code, description),
    ])
}

fn info(level: &str, code: &str, description: &str) -> Value {
    let (description, _) = description.split_at(description.floor_char_boundary(TEXT_BYTES_MAX));
    Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ])
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
    fn a_query_is_no_part_of_the_key() {
        for name in ["secret", "secret?bandwidthtest=true", "secret?a?b"] {
            let Verb::Publish { key } = publish(Value::string(name)).unwrap().verb else {
                panic!("not publish")
            };
            assert_eq!(key.expose(), "secret");
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
            let verb = Verb::Connect { app: "live".into() };
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
