//! One download, followed: what happens to it, as it happens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;

use crate::app::{App, Id};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code, Problem};
use crate::events::{self, Asker, Follower};
use crate::query::NoParams;

/// When to come back to somebody who follows as many jobs as they may.
const LATER: Duration = Duration::from_secs(30);

/// Why there is not one more for this client, or for all together.
const TOO_MANY: &str = "This client, or its network, follows as many downloads as it may.";
const TOO_MANY_OF_ALL: &str = "As many downloads are followed at once as may be.";

/// Follow a download: server-sent events, from now on or from the one after `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/v1/downloads/{id}/events", tag = "downloads",
    params(
        ("id" = String, Path, description = "The job's id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received: go on after it."),
    ),
    responses(
        (status = 200, description = "Events `progress` and `stage`, and one last of `completed`, `failed`, `cancelled`; `data` of each is the job.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "`Last-Event-ID` is the last event: there is nothing to come back for."),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`: too many requests, or too many jobs followed at once", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`service_unavailable`: also when all together follow as many jobs as may be", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Id(id): Id,
    _: NoParams,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let heard = headers.get("last-event-id").and_then(|last| events::place(last.to_str().ok()?));
    let news = app.feeds.follow(&app, id, &caller, heard).await?;
    let news = news.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let place = app.streams.take(&caller.client).map_err(|full| full.refusal(TOO_MANY, TOO_MANY_OF_ALL, LATER))?;
    let asker = Asker::of(&caller, &headers);
    let follower = Follower::new(Arc::clone(&app), id, asker, news, heard, place);
    if follower.has_heard_all() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let kind = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // a proxy such as nginx would hold events back until it has some kilobytes of them
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((kind, Body::from_stream(follower.tell().map(Ok::<_, Infallible>))).into_response())
}
