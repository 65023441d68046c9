use super::super::Ready;
use super::*;
use crate::media::{Framing, Stamp, VideoCodec};
use crate::sound;
use gst::prelude::*;
use gst_app::AppSink;

const CANVAS: (u32, u32) = (320, 180);

/// Codec configuration and units of a short encode.
fn encode(line: &str) -> (Bytes, Vec<(bool, Bytes)>) {
    crate::pipeline::init().unwrap();
    let line = format!("{line} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut config, mut units) = (Bytes::new(), Vec::new());
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(5)) {
        let data = sample
            .caps()
            .unwrap()
            .structure(0)
            .unwrap()
            .get::<gst::Buffer>("codec_data")
            .unwrap();
        config = Bytes::copy_from_slice(&data.map_readable().unwrap());
        let buffer = sample.buffer().unwrap();
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut unit = Bytes::copy_from_slice(&buffer.map_readable().unwrap());
        if line.contains("x264enc") {
            // Encoders behind RTMP tell their parameters in the configuration alone.
            unit = cmaf::sample::avc1(unit);
        }
        units.push((key, unit));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    (config, units)
}

fn video(width: u32, height: u32) -> (Bytes, Vec<(bool, Bytes)>) {
    encode(&format!(
        "videotestsrc pattern=white num-buffers=12 ! video/x-raw,format=I420,width={width},height={height},framerate=25/1 \
         ! x264enc tune=zerolatency byte-stream=false ! video/x-h264,stream-format=avc"
    ))
}

fn audio(rate: u32, frequency: u32) -> (Bytes, Vec<(bool, Bytes)>) {
    encode(&format!(
        "audiotestsrc freq={frequency} volume=0.25 num-buffers=40 samplesperbuffer=1024 \
         ! audio/x-raw,rate={rate},channels=1 ! avenc_aac ! audio/mpeg,mpegversion=4,stream-format=raw"
    ))
}

/// A publisher on a table: what it sends is stamped 40 ms or one AAC unit apart.
struct Bench {
    contribution: Arc<Contribution>,
    decoders: Decoders,
    start: Instant,
    video_ms: u32,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        let metrics = Metrics::new(&hls::id::StreamId::new("main").unwrap());
        let contribution = Arc::new(Contribution::new(start, 1, Clock::FLV, None, metrics.clone()));
        let decoders = Decoders::new(contribution.clone(), CANVAS, 1, Clock::FLV, metrics);
        Self {
            contribution,
            decoders,
            start,
            video_ms: 0,
        }
    }

    fn send(&mut self, at_ms: u32, media: Media) {
        self.decoders
            .handle(self.start + Duration::from_millis(at_ms.into()), media);
    }

    fn configure_video(&mut self, config: Bytes) {
        let format = VideoFormat {
            codec: VideoCodec::H264,
            framing: Framing::Record,
        };
        let track = 0;
        self.send(
            self.video_ms,
            Media::VideoConfig {
                track,
                format,
                config,
            },
        );
    }

    fn configure_audio(&mut self, at_ms: u32, config: Bytes) {
        let (track, codec) = (0, AudioCodec::Aac);
        self.send(at_ms, Media::AudioConfig { track, codec, config });
    }

    fn send_video(&mut self, units: &[(bool, Bytes)]) {
        for (key, data) in units.iter().cloned() {
            let media = Media::Video {
                track: 0,
                dts: stamp(self.video_ms),
                composition_ns: 0,
                key,
                data,
            };
            self.send(self.video_ms, media);
            self.video_ms += 40;
        }
    }

    fn send_audio(&mut self, from_ms: u32, rate: u32, units: &[(bool, Bytes)]) {
        for (n, (_, data)) in (0_u32..).zip(units.iter().cloned()) {
            let timestamp_ms = from_ms + n * 1_024_000 / rate;
            let (track, pts) = (0, stamp(timestamp_ms));
            self.send(timestamp_ms, Media::Audio { track, pts, data });
        }
    }

    /// Waits, at most 5 s, for what the decoders' own threads do.
    fn wait(&self, what: &str, state: impl Fn(&Ready) -> bool) {
        let until = Instant::now() + Duration::from_secs(5);
        while !state(&self.contribution.ready()) {
            assert!(Instant::now() < until, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn stamp(ms: u32) -> Stamp {
    Stamp {
        ticks: ms.into(),
        nanos: 0,
    }
}

/// Frequency of the left channel from `at_ms` of contribution time on: by the usual length of a wave, as silence
/// in between would hide behind a mean.
fn frequency(ready: &Ready, at_ms: u32) -> usize {
    let (mut reader, mut out) = (sound::Reader::default(), Vec::new());
    let missing = reader.read(&ready.sounds[0].ring, f64::from(at_ms) * 48.0, 24_000, &mut out);
    assert_eq!(missing, 0);
    let left: Vec<f32> = out.chunks(2).map(|pair| pair[0]).collect();
    let rises: Vec<usize> = (1..left.len())
        .filter(|n| left[n - 1] < 0.0 && left[*n] >= 0.0)
        .collect();
    let mut tens: Vec<usize> = rises.windows(11).map(|waves| waves[10] - waves[0]).collect();
    tens.sort_unstable();
    480_000 / tens[tens.len() / 2]
}

#[test]
fn another_resolution_in_mid_stream_is_only_a_cut() {
    let mut bench = Bench::new();
    for (width, height) in [(320, 180), (240, 320), (640, 360)] {
        let (avcc, units) = video(width, height);
        bench.configure_video(avcc);
        // Ten of each, so that all stay within what is kept.
        bench.send_video(&units[..10]);
    }
    bench.wait("all frames", |ready| ready.frames.len() == 30);
    let ready = bench.contribution.ready();
    let times: Vec<i64> = ready
        .frames
        .iter()
        .map(|(pts, _)| pts / 1_000_000 - 10_000)
        .collect();
    assert_eq!(times, (0..30).map(|n| n * 40).collect::<Vec<i64>>());
    for (n, (_, frame)) in ready.frames.iter().enumerate() {
        let pixels = frame.map_readable().unwrap();
        assert_eq!(pixels.size(), (CANVAS.0 * CANVAS.1 * 3 / 2) as usize);
        let line = 90 * CANVAS.0 as usize;
        let (edge, middle) = (pixels[line + 10], pixels[line + 160]);
        // The upright picture has bars at its sides.
        assert_eq!(
            (edge > 200, middle > 200),
            (!(10..20).contains(&n), true),
            "frame {n}: {edge} {middle}"
        );
    }
    assert!(ready.sounds[0].heard.is_none());
}

#[test]
fn after_a_stall_the_newest_pictures_are_decoded_and_not_the_oldest() {
    let mut bench = Bench::new();
    let (avcc, units) = video(640, 360);
    bench.configure_video(avcc);
    // Ten seconds in GOPs of half a second, all at once.
    for _ in 0..20 {
        bench.send_video(&units);
    }
    let last = (10_000 + i64::from(bench.video_ms) - 40) * 1_000_000;
    bench.wait("the last picture", |ready| {
        ready.frames.back().is_some_and(|(pts, _)| *pts == last)
    });
}

#[test]
fn sound_that_comes_late_and_changes_its_rate_keeps_its_pitch() {
    let mut bench = Bench::new();
    let (avcc, units) = video(320, 180);
    bench.configure_video(avcc);
    bench.send_video(&units);
    bench.wait("the picture", |ready| ready.frames.len() == 12);
    for (from_ms, rate) in [(480, 48_000), (1_400, 44_100)] {
        let (asc, units) = audio(rate, 1_000);
        bench.configure_audio(from_ms, asc);
        bench.send_audio(from_ms, rate, &units);
        let at_ms = 10_000 + from_ms + 200;
        bench.wait("the sound", |ready| {
            let (mut reader, mut out) = (sound::Reader::default(), Vec::new());
            reader.read(&ready.sounds[0].ring, f64::from(at_ms) * 48.0, 24_000, &mut out) == 0
        });
        let heard = frequency(&bench.contribution.ready(), at_ms);
        assert!(
            (990..=1_010).contains(&heard),
            "{rate}: 1 kHz sounds like {heard} Hz"
        );
    }
}

#[test]
fn garbage_in_place_of_frames_ends_with_the_next_key_frame() {
    let mut bench = Bench::new();
    let (avcc, units) = video(320, 180);
    // A unit before its configuration, and deltas before a key frame, mean nothing.
    bench.send_video(&units[..2]);
    bench.configure_video(avcc);
    bench.send_video(&units[1..3]);
    let junk = Bytes::from(vec![0xa5; 3_000]);
    bench.send_video(&[(true, junk.clone()), (false, junk.clone()), (false, Bytes::new())]);
    bench.configure_audio(0, Bytes::from_static(&[0x11, 0x90]));
    bench.send_audio(0, 48_000, &[(true, junk.clone()), (true, junk)]);
    bench.wait("nothing", |ready| ready.frames.is_empty());
    let from = bench.video_ms;
    let until = Instant::now() + Duration::from_secs(5);
    // A decoder that gave up is made anew after a second.
    while bench.contribution.ready().frames.is_empty() && Instant::now() < until {
        bench.send_video(&units);
        std::thread::sleep(Duration::from_millis(100));
    }
    bench.wait("the picture", |ready| {
        ready
            .frames
            .iter()
            .any(|(pts, _)| *pts >= i64::from(from) * 1_000_000)
    });
}
