//! One call: a signed POST on a connection of its own, and what the answer means.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::net::TcpStream;

/// Of an answer's body, what is read at most, bytes; the rest is left where it is.
const BODY_BYTES_MAX: usize = 4 << 10;
/// An answer's head and whatever hyper reads ahead, bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// What an encoder is shown of a refusal, characters.
const WORDS_MAX: usize = 200;

/// Where the hook is.
#[derive(Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
    secret: Option<Vec<u8>>,
}

/// What the hook said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allowed,
    /// With words for the encoder.
    Refused(String),
}

/// Why it said nothing that counts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    Late,
    #[error("no connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("no answer that makes sense: {0}")]
    Http(#[from] hyper::Error),
    #[error("shutting down")]
    Stopped,
}

impl Target {
    /// A URL of the config, or why it cannot be used.
    pub(crate) fn new(url: &str, secret: Option<&str>) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "not a URL")?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("https is not spoken; put a proxy on this machine before the hook"),
            _ => return Err("an http:// URL is needed"),
        }
        let authority = uri.authority().ok_or("a host is needed")?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err("http://HOST[:PORT]/PATH is needed, without a user name");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            path: path.to_owned(),
            secret: secret.map(|secret| secret.as_bytes().to_vec()),
        })
    }

    /// Sends `body`, signed at `time`.
    pub(super) async fn post(&self, body: Vec<u8>, time: u64) -> Result<Answer, Failure> {
        let request = self.request(body, time);
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let mut client = http1::Builder::new();
        client.max_buf_size(HEAD_BYTES_MAX);
        let (mut sender, connection) = client.handshake(TokioIo::new(socket)).await?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let words = words(response.into_body()).await;
            judge(status, words)
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // Its own failure is told to the exchange, which may also have read all it needs.
            _ = connection => exchange.await,
        }
    }

    fn request(&self, body: Vec<u8>, time: u64) -> Request<Full<Bytes>> {
        let mut request = Request::post(self.path.as_str())
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header(
                header::USER_AGENT,
                concat!("ringside/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(secret) = &self.secret {
            request = request.header("ringside-signature", signature(secret, time, &body));
        }
        let request = request.body(Full::new(body.into()));
        request.expect("host and path came out of a URL, and all else is ASCII")
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What follows the host may be meant for the hook alone.
        write!(f, "Target({})", self.authority)
    }
}

/// `t=TIME,v1=HEX`: HMAC-SHA256 over `TIME.BODY`, so that an old message cannot be sent again as a new one.
fn signature(secret: &[u8], time: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={hex}")
}

fn judge(status: StatusCode, words: String) -> Result<Answer, Failure> {
    match status {
        status if status.is_success() => Ok(Answer::Allowed),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
            let silent = || format!("refused by the server's publish hook ({})", status.as_u16());
            Ok(Answer::Refused(if words.is_empty() { silent() } else { words }))
        }
        // A redirect is not followed either: the operator said where to ask.
        status => Err(Failure::Status(status)),
    }
}

/// The first line of a body, as far as it can be shown.
async fn words(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < BODY_BYTES_MAX && !bytes.contains(&b'\n') {
        // A body that breaks off says what it has said.
        let Some(Ok(frame)) = body.frame().await else {
            break;
        };
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    bytes.truncate(BODY_BYTES_MAX);
    first_line(&bytes)
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_and_names_a_host() {
        let target = Target::new("http://[::1]:8080/hook?x=1", Some("s3cret")).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 8_080));
        assert_eq!(
            (target.authority.as_str(), target.path.as_str()),
            ("[::1]:8080", "/hook?x=1")
        );
        assert_eq!(format!("{target:?}"), "Target([::1]:8080)");
        let bare = Target::new("http://control.example", None).unwrap();
        assert_eq!((bare.port, bare.path.as_str()), (80, "/"));
        for wrong in [
            "",
            "/hook",
            "localhost:80",
            "https://a/",
            "ftp://a/",
            "http://u:p@a/",
            "http:///x",
            "http://a b/",
        ] {
            assert!(Target::new(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // From: printf '1.{}' | openssl dgst -sha256 -hmac key
        let expected = "t=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224";
        assert_eq!(signature(b"key", 1, b"{}"), expected);
    }

    #[test]
    fn only_a_clear_no_is_a_no() {
        let judge = |status| judge(StatusCode::from_u16(status).unwrap(), "not you".to_owned());
        for status in [200, 204, 299] {
            assert_eq!(judge(status).unwrap(), Answer::Allowed);
        }
        for status in [401, 403, 404, 409] {
            assert_eq!(judge(status).unwrap(), Answer::Refused("not you".to_owned()));
        }
        for status in [301, 302, 400, 429, 500, 503] {
            assert!(matches!(judge(status), Err(Failure::Status(_))), "{status}");
        }
    }

    #[test]
    fn what_an_encoder_is_shown_is_one_printable_line() {
        assert_eq!(
            first_line(b" stream\x1b[31m is\x07 over \r\nsecret"),
            "stream[31m is over"
        );
        assert_eq!(first_line(&[b'x'; 4_096]).len(), WORDS_MAX);
        assert_eq!(first_line(b"\xff\n"), "\u{fffd}");
        assert_eq!(first_line(b""), "");
    }
}
