//! Key frames when they are asked for, of an encoder that does not listen.
//!
//! `av1enc` of GStreamer 1.22 hands no flags to libaom: it makes a key frame where it begins, and then counts. It
//! begins anew for every new format. So where a key frame is asked for, it is told a format that differs in what AV1's
//! sequence header of it does not say: where chroma is sited. Nothing is lost, since it looks at no frame ahead.

use gst::prelude::*;
use gst_video::{ForceKeyUnitEvent, VideoChromaSite, VideoInfo};

/// From now on `encoder` begins anew with the frame after each key unit event.
pub(crate) fn begin_at_keys(encoder: &gst::Element) {
    let Some(sink) = encoder.static_pad("sink") else {
        return;
    };
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
        let is_key = info.event().is_some_and(|event| ForceKeyUnitEvent::is(event));
        if is_key && let Some(caps) = pad.current_caps().and_then(|caps| other(&caps)) {
            // Refused only while shutting down.
            let _refused = pad.send_event(gst::event::Caps::new(&caps));
        }
        gst::PadProbeReturn::Ok
    });
}

fn other(caps: &gst::Caps) -> Option<gst::Caps> {
    let site = VideoInfo::from_caps(caps).ok()?.chroma_site();
    let other = if site == VideoChromaSite::MPEG2 {
        "jpeg"
    } else {
        "mpeg2"
    };
    let mut caps = caps.clone();
    caps.make_mut().set("chroma-site", other);
    Some(caps)
}
