//! `onMetaData`: what the encoder says about itself.

use crate::amf::{self, Value};

/// flv §E.5, as far as the encoder filled it in. Informative: decoders go by the codec configurations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub framerate: Option<f64>,
    /// Kilobits per second.
    pub video_kbps: Option<f64>,
    /// Kilobits per second.
    pub audio_kbps: Option<f64>,
    /// Samples per second.
    pub audio_sample_rate: Option<f64>,
    /// Two channels rather than one.
    pub stereo: Option<bool>,
    /// Name and version of the encoder, at most 128 bytes.
    pub encoder: Option<String>,
}

/// Longest encoder name kept.
const ENCODER_BYTES_MAX: usize = 128;

impl Metadata {
    /// Reads a data message; `None` when it carries something else.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, amf::Error> {
        let values = amf::decode(payload)?;
        let names = |value: &Value| value.as_str().map(str::to_owned);
        let arguments = match values.as_slice() {
            // The wrapper asks the server to keep the data for players that come later.
            [wrapper, rest @ ..] if names(wrapper).as_deref() == Some("@setDataFrame") => rest,
            all => all,
        };
        let [name, properties, ..] = arguments else {
            return Ok(None);
        };
        Ok((name.as_str() == Some("onMetaData")).then(|| Self::from_properties(properties)))
    }

    fn from_properties(properties: &Value) -> Self {
        let number = |name| {
            let number = properties.get(name).and_then(Value::as_number);
            number.filter(|number| number.is_finite() && *number > 0.0)
        };
        Self {
            width: number("width").and_then(pixels),
            height: number("height").and_then(pixels),
            framerate: number("framerate"),
            video_kbps: number("videodatarate"),
            audio_kbps: number("audiodatarate"),
            audio_sample_rate: number("audiosamplerate"),
            stereo: properties.get("stereo").and_then(Value::as_boolean),
            encoder: properties.get("encoder").and_then(Value::as_str).map(|encoder| {
                let (encoder, _) = encoder.split_at(encoder.floor_char_boundary(ENCODER_BYTES_MAX));
                encoder.to_owned()
            }),
        }
    }
}

fn pixels(number: f64) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked first"
    )]
    (1.0..=65_536.0).contains(&number).then_some(number as u32)
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

    fn properties() -> Value {
        Value::EcmaArray(vec![
            ("duration".into(), Value::Number(0.0)),
            ("width".into(), Value::Number(1280.0)),
            ("height".into(), Value::Number(-720.0)),
            ("framerate".into(), Value::Number(f64::NAN)),
            ("videodatarate".into(), Value::Number(2500.0)),
            ("stereo".into(), Value::Boolean(true)),
            ("encoder".into(), Value::String("obs".repeat(100))),
        ])
    }

    #[test]
    fn reads_what_is_usable() {
        let expected = Metadata {
            width: Some(1280),
            video_kbps: Some(2500.0),
            stereo: Some(true),
            encoder: Some("obs".repeat(100)[..128].to_owned()),
            ..Metadata::default()
        };
        let name = Value::string("onMetaData");
        let bare = payload(&[name.clone(), properties()]);
        assert_eq!(Metadata::parse(&bare), Ok(Some(expected.clone())));
        let wrapped = payload(&[Value::string("@setDataFrame"), name, properties()]);
        assert_eq!(Metadata::parse(&wrapped), Ok(Some(expected)));
    }

    #[test]
    fn other_data_is_not_metadata() {
        assert_eq!(
            Metadata::parse(&payload(&[Value::string("onCuePoint"), properties()])),
            Ok(None)
        );
        assert_eq!(
            Metadata::parse(&payload(&[Value::string("@setDataFrame")])),
            Ok(None)
        );
        assert_eq!(Metadata::parse(&[]), Ok(None));
        assert_eq!(Metadata::parse(&[2, 0]), Err(amf::Error::Short));
    }
}
