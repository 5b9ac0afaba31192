//! One download: queue it, follow it, take it back, try it again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use haul_shared::ids::Ticket;
use haul_shared::store::{Cancelled, Seen};
use haul_shared::view::{DownloadRequest, JobView, job_url};

use crate::app::{App, Id};
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::hold::Wish;
use crate::query::{NoParams, Params};
use crate::representation::Representation;
use crate::submit::{self, Queued, idempotency_key};

/// Queue a download.
#[utoipa::path(
    post, path = "/api/v1/downloads", tag = "downloads", request_body = DownloadRequest,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1-255 visible ASCII characters, kept for 24 hours: the same key and request give the same job.")),
    responses(
        (status = 202, description = "It is queued.", body = JobView, headers(("Location" = String, description = "Where the job is."))),
        (status = 200, description = "A finished result is reused.", body = JobView),
        (status = 400, description = "`malformed_json`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: a format or a site that the key may not order", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`idempotency_conflict`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`, `client_queue_full`, `quota_exceeded`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`queue_full`, `service_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn submit(
    State(app): State<Arc<App>>,
    caller: Caller,
    _: NoParams,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> ApiResult<Response> {
    let key = idempotency_key(&headers)?;
    let queued = submit::submit(&app, &caller, &body, key).await?;
    Ok(accepted(&app, &caller, queued))
}

/// The job.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}", tag = "downloads",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 60, description = "Seconds to hold the answer until the job changes."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer."),
    ),
    responses(
        (status = 200, description = "The job.", body = JobView, headers(("ETag" = String, description = "Changes with the job."))),
        (status = 304, description = "The job is still as `If-None-Match` has it."),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`: a wrong `wait`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    params: Params,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let wish = Wish::read(params, &headers)?;
    let place = wish.place(&app, &caller);
    let answer = match &place {
        None => represent(&app, &caller, id).await?,
        Some(_) => wait_for_change(&app, &caller, id, &wish).await?,
    };
    Ok(answer.into_response_unless(wish.known))
}

/// Cancel a download; one that has ended meanwhile is left alone.
#[utoipa::path(
    post, path = "/api/v1/downloads/{id}/cancel", tag = "downloads",
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 202, description = "It was queued or running, and is cancelled.", body = JobView),
        (status = 200, description = "It had ended, and is as it was.", body = JobView),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(State(app): State<Arc<App>>, caller: Caller, Id(id): Id, _: NoParams) -> ApiResult<Response> {
    app.find(&caller, id).await?;
    match app.jobs.cancel(id).await? {
        Cancelled::Now | Cancelled::Stopping => as_it_is(&app, &caller, id, StatusCode::ACCEPTED).await,
        Cancelled::AlreadyEnded => as_it_is(&app, &caller, id, StatusCode::OK).await,
        Cancelled::Gone => Err(ApiError::new(Code::NotFound)),
    }
}

/// Cancel a download, or delete one that has ended.
#[utoipa::path(
    delete, path = "/api/v1/downloads/{id}", tag = "downloads",
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 202, description = "It was queued or running, and is cancelled.", body = JobView),
        (status = 204, description = "It had ended; result and record are deleted."),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove(State(app): State<Arc<App>>, caller: Caller, Id(id): Id, _: NoParams) -> ApiResult<Response> {
    app.find(&caller, id).await?;
    match app.jobs.cancel(id).await? {
        Cancelled::Now | Cancelled::Stopping => as_it_is(&app, &caller, id, StatusCode::ACCEPTED).await,
        Cancelled::AlreadyEnded if app.jobs.forget(id).await? => Ok(StatusCode::NO_CONTENT.into_response()),
        Cancelled::AlreadyEnded | Cancelled::Gone => Err(ApiError::new(Code::NotFound)),
    }
}

/// Queue a failed or cancelled download again, under the same id.
#[utoipa::path(
    post, path = "/api/v1/downloads/{id}/retry", tag = "downloads",
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 202, description = "It is queued.", body = JobView),
        (status = 403, description = "`forbidden`: a format or a site that the key may not order (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`not_retryable`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`, `client_queue_full`, `quota_exceeded`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`queue_full`, `service_unavailable`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn retry(State(app): State<Arc<App>>, caller: Caller, Id(id): Id, _: NoParams) -> ApiResult<Response> {
    let job = app.find(&caller, id).await?;
    let request = app.request_of(&job)?;
    let queued = submit::resubmit(&app, &caller, &job, request).await?;
    // a finished result may stand in for the new run, and the id is the old one in any case
    Ok(accepted(&app, &caller, Queued { status: StatusCode::ACCEPTED, ..queued }))
}

async fn as_it_is(app: &App, caller: &Caller, id: Ticket, status: StatusCode) -> ApiResult<Response> {
    let job = app.find(caller, id).await?;
    let request = app.request_of(&job)?;
    Ok(accepted(app, caller, Queued { status, job, request }))
}

fn accepted(app: &App, caller: &Caller, queued: Queued) -> Response {
    let location = job_url(&app.base_url, &queued.job);
    let view = JobView::of(&queued.job, queued.request, &app.base_url, caller.is_admin());
    (queued.status, [(header::LOCATION, location)], axum::Json(view)).into_response()
}

/// The job as it is now.
async fn represent(app: &App, caller: &Caller, id: Ticket) -> ApiResult<Arc<Representation>> {
    let seen = app.jobs.look(id).await?.ok_or_else(|| ApiError::new(Code::NotFound))?;
    app.representations.of(app, caller, id, &seen)
}

/// Holds the answer until the job looks different from what the client knows.
async fn wait_for_change(app: &App, caller: &Caller, id: Ticket, wish: &Wish<'_>) -> ApiResult<Arc<Representation>> {
    let (hold, mut news) = (wish.hold(app), wish.news());
    app.find(caller, id).await?;
    let see = |seen: &Seen| app.representations.of(app, caller, id, seen);
    hold.job(id, see, |now| news.are_in(now)).await
}
