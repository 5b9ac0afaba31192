//! `GET /tunnel`: waits for the result that a link leads to, and sends it.
//!
//! Nothing is said before the result is verified and in the store: an answer that has begun could not be taken back. Waiting
//! has turns: one that ends leads to the same link again, so that no proxy on the way sees silence for a minute. Who goes away
//! while waiting leaves the job as it is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use haul_shared::ids::Ticket;
use haul_shared::job::{Artifact, Job};
use haul_shared::storage::content_disposition;
use haul_shared::store::Seen;
use haul_shared::view::{DownloadRequest, stem};
use jiff::Timestamp;
use url::form_urlencoded;

use super::link::{Link, NoLink};
use super::name::{Parts, name};
use super::place::Place;
use super::refusal::{No, Refusal, Said};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code};
use crate::hold::Hold;
use crate::routes::files;

/// How long one turn lasts: less than the minute after which proxies give up.
const TURN: Duration = Duration::from_secs(50);
/// Turns that one request has: clients follow ten redirects, some of them more.
const TURNS: u32 = 10;
/// When to ask again after that: soon, for then it waits as long once more.
const AGAIN: Duration = Duration::from_secs(1);
/// Where a link says how many turns it has had. No part of what is signed: who changes it waits more, or less.
const TURN_KEY: &str = "turn";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What stands in a query beside the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beside {
    /// Only asked whether it leads somewhere.
    is_probe: bool,
    /// Turns that were had.
    turns: u32,
}

impl Beside {
    fn of(query: &str) -> Self {
        let value = |key: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == key).map(|(_, value)| value)
        };
        Self {
            is_probe: value("p").is_some_and(|probe| probe == "1"),
            turns: value(TURN_KEY).and_then(|turns| turns.parse().ok()).unwrap_or(0),
        }
    }

    /// The same query for one more turn, or none if all were had.
    fn onwards(self, query: &str) -> Option<String> {
        let turns = self.turns.checked_add(1).filter(|turns| *turns < TURNS)?;
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key != TURN_KEY);
        let mut onwards = form_urlencoded::Serializer::new(String::new());
        Some(onwards.extend_pairs(pairs).append_pair(TURN_KEY, &turns.to_string()).finish())
    }
}

/// Sends the file behind a link once it is there; of a probe only whether it is there or may come.
pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    place: Extension<Arc<Place>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, No> {
    let query = query.unwrap_or_default();
    let link = Link::read(&query, &place.secret(&app).await?, Timestamp::now()).map_err(|refused| {
        let (said, status) = match refused {
            NoLink::Malformed => (Said::InvalidBody, StatusCode::BAD_REQUEST),
            NoLink::Forged => (Said::LinkInvalid, StatusCode::UNAUTHORIZED),
            NoLink::Expired => (Said::FetchEmpty, StatusCode::GONE),
        };
        No::Cobalts(Refusal::of(said).with_status(status))
    })?;
    let beside = Beside::of(&query);
    let mut answer = if beside.is_probe {
        probe(&app, link.ticket).await.map_err(in_statuses)?
    } else {
        match end_of(&app, &caller, link.ticket).await.map_err(in_statuses)? {
            Some(job) => send(&app, &job, &link, &method, &headers).await.map_err(in_statuses)?,
            None => beside.onwards(&query).map(|query| lead(&query)).ok_or_else(too_early)?,
        }
    };
    answer.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(answer)
}

/// A link tells what is the matter by its status. A download that has failed is one that is not there.
fn in_statuses(error: ApiError) -> No {
    let status = match error.status() {
        StatusCode::CONFLICT => StatusCode::NOT_FOUND,
        status if status.is_server_error() => return No::Ours(error),
        status => status,
    };
    No::Cobalts(Refusal::of_error(&error).with_status(status))
}

async fn probe(app: &App, ticket: Ticket) -> ApiResult<Response> {
    let job = job(app, ticket).await?;
    if job.state.kind().is_end() {
        result(&job)?;
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], StatusCode::OK).into_response())
}

/// To the same link, for one more turn.
fn lead(query: &str) -> Response {
    let to = [(header::LOCATION, format!("?{query}")), (header::CACHE_CONTROL, "no-store".to_owned())];
    (StatusCode::TEMPORARY_REDIRECT, to).into_response()
}

/// All turns were had, and nothing has failed: clients ask again after this status, and no operator is woken by it.
fn too_early() -> No {
    No::Cobalts(Refusal::of(Said::FetchFail).with_status(StatusCode::TOO_MANY_REQUESTS).with_retry_after(AGAIN))
}

async fn send(app: &App, job: &Job, link: &Link, method: &Method, headers: &HeaderMap) -> ApiResult<Response> {
    let artifact = result(job)?;
    let request = app.request_of(job)?;
    let name = name(&request.url, link.style, &parts(artifact, &request));
    files::send_result(app, job, content_disposition(&name, false), method, headers).await
}

/// The job when it has ended; `None`: its turn is over before.
async fn end_of(app: &App, caller: &Caller, ticket: Ticket) -> ApiResult<Option<Job>> {
    let has_ended = |job: &Job| job.state.kind().is_end();
    let first = job(app, ticket).await?;
    if has_ended(&first) {
        return Ok(Some(first));
    }
    let _share = app.waits.take(&caller.client).map_err(|_| ApiError::new(Code::RateLimited).retry_after(TURN))?;
    let now = Hold::new(app, TURN).job(ticket, |seen: &Seen| Ok(seen.job()?), has_ended).await?;
    Ok(Some(now).filter(has_ended))
}

/// The download behind a ticket. Who has a link to it needs no other right.
async fn job(app: &App, ticket: Ticket) -> ApiResult<Job> {
    app.jobs.get(ticket).await?.filter(|job| !job.request.is_empty()).ok_or_else(gone)
}

fn gone() -> ApiError {
    ApiError::new(Code::NotFound)
}

/// The result of a job that has ended, or why there is none.
fn result(job: &Job) -> ApiResult<&Artifact> {
    files::Fetchable::of(job).map(|result| result.artifact)
}

/// What the file's name is made of, now that it is known.
fn parts(artifact: &Artifact, request: &DownloadRequest) -> Parts {
    Parts {
        title: Some(stem(artifact, request)),
        rung: artifact.got.clone(),
        codec: artifact.vcodec.clone(),
        is_audio: request.format.is_audio(),
        extension: artifact.extension.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_has_turns_and_an_end() {
        let mut query = "id=a&exp=b&sig=c&sec=d&iv=e".to_owned();
        let mut turns = 1;
        while let Some(onwards) = Beside::of(&query).onwards(&query) {
            assert_eq!(onwards, format!("id=a&exp=b&sig=c&sec=d&iv=e&turn={turns}"));
            query = onwards;
            turns += 1;
        }
        assert_eq!(turns, TURNS);
        let end = too_early().into_response();
        assert_eq!((end.status().as_u16(), end.headers()[header::RETRY_AFTER].as_bytes()), (429, &b"1"[..]));
        assert_eq!(Beside::of("turn=99999999999&p=1"), Beside { is_probe: true, turns: 0 });
        assert_eq!(Beside::of("turn=4294967295").onwards(""), None);
        assert!(!Beside::of("p=0").is_probe);
    }
}
