//! GStreamer: what is built, which packages it needs, and how its errors come out.

pub(crate) mod card;
pub(crate) mod decode;
pub(crate) mod encoder;
pub(crate) mod ladder;
mod scale;
pub(crate) mod slate;
pub(crate) mod thumbnail;

use gst::prelude::*;

use crate::error::Error;

/// Every element used, with the Debian 12 package that brings it.
pub(crate) const ELEMENTS: &[(&str, &str)] = &[
    ("appsrc", "gstreamer1.0-plugins-base"),
    ("appsink", "gstreamer1.0-plugins-base"),
    ("tee", "libgstreamer1.0-0"),
    ("queue", "libgstreamer1.0-0"),
    ("capsfilter", "libgstreamer1.0-0"),
    ("videoscale", "gstreamer1.0-plugins-base"),
    ("videoconvertscale", "gstreamer1.0-plugins-base"),
    ("audioconvert", "gstreamer1.0-plugins-base"),
    ("audioresample", "gstreamer1.0-plugins-base"),
    ("textoverlay", "gstreamer1.0-x"),
    ("filesrc", "libgstreamer1.0-0"),
    ("decodebin", "gstreamer1.0-plugins-base"),
    ("videorate", "gstreamer1.0-plugins-base"),
    ("jpegenc", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("aacparse", "gstreamer1.0-plugins-good"),
    ("h265parse", "gstreamer1.0-plugins-bad"),
    ("av1parse", "gstreamer1.0-plugins-bad"),
    ("deinterlace", "gstreamer1.0-plugins-good"),
    ("avdec_h264", "gstreamer1.0-libav"),
    ("avdec_h265", "gstreamer1.0-libav"),
    ("av1dec", "gstreamer1.0-plugins-bad"),
    ("vp9dec", "gstreamer1.0-plugins-good"),
    ("opusdec", "gstreamer1.0-plugins-base"),
    ("avdec_aac", "gstreamer1.0-libav"),
    ("avenc_aac", "gstreamer1.0-libav"),
];

/// Initialises GStreamer and makes sure that every element is installed.
pub(crate) fn init() -> Result<(), Error> {
    gst::init().map_err(Error::Gstreamer)?;
    scale::register().map_err(|e| build_error(scale::SCALE, &e))?;
    require(ELEMENTS)
}

fn require(elements: &[(&'static str, &'static str)]) -> Result<(), Error> {
    for &(element, package) in elements {
        if gst::ElementFactory::find(element).is_none() {
            return Err(Error::Missing { element, package });
        }
    }
    Ok(())
}

/// Parses a launch line; `name` is for errors.
pub(crate) fn parse(name: &'static str, line: &str) -> Result<gst::Pipeline, Error> {
    let element = gst::parse::launch(line).map_err(|e| build_error(name, &e))?;
    element
        .downcast()
        .map_err(|_| build_error(name, &"not a pipeline"))
}

/// The element called `element`, as type `T`.
pub(crate) fn element<T: IsA<gst::Element>>(
    name: &'static str,
    pipeline: &gst::Pipeline,
    element: &str,
) -> Result<T, Error> {
    pipeline
        .by_name(element)
        .and_then(|found| found.downcast().ok())
        .ok_or_else(|| build_error(name, &format!("no element `{element}`")))
}

/// An [`Error::Build`] of pipeline `name`.
pub(crate) fn build_error(name: &'static str, reason: &dyn std::fmt::Display) -> Error {
    Error::Build {
        pipeline: name,
        reason: reason.to_string(),
    }
}

/// Raw video of one size as every part of the ladder agrees on it.
pub(crate) fn picture_caps(width: u32, height: u32) -> String {
    // Unpinned, aspect ratio and colorimetry drift from source to source (anamorphic came out padded).
    format!(
        "video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,\
         interlace-mode=progressive,colorimetry=bt709"
    )
}

/// Raw audio as every part of the ladder agrees on it.
pub(crate) const SOUND_CAPS: &str = "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved";

/// Calls `failed` for the first and every later error; the bus itself never fills.
pub(crate) fn watch_errors(
    pipeline: &gst::Pipeline,
    failed: impl Fn(String, String) + Send + Sync + 'static,
) {
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let element = error
                .src()
                .map_or_else(|| "?".to_owned(), |src| src.name().to_string());
            failed(element, error.error().to_string());
        }
        gst::BusSyncReply::Drop
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_names_its_package() {
        init().unwrap();
        let missing = require(&[("queue", "any"), ("x266enc", "gstreamer1.0-plugins-future")]).unwrap_err();
        let text = missing.to_string();
        assert!(
            text.contains("x266enc") && text.contains("gstreamer1.0-plugins-future"),
            "{text}"
        );
    }
}
