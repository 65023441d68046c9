use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::media::{AudioCodec, Framing, Stamp, VideoCodec, VideoFormat};

const MS: i64 = 1_000_000;

fn ticks(ms: i64) -> Stamp {
    let ticks = u64::from(u32::try_from(ms).unwrap());
    Stamp { ticks, nanos: 0 }
}

/// What a well-set encoder sends; a test spoils one thing.
#[derive(Clone, Copy)]
struct Encoder {
    frames_per_s: i64,
    gop_frames: i64,
    b_frames: i64,
    frame_bytes: usize,
    sound: bool,
    audio_config: [u8; 2],
    /// Milliseconds of arrival for a stamp.
    arrives: fn(i64) -> i64,
    /// Time stamp of the picture for a time.
    stamped: fn(i64) -> i64,
    /// The same of sound.
    sound_stamped: fn(i64) -> i64,
}

impl Encoder {
    const GOOD: Self = Self {
        frames_per_s: 30,
        gop_frames: 60,
        b_frames: 0,
        frame_bytes: 18_000,
        sound: true,
        audio_config: [0x11, 0x90],
        arrives: |ms| ms,
        stamped: |ms| ms,
        sound_stamped: |ms| ms,
    };

    /// Examined for `seconds`, with what it declared.
    fn examined(self, seconds: i64) -> Report {
        let mut exam = Exam::new(0, Clock::FLV);
        exam.declare(Declared {
            frames_per_s: Some(30.0),
            video_kbps: Some(4_500.0),
            audio_kbps: Some(160.0),
            ..Declared::default()
        });
        self.send(&mut exam, seconds);
        exam.report((self.arrives)(seconds * 1_000 - 1) * MS)
    }

    fn send(self, exam: &mut Exam, seconds: i64) {
        let codec = VideoCodec::H264;
        let format = VideoFormat {
            codec,
            framing: Framing::Record,
        };
        let config = Bytes::new();
        exam.take(
            0,
            &Media::VideoConfig {
                track: 0,
                format,
                config,
            },
        );
        let config = Bytes::copy_from_slice(&self.audio_config);
        let codec = AudioCodec::Aac;
        exam.take(
            0,
            &Media::AudioConfig {
                track: 0,
                codec,
                config,
            },
        );
        let mut sounds = 0;
        for n in 0..seconds * self.frames_per_s {
            let ms = n * 1_000 / self.frames_per_s;
            let arrival = (self.arrives)(ms) * MS;
            while self.sound && sounds * 64 / 3 <= ms {
                let pts = ticks((self.sound_stamped)(sounds * 64 / 3));
                let data = Bytes::from(vec![0; 427]);
                exam.take(arrival, &Media::Audio { track: 0, pts, data });
                sounds += 1;
            }
            // I b b P b b P: every anchor is sent before those shown ahead of it.
            let group = self.b_frames + 1;
            let shown = if n % group == 0 { group } else { 0 };
            exam.take(
                arrival,
                &Media::Video {
                    track: 0,
                    dts: ticks((self.stamped)(ms)),
                    composition_ns: shown * 1_000 * MS / self.frames_per_s,
                    key: n % self.gop_frames == 0,
                    data: Bytes::from(vec![0; self.frame_bytes]),
                },
            );
        }
    }
}

fn codes(report: &Report) -> Vec<(Severity, Code)> {
    report.findings.iter().map(|f| (f.severity, f.code)).collect()
}

#[test]
fn a_well_set_encoder_is_left_alone() {
    let report = Encoder::GOOD.examined(20);
    assert_eq!(codes(&report), [(Severity::Ok, Code::Healthy)], "{report:?}");
    let video = report.video.unwrap();
    assert_eq!(
        (video.frames_per_s, video.keyframe_interval_s, video.b_frames_max),
        (Some(30.0), Some(2.0), 0)
    );
    assert_eq!(video.kbps, Some(4_320.0));
    assert_eq!(
        (report.audio[0].sample_rate_hz, report.audio[0].kbps),
        (Some(48_000), Some(160.0))
    );
    let early = Encoder::GOOD.examined(2);
    assert_eq!(codes(&early), [(Severity::Ok, Code::Measuring)]);
}

