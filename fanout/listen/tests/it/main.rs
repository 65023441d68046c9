//! A real listener and clients that behave as badly as sockets allow.

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod tls;

#[cfg(test)]
mod stand {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use listen::{Body, Limits, Open};
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;
    use tokio_util::sync::{CancellationToken, DropGuard};
    use tokio_util::task::TaskTracker;

    /// Far beyond every deadline in these tests.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

    /// A listener that answers `/big` with `big`, lets `/wait` wait, and says hello to others.
    pub(crate) struct Stand {
        pub(crate) address: SocketAddr,
        pub(crate) open: Open,
        pub(crate) big: Bytes,
        metrics: PrometheusHandle,
        _recorder: metrics::LocalRecorderGuard<'static>,
        _running: DropGuard,
    }

    impl Stand {
        /// Runs in this thread's runtime, so that its metrics are its own.
        pub(crate) async fn new(limits: Limits, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
            Self::with(limits, tls, false).await
        }

        pub(crate) async fn with(
            limits: Limits,
            tls: Option<Arc<rustls::ServerConfig>>,
            is_exempt: bool,
        ) -> Self {
            let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
            let (metrics, recorder) = (recorder.handle(), metrics::set_default_local_recorder(recorder));
            let listener = listen::bind("test", "test.listen", (Ipv4Addr::LOCALHOST, 0).into())
                .await
                .unwrap()
                .exempt(move |_| is_exempt);
            let (address, open) = (listener.address(), listener.open());
            let (big, shutdown) = (Bytes::from(vec![7; 16 << 20]), CancellationToken::new());
            let body = big.clone();
            TaskTracker::new().spawn(listener.serve(tls, limits, shutdown.clone(), move |request| {
                let body = body.clone();
                async move {
                    if request.uri().path() == "/wait" {
                        std::future::pending::<()>().await;
                    }
                    let is_big = request.uri().path() == "/big";
                    http::Response::new(if is_big { body.into() } else { Body::from("hello") })
                }
            }));
            Self {
                address,
                open,
                big,
                metrics,
                _recorder: recorder,
                _running: shutdown.drop_guard(),
            }
        }

        pub(crate) async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// What is ended or refused for this cause so far.
        pub(crate) fn ended(&self, cause: &str) -> u64 {
            let name = format!("ringside_listen_ended_total{{listener=\"test\",cause=\"{cause}\"}} ");
            let text = self.metrics.render();
            let value = text.lines().find_map(|line| line.strip_prefix(&name));
            value.map_or(0, |value| value.parse().unwrap())
        }

        /// Waits for a state.
        pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
            let so = async {
                while !is_so(self) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, so).await.expect(what);
        }
    }

    /// Sends this and reads until the other end closes.
    pub(crate) async fn tell(stand: &Stand, text: &str) -> String {
        let mut socket = stand.connect().await;
        // The other end may have heard enough before it is all sent.
        let _all_or_not = socket.write_all(text.as_bytes()).await;
        read_all(&mut socket).await
    }

    /// What comes until the other end closes, or resets.
    pub(crate) async fn read_all(socket: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        let _closed_or_reset = read.expect("the connection is closed");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A GET whose connection is closed after it.
    pub(crate) const ONCE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
}
