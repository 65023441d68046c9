//! Small JPEGs of what goes out, for people who watch over many streams.

use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks, AppSrc};

use super::{build_error, element, parse, picture_caps};
use crate::error::Error;
use crate::ladder::Plan;

const NAME: &str = "thumbnails";
/// Pixels across, at most.
const WIDTH: u32 = 640;

/// What follows raw pictures of any size: one JPEG for each, as wide as the smallest rung at most.
pub(super) fn elements(plan: &Plan, sink: &str) -> String {
    let smallest = plan.rungs.last();
    let (width, height) = smallest.map_or((640, 360), |rung| (rung.width, rung.height));
    let shown = width.min(WIDTH);
    let height = (height * shown / width.max(1)).next_multiple_of(2);
    format!(
        "videoscale ! video/x-raw,width={shown},height={height} ! jpegenc quality=80 ! appsink name=thumbnail {sink} "
    )
}

/// Sends the JPEGs of a pipeline with these elements to `take`, and the running time of what they show, nanoseconds.
pub(super) fn on_jpeg(
    pipeline: &gst::Pipeline,
    name: &'static str,
    take: impl Fn(u64, Bytes) + Send + 'static,
) -> Result<(), Error> {
    let sink: AppSink = element(name, pipeline, "thumbnail")?;
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let shown = sample.buffer().and_then(|buffer| buffer.pts());
        let jpeg = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
        jpeg.iter()
            .for_each(|jpeg| take(shown.unwrap_or_default().nseconds(), Bytes::copy_from_slice(jpeg)));
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    Ok(())
}

/// JPEGs where no ladder makes them.
#[derive(Debug)]
pub(crate) struct Thumbnails {
    pipeline: gst::Pipeline,
    source: AppSrc,
}

impl Thumbnails {
    /// Of pictures of the canvas's size.
    pub(crate) fn new(plan: &Plan, take: impl Fn(u64, Bytes) + Send + 'static) -> Result<Self, Error> {
        let (width, height) = plan.canvas();
        let (rate, caps) = (plan.grid.rate(), picture_caps(width, height));
        let line = format!(
            "appsrc name=in is-live=true format=time block=false max-bytes=0 max-buffers=1 leaky-type=downstream \
             caps=\"{caps},framerate={}/{}\" ! {}",
            rate.num(),
            rate.den(),
            elements(plan, super::ladder::SINK)
        );
        let pipeline = parse(NAME, &line)?;
        on_jpeg(&pipeline, NAME, take)?;
        let source = element(NAME, &pipeline, "in")?;
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| build_error(NAME, &e))?;
        Ok(Self { pipeline, source })
    }

    /// Makes one of this picture, shown at this running time; waits for nothing.
    pub(crate) fn take(&self, running: Duration, mut picture: gst::Buffer) {
        // Copied where it is shared, and then its planes are not.
        picture.make_mut().set_pts(gst::ClockTime::try_from(running).ok());
        // Refused only once it has failed: a thumbnail is worth no stream.
        let _refused = self.source.push_buffer(picture);
    }
}

impl Drop for Thumbnails {
    fn drop(&mut self) {
        let _stopped = self.pipeline.set_state(gst::State::Null);
    }
}
