//! Claims: free slots first, then jobs for them, so that a claimed job always has a slot.
//!
//! What an attempt is, is said by whoever starts the loop: [`crate::attempt::run`], or nothing at all where the loop
//! itself is measured (`tests/bench`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use haul_shared::store::{Claims, Kind, Leased, Outlet};
use rand::RngExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::Context;

/// Jobs taken at once at most. They begin one after the other, so that none waits long for those before it.
const BATCH: usize = 32;

/// Before Redis, the store of results, or the free disk, is asked again.
const BREATH: Duration = Duration::from_secs(2);

/// The right to have a job under way; free again when dropped.
pub type Slot = OwnedSemaphorePermit;

/// Takes jobs of one kind while there are slots, until the worker stops. Each is given to `attempt`, with its slot, which is
/// free when that drops it.
pub async fn run<A, F>(
    ctx: Arc<Context>,
    kind: Kind,
    slots: usize,
    tasks: TaskTracker,
    stop: CancellationToken,
    attempt: A,
) where
    A: Fn(Arc<Context>, Leased, Slot) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(slots));
    let outlet = match kind {
        Kind::Download => ctx.config.outlet.clone(),
        // somebody waits for it: it does not stand behind the downloads of its site
        Kind::Metadata => Outlet { running_limit: None, ..ctx.config.outlet.clone() },
    };
    let claims = ctx.store.claims(&ctx.id, kind, &ctx.config.regions).through(&outlet);
    let mut queue = Queue { kind, claims, warned: None };
    while let Some(free) = stop.run_until_cancelled(free(&slots)).await {
        let Some(jobs) = queue.next(&ctx, free.len(), &stop).await else { return };
        for (leased, slot) in jobs.into_iter().zip(free) {
            tasks.spawn(attempt(Arc::clone(&ctx), leased, slot));
        }
    }
}

/// Takes a slot, and what others are free at that moment.
async fn free(slots: &Arc<Semaphore>) -> Vec<Slot> {
    let first = Arc::clone(slots).acquire_owned().await.expect("it is never closed");
    let more = std::iter::from_fn(|| Arc::clone(slots).try_acquire_owned().ok());
    std::iter::once(first).chain(more).take(BATCH).collect()
}

struct Queue {
    kind: Kind,
    claims: Claims,
    warned: Option<Instant>,
}

impl Queue {
    /// The next jobs, at least one; `None` when the worker stops.
    async fn next(&mut self, ctx: &Context, most: usize, stop: &CancellationToken) -> Option<Vec<Leased>> {
        while !stop.is_cancelled() {
            let room = match self.room(ctx, most).await {
                Ok(room) => room,
                Err(why) => {
                    if self.is_news() {
                        tracing::warn!("no download is taken: {why}");
                    }
                    stop.run_until_cancelled(tokio::time::sleep(BREATH)).await?;
                    continue;
                }
            };
            self.claims.done_with(ctx.ytdlp.version());
            // Never given up half-way: a job may have been taken.
            let waited = match self.claims.take(room).await {
                Ok(jobs) if !jobs.is_empty() => return Some(jobs),
                Ok(_) => stop.run_until_cancelled(self.claims.wait()).await?,
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

    /// How many jobs there is room for, at least one and at most `most`; or why there is none.
    async fn room(&self, ctx: &Context, most: usize) -> Result<usize, &'static str> {
        if self.kind == Kind::Metadata {
            return Ok(most); // a look needs neither disk nor store
        }
        if !ctx.storage_watch.takes_results(&ctx.storage).await {
            return Err("the store of results does not answer");
        }
        match ctx.room_for(most).await {
            0 => Err("less than HAUL_MIN_FREE_DISK is free for scratch"),
            room => Ok(room),
        }
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
