//! What operators look at: numbers for people, and numbers for Prometheus.

mod extractors;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use haul_shared::ids::Region;
use haul_shared::job::{FailureKind, StateKind};
use haul_shared::media::Priority;
use haul_shared::metrics::CONTENT_TYPE;
use haul_shared::store::{Breaker, Orphans, Stats, Swept, WorkerInfo};
use haul_shared::view::time;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code, chain};
use crate::metrics::priority_word;
use crate::query::NoParams;
use extractors::ExtractorsView;

/// How long a scrape waits for the store: less than Prometheus waits for us.
const SCRAPE: Duration = Duration::from_secs(3);

/// How the deployment is.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    regions: Vec<RegionView>,
    queues: Vec<QueueView>,
    workers: Vec<WorkerView>,
    extractors: ExtractorsView,
    /// Sites that are left alone because job after job failed there, those that are open longest first; at most 100 of each shard.
    /// Where there are keys, shown to those with `admin` only.
    site_breakers: Vec<BreakerView>,
    /// By status; of the ends, since the store began.
    jobs: BTreeMap<&'static str, u64>,
    metadata_cache: CacheView,
    storage: StorageView,
    /// Time from queued to begun, lately.
    queue_wait_seconds: Percentiles,
    /// Time in each stage, lately.
    stage_seconds: BTreeMap<&'static str, Percentiles>,
}

/// One region of the deployment, or one that has jobs or workers all the same.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct RegionView {
    region: String,
    /// `served`, or `no_workers`: jobs wait here until a worker comes, or until they go to another region.
    #[schema(value_type = String, example = "served")]
    status: &'static str,
    /// Live workers that serve it.
    workers: u64,
    /// Theirs; they may serve other regions with them, too.
    slots: u64,
    /// Jobs waiting, by priority.
    depth: BTreeMap<&'static str, u64>,
    /// Of the oldest of them.
    oldest_seconds: Option<f64>,
}

/// One queue.
#[derive(Debug, Serialize, ToSchema)]
struct QueueView {
    region: String,
    #[schema(value_type = String)]
    priority: &'static str,
    depth: u64,
    oldest_seconds: Option<f64>,
}

/// A live worker.
#[derive(Debug, Serialize, ToSchema)]
struct WorkerView {
    id: String,
    regions: Vec<String>,
    slots: u32,
    running: u32,
    /// `ok`, or `full`: it takes no download for want of disk.
    #[schema(value_type = String, example = "ok")]
    disk: &'static str,
    version: String,
    ytdlp: String,
    /// How its programs are confined: `a`, `b`, `c` or `off`; `null`: it is too old to say.
    #[schema(example = "a")]
    sandbox: Option<String>,
    #[schema(format = DateTime)]
    started_at: String,
}

/// A site that is left alone.
#[derive(Debug, Serialize, ToSchema)]
struct BreakerView {
    /// Host, and port where it is not the scheme's own.
    site: String,
    /// As seen through this address: `HAUL_EGRESS_NAME` of the workers.
    egress: String,
    /// `open`: its jobs wait. `half_open`: one of them finds out whether it can be closed.
    #[schema(value_type = String, example = "open")]
    state: &'static str,
    /// What its last jobs failed with.
    #[schema(value_type = Option<String>)]
    code: Option<&'static str>,
    /// How many failures in a row.
    failures: u64,
    #[schema(format = DateTime)]
    open_until: String,
}

/// How often metadata was known, in this process.
#[derive(Debug, Serialize, ToSchema)]
struct CacheView {
    answers: u64,
    /// 0 to 1; null before the first.
    hit_rate: Option<f64>,
}

/// What the store holds.
#[derive(Debug, Serialize, ToSchema)]
struct StorageView {
    used_bytes: u64,
    objects: u64,
    orphans: OrphansView,
}

/// What came of looking for objects that no record leads to; since the store began.
#[derive(Debug, Serialize, ToSchema)]
struct OrphansView {
    /// When all was looked at last.
    #[schema(format = DateTime)]
    last_sweep_at: Option<String>,
    /// Objects, and unfinished ones.
    looked_at: u64,
    removed: u64,
    removed_bytes: u64,
    /// What could not be removed, and looks that the store did not answer.
    failed: u64,
}

/// Of a sample; null while it is empty.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Percentiles {
    p50: Option<f64>,
    p95: Option<f64>,
}

/// Queues, workers, jobs, cache, storage, and how long things take.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "operators",
    responses((status = 200, description = "Numbers for a person or a dashboard.", body = StatsView))
)]
pub async fn stats(State(app): State<Arc<App>>, caller: Caller, _: NoParams) -> ApiResult<Json<StatsView>> {
    let mut stats = timeout(SCRAPE, app.jobs.stats()).await.map_err(|_| ApiError::new(Code::ServiceUnavailable))??;
    if !caller.may_see_sites() {
        stats.breakers.clear();
        stats.trial.iter_mut().for_each(|trial| trial.sites.clear());
    }
    Ok(Json(StatsView::of(stats, &app.config.regions, app.metrics.metadata_answers())))
}

