//! The long-lived ladder: raw frames and samples in, access units of every rung out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};

use super::encoder::{Kind, begin_at_keys};
use super::scale::SCALE;
use super::{SOUND_CAPS, build_error, element, parse, picture_caps, thumbnail, watch_errors};
use crate::branch::{Branch, Pass};
use crate::error::Error;
use crate::ladder::Plan;
use crate::shed;

const NAME: &str = "ladder";
/// Raw frames that may wait; two seconds at 30 fps covers a machine's hiccup, more would only hide overload.
pub(crate) const FRAMES_MAX: u64 = 60;
/// One coded frame as an encoder gave it.
#[derive(Debug)]
pub(crate) struct Coded {
    /// Running time, nanoseconds since the ladder's first frame.
    pub(crate) running_ns: u64,
    pub(crate) key: bool,
    /// As a sample of its track.
    pub(crate) data: Bytes,
    /// Decoder configuration; none where this unit does not tell it: of AV1 only key frames do.
    pub(crate) config: Option<Bytes>,
}

/// An appsrc for the picture, one for each audio rendition, and what hangs on them.
#[derive(Debug)]
pub(crate) struct Ladder {
    pipeline: gst::Pipeline,
    video: AppSrc,
    /// One for each audio rendition.
    sounds: Vec<AppSrc>,
}

impl Ladder {
    /// Builds everything and starts nothing; `encoders` has a kind for each rung.
    pub(crate) fn new(plan: &Plan, encoders: &[Kind]) -> Result<Self, Error> {
        let pipeline = parse(NAME, &launch_line(plan, encoders))?;
        for (index, _) in encoders.iter().enumerate().filter(|(_, kind)| kind.begins_anew()) {
            begin_at_keys(&element(NAME, &pipeline, &encoder_name(index))?);
        }
        let sounds = 0..plan.sounds.len();
        let sounds = sounds.map(|track| element(NAME, &pipeline, &format!("audio{track}")));
        Ok(Self {
            video: element(NAME, &pipeline, "video")?,
            sounds: sounds.collect::<Result<_, _>>()?,
            pipeline,
        })
    }

    /// Sends what track `index` gives to `take`, which is called on the encoder's thread.
    pub(crate) fn on_coded(
        &self,
        index: usize,
        mut take: impl FnMut(Coded) + Send + 'static,
    ) -> Result<(), Error> {
        let sink: AppSink = element(NAME, &self.pipeline, &format!("out{index}"))?;
        let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let coded = coded(&sample).ok_or(gst::FlowError::Error)?;
            take(coded);
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_callbacks(callbacks.build());
        Ok(())
    }

    /// Sends a JPEG of the smallest rung's picture to `take` every 2 s, and the running time of its frame, nanoseconds.
    pub(crate) fn on_thumbnail(&self, take: impl Fn(u64, Bytes) + Send + 'static) -> Result<(), Error> {
        thumbnail::on_jpeg(&self.pipeline, NAME, take)
    }

