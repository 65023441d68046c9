//! Init segments, named by their content.

use bytes::Bytes;
use hls::path::{Hash, Object};
use mp4_atom::{
    Dinf, Dref, DrefEntry, Encode as _, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex, Mvhd, Smhd, Stbl, Stco,
    Stsd, Tkhd, Trak, Trex, Url, Vmhd,
};
use sha2::{Digest as _, Sha256};

use crate::{Codec, Error, entry, language};

pub(crate) const TRACK_ID: u32 = 1;

/// An init segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
    /// First 64 bits of the bytes' SHA-256.
    pub hash: Hash,
}

impl Init {
    /// The init segment of a track with times in `timescale` ticks a second, which speaks `language` (RFC 5646).
    pub fn new(codec: &Codec, timescale: u32, language: Option<&str>) -> Result<Self, Error> {
        let mut bytes = Vec::with_capacity(1_024);
        let mut brands = vec![b"iso6".into(), b"cmfc".into(), b"mp41".into()];
        // AV1-ISOBMFF §2.1.
        if matches!(codec, Codec::Av1 { .. }) {
            brands.push(b"av01".into());
        }
        Ftyp {
            major_brand: b"iso6".into(),
            minor_version: 0,
            compatible_brands: brands,
        }
        .encode(&mut bytes)?;
        moov(codec, timescale, &language::code(language.unwrap_or_default()))?.encode(&mut bytes)?;
        Ok(named(bytes))
    }

    /// Its URI beside the media playlist.
    pub fn uri(&self) -> String {
        Object::Init(self.hash).uri()
    }
}

/// An init segment of these bytes.
pub(crate) fn named(bytes: Vec<u8>) -> Init {
    let digest = Sha256::digest(&bytes);
    let head = digest.first_chunk::<8>().expect("SHA-256 has 32 bytes");
    Init {
        bytes: bytes.into(),
        hash: Hash(u64::from_be_bytes(*head)),
    }
}

fn moov(codec: &Codec, timescale: u32, language: &str) -> Result<Moov, Error> {
    let mvhd = Mvhd {
        timescale,
        rate: 1.into(),
        volume: 1.into(),
        next_track_id: TRACK_ID + 1,
        ..Mvhd::default()
    };
    let trex = Trex {
        track_id: TRACK_ID,
        default_sample_description_index: 1,
        ..Trex::default()
    };
    Ok(Moov {
        mvhd,
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![trex],
        }),
        trak: vec![trak(codec, timescale, language)?],
        ..Moov::default()
    })
}

fn trak(codec: &Codec, timescale: u32, language: &str) -> Result<Trak, Error> {
    let is_video = codec.picture().is_some();
    let (width, height) = codec.picture().unwrap_or_default();
    let tkhd = Tkhd {
        track_id: TRACK_ID,
        enabled: true,
        in_movie: true,
        volume: u8::from(!is_video).into(),
        width: width.into(),
        height: height.into(),
        ..Tkhd::default()
    };
    let (handler, name) = if is_video {
        (b"vide", "video")
    } else {
        (b"soun", "audio")
    };
    let stbl = Stbl {
        stsd: Stsd {
            codecs: vec![entry::of(codec, timescale)?],
        },
        // A fragmented file has an empty sample table, which still needs a chunk offset box.
        stco: Some(Stco::default()),
        sgpd: entry::groups(codec),
        ..Stbl::default()
    };
    let minf = Minf {
        vmhd: is_video.then(Vmhd::default),
        smhd: (!is_video).then(Smhd::default),
        // An empty location: the media is in this very file.
        dinf: Dinf {
            dref: Dref {
                entries: vec![DrefEntry::Url(Url::default())],
            },
        },
        stbl,
        ..Minf::default()
    };
    let mdhd = Mdhd {
        timescale,
        language: language.into(),
        ..Mdhd::default()
    };
    let hdlr = Hdlr {
        handler: handler.into(),
        name: name.into(),
    };
    Ok(Trak {
        tkhd,
        mdia: Mdia { mdhd, hdlr, minf },
        ..Trak::default()
    })
}
