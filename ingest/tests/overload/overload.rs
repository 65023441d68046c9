//! Encoders slower than real time: the top rung goes and comes back, the low one never notices.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use feed::Hello;
use hls::id::{Cell, TrackId};
use ingest::config::{Codec, Ladder, Preset, Rung};

use crate::packager::Seen;
use crate::stage::Stage;

/// A process at its work for `seconds` at most; it is ended and waited for.
struct Hog(Child);

impl Hog {
    fn start(seconds: u32) -> Self {
        let count = format!(
            "end=$(($(date +%s)+{seconds})); while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done"
        );
        Self(Command::new("sh").args(["-c", &count]).spawn().unwrap())
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

fn rung(name: &str, (width, height): (u32, u32), preset: Preset) -> Rung {
    Rung {
        name: TrackId::new(name).unwrap(),
        width,
        height,
        bitrate_kbps: 400,
        codec: Codec::H264,
        preset: Some(preset),
        encoder: None,
    }
}

fn closed(hello: &Hello, seen: &Seen, track: u16) -> Vec<u64> {
    let mut cells: Vec<u64> = seen
        .watermarks
        .iter()
        .chain(&seen.gaps)
        .filter(|(t, _)| *t == track)
        .map(|(_, cell)| cell.0 - hello.epoch.0)
        .collect();
    cells.sort_unstable();
    cells
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_top_rung_goes_under_load_and_comes_back_while_the_low_one_goes_on() {
    let ladder = Ladder {
        rungs: Some(vec![
            rung("big", (1_920, 1_080), Preset::Medium),
            rung("small", (426, 240), Preset::Ultrafast),
        ]),
        shed_return_ms: 2_000,
        ..Ladder::default()
    };
    let stage = Stage::set(ladder).await;
    let cores = std::thread::available_parallelism().unwrap().get();
    let (mut hogs, began) = (Vec::new(), Instant::now());
    let gone = |seen: &Seen| seen.gaps.iter().filter(|(track, _)| *track == 0).count() >= 4;
    // As much load as this machine takes, and no more.
    while !stage.packager.look(gone) {
        assert!(hogs.len() < cores * 8, "no load sheds the top rung");
        hogs.push(Hog::start(30));
        let settled = Instant::now() + Duration::from_secs(1);
        while Instant::now() < settled && !stage.packager.look(gone) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    drop(hogs);
    let load = began..Instant::now();
    let missing = stage.packager.look(|seen| seen.gaps.len());
    assert!(missing < 100, "{missing}");
    let back = |seen: &Seen| {
        let last = seen.gaps.iter().map(|(_, cell)| cell.0).max();
        let closed = seen
            .watermarks
            .iter()
            .filter(|(track, cell)| *track == 0 && Some(cell.0) > last);
        closed.count() >= 4
    };
    stage
        .packager
        .wait_for("the top rung's return", Duration::from_secs(40), back)
        .await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let hello = &seen.hellos[0];
        let (grid, epoch) = (hello.shape.grid, hello.epoch.0);
        assert!(
            seen.gaps.iter().all(|(track, _)| *track == 0),
            "only the top rung: {:?}",
            seen.gaps
        );
        for track in 0..3 {
            let cells = closed(hello, seen, track);
            let all: Vec<u64> = (0..cells.len() as u64).collect();
            assert_eq!(cells, all, "every cell of track {track} is closed once");
        }
        let first = grid.first_frame(Cell(epoch));
        let low: Vec<u64> = (first..).take(seen.times(1).len()).collect();
        assert_eq!(seen.times(1), low, "no frame of the low rung is missing");
        // Time from a frame's place on the clock to its unit, the best of all frames taken as none.
        let start = seen
            .units
            .iter()
            .filter(|(_, unit)| unit.track == 1)
            .map(|(came, unit)| *came - grid.frame_time(unit.time - first))
            .min()
            .unwrap();
        let late = seen
            .units
            .iter()
            .filter(|(came, unit)| unit.track == 1 && load.contains(came))
            .map(|(came, unit)| came.saturating_duration_since(start + grid.frame_time(unit.time - first)))
            .max();
        assert!(
            late.unwrap() < Duration::from_millis(1_400),
            "the low rung was {late:?} late"
        );
        // What comes back begins with a key frame on the grid, and only one.
        let units: Vec<_> = seen.of(0).collect();
        let returns = units.windows(2).filter(|pair| pair[1].time != pair[0].time + 1);
        let mut count = 0;
        for pair in returns {
            let cell = grid.cell_of_frame(pair[1].time);
            assert!(
                pair[1].key && grid.starts_gop(cell) && grid.first_frame(cell) == pair[1].time,
                "frame {} (key: {}) follows {}, cells of {} frames, gaps {:?}",
                pair[1].time - first,
                pair[1].key,
                pair[0].time - first,
                grid.first_frame(cell.next()) - grid.first_frame(cell),
                seen.gaps
                    .iter()
                    .map(|(_, cell)| cell.0 - epoch)
                    .collect::<Vec<_>>()
            );
            count += 1;
        }
        assert!(count >= 1);
        for unit in &units {
            let cell = grid.cell_of_frame(unit.time);
            let starts = grid.starts_gop(cell) && grid.first_frame(cell) == unit.time;
            assert_eq!(
                unit.key,
                unit.time == first || starts,
                "frame {}",
                unit.time - first
            );
        }
    });
}
