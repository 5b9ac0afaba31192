//! The list of playlists, newest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use haul_shared::job::Job;
use haul_shared::store::Sorting;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::cursor::{self, Part};
use crate::error::{ApiResult, Problem};
use crate::playlist::{self, Plan, PlaylistSummaryView};
use crate::query::Params;

/// Downloads looked at for one answer, as far as those of one playlist are not more.
const MOST_LOOKED_AT: usize = 2000;

/// Part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaylistsView {
    playlists: Vec<PlaylistSummaryView>,
    /// Where to go on; null at the end.
    next_cursor: Option<String>,
}

/// The caller's playlists, newest first, without their downloads.
#[utoipa::path(
    get, path = "/api/v1/playlists", tag = "playlists",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 100, description = "At most so many; 20 by default."),
        ("cursor" = Option<String>, Query, min_length = 1, description = "The `next_cursor` of the part before."),
    ),
    responses(
        (status = 200, description = "A part of the list.", body = PlaylistsView),
        (status = 403, description = "`forbidden`: a public service, and no key", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, caller: Caller, mut params: Params) -> ApiResult<Json<PlaylistsView>> {
    let scope = caller.listing()?;
    let sorting = Sorting::default();
    let Part { limit, after } = Part::of(&mut params, sorting);
    params.end()?;

    // one more than is shown tells whether there are more
    let found = app.jobs.playlists(&scope, after, limit + 1).await?;
    let (count, mut looked_at) = (found.len(), 0);
    let (mut playlists, mut last) = (Vec::new(), None);
    for (place, playlist) in found.into_iter().take(limit) {
        let plan = Plan::read(&playlist.plan)?;
        looked_at += plan.children.len();
        if looked_at > MOST_LOOKED_AT && !playlists.is_empty() {
            break;
        }
        let jobs: Vec<Job> = playlist::downloads(&app, &plan).await?.into_iter().map(|(_, job)| job).collect();
        playlists.push(PlaylistSummaryView::of(&playlist, &plan, &jobs, &app.base_url).1);
        last = Some(place);
    }
    let next_cursor = last.filter(|_| playlists.len() < count).map(|last| cursor::write(sorting, last));
    Ok(Json(PlaylistsView { playlists, next_cursor }))
}