#[test]
fn each_fault_is_named_with_its_cure() {
    let good = Encoder::GOOD;
    for (encoder, severity, code, says) in [
        (
            Encoder {
                gop_frames: 249,
                ..good
            },
            Severity::Warn,
            Code::KeyframeInterval,
            "Keyframe Interval is 8.3 s: set Settings > Output > Streaming > Keyframe Interval to 2 s",
        ),
        (
            Encoder {
                gop_frames: 90,
                ..good
            },
            Severity::Hint,
            Code::KeyframeInterval,
            "Keyframe Interval is 3.0 s",
        ),
        (
            Encoder { b_frames: 2, ..good },
            Severity::Hint,
            Code::BFrames,
            "B-frames are on: Tune zerolatency or Max B-frames 0 saves 67 ms",
        ),
        (
            Encoder {
                frame_bytes: 3_750,
                ..good
            },
            Severity::Warn,
            Code::VideoBitrate,
            "Bitrate 900 kb/s is far under the declared 4500 kb/s",
        ),
        (
            Encoder {
                frame_bytes: 36_000,
                ..good
            },
            Severity::Hint,
            Code::VideoBitrate,
            "far over the declared",
        ),
        (
            Encoder {
                frames_per_s: 20,
                gop_frames: 40,
                frame_bytes: 27_000,
                ..good
            },
            Severity::Warn,
            Code::FrameRate,
            "20.0 frames a second come of the declared 30",
        ),
        (
            Encoder {
                audio_config: [0x12, 0x10],
                ..good
            },
            Severity::Hint,
            Code::SampleRate,
            "Audio is 44.1 kHz: set Settings > Audio > Sample Rate to 48 kHz",
        ),
        (
            Encoder { sound: false, ..good },
            Severity::Fault,
            Code::NoSound,
            "Audio Mixer",
        ),
        (
            Encoder {
                arrives: |ms| ms - ms % 1_000 + 1_000,
                ..good
            },
            Severity::Warn,
            Code::Bursts,
            "up to 966 ms late",
        ),
        (
            Encoder {
                stamped: |ms| if ms < 9_000 { ms } else { ms + 3_600_000 },
                ..good
            },
            Severity::Warn,
            Code::Stamps,
            "1 jumps",
        ),
        (
            Encoder {
                stamped: |ms| if ms == 9_000 { ms - 90 } else { ms },
                ..good
            },
            Severity::Warn,
            Code::Stamps,
            "1 steps back",
        ),
        (
            Encoder {
                sound_stamped: |ms| ms + 900,
                ..good
            },
            Severity::Warn,
            Code::Interleave,
            "ms ahead of the picture",
        ),
    ] {
        let report = encoder.examined(20);
        let found = report.findings.iter().find(|finding| finding.code == code);
        let found = found.unwrap_or_else(|| panic!("{code:?} is not in {:?}", report.findings));
        assert_eq!(found.severity, severity, "{found:?}");
        assert!(found.text.contains(says), "{found:?}");
        let others = report
            .findings
            .iter()
            .filter(|f| f.code != code && f.code != Code::Interleave);
        assert_eq!(others.count(), 0, "{:?}", report.findings);
    }
}

#[test]
fn a_key_frame_that_is_late_is_missed_before_it_comes() {
    let report = Encoder {
        gop_frames: 100_000,
        ..Encoder::GOOD
    }
    .examined(8);
    let found = &report.findings[0];
    assert_eq!(
        (found.severity, found.code),
        (Severity::Warn, Code::KeyframeInterval)
    );
    assert!(
        found.text.starts_with("Keyframe Interval is over 8.0 s"),
        "{found:?}"
    );
}

#[test]
fn a_line_that_falls_silent_is_the_only_thing_to_say() {
    let mut exam = Exam::new(0, Clock::FLV);
    Encoder::GOOD.send(&mut exam, 10);
    let report = exam.report(14_000 * MS);
    assert_eq!(codes(&report), [(Severity::Fault, Code::Silence)]);
    assert_eq!(report.silent_s, 4.0);
    // Long after, nothing of the window is left.
    let video = exam.report(100_000 * MS).video.unwrap();
    assert_eq!((video.frames_per_s, video.kbps), (None, None));
}

#[test]
fn pictures_or_sound_that_stop_are_missed() {
    let mut exam = Exam::new(0, Clock::FLV);
    Encoder::GOOD.send(&mut exam, 10);
    for n in 0..150 {
        let (ms, data) = (10_000 + n * 20, Bytes::from_static(&[0; 400]));
        let pts = ticks(ms);
        exam.take(ms * MS, &Media::Audio { track: 0, pts, data });
    }
    let report = exam.report(12_990 * MS);
    assert_eq!(codes(&report), [(Severity::Fault, Code::NoPicture)]);
}

