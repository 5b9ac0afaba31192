//! All results of a playlist as one file.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haul_shared::ids::Ticket;
use haul_shared::job::{FailureKind, Job, JobState};
use haul_shared::storage::{ObjectKey, clean_stem, content_disposition};
use haul_shared::view::filename;
use sha2::{Digest as _, Sha256};

use super::files::NoResult;
use crate::app::{App, Id};
use crate::auth::Caller;
use crate::conditional;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::playlist::zip::{self, Entry};
use crate::playlist::{self, Plan, Standing};
use crate::query::NoParams;
use crate::spans::HandOver;

/// When to come back to somebody who is sent as many ZIPs as they may have.
const LATER: Duration = Duration::from_secs(60);

/// Why there is not one more for this client, or for all together.
const TOO_MANY: &str = "This client, or its network, is sent as many playlists at once as it may.";
const TOO_MANY_OF_ALL: &str = "As many playlists are sent at once as may be.";

/// All results of a playlist that has ended, in one ZIP: its files as they are, in the order of the list.
#[utoipa::path(
    get, path = "/api/v1/playlists/{id}/zip", tag = "playlists",
    params(
        ("id" = String, Path, description = "The playlist's id."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer."),
    ),
    responses(
        (status = 200, description = "The ZIP.", content_type = "application/zip"),
        (status = 304, description = "The client has it."),
        (status = 403, description = "`forbidden`: the key may order none of the entries", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`: too many requests, or too many ZIPs at once", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`service_unavailable`: also when as many ZIPs are sent as may be", body = Problem, content_type = "application/problem+json"),
        NoResult,
    )
)]
pub async fn zip(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: NoParams,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let playlist = playlist::find(&app, &caller, id).await?;
    let plan = Plan::read(&playlist.plan)?;
    let downloads = playlist::downloads(&app, &plan).await?;
    let results = results(&app, &plan, &downloads)?;

    let etag = tag(&results)?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let cached = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    if known.is_some_and(|known| etag.to_str().is_ok_and(|etag| conditional::lists(known, etag))) {
        return Ok((StatusCode::NOT_MODIFIED, cached).into_response());
    }
    let stem = clean_stem(plan.title.as_deref().unwrap_or("playlist"));
    let disposition = content_disposition(&format!("{stem}.zip"), false);
    let internal = |error: &dyn std::error::Error| ApiError::new(Code::Internal).because(error);
    let (jobs, entries): (Vec<&Job>, Vec<Entry>) = results.into_iter().unzip();
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (header::CONTENT_LENGTH, zip::length(&entries).map_err(|error| internal(&error))?.into()),
        (header::CONTENT_DISPOSITION, HeaderValue::try_from(disposition).map_err(|error| internal(&error))?),
        (header::ACCEPT_RANGES, HeaderValue::from_static("none")),
    ];
    let body = if method == Method::HEAD { Body::empty() } else { body(&app, &caller, &jobs, entries).await? };
    Ok((cached, head, body).into_response())
}

async fn body(app: &Arc<App>, caller: &Caller, jobs: &[&Job], entries: Vec<Entry>) -> ApiResult<Body> {
    let share = app.zips.take(&caller.client).map_err(|full| full.refusal(TOO_MANY, TOO_MANY_OF_ALL, LATER))?;
    // before the answer: a store that is away has a status of its own
    let first = app.open(&first_of(&entries)?.object, None).await?;
    // here, where it is known who asks; who goes away in the first result is handed none of the others
    let asked: Vec<(Ticket, HandOver)> = jobs.iter().map(|job| (job.ticket, HandOver::of(job))).collect();
    let (tally, jobs, mut asked, mut sent) = (app.tally.clone(), app.jobs.clone(), asked.into_iter(), None);
    let begun = move |_: &Entry| {
        let _held_while_it_is_sent = &share;
        if let Some((ticket, result)) = asked.next() {
            tally.fetched(&jobs, ticket);
            // the one before has ended with its last byte
            sent.take();
            sent = Some(result.begin("zip"));
        }
    };
    Ok(Body::from_stream(zip::send(app.clone(), entries, first, begun)))
}

fn first_of(entries: &[Entry]) -> ApiResult<&Entry> {
    entries.first().ok_or_else(|| ApiError::new(Code::Expired))
}

/// What is there of a playlist, in its order, or why there is nothing.
fn results<'a>(app: &App, plan: &Plan, downloads: &'a [(u32, Job)]) -> ApiResult<Vec<(&'a Job, Entry)>> {
    let standing = Standing::of(downloads.iter().map(|(_, job)| &job.state), plan.refused.len());
    match standing {
        Standing::Queued | Standing::Running => Err(ApiError::new(Code::NotReady)),
        Standing::Failed => Err(first_failure(plan, downloads)),
        Standing::Cancelled => Err(ApiError::new(Code::Cancelled)),
        Standing::Expired => Err(ApiError::new(Code::Expired)),
        Standing::Completed | Standing::Partial => {
            // as wide as the largest number, so that names are in the order of the list
            let width = downloads.iter().map(|(index, _)| index.to_string().len()).max().unwrap_or(1).max(2);
            let entries = downloads.iter().map(|(index, job)| entry(app, job, *index, width));
            entries.filter_map(Result::transpose).collect()
        }
    }
}

/// A result, under the name that it has alone behind its number in the list; no two have the same number. None: it has none.
fn entry<'a>(app: &App, job: &'a Job, index: u32, width: usize) -> ApiResult<Option<(&'a Job, Entry)>> {
    let JobState::Completed { artifact, finished, .. } = &job.state else { return Ok(None) };
    let name = format!("{index:0width$} - {}", filename(artifact, &app.request_of(job)?));
    let (object, size_bytes) = (artifact.object.clone(), artifact.size_bytes);
    Ok(Some((job, Entry { name, object, size_bytes, modified: *finished })))
}

/// As the result of the first download that failed would be refused, or else the first entry that was.
fn first_failure(plan: &Plan, downloads: &[(u32, Job)]) -> ApiError {
    let failures = downloads.iter().filter_map(|(_, job)| match &job.state {
        JobState::Failed { failure, .. } => Some(failure.kind),
        _ => None,
    });
    let refused = plan.refused.iter().filter_map(|entry| FailureKind::of_code(&entry.code));
    match failures.chain(refused).next() {
        Some(kind) => ApiError::no_result(kind),
        None if plan.refused.is_empty() => ApiError::new(Code::Expired),
        None => ApiError::new(Code::Forbidden),
    }
}

/// The same for the same files under the same names.
fn tag(results: &[(&Job, Entry)]) -> ApiResult<HeaderValue> {
    let mut hash = Sha256::new();
    for (_, Entry { name, object, size_bytes, modified }) in results {
        hash.update(format!("{name}\0{}\0{size_bytes}\0{}\0", ObjectKey::as_str(object), modified.as_second()));
    }
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.finalize()[..16]));
    HeaderValue::try_from(tag).map_err(|error| ApiError::new(Code::Internal).because(&error))
}
