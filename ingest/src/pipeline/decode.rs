//! A contribution's decoders: one disposable branch for its picture, one for its sound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};
use gst_video::VideoCaptionMeta;

use super::{SOUND_CAPS, build_error, element, parse, watch_errors};
use crate::error::Error;
use crate::media::{AudioCodec, Framing, VideoCodec, VideoFormat};

const NAME: &str = "decode";
/// Access units that may wait for a decoder: two seconds of 60 fps.
pub(crate) const UNITS_MAX: u64 = 120;

/// One coded frame, timed in nanoseconds of contribution time.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    /// Units before it are missing.
    pub(crate) after_loss: bool,
    pub(crate) data: Bytes,
}

impl Coded {
    /// A unit that follows the one before.
    pub(crate) fn new(pts: i64, dts: i64, data: Bytes) -> Self {
        Self {
            pts,
            dts,
            after_loss: false,
            data,
        }
    }
}

/// One decoder. Dropping it stops it; a fault in it is its own.
#[derive(Debug)]
pub(crate) struct Branch {
    pipeline: gst::Pipeline,
    source: AppSrc,
    /// Decoding times of the units that wait.
    waiting: VecDeque<i64>,
    failed: Arc<AtomicBool>,
}

impl Branch {
    /// Any picture to I420 of the canvas, padded where the shape differs.
    pub(crate) fn video(
        format: VideoFormat,
        config: &Bytes,
        canvas: (u32, u32),
        take: impl FnMut(i64, gst::Buffer) + Send + 'static,
    ) -> Result<Self, Error> {
        let (width, height) = canvas;
        let decoder = video_decoder(format.codec);
        let line = format!(
            "appsrc name=picture format=time block=false max-bytes=0 max-buffers={UNITS_MAX} ! {decoder} \
             ! deinterlace mode=auto fields=top ! videoconvertscale add-borders=true \
             ! video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,colorimetry=bt709 \
             ! appsink name=out {SINK}"
        );
        Self::play(&line, "picture", &video_caps(format, config), take)
    }

    /// Any sound to the stream's sample format.
    pub(crate) fn audio(
        codec: AudioCodec,
        config: &Bytes,
        take: impl FnMut(i64, gst::Buffer) + Send + 'static,
    ) -> Result<Self, Error> {
        let decoder = match codec {
            AudioCodec::Aac => "aacparse ! avdec_aac",
            AudioCodec::Opus => "opusdec plc=false",
        };
        let line = format!(
            "appsrc name=sound format=time block=false max-bytes=0 max-buffers={UNITS_MAX} ! {decoder} \
             ! audioconvert ! audioresample ! {SOUND_CAPS} ! appsink name=out {SINK}"
        );
        Self::play(&line, "sound", &audio_caps(codec, config), take)
    }

    /// Another resolution or profile from the next unit on.
    pub(crate) fn reconfigure(&self, format: VideoFormat, config: &Bytes) {
        self.source.set_caps(Some(&video_caps(format, config)));
    }

