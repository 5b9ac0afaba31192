//! Alive, and ready.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{chain, not_all_at_once};

/// How long a dependency may take to answer.
const PROBE: Duration = Duration::from_secs(3);

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
}

/// What the process needs, and whether it is there: `ok`, or what is wrong, in a word.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyView {
    /// `ready`, `not_ready` or `stopping`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
    #[schema(value_type = String, example = "ok")]
    redis: &'static str,
    #[schema(value_type = String, example = "ok")]
    storage: &'static str,
}

/// Alive.
#[utoipa::path(get, path = "/healthz", tag = "operators", responses((status = 200, description = "Alive.", body = HealthView)))]
pub async fn alive() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// Ready.
#[utoipa::path(
    get, path = "/readyz", tag = "operators",
    responses(
        (status = 200, description = "Redis takes writes, and storage answers.", body = ReadyView),
        (status = 503, description = "One of them does not, or the process is stopping.", body = ReadyView),
    )
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let (redis, storage) = tokio::join!(timeout(PROBE, app.jobs.ping()), timeout(PROBE, app.results.ready()));
    let (redis, storage) = (word("redis", redis), word("storage", storage));
    let status = match (redis, storage) {
        _ if app.shutdown.is_cancelled() => "stopping",
        ("ok", "ok") => "ready",
        _ => "not_ready",
    };
    let view = Json(ReadyView { status, redis, storage });
    if status == "ready" {
        return view.into_response();
    }
    let later = [(header::RETRY_AFTER, not_all_at_once().as_secs().to_string())];
    (StatusCode::SERVICE_UNAVAILABLE, later, view).into_response()
}

fn word<E: std::error::Error>(name: &str, probe: Result<Result<(), E>, tokio::time::error::Elapsed>) -> &'static str {
    match probe {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::warn!("{name} is not ready: {}", chain(&error));
            "failed"
        }
        Err(_) => "timeout",
    }
}
