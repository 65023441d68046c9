//! What an ingest answers on the operators' port: what is on air, and the hand that changes it.
//!
//! A page in an operator's browser reaches this port too. It cannot send JSON across origins without being asked
//! first, so only JSON is taken.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hls::id::StreamId;
use ingest::report::Stream;
use ingest::{Choice, Control};
use serde::{Deserialize, Serialize};

/// What may stand in an order.
const ORDER: &str = "the body is JSON: {\"show\":\"auto\"}, or \"primary\", \"backup\", \"slate\"";

/// `GET /api/streams` and `POST /api/streams/{stream}/air`.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/api/streams", get(streams))
        .route("/api/streams/{stream}/air", post(air))
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
