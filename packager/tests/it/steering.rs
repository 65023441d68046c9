//! Content steering: announced in every multivariant playlist of a stream, by origin and edge, and only where asked for.

use hls::check;
use tokio::time::{sleep, timeout};

use crate::stage::{PATIENCE, Stage, clean, grid};
use hls::time::Profile;

const TAG: &str = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer.json\",PATHWAY-ID=\"cdn-a\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc8216bis_7_steering_is_announced_wherever_a_player_may_begin() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::set(grid(Profile::Low, 30, 1, 48_000), |config| {
        config.data_dir = Some(dir.path().to_owned());
        config.steering.server_uri = Some("/steer.json".to_owned());
        config.steering.pathway = "cdn-a".to_owned();
    })
    .await;
    stage.feed(60).await;
    let recorded = async {
        while stage.reader.get("dvr.m3u8").await.status != 200 {
            sleep(PATIENCE / 1_000).await;
        }
    };
    timeout(PATIENCE, recorded).await.unwrap();
    let edge = stage.edge().await;
    for path in ["index.m3u8", "dvr.m3u8"] {
        let text = stage.reader.get(path).await.text();
        clean(&check::multivariant(&text));
        clean(&check::features(&text));
        assert_eq!(text.matches(TAG).count(), 1, "{text}");
        assert_eq!(edge.get(path).await.text(), text);
    }
    let plain = Stage::running(1).await;
    let text = plain.reader.get("index.m3u8").await.text();
    assert!(!text.contains("STEERING") && !text.contains("PATHWAY"), "{text}");
}
