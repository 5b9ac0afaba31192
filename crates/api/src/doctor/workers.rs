//! The workers that are alive, as the queue knows them: without one, every order waits.

use std::collections::BTreeSet;
use std::time::Duration;

use haul_shared::config::Mode;
use haul_shared::doctor::{Check, Finding};
use haul_shared::ids::Region;
use haul_shared::redis::Server;
use haul_shared::store::{JobStore, StoreSettings, WorkerInfo};

use crate::config::ApiConfig;

const WITHIN: Duration = Duration::from_secs(15);
const LIVE: &str = "workers.live";

/// Who works, where, and with what. A Redis that does not answer is told of elsewhere.
pub(super) fn check(config: &ApiConfig, settings: StoreSettings) -> Check {
    let (redis, regions, mode) = (config.redis.queue.clone(), config.regions.clone(), config.mode);
    Check::new(LIVE, WITHIN, async move {
        let Ok(server) = Server::new(&redis, 1) else { return Vec::new() };
        match JobStore::new(server, settings).workers().await {
            Ok(workers) => judged(&workers, &regions, mode),
            Err(_) => Vec::new(),
        }
    })
}

fn judged(workers: &[WorkerInfo], regions: &[Region], mode: Mode) -> Vec<Finding> {
    let serves = |worker: &&WorkerInfo, region: &Region| worker.regions.contains(region);
    let mut findings: Vec<_> = regions
        .iter()
        .map(|region| {
            let live: Vec<_> = workers.iter().filter(|worker| serves(worker, region)).collect();
            let slots: u32 = live.iter().map(|worker| worker.slots).sum();
            if live.is_empty() {
                return Finding::warn(
                    LIVE,
                    format_args!("no live worker serves the region {region}: what is ordered waits"),
                    format_args!("start haul-worker with HAUL_REGION={region} and the same HAUL_REDIS_URL; if one runs, its log tells (haul-worker doctor)"),
                );
            }
            if live.iter().all(|worker| worker.disk_full) {
                return Finding::warn(
                    LIVE,
                    format_args!("no worker of the region {region} takes downloads, for want of disk"),
                    "make room in HAUL_WORK_DIR of the workers (haul-worker doctor tells how much is missing)",
                );
            }
            Finding::ok(LIVE, format_args!("{} with {slots} slots in the region {region}", live.len()))
        })
        .collect();
    if !workers.is_empty() {
        findings.push(versions(workers));
        findings.push(programs(workers));
    }
    findings.extend((mode == Mode::Public).then(|| unconfined(workers)).flatten());
    findings
}

fn versions(workers: &[WorkerInfo]) -> Finding {
    let (name, ours) = ("workers.version", env!("CARGO_PKG_VERSION"));
    let others: BTreeSet<_> =
        workers.iter().map(|worker| worker.version.as_str()).filter(|version| *version != ours).collect();
    if others.is_empty() {
        return Finding::ok(name, format_args!("all are {ours}, as this API"));
    }
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    let remedy = "bring all to one version, the APIs first and the workers last (docs/ARCHITECTURE.md, Upgrades)";
    Finding::warn(name, format_args!("this API is {ours}, and workers are {others}"), remedy)
}

fn programs(workers: &[WorkerInfo]) -> Finding {
    let name = "workers.ytdlp";
    let versions: BTreeSet<_> = workers.iter().map(|worker| worker.ytdlp.as_str()).collect();
    let told = versions.iter().copied().collect::<Vec<_>>().join(", ");
    if versions.len() > 1 {
        let remedy = "the newest may be on trial (extractors of /api/v1/stats): when that is decided, install one on all of them (docs/OPERATIONS.md, Rolling yt-dlp)";
        return Finding::warn(name, format_args!("workers have different versions of yt-dlp: {told}"), remedy);
    }
    Finding::ok(name, format_args!("yt-dlp {told}"))
}

/// Workers that strangers' programs run on without a sandbox; they refuse to start so, but may be of another deployment.
fn unconfined(workers: &[WorkerInfo]) -> Option<Finding> {
    let is_open = |worker: &&WorkerInfo| matches!(worker.sandbox.as_deref(), Some("c" | "off"));
    let open = workers.iter().filter(is_open).map(|worker| worker.id.as_str()).collect::<Vec<_>>().join(", ");
    let remedy = "set HAUL_MODE=public for the workers too, and see haul-worker doctor for what their sandbox lacks";
    (!open.is_empty()).then(|| {
        Finding::fail("workers.sandbox", format_args!("strangers are served without a sandbox by {open}"), remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: &str, region: &str, version: &str, ytdlp: &str) -> WorkerInfo {
        WorkerInfo {
            id: id.to_owned(),
            regions: vec![region.parse().unwrap()],
            slots: 2,
            running: 0,
            disk_full: id == "full",
            version: version.to_owned(),
            ytdlp: ytdlp.to_owned(),
            sandbox: Some(if id == "open" { "c" } else { "a" }.to_owned()),
            started: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_region_wants_a_worker_and_all_workers_the_same_programs() {
        let regions: Vec<Region> = ["eu", "us", "asia"].map(|region| region.parse().unwrap()).into();
        let ours = env!("CARGO_PKG_VERSION");
        let workers = [
            worker("a", "eu", ours, "2026.08.19"),
            worker("open", "eu", "0.0.9", "2026.07.04"),
            worker("full", "us", ours, "2026.08.19"),
        ];
        let told = |workers: &[WorkerInfo], mode| {
            let lines = judged(workers, &regions, mode).into_iter();
            lines
                .map(|it| format!("{} {}: {}\n", it.status.word(), it.name, it.found.replace(ours, "OURS")))
                .collect::<String>()
        };
        expect_test::expect![[r#"
            ok workers.live: 2 with 4 slots in the region eu
            warn workers.live: no worker of the region us takes downloads, for want of disk
            warn workers.live: no live worker serves the region asia: what is ordered waits
            warn workers.version: this API is OURS, and workers are 0.0.9
            warn workers.ytdlp: workers have different versions of yt-dlp: 2026.07.04, 2026.08.19
            fail workers.sandbox: strangers are served without a sandbox by open
        "#]]
        .assert_eq(&told(&workers, Mode::Public));
        expect_test::expect![[r#"
            warn workers.live: no live worker serves the region eu: what is ordered waits
            warn workers.live: no live worker serves the region us: what is ordered waits
            warn workers.live: no live worker serves the region asia: what is ordered waits
        "#]]
        .assert_eq(&told(&[], Mode::Public));
    }
}
