//! `/downloads/{id}`: one download without scripts. With `?follow=1` it looks again by itself until there is no more to come.
//!
//! Nobody gets that who has not asked for it: a page that is loaded anew takes focus and place from who reads it slowly, or
//! has it read (WCAG 2.2.1), so that following is switched on, and off again, by a link.
//!
//! With scripts the page over the API takes its place, at the same download.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use haul_shared::ids::Ticket;
use haul_shared::job::{Artifact, Failure, Job, JobState, Progress, Stage};
use haul_shared::view::{DownloadRequest, filename};
use jiff::{SignedDuration, Timestamp};

use super::assets::HTML;
use super::visitor::Form;
use crate::app::{App, Id};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code};
use crate::query::Params;

use crate::routes::files;
use crate::submit::resubmit;

/// The query by which a page looks again by itself.
const FOLLOW: &str = "follow=1";

/// A download, or why none is shown.
#[derive(Template)]
#[template(path = "status.html")]
struct Status<'a> {
    /// Of the page, as it was asked for; empty for what is none.
    id: &'a str,
    title: &'a str,
    /// Where it stands, in a sentence.
    says: String,
    /// Where the medium was asked for.
    source: Option<&'a str>,
    /// Of a hundred, while there is more to come.
    percent: Option<u8>,
    /// Does it look again by itself?
    follows: bool,
    /// Name and size of the result.
    result: Option<(String, String)>,
    can_retry: bool,
    asks_for_key: bool,
    /// How deep below the top the page was asked for.
    depth: usize,
}

impl<'a> Status<'a> {
    /// The way back to the top, wherever a proxy has put it.
    fn root(&self) -> String {
        "../".repeat(self.depth)
    }

    fn of(job: &'a Job, request: &'a DownloadRequest, id: &'a str, follows: bool, now: Timestamp) -> Self {
        let media = job.media.as_ref();
        let artifact = match &job.state {
            JobState::Completed { artifact, .. } => Some(artifact),
            _ => None,
        };
        Self {
            id,
            title: media.and_then(|media| media.title.as_deref()).unwrap_or(&request.url),
            says: says(job, now),
            source: Some(&request.url),
            percent: (!job.state.kind().is_end()).then(|| job.progress.map_or(0, |at| at.percent as u8)),
            follows,
            result: artifact.map(|artifact| (filename(artifact, request), size(artifact))),
            can_retry: matches!(job.state, JobState::Failed { .. } | JobState::Cancelled { .. }),
            asks_for_key: false,
            depth: 1,
        }
    }

    fn html(&self) -> ApiResult<String> {
        self.render().map_err(|error| ApiError::new(Code::Internal).because(&error))
    }
}

/// The download as it is now.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    let job = app.find(&caller, id).await?;
    let request = app.request_of(&job)?;
    let html = Status::of(&job, &request, &id.to_string(), follows(query.as_deref()), Timestamp::now()).html()?;
    Ok(([(header::CONTENT_TYPE, HTML)], [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], html)
        .into_response())
}

/// The way to the result, for who can send no key with a link.
pub(super) async fn file(State(app): State<Arc<App>>, caller: Caller, id: Id, method: Method) -> ApiResult<Response> {
    files::link(State(app), caller, id, Params::of("redirect=true"), method).await
}

/// Is the page to look again by itself?
fn follows(query: Option<&str>) -> bool {
    query == Some(FOLLOW)
}

/// Cancels it. Who follows it goes on, for it ends when its programs have. As the API's own, and unlike its `DELETE`, it
/// leaves alone what has ended meanwhile: who sees a running job does not mean to delete its result.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> ApiResult<Response> {
    app.find(&caller, id).await?;
    app.jobs.cancel(id).await?;
    Ok(back(id, follows(query.as_deref())))
}

/// Queues it again.
pub(super) async fn retry(State(app): State<Arc<App>>, caller: Caller, Id(id): Id) -> ApiResult<Response> {
    let job = app.find(&caller, id).await?;
    let request = app.request_of(&job)?;
    resubmit(&app, &caller, &job, request).await?;
    Ok(back(id, false))
}

fn back(id: Ticket, follows: bool) -> Response {
    let page = if follows { format!("../{id}?{FOLLOW}") } else { format!("../{id}") };
    (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
}

/// The page of a download that is not shown: the one of this path, or that for which a key was entered.
///
/// # Errors
/// `internal`.
pub(super) fn refused(app: &App, path: &str, form: &Form, refusal: &ApiError) -> ApiResult<String> {
    let named = path.strip_prefix("/downloads/").map_or(form.get("id"), |rest| rest.split('/').next().unwrap_or(rest));
    // whatever is no id goes nowhere
    let id = named.parse::<Ticket>().map(|id| id.to_string()).unwrap_or_default();
    let page = Status {
        id: &id,
        title: if refusal.is(Code::NotFound) { "There is no such download" } else { "This was not done" },
        says: refusal.sentence().to_owned(),
        source: None,
        percent: None,
        follows: false,
        result: None,
        can_retry: false,
        asks_for_key: app.keys.is_some() && refusal.is(Code::Unauthorized),
        depth: path.matches('/').count() - 1,
    };
    page.html()
}

/// Where a job stands.
fn says(job: &Job, now: Timestamp) -> String {
    match &job.state {
        JobState::Queued { position } => format!("Waiting: number {position} in line."),
        JobState::Waiting { due, last } => {
            let wait = due.duration_since(now).max(SignedDuration::from_secs(1)).as_secs();
            let (next, most) = (job.attempt + 1, job.max_attempts);
            let why = last.as_ref().map_or("The site is left alone for a while.", sentence);
            format!("Waiting: {why} It is tried again in {wait} s (attempt {next} of {most}).")
        }
        JobState::Running { .. } => running(job.progress.unwrap_or_else(Progress::start)),
        JobState::Completed { .. } | JobState::Found { .. } => "Completed.".to_owned(),
        JobState::Failed { failure, .. } => format!("Failed: {}", sentence(failure)),
        JobState::Cancelled { .. } => "Cancelled.".to_owned(),
        JobState::Expired { .. } => "The result was kept for its time and is deleted.".to_owned(),
    }
}

fn sentence(failure: &Failure) -> &'static str {
    failure.kind.sentence()
}

fn running(progress: Progress) -> String {
    let doing = match progress.stage {
        Stage::Extract => "Looking at the page",
        Stage::Download => "Downloading",
        Stage::Process => "Putting the file together",
        Stage::Verify => "Checking the file",
        Stage::Upload => "Storing the file",
    };
    let left = progress.eta_seconds.map_or_else(String::new, |seconds| format!(", {seconds} s left"));
    format!("{doing}: {:.0} %{left}.", progress.percent.floor())
}

fn size(artifact: &Artifact) -> String {
    let megabytes = artifact.size_bytes as f64 / 1e6;
    if megabytes < 10.0 { format!("{megabytes:.1} MB") } else { format!("{megabytes:.0} MB") }
}