/// All metrics. Those of the store are as old as the last scrape that it answered in time while it took writes, and whether
/// it has done so with this one is one of them.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let asked = async { tokio::try_join!(app.jobs.ping(), app.jobs.stats()) };
    let stats = match timeout(SCRAPE, asked).await {
        Ok(Ok(((), stats))) => Some(stats),
        Ok(Err(error)) => {
            tracing::warn!("the store gave no numbers: {}", chain(&error));
            None
        }
        Err(_) => {
            tracing::warn!("the store gave no numbers in time");
            None
        }
    };
    let text = app.metrics.text(stats.as_ref(), app.jobs.failed_as_lost(), app.jobs.pool_state());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

impl StatsView {
    fn of(stats: Stats, regions: &[Region], (hits, answers): (u64, u64)) -> Self {
        let mut jobs: BTreeMap<&'static str, u64> = BTreeMap::new();
        for kind in StateKind::ALL {
            // as clients see it, a job that waits for a retry is queued
            let word = if kind == StateKind::Waiting { StateKind::Queued.word() } else { kind.word() };
            *jobs.entry(word).or_default() += stats.jobs.get(&kind).copied().unwrap_or_default();
        }
        let (waits, stages): (BTreeMap<_, _>, BTreeMap<_, _>) = stats
            .samples
            .iter()
            .map(|(name, sample)| (*name, Percentiles::of(sample)))
            .partition(|(name, _)| *name == "wait");
        Self {
            regions: RegionView::all(&stats, regions),
            queues: stats
                .queues
                .iter()
                .map(|queue| QueueView {
                    region: queue.region.to_string(),
                    priority: priority_word(queue.priority),
                    depth: queue.depth,
                    oldest_seconds: queue.oldest.map(|age| age.as_secs_f64()),
                })
                .collect(),
            extractors: ExtractorsView::of(&stats.workers, stats.trial),
            workers: stats.workers.into_iter().map(WorkerView::of).collect(),
            site_breakers: stats.breakers.into_iter().map(BreakerView::of).collect(),
            jobs,
            metadata_cache: CacheView { answers, hit_rate: (answers > 0).then(|| hits as f64 / answers as f64) },
            storage: StorageView {
                used_bytes: stats.stored_bytes,
                objects: stats.stored_objects,
                orphans: OrphansView::of(stats.orphans),
            },
            queue_wait_seconds: waits.into_values().next().unwrap_or(Percentiles { p50: None, p95: None }),
            stage_seconds: stages,
        }
    }
}

impl RegionView {
    /// Those of the deployment in its order, then what others there are.
    fn all(stats: &Stats, deployment: &[Region]) -> Vec<Self> {
        let others: BTreeSet<&Region> = stats
            .workers
            .iter()
            .flat_map(|worker| &worker.regions)
            .chain(stats.queues.iter().map(|it| &it.region))
            .collect();
        let others = others.into_iter().filter(|region| !deployment.contains(region));
        deployment.iter().chain(others).map(|region| Self::of(stats, region)).collect()
    }

    fn of(stats: &Stats, region: &Region) -> Self {
        let serving = || stats.workers.iter().filter(|worker| worker.regions.contains(region));
        let queues = || stats.queues.iter().filter(|queue| queue.region == *region);
        let mut depth = BTreeMap::from([Priority::Normal, Priority::Low].map(|it| (priority_word(it), 0)));
        for queue in queues() {
            *depth.entry(priority_word(queue.priority)).or_default() += queue.depth;
        }
        Self {
            region: region.to_string(),
            status: if serving().next().is_some() { "served" } else { "no_workers" },
            workers: serving().count() as u64,
            slots: serving().map(|worker| u64::from(worker.slots)).sum(),
            depth,
            oldest_seconds: queues().filter_map(|queue| queue.oldest).max().map(|age| age.as_secs_f64()),
        }
    }
}

impl WorkerView {
    fn of(worker: WorkerInfo) -> Self {
        Self {
            id: worker.id,
            regions: worker.regions.iter().map(ToString::to_string).collect(),
            slots: worker.slots,
            running: worker.running,
            disk: if worker.disk_full { "full" } else { "ok" },
            version: worker.version,
            ytdlp: worker.ytdlp,
            sandbox: worker.sandbox,
            started_at: time(worker.started),
        }
    }
}

impl OrphansView {
    fn of(orphans: Orphans) -> Self {
        let Swept { looked_at, removed, removed_bytes, failed } = orphans.swept;
        Self { last_sweep_at: orphans.last_sweep.map(time), looked_at, removed, removed_bytes, failed }
    }
}

impl BreakerView {
    fn of(breaker: Breaker) -> Self {
        Self {
            site: breaker.site,
            egress: breaker.egress,
            state: if breaker.is_half_open { "half_open" } else { "open" },
            code: breaker.kind.map(FailureKind::code),
            failures: breaker.failures,
            open_until: time(breaker.until),
        }
    }
}

impl Percentiles {
    fn of(sample: &[f64]) -> Self {
        let mut sorted = sample.to_vec();
        sorted.sort_by(f64::total_cmp);
        // nearest rank: the smallest value that so many are not above
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied()
        };
        Self { p50: at(0.50), p95: at(0.95) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_sample() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Percentiles::of(&hundred), Percentiles { p50: Some(50.0), p95: Some(95.0) });
        assert_eq!(Percentiles::of(&[7.0]), Percentiles { p50: Some(7.0), p95: Some(7.0) });
        assert_eq!(Percentiles::of(&[]), Percentiles { p50: None, p95: None });
    }
}
