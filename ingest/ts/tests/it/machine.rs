//! The machine against hand-made streams.

use ts::{AudioCodec, Codec, Counters, Demux, Event, Limits, Medium, VideoCodec, scte35};

use crate::mux::{AAC, CUES, Mux, PMT, STREAMS, VIDEO, crc, slice, table};

fn run(limits: Limits, mux: &Mux) -> (Vec<Event>, Counters) {
    let mut demux = Demux::new(limits);
    demux.handle(&mux.bytes);
    demux.finish();
    (std::iter::from_fn(|| demux.poll()).collect(), demux.counters())
}

/// Events without the tables', and the counters.
fn media(mux: &Mux) -> (Vec<Event>, Counters) {
    let (mut events, counters) = run(Limits::default(), mux);
    events.retain(|event| !matches!(event, Event::Tracks(_)));
    (events, counters)
}

fn video(dts: u64, data: Vec<u8>) -> Event {
    let data = data.into();
    Event::Video {
        track: 0,
        codec: VideoCodec::H264,
        pts: dts + 3000,
        dts,
        key: false,
        data,
    }
}

#[test]
fn tracks_are_told_in_pmt_order_and_at_every_change() {
    let mut mux = Mux::with_program();
    mux.pat();
    mux.pmt(0, &STREAMS);
    mux.pmt(1, &STREAMS[2..3]);
    mux.pmt(
        1,
        &[
            &[0x81, 0xE1, 0x07, 0xF0, 0],
            &[0x06, 0xE1, 0x08, 0xF0, 0],
            STREAMS[0],
            STREAMS[0],
        ],
    );
    let (events, counters) = run(Limits::default(), &mux);
    let tracks: Vec<_> = events
        .iter()
        .map(|event| {
            let Event::Tracks(tracks) = event else {
                panic!("{event:?}")
            };
            tracks
                .iter()
                .map(|track| (track.track, track.pid, track.medium, track.codec))
                .collect::<Vec<_>>()
        })
        .collect();
    let h264 = (0, 0x100, Medium::Video, Codec::Video(VideoCodec::H264));
    let aac = (0, 0x102, Medium::Audio, Codec::Audio(AudioCodec::Aac));
    let all = vec![
        h264,
        (1, 0x101, Medium::Video, Codec::Video(VideoCodec::Hevc)),
        aac,
        (1, 0x103, Medium::Audio, Codec::Audio(AudioCodec::Opus)),
        (0, 0x104, Medium::Scte35, Codec::Scte35),
    ];
    let ac3 = (0, 0x107, Medium::Audio, Codec::Unsupported("AC-3"));
    assert_eq!(tracks, [all, vec![aac], vec![ac3, h264]]);
    assert_eq!(counters.streams_ignored, 2);
}

#[test]
fn streams_beyond_the_limit_are_counted() {
    let (events, counters) = run(
        Limits {
            pids_max: 2,
            ..Limits::default()
        },
        &Mux::with_program(),
    );
    assert!(matches!(&events[..], [Event::Tracks(tracks)] if tracks.len() == 2));
    assert_eq!(counters.streams_ignored, 3);
}

#[test]
fn a_new_pmt_with_the_same_stream_does_not_disturb_it() {
    let mut mux = Mux::with_program();
    mux.pes(VIDEO, Some((3000, 0)), &slice(100, 7));
    mux.pmt(1, &STREAMS[..1]);
    mux.packet(VIDEO, false, &[], &[8; 50]);
    let (events, counters) = media(&mux);
    assert_eq!(events, [video(0, [slice(100, 7), vec![8; 50]].concat())]);
    assert_eq!(counters.units_damaged, 0);
}

#[test]
fn only_the_first_program_is_followed_though_another_shares_its_pid() {
    let mut mux = Mux::default();
    mux.section(
        0,
        &table(0, 0, &[0, 1, 0xE0, 0x20, 0, 2, 0xE0, 0x20, 0, 3, 0xE0, 0x21]),
    );
    let mut other = table(2, 0, &[&[0xE1, 0, 0xF0, 0][..], STREAMS[4]].concat());
    other.truncate(other.len() - 4);
    other[4] = 2;
    other.extend(crc(&other).to_be_bytes());
    mux.section(PMT, &other);
    mux.pmt(0, &STREAMS[..1]);
    mux.section(PMT, &other);
    let (events, counters) = run(Limits::default(), &mux);
    assert!(matches!(&events[..], [Event::Tracks(tracks)] if tracks[0].pid == VIDEO));
    assert_eq!(counters.programs_ignored, 2);
}

#[test]
fn a_lost_packet_drops_its_unit_only_and_is_told() {
    let mut mux = Mux::with_program();
    mux.pes(VIDEO, Some((3000, 0)), &slice(100, 1));
    mux.pes(VIDEO, Some((6000, 3000)), &slice(100, 2));
    mux.lose(VIDEO, 2);
    mux.packet(VIDEO, false, &[], &[2; 50]);
    mux.pes(VIDEO, Some((9000, 6000)), &slice(100, 3));
    let (events, counters) = media(&mux);
    assert_eq!(
        events,
        [
            video(0, slice(100, 1)),
            Event::Discontinuity { pid: VIDEO },
            video(6000, slice(100, 3))
        ]
    );
    assert_eq!((counters.continuity_errors, counters.units_damaged), (1, 1));
}

