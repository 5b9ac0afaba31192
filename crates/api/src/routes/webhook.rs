//! What became of the webhook of a download, and its sending anew.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use haul_shared::ids::Ticket;
use haul_shared::store::{Delivery, Redelivered, Webhook};
use haul_shared::view::time;
use haul_shared::webhook::{Attempt, event};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Id};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::query::NoParams;
use crate::submit::refuse;

/// The message that tells the end of a download.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "WebhookDelivery")]
pub struct WebhookView {
    /// `download.completed`, `download.failed` or `download.cancelled`; null before there is an end.
    #[schema(value_type = Option<String>, example = "download.completed")]
    event: Option<&'static str>,
    /// Its `webhook-id`: the same in every attempt, and when it is sent again.
    #[schema(example = "msg_4f7c1d0e9b3a42d68f0a5c1b2e3d4f60")]
    webhook_id: String,
    /// `waiting` for the end, `pending` until it is taken, `delivered`, or `given_up`.
    #[schema(value_type = String, example = "delivered")]
    state: &'static str,
    /// While it is pending; while an attempt is under way, when there would be another should nothing be heard of it.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// At most 32 of the newest, the newest last.
    attempts: Vec<AttemptView>,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    #[schema(format = DateTime)]
    at: String,
    /// Of the answer, if there was one.
    status: Option<u16>,
    /// Why it was in vain: `status`, `redirect`, `egress_denied`, `unresolved`, `unreachable`, `broken`, `timeout`, `unsigned`.
    error: Option<String>,
    duration_seconds: f64,
}

/// What became of a download's webhook.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}/webhook", tag = "downloads",
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The message, and the attempts to send it.", body = WebhookView),
        (status = 404, description = "`not_found`, also where no webhook was asked for", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: NoParams,
) -> ApiResult<Json<WebhookView>> {
    app.find(&caller, id).await?;
    look(&app, id).await
}

/// Send a download's webhook again.
#[utoipa::path(
    post, path = "/api/v1/downloads/{id}/webhook/redeliver", tag = "downloads",
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 202, description = "It will be sent, under the same `webhook_id`.", body = WebhookView),
        (status = 404, description = "`not_found`, also where no webhook was asked for", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`not_ready`: the download has not ended", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn redeliver(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: NoParams,
) -> ApiResult<(StatusCode, Json<WebhookView>)> {
    app.find(&caller, id).await?;
    match app.jobs.redeliver(id, &caller.client, &caller.limits).await? {
        Redelivered::Soon => Ok((StatusCode::ACCEPTED, look(&app, id).await?)),
        Redelivered::Unfinished => Err(ApiError::new(Code::NotReady)),
        Redelivered::Unasked => Err(unasked()),
        Redelivered::RateLimited { retry_after } => Err(refuse(&app, &caller, retry_after)),
    }
}

async fn look(app: &App, id: Ticket) -> ApiResult<Json<WebhookView>> {
    let webhook = app.jobs.webhook(id).await?.ok_or_else(unasked)?;
    Ok(Json(WebhookView::of(webhook)))
}

fn unasked() -> ApiError {
    ApiError::new(Code::NotFound).detail("No webhook was asked for with this download.")
}

impl WebhookView {
    fn of(webhook: Webhook) -> Self {
        let (state, next) = match webhook.state {
            Delivery::Waiting => ("waiting", None),
            Delivery::Pending { next } => ("pending", Some(next)),
            Delivery::Delivered => ("delivered", None),
            Delivery::GivenUp => ("given_up", None),
        };
        Self {
            event: webhook.end.and_then(event),
            webhook_id: webhook.message,
            state,
            next_attempt_at: next.map(time),
            attempts: webhook.attempts.into_iter().map(AttemptView::of).collect(),
        }
    }
}

impl AttemptView {
    fn of(attempt: Attempt) -> Self {
        let Attempt { at, status, error, duration_ms } = attempt;
        Self { at: time(at), status, error, duration_seconds: duration_ms as f64 / 1000.0 }
    }
}
