//! What a packager answers on the operators' port: clips of what is archived.
//!
//! A page in an operator's browser reaches this port too. It cannot send JSON or DELETE across origins without being
//! asked first, so only those change anything.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use hls::id::StreamId;
use packager::Archive;
use packager::archive::{Clip, Order, Unfit};
use serde::Serialize;

/// What may stand in an order.
const ORDER: &str = "the body is JSON: {\"from\":\"2026-07-14T20:15:00Z\",\"to\":\"2026-07-14T20:15:30Z\"}, and perhaps \
     \"event\" and \"name\"";

/// Of each stream `GET` and `POST clips`, and `DELETE clips/{id}`.
pub(crate) fn routes(archive: Arc<Archive>) -> Router {
    Router::new()
        .route("/api/streams/{stream}/clips", get(list).post(make))
        .route("/api/streams/{stream}/clips/{id}", delete(remove))
        .with_state(archive)
}

#[derive(Debug, Serialize)]
struct Clips {
    clips: Vec<Clip>,
}

#[derive(Debug, Serialize)]
struct Refused {
    error: String,
}

type Refusal = (StatusCode, Json<Refused>);

fn refused(status: StatusCode, error: impl ToString) -> Refusal {
    let error = error.to_string();
    (status, Json(Refused { error }))
}

fn unfit(unfit: &Unfit) -> Refusal {
    let status = match unfit {
        Unfit::Field(_) | Unfit::Outside { .. } => StatusCode::BAD_REQUEST,
        Unfit::Unknown(..) | Unfit::NoClip(..) => StatusCode::NOT_FOUND,
        Unfit::Full(..) => StatusCode::CONFLICT,
        Unfit::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    refused(status, unfit)
}

fn stream(name: &str) -> Result<StreamId, Refusal> {
    StreamId::new(name).map_err(|error| refused(StatusCode::NOT_FOUND, error))
}

async fn list(State(archive): State<Arc<Archive>>, Path(name): Path<String>) -> Result<Json<Clips>, Refusal> {
    let listed = archive.clips(stream(&name)?).await;
    let clips = listed.map_err(|failure| unfit(&failure.into()))?;
    Ok(Json(Clips { clips }))
}

/// Answers 201 with a clip that can be played, or 202 with one that is still made.
async fn make(
    State(archive): State<Arc<Archive>>,
    Path(name): Path<String>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<(StatusCode, Json<Clip>), Refusal> {
    let Json(order) = order.map_err(|rejection| {
        if matches!(rejection, JsonRejection::MissingJsonContentType(_)) {
            let wanted = "content-type: application/json is wanted";
            refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted)
        } else {
            refused(StatusCode::BAD_REQUEST, ORDER)
        }
    })?;
    let made = archive.clip(stream(&name)?, order).await;
    let clip = made.map_err(|error| unfit(&error))?;
    let status = match clip.state {
        packager::archive::State::Ready => StatusCode::CREATED,
        packager::archive::State::Making => StatusCode::ACCEPTED,
    };
    Ok((status, Json(clip)))
}

async fn remove(
    State(archive): State<Arc<Archive>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    let removed = archive.delete_clip(stream(&name)?, id).await;
    removed.map_err(|error| unfit(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
