//! What a viewer would see and hear: units decoded back to pictures and samples.

use feed::{Codec, Track, Unit};
use gst::prelude::*;
use gst_app::{AppSink, AppSrc};

/// One decoded luma plane.
pub(crate) struct Luma {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Luma {
    pub(crate) fn at(&self, x: usize, y: usize) -> u8 {
        self.pixels[y * self.width + x]
    }

    /// The test clock's 20 bits.
    pub(crate) fn clock(&self) -> u64 {
        (0..20)
            .map(|bit| {
                let luma = self.at((2 * bit + 1) * self.width / 40, self.height / 24);
                assert!(!(64..=192).contains(&luma), "cell {bit} is {luma}");
                u64::from(luma > 128) << bit
            })
            .sum()
    }

    /// Whether the test clock is there: both bars beside each other at the edges of the scale.
    pub(crate) fn has_clock(&self) -> bool {
        let bits = (0..20).map(|bit| self.at((2 * bit + 1) * self.width / 40, self.height / 24));
        let (mut dark, mut light) = (false, false);
        for luma in bits {
            dark |= luma < 40;
            light |= luma > 200;
        }
        dark && light
    }

    /// A place that is plain in every picture of these tests: between the middle and any words.
    pub(crate) fn middle(&self) -> u8 {
        self.at(self.width / 2, self.height * 5 / 16)
    }

    /// The middle of the lower third.
    pub(crate) fn low(&self) -> u8 {
        self.at(self.width / 2, self.height * 5 / 6)
    }

    /// Lightest minus darkest.
    pub(crate) fn spread(&self) -> u8 {
        self.pixels.iter().max().unwrap() - self.pixels.iter().min().unwrap()
    }

    /// Mean of the whole picture.
    pub(crate) fn mean(&self) -> f64 {
        self.pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / self.pixels.len() as f64
    }
}

/// Decodes a run of units that starts with a key frame; gives one picture for each.
pub(crate) fn pictures(track: &Track, units: &[Unit]) -> Vec<Luma> {
    let Codec::H264 {
        config,
        width,
        height,
    } = &track.codec
    else {
        panic!("not a video track")
    };
    let caps = gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("codec_data", gst::Buffer::from_slice(config.clone()))
        .build();
    let line = "appsrc name=in format=time max-bytes=0 ! h264parse ! avdec_h264 max-threads=1 ! videoconvert \
                ! video/x-raw,format=GRAY8 ! appsink name=out sync=false";
    let (width, height) = (*width as usize, *height as usize);
    run(line, caps, units)
        .into_iter()
        .map(|bytes| {
            let stride = bytes.len() / height;
            let pixels = bytes
                .chunks(stride)
                .flat_map(|row| row[..width].iter().copied())
                .collect();
            Luma {
                width,
                height,
                pixels,
            }
        })
        .collect()
}

/// Decodes AAC units to the left channel.
pub(crate) fn sound(track: &Track, units: &[Unit]) -> Vec<f32> {
    let Codec::Aac { config, .. } = &track.codec else {
        panic!("not an audio track")
    };
    let caps = gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4)
        .field("stream-format", "raw")
        .field("framed", true)
        .field("rate", 48_000)
        .field("channels", 2)
        .field("codec_data", gst::Buffer::from_slice(config.clone()))
        .build();
    let line = "appsrc name=in format=time max-bytes=0 ! aacparse ! avdec_aac ! audioconvert \
                ! audio/x-raw,format=F32LE,layout=interleaved,channels=2 ! appsink name=out sync=false";
    let bytes: Vec<u8> = run(line, caps, units).concat();
    bytes
        .chunks_exact(8)
        .map(|pair| f32::from_le_bytes(pair[..4].try_into().unwrap()))
        .collect()
}

fn run(line: &str, caps: gst::Caps, units: &[Unit]) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(line)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<AppSink>().unwrap();
    source.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing).unwrap();
    for (n, unit) in units.iter().enumerate() {
        let mut buffer = gst::Buffer::from_slice(unit.data.clone());
        buffer
            .get_mut()
            .unwrap()
            .set_pts(gst::ClockTime::from_mseconds(33 * n as u64));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let mut decoded = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(10)) {
        decoded.push(sample.buffer().unwrap().map_readable().unwrap().to_vec());
    }
    assert!(sink.is_eos(), "decoder went on for too long");
    pipeline.set_state(gst::State::Null).unwrap();
    decoded
}
