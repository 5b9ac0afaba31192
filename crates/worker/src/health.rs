//! The worker's own port: alive, ready, metrics. For operators and probes; never for clients.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use haul_shared::metrics::CONTENT_TYPE;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::context::Context;

/// A scrape waits no longer for Redis: less than Prometheus waits for us.
const SCRAPE: Duration = Duration::from_secs(3);

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
        .route("/metrics", get(metrics).layer(CompressionLayer::new()))
        .with_state(Probe { ctx, draining })
}

/// Ready to take jobs: Redis and the store of results answer, there is disk, and the worker is not about to stop.
async fn ready(State(probe): State<Probe>) -> Response {
    let ctx = &probe.ctx;
    let (redis, storage, room) =
        tokio::join!(ctx.store.ping(), ctx.storage_watch.is_ready(&ctx.storage), ctx.has_room());
    let word = |fine: bool| if fine { "ok" } else { "failed" };
    let draining = probe.draining.is_cancelled();
    let ready = redis.is_ok() && storage && room && !draining;
    let body = json!({
        "status": if draining { "stopping" } else if ready { "ready" } else { "not_ready" },
        "redis": word(redis.is_ok()),
        "storage": word(storage),
        "disk": if room { "ok" } else { "full" },
        "sandbox": ctx.sandbox.tier().word(),
    });
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

async fn metrics(State(probe): State<Probe>) -> Response {
    let ctx = &probe.ctx;
    let (redis, free_bytes) = tokio::join!(timeout(SCRAPE, ctx.store.ping()), ctx.free_disk());
    ctx.metrics.disk(free_bytes);
    let (running, lost) = (ctx.board.downloads(), ctx.store.failed_as_lost());
    let text = ctx.metrics.text(running, lost, matches!(redis, Ok(Ok(()))), ctx.store.pool_state());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}
