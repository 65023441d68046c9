//! Can this machine encode the configured ladder?

use std::time::Duration;

use super::Check;
use crate::config::Config;

/// How long the real ladder is run.
const PROBE: Duration = Duration::from_secs(3);
/// Below this there is no room for decoders, viewers and a busy picture.
const TIGHT: f64 = 1.5;

/// Whether every codec is installed.
pub(super) fn elements() -> Check {
    let elements = match ingest::probe::elements() {
        Ok(elements) => elements,
        Err(error) => {
            let mend = "apt-get install libgstreamer1.0-0 gstreamer1.0-plugins-base";
            return Check::fail("elements", format!("GStreamer does not start: {error}"), mend);
        }
    };
    let missing = elements.iter().filter(|(_, _, present)| !present);
    let names: Vec<&str> = missing.clone().map(|(element, ..)| *element).collect();
    if names.is_empty() {
        return Check::ok(
            "elements",
            format!("all {} GStreamer elements are here", elements.len()),
        );
    }
    let mut packages: Vec<&str> = missing.map(|(_, package, _)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    Check::fail(
        "elements",
        format!("GStreamer elements are missing: {}", names.join(", ")),
        format!("apt-get install {}", packages.join(" ")),
    )
}

/// Runs the ladder for a few seconds.
pub(super) fn speed(config: &Config) -> Check {
    match ingest::probe::ladder(&config.ladder, config.profile, PROBE) {
        Ok(speed) => verdict(&speed),
        Err(error) => Check::fail("encode", format!("the ladder does not run: {error}"), "see above"),
    }
}

fn verdict(speed: &ingest::probe::Speed) -> Check {
    let rungs = speed.rungs.iter();
    let rungs: Vec<String> = rungs
        .map(|rung| format!("{}x{}p{:.0}", rung.width, rung.height, speed.frames_per_s))
        .collect();
    // Rounded down: 0.97 is not real time.
    let times = (speed.real_time() * 10.0).floor() / 10.0;
    let found = format!("this box encodes {} at {times:.1} x real time", rungs.join(" + "));
    let mend = "fewer or smaller rungs (ladder.rungs), a lower ladder.frame_rate, or more processors";
    match times {
        times if times < 1.0 => Check::fail("encode", found, mend),
        times if times < TIGHT => Check::warn("encode", found, mend),
        _ => Check::ok("encode", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use ingest::probe::{Rung, Speed};

    #[test]
    fn the_slowest_rung_decides() {
        let rung = |width, height, millihertz| Rung {
            name: format!("{height}p"),
            width,
            height,
            millihertz,
        };
        for (slowest, status, says) in [
            (93_000, Status::Ok, "640x360p30 + 426x240p30 at 3.1 x real time"),
            (40_000, Status::Warn, "1.3 x"),
            (29_900, Status::Fail, "0.9 x"),
        ] {
            let speed = Speed {
                frames_per_s: 30.0,
                rungs: vec![rung(640, 360, 99_000), rung(426, 240, slowest)],
            };
            let check = verdict(&speed);
            assert_eq!(check.status, status);
            assert!(check.found.contains(says), "{check:?}");
        }
    }
}
