//! What is shown while nobody is on air: a card with words, a picture, or a short film with its sound.
//!
//! Files are decoded once, into memory, before anything starts.

use std::path::Path;
use std::time::Duration;

use gst::prelude::*;
use gst_app::AppSink;

use super::{SOUND_CAPS, element, parse, picture_caps};
use crate::config::Config;
use crate::error::Error;
use crate::ladder::{CHANNELS, Plan};
use crate::picture;

const NAME: &str = "slate";
/// Longest film.
const LOOP_MAX: Duration = Duration::from_secs(60);
/// Bytes of decoded pictures and sound: 12 s of 720p30, or 48 s of 360p30.
const LOOP_BYTES_MAX: usize = 512 << 20;
/// A file that gives nothing for so long cannot be read.
const READ_MAX: gst::ClockTime = gst::ClockTime::from_seconds(10);
/// Sound comes with the pictures; a film whose pictures are over and that gave none has none.
const SOUND_MAX: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// Ready to be shown; a card or a picture is a film of one frame.
#[derive(Debug)]
pub(crate) struct Slate {
    frames: Vec<gst::Buffer>,
    /// Interleaved; empty where it is silent.
    sound: Vec<f32>,
}

impl Slate {
    /// What the config asks for: the film, else the picture, else the words.
    pub(crate) fn new(config: &Config, plan: &Plan) -> Result<Self, Error> {
        let wrong = |key: &str, path: &Path, reason: String| {
            Error::Config(vec![format!("ingest.{key}: {}: {reason}", path.display())])
        };
        if let Some(path) = &config.slate_loop {
            return film(path, plan).map_err(|reason| wrong("slate_loop", path, reason));
        }
        if let Some(path) = &config.slate_image {
            return still(path, plan).map_err(|reason| wrong("slate_image", path, reason));
        }
        let card = picture::slate(plan.canvas(), &config.slate)?;
        Ok(Self {
            frames: vec![gst::Buffer::from_slice(card)],
            sound: Vec::new(),
        })
    }

    /// The picture of program frame `frame`.
    pub(crate) fn picture(&self, frame: u64) -> gst::Buffer {
        let at = self.frames.get(self.at(frame));
        at.cloned().expect("a slate has at least one frame")
    }

    /// Its place in the film.
    fn at(&self, frame: u64) -> usize {
        let length = u64::try_from(self.frames.len()).unwrap_or(1).max(1);
        usize::try_from(frame % length).unwrap_or(0)
    }

    /// `count` samples of each channel that go with program frame `frame`.
    pub(crate) fn sound(&self, frame: u64, grid: &hls::time::Grid, count: usize) -> Vec<f32> {
        let start = grid.first_sample(self.at(frame) as u64);
        let start = usize::try_from(start)
            .unwrap_or(usize::MAX)
            .saturating_mul(CHANNELS);
        let mut sound = self.sound.get(start..).unwrap_or_default().to_vec();
        sound.resize(count * CHANNELS, 0.0);
        sound
    }
}

fn still(path: &Path, plan: &Plan) -> Result<Slate, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let is_image = bytes.starts_with(b"\x89PNG") || bytes.starts_with(&[0xff, 0xd8]);
    if !is_image {
        return Err("neither PNG nor JPEG".to_owned());
    }
    let (width, height) = plan.canvas();
    let line = format!(
        "filesrc name=file ! decodebin ! videoconvertscale add-borders=true ! {} \
         ! appsink name=video sync=false max-buffers=2",
        picture_caps(width, height)
    );
    let mut slate = read(path, &line, plan)?;
    slate.frames.truncate(1);
    Ok(slate)
}

fn film(path: &Path, plan: &Plan) -> Result<Slate, String> {
    let (width, height) = plan.canvas();
    let rate = plan.grid.rate();
    let line = format!(
        "filesrc name=file ! decodebin name=d d. ! queue ! videoconvertscale add-borders=true ! videorate \
         ! {},framerate={}/{} ! appsink name=video sync=false async=false max-buffers=2 \
         d. ! queue ! audioconvert ! audioresample ! {SOUND_CAPS} ! appsink name=sound sync=false async=false",
        picture_caps(width, height),
        rate.num(),
        rate.den()
    );
    read(path, &line, plan)
}

fn read(path: &Path, line: &str, plan: &Plan) -> Result<Slate, String> {
    std::fs::File::open(path).map_err(|e| e.to_string())?;
    let pipeline = parse(NAME, line).map_err(|e| e.to_string())?;
    let slate = decode(&pipeline, path, plan);
    let stopped = pipeline.set_state(gst::State::Null);
    let slate = slate?;
    stopped.map_err(|e| e.to_string())?;
    Ok(slate)
}

fn decode(pipeline: &gst::Pipeline, path: &Path, plan: &Plan) -> Result<Slate, String> {
    let file: gst::Element = element(NAME, pipeline, "file").map_err(|e| e.to_string())?;
    file.set_property("location", path);
    let video: AppSink = element(NAME, pipeline, "video").map_err(|e| e.to_string())?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())?;
    let frames_max = plan.grid.frame_at(LOOP_MAX);
    let wanted = picture::info(plan.canvas()).map_err(|e| e.to_string())?.size();
    let mut slate = Slate {
        frames: Vec::new(),
        sound: Vec::new(),
    };
    while let Some(sample) = video.try_pull_sample(READ_MAX) {
        let pixels = sample.buffer().and_then(|buffer| buffer.map_readable().ok());
        let pixels = pixels
            .filter(|pixels| pixels.len() == wanted)
            .ok_or("unexpected layout")?;
        slate.frames.push(gst::Buffer::from_slice(pixels.to_vec()));
        if slate.frames.len() as u64 > frames_max {
            return Err(format!("longer than {LOOP_MAX:?}"));
        }
        if slate.frames.len() * wanted > LOOP_BYTES_MAX {
            return Err(format!("more than {} MiB when decoded", LOOP_BYTES_MAX >> 20));
        }
    }
    if slate.frames.is_empty() || !video.is_eos() {
        return Err("cannot be decoded as a picture".to_owned());
    }
    if let Ok(sound) = element::<AppSink>(NAME, pipeline, "sound") {
        slate.sound = hear(&sound);
    }
    Ok(slate)
}

