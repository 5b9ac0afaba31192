//! Several downloads in one request; each has the status that it would have had alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use haul_shared::view::{DownloadRequest, JobView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiError, ApiResult, Problem};
use crate::limits::Class;
use crate::observe::RequestId;
use crate::query::NoParams;
use crate::request::{Node, read_batch};
use crate::submit::{Queued, idempotency_key, submit};

/// Several download requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchRequest {
    /// 1 to 10, or as many as the service allows.
    #[schema(min_items = 1)]
    downloads: Vec<DownloadRequest>,
}

/// What came of each, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchView {
    results: Vec<BatchItem>,
}

/// What came of one: `job` or `error`.
#[derive(Debug, Serialize, ToSchema)]
struct BatchItem {
    /// The status that it would have had alone.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// Queue several downloads.
#[utoipa::path(
    post, path = "/api/v1/downloads/batch", tag = "downloads", request_body = BatchRequest,
    responses(
        (status = 207, description = "What came of each, in order.", body = BatchView),
        (status = 422, description = "`invalid_request`: no list, an empty or too long one", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn submit_all(
    State(app): State<Arc<App>>,
    caller: Caller,
    id: RequestId,
    _: NoParams,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> ApiResult<Response> {
    let key = idempotency_key(&headers)?;
    let mut standing = HeaderMap::new();
    let mut results = Vec::new();
    for (index, item) in read_batch(&body, app.config.batch_limit)?.iter().enumerate() {
        // a separator that no client can send: the keys of items are nobody's own
        let key = key.as_ref().map(|key| format!("{key}\u{1f}{index}"));
        results.push(match submit_one(&app, &caller, item, key, &mut standing).await {
            Ok(queued) => BatchItem {
                status: queued.status.as_u16(),
                job: Some(JobView::of(&queued.job, queued.request, &app.base_url, caller.is_admin())),
                error: None,
            },
            Err(error) => BatchItem::refused(&error, &id),
        });
    }
    Ok((StatusCode::MULTI_STATUS, standing, Json(BatchView { results })).into_response())
}

async fn submit_one(
    app: &App,
    caller: &Caller,
    item: &Node,
    key: Option<String>,
    standing: &mut HeaderMap,
) -> ApiResult<Queued> {
    let now = app.limits.charge(Class::Downloads, caller).inspect_err(|refused| {
        app.metrics.saw_rate_limit(Class::Downloads);
        standing.extend(refused.headers().clone());
    })?;
    let queued = submit(app, caller, item, key).await;
    let Some(now) = now else { return queued };
    let queued = queued.map_err(|mut refused| {
        now.agree(&mut refused);
        refused
    });
    standing.clear();
    if let Err(refused) = &queued {
        standing.extend(refused.headers().clone());
    }
    now.tell(standing);
    queued
}

impl BatchItem {
    fn refused(error: &ApiError, id: &RequestId) -> Self {
        error.log(id);
        Self { status: error.status().as_u16(), job: None, error: Some(error.problem(id)) }
    }
}
