//! What a packager answers on the operators' port: cues of subtitle tracks.
//!
//! A page in an operator's browser reaches this port too. It can send neither JSON nor WebVTT across origins without being
//! asked first, so only those are taken.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use hls::id::StreamId;
use hls::time::since_epoch;
use hls::vtt::{self, Cue};
use packager::subtitles::{Subtitles, Unfit};
use serde::{Deserialize, Serialize};

/// Header of a WebVTT body: the date-time of its 00:00:00.000.
const OFFSET: &str = "ringside-offset";
/// Longest body, bytes: as many cues as a request may have, as long as they may be.
const BODY_BYTES_MAX: usize = 4 << 20;
const WANTED: &str = "wanted is application/json, a list of {\"start\":\"2026-07-14T20:15:00.000Z\",\"end\":\"...\",\"text\":\"...\"}, \
     or text/vtt with ringside-offset, the date-time of its 00:00:00.000";

/// `POST /api/streams/{stream}/subtitles/{name}`
pub(crate) fn routes(subtitles: Subtitles) -> Router {
    Router::new()
        .route("/api/streams/{stream}/subtitles/{name}", post(add))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(subtitles)
}

/// A cue as JSON; times are RFC 3339, as EXT-X-PROGRAM-DATE-TIME has them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    start: String,
    end: String,
    text: String,
    #[serde(default)]
    settings: String,
}

#[derive(Debug, Serialize)]
struct Added {
    /// Cues that were not known.
    added: usize,
}

#[derive(Debug, Serialize)]
struct Refused {
    error: String,
    /// Everything that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mistakes: Vec<String>,
    /// Places of cues that are too late.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    late: Vec<usize>,
}

type Refusal = (StatusCode, Json<Refused>);

fn refused(status: StatusCode, error: impl ToString) -> Refusal {
    let refused = Refused {
        error: error.to_string(),
        mistakes: Vec::new(),
        late: Vec::new(),
    };
    (status, Json(refused))
}

fn wrong(mistakes: Vec<String>) -> Refusal {
    let (status, Json(refused)) = refused(StatusCode::BAD_REQUEST, "no cue is taken");
    (status, Json(Refused { mistakes, ..refused }))
}

fn unfit(unfit: Unfit) -> Refusal {
    let error = unfit.to_string();
    match unfit {
        Unfit::Stream(_) | Unfit::Track(_) => refused(StatusCode::NOT_FOUND, error),
        Unfit::Wrong(mistakes) => wrong(mistakes),
        Unfit::Full => refused(StatusCode::TOO_MANY_REQUESTS, error),
        Unfit::Late(late) => {
            let (status, Json(refused)) = refused(StatusCode::CONFLICT, error);
            (status, Json(Refused { late, ..refused }))
        }
    }
}

/// Answers 202: they are shown with the segments of their time.
async fn add(
    State(subtitles): State<Subtitles>,
    Path((stream, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Added>), Refusal> {
    let stream = StreamId::new(&stream).map_err(|error| refused(StatusCode::NOT_FOUND, error))?;
    let cues = read(&headers, &body)?;
    // What a restart is to know is written to disk.
    let added = tokio::task::spawn_blocking(move || subtitles.add(&stream, &name, cues)).await;
    let added = added.map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let added = added.map_err(unfit)?;
    Ok((StatusCode::ACCEPTED, Json(Added { added })))
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Cue>, Refusal> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = said(CONTENT_TYPE.as_str()).and_then(|kind| kind.split(';').next());
    match kind.map(str::trim) {
        Some("application/json") => {
            let all: Vec<Said> =
                serde_json::from_slice(body).map_err(|error| refused(StatusCode::BAD_REQUEST, error))?;
            let (mut cues, mut mistakes) = (Vec::new(), Vec::new());
            for (place, said) in all.iter().enumerate() {
                match (since_epoch(&said.start), since_epoch(&said.end)) {
                    (Some(start), Some(end)) => cues.push(Cue::new((start, end), &said.text, &said.settings)),
                    _ => mistakes.push(format!(
                        "cue {place}: `start` and `end` must be RFC 3339 date-times"
                    )),
                }
            }
            if mistakes.is_empty() {
                Ok(cues)
            } else {
                Err(wrong(mistakes))
            }
        }
        Some("text/vtt") => {
            let offset = said(OFFSET).and_then(since_epoch);
            let offset = offset.ok_or_else(|| refused(StatusCode::BAD_REQUEST, WANTED))?;
            let text = std::str::from_utf8(body).map_err(|error| refused(StatusCode::BAD_REQUEST, error))?;
            vtt::parse(text, offset).map_err(wrong)
        }
        _ => Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, WANTED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: &str, offset: Option<&str>, body: &str) -> Result<Vec<Cue>, (u16, usize)> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        if let Some(offset) = offset {
            headers.insert(OFFSET, offset.parse().unwrap());
        }
        read(&headers, body.as_bytes())
            .map_err(|(status, Json(refused))| (status.as_u16(), refused.mistakes.len()))
    }

    #[test]
    fn json_and_webvtt_say_the_same() {
        let json = r#"[{"start":"2026-07-14T20:15:01.500Z","end":"2026-07-14T22:15:03+02:00","text":"a\nb","settings":"line:0"}]"#;
        let vtt = "WEBVTT\n\n00:01.500 --> 00:03.000 line:0\na\nb\n";
        let one = asked("application/json; charset=utf-8", None, json).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(asked("text/vtt", Some("2026-07-14T20:15:00Z"), vtt).unwrap(), one);
    }

    #[test]
    fn every_mistake_is_said() {
        let cue = |start: &str| format!(r#"{{"start":"{start}","end":"2026-07-14T20:15:03Z","text":"a"}}"#);
        let json = format!(
            "[{},{},{}]",
            cue("now"),
            cue("2026-07-14T20:15:01Z"),
            cue("20:15")
        );
        assert_eq!(asked("application/json", None, &json), Err((400, 2)));
        assert_eq!(asked("application/json", None, "{}"), Err((400, 0)));
        assert_eq!(
            asked("text/plain", None, "[]"),
            Err((415, 0)),
            "a page of elsewhere can send this"
        );
        assert_eq!(asked("text/vtt", None, "WEBVTT\n"), Err((400, 0)));
        let bad = "WEBVTT\n\nx --> y\na\n\n1 --> 2\nb\n";
        assert_eq!(
            asked("text/vtt", Some("2026-07-14T20:15:00Z"), bad),
            Err((400, 2))
        );
    }
}