    /// Hands on a unit; the caller looks at [`Branch::depth`] first.
    pub(crate) fn push(&mut self, coded: Coded) {
        self.waiting.push_back(coded.dts);
        let mut buffer = gst::Buffer::from_slice(coded.data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time(coded.pts));
            buffer.set_dts(time(coded.dts));
            if coded.after_loss {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        if self.source.push_buffer(buffer).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.forget_taken();
    }

    /// Nanoseconds from the oldest unit that waits to `dts`.
    pub(crate) fn behind(&mut self, dts: i64) -> i64 {
        self.forget_taken();
        self.waiting.front().map_or(0, |oldest| dts - oldest)
    }

    fn forget_taken(&mut self) {
        let depth = usize::try_from(self.depth()).unwrap_or(usize::MAX);
        let taken = self.waiting.len().saturating_sub(depth);
        self.waiting.drain(..taken);
    }

    /// Units that wait.
    pub(crate) fn depth(&self) -> u64 {
        self.source.current_level_buffers()
    }

    /// Whether the decoder gave up and has to be made anew.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// `source` is the name of the appsrc, and so of its thread.
    fn play(
        line: &str,
        source: &str,
        caps: &gst::Caps,
        mut take: impl FnMut(i64, gst::Buffer) + Send + 'static,
    ) -> Result<Self, Error> {
        let pipeline = parse(NAME, line)?;
        let source: AppSrc = element(NAME, &pipeline, source)?;
        let sink: AppSink = element(NAME, &pipeline, "out")?;
        source.set_caps(Some(caps));
        let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            if let Some((pts, buffer)) = decoded(&sample) {
                take(pts, buffer);
            }
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        let failed = Arc::new(AtomicBool::new(false));
        let flag = failed.clone();
        watch_errors(&pipeline, move |element, reason| {
            tracing::warn!(element, error = reason, "decoder failed");
            flag.store(true, Ordering::Relaxed);
        });
        let branch = Self {
            pipeline,
            source,
            waiting: VecDeque::new(),
            failed,
        };
        branch
            .pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| build_error(NAME, &e))?;
        Ok(branch)
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        if let Err(e) = self.pipeline.set_state(gst::State::Null) {
            tracing::warn!(error = %e, "decoder did not stop cleanly");
        }
    }
}

const SINK: &str = "sync=false async=false enable-last-sample=false max-buffers=8";

/// One thread each: more of them hold back a frame apiece.
fn video_decoder(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264parse ! avdec_h264 max-threads=1 output-corrupt=false",
        VideoCodec::Hevc => "h265parse ! avdec_h265 max-threads=1 output-corrupt=false",
        VideoCodec::Av1 => "av1parse ! av1dec",
        VideoCodec::Vp9 => "vp9dec",
    }
}

fn video_caps(format: VideoFormat, config: &Bytes) -> gst::Caps {
    let (name, record, start_codes) = match format.codec {
        VideoCodec::H264 => ("video/x-h264", "avc", "byte-stream"),
        VideoCodec::Hevc => ("video/x-h265", "hvc1", "byte-stream"),
        VideoCodec::Av1 => ("video/x-av1", "obu-stream", "obu-stream"),
        VideoCodec::Vp9 => return gst::Caps::builder("video/x-vp9").build(),
    };
    let alignment = if format.codec == VideoCodec::Av1 {
        "tu"
    } else {
        "au"
    };
    let caps = gst::Caps::builder(name).field("alignment", alignment);
    match format.framing {
        Framing::StartCodes => caps.field("stream-format", start_codes).build(),
        Framing::Record => {
            let caps = caps.field("stream-format", record);
            caps.field("codec_data", gst::Buffer::from_slice(config.clone()))
                .build()
        }
    }
}

fn audio_caps(codec: AudioCodec, config: &Bytes) -> gst::Caps {
    let header = gst::Buffer::from_slice(config.clone());
    match codec {
        AudioCodec::Aac => gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4)
            .field("stream-format", "raw")
            .field("framed", true)
            .field("codec_data", header)
            .build(),
        AudioCodec::Opus => {
            // RFC 7845 §5.1: channels and mapping family at fixed places of the header.
            let byte = |at: usize| i32::from(config.get(at).copied().unwrap_or(0));
            let channels = byte(9).max(1);
            gst::Caps::builder("audio/x-opus")
                .field("rate", 48_000)
                .field("channels", channels)
                .field("channel-mapping-family", 0)
                .field("stream-count", 1)
                .field("coupled-count", channels - 1)
                .field("streamheader", gst::Array::new([header]))
                .build()
        }
    }
}

fn time(ns: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(0))
}

fn decoded(sample: &gst::Sample) -> Option<(i64, gst::Buffer)> {
    let mut buffer = sample.buffer_owned()?;
    // They go a way of their own; an encoder that knows them would write those of a repeated frame twice.
    while buffer.meta::<VideoCaptionMeta>().is_some() {
        buffer.make_mut().meta_mut::<VideoCaptionMeta>()?.remove().ok()?;
    }
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time_full(buffer.pts()?)?.positive()?;
    Some((i64::try_from(running.nseconds()).ok()?, buffer))
}
