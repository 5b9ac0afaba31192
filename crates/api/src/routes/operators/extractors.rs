//! Which versions of yt-dlp are at work, and how the newest of them does on trial.

use std::collections::BTreeMap;

use haul_shared::rollout::{Ends, Version};
use haul_shared::store::{Trial, Tried, WorkerInfo};
use haul_shared::view::time;
use serde::Serialize;
use utoipa::ToSchema;

/// What finds media.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExtractorsView {
    /// Of the live workers, the newest last.
    versions: Vec<VersionView>,
    /// The newest beside older ones; null: all workers have the same, or it was settled before that they go on with it.
    trial: Option<TrialView>,
}

/// A version of yt-dlp.
#[derive(Debug, Serialize, ToSchema)]
struct VersionView {
    /// Empty: these workers cannot tell.
    #[schema(example = "2026.08.19")]
    ytdlp: String,
    workers: u64,
    slots: u64,
}

/// How a version does beside the others.
#[derive(Debug, Serialize, ToSchema)]
struct TrialView {
    ytdlp: String,
    #[schema(format = DateTime)]
    since: String,
    /// On sites without a verdict of their own: `undecided` (it has its share of the jobs at most), `promoted` (it takes what comes), or
    /// `rolled_back` (it leaves them to the others).
    #[schema(value_type = String, example = "undecided")]
    verdict: &'static str,
    seen: SeenView,
    /// Where it was tried: of each shard at most 1,000 with a verdict, and 1,000 without. Where there are keys, shown to those with `admin` only.
    sites: Vec<SiteView>,
}

/// How it does at one site.
#[derive(Debug, Serialize, ToSchema)]
struct SiteView {
    /// Host, and port where it is not the scheme's own.
    site: String,
    /// As of the trial.
    #[schema(value_type = String, example = "rolled_back")]
    verdict: &'static str,
    /// What the verdict was made of; as long as it is `undecided`, what was seen until now.
    seen: SeenView,
}

/// First attempts at downloads that ended well, or for a reason that speaks of yt-dlp.
#[derive(Debug, Serialize, ToSchema)]
struct SeenView {
    candidate: EndsView,
    others: EndsView,
}

/// How they ended.
#[derive(Debug, Serialize, ToSchema)]
struct EndsView {
    well: u64,
    badly: u64,
}

impl ExtractorsView {
    pub(super) fn of(workers: &[WorkerInfo], trial: Option<Trial>) -> Self {
        let mut versions: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for worker in workers {
            let (count, slots) = versions.entry(worker.extractor()).or_default();
            (*count, *slots) = (*count + 1, *slots + u64::from(worker.slots));
        }
        let version =
            |(ytdlp, (workers, slots)): (Version, (u64, u64))| VersionView { ytdlp: ytdlp.to_string(), workers, slots };
        Self { versions: versions.into_iter().map(version).collect(), trial: trial.map(TrialView::of) }
    }
}

impl TrialView {
    fn of(trial: Trial) -> Self {
        let site = |(site, tried): (String, Tried)| SiteView {
            site,
            verdict: tried.verdict.word(),
            seen: SeenView::of(tried.seen.candidate, tried.seen.others),
        };
        Self {
            ytdlp: trial.candidate.to_string(),
            since: time(trial.since),
            verdict: trial.verdict.word(),
            seen: SeenView::of(trial.seen.candidate, trial.seen.others),
            sites: trial.sites.into_iter().map(site).collect(),
        }
    }
}

impl SeenView {
    fn of(candidate: Ends, others: Ends) -> Self {
        let ends = |Ends { well, badly }| EndsView { well, badly };
        Self { candidate: ends(candidate), others: ends(others) }
    }
}