    /// Puts `branch` around the encoder of rung `index`: it says what goes in, and sees what comes out.
    pub(crate) fn watch(&self, index: usize, branch: Arc<Branch>) -> Result<(), Error> {
        let encoder: gst::Element = element(NAME, &self.pipeline, &encoder_name(index))?;
        let pad = |name| {
            let pad = encoder.static_pad(name);
            pad.ok_or_else(|| build_error(NAME, &format!("encoder{index} has no pad `{name}`")))
        };
        let (sink, src) = (pad("sink")?, pad("src")?);
        let gate = branch.clone();
        // What is dropped is taken and called handled: GStreamer 1.22 warns of a buffer that a probe drops.
        sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let running = info.buffer().and_then(|buffer| buffer.pts());
            match gate.gate(running.unwrap_or_default().nseconds()) {
                Pass::Yes => gst::PadProbeReturn::Ok,
                Pass::Key => {
                    // Refused only while shutting down.
                    let _refused = pad.send_event(key_event());
                    gst::PadProbeReturn::Ok
                }
                Pass::No => {
                    info.data = None;
                    gst::PadProbeReturn::Handled
                }
            }
        });
        let keys = branch.clone();
        sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            // A shed encoder would heap them up, and begin with as many key frames.
            let is_key = info
                .event()
                .is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event));
            if is_key && !keys.passes_keys() {
                info.data = None;
                gst::PadProbeReturn::Handled
            } else {
                gst::PadProbeReturn::Ok
            }
        });
        src.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            branch.encoded();
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Starts the encoders; `failed` hears of every error from then on.
    pub(crate) fn play(&self, failed: impl Fn(Error) + Send + Sync + 'static) -> Result<(), Error> {
        watch_errors(&self.pipeline, move |element, reason| {
            failed(Error::Ladder { element, reason })
        });
        self.pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| build_error(NAME, &e))?;
        Ok(())
    }

    /// Frames that wait for the encoders.
    pub(crate) fn depth(&self) -> u64 {
        let sources = std::iter::once(&self.video).chain(&self.sounds);
        sources.map(AppSrc::current_level_buffers).max().unwrap_or(0)
    }

    /// Makes the next frame a key frame in every rung.
    pub(crate) fn force_key(&self) {
        // Refused only while shutting down, where no frame follows either.
        let _refused = self.video.send_event(key_event());
    }

    /// Hands on a frame; false once the ladder is going down.
    pub(crate) fn push_frame(&self, frame: gst::Buffer) -> bool {
        self.video.push_buffer(frame).is_ok()
    }

    /// Hands on one frame's worth of sound of a rendition; false once the ladder is going down.
    pub(crate) fn push_sound(&self, rendition: usize, sound: gst::Buffer) -> bool {
        let source = self.sounds.get(rendition);
        source.is_some_and(|source| source.push_buffer(sound).is_ok())
    }

    /// Stops the encoders; what they still held is lost.
    pub(crate) fn stop(&self) {
        if let Err(e) = self.pipeline.set_state(gst::State::Null) {
            tracing::warn!(error = %e, "ladder did not stop cleanly");
        }
    }
}

