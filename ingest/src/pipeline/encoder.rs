//! Which encoder makes a rung: the first of its kind that is there and passes a trial.
//!
//! An element that exists proves little: a card may have no session left, or ignore the key frames that are asked
//! for. So every candidate encodes ten frames first. Of the hardware kinds only the order and the trial are certain;
//! their settings have not met a card.

use std::collections::BTreeSet;

use gst::prelude::*;
use gst_app::{AppSink, AppSrc};

use super::ladder::{CODED_CAPS, coded, key_event};
use super::{element, parse, picture_caps};
use crate::config::{Encoder, Rung};
use crate::error::Error;
use crate::ladder::{Plan, VBV_MS};

const NAME: &str = "encoder trial";
/// Frames of a trial, and the one that must be a key frame, beside the first.
const TRIAL_FRAMES: u64 = 10;
const TRIAL_KEY: u64 = 5;
/// A card that needs longer for ten frames is of no use.
const TRIAL_MAX: gst::ClockTime = gst::ClockTime::from_seconds(5);
/// x264's own word for "never by itself" (X264_KEYINT_MAX_INFINITE): key frames come from the grid alone.
const KEY_INTERVAL: u32 = 1 << 30;

/// A way to encode H.264, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// NVIDIA.
    Nvenc,
    /// VA-API, low-power unit.
    VaLow,
    /// VA-API.
    Va,
    /// Intel Quick Sync.
    Qsv,
    /// Video4Linux memory to memory.
    V4l2,
    /// Software.
    X264,
    /// Software, where x264 is missing.
    Openh264,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Nvenc,
        Self::VaLow,
        Self::Va,
        Self::Qsv,
        Self::V4l2,
        Self::X264,
        Self::Openh264,
    ];

    /// Name of its element.
    pub(crate) fn factory(self) -> &'static str {
        match self {
            Self::Nvenc => "nvh264enc",
            Self::VaLow => "vah264lpenc",
            Self::Va => "vah264enc",
            Self::Qsv => "qsvh264enc",
            Self::V4l2 => "v4l2h264enc",
            Self::X264 => "x264enc",
            Self::Openh264 => "openh264enc",
        }
    }

    /// Debian package that brings the element.
    fn package(self) -> &'static str {
        match self {
            Self::Nvenc | Self::VaLow | Self::Va | Self::Qsv | Self::Openh264 => "gstreamer1.0-plugins-bad",
            Self::V4l2 => "gstreamer1.0-plugins-good",
            Self::X264 => "gstreamer1.0-plugins-ugly",
        }
    }

    fn is_wanted(self, wanted: Encoder) -> bool {
        match wanted {
            Encoder::Auto => true,
            Encoder::Software => matches!(self, Self::X264 | Self::Openh264),
            Encoder::Nvenc => self == Self::Nvenc,
            Encoder::Va => matches!(self, Self::VaLow | Self::Va),
            Encoder::Qsv => self == Self::Qsv,
            Encoder::V4l2 => self == Self::V4l2,
            Encoder::X264 => self == Self::X264,
            Encoder::Openh264 => self == Self::Openh264,
        }
    }

    /// The encoder called `name`, raw pictures to access units.
    pub(crate) fn line(self, name: &str, rung: &Rung, plan: &Plan) -> String {
        let kbps = rung.bitrate_kbps;
        let factory = self.factory();
        let (before, settings, after) = match self {
            Self::X264 => return x264(name, rung, plan),
            Self::Nvenc => (
                NV12,
                format!("bitrate={kbps} gop-size=-1 bframes=0 zerolatency=true rc-mode=cbr"),
                "",
            ),
            Self::VaLow | Self::Va => (
                NV12,
                format!("bitrate={kbps} key-int-max=1024 b-frames=0 rate-control=cbr"),
                "",
            ),
            Self::Qsv => (
                NV12,
                format!("bitrate={kbps} gop-size=0 b-frames=0 low-latency=true rate-control=cbr"),
                "",
            ),
            Self::V4l2 => (
                NV12,
                format!(
                    "extra-controls=\"controls,video_bitrate={},video_gop_size={KEY_INTERVAL}\"",
                    u64::from(kbps) * 1_000
                ),
                " ! video/x-h264,level=(string)4",
            ),
            Self::Openh264 => {
                let bps = u64::from(kbps) * 1_000;
                let settings = format!(
                    "bitrate={bps} max-bitrate={} rate-control=bitrate complexity=low gop-size={KEY_INTERVAL} \
                     scene-change-detection=false multi-thread=1",
                    bps * 3 / 2
                );
                ("", settings, "")
            }
        };
        format!("{before}{factory} name={name} {settings}{after} ! h264parse ! {CODED_CAPS}")
    }
}

