//! Plans of downloads: from Redis, or from a worker that asks the site.
//!
//! Memory holds none: each order has a plan of its own, and few ask for the same one twice within half a minute. Those who ask
//! at the same time share a job, whichever API they ask.
//!
//! Not here: what a plan says (the worker), how long it is known (`shared::metadata`).

use std::time::Duration;

use axum::body::Bytes;
use haul_shared::job::{JobSpec, PlanSpec};
use haul_shared::metadata::{Cached, DownloadPlan, Finding};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::FormatView;
use super::{Answer, MetadataService, Origin};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult};

/// What a download would fetch, and what would come of it, as far as the site says.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// What would be fetched; of picture and sound apart the picture comes first.
    streams: Vec<FormatView>,
    /// As in a result; `null`: only the file can tell.
    container: Option<String>,
    /// Of the result; `null`: the site says too little.
    estimated_bytes: Option<u64>,
    /// Of the result; `null`: the site does not say.
    duration_seconds: Option<f64>,
    /// Sound, or the picture of an exact clip, would be coded anew, or may have to be.
    transcodes: bool,
    /// As in a result.
    asked: Option<String>,
    /// As in a result; `null` also when the site does not say.
    got: Option<String>,
    /// Which rule chose these streams, for people.
    reason: String,
}

impl PlanView {
    fn of(plan: DownloadPlan) -> Self {
        let DownloadPlan { streams, container, estimated_bytes, duration_seconds, transcodes, asked, got, reason } =
            plan;
        Self {
            streams: streams.into_iter().map(FormatView::of).collect(),
            container,
            estimated_bytes,
            duration_seconds,
            transcodes,
            asked: asked.map(|rung| rung.to_string()),
            got: got.map(|rung| rung.to_string()),
            reason,
        }
    }
}

impl MetadataService {
    /// The plan of an order, as the JSON of a [`PlanView`]; asks a worker if nobody has made it.
    pub async fn plan(&self, order: &PlanSpec, caller: &Caller) -> Answer {
        match self.redis.plan(order).await {
            Ok(Some(cached)) => {
                let age = cached.age;
                return Answer { outcome: told(cached), origin: Origin::Hit, age };
            }
            Ok(None) => {}
            // a cache that does not answer is a cache that does not know
            Err(error) => tracing::warn!("the metadata cache does not answer: {error}"),
        }
        Answer { outcome: self.planned(order, caller).await, origin: Origin::Miss, age: Duration::ZERO }
    }

    async fn planned(&self, order: &PlanSpec, caller: &Caller) -> ApiResult<Bytes> {
        let spec = JobSpec::Plan(order.clone());
        told(self.left(&spec, &order.region, caller, || async { Ok(self.redis.plan(order).await?) }).await?)
    }
}

/// What a worker has left in the cache.
fn told(Cached { finding, age, .. }: Cached<DownloadPlan>) -> ApiResult<Bytes> {
    match finding {
        Finding::Found(plan) => {
            Ok(serde_json::to_vec(&PlanView::of(*plan)).expect("a view has only plain fields").into())
        }
        Finding::Refused { kind, retry_after } => {
            Err(ApiError::no_metadata(kind, retry_after.map(|asked| asked.saturating_sub(age))))
        }
    }
}