impl Drop for Ladder {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn key_event() -> gst::Event {
    gst_video::DownstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build()
}

/// Never in anybody's way: one picture may wait, and an older one gives way to a newer.
fn thumbnails(plan: &Plan, last: usize) -> String {
    format!(
        "t{last}. ! queue name=thumbnails leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 \
         ! videorate drop-only=true ! video/x-raw,framerate=1/2 ! {}",
        thumbnail::elements(plan, SINK)
    )
}

fn encoder_name(index: usize) -> String {
    format!("encoder{index}")
}

/// The rung whose encoder is called `element`.
pub(crate) fn rung_of(element: &str) -> Option<usize> {
    element.strip_prefix("encoder")?.parse().ok()
}

/// Queues have names, and so do their threads: an operator and `deploy/bench` see what takes a core.
fn launch_line(plan: &Plan, encoders: &[Kind]) -> String {
    let (width, height) = plan.canvas();
    let rate = format!("framerate={}/{}", plan.grid.rate().num(), plan.grid.rate().den());
    let last = plan.rungs.len().saturating_sub(1);
    let kept = plan.shed_order().last().copied();
    let mut line = format!(
        "appsrc name=video is-live=true format=time block=false max-bytes=0 max-buffers={FRAMES_MAX} \
         caps=\"{},{rate}\" ! tee name=t0 ",
        picture_caps(width, height)
    );
    for (index, (rung, kind)) in plan.rungs.iter().zip(encoders).enumerate() {
        // Each rung is scaled from the next larger one: half the cost of scaling all from the canvas.
        if let Some(larger) = index.checked_sub(1) {
            let caps = format!("{},{rate}", picture_caps(rung.width, rung.height));
            // The last rung is encoded by the thread that scales it.
            let thread = if index == last { "rung" } else { "scale" };
            line +=
                &format!("t{larger}. ! {QUEUE} name={thread}{index} ! {SCALE} ! {caps} ! tee name=t{index} ");
        }
        // What is never shed may hold up what feeds it, unless others are fed from there as well.
        let queue = if index == last && last > 0 && kept == Some(last) {
            String::new()
        } else {
            format!("{} name=encode{index} ! ", encoder_queue(plan))
        };
        line += &format!(
            "t{index}. ! {queue}{} ! appsink name=out{index} {SINK} ",
            kind.line(&encoder_name(index), rung, plan)
        );
    }
    line += &thumbnails(plan, last);
    for (sound, out) in (0..plan.sounds.len()).zip(plan.rungs.len()..) {
        line += &format!(
            "appsrc name=audio{sound} is-live=true format=time block=false max-bytes=0 max-buffers={FRAMES_MAX} \
             caps=\"{SOUND_CAPS}\" ! audioconvert ! avenc_aac aac-coder=fast bitrate={} ! aacparse \
             ! audio/mpeg,mpegversion=4,stream-format=raw ! appsink name=out{out} {SINK} ",
            plan.audio_bps
        );
    }
    line
}

const QUEUE_FRAMES: u64 = 8;
const QUEUE: &str = "queue max-size-buffers=8 max-size-bytes=0 max-size-time=0";
pub(super) const SINK: &str = "sync=false async=false enable-last-sample=false max-buffers=64";

/// Room for all that may wait before the rung is shed, so that a slow encoder holds up nobody else.
fn encoder_queue(plan: &Plan) -> String {
    let waiting = plan
        .shed
        .map_or(Duration::ZERO, |rules| rules.behind + shed::PATIENCE);
    let frames = plan.grid.frame_at(waiting) + QUEUE_FRAMES;
    format!("queue max-size-buffers={frames} max-size-bytes=0 max-size-time=0")
}

pub(crate) fn coded(sample: &gst::Sample) -> Option<Coded> {
    let buffer = sample.buffer()?;
    // x264enc starts its time stamps at 1000 h; only running time means anything.
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment
        .to_running_time_full(buffer.pts()?)?
        .positive()
        .unwrap_or_default();
    let caps = sample.caps()?.structure(0)?;
    let data = Bytes::copy_from_slice(&buffer.map_readable().ok()?);
    let (data, config) = match caps.name().as_str() {
        "video/x-av1" => (cmaf::av1::av01(data.clone()), cmaf::av1::configuration(&data)),
        "video/x-h264" => (cmaf::sample::avc1(data), Some(codec_data(caps)?)),
        "video/x-h265" => (cmaf::sample::hvc1(data), Some(codec_data(caps)?)),
        _ => (data, Some(codec_data(caps)?)),
    };
    Some(Coded {
        running_ns: running.nseconds(),
        key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        data,
        config,
    })
}

/// avcC, hvcC or AudioSpecificConfig.
fn codec_data(caps: &gst::StructureRef) -> Option<Bytes> {
    let data = caps.get::<gst::Buffer>("codec_data").ok()?;
    Some(Bytes::copy_from_slice(&data.map_readable().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hls::time::Profile;

    #[test]
    fn an_error_on_the_bus_is_heard_with_its_element() {
        crate::pipeline::init().unwrap();
        let plan = Plan::new(&crate::config::Ladder::default(), Profile::Low, 2).unwrap();
        let ladder = Ladder::new(&plan, &[Kind::X264; 2]).unwrap();
        let (told, heard) = std::sync::mpsc::sync_channel(1);
        ladder.play(move |error| drop(told.try_send(error))).unwrap();
        gst::element_error!(ladder.video, gst::CoreError::Failed, ("broken on purpose"));
        let error = heard.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(error.to_string(), "ladder failed in video: broken on purpose");
        ladder.stop();
        assert!(
            !ladder.push_frame(gst::Buffer::new()),
            "a stopped ladder takes nothing"
        );
    }
}
