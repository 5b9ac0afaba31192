//! Regions that nobody serves: their jobs go to another one.
//!
//! A worker says now and then that it lives, and where ([`JobStore::announce`]); what it said holds for a while
//! ([`WORKER_SILENCE`](super::WORKER_SILENCE)), or until it signs off. When that is over for every worker of a region,
//! jobs wait there for as long as the deployment has patience (`HAUL_REGION_FALLBACK`), each of them, and then go to the
//! first region of the deployment that has live workers. Without any such region nothing moves.
//!
//! Not here: where a job goes at first (the API).

use std::time::Duration;

use super::keys::{self, Lane};
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, ms};
use crate::ids::{Region, Shard};

/// Between two looks of a process for jobs that have waited too long; a shorter patience has shorter pauses.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Jobs that one call of the script moves.
const BATCH: u64 = 100;

/// Lanes of a region.
const LANES: usize = 4;

/// Calls of the script in one look at one shard.
const MOST_CALLS: u32 = 50;

impl JobStore {
    /// Moves jobs of regions that nobody serves, every few seconds, until it is dropped.
    pub async fn relocate_always(self, deployment: Vec<Region>, patience: Duration) {
        let every = patience.clamp(Duration::from_millis(500), LOOK_EVERY);
        loop {
            // Blurred, so that fifty processes started together do not look at the same moment.
            tokio::time::sleep(every.mul_f64(rand::random_range(0.8..1.2))).await;
            if let Err(error) = self.relocate(&deployment, patience).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "jobs of regions without workers could not be looked for");
            }
        }
    }

    /// Moves the jobs that have waited for `patience` in a region without a live worker, to the first of the deployment
    /// that has one; answers how many. Any process may call it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn relocate(&self, deployment: &[Region], patience: Duration) -> Result<u64, StoreError> {
        let mut moved = 0;
        for shard in self.0.settings.shards.all() {
            let regions = self.regions(shard, deployment).await?;
            if regions.len() < 2 {
                continue;
            }
            for _ in 0..MOST_CALLS {
                let mut call = invocation(shard, &scripts::RELOCATE);
                call.arg(ms(patience)).arg(BATCH).arg(deployment.len()).arg(LANES);
                for region in &regions {
                    call.arg(region.as_str()).arg(Lane::all_of(region).map(|lane| lane.to_string()).as_slice());
                }
                let gone: u64 = self.run(&call).await?;
                moved += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        if moved > 0 {
            tracing::warn!(moved, "{moved} jobs had waited for too long in regions without workers and went to others");
        }
        Ok(moved)
    }

    /// The regions of the deployment, then those that jobs were sent to before they were taken out of it.
    async fn regions(&self, shard: Shard, deployment: &[Region]) -> Result<Vec<Region>, StoreError> {
        let (lanes,): (Vec<String>,) =
            self.0.server.query("lanes", redis::pipe().smembers(keys::key(shard, "lanes"))).await?;
        let mut regions = deployment.to_vec();
        for lane in lanes.iter().filter_map(|lane| lane.parse::<Lane>().ok()) {
            if !regions.contains(&lane.region) {
                regions.push(lane.region);
            }
        }
        Ok(regions)
    }
}
