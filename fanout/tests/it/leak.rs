//! Viewers that leave while they wait.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::delivery::edge_of;
use crate::stage::{Reader, Stage};

const VIEWERS: usize = 50;
const ROUNDS: usize = 200;

async fn asking(reader: &Reader, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(reader.origin).await.unwrap();
    let request = format!("GET /live/main/360p/media.m3u8{query} HTTP/1.1\r\nhost: edge\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// There is room for no more than are asking, so who is not forgotten keeps others out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_108_a_request_that_is_dropped_frees_its_place_within_a_second() {
    let stage = Stage::running(21).await;
    let parent = stage.reader.origin;
    let (reader, _running) = edge_of(&stage, parent, |config| {
        config.connections_max = VIEWERS;
        config.admission.enabled = false;
    })
    .await;
    let waits = format!("?_HLS_msn={}", stage.grid.msn(stage.next).0 + 1);
    let mut slowest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let mut waiting = Vec::new();
        for _ in 0..VIEWERS {
            waiting.push(asking(&reader, &waits).await);
        }
        sleep(Duration::from_millis(3)).await;
        for stream in &waiting {
            let nothing = stream.try_read(&mut [0; 1]).map_err(|error| error.kind());
            assert_eq!(nothing, Err(ErrorKind::WouldBlock), "it waits");
        }
        drop(waiting);
        let since = Instant::now();
        let all = async {
            let mut others = Vec::new();
            for _ in 0..VIEWERS {
                others.push(asking(&reader, "").await);
            }
            for stream in &mut others {
                let mut status = [0; 12];
                stream.read_exact(&mut status).await.unwrap();
                assert_eq!(&status, b"HTTP/1.1 200");
            }
        };
        timeout(Duration::from_secs(1), all)
            .await
            .expect("the places are free again");
        slowest = slowest.max(since.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
