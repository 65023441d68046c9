//! What encoders and their lines do on a bad night, one test for each row of the README's table.

use std::time::Duration;

use ingest::config::Ladder;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::encoder::{BEEP, Encoder, FLASH, GREY, WHITE};
use crate::raw::{Raw, record};
use crate::stage::{KEY, Stage, frames_more};
use crate::viewer::{Shown, assert_together, heard, on_air, scenes, story, watched, waves};

const TONE: &str = "sine=frequency=440:sample_rate=48000";
const VIDEO: u8 = rtmp::chunk::kind::VIDEO;
const AUDIO: u8 = rtmp::chunk::kind::AUDIO;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_encoders_that_fight_are_parted() {
    let stage = Stage::set_with(Ladder::default(), |config| config.flaps_max = 2).await;
    let addr = stage.ingest.ports().rtmp;
    let mut fighting = Vec::new();
    for _ in 0..3 {
        fighting.push(Encoder::publish(addr, KEY, WHITE, None, &[]));
        frames_more(&stage.packager, 60).await;
    }
    let refused = Encoder::publish(addr, KEY, GREY, None, &["-t", "8"]);
    let (content, said) = refused.ended(Duration::from_secs(8)).await;
    assert!(
        !content && said.contains("two encoders fight"),
        "ffmpeg said: {said}"
    );
    frames_more(&stage.packager, 45).await;
    drop(fighting);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        assert!(!scenes(&story(seen)).contains(&Shown::Grey), "{:?}", story(seen));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_without_a_picture_is_heard_under_the_slate() {
    let stage = Stage::set(Ladder::default()).await;
    let sound = Encoder::sound(stage.ingest.ports().rtmp, KEY, TONE);
    frames_more(&stage.packager, 180).await;
    drop(sound);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        assert_eq!(scenes(&story(seen)), [Shown::Test, Shown::Slate]);
        let (_, samples) = heard(seen);
        let steady = &samples[samples.len() - 60_000..samples.len() - 36_000];
        let rises = waves(steady);
        assert!((215..=225).contains(&rises), "440 Hz is {rises} in half a second");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_starts_late_is_in_its_place() {
    let stage = Stage::set(Ladder::default()).await;
    let mut tags = record(FLASH, BEEP, 9);
    let mut described = false;
    tags.retain(|tag| {
        let is_sound = tag.kind == AUDIO;
        // The first tag of sound is its configuration.
        let keep = !is_sound || !described || tag.due_ms >= 3_000;
        described |= is_sound;
        keep
    });
    let mut encoder = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    encoder.play(&tags).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        // Four seconds in, there is sound.
        let pictures = &on_air(&pictures)[120..];
        assert_together(seen, pictures, 2);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_size_rate_and_sample_rate_in_mid_stream_is_a_cut() {
    let stage = Stage::set(Ladder::default()).await;
    let mut tags = record(WHITE, TONE, 4);
    let change = record(GREY, "sine=frequency=880:sample_rate=44100", 4);
    tags.extend(change.into_iter().map(|mut tag| {
        tag.timestamp_ms += 4_000;
        tag.due_ms += 4_000;
        tag
    }));
    let mut encoder = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    encoder.play(&tags).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let story = story(seen);
        assert_eq!(
            scenes(&story)[..3],
            [Shown::Test, Shown::White, Shown::Grey],
            "{story:?}"
        );
        let (_, samples) = heard(seen);
        let window = &samples[samples.len() - 48_000..samples.len() - 24_000];
        let rises = waves(window);
        assert!((430..=450).contains(&rises), "880 Hz is {rises} in half a second");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_seventh_frame_lost_and_a_hole_of_three_seconds() {
    let stage = Stage::set(Ladder::default()).await;
    let mut tags = record(FLASH, BEEP, 12);
    let mut frame = 0;
    tags.retain(|tag| {
        frame += u32::from(tag.kind == VIDEO);
        let lost = tag.kind == VIDEO && frame > 60 && frame % 7 == 0;
        !lost && !(5_000..8_000).contains(&tag.due_ms)
    });
    let mut encoder = Raw::publish(stage.ingest.ports().rtmp, KEY).await;
    encoder.play(&tags).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        let pictures = on_air(&pictures);
        let card = pictures
            .iter()
            .filter(|(_, p)| (20.0..60.0).contains(&p.mean()) && p.spread() > 100);
        let slate = card.count();
        assert!((15..60).contains(&slate), "{slate} frames of slate in the hole");
        // From a second after the hole on.
        let after = &pictures[pictures.len().saturating_sub(85)..];
        assert_together(seen, after, 1);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_hostile_connections_beside_a_live_encoder_cost_it_no_frame() {
    let stage = Stage::set_with(Ladder::default(), |config| {
        config.connections_per_ip_max = 200;
        config.rtmp.connections_max = 200;
    })
    .await;
    let ports = stage.ingest.ports();
    let mut live = Raw::publish(ports.rtmp, KEY).await;
    let tags = record(
        &format!("{FLASH},drawbox=y=ih*2/3:color=gray:t=fill:enable='mod(n,2)'"),
        BEEP,
        9,
    );
    let attack = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut kept = Vec::new();
        for seed in 0..100_u32 {
            kept.push(hostile(ports, seed).await);
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        kept
    };
    let (_, kept) = tokio::join!(live.play(&tags), attack);
    assert_eq!(kept.len(), 100);
    drop((live, kept));
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        let pictures = watched(seen);
        let pictures = &on_air(&pictures)[45..225];
        let changes = pictures
            .windows(2)
            .filter(|pair| pair[0].1.low().abs_diff(pair[1].1.low()) > 40)
            .count();
        // Frame by frame; where both clocks' frames fall together one may be shown twice.
        assert!(
            changes >= 174,
            "{changes} of 179 frames differ from the one before"
        );
    });
}

/// One connection that means no good; what it holds open stays open.
async fn hostile(ports: ingest::Ports, seed: u32) -> Option<TcpStream> {
    let noise: Vec<u8> = (0..2_000_u32)
        .map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_le_bytes()[2])
        .collect();
    if seed % 4 == 3 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // An induction request of SRT's handshake that is never concluded, or noise.
        let mut request = vec![
            0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2,
        ];
        request.resize(64, 0);
        let datagram = if seed % 8 == 3 { request } else { noise };
        socket.send_to(&datagram[..64], ports.srt).await.unwrap();
        return None;
    }
    let mut socket = TcpStream::connect(ports.rtmp).await.unwrap();
    let wrong: &[u8] = match seed % 4 {
        0 => &[],
        1 => &noise,
        _ => &[3; 1_000],
    };
    // It may be closed while it writes.
    drop(socket.write_all(wrong).await);
    Some(socket)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rtmp_inside_tls_is_rtmp() {
    let stage = Stage::set(Ladder::default()).await;
    let rtmps = stage.ingest.ports().rtmps.expect("the stage has a certificate");
    // A connection that never says hello in TLS holds nothing up.
    let _silent = TcpStream::connect(rtmps).await.unwrap();
    let encoder = Encoder::rtmps(rtmps, KEY, WHITE);
    frames_more(&stage.packager, 120).await;
    drop(encoder);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| {
        seen.assert_unbroken();
        assert!(scenes(&story(seen)).contains(&Shown::White));
    });
}
