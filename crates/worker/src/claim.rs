//! Claims: a free slot first, then a job for it, so that a claimed job always has a slot.
//!
//! What an attempt is, is said by whoever starts the loop: [`crate::attempt::run`], or nothing at all where the loop
//! itself is measured (`tests/bench`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use haul_shared::ids::Region;
use haul_shared::media::Priority;
use haul_shared::store::{Kind, Lane, Leased, WakeCall};
use rand::RngExt as _;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;

/// One turn in this many, jobs of low priority go first.
const LOW_EVERY: u64 = 8;

/// Before Redis, or the free disk, is asked again.
const BREATH: Duration = Duration::from_secs(2);

/// Takes jobs of one kind while there are slots, until the worker stops. Each is given to `attempt`, and holds its slot
/// until that has ended.
pub async fn run<A, F>(
    ctx: Arc<Context>,
    kind: Kind,
    slots: usize,
    tasks: TaskTracker,
    stop: CancellationToken,
    attempt: A,
) where
    A: Fn(Arc<Context>, Leased) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(slots));
    let regions = &ctx.config.regions;
    let mut queue = Queue {
        kind,
        wake: ctx.store.wake_call(&lanes(kind, regions, false)),
        normal_first: lanes(kind, regions, false),
        low_first: lanes(kind, regions, true),
        turn: 0,
        warned: None,
    };
    loop {
        let taken = stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await;
        let Some(Ok(slot)) = taken else { return };
        let Some(leased) = queue.next(&ctx, &stop).await else { return };
        let attempt = attempt(Arc::clone(&ctx), leased);
        tasks.spawn(async move {
            attempt.await;
            drop(slot);
        });
    }
}

/// The lines that a worker serves: its regions in order of preference, and in each the two priorities.
fn lanes(kind: Kind, regions: &[Region], low_first: bool) -> Vec<Lane> {
    let mut priorities = [Priority::Normal, Priority::Low];
    if low_first {
        priorities.reverse();
    }
    let lane = |region: &Region, priority| Lane { kind, region: region.clone(), priority };
    regions.iter().flat_map(|region| priorities.map(|priority| lane(region, priority))).collect()
}

struct Queue {
    kind: Kind,
    wake: WakeCall,
    normal_first: Vec<Lane>,
    low_first: Vec<Lane>,
    turn: u64,
    warned: Option<Instant>,
}

impl Queue {
    /// The next job; `None` when the worker stops.
    async fn next(&mut self, ctx: &Context, stop: &CancellationToken) -> Option<Leased> {
        while !stop.is_cancelled() {
            // a look at metadata needs none
            if self.kind == Kind::Download && !ctx.has_room().await {
                if self.is_news() {
                    tracing::warn!("no download is taken: less than HAUL_MIN_FREE_DISK is free for scratch");
                }
                stop.run_until_cancelled(tokio::time::sleep(BREATH)).await?;
                continue;
            }
            self.turn += 1;
            let lanes = if self.turn.is_multiple_of(LOW_EVERY) { &self.low_first } else { &self.normal_first };
            // Never given up half-way: a job may have been taken.
            let waited = match ctx.store.lease(&ctx.id, lanes).await {
                Ok(Some(leased)) => return Some(leased),
                Ok(None) => stop.run_until_cancelled(self.wake.wait()).await?,
                Err(error) => Err(error),
            };
            if let Err(error) = waited {
                if self.is_news() {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "no job could be asked for; none is taken until redis answers");
                }
                let pause = BREATH.mul_f64(rand::rng().random_range(0.5..1.0));
                stop.run_until_cancelled(tokio::time::sleep(pause)).await?;
            }
        }
        None
    }

    /// What keeps jobs away is told once a minute.
    fn is_news(&mut self) -> bool {
        let is_news = self.warned.is_none_or(|last| last.elapsed() > Duration::from_secs(60));
        if is_news {
            self.warned = Some(Instant::now());
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferred_regions_come_first_whatever_the_priority() {
        let regions = ["eu".parse().unwrap(), "us".parse().unwrap()];
        let order = |low_first| -> Vec<String> {
            lanes(Kind::Download, &regions, low_first).iter().map(Lane::to_string).collect()
        };
        assert_eq!(order(false), ["download:eu:normal", "download:eu:low", "download:us:normal", "download:us:low"]);
        assert_eq!(order(true), ["download:eu:low", "download:eu:normal", "download:us:low", "download:us:normal"]);
    }
}
