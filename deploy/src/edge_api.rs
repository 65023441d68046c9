//! What an edge answers on the operators' port: who is served, and the hand that gives something up.
//!
//! Only JSON is taken, for the reason that `api` has: a page of another origin cannot send it unasked.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use fanout::Control;
use serde::{Deserialize, Serialize};

/// What may stand in an order.
const ORDER: &str = "content-type: application/json, and a body such as {\"level\":1}, 0 to 3";

/// `GET /api/edge/admission`, `GET /api/edge/viewers`, `POST /api/edge/panic`.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/api/edge/admission", get(report))
        .route("/api/edge/viewers", get(viewers))
        .route("/api/edge/panic", post(panic))
        .with_state(control)
}

#[derive(Debug, Serialize)]
struct Report {
    panic_level: u8,
    load: f64,
    classes: Vec<Class>,
}

#[derive(Debug, Serialize)]
struct Class {
    class: &'static str,
    serves_newcomers: bool,
    serves_watching: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    level: u8,
}

#[derive(Debug, Serialize)]
struct Refused {
    error: &'static str,
}

#[derive(Debug, Serialize)]
struct Viewers {
    streams: Vec<Watched>,
}

#[derive(Debug, Serialize)]
struct Watched {
    stream: String,
    /// Sessions that reported within a minute, about.
    viewers: u64,
    /// Registers of a HyperLogLog, hexadecimal: the greater of each of several edges counts the viewers of all.
    sketch: String,
}

async fn viewers(State(control): State<Control>) -> Json<Viewers> {
    let watched = |(stream, viewers, sketch): (hls::id::StreamId, u64, Vec<u8>)| Watched {
        stream: stream.to_string(),
        viewers,
        sketch: sketch.iter().map(|register| format!("{register:02x}")).collect(),
    };
    Json(Viewers {
        streams: control.viewers().into_iter().map(watched).collect(),
    })
}

async fn report(State(control): State<Control>) -> Json<Report> {
    Json(now(&control))
}

/// Answers with what is in force from now on.
async fn panic(
    State(control): State<Control>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Report>, (StatusCode, Json<Refused>)> {
    let refused = || (StatusCode::BAD_REQUEST, Json(Refused { error: ORDER }));
    let Json(order) = order.map_err(|_| refused())?;
    if control.set_panic(order.level) {
        Ok(Json(now(&control)))
    } else {
        Err(refused())
    }
}

fn now(control: &Control) -> Report {
    let report = control.report();
    let class = |(class, serves_newcomers, serves_watching)| Class {
        class,
        serves_newcomers,
        serves_watching,
    };
    Report {
        panic_level: report.panic,
        load: f64::from(report.load_permille) / 1_000.0,
        classes: report.classes.into_iter().map(class).collect(),
    }
}
