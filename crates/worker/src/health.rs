//! The worker's own port: alive, ready, metrics. For operators and probes; never for clients.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";

#[derive(Clone)]
struct Probe {
    ctx: Arc<Context>,
    draining: CancellationToken,
}

/// The routes. `draining` is cancelled when the worker takes no more jobs.
pub fn router(ctx: Arc<Context>, draining: CancellationToken) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Probe { ctx, draining })
}

/// Ready to take jobs: Redis and the store of results answer, there is disk, and the worker is not about to stop.
async fn ready(State(probe): State<Probe>) -> Response {
    let (redis, storage) = tokio::join!(probe.ctx.store.ping(), probe.ctx.storage.ready());
    let word = |fine: bool| if fine { "ok" } else { "failed" };
    let draining = probe.draining.is_cancelled();
    let room = probe.ctx.has_room();
    let ready = redis.is_ok() && storage.is_ok() && room && !draining;
    let body = json!({
        "status": if draining { "stopping" } else if ready { "ready" } else { "not_ready" },
        "redis": word(redis.is_ok()),
        "storage": word(storage.is_ok()),
        "disk": if room { "ok" } else { "full" },
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

async fn metrics(State(probe): State<Probe>) -> Response {
    let text = probe.ctx.metrics.text(probe.ctx.board.downloads(), probe.ctx.store.pool_state());
    ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}
