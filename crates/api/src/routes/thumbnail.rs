//! The thumbnail of a result. It is made once its job is completed: who asks for it before it is there waits a little.
//!
//! Not here: how a file is sent (`files`), and until when a thumbnail may come (the worker says so as it completes the job).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use haul_shared::ids::Ticket;
use haul_shared::job::{Job, JobState, Thumbnail};
use haul_shared::store::Seen;
use haul_shared::view::stem;

use super::files::{Conditional, Fetchable, File, NoResult, send};
use crate::app::{App, Id};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::hold::Hold;
use crate::query::NoParams;

/// Of one answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Under an id there is never another picture once there was one: only what has failed or was cancelled is tried again.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// For whoever has waited in vain.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A JPEG that stands for the result, at most 640 pixels wide and high. It is made once the download is completed; the
/// answer waits for it up to 10 s, and is then `409 not_ready`: at once where too many wait already, or the API stops.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}/thumbnail", tag = "results",
    params(("id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The picture.", content_type = "image/jpeg"),
        (status = 206, description = "The range.", content_type = "image/jpeg"),
        (status = 404, description = "`not_found`: also a result without a picture", body = Problem, content_type = "application/problem+json"),
        NoResult, Conditional,
    )
)]
pub async fn thumbnail(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: NoParams,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let job = once_it_came(&app, &caller, id).await?;
    let result = Fetchable::of(&job)?;
    match &result.artifact.beside.thumbnail {
        Thumbnail::There(stored) => {
            let name = format!("{}.jpg", stem(result.artifact, &app.request_of(&job)?));
            let file = File::beside(&result, stored, &name).kept_for(A_YEAR);
            send(&app, &file, &method, &headers).await
        }
        Thumbnail::Coming { .. } => {
            let late = ApiError::new(Code::NotReady).detail("The thumbnail is still being made.");
            Err(late.retry_after(ASK_AGAIN))
        }
        Thumbnail::None => Err(ApiError::new(Code::NotFound)),
    }
}

/// The job, once its thumbnail is there or will not come; as it is, when that takes too long.
async fn once_it_came(app: &App, caller: &Caller, id: Ticket) -> ApiResult<Job> {
    let job = app.find(caller, id).await?;
    if !is_coming(&job) {
        return Ok(job);
    }
    let Ok(_place) = app.waiting_for_thumbnails.take(&caller.client) else { return Ok(job) };
    let see = |seen: &Seen| Ok(seen.job()?);
    Hold::new(app, LONGEST_WAIT).job(id, see, |job| !is_coming(job)).await
}

fn is_coming(job: &Job) -> bool {
    let JobState::Completed { artifact, .. } = &job.state else { return false };
    matches!(artifact.beside.thumbnail, Thumbnail::Coming { .. })
}
