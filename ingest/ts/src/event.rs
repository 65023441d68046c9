//! What comes out of the machine.

use std::fmt;

use bytes::Bytes;

use crate::scte35;

/// One thing that the bytes said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The programme is new or changed, in version or in content: all its tracks, in the PMT's order.
    /// A track that is listed as before goes on undisturbed, and its configuration is not told again.
    Tracks(Vec<Track>),
    /// The parameter sets of a video track, before the first unit that carried them and at every change.
    VideoConfig {
        /// Index among the video tracks.
        track: u8,
        /// What `config` is for.
        codec: VideoCodec,
        /// VPS (HEVC only), SPS and PPS in Annex B form with four-byte start codes.
        config: Bytes,
    },
    /// One access unit.
    Video {
        /// Index among the video tracks.
        track: u8,
        /// What `data` is.
        codec: VideoCodec,
        /// When to show it: 90 kHz ticks, 33 bits, not unwrapped.
        pts: u64,
        /// When to decode it: 90 kHz ticks, 33 bits, not unwrapped.
        dts: u64,
        /// Decoding can start here. H.264: IDR, or a recovery point SEI that recovers at once in a unit that the muxer
        /// marked with random_access_indicator (open GOP). HEVC: IDR, CRA and BLA.
        key: bool,
        /// Annex B bytes as they came, in-band parameter sets included.
        data: Bytes,
    },
    /// The configuration of an audio track, before its first frame and at every change.
    AudioConfig {
        /// Index among the audio tracks.
        track: u8,
        /// What `config` is for.
        codec: AudioCodec,
        /// AAC: the two bytes of an AudioSpecificConfig. Opus: an OpusHead without pre-skip.
        config: Bytes,
    },
    /// One audio frame.
    Audio {
        /// Index among the audio tracks.
        track: u8,
        /// What `data` is.
        codec: AudioCodec,
        /// When to play it: 90 kHz ticks, 33 bits, not unwrapped.
        pts: u64,
        /// A raw AAC frame without ADTS header, or an Opus packet.
        data: Bytes,
    },
    /// A SCTE-35 message whose CRC is right.
    Cue {
        /// Where it came from.
        pid: u16,
        /// The whole splice_info_section.
        section: Bytes,
        /// When it takes effect (pts_time + pts_adjustment, 33 bits), where it says so in the clear.
        pts: Option<u64>,
        /// What it says.
        splice: scte35::Splice,
    },
    /// Packets of a track were lost, or a unit was too large; the unit they belonged to was dropped.
    Discontinuity {
        /// The track's PID.
        pid: u16,
    },
}

/// One elementary stream of the programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Index among the tracks of the same medium, in the PMT's order.
    pub track: u8,
    /// The PID of its packets.
    pub pid: u16,
    /// Picture, sound or splice messages.
    pub medium: Medium,
    /// How it is coded.
    pub codec: Codec,
    /// From the ISO 639 descriptor.
    pub language: Option<Language>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Picture.
    Video,
    /// Sound.
    Audio,
    /// Splice messages.
    Scte35,
}

/// How a track is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Comes out as [`Event::Video`].
    Video(VideoCodec),
    /// Comes out as [`Event::Audio`].
    Audio(AudioCodec),
    /// Comes out as [`Event::Cue`].
    Scte35,
    /// Recognised by name only; nothing of it comes out.
    Unsupported(&'static str),
}

/// Video codecs whose units are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, AVC.
    H264,
    /// H.265, HEVC.
    Hevc,
}

/// Audio codecs whose frames are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC in ADTS.
    Aac,
    /// Opus.
    Opus,
}

/// An ISO 639-2 code of three letters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Language([u8; 3]);

impl Language {
    /// The code, if it is three ASCII letters.
    pub fn new(code: [u8; 3]) -> Option<Self> {
        code.iter().all(u8::is_ascii_alphabetic).then_some(Self(code))
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("new takes ASCII letters only")
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happened since the machine was made; everything only rises, except `pcr`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets taken, whatever became of them.
    pub packets: u64,
    /// Packets whose continuity counter told that others are missing.
    pub continuity_errors: u64,
    /// Packets sent twice, as iso13818-1 §2.4.3.3 allows; the second is dropped.
    pub duplicates: u64,
    /// Times that a packet did not begin with 0x47 where it had to.
    pub sync_losses: u64,
    /// Bytes skipped while looking for packets.
    pub bytes_skipped: u64,
    /// Packets with transport_error_indicator, dropped.
    pub transport_errors: u64,
    /// Packets whose header contradicts itself, dropped.
    pub packets_malformed: u64,
    /// Scrambled packets, dropped.
    pub packets_scrambled: u64,
    /// Sections with a wrong CRC, dropped.
    pub crc_errors: u64,
    /// Sections longer than the limit, dropped.
    pub sections_oversize: u64,
    /// Sections with a right CRC and wrong content, dropped.
    pub sections_malformed: u64,
    /// Programmes of the PAT besides the first, at the last change of the PAT.
    pub programs_ignored: u64,
    /// Streams of the PMT that are not followed: data, private, repeated PIDs, more than the limit; summed over changes.
    pub streams_ignored: u64,
    /// PES packets whose header was unusable, dropped.
    pub pes_malformed: u64,
    /// PES packets shorter than they said, without a loss of packets; used as they are.
    pub pes_short: u64,
    /// Units and partial units dropped because packets of them were lost.
    pub units_damaged: u64,
    /// Units dropped because they were too large.
    pub units_oversize: u64,
    /// Units dropped because their time is unknown.
    pub units_untimed: u64,
    /// Times that audio bytes were skipped because no frame began where one had to.
    pub audio_resyncs: u64,
    /// Audio frames that cannot be separated or are empty, dropped.
    pub audio_malformed: u64,
    /// PES packets without PTS (allowed, iso13818-1 §2.7.4, up to 0.7 s apart).
    pub pts_missing: u64,
    /// Video units without a time of their own, counted on from the unit before.
    pub timestamps_derived: u64,
    /// Events dropped because the owner did not drain the queue.
    pub events_dropped: u64,
    /// The last PCR: 27 MHz ticks, 33 bits times 300.
    pub pcr: Option<u64>,
    /// PCRs that went back or were more than 100 ms (iso13818-1 §2.7.2) after the one before, unannounced.
    pub pcr_jumps: u64,
}