#[test]
fn after_a_loss_nothing_leaves_until_a_time_arrives() {
    let mut mux = Mux::with_program();
    mux.pes(VIDEO, Some((3000, 0)), &slice(100, 1));
    mux.pes(VIDEO, Some((6000, 3000)), &slice(100, 2));
    mux.lose(VIDEO, 1);
    mux.pes(VIDEO, None, &slice(100, 3));
    mux.pes(VIDEO, Some((12_000, 9000)), &slice(100, 4));
    let (events, counters) = media(&mux);
    assert_eq!(
        events,
        [
            video(0, slice(100, 1)),
            Event::Discontinuity { pid: VIDEO },
            video(9000, slice(100, 4))
        ]
    );
    assert_eq!((counters.units_untimed, counters.pts_missing), (1, 1));
}

#[test]
fn duplicates_are_dropped_and_announced_jumps_are_no_errors() {
    let mut mux = Mux::with_program();
    mux.pes(VIDEO, Some((3000, 0)), &slice(100, 1));
    let again = mux.last().to_vec();
    mux.bytes.extend(again);
    mux.lose(VIDEO, 5);
    mux.pes(VIDEO, Some((6000, 3000)), &slice(100, 2));
    mux.last()[5] |= 0x80;
    let (events, counters) = media(&mux);
    assert_eq!(events, [video(0, slice(100, 1)), video(3000, slice(100, 2))]);
    assert_eq!((counters.duplicates, counters.continuity_errors), (1, 0));
}

#[test]
fn marked_packets_are_counted_and_dropped() {
    let mut mux = Mux::with_program();
    for (at, bit) in [(1, 0x80), (3, 0x80), (4, 0xFF)] {
        mux.pes(VIDEO, Some((3000, 0)), &slice(100, 1));
        mux.last()[at] |= bit;
    }
    mux.packet(0x1FFF, false, &[], &[0; 184]);
    let (events, counters) = media(&mux);
    assert_eq!(events, []);
    assert_eq!(
        (
            counters.transport_errors,
            counters.packets_scrambled,
            counters.packets_malformed,
            counters.packets
        ),
        (1, 1, 1, 6)
    );
}

#[test]
fn broken_tables_are_counted_and_change_nothing() {
    let mut mux = Mux::with_program();
    mux.pmt(1, &STREAMS[..1]);
    mux.last()[20] ^= 1;
    mux.section(PMT, &table(2, 2, &[0xE1, 0, 0xF0, 99]));
    let (events, counters) = run(Limits::default(), &mux);
    assert_eq!(events.len(), 1);
    assert_eq!((counters.crc_errors, counters.sections_malformed), (1, 1));
}

#[test]
fn pcrs_are_read_and_jumps_counted() {
    let mut mux = Mux::with_program();
    for base in [0_u8, 10, 20, 200, 10] {
        // 10 << 9 ticks of 90 kHz are 57 ms.
        mux.packet(VIDEO, false, &[0x10, 0, 0, base, 0, 0x7E, 7], &[]);
    }
    let (_, counters) = media(&mux);
    assert_eq!(counters.pcr, Some((10 << 9) * 300 + 7));
    assert_eq!((counters.pcr_jumps, counters.continuity_errors), (2, 0));
}

#[test]
fn cues_cross_packets_and_say_what_they_mean() {
    // scte35 §14.1's time_signal, made longer than a packet by a descriptor that is passed over.
    let mut section = vec![
        0xFC, 0x30, 0, 0, 0, 0, 0, 0, 10, 0xFF, 0xFF, 0xF0, 5, 6, 0xFE, 0x72, 0xBD, 0, 0x50, 0, 252,
    ];
    section.extend([0xF0, 250]);
    section.extend([1; 250]);
    section[2] = u8::try_from(section.len() + 4 - 259).unwrap();
    section[1] |= 1;
    section.extend(crc(&section).to_be_bytes());
    let mut mux = Mux::with_program();
    mux.section(CUES, &section);
    mux.section(CUES, &section);
    mux.last()[20] ^= 1;
    let (events, counters) = media(&mux);
    let splice = scte35::Splice {
        command: scte35::Command::TimeSignal,
        pts: Some(0x72BD_005A),
        segmentations: vec![],
    };
    assert_eq!(
        events,
        [Event::Cue {
            pid: CUES,
            section: section.into(),
            pts: Some(0x72BD_005A),
            splice
        }]
    );
    assert_eq!(counters.crc_errors, 1, "of the second");
}

#[test]
fn too_large_a_unit_is_dropped_and_told() {
    let mut mux = Mux::with_program();
    mux.pes(VIDEO, Some((3000, 0)), &slice(5000, 1));
    mux.pes(VIDEO, Some((6000, 3000)), &slice(100, 2));
    let (events, counters) = run(
        Limits {
            unit_bytes_max: 4000,
            ..Limits::default()
        },
        &mux,
    );
    assert_eq!(
        events[1..],
        [Event::Discontinuity { pid: VIDEO }, video(3000, slice(100, 2))]
    );
    assert_eq!(counters.units_oversize, 1);
}

#[test]
fn audio_config_comes_first_and_at_changes() {
    let frame = |rate: u8| [0xFF, 0xF1, 0x40 | rate << 2, 0x80, 0x01, 0x3F, 0xFC, 1, 2];
    let mut mux = Mux::with_program();
    mux.pes(AAC, Some((9000, 9000)), &[frame(3), frame(3), frame(4)].concat());
    let (events, _) = media(&mux);
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            if let Event::AudioConfig { config, .. } = event {
                return (0, config.to_vec());
            }
            let Event::Audio { pts, data, .. } = event else {
                panic!("{event:?}")
            };
            (*pts, data.to_vec())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (0, vec![0x11, 0x90]),
            (9000, vec![1, 2]),
            (10_920, vec![1, 2]),
            (0, vec![0x12, 0x10]),
            (12_840, vec![1, 2]),
        ]
    );
}
