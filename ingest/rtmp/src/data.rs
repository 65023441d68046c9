//! Data messages: what the encoder says beside its media.

use crate::amf::{self, Value};
use crate::cue::{self, Cue};
use crate::metadata::Metadata;

/// What a data message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `onMetaData`.
    Metadata(Metadata),
    /// A message of [`cue::MESSAGES`].
    Cue(Cue),
    /// Anything else.
    Other,
}

/// Why a data message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not AMF0.
    #[error("data message: {0}")]
    Amf(#[from] amf::Error),
    /// A cue without what makes one.
    #[error("cue: {0}")]
    Cue(#[from] cue::Error),
}

/// Reads a data message.
pub fn parse(payload: &[u8]) -> Result<Data, Error> {
    let values = amf::decode(payload)?;
    let arguments = match values.as_slice() {
        // The wrapper asks the server to keep the data for players that come later.
        [wrapper, rest @ ..] if wrapper.as_str() == Some("@setDataFrame") => rest,
        all => all,
    };
    let Some((name, arguments)) = arguments.split_first() else {
        return Ok(Data::Other);
    };
    let Some(name) = name.as_str() else {
        return Ok(Data::Other);
    };
    if name == "onMetaData" {
        let metadata = arguments.first().map(Metadata::from_properties);
        return Ok(metadata.map_or(Data::Other, Data::Metadata));
    }
    match cue::MESSAGES.into_iter().find(|message| *message == name) {
        Some(message) => Ok(Data::Cue(Cue::from_arguments(message, arguments)?)),
        None => Ok(Data::Other),
    }
}

/// The text of a property, if it is not empty and at most `bytes_max` long.
pub(crate) fn text(object: &Value, name: &str, bytes_max: usize) -> Option<String> {
    let text = object.get(name)?.as_str()?;
    (1..=bytes_max).contains(&text.len()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn payload(values: &[Value]) -> BytesMut {
        let mut output = BytesMut::new();
        amf::encode(values, &mut output);
        output
    }

    #[test]
    fn the_wrapper_changes_nothing() {
        let object = Value::object([("width", Value::Number(640.0)), ("name", Value::string("break"))]);
        for (name, is_cue) in [("onMetaData", false), ("onCuePoint", true)] {
            let bare = [Value::string(name), object.clone()];
            let wrapped = [&[Value::string("@setDataFrame")], bare.as_slice()].concat();
            let data = parse(&payload(&bare));
            assert_eq!(parse(&payload(&wrapped)), data);
            assert_eq!(matches!(data, Ok(Data::Cue(_))), is_cue);
            assert_eq!(matches!(data, Ok(Data::Metadata(_))), !is_cue);
        }
    }

    #[test]
    fn other_data_passes_in_silence() {
        for values in [
            vec![],
            vec![Value::string("@setDataFrame")],
            vec![Value::string("onMetaData")],
            vec![
                Value::string("|RtmpSampleAccess"),
                Value::Boolean(true),
                Value::Boolean(true),
            ],
            vec![Value::Number(1.0), Value::Null],
        ] {
            assert_eq!(parse(&payload(&values)), Ok(Data::Other), "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert_eq!(parse(&[2, 0]), Err(Error::Amf(amf::Error::Short)));
        let cue = payload(&[Value::string("onCuePoint"), Value::Null]);
        assert_eq!(parse(&cue), Err(Error::Cue(cue::Error::Nothing("onCuePoint"))));
    }
}
