//! Text on a picture, once: cards are rendered at start and only copied afterwards.

use gst::prelude::*;
use gst_app::{AppSink, AppSrc};

use super::{build_error, element, parse, picture_caps};
use crate::error::Error;

const NAME: &str = "card";
/// Fonts are found within a second even on a cold disk.
const RENDER: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Draws `text` in the middle of an I420 picture.
pub(crate) fn write(picture: Vec<u8>, size: (u32, u32), text: &str) -> Result<Vec<u8>, Error> {
    let caps = picture_caps(size.0, size.1);
    let line = format!(
        "appsrc name=in format=time max-bytes=0 caps=\"{caps},framerate=30/1\" \
         ! textoverlay name=text halignment=center valignment=center font-desc=\"Sans Bold 26\" \
         ! {caps} ! appsink name=out sync=false"
    );
    let pipeline = parse(NAME, &line)?;
    let source: AppSrc = element(NAME, &pipeline, "in")?;
    let sink: AppSink = element(NAME, &pipeline, "out")?;
    let label: gst::Element = element(NAME, &pipeline, "text")?;
    label.set_property("text", escape(text));
    let wanted = picture.len();
    let rendered = render(&pipeline, &source, &sink, picture);
    let stopped = pipeline.set_state(gst::State::Null);
    let rendered = rendered.map_err(|e| build_error(NAME, &e))?;
    stopped.map_err(|e| build_error(NAME, &e))?;
    if rendered.len() == wanted {
        Ok(rendered)
    } else {
        Err(build_error(NAME, &"unexpected layout"))
    }
}

/// The overlay reads Pango markup; a slate's text is plain.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn render(
    pipeline: &gst::Pipeline,
    source: &AppSrc,
    sink: &AppSink,
    picture: Vec<u8>,
) -> Result<Vec<u8>, gst::glib::BoolError> {
    let failed = |what: &'static str| gst::glib::bool_error!("{}", what);
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|_| failed("does not start"))?;
    let mut buffer = gst::Buffer::from_mut_slice(picture);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
        buffer.set_duration(gst::ClockTime::SECOND);
    }
    source
        .push_buffer(buffer)
        .map_err(|_| failed("refuses the picture"))?;
    source.end_of_stream().map_err(|_| failed("refuses the end"))?;
    let sample = sink
        .try_pull_sample(RENDER)
        .ok_or_else(|| failed("gives no picture"))?;
    let buffer = sample.buffer().ok_or_else(|| failed("gives an empty sample"))?;
    Ok(buffer.map_readable()?.as_slice().to_vec())
}