#[test]
fn drift_is_stated_after_a_minute_with_its_error() {
    // Sent 400 ppm fast; every third picture is held up by 60 ms.
    let late = |ms: i64| ms + i64::from(ms / 33 % 3 == 0) * 60;
    let fast = |ms: i64| ms + ms / 2_500;
    let encoder = Encoder {
        arrives: late,
        stamped: fast,
        sound_stamped: fast,
        ..Encoder::GOOD
    };
    assert_eq!(encoder.examined(50).drift, None);
    let report = encoder.examined(120);
    let drift = report.drift.unwrap();
    assert!(
        (drift.ppm - 400.0).abs() < 20.0 && drift.error_ppm < 20.0,
        "{drift:?}"
    );
    assert!(
        report.findings.iter().any(|f| f.code == Code::Drift),
        "{report:?}"
    );
    let steady = Encoder {
        arrives: late,
        ..Encoder::GOOD
    }
    .examined(120)
    .drift
    .unwrap();
    assert!(steady.ppm.abs() < 20.0, "{steady:?}");
}

#[test]
fn a_lossy_line_is_told_what_latency_it_wants() {
    let line = |second: u64, lost: u64, dropped: u64, rtt_ms: f64| Line {
        rtt_ms,
        packets_received: second * 1_000,
        packets_lost: second * lost,
        packets_retransmitted: second * lost,
        packets_dropped: second * dropped,
        latency_ms: 200,
    };
    for (lost, dropped, rtt, wanted) in [
        (0, 0, 20.0, None),
        (10, 0, 20.0, None),
        (
            0,
            0,
            167.0,
            Some((
                Severity::Hint,
                Code::Latency,
                "latency 200 ms is 1.2 x the round trip: raise it to 670 ms",
            )),
        ),
        (
            31,
            0,
            167.0,
            Some((Severity::Warn, Code::PacketLoss, "3.1 % of packets were lost")),
        ),
        (
            80,
            0,
            20.0,
            Some((
                Severity::Warn,
                Code::PacketLoss,
                "8.0 % of packets were lost and sent again; lower",
            )),
        ),
        (
            31,
            1,
            167.0,
            Some((
                Severity::Fault,
                Code::PacketLoss,
                "10 packets came too late to be shown; latency 200 ms",
            )),
        ),
    ] {
        let mut exam = Exam::new(0, Clock::FLV);
        Encoder::GOOD.send(&mut exam, 15);
        for second in 0..15 {
            exam.count(
                i64::try_from(second).unwrap() * 1_000 * MS,
                line(second, lost, dropped, rtt),
            );
        }
        let report = exam.report(15_000 * MS);
        let found = &report.findings[0];
        match wanted {
            Some((severity, code, says)) => {
                assert_eq!((found.severity, found.code), (severity, code), "{found:?}");
                assert!(found.text.contains(says), "{found:?}");
            }
            None => assert_eq!(found.code, Code::Healthy, "{found:?}"),
        }
    }
}

#[test]
fn memory_has_its_bounds() {
    let mut exam = Exam::new(0, Clock::FLV);
    for n in 0..40_000_u32 {
        let arrival = i64::from(n) * 1_000;
        let (track, data) = (u8::try_from(n % 200).unwrap(), Bytes::from_static(b"xy"));
        let pts = ticks(n.into());
        exam.take(
            arrival,
            &Media::Audio {
                track,
                pts,
                data: data.clone(),
            },
        );
        exam.take(
            arrival,
            &Media::Video {
                track: 0,
                dts: pts,
                composition_ns: 0,
                key: true,
                data,
            },
        );
    }
    let report = exam.report(40 * MS);
    assert_eq!((report.audio.len(), report.audio_passed_over), (SOUNDS_MAX, true));
    assert!(serde_json::to_string(&report).unwrap().len() < 8_000);
}

proptest! {
    #[test]
    fn whatever_comes_it_reports(
        units in prop::collection::vec(
            (0_u8..6, any::<u64>(), any::<u32>(), any::<i64>(), 0_i64..3_000_000_000), 0..120),
    ) {
        for clock in [Clock::FLV, Clock::MPEG] {
            let (mut exam, mut now) = (Exam::new(0, clock), 0);
            for (kind, number, nanos, composition_ns, step) in units.iter().copied() {
                now += step;
                let data = Bytes::copy_from_slice(&number.to_be_bytes());
                let stamp = Stamp { ticks: number, nanos };
                let track = u8::from(kind == 5);
                match kind {
                    0 | 5 => exam.take(now, &Media::Audio { track, pts: stamp, data }),
                    1 | 2 => exam.take(now, &Media::Video {
                        track: 0, dts: stamp, composition_ns, key: kind == 1, data,
                    }),
                    3 => exam.take(now, &Media::Lost),
                    _ => exam.count(now, Line {
                        rtt_ms: f64::from_bits(number), packets_received: number, packets_lost: nanos.into(),
                        packets_retransmitted: number / 3, packets_dropped: nanos.into(), latency_ms: number,
                    }),
                }
                let report = exam.report(now);
                prop_assert!(!report.findings.is_empty());
                prop_assert!(report.findings.iter().all(|f| !f.text.contains('\n') && f.text.len() < 300));
            }
        }
    }
}
