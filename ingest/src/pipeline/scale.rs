//! `ringsidescale`: from one rung's size to the next, by libswscale, as an element of the ladder.
//!
//! A picture of another shape keeps its own, between black bars.

mod place;

use std::sync::{Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst_video::gst_base::subclass::BaseTransformMode;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use swscale::Scaler;
use swscale::plane::{Picture, PictureMut, Plane, PlaneMut, Size};

use place::Place;

/// The element's name in a launch line.
pub(super) const SCALE: &str = "ringsidescale";

/// Makes the element known; once is enough.
pub(super) fn register() -> Result<(), glib::BoolError> {
    gst::Element::register(None, SCALE, gst::Rank::NONE, Scale::static_type())
}

glib::wrapper! {
    struct Scale(ObjectSubclass<imp::Scale>) @extends gst_video::VideoFilter, gst_video::gst_base::BaseTransform, gst::Element, gst::Object;
}

fn size(info: &VideoInfo) -> Size {
    Size {
        width: info.width(),
        height: info.height(),
    }
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub(super) struct Scale(Mutex<Option<(Scaler, Place)>>);

    #[glib::object_subclass]
    impl ObjectSubclass for Scale {
        const NAME: &'static str = "RingsideScale";
        type Type = super::Scale;
        type ParentType = gst_video::VideoFilter;
    }

    impl ObjectImpl for Scale {}
    impl GstObjectImpl for Scale {}

    impl ElementImpl for Scale {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                std::sync::LazyLock::new(|| {
                    gst::subclass::ElementMetadata::new(
                        "Scaler of rungs",
                        "Filter/Converter/Video/Scaler",
                        "Scales I420 by libswscale",
                        "ringside",
                    )
                });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
                let caps = gst_video::VideoCapsBuilder::new()
                    .format(VideoFormat::I420)
                    .build();
                [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                    .into_iter()
                    .filter_map(|(name, way)| {
                        gst::PadTemplate::new(name, way, gst::PadPresence::Always, &caps).ok()
                    })
                    .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for Scale {
        const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = true;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            _direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let mut any = caps.clone();
            for structure in any.make_mut().iter_mut() {
                structure.set("width", gst::IntRange::new(1, i32::MAX));
                structure.set("height", gst::IntRange::new(1, i32::MAX));
            }
            Some(match filter {
                Some(filter) => filter.intersect_with_mode(&any, gst::CapsIntersectMode::First),
                None => any,
            })
        }
    }

    impl VideoFilterImpl for Scale {
        fn set_info(
            &self,
            _in_caps: &gst::Caps,
            from: &VideoInfo,
            _out_caps: &gst::Caps,
            to: &VideoInfo,
        ) -> Result<(), gst::LoggableError> {
            let place = Place::new(size(from), size(to));
            let scaler = Scaler::new(size(from), place.size)
                .map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"))?;
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((scaler, place));
            Ok(())
        }

        fn transform_frame(
            &self,
            from: &VideoFrameRef<&gst::BufferRef>,
            to: &mut VideoFrameRef<&mut gst::BufferRef>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut scaler = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (scaler, place) = scaler.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
            scale(scaler, *place, from, to).map_err(|error| {
                gst::element_imp_error!(self, gst::StreamError::Failed, ["{error}"]);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

/// One frame; the bars are painted last, since a line of the picture may end a few pixels inside them.
fn scale(
    scaler: &mut Scaler,
    place: Place,
    from: &VideoFrameRef<&gst::BufferRef>,
    to: &mut VideoFrameRef<&mut gst::BufferRef>,
) -> Result<(), swscale::Error> {
    let [y, u, v, _] = from.planes_data();
    let read = strides(from.plane_stride());
    let source = [(y, 0), (u, 1), (v, 2)].map(|(bytes, at): (_, usize)| Plane {
        bytes,
        stride: read.get(at).copied().unwrap_or_default(),
    });
    let written = strides(to.plane_stride());
    let frame = size(to.info());
    let [y, u, v, _] = to.planes_data_mut();
    let mut target = Vec::with_capacity(3);
    for (index, (bytes, stride)) in [y, u, v].into_iter().zip(written).enumerate() {
        let (left, top) = place.corner(index);
        let bytes = bytes
            .get_mut(top * stride + left..)
            .ok_or(swscale::Error::Plane)?;
        target.push(PlaneMut { bytes, stride });
    }
    let target = target.try_into().map_err(|_| swscale::Error::Plane)?;
    scaler.scale(&Picture(source), &mut PictureMut(target))?;
    if place.size != frame {
        let planes = to.planes_data_mut().into_iter().zip(written);
        for (index, (bytes, stride)) in planes.enumerate() {
            place.bars(index, frame, bytes, stride);
        }
    }
    Ok(())
}

fn strides(of: &[i32]) -> [usize; 3] {
    let stride = |at| of.get(at).and_then(|stride| usize::try_from(*stride).ok());
    [0, 1, 2].map(|at: usize| stride(at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_app::{AppSink, AppSrc};

    /// One white picture of 320x180, through the element.
    fn through(width: u32, height: u32) -> Vec<u8> {
        crate::pipeline::init().unwrap();
        let line = format!(
            "appsrc name=in format=time caps=\"{},framerate=30/1\" ! {SCALE} ! {} ! appsink name=out sync=false",
            super::super::picture_caps(320, 180),
            super::super::picture_caps(width, height),
        );
        let pipeline = super::super::parse("scaler", &line).unwrap();
        let source: AppSrc = super::super::element("scaler", &pipeline, "in").unwrap();
        let sink: AppSink = super::super::element("scaler", &pipeline, "out").unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut picture = vec![235; 320 * 180];
        picture.resize(320 * 180 * 3 / 2, 90);
        source.push_buffer(gst::Buffer::from_slice(picture)).unwrap();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10)).unwrap();
        let buffer = sample.buffer().unwrap().map_readable().unwrap().to_vec();
        pipeline.set_state(gst::State::Null).unwrap();
        buffer
    }

    #[test]
    fn a_picture_of_another_shape_stands_between_black_bars() {
        // Pillars 20 pixels wide are the hard ones: lines of the picture end inside the frame.
        let (width, height) = (200, 90);
        let found = through(width, height);
        let at = |x: usize, y: usize| found[y * 200 + x];
        for y in 0..90 {
            let line: Vec<u8> = (0..200).map(|x| at(x, y)).collect();
            assert!(
                line[..20].iter().chain(&line[180..]).all(|luma| *luma == 16),
                "{line:?}"
            );
            assert!(
                line[24..176].iter().all(|luma| luma.abs_diff(235) <= 1),
                "{line:?}"
            );
        }
        let chroma = &found[200 * 90..][..100 * 45];
        for line in chroma.chunks(100) {
            assert!(
                line[..10].iter().chain(&line[90..]).all(|level| *level == 128),
                "{line:?}"
            );
            assert!(
                line[12..88].iter().all(|level| level.abs_diff(90) <= 1),
                "{line:?}"
            );
        }
    }
}
