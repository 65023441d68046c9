//! PAT and PMT: which PIDs carry what; iso13818-1 §2.4.4.

use crate::event::{AudioCodec, Codec, Language, Medium, VideoCodec};
use crate::opus;
use crate::packet::NULL_PID;

/// The PID of the PAT.
pub(crate) const PAT_PID: u16 = 0;
const PAT_TABLE: u8 = 0;
const PMT_TABLE: u8 = 2;
/// PIDs below are reserved for tables with fixed places.
const FIRST_FREE_PID: u16 = 0x10;

/// What a PAT says of its first programme.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pat {
    pub(crate) program: u16,
    pub(crate) pmt_pid: u16,
    pub(crate) programs: usize,
}

impl Pat {
    /// None if the section is not a PAT in force with a programme.
    pub(crate) fn parse(section: &[u8]) -> Option<Self> {
        let body = table_body(section, PAT_TABLE)?;
        let programs = body
            .as_chunks::<4>()
            .0
            .iter()
            .map(|[high, low, pid_high, pid_low]| {
                (
                    u16::from_be_bytes([*high, *low]),
                    u16::from_be_bytes([pid_high & 0x1F, *pid_low]),
                )
            });
        // Programme 0 is the network's own table.
        let programs: Vec<_> = programs
            .filter(|(program, pid)| *program != 0 && (FIRST_FREE_PID..NULL_PID).contains(pid))
            .collect();
        let (program, pmt_pid) = *programs.first()?;
        Some(Self {
            program,
            pmt_pid,
            programs: programs.len(),
        })
    }
}

/// What a PMT says of its programme.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pmt {
    pub(crate) program: u16,
    pub(crate) pcr_pid: u16,
    pub(crate) streams: Vec<Stream>,
}

/// One elementary stream of a PMT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) pid: u16,
    /// None for what is neither picture nor sound nor splice messages.
    pub(crate) kind: Option<(Medium, Codec)>,
    pub(crate) language: Option<Language>,
    /// The OpusHead, of Opus only.
    pub(crate) opus_head: Option<Vec<u8>>,
}

impl Pmt {
    /// None if the section is not a PMT in force, or its lengths contradict each other.
    pub(crate) fn parse(section: &[u8]) -> Option<Self> {
        let ([pcr_high, pcr_low, info_high, info_low], rest) =
            table_body(section, PMT_TABLE)?.split_first_chunk()?;
        let info = usize::from(u16::from_be_bytes([info_high & 0x0F, *info_low]));
        let mut rest = rest.get(info..)?;
        let mut streams = Vec::new();
        while let Some(([kind, pid_high, pid_low, len_high, len_low], after)) = rest.split_first_chunk() {
            let len = usize::from(u16::from_be_bytes([len_high & 0x0F, *len_low]));
            let (descriptors, after) = after.split_at_checked(len)?;
            streams.push(stream(
                u16::from_be_bytes([pid_high & 0x1F, *pid_low]),
                *kind,
                descriptors,
            ));
            rest = after;
        }
        let [_, _, _, program_high, program_low] = *section.first_chunk()?;
        Some(Self {
            program: u16::from_be_bytes([program_high, program_low]),
            pcr_pid: u16::from_be_bytes([pcr_high & 0x1F, *pcr_low]),
            streams,
        })
    }
}

/// What is between the header of a table that is in force and its CRC.
fn table_body(section: &[u8], table: u8) -> Option<&[u8]> {
    let ([id, _, _, _, _, version, ..], body) = section.split_first_chunk::<8>()?;
    let in_force = version & 1 == 1;
    let (body, _crc) = body.split_last_chunk::<4>()?;
    (*id == table && in_force).then_some(body)
}

/// The descriptors of a stream that tell its codec and language.
#[derive(Debug, Default)]
struct Hints {
    registration: [u8; 4],
    dvb: Option<&'static str>,
    opus_channels: Option<u8>,
    language: Option<Language>,
}

impl Hints {
    fn read(mut descriptors: &[u8]) -> Self {
        let mut hints = Self::default();
        while let Some(([tag, len], rest)) = descriptors.split_first_chunk() {
            let Some((body, rest)) = rest.split_at_checked(usize::from(*len)) else {
                break;
            };
            descriptors = rest;
            match (*tag, body) {
                (0x05, [a, b, c, d, ..]) => hints.registration = [*a, *b, *c, *d],
                (0x0A, [a, b, c, ..]) => hints.language = hints.language.or(Language::new([*a, *b, *c])),
                (0x6A, _) => hints.dvb = Some("AC-3"),
                (0x7A, _) => hints.dvb = Some("E-AC-3"),
                (0x7B, _) => hints.dvb = Some("DTS"),
                (0x7C, _) => hints.dvb = Some("AAC LATM"),
                // opus-ts: an extension descriptor of tag 0x80.
                (0x7F, [0x80, channels, ..]) => hints.opus_channels = Some(*channels),
                _ => {}
            }
        }
        hints
    }
}

fn stream(pid: u16, stream_type: u8, descriptors: &[u8]) -> Stream {
    let hints = Hints::read(descriptors);
    let mut kind = kind(stream_type, &hints);
    let mut opus_head = None;
    if kind == Some((Medium::Audio, Codec::Audio(AudioCodec::Opus))) {
        opus_head = hints.opus_channels.and_then(opus::head);
        if opus_head.is_none() {
            kind = unsupported(Medium::Audio, "Opus with unknown channels");
        }
    }
    Stream {
        pid,
        kind,
        language: hints.language,
        opus_head,
    }
}

fn unsupported(medium: Medium, name: &'static str) -> Option<(Medium, Codec)> {
    Some((medium, Codec::Unsupported(name)))
}

