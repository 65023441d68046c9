//! The ladder on the test picture: every frame, key, sample and watermark in its place.

use std::time::{Duration, Instant, SystemTime};

use feed::Unit;
use ingest::config::Ladder;

use crate::picture;
use crate::stage::Stage;

fn unix_ms() -> u64 {
    ms(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_test_picture_comes_out_whole_in_every_rung() {
    let stage = Stage::set(Ladder::default()).await;
    stage.packager.wait_for_frames(180).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let hello = &seen.hellos[0];
        let ids: Vec<&str> = hello.shape.tracks.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(ids.last(), Some(&"audio"));
        assert_eq!(hello.discontinuity, 0);
        let rungs = u16::try_from(ids.len() - 1).unwrap();
        let counts: Vec<usize> = (0..rungs).map(|track| seen.times(track).len()).collect();
        assert!(
            counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 2,
            "{counts:?}"
        );

        // Frame times are wall times, and the clock in the picture says so in every rung.
        let now = (unix_ms(), Instant::now());
        for track in 0..rungs {
            let (came, unit) = seen
                .units
                .iter()
                .rfind(|(_, u)| u.track == track && u.key)
                .unwrap();
            let shown = picture::pictures(
                &hello.shape.tracks[usize::from(track)],
                std::slice::from_ref(unit),
            );
            let came = now.0 - ms(now.1 - *came);
            let age = (came - shown[0].clock()) % (1 << 20);
            assert!(age < 1_000, "{}: {age} ms old", ids[usize::from(track)]);
            let program = ms(hello.shape.grid.frame_time(unit.time)) + 1_704_067_200_000;
            assert!(
                program.abs_diff(came - age) < 500,
                "program time is off by {}",
                program.abs_diff(came)
            );
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beep_is_where_its_program_second_begins() {
    let stage = Stage::set(Ladder::default()).await;
    stage.packager.wait_for_frames(90).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let (index, track) = seen.hellos[0]
            .shape
            .tracks
            .iter()
            .enumerate()
            .next_back()
            .unwrap();
        let units: Vec<Unit> = seen.of(u16::try_from(index).unwrap()).cloned().collect();
        let samples = picture::sound(track, &units);
        assert_eq!(samples.len(), units.len() * 1_024);
        let start = units[0].time;
        // The decoder's first unit lacks its predecessor's half; look after it.
        let loud = samples
            .iter()
            .enumerate()
            .skip(2_048)
            .filter(|(_, s)| s.abs() > 0.06);
        let second = loud
            .map(|(n, _)| (start + n as u64) % 48_000)
            .min_by_key(|at| at.min(&(48_000 - at)).to_owned());
        let at = second.expect("a beep came");
        let first = samples
            .iter()
            .enumerate()
            .skip(2_048)
            .map(|(n, s)| ((start + n as u64) % 48_000, s.abs()));
        let early = first
            .filter(|(at, level)| *level > 0.06 && (24_000..47_900).contains(at))
            .count();
        assert_eq!(early, 0, "sound is early");
        assert!(at < 300, "sound is late by {at} samples");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packager_that_comes_back_gets_what_it_missed() {
    let stage = Stage::set(Ladder::default()).await;
    for frames in [40, 80] {
        stage.packager.wait_for_frames(frames).await;
        stage.packager.hang_up();
        let again = |seen: &crate::packager::Seen| seen.hellos.len() == frames / 40 + 1;
        stage
            .packager
            .wait_for("a new hello", Duration::from_secs(5), again)
            .await;
    }
    stage.packager.wait_for_frames(120).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        assert!(
            seen.hellos.windows(2).all(|pair| pair[0] == pair[1]),
            "the same ladder says the same"
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_ladder_goes_on_later_and_says_so() {
    let first = Stage::set(Ladder::default()).await;
    first.packager.wait_for_frames(20).await;
    let (before, data_dir) = first.strike().await;
    let second = Stage::set_in(Ladder::default(), data_dir).await;
    second.packager.wait_for_frames(5).await;
    let (after, _data_dir) = second.strike().await;
    let newest = before.look(|seen| *seen.times(0).last().unwrap());
    after.look(|seen| {
        seen.assert_unbroken();
        let hello = &seen.hellos[0];
        assert_eq!(hello.discontinuity, 1);
        assert!(hello.shape.grid.first_frame(hls::id::Cell(hello.epoch.0)) > newest);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_is_told_before_anything_starts() {
    use ingest::config::Config;
    let config = Config {
        packagers: Vec::new(),
        hold_ms: 0,
        ..Config::default()
    };
    let data_dir = tempfile::tempdir().unwrap();
    let stream = hls::id::StreamId::new("main").unwrap();
    let refused = ingest::Ingest {
        config,
        ladder: Ladder {
            audio_bitrate_kbps: 1,
            ..Ladder::default()
        },
        profile: hls::time::Profile::Low,
        keys: ingest::Keys::default(),
        stream,
        feed_secret: Vec::new(),
        data_dir: data_dir.path().to_owned(),
        tls: None,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    let started = tokio::time::timeout(Duration::from_secs(1), refused.start())
        .await
        .unwrap();
    let Err(ingest::Error::Config(wrong)) = started else {
        panic!("it started")
    };
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ladder_that_no_machine_carries_is_refused_where_it_is_asked_for() {
    use ingest::config::{Config, Probe};
    let free = "127.0.0.1:0".parse().unwrap();
    let mut config = Config::default();
    (config.rtmp.listen, config.srt.listen) = (free, free);
    let rung = "name = \"2160p\"\nwidth = 3840\nheight = 2160\nbitrate_kbps = 30000\npreset = \"medium\"";
    let data_dir = tempfile::tempdir().unwrap();
    let refused = ingest::Ingest {
        config,
        ladder: Ladder {
            rungs: Some(vec![toml::from_str(rung).unwrap()]),
            frame_rate: serde_json::from_str("\"240\"").unwrap(),
            probe: Probe::Refuse,
            ..Ladder::default()
        },
        profile: hls::time::Profile::Low,
        keys: ingest::Keys::default(),
        stream: hls::id::StreamId::new("main").unwrap(),
        feed_secret: Vec::new(),
        data_dir: data_dir.path().to_owned(),
        tls: None,
        shutdown: tokio_util::sync::CancellationToken::new(),
    };
    let started = tokio::time::timeout(Duration::from_secs(20), refused.start()).await;
    let Err(error) = started.expect("a probe ends") else {
        panic!("it started")
    };
    let said = error.to_string();
    assert!(
        said.contains("x real time") && said.contains("ladder.rungs"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openh264_keeps_the_same_promise() {
    let ladder = Ladder {
        encoder: ingest::config::Encoder::Openh264,
        ..Ladder::default()
    };
    let stage = Stage::set(ladder).await;
    stage.packager.wait_for_frames(90).await;
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let units: Vec<Unit> = seen.of(0).cloned().collect();
        let shown = picture::pictures(&seen.hellos[0].shape.tracks[0], &units);
        assert_eq!(shown.len(), units.len());
        assert!(shown.iter().all(|luma| luma.clock() > 0));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_hear_what_goes_out() {
    let stage = Stage::set(Ladder::default()).await;
    let (control, stream) = (stage.ingest.control(), hls::id::StreamId::new("main").unwrap());
    stage.packager.wait_for_frames(100).await;
    let first = control.thumbnail(&stream).await.expect("a thumbnail within 3 s");
    assert!(first.starts_with(&[0xff, 0xd8]) && first.ends_with(&[0xff, 0xd9]));
    let of_test = control.streams().await[0].output;
    assert!(
        of_test
            .momentary_lufs
            .is_some_and(|lufs| (-45.0..-15.0).contains(&lufs)),
        "{of_test:?}"
    );
    assert!(of_test.freeze_seconds < 0.5 && of_test.black_seconds < 0.1 && of_test.silence_seconds < 0.1);
    assert!(control.choose(&stream, ingest::Choice::Slate).await);
    crate::stage::frames_more(&stage.packager, 90).await;
    let of_slate = control.streams().await[0].output;
    assert!(
        of_slate.freeze_seconds > 1.5 && of_slate.silence_seconds > 1.5,
        "{of_slate:?}"
    );
    assert_ne!(control.thumbnail(&stream).await, Some(first.clone()));
    let other = hls::id::StreamId::new("other").unwrap();
    assert_eq!(control.thumbnail(&other).await, None);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        let every = 2_000 / 500;
        let cells: Vec<u64> = seen.pictures.iter().map(|(cell, _)| cell.0).collect();
        let epoch = seen.hellos[0].epoch.0;
        assert!(
            cells.len() >= 3 && cells[0] <= epoch + every,
            "{cells:?} from {epoch}"
        );
        assert!(cells.is_sorted_by(|a, b| a + every == *b), "{cells:?}");
        assert!(seen.pictures.iter().any(|(_, jpeg)| *jpeg == first));
    });
}
