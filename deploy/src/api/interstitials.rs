//! Interstitials by order of an operator: `POST interstitials`, and of each `PATCH` and `DELETE interstitials/{id}`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use hls::id::StreamId;
use ingest::Control;
use ingest::interstitials::{Interstitial, Refusal};
use serde::Serialize;

/// Why not; of each field that is wrong, what it may be.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    error: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<&'static str, &'static str>,
}

/// 202: players hear of it within some parts.
type Answer = Result<StatusCode, (StatusCode, Json<Refused>)>;

pub(super) async fn order(
    State(control): State<Control>,
    Path(name): Path<String>,
    said: Result<Json<Interstitial>, JsonRejection>,
) -> Answer {
    let (stream, said) = (known(&name)?, read(said)?);
    answer(&name, control.interstitial(&stream, &said).await)
}

pub(super) async fn add(
    State(control): State<Control>,
    Path((name, id)): Path<(String, String)>,
    said: Result<Json<Interstitial>, JsonRejection>,
) -> Answer {
    let (stream, more) = (known(&name)?, read(said)?);
    answer(&name, control.interstitial_more(&stream, &id, &more).await)
}

pub(super) async fn cancel(
    State(control): State<Control>,
    Path((name, id)): Path<(String, String)>,
) -> Answer {
    let stream = known(&name)?;
    answer(&name, control.cancel_interstitial(&stream, &id).await)
}

fn known(name: &str) -> Result<StreamId, (StatusCode, Json<Refused>)> {
    StreamId::new(name).map_err(|_| refused(StatusCode::NOT_FOUND, unknown(name), BTreeMap::new()))
}

fn read(
    said: Result<Json<Interstitial>, JsonRejection>,
) -> Result<Interstitial, (StatusCode, Json<Refused>)> {
    let Json(said) =
        said.map_err(|rejection| refused(rejection.status(), rejection.body_text(), BTreeMap::new()))?;
    Ok(said)
}

fn answer(name: &str, answer: Result<(), Refusal>) -> Answer {
    let Err(refusal) = answer else {
        return Ok(StatusCode::ACCEPTED);
    };
    let error = refusal.to_string();
    Err(match refusal {
        Refusal::Stream => refused(StatusCode::NOT_FOUND, unknown(name), BTreeMap::new()),
        Refusal::Unknown => refused(StatusCode::NOT_FOUND, error, BTreeMap::new()),
        Refusal::Fields(wrong) => {
            let fields = wrong.into_iter().map(|wrong| (wrong.field, wrong.why)).collect();
            refused(StatusCode::BAD_REQUEST, error, fields)
        }
        Refusal::Known | Refusal::Cancelled | Refusal::Begun | Refusal::Over | Refusal::Said(_) => {
            refused(StatusCode::CONFLICT, error, BTreeMap::new())
        }
        Refusal::Full => refused(StatusCode::TOO_MANY_REQUESTS, error, BTreeMap::new()),
    })
}

fn unknown(name: &str) -> String {
    format!("no stream `{name}` runs here")
}

fn refused(
    status: StatusCode,
    error: String,
    fields: BTreeMap<&'static str, &'static str>,
) -> (StatusCode, Json<Refused>) {
    (status, Json(Refused { error, fields }))
}
