//! The list of downloads, newest first, or as it was asked for.
//!
//! Filters are applied here, page by page of the store, within a bound: a list that was looked through that far and
//! gave less than was asked for still has a `next_cursor`, and the client goes on from there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use haul_shared::job::Job;
use haul_shared::store::{Order, SortBy, Sorting};
use haul_shared::view::{DownloadRequest, JobView, STATUS_WORDS, status_word};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::cursor::{self, Part};
use crate::error::{ApiResult, Problem};
use crate::query::Params;

/// Jobs taken from the store at once when there is a filter, and so no knowing how many will do.
const PAGE: usize = 100;
/// Jobs looked at for one answer.
const MOST_SCANNED: usize = 2000;

/// Part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListView {
    downloads: Vec<JobView>,
    /// Where to go on; null at the end.
    next_cursor: Option<String>,
    /// Set when the list is sorted among the newest so many downloads only, because there are more; the others are not in it.
    sorted_among: Option<usize>,
}

/// Which downloads are asked for.
struct Filter {
    status: Option<&'static str>,
    tag: Option<String>,
    external_id: Option<String>,
    favourite: Option<bool>,
}

impl Filter {
    fn is_none(&self) -> bool {
        self.status.is_none() && self.tag.is_none() && self.external_id.is_none() && self.favourite.is_none()
    }

    fn fits(&self, job: &Job, request: &DownloadRequest) -> bool {
        self.status.is_none_or(|status| status == status_word(&job.state))
            && self.tag.as_ref().is_none_or(|tag| request.tags.contains(tag))
            && self.external_id.as_ref().is_none_or(|id| request.external_id.as_ref() == Some(id))
            && self.favourite.is_none_or(|favourite| favourite == job.library.favourite)
    }
}

/// The caller's downloads, newest first unless asked for otherwise.
#[utoipa::path(
    get, path = "/api/v1/downloads", tag = "downloads",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 100, description = "At most so many; 20 by default."),
        ("cursor" = Option<String>, Query, min_length = 1, description = "The `next_cursor` of the part before: of a list that is sorted the same."),
        ("sort" = Option<String>, Query, pattern = "^(created|size|duration|downloads|rating)$", description = "`created` (default), `size`, `duration`, `downloads` or `rating`; what has no such value comes last."),
        ("order" = Option<String>, Query, pattern = "^(desc|asc)$", description = "`desc` (default) or `asc`."),
        ("status" = Option<String>, Query, pattern = "^(queued|running|completed|failed|cancelled|expired)$", description = "Only those with this status."),
        ("tag" = Option<String>, Query, description = "Only those with this tag."),
        ("external_id" = Option<String>, Query, description = "Only those with this name of the client's own."),
        ("favourite" = Option<bool>, Query, description = "Only favourites, or only others."),
    ),
    responses(
        (status = 200, description = "A part of the list.", body = ListView),
        (status = 403, description = "`forbidden`: a public service, and no key", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, caller: Caller, mut params: Params) -> ApiResult<Json<ListView>> {
    let scope = caller.listing()?;
    let sorting = Sorting {
        by: params.word("sort", SortBy::ALL.map(|by| (by.word(), by))).unwrap_or_default(),
        order: params.word("order", Order::ALL.map(|order| (order.word(), order))).unwrap_or_default(),
    };
    let Part { limit, after } = Part::of(&mut params, sorting);
    let filter = Filter {
        status: params.word("status", STATUS_WORDS.map(|word| (word, word))),
        tag: params.text("tag"),
        external_id: params.text("external_id"),
        favourite: params.truth("favourite"),
    };
    params.end()?;

    // one more than is shown tells whether there are more
    let page = if filter.is_none() { limit + 1 } else { PAGE };
    let turn = if sorting.by == SortBy::Created { None } else { Some(app.sorting.turn(&caller.client).await) };
    let mut listing = app.jobs.list(scope, sorting, after).await?;
    drop(turn);
    let mut downloads = Vec::new();
    let (mut last, mut scanned) = (after, 0);
    let is_end = 'parts: loop {
        let jobs = listing.next(page).await?;
        let (count, is_last) = (jobs.len(), jobs.len() < page);
        for (index, (position, job)) in jobs.into_iter().enumerate() {
            last = Some(position);
            // what is no download (a look at metadata) has no place in the list
            let Ok(request) = app.request_of(&job) else { continue };
            if !filter.fits(&job, &request) {
                continue;
            }
            downloads.push(JobView::of(&job, request, &app.base_url, caller.is_admin()));
            if downloads.len() == limit {
                break 'parts is_last && index + 1 == count;
            }
        }
        scanned += count;
        if is_last || scanned >= MOST_SCANNED {
            break is_last;
        }
    };
    let next_cursor = last.filter(|_| !is_end).map(|last| cursor::write(sorting, last));
    Ok(Json(ListView { downloads, next_cursor, sorted_among: listing.sorted_among }))
}
