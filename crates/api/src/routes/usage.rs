//! What a caller has: jobs, bytes, and what is left of the day.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use haul_shared::job::StateKind;
use haul_shared::store::Usage;
use haul_shared::view::{STATUS_WORDS, time};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiResult, Problem};
use crate::query::NoParams;

/// What the caller has.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageView {
    /// Of its key; null: there are no keys, and it is everybody's.
    name: Option<String>,
    /// Its downloads by status; each status is there.
    jobs: BTreeMap<&'static str, u64>,
    /// Size of its results that can be fetched, each once.
    stored_bytes: u64,
    /// Size of the results that became its own today (UTC), each once.
    delivered_bytes_today: u64,
    /// Beyond it no download is taken until `resets_at`; null: no limit.
    bytes_per_day: Option<u64>,
    /// When the day is over.
    #[schema(format = DateTime)]
    resets_at: String,
}

impl UsageView {
    fn of(usage: &Usage, caller: &Caller) -> Self {
        let mut jobs = BTreeMap::from(STATUS_WORDS.map(|status| (status, 0)));
        for (state, count) in &usage.jobs {
            // as clients see it, a job that waits for a retry is queued
            let word = if *state == StateKind::Waiting { StateKind::Queued.word() } else { state.word() };
            *jobs.entry(word).or_default() += count;
        }
        Self {
            name: caller.key.clone(),
            jobs,
            stored_bytes: usage.stored_bytes,
            delivered_bytes_today: usage.delivered.bytes,
            bytes_per_day: caller.limits.bytes_per_day,
            resets_at: time(usage.delivered.resets),
        }
    }
}

/// What the caller has.
#[utoipa::path(
    get, path = "/api/v1/usage", tag = "downloads",
    responses(
        (status = 200, description = "Its downloads and bytes, as of a moment ago.", body = UsageView),
        (status = 403, description = "`forbidden`: a public service, and no key", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn usage(State(app): State<Arc<App>>, caller: Caller, _: NoParams) -> ApiResult<Json<UsageView>> {
    let usage = app.usage.get(caller.listing()?).await?;
    Ok(Json(UsageView::of(&usage, &caller)))
}
