//! What fuzzing runs, on stable by proptest and in `fuzz/` by libFuzzer.

use ts::{Demux, Event, Limits};

use crate::mux::{AAC, CUES, HEVC, Mux, OPUS, PMT, VIDEO};

/// Any bytes as a stream; the first tells how they are split.
pub(crate) fn stream(data: &[u8]) {
    let Some((split, rest)) = data.split_first() else {
        return;
    };
    drain(rest, usize::from(*split) + 1);
}

/// Any bytes as payload of packets: of each 20 the first two tell PID, unit start, discontinuity and continuity.
pub(crate) fn payloads(data: &[u8]) {
    let mut mux = Mux::with_program();
    for chunk in data.chunks(20) {
        let [control, loss, payload @ ..] = chunk else {
            break;
        };
        let pid = [VIDEO, HEVC, AAC, OPUS, CUES, PMT, 0, VIDEO][usize::from(control & 7)];
        if *loss > 250 {
            mux.lose(pid, *loss & 15);
        }
        let unit_start = control & 0x08 != 0;
        let times = (control & 0x10 != 0).then(|| (u64::from(*loss) << 25, u64::from(*control) << 25));
        if unit_start && control & 0x20 != 0 && pid >= VIDEO {
            mux.pes(pid, times, payload);
        } else {
            mux.packet(pid, unit_start, &[control & 0xD0, 0, 0, 0, 0, 0, *loss], payload);
        }
    }
    drain(&mux.bytes, 1316);
}

/// Any bytes as a splice message.
pub(crate) fn splice(data: &[u8]) {
    if let Ok(splice) = ts::scte35::parse(data) {
        assert!(splice.segmentations.len() <= ts::scte35::SEGMENTATIONS_MAX);
        assert!(splice.pts.is_none_or(|pts| pts < ts::TICKS_WRAP));
    }
}

fn drain(bytes: &[u8], split: usize) {
    let limits = Limits {
        unit_bytes_max: 2000,
        pids_max: 4,
        events_max: 8,
        ..Limits::default()
    };
    let mut demux = Demux::new(limits);
    for chunk in bytes.chunks(split) {
        demux.handle(chunk);
        check(&mut demux, limits);
    }
    demux.finish();
    check(&mut demux, limits);
    assert!(demux.counters().packets <= u64::try_from(bytes.len() / 188).unwrap());
}

fn check(demux: &mut Demux, limits: Limits) {
    let mut count = 0;
    while let Some(event) = demux.poll() {
        count += 1;
        match event {
            Event::Tracks(tracks) => assert!(tracks.len() <= limits.pids_max),
            Event::Video { pts, dts, data, .. } => {
                assert!(data.len() <= limits.unit_bytes_max && !data.is_empty());
                assert!(pts < ts::TICKS_WRAP && dts < ts::TICKS_WRAP);
            }
            Event::Audio { pts, data, .. } => assert!(pts < ts::TICKS_WRAP && !data.is_empty()),
            Event::Cue { section, .. } => assert!(section.len() <= limits.section_bytes_max),
            Event::VideoConfig { .. } | Event::AudioConfig { .. } | Event::Discontinuity { .. } => {}
        }
    }
    assert!(count <= limits.events_max + limits.pids_max);
}
