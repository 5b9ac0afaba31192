//! Playlists: order many downloads at once, follow them together, take them back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::{join_all, select_all};
use haul_shared::ids::Ticket;
use haul_shared::job::Job;
use haul_shared::store::{Playlist, Watch};
use haul_shared::view::JobView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Id};
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiResult, Problem};
use crate::hold::Wish;
use crate::playlist::{self, Plan, PlaylistSummaryView, PlaylistView, Standing, playlist_url};
use crate::query::{NoParams, Params};
use crate::representation::Representation;
use crate::submit::idempotency_key;

/// A list, and what is to become of its entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaylistRequest {
    /// Where the list is: http or https, at most 2048 characters. A single medium is a list of itself.
    #[schema(min_length = 1, max_length = 2048, example = "https://media.example/list")]
    url: String,
    /// Its first entries, so many.
    #[schema(value_type = u32, required = false, default = 100, minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// These of its entries instead.
    range: Option<PlaylistRange>,
    /// What each download is to be.
    options: Option<PlaylistOptions>,
}

/// Entries of a list by their numbers, at most 100; both ends count.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaylistRange {
    #[schema(value_type = u32, required = false, default = 1, minimum = 1, maximum = 100_000)]
    start: Option<u32>,
    /// 99 beyond `start` when it is left out.
    #[schema(value_type = u32, required = false, minimum = 1, maximum = 100_000)]
    end: Option<u32>,
}

/// A download request without `url` and `playlist_index`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaylistOptions {}

/// Queue a download for each entry of a list: all of them, or none.
#[utoipa::path(
    post, path = "/api/v1/playlists", tag = "playlists", request_body = PlaylistRequest,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1-255 visible ASCII characters, kept for 24 hours: the same key and request give the same playlist.")),
    responses(
        (status = 202, description = "All of it is queued.", body = PlaylistView, headers(("Location" = String, description = "Where the playlist is."))),
        (status = 403, description = "`forbidden`: a format or a site that the key may not order; why the list can't be looked at, as for metadata", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`unavailable`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`idempotency_conflict`; `not_yet_available`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, also where no entry is; `unsupported_url`, `egress_denied`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`rate_limited`, `client_queue_full`, `quota_exceeded`", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "`network`, `site_blocked`, `extractor_error`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`queue_full`, `site_rate_limited`, `service_unavailable`", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "`timeout`", body = Problem, content_type = "application/problem+json"),
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
    let playlist = playlist::order(&app, &caller, &body, key).await?;
    as_it_is(&app, &caller, &playlist, StatusCode::ACCEPTED).await
}

/// The playlist.
#[utoipa::path(
    get, path = "/api/v1/playlists/{id}", tag = "playlists",
    params(
        ("id" = String, Path, description = "The playlist's id."),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 60, description = "Seconds to hold the answer until any of its downloads changes."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer."),
    ),
    responses(
        (status = 200, description = "The playlist.", body = PlaylistView, headers(("ETag" = String, description = "Changes with any of its downloads."))),
        (status = 304, description = "It is still as `If-None-Match` has it."),
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

/// Cancel what has not ended of a playlist; one that has ended is left alone.
#[utoipa::path(
    post, path = "/api/v1/playlists/{id}/cancel", tag = "playlists",
    params(("id" = String, Path, description = "The playlist's id.")),
    responses(
        (status = 202, description = "Some of it was queued or running, and is cancelled.", body = PlaylistView),
        (status = 200, description = "It had ended, and is as it was.", body = PlaylistView),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(State(app): State<Arc<App>>, caller: Caller, Id(id): Id, _: NoParams) -> ApiResult<Response> {
    let playlist = playlist::find(&app, &caller, id).await?;
    let any = playlist::cancel(&app, &Plan::read(&playlist.plan)?).await?;
    as_it_is(&app, &caller, &playlist, if any { StatusCode::ACCEPTED } else { StatusCode::OK }).await
}

/// Cancel a playlist, or delete one that has ended, with its downloads and their results.
#[utoipa::path(
    delete, path = "/api/v1/playlists/{id}", tag = "playlists",
    params(("id" = String, Path, description = "The playlist's id.")),
    responses(
        (status = 202, description = "Some of it was queued or running, and is cancelled.", body = PlaylistView),
        (status = 204, description = "It had ended; its downloads and their results are deleted."),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove(State(app): State<Arc<App>>, caller: Caller, Id(id): Id, _: NoParams) -> ApiResult<Response> {
    let playlist = playlist::find(&app, &caller, id).await?;
    let plan = Plan::read(&playlist.plan)?;
    if playlist::cancel(&app, &plan).await? {
        return as_it_is(&app, &caller, &playlist, StatusCode::ACCEPTED).await;
    }
    playlist::remove(&app, &playlist, &plan).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn as_it_is(app: &App, caller: &Caller, playlist: &Playlist, status: StatusCode) -> ApiResult<Response> {
    let (_, view) = view(app, caller, playlist).await?;
    Ok((status, [(header::LOCATION, playlist_url(&app.base_url, playlist))], Json(view)).into_response())
}

async fn view(app: &App, caller: &Caller, playlist: &Playlist) -> ApiResult<(Standing, PlaylistView)> {
    let plan = Plan::read(&playlist.plan)?;
    let jobs: Vec<Job> = playlist::downloads(app, &plan).await?.into_iter().map(|(_, job)| job).collect();
    let (standing, summary) = PlaylistSummaryView::of(playlist, &plan, &jobs, &app.base_url);
    let mut children = Vec::with_capacity(jobs.len());
    for job in &jobs {
        children.push(JobView::of(job, app.request_of(job)?, &app.base_url, caller.is_admin()));
    }
    Ok((standing, PlaylistView::of(summary, children, plan.refused)))
}

/// The playlist as it is now.
async fn represent(app: &App, caller: &Caller, id: Ticket) -> ApiResult<Representation> {
    let playlist = playlist::find(app, caller, id).await?;
    let (standing, view) = view(app, caller, &playlist).await?;
    Ok(Representation::of(&view, standing.is_end()))
}

/// Holds the answer until the playlist looks different from what the client knows.
async fn wait_for_change(app: &App, caller: &Caller, id: Ticket, wish: &Wish<'_>) -> ApiResult<Representation> {
    let (hold, mut news) = (wish.hold(app), wish.news());
    let playlist = playlist::find(app, caller, id).await?;
    // before the first look: a change between the two wakes us
    let plan = Plan::read(&playlist.plan)?;
    let mut watches = Vec::new();
    for watch in join_all(plan.children.iter().map(|child| app.jobs.watch(child.ticket))).await {
        watches.extend(watch?);
    }
    loop {
        let now = represent(app, caller, id).await?;
        if news.are_in(&now) || hold.is_over() {
            return Ok(now);
        }
        hold.pause(any(&mut watches)).await;
    }
}

/// Returns when one of the downloads may have changed; after some seconds in any case, also where another run stands behind
/// one meanwhile, which is not watched.
async fn any(watches: &mut [Watch]) {
    if watches.is_empty() {
        return std::future::pending().await;
    }
    select_all(watches.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
}