const NV12: &str = "videoconvertscale ! video/x-raw,format=NV12 ! ";

fn x264(name: &str, rung: &Rung, plan: &Plan) -> String {
    let large = rung.height >= 720;
    // One thread gives the least delay; from 720p on one core may not be enough.
    let threads = if large { 2 } else { 1 };
    let profile = if large { "high" } else { "main" };
    format!(
        "x264enc name={name} tune=zerolatency speed-preset={} bitrate={} threads={threads} \
         sliced-threads=false key-int-max={KEY_INTERVAL} byte-stream=false vbv-buf-capacity={VBV_MS} \
         option-string=\"scenecut=0:open-gop=0:force-cfr=0\" ! video/x-h264,profile={profile} \
         ! h264parse ! {CODED_CAPS}",
        rung.preset.unwrap_or(plan.default_preset).as_str(),
        rung.bitrate_kbps,
    )
}

/// An encoder for every rung, without the `excluded` kinds where another one is left. Takes a moment.
pub(crate) fn choose(plan: &Plan, excluded: &BTreeSet<Kind>) -> Result<Vec<Kind>, Error> {
    let trial = |kind, rung: &Rung| trial(kind, rung, plan);
    plan.rungs
        .iter()
        .map(|rung| {
            let wanted = rung.encoder.unwrap_or(plan.encoder);
            first(rung, wanted, excluded, trial).or_else(|error| match excluded.is_empty() {
                true => Err(error),
                false => first(rung, wanted, &BTreeSet::new(), trial),
            })
        })
        .collect()
}

fn first(
    rung: &Rung,
    wanted: Encoder,
    excluded: &BTreeSet<Kind>,
    trial: impl Fn(Kind, &Rung) -> Result<(), String>,
) -> Result<Kind, Error> {
    let mut reasons = Vec::new();
    let wanted = Kind::ALL.into_iter().filter(|kind| kind.is_wanted(wanted));
    for kind in wanted.filter(|kind| !excluded.contains(kind)) {
        match trial(kind, rung) {
            Ok(()) => return Ok(kind),
            Err(reason) => reasons.push(format!("{}: {reason}", kind.factory())),
        }
    }
    Err(Error::Encoder {
        rung: rung.name.as_str().to_owned(),
        reasons,
    })
}

/// Encodes ten frames and looks at what comes out.
fn trial(kind: Kind, rung: &Rung, plan: &Plan) -> Result<(), String> {
    if gst::ElementFactory::find(kind.factory()).is_none() {
        return Err(format!(
            "not there, or without a device: apt-get install {}",
            kind.package()
        ));
    }
    let units = encode(kind, rung, plan)?;
    judge(&units)
}

/// Time, key frame or not, and decoder configuration of a unit.
type Outcome = (u64, bool, bytes::Bytes);

fn judge(units: &[Outcome]) -> Result<(), String> {
    if units.len() as u64 != TRIAL_FRAMES {
        return Err(format!("{} of {TRIAL_FRAMES} frames came out", units.len()));
    }
    if !units.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0)) {
        return Err("frames come out of order".to_owned());
    }
    let keys = (0_u64..).zip(units).filter(|(_, unit)| unit.1).map(|(at, _)| at);
    let keys: Vec<u64> = keys.collect();
    if keys != [0, TRIAL_KEY] {
        return Err(format!("key frames at {keys:?}, wanted at [0, {TRIAL_KEY}]"));
    }
    let configs: BTreeSet<&bytes::Bytes> = units.iter().map(|unit| &unit.2).collect();
    // ISO/IEC 14496-15: an avcC begins with version 1 and holds profile and level.
    let good = |config: &&bytes::Bytes| config.len() > 7 && config.first() == Some(&1);
    if configs.len() != 1 || !configs.iter().all(good) {
        return Err("no decoder configuration, or a changing one".to_owned());
    }
    Ok(())
}

fn encode(kind: Kind, rung: &Rung, plan: &Plan) -> Result<Vec<Outcome>, String> {
    let rate = plan.grid.rate();
    let line = format!(
        "appsrc name=in format=time max-bytes=0 caps=\"{},framerate={}/{}\" ! {} \
         ! appsink name=out sync=false max-buffers=64",
        picture_caps(rung.width, rung.height),
        rate.num(),
        rate.den(),
        kind.line("trial", rung, plan)
    );
    let pipeline = parse(NAME, &line).map_err(|e| e.to_string())?;
    let units = run(&pipeline, rung, plan);
    let stopped = pipeline.set_state(gst::State::Null);
    let units = units?;
    stopped.map_err(|e| e.to_string())?;
    Ok(units)
}