fn hear(sink: &AppSink) -> Vec<f32> {
    let mut sound = Vec::new();
    let mut wait = SOUND_MAX;
    while let Some(sample) = sink.try_pull_sample(wait) {
        wait = READ_MAX;
        let Some(bytes) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) else {
            break;
        };
        let samples = bytes.as_chunks::<4>().0.iter();
        sound.extend(samples.map(|sample| f32::from_le_bytes(*sample)));
    }
    sound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Ladder;
    use hls::time::Profile;
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    fn plan() -> Plan {
        super::super::init().unwrap();
        Plan::new(&Ladder::default(), Profile::Low, 2).unwrap()
    }

    /// Writes a file with a pipeline that ends in it.
    fn make(dir: &Path, name: &str, line: &str) -> PathBuf {
        super::super::init().unwrap();
        let path = dir.join(name);
        let pipeline = parse("make", &format!("{line} ! filesink location={}", path.display())).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(20), &ends)
            .unwrap();
        assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
        pipeline.set_state(gst::State::Null).unwrap();
        path
    }

    fn luma(slate: &Slate, frame: u64, (x, y): (usize, usize)) -> u8 {
        slate.picture(frame).map_readable().unwrap()[y * 640 + x]
    }

    #[test]
    fn a_picture_is_scaled_and_padded_to_the_canvas() {
        let (plan, dir) = (plan(), TempDir::new().unwrap());
        for (name, encoder) in [("a.png", "pngenc"), ("a.jpg", "jpegenc")] {
            let line = format!(
                "videotestsrc num-buffers=1 pattern=white ! video/x-raw,width=200,height=200 ! videoconvert ! {encoder}"
            );
            let path = make(dir.path(), name, &line);
            let config = Config {
                slate_image: Some(path.clone()),
                ..Config::default()
            };
            let slate = Slate::new(&config, &plan).unwrap();
            assert!(luma(&slate, 7, (320, 180)) > 210, "{name}: light in the middle");
            assert!(luma(&slate, 7, (20, 180)) < 30, "{name}: black beside it");
        }
    }

    #[test]
    fn a_film_goes_round_with_its_sound() {
        let line = "videotestsrc num-buffers=30 pattern=ball ! video/x-raw,width=320,height=180,framerate=30/1 \
                    ! jpegenc ! matroskamux name=m audiotestsrc num-buffers=47 ! audio/x-raw,rate=48000,channels=2 \
                    ! m. m.";
        let dir = TempDir::new().unwrap();
        let path = make(dir.path(), "film.mkv", line);
        let config = Config {
            slate_loop: Some(path.clone()),
            ..Config::default()
        };
        let plan = plan();
        let slate = Slate::new(&config, &plan).unwrap();
        assert!((29..=31).contains(&slate.frames.len()), "{}", slate.frames.len());
        let length = slate.frames.len() as u64;
        let pixels = |frame| slate.picture(frame).map_readable().unwrap().to_vec();
        assert_eq!(pixels(3), pixels(3 + length));
        assert_ne!(pixels(3), pixels(9));
        let sound = slate.sound(5, &plan.grid, 1_600);
        assert_eq!(sound, slate.sound[5 * 3_200..6 * 3_200]);
        assert!(sound.iter().any(|sample| sample.abs() > 0.5));
        assert_eq!(
            slate.sound(length - 1, &plan.grid, 1_600).len(),
            3_200,
            "short sound is filled"
        );
    }

    #[test]
    fn a_bad_file_names_its_key() {
        let plan = plan();
        let dir = TempDir::new().unwrap();
        let text = dir.path().join("text");
        std::fs::write(&text, "no picture at all").unwrap();
        let line = "videotestsrc num-buffers=62 pattern=black ! video/x-raw,width=64,height=64,framerate=1/1 \
                    ! jpegenc ! matroskamux";
        let long = make(dir.path(), "long.mkv", line);
        let missing = PathBuf::from("/nowhere/slate.png");
        let cases = [
            (Some(&missing), None, "ingest.slate_image"),
            (Some(&text), None, "ingest.slate_image"),
            (None, Some(&missing), "ingest.slate_loop"),
            (None, Some(&text), "ingest.slate_loop"),
            (None, Some(&long), "more than 512 MiB"),
        ];
        for (image, film, expected) in cases {
            let config = Config {
                slate_image: image.cloned(),
                slate_loop: film.cloned(),
                ..Config::default()
            };
            let error = Slate::new(&config, &plan).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let mut small = plan;
        small
            .rungs
            .iter_mut()
            .for_each(|rung| (rung.width, rung.height) = (64, 64));
        let error = film(&long, &small).unwrap_err();
        assert_eq!(error, "longer than 60s");
    }
}
