//! AMF0 values, read within bounds and written.

use bytes::{BufMut, BytesMut};

use crate::handshake::take;

/// Longest encoding that is read.
pub const BYTES_MAX: usize = 64 << 10;
/// Most values in one encoding, counting those inside others.
pub const VALUES_MAX: usize = 1024;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 16;
/// amf0 §2.5: longest string with a 16-bit length.
const SHORT_STRING_MAX: usize = 0xFFFF;

/// One value. Strings that are not UTF-8 are read with replacement characters.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// amf0 §2.2
    Number(f64),
    /// amf0 §2.3
    Boolean(bool),
    /// amf0 §2.4, and long strings and XML documents
    String(String),
    /// amf0 §2.5, and typed objects without their class name
    Object(Vec<(String, Value)>),
    /// amf0 §2.7
    Null,
    /// amf0 §2.8
    Undefined,
    /// amf0 §2.10
    EcmaArray(Vec<(String, Value)>),
    /// amf0 §2.12
    StrictArray(Vec<Value>),
    /// amf0 §2.13: milliseconds of Unix time
    Date(f64),
    /// amf0 §2.15
    Unsupported,
}

/// Why bytes are not AMF0 values, or too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value ends before its last byte.
    #[error("amf0 value is cut short")]
    Short,
    /// A marker without a meaning here: references, movie clips, record sets, AMF3.
    #[error("amf0 marker {0:#04x} is not supported")]
    Marker(u8),
    /// More than [`DEPTH_MAX`] objects inside each other.
    #[error("amf0 values nest deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More than [`VALUES_MAX`].
    #[error("more than {VALUES_MAX} amf0 values in one message")]
    TooMany,
    /// More than [`BYTES_MAX`].
    #[error("amf0 message of {0} bytes is over the limit")]
    TooLong(usize),
}

/// Reads all values in `input`.
pub fn decode(input: &[u8]) -> Result<Vec<Value>, Error> {
    if input.len() > BYTES_MAX {
        return Err(Error::TooLong(input.len()));
    }
    let mut decoder = Decoder { input, values: 0 };
    let mut values = Vec::new();
    while !decoder.input.is_empty() {
        values.push(decoder.value(0)?);
    }
    Ok(values)
}

/// Writes `values` one after the other. Property names are cut at 65535 bytes.
pub fn encode(values: &[Value], output: &mut BytesMut) {
    for value in values {
        encode_value(value, output);
    }
}

impl Value {
    /// A string from text.
    pub fn string(text: &str) -> Self {
        Self::String(text.to_owned())
    }

    /// An object from names and values.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(
            properties
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<f64> {
        if let Self::Number(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The boolean, if this is one.
    pub fn as_boolean(&self) -> Option<bool> {
        if let Self::Boolean(boolean) = self {
            Some(*boolean)
        } else {
            None
        }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The named property, if this is an object or an ECMA array that has it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut properties = self.properties().iter();
        properties.find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// The properties of an object or an ECMA array; none of anything else.
    pub fn properties(&self) -> &[(String, Value)] {
        let (Self::Object(properties) | Self::EcmaArray(properties)) = self else {
            return &[];
        };
        properties
    }
}

/// Markers of amf0 §2.1.
mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
    pub(super) const STRICT_ARRAY: u8 = 10;
    pub(super) const DATE: u8 = 11;
    pub(super) const LONG_STRING: u8 = 12;
    pub(super) const UNSUPPORTED: u8 = 13;
    pub(super) const XML_DOCUMENT: u8 = 15;
    pub(super) const TYPED_OBJECT: u8 = 16;
}

struct Decoder<'a> {
    input: &'a [u8],
    values: usize,
}

impl Decoder<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Error::TooMany);
        }
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        let [kind] = self.array()?;
        Ok(match kind {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            marker::BOOLEAN => Value::Boolean(self.array()? != [0]),
            marker::STRING => Value::String(self.short_string()?),
            marker::OBJECT => Value::Object(self.properties(depth)?),
            marker::NULL => Value::Null,
            marker::UNDEFINED => Value::Undefined,
            marker::ECMA_ARRAY => {
                // amf0 §2.10: the count is a hint; the end marker ends the array.
                let _count: [u8; 4] = self.array()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            marker::STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                Value::StrictArray(
                    (0..count)
                        .map(|_| self.value(depth + 1))
                        .collect::<Result<_, _>>()?,
                )
            }
            marker::DATE => {
                let milliseconds = f64::from_be_bytes(self.array()?);
                // amf0 §2.13: the time zone is reserved.
                let _zone: [u8; 2] = self.array()?;
                Value::Date(milliseconds)
            }
            marker::LONG_STRING | marker::XML_DOCUMENT => {
                let length = u32::from_be_bytes(self.array()?);
                Value::String(self.text(usize::try_from(length).map_err(|_| Error::Short)?)?)
            }
            marker::UNSUPPORTED => Value::Unsupported,
            marker::TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.properties(depth)?)
            }
            other => return Err(Error::Marker(other)),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.short_string()?;
            if name.is_empty() && self.input.first() == Some(&marker::OBJECT_END) {
                take(&mut self.input, 1);
                return Ok(properties);
            }
            properties.push((name, self.value(depth + 1)?));
        }
    }

    fn short_string(&mut self) -> Result<String, Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(length.into())
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        let bytes = take(&mut self.input, length);
        if bytes.len() < length {
            return Err(Error::Short);
        }
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.input.split_first_chunk().ok_or(Error::Short)?;
        self.input = rest;
        Ok(*array)
    }
}

fn encode_value(value: &Value, output: &mut BytesMut) {
    match value {
        Value::Number(number) => {
            output.put_u8(marker::NUMBER);
            output.put_f64(*number);
        }
        Value::Boolean(boolean) => output.put_slice(&[marker::BOOLEAN, u8::from(*boolean)]),
        Value::String(text) => match u16::try_from(text.len()) {
            Ok(_) => {
                output.put_u8(marker::STRING);
                put_short_string(text, output);
            }
            Err(_) => {
                output.put_u8(marker::LONG_STRING);
                output.put_uint(text.len() as u64, 4);
                output.put_slice(text.as_bytes());
            }
        },
        Value::Object(properties) => {
            output.put_u8(marker::OBJECT);
            put_properties(properties, output);
        }
        Value::Null => output.put_u8(marker::NULL),
        Value::Undefined => output.put_u8(marker::UNDEFINED),
        Value::EcmaArray(properties) => {
            output.put_u8(marker::ECMA_ARRAY);
            output.put_uint(properties.len() as u64, 4);
            put_properties(properties, output);
        }
        Value::StrictArray(values) => {
            output.put_u8(marker::STRICT_ARRAY);
            output.put_uint(values.len() as u64, 4);
            encode(values, output);
        }
        Value::Date(milliseconds) => {
            output.put_u8(marker::DATE);
            output.put_f64(*milliseconds);
            output.put_u16(0);
        }
        Value::Unsupported => output.put_u8(marker::UNSUPPORTED),
    }
}

fn put_properties(properties: &[(String, Value)], output: &mut BytesMut) {
    for (name, value) in properties {
        put_short_string(name, output);
        encode_value(value, output);
    }
    put_short_string("", output);
    output.put_u8(marker::OBJECT_END);
}

fn put_short_string(text: &str, output: &mut BytesMut) {
    let (text, _) = text.split_at(text.floor_char_boundary(SHORT_STRING_MAX));
    output.put_uint(text.len() as u64, 2);
    output.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests;
