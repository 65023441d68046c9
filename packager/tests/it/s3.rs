//! A real S3 service on loopback that checks signatures, behind a door that can be shut.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use packager::config::Archive;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

const KEY: &str = "operator";
const SECRET: &str = "not-to-be-shown";
pub(crate) const BUCKET: &str = "recordings";

/// What the door does with bytes for the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Connections are cut.
    Refuses,
    /// Nothing is answered, ever.
    Hangs,
    /// Every answer takes this long.
    Slow(Duration),
}

pub(crate) struct S3 {
    address: SocketAddr,
    door: Arc<watch::Sender<Door>>,
    _ends: DropGuard,
}

impl S3 {
    /// A service that keeps its objects below this directory.
    pub(crate) async fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir.join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(dir).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = inner.local_addr().unwrap();
        let serving = async move {
            let connections = TaskTracker::new();
            loop {
                let (socket, _) = inner.accept().await.unwrap();
                let service = service.clone();
                connections.spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    // A connection that the door has cut is none of its business.
                    let _cut = builder.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Arc::new(watch::Sender::new(Door::Open));
        let at_the_door = Arc::clone(&door);
        let passing = async move {
            let connections = TaskTracker::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(pass(socket, behind, at_the_door.subscribe()));
            }
        };
        let stop = shutdown.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = async { tokio::join!(serving, passing); } => {}
                () = stop.cancelled() => {}
            }
        });
        Self {
            address,
            door,
            _ends: shutdown.drop_guard(),
        }
    }

    pub(crate) fn turns(&self, door: Door) {
        self.door.send_replace(door);
    }

    /// How a packager is told of it.
    pub(crate) fn settings(&self) -> Archive {
        Archive {
            url: format!("s3://{BUCKET}/events"),
            endpoint: Some(format!("http://{}", self.address)),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some(KEY.to_owned()),
            secret_access_key: Some(SECRET.to_owned()),
            refresh_s: 2,
            upload_timeout_s: 2,
            read_timeout_s: 1,
            ..Archive::default()
        }
    }
}

/// Carries bytes both ways for as long as the door lets them through.
async fn pass(client: TcpStream, behind: SocketAddr, mut door: watch::Receiver<Door>) {
    if *door.borrow() == Door::Refuses {
        return;
    }
    let Ok(server) = TcpStream::connect(behind).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let mut at_the_door = door.clone();
    let back = async {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let n = from_server.read(&mut bytes).await?;
            at_the_door.wait_for(|door| *door != Door::Hangs).await.ok();
            let now = *at_the_door.borrow();
            if let Door::Slow(pause) = now {
                sleep(pause).await;
            }
            if n == 0 {
                return Ok::<(), std::io::Error>(());
            }
            to_client.write_all(&bytes[..n]).await?;
        }
    };
    tokio::select! {
        _ = there => {}
        _ = back => {}
        _ = door.wait_for(|door| *door == Door::Refuses) => {}
    }
}
