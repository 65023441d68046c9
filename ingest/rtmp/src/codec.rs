//! The codecs a publisher may use, and their FourCC codes.

/// Video that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VideoCodec {
    /// H.264, `avc1`; also by its old codec id.
    H264,
    /// H.265, `hvc1`.
    Hevc,
    /// AV1, `av01`.
    Av1,
    /// VP9, `vp09`.
    Vp9,
}

/// Audio that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AudioCodec {
    /// AAC, `mp4a`; also by its old sound format.
    Aac,
    /// Opus, `Opus`.
    Opus,
}

impl VideoCodec {
    /// Every one, in the order in which they are advertised.
    pub const ALL: [Self; 4] = [Self::H264, Self::Hevc, Self::Av1, Self::Vp9];

    /// ertmp, VideoFourCc.
    pub fn fourcc(self) -> &'static str {
        match self {
            Self::H264 => "avc1",
            Self::Hevc => "hvc1",
            Self::Av1 => "av01",
            Self::Vp9 => "vp09",
        }
    }

    /// The codec of a FourCC, if it is taken.
    pub fn from_fourcc(code: [u8; 4]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.fourcc().as_bytes() == code)
    }
}

impl AudioCodec {
    /// Every one, in the order in which they are advertised.
    pub const ALL: [Self; 2] = [Self::Aac, Self::Opus];

    /// ertmp, AudioFourCc.
    pub fn fourcc(self) -> &'static str {
        match self {
            Self::Aac => "mp4a",
            Self::Opus => "Opus",
        }
    }

    /// The codec of a FourCC, if it is taken.
    pub fn from_fourcc(code: [u8; 4]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.fourcc().as_bytes() == code)
    }
}

/// A FourCC as text; what is not printable ASCII becomes a question mark.
pub(crate) fn printable(code: [u8; 4]) -> String {
    code.iter()
        .map(|&byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '?'
            }
        })
        .collect()
}