fn run(pipeline: &gst::Pipeline, rung: &Rung, plan: &Plan) -> Result<Vec<Outcome>, String> {
    let source: AppSrc = element(NAME, pipeline, "in").map_err(|e| e.to_string())?;
    let sink: AppSink = element(NAME, pipeline, "out").map_err(|e| e.to_string())?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())?;
    let info = crate::picture::info((rung.width, rung.height)).map_err(|e| e.to_string())?;
    for frame in 0..TRIAL_FRAMES {
        if frame == TRIAL_KEY {
            source.send_event(key_event());
        }
        let luma = u8::try_from(100 + frame).unwrap_or(u8::MAX);
        let mut buffer = gst::Buffer::from_mut_slice(vec![luma; info.size()]);
        let at = |n| gst::ClockTime::try_from(plan.grid.frame_time(n)).unwrap_or_default();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(at(frame));
            buffer.set_duration(at(frame + 1).saturating_sub(at(frame)));
        }
        source.push_buffer(buffer).map_err(|e| e.to_string())?;
    }
    source.end_of_stream().map_err(|e| e.to_string())?;
    let mut units = Vec::new();
    while let Some(sample) = sink.try_pull_sample(TRIAL_MAX) {
        let unit = coded(&sample).ok_or("no decoder configuration")?;
        units.push((unit.running_ns, unit.key, unit.config));
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ladder;
    use hls::time::Profile;

    fn plan(encoder: Encoder) -> Plan {
        super::super::init().unwrap();
        let ladder = Ladder {
            encoder,
            ..Ladder::default()
        };
        Plan::new(&ladder, Profile::Low, 2).unwrap()
    }

    #[test]
    fn software_kinds_pass_their_trial_in_order() {
        let none = BTreeSet::new();
        assert_eq!(choose(&plan(Encoder::Software), &none).unwrap(), [Kind::X264; 2]);
        assert_eq!(
            choose(&plan(Encoder::Openh264), &none).unwrap(),
            [Kind::Openh264; 2]
        );
        let without = BTreeSet::from([Kind::X264]);
        assert_eq!(
            choose(&plan(Encoder::Software), &without).unwrap(),
            [Kind::Openh264; 2]
        );
        let forced = choose(&plan(Encoder::X264), &without).unwrap();
        assert_eq!(
            forced,
            [Kind::X264; 2],
            "where nothing else is wanted, it is tried again"
        );
    }

    #[test]
    fn a_kind_that_fails_its_trial_is_passed_over_and_a_forced_one_says_why() {
        let plan = plan(Encoder::Auto);
        let rung = &plan.rungs[0];
        let none = BTreeSet::new();
        let only = |good: Kind| {
            move |kind: Kind, _: &Rung| {
                if kind == good {
                    Ok(())
                } else {
                    Err("broken".to_owned())
                }
            }
        };
        assert_eq!(
            first(rung, Encoder::Auto, &none, only(Kind::Openh264)).unwrap(),
            Kind::Openh264
        );
        assert_eq!(
            first(rung, Encoder::Auto, &none, |_, _| Ok(())).unwrap(),
            Kind::Nvenc
        );
        assert_eq!(first(rung, Encoder::Va, &none, only(Kind::Va)).unwrap(), Kind::Va);
        let error = first(rung, Encoder::Nvenc, &none, only(Kind::X264)).unwrap_err();
        assert_eq!(error.to_string(), "no encoder for rung `360p`: nvh264enc: broken");
    }

    #[test]
    fn a_missing_kind_names_its_package() {
        let plan = plan(Encoder::Nvenc);
        if gst::ElementFactory::find("nvh264enc").is_none() {
            let error = choose(&plan, &BTreeSet::new()).unwrap_err().to_string();
            assert!(
                error.contains("nvh264enc") && error.contains("gstreamer1.0-plugins-bad"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_encoder_that_makes_its_own_key_frames_fails() {
        let plan = plan(Encoder::Auto);
        let units = encode(Kind::X264, &plan.rungs[0], &plan).unwrap();
        judge(&units).unwrap();
        let mut own = units.clone();
        own[3].1 = true;
        assert!(judge(&own).unwrap_err().contains("[0, 3, 5]"));
        let mut deaf = units.clone();
        deaf[5].1 = false;
        assert!(judge(&deaf).is_err());
        let mut changing = units.clone();
        changing[7].2 = bytes::Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(judge(&changing).is_err());
        let mut reordered = units.clone();
        reordered.swap(1, 2);
        assert!(judge(&reordered).is_err());
        assert!(judge(&units[..9]).is_err());
    }
}
