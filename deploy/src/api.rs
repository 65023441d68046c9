//! What an ingest answers on the operators' port: what is on air, and the hand that changes it.
//!
//! A page in an operator's browser reaches this port too. It cannot send JSON across origins without being asked
//! first, so only JSON is taken.

mod interstitials;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use hls::id::StreamId;
use ingest::report::{Order as Cue, Stream, Unfit};
use ingest::{Choice, Control};
use serde::{Deserialize, Serialize};

/// What may stand in an order.
const ORDER: &str = "the body is JSON: {\"show\":\"auto\"}, or \"primary\", \"backup\", \"slate\"";

/// `GET /api/streams`; of each stream `POST air`, `POST cues`, `POST end`, `GET thumbnail.jpg` and `interstitials`.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/api/streams", get(streams))
        .route("/api/streams/{stream}/air", post(air))
        .route("/api/streams/{stream}/cues", post(cue))
        .route("/api/streams/{stream}/end", post(end))
        .route("/api/streams/{stream}/interstitials", post(interstitials::order))
        .route(
            "/api/streams/{stream}/interstitials/{id}",
            patch(interstitials::add).delete(interstitials::cancel),
        )
        .route("/api/streams/{stream}/thumbnail.jpg", get(thumbnail))
        .with_state(control)
}

#[derive(Debug, Serialize)]
struct Streams {
    streams: Vec<Stream>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    show: Choice,
}

#[derive(Debug, Serialize)]
struct Refused {
    error: String,
}

async fn streams(State(control): State<Control>) -> Json<Streams> {
    let streams = control.streams().await;
    Json(Streams { streams })
}

/// What is on air, at most some seconds old.
async fn thumbnail(State(control): State<Control>, Path(name): Path<String>) -> Response {
    let picture = match StreamId::new(&name) {
        Ok(stream) => control.thumbnail(&stream).await,
        Err(_) => None,
    };
    let headers = [(CONTENT_TYPE, "image/jpeg"), (CACHE_CONTROL, "no-store")];
    match picture {
        Some(jpeg) => (headers, jpeg).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Answers 202: players hear of it within some parts.
async fn cue(
    State(control): State<Control>,
    Path(name): Path<String>,
    order: Result<Json<Cue>, JsonRejection>,
) -> Result<StatusCode, (StatusCode, Json<Refused>)> {
    let refused = |status, error: String| (status, Json(Refused { error }));
    let Json(order) = order.map_err(|rejection| refused(rejection.status(), rejection.body_text()))?;
    let unknown = || refused(StatusCode::NOT_FOUND, format!("no stream `{name}` runs here"));
    let stream = StreamId::new(&name).map_err(|_| unknown())?;
    match control.cue(&stream, order).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(Unfit::Stream) => Err(unknown()),
        Err(unfit @ Unfit::Field(_)) => Err(refused(StatusCode::BAD_REQUEST, unfit.to_string())),
        Err(unfit @ Unfit::Full) => Err(refused(StatusCode::TOO_MANY_REQUESTS, unfit.to_string())),
    }
}

/// What ends an event; its name must be said, so that nobody ends one by a slip.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: String,
}

/// Answers 204 once packagers were told.
async fn end(
    State(control): State<Control>,
    Path(name): Path<String>,
    order: Result<Json<End>, JsonRejection>,
) -> Result<StatusCode, (StatusCode, Json<Refused>)> {
    let refused = |status, error: String| (status, Json(Refused { error }));
    let Json(order) = order.map_err(|rejection| refused(rejection.status(), rejection.body_text()))?;
    if order.end != name {
        let error = format!("the body names the stream that ends: {{\"end\":\"{name}\"}}");
        return Err(refused(StatusCode::BAD_REQUEST, error));
    }
    let unknown = || refused(StatusCode::NOT_FOUND, format!("no stream `{name}` runs here"));
    let stream = StreamId::new(&name).map_err(|_| unknown())?;
    match control.end(&stream).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}

async fn air(
    State(control): State<Control>,
    Path(name): Path<String>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Order>, (StatusCode, Json<Refused>)> {
    let refused = |status, error: String| (status, Json(Refused { error }));
    let Json(order) = order.map_err(|rejection| {
        if matches!(rejection, JsonRejection::MissingJsonContentType(_)) {
            let error = "content-type: application/json is wanted".to_owned();
            refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, error)
        } else {
            refused(StatusCode::BAD_REQUEST, ORDER.to_owned())
        }
    })?;
    let unknown = || refused(StatusCode::NOT_FOUND, format!("no stream `{name}` runs here"));
    let stream = StreamId::new(&name).map_err(|_| unknown())?;
    match control.choose(&stream, order.show).await {
        true => Ok(Json(order)),
        false => Err(unknown()),
    }
}