/// iso13818-1 table 2-34, and the numbers above 0x80 that ATSC, SCTE and others gave themselves.
fn kind(stream_type: u8, hints: &Hints) -> Option<(Medium, Codec)> {
    match stream_type {
        0x1B => Some((Medium::Video, Codec::Video(VideoCodec::H264))),
        0x24 => Some((Medium::Video, Codec::Video(VideoCodec::Hevc))),
        0x0F => Some((Medium::Audio, Codec::Audio(AudioCodec::Aac))),
        0x86 => Some((Medium::Scte35, Codec::Scte35)),
        0x01 => unsupported(Medium::Video, "MPEG-1 video"),
        0x02 | 0x80 => unsupported(Medium::Video, "MPEG-2 video"),
        0x10 => unsupported(Medium::Video, "MPEG-4 part 2"),
        0x21 => unsupported(Medium::Video, "JPEG 2000"),
        0x32 => unsupported(Medium::Video, "JPEG XS"),
        0x33 => unsupported(Medium::Video, "VVC"),
        0xD1 => unsupported(Medium::Video, "Dirac"),
        0xEA => unsupported(Medium::Video, "VC-1"),
        0x03 | 0x04 => unsupported(Medium::Audio, "MPEG audio (MP2)"),
        0x11 => unsupported(Medium::Audio, "AAC LATM"),
        0x1C => unsupported(Medium::Audio, "MPEG-4 audio without ADTS"),
        0x81 => unsupported(Medium::Audio, "AC-3"),
        0x82 | 0x85 | 0x8A => unsupported(Medium::Audio, "DTS"),
        0x87 => unsupported(Medium::Audio, "E-AC-3"),
        0x06 => private(hints),
        _ => None,
    }
}

/// Private data in PES packets: only descriptors tell what it is.
fn private(hints: &Hints) -> Option<(Medium, Codec)> {
    match &hints.registration {
        b"Opus" => Some((Medium::Audio, Codec::Audio(AudioCodec::Opus))),
        b"HEVC" => Some((Medium::Video, Codec::Video(VideoCodec::Hevc))),
        b"AC-3" => unsupported(Medium::Audio, "AC-3"),
        b"EAC3" => unsupported(Medium::Audio, "E-AC-3"),
        b"AC-4" => unsupported(Medium::Audio, "AC-4"),
        b"BSSD" => unsupported(Medium::Audio, "SMPTE 302M"),
        b"DTS1" | b"DTS2" | b"DTS3" => unsupported(Medium::Audio, "DTS"),
        b"AV01" => unsupported(Medium::Video, "AV1"),
        _ => hints.dvb.and_then(|name| unsupported(Medium::Audio, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(id: u8, body: &[u8]) -> Vec<u8> {
        let mut section = vec![id, 0xB0, 0, 0, 1, 0xC1, 0, 0];
        section.extend(body);
        section.extend([0; 4]);
        section
    }

    #[test]
    fn first_program_wins_and_the_network_is_none() {
        let pat = table(0, &[0, 0, 0xE0, 0x10, 0, 7, 0xE1, 0x00, 0, 8, 0xE2, 0x00]);
        assert_eq!(
            Pat::parse(&pat),
            Some(Pat {
                program: 7,
                pmt_pid: 0x100,
                programs: 2
            })
        );
        assert_eq!(Pat::parse(&table(0, &[0, 1, 0xE0, 0])), None, "the PAT is no PMT");
        let mut next = pat;
        next[5] = 0xC0;
        assert_eq!(Pat::parse(&next), None, "not in force yet");
    }

    #[test]
    fn codecs_by_type_and_descriptor() {
        let streams: &[&[u8]] = &[
            &[0xE1, 0x00, 0xF0, 0],
            &[0x1B, 0xE1, 0x00, 0xF0, 0],
            &[0x0F, 0xE1, 0x01, 0xF0, 6, 0x0A, 4, b'f', b'r', b'a', 0],
            &[
                0x06, 0xE1, 0x02, 0xF0, 10, 5, 4, b'O', b'p', b'u', b's', 0x7F, 2, 0x80, 2,
            ],
            &[0x06, 0xE1, 0x03, 0xF0, 6, 5, 4, b'A', b'C', b'-', b'3'],
            &[0x06, 0xE1, 0x04, 0xF0, 3, 0x7A, 1, 0],
            &[0x86, 0xE1, 0x05, 0xF0, 0],
            &[0x06, 0xE1, 0x06, 0xF0, 2, 0x56, 0],
        ];
        let pmt = Pmt::parse(&table(2, &streams.concat())).unwrap();
        assert_eq!((pmt.program, pmt.pcr_pid), (1, 0x100));
        let kinds: Vec<_> = pmt
            .streams
            .iter()
            .map(|stream| stream.kind.map(|(_, codec)| codec))
            .collect();
        assert_eq!(
            kinds,
            [
                Some(Codec::Video(VideoCodec::H264)),
                Some(Codec::Audio(AudioCodec::Aac)),
                Some(Codec::Audio(AudioCodec::Opus)),
                Some(Codec::Unsupported("AC-3")),
                Some(Codec::Unsupported("E-AC-3")),
                Some(Codec::Scte35),
                None,
            ]
        );
        assert_eq!(pmt.streams[1].language.unwrap().as_str(), "fra");
        assert_eq!(Pmt::parse(&table(2, &[0xE1, 0, 0xF0, 9])), None);
        assert_eq!(
            Pmt::parse(&table(2, &[0xE1, 0, 0xF0, 0, 0x1B, 0xE1, 0, 0xF0, 9])),
            None
        );
    }
}
