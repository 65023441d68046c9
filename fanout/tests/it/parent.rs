//! A parent that can be told what to do wrong: it passes on what a real origin says, and writes down what it is asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::TaskTracker;

/// What is done with a request.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// The origin's answer, all of it.
    Pass,
    /// The same, said to be gzip.
    Encoded,
    /// The same, without our headers and with another text.
    Edit(fn(String) -> String),
    /// The same for the path alone: no directive is understood.
    Plain(fn(String) -> String),
    Status(u16),
    Garbage,
    Silence,
    /// So many bytes every 50 ms.
    Trickle(usize),
}

type Rule = Arc<dyn Fn(&str) -> Act + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

#[derive(Clone)]
pub(crate) struct Parent {
    pub(crate) address: SocketAddr,
    origin: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    rule: Arc<Mutex<Rule>>,
    asked: Arc<Mutex<Vec<String>>>,
    up: watch::Sender<bool>,
}

impl Parent {
    pub(crate) async fn of(origin: SocketAddr) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let rule: Rule = Arc::new(|_| Act::Pass);
        let parent = Self {
            address: socket.local_addr().unwrap(),
            origin,
            client: Client::builder(TokioExecutor::new()).build_http(),
            rule: Arc::new(Mutex::new(rule)),
            asked: Arc::default(),
            up: watch::Sender::new(true),
        };
        TaskTracker::new().spawn(parent.clone().serve(socket));
        parent
    }

    /// From now on, by path and query.
    pub(crate) fn rule(&self, rule: impl Fn(&str) -> Act + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    /// Loses all connections and takes none, or takes them again.
    pub(crate) fn up(&self, up: bool) {
        self.up.send_replace(up);
    }

    /// Paths and queries so far that contain this.
    pub(crate) fn asked(&self, what: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.contains(what)).cloned().collect()
    }

    async fn serve(self, socket: TcpListener) {
        while let Ok((stream, _)) = socket.accept().await {
            if !*self.up.borrow() {
                continue;
            }
            let (this, mut up) = (self.clone(), self.up.subscribe());
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let this = this.clone();
                async move { Ok::<_, std::convert::Infallible>(this.answer(request).await) }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let serving = server.serve_connection(TokioIo::new(stream), service);
            TaskTracker::new().spawn(async move {
                tokio::select! {
                    _ = serving => {}
                    _ = up.wait_for(|up| !up) => {}
                }
            });
        }
    }

    async fn answer(&self, request: http::Request<hyper::body::Incoming>) -> http::Response<Body> {
        let target = request.uri().path_and_query().unwrap().to_string();
        self.asked.lock().unwrap().push(target.clone());
        let rule = Arc::clone(&*self.rule.lock().unwrap());
        let (act, is_text) = (rule(&target), request.uri().path().ends_with("m3u8"));
        let full = |bytes: Bytes| Full::new(bytes).boxed_unsync();
        match act {
            Act::Status(status) => http::Response::builder()
                .status(status)
                .body(full(Bytes::new()))
                .unwrap(),
            Act::Garbage => http::Response::new(full(Bytes::from_static(b"\xff\x00 neither text nor video"))),
            Act::Silence => std::future::pending().await,
            Act::Pass => {
                let (parts, bytes) = self.origin_says(&target).await;
                http::Response::from_parts(parts, full(bytes))
            }
            Act::Encoded => {
                let (mut parts, bytes) = self.origin_says(&target).await;
                let gzip = http::HeaderValue::from_static("gzip");
                parts.headers.insert(http::header::CONTENT_ENCODING, gzip);
                http::Response::from_parts(parts, full(bytes))
            }
            Act::Edit(edit) | Act::Plain(edit) => {
                let plain = matches!(act, Act::Plain(_));
                let path = if plain { request.uri().path() } else { &target };
                let (parts, bytes) = self.origin_says(path).await;
                let edited = is_text.then(|| edit(String::from_utf8(bytes.to_vec()).unwrap()).into());
                let mut response = http::Response::new(full(edited.unwrap_or(bytes)));
                *response.status_mut() = parts.status;
                response
            }
            Act::Trickle(step) => {
                let (_, bytes) = self.origin_says(&target).await;
                http::Response::new(trickle(bytes, step))
            }
        }
    }

    async fn origin_says(&self, target: &str) -> (http::response::Parts, Bytes) {
        let uri = format!("http://{}{target}", self.origin).parse().unwrap();
        let (mut parts, body) = self.client.get(uri).await.unwrap().into_parts();
        parts.headers.remove(http::header::TRANSFER_ENCODING);
        parts.headers.remove(http::header::CONNECTION);
        parts.version = http::Version::HTTP_2;
        (parts, body.collect().await.unwrap().to_bytes())
    }
}

fn trickle(mut bytes: Bytes, step: usize) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    TaskTracker::new().spawn(async move {
        while !bytes.is_empty() {
            let some = bytes.split_to(step.min(bytes.len()));
            if sender.send(Ok(Frame::data(some))).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    Frames(receiver).boxed_unsync()
}

struct Frames(mpsc::Receiver<Result<Frame<Bytes>, std::convert::Infallible>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context)
    }
}

/// A way to an address that takes so long in each direction.
pub(crate) async fn far(to: SocketAddr, delay: Duration) -> SocketAddr {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((near, _)) = socket.accept().await {
            let far = TcpStream::connect(to).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            TaskTracker::new().spawn(carry(near_in, far_out, delay));
            TaskTracker::new().spawn(carry(far_in, near_out, delay));
        }
    });
    address
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay: Duration,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(4_096);
    TaskTracker::new().spawn(async move {
        while let Some((due, bytes)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let due = Instant::now() + delay;
        if sender.send((due, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}
