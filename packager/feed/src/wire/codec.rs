//! How a track's format looks in bytes: `u8 kind, bytes configuration`, then its picture or its channels.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{get_bytes, put_bytes};
use crate::message::Codec;

const H264: u8 = 1;
const AAC: u8 = 2;
const HEVC: u8 = 3;
const AV1: u8 = 4;
const OPUS: u8 = 5;

pub(super) fn put(codec: &Codec, out: &mut BytesMut) {
    let (kind, config) = match codec {
        Codec::H264 { config, .. } => (H264, config),
        Codec::Hevc { config, .. } => (HEVC, config),
        Codec::Av1 { config, .. } => (AV1, config),
        Codec::Aac { config, .. } => (AAC, config),
        Codec::Opus { config, .. } => (OPUS, config),
    };
    out.put_u8(kind);
    put_bytes(config, out);
    if let Some((width, height)) = codec.picture() {
        out.put_u32(width);
        out.put_u32(height);
    }
    if let Some(channels) = codec.channels() {
        out.put_u32(channels);
    }
}

pub(super) fn get(body: &mut Bytes) -> Option<Codec> {
    let kind = body.try_get_u8().ok()?;
    let config = get_bytes(body)?;
    let mut number = || body.try_get_u32().ok();
    Some(match kind {
        H264 => Codec::H264 {
            config,
            width: number()?,
            height: number()?,
        },
        HEVC => Codec::Hevc {
            config,
            width: number()?,
            height: number()?,
        },
        AV1 => Codec::Av1 {
            config,
            width: number()?,
            height: number()?,
        },
        AAC => Codec::Aac {
            config,
            channels: number()?,
        },
        OPUS => Codec::Opus {
            config,
            channels: number()?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Make = fn(Bytes, u32, u32) -> Codec;

    const FORMATS: [(u8, Make); 5] = [
        (H264, |config, width, height| Codec::H264 {
            config,
            width,
            height,
        }),
        (AAC, |config, channels, _| Codec::Aac { config, channels }),
        (HEVC, |config, width, height| Codec::Hevc {
            config,
            width,
            height,
        }),
        (AV1, |config, width, height| Codec::Av1 {
            config,
            width,
            height,
        }),
        (OPUS, |config, channels, _| Codec::Opus { config, channels }),
    ];

    fn read(bytes: &[u8]) -> (Option<Codec>, usize) {
        let mut body = Bytes::copy_from_slice(bytes);
        (get(&mut body), body.len())
    }

    #[test]
    fn an_unknown_format_is_malformed() {
        for kind in [0, 6, 255] {
            assert_eq!(
                read(&[kind, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]).0,
                None,
                "{kind}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_format_is_read_as_it_was_written(
            which in 0..FORMATS.len(),
            config in prop::collection::vec(any::<u8>(), 0..80),
            numbers in any::<(u32, u32)>(),
        ) {
            let (kind, make) = FORMATS[which];
            let codec = make(config.into(), numbers.0, numbers.1);
            let mut bytes = BytesMut::new();
            put(&codec, &mut bytes);
            prop_assert_eq!(bytes[0], kind, "kinds are what other versions know them as");
            prop_assert_eq!(codec.picture().is_some(), codec.channels().is_none());
            prop_assert_eq!(read(&bytes), (Some(codec), 0));
            for end in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..end]).0, None, "cut at {}", end);
            }
        }
    }
}
