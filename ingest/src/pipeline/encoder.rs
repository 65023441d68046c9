//! Which encoder makes a rung: the first of its kind that is there and passes a trial.
//!
//! An element that exists proves little: a card may have no session left, or ignore the key frames that are asked
//! for. So every candidate encodes ten frames first. Of the hardware kinds only the order and the trial are certain;
//! their settings have not met a card.

mod anew;
mod kind;

use std::collections::BTreeSet;

use gst::prelude::*;
use gst_app::{AppSink, AppSrc};

pub(crate) use self::anew::begin_at_keys;
pub(crate) use self::kind::Kind;
use super::ladder::{Coded, coded, key_event};
use super::{element, parse, picture_caps};
use crate::config::{Codec, Encoder, Rung};
use crate::error::Error;
use crate::ladder::Plan;

const NAME: &str = "encoder trial";
/// Frames of a trial, and the one that must be a key frame, beside the first.
const TRIAL_FRAMES: u64 = 10;
const TRIAL_KEY: u64 = 5;
/// A card that needs longer for ten frames is of no use.
const TRIAL_MAX: gst::ClockTime = gst::ClockTime::from_seconds(5);
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
    let wanted = Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_wanted(wanted, rung.codec));
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
    judge(rung.codec, &units)
}

fn judge(codec: Codec, units: &[Coded]) -> Result<(), String> {
    if units.len() as u64 != TRIAL_FRAMES {
        return Err(format!("{} of {TRIAL_FRAMES} frames came out", units.len()));
    }
    if !units
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.running_ns < b.running_ns))
    {
        return Err("frames come out of order".to_owned());
    }
    let keys = (0_u64..)
        .zip(units)
        .filter(|(_, unit)| unit.key)
        .map(|(at, _)| at);
    let keys: Vec<u64> = keys.collect();
    if keys != [0, TRIAL_KEY] {
        return Err(format!("key frames at {keys:?}, wanted at [0, {TRIAL_KEY}]"));
    }
    let is_open = |unit: &&Coded| unit.key && codec == Codec::Hevc && !cmaf::sample::is_idr_hvc1(&unit.data);
    if units.iter().any(|unit| is_open(&unit)) {
        return Err("a key frame that is no IDR picture".to_owned());
    }
    let configs: BTreeSet<&bytes::Bytes> = units.iter().filter_map(|unit| unit.config.as_ref()).collect();
    // ISO/IEC 14496-15: avcC and hvcC begin with version 1; AV1-ISOBMFF §2.3.3: av1C with a marker and version 1.
    let version = if codec == Codec::Av1 { 0x81 } else { 1 };
    let good = |config: &&bytes::Bytes| config.len() > 7 && config.first() == Some(&version);
    if configs.len() != 1 || !configs.iter().all(good) {
        return Err("no decoder configuration, or a changing one".to_owned());
    }
    Ok(())
}

fn encode(kind: Kind, rung: &Rung, plan: &Plan) -> Result<Vec<Coded>, String> {
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
    if kind.begins_anew() {
        let encoder: gst::Element = element(NAME, &pipeline, "trial").map_err(|e| e.to_string())?;
        begin_at_keys(&encoder);
    }
    let units = run(&pipeline, rung, plan);
    let stopped = pipeline.set_state(gst::State::Null);
    let units = units?;
    stopped.map_err(|e| e.to_string())?;
    Ok(units)
}

fn run(pipeline: &gst::Pipeline, rung: &Rung, plan: &Plan) -> Result<Vec<Coded>, String> {
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
        units.push(coded(&sample).ok_or("no decoder configuration")?);
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
        for (codec, kind) in [
            (Codec::H264, Kind::X264),
            (Codec::Hevc, Kind::X265),
            (Codec::Av1, Kind::Aom),
        ] {
            let plan = plan(Encoder::Auto);
            let rung = Rung {
                codec,
                ..plan.rungs[0].clone()
            };
            let tried = || encode(kind, &rung, &plan).unwrap();
            let units = tried();
            assert_eq!(judge(codec, &units), Ok(()), "{kind:?}");
            assert!(judge(codec, &units[..9]).is_err());
            let bad = |spoil: fn(&mut Vec<Coded>)| {
                let mut units = tried();
                spoil(&mut units);
                judge(codec, &units).unwrap_err()
            };
            assert!(bad(|units| units[3].key = true).contains("[0, 3, 5]"));
            bad(|units| units[5].key = false);
            bad(|units| units[7].config = Some(bytes::Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8, 9])));
            bad(|units| units.iter_mut().for_each(|unit| unit.config = None));
            bad(|units| units.swap(1, 2));
            if codec == Codec::Hevc {
                let open = bad(|units| units[5].data = units[4].data.clone());
                assert!(open.contains("no IDR"), "{open}");
            }
        }
    }

    #[test]
    fn a_rung_is_made_by_what_makes_its_codec() {
        let none = BTreeSet::new();
        let plan = plan(Encoder::Software);
        for (codec, kind) in [
            (Codec::H264, Kind::X264),
            (Codec::Hevc, Kind::X265),
            (Codec::Av1, Kind::Aom),
        ] {
            let rung = Rung {
                codec,
                ..plan.rungs[0].clone()
            };
            let only = |wanted| {
                first(&rung, wanted, &none, |tried, _| {
                    (tried == kind).then_some(()).ok_or_else(String::new)
                })
            };
            assert_eq!(only(Encoder::Auto).unwrap(), kind);
            assert_eq!(only(Encoder::Software).unwrap(), kind);
            let mut all = Kind::ALL
                .into_iter()
                .filter(|kind| kind.is_wanted(Encoder::Auto, codec));
            assert!(
                all.clone().count() >= 4 && all.next_back() >= Some(kind),
                "software is last"
            );
        }
        let factories: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::factory).collect();
        assert_eq!(factories.len(), Kind::ALL.len());
    }
}
