//! What the holder of a download keeps beside its result.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use haul_shared::job::Annotation;
use haul_shared::store::Annotated;
use haul_shared::view::JobView;
use serde::Serialize;
use utoipa::ToSchema;

use super::files::{Fetchable, NoResult};
use crate::app::{App, Id};
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::query::NoParams;
use crate::request::read_annotation;

/// What is to be changed; what is left out stays as it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct LibraryRequest {
    /// Null or empty: none.
    #[schema(max_length = 2000)]
    notes: Option<String>,
    #[schema(required = false)]
    favourite: bool,
    /// Null: none.
    #[schema(minimum = 1, maximum = 5)]
    rating: Option<u8>,
}

/// Note something beside the result: words, whether it is a favourite, a rating.
#[utoipa::path(
    patch, path = "/api/v1/downloads/{id}", tag = "downloads", request_body = LibraryRequest,
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The job, with what is noted now.", body = JobView),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        NoResult,
    )
)]
pub async fn annotate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: NoParams,
    JsonBody(body): JsonBody,
) -> ApiResult<Json<JobView>> {
    let annotation = read_annotation(&body)?;
    let mut job = app.find(&caller, id).await?;
    Fetchable::of(&job)?;
    if annotation != Annotation::default() {
        match app.jobs.annotate(id, &annotation).await? {
            Annotated::Done => job = app.find(&caller, id).await?,
            Annotated::Unready => return Err(ApiError::new(Code::NotReady)),
            Annotated::Gone => return Err(ApiError::new(Code::NotFound)),
        }
    }
    let request = app.request_of(&job)?;
    Ok(Json(JobView::of(&job, request, &app.base_url, caller.is_admin())))
}
