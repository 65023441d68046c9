//! Keys that come and go while an ingest runs.

use std::path::Path;
use std::time::Duration;

use ingest::Role;
use ingest::config::Ladder;
use ingest::keys::file::{Entry, File, Hash, Id, Secret};
use ingest::keys::now;
use tokio::time::Instant;

use crate::encoder::{Encoder, GREY, WHITE};
use crate::stage::{KEY, Stage};

/// A change of the file is in force after two seconds; this leaves room for a busy machine.
const SOON: Duration = Duration::from_secs(10);

fn entry(id: &str, secret: &str) -> Entry {
    Entry {
        id: Id::new(id).unwrap(),
        stream: hls::id::StreamId::new("main").unwrap(),
        role: Role::Backup,
        priority: 0,
        hash: Hash::of(secret),
        created: now(),
        expires: None,
        note: None,
        passphrase: None,
        previous_hash: None,
        previous_until: None,
        revoked: None,
        disconnect: false,
    }
}

/// Written as `ringside key` does.
fn write(dir: &Path, text: &str) {
    let draft = dir.join("keys.toml.draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(&draft, dir.join("keys.toml")).unwrap();
}

async fn is_in(stage: &Stage, role: Role) -> bool {
    let streams = stage.ingest.control().streams().await;
    streams[0].contributions.iter().any(|who| who.role == role)
}

/// Waits until somebody of `role` is in, or nobody is.
async fn wait(stage: &Stage, role: Role, inside: bool, within: Duration) {
    let until = Instant::now() + within;
    while is_in(stage, role).await != inside {
        assert!(Instant::now() < until, "{role:?}: not {inside}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Publishes with `key` over RTMP, and gives what the refused encoder said. Before the file was read it is
/// refused in other words, so this asks until it hears `expected`.
async fn refused(stage: &Stage, key: &str, expected: &str) {
    let until = Instant::now() + SOON;
    loop {
        let encoder = Encoder::publish(stage.ingest.ports().rtmp, key, GREY, None, &["-t", "8"]);
        let (content, said) = encoder.ended(Duration::from_secs(10)).await;
        if !content && said.contains(expected) {
            return;
        }
        assert!(Instant::now() < until, "content {content}, ffmpeg said: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_and_go_and_who_is_live_stays() {
    let stage = Stage::set(Ladder::default()).await;
    let (ports, dir) = (stage.ingest.ports(), stage.data_dir.path().to_owned());
    let primary = Encoder::publish(ports.rtmp, KEY, WHITE, None, &[]);
    wait(&stage, Role::Primary, true, SOON).await;

    let mut encrypted = entry("00000001", "srt-secret");
    encrypted.passphrase = Secret::new("correct-horse");
    let mut expired = entry("00000002", "old-secret");
    expired.expires = Some(now() - 86_400);
    let mut file = File {
        key: vec![encrypted, expired],
    };
    write(&dir, &file.render());
    refused(&stage, "old-secret", "this stream key expired on 20").await;
    for wrong in ["", "&passphrase=battery-staple"] {
        let encoder = Encoder::srt_with(ports.srt, "srt-secret", wrong, GREY, None, &["-t", "8"]);
        let (content, said) = encoder.ended(Duration::from_secs(10)).await;
        assert!(!content, "{wrong}: {said}");
    }
    let secret = "&passphrase=correct-horse";
    let backup = Encoder::srt_with(ports.srt, "srt-secret", secret, GREY, None, &[]);
    wait(&stage, Role::Backup, true, SOON).await;

    // The key is gone from a file that cannot be used: it works on.
    write(&dir, "[[key]]\nid = \"00000001\"\n");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    drop(backup);
    wait(&stage, Role::Backup, false, SOON).await;
    let backup = Encoder::srt_with(ports.srt, "srt-secret", secret, GREY, None, &[]);
    wait(&stage, Role::Backup, true, SOON).await;

    // Revoked: refused in its own words, live as before.
    file.key[0].revoked = Some(now());
    file.key[1].hash = Hash::of("older-secret");
    write(&dir, &file.render());
    refused(&stage, "older-secret", "this stream key expired on 20").await;
    refused(&stage, "srt-secret", "this stream key was revoked on 20").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(is_in(&stage, Role::Backup).await, "revoked is not disconnected");

    file.key[0].disconnect = true;
    write(&dir, &file.render());
    wait(&stage, Role::Backup, false, Duration::from_secs(4)).await;
    let (_, _) = backup.ended(Duration::from_secs(8)).await;
    let streams = stage.ingest.control().streams().await;
    let live = &streams[0].contributions[0];
    assert!(live.seconds > 5.0 && live.silent_ms < 1_000, "{live:?}");
    drop(primary);
    let (packager, _) = stage.strike().await;
    packager.look(|seen| seen.assert_unbroken());
}
