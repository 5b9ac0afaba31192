//! Webhooks: whoever wants to be told of the end of a job is told, by any worker, also of ends that others made.
//!
//! Decides how many are sent at once, and to whom: no receiver that is slow and no client that has many takes all hands. What
//! this worker has no hand for is left to the others, or to a moment later. A message that could not be sent waits longer each
//! time, up to an hour; when that ends is the store's to say.
//!
//! Not here: what is due and who has it (`shared::store`), how one is sent ([`message`]), and where it may go (`guard`).

mod message;
mod places;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use haul_shared::job::{LONGEST_ASKED, RetryPolicy};
use haul_shared::store::{Outbox, StoreError, Telling, Then, Told};
use haul_shared::webhook::{Attempt, event};
use hyper::StatusCode;
use rand::RngExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use crate::context::Context;
use crate::spans;
use message::{Failed, Message};
use places::{Place, Places};

/// Taken in one go.
const BATCH: usize = 16;

/// Before Redis is asked again that did not answer.
const BREATH: Duration = Duration::from_secs(2);

/// Between two attempts, doubled each time; a fifth less at most, so that what failed together does not come back together.
const PAUSE: RetryPolicy = RetryPolicy { base: Duration::from_secs(1), cap: LONGEST_ASKED };

/// What became of an attempt, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has taken it.
    Delivered,
    /// It is tried again.
    Failed,
    /// It is not tried again.
    GivenUp,
    /// Whether it was taken is not counted: somebody else had it by then, it is told no more, or Redis did not answer.
    Unheard,
}

impl Fate {
    /// All fates.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::GivenUp, Self::Unheard];

    /// The word of the metric's label.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Unheard => "unheard",
        }
    }
}

/// The hands of one worker for this.
#[derive(Debug, Default)]
pub struct Webhooks {
    places: Arc<Places>,
    given_up: CancellationToken,
}

impl Webhooks {
    /// Ends what is under way: the worker stops. It is told by another, perhaps once more.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }
}

/// Tells ends until the worker stops. What is under way then is one of its `tasks`.
pub async fn run(ctx: Arc<Context>, tasks: TaskTracker, stop: CancellationToken) {
    let outboxes = ctx.store.outboxes();
    join_all(outboxes.into_iter().map(|outbox| stop.run_until_cancelled(serve(&ctx, outbox, &tasks)))).await;
}

/// Those of one shard. Given up half-way, what was taken is due again by itself.
async fn serve(ctx: &Arc<Context>, mut outbox: Outbox, tasks: &TaskTracker) {
    let mut put_off: Vec<Telling> = Vec::new();
    loop {
        // a free hand first: what is taken without one would be hidden from others in vain
        let free = ctx.webhooks.places.free().await;
        match outbox.take(free.min(BATCH), &put_off).await {
            Ok(tellings) if tellings.is_empty() => {
                put_off.clear();
                outbox.wait().await;
            }
            Ok(tellings) => put_off = tellings.into_iter().filter_map(|telling| begin(ctx, telling, tasks)).collect(),
            Err(error) => tokio::time::sleep(pause(&error)).await,
        }
    }
}

/// Before Redis is asked again.
fn pause(error: &StoreError) -> Duration {
    tracing::debug!(error = error as &dyn std::error::Error, "no end that is to be told could be asked for");
    BREATH.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// Has one told. It comes back where no hand is free for its receiver, or its client.
fn begin(ctx: &Arc<Context>, telling: Telling, tasks: &TaskTracker) -> Option<Telling> {
    // of a newer version: somebody else can read it, who gets it when it is due again
    let receiver = message::receiver(&telling)?;
    let Some(place) = ctx.webhooks.places.take(&receiver, &telling.job.client) else { return Some(telling) };
    let ctx = Arc::clone(ctx);
    tasks.spawn(async move {
        let given_up = ctx.webhooks.given_up.clone();
        given_up.run_until_cancelled(tell(&ctx, telling, place)).await;
    });
    None
}

async fn tell(ctx: &Context, telling: Telling, place: Place) {
    let span = spans::webhook(&telling);
    tell_within(ctx, telling, place, &span).instrument(span.clone()).await;
}

async fn tell_within(ctx: &Context, telling: Telling, place: Place, span: &Span) {
    let (began, at) = (Instant::now(), telling.now());
    let sent = match Message::of(&telling, at) {
        Ok(message) => message.send(&ctx.guards).await,
        Err(failed) => Err(failed),
    };
    let took = began.elapsed();
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    drop(place);
    let status = match &sent {
        Ok(status) => Some(*status),
        Err(failed) => failed.status,
    };
    let status = status.map(|status| status.as_u16());
    let error = sent.as_ref().err().map(|failed| failed.why.word());
    let attempt = Attempt { at, status, error: error.map(str::to_owned), duration_ms };
    let then = match &sent {
        Ok(_) => Then::Told,
        Err(failed) => after(failed, telling.failures),
    };
    let message = &telling.message;
    let fate = match ctx.store.told(&telling, &attempt, then).await {
        Ok(Told::Delivered) => Fate::Delivered,
        Ok(Told::Pending) => Fate::Failed,
        Ok(Told::GivenUp) => Fate::GivenUp,
        Ok(Told::Stale) => Fate::Unheard,
        Err(fault) => {
            let fault = &fault as &dyn std::error::Error;
            tracing::warn!(
                message,
                error = fault,
                "what became of webhook {message} could not be noted; it is sent again"
            );
            Fate::Unheard
        }
    };
    ctx.metrics.message(fate, took);
    let (event, fate) = (event(telling.end), fate.word());
    spans::told(span, status, error, fate);
    match error {
        None => tracing::info!(message, event, status, duration_ms, fate, "webhook {message} was taken"),
        Some(why) => {
            tracing::info!(message, event, status, why, duration_ms, fate, "webhook {message} was not taken: {why}");
        }
    }
}

/// What follows from an attempt in vain, after so many others.
fn after(failed: &Failed, failures: u32) -> Then {
    // the specification: whoever says so wants no more of them
    if failed.status == Some(StatusCode::GONE) {
        return Then::Never;
    }
    let own = PAUSE.ceiling(failures).mul_f64(rand::rng().random_range(0.8..1.0));
    Then::Again(own.max(failed.asked.unwrap_or_default().min(LONGEST_ASKED)))
}

#[cfg(test)]
mod tests {
    use super::message::NotTold;
    use super::*;

    fn failed(status: Option<u16>, asked_seconds: Option<u64>) -> Failed {
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        Failed { status, why: NotTold::Status, asked: asked_seconds.map(Duration::from_secs) }
    }

    #[test]
    fn the_pause_doubles_up_to_an_hour_and_is_never_shorter_than_the_receiver_asked() {
        let pause = |failures, failed: &Failed| match after(failed, failures) {
            Then::Again(pause) => pause.as_secs_f64(),
            other => panic!("{other:?}"),
        };
        for (failures, longest) in [(0, 1.0), (1, 2.0), (5, 32.0), (11, 2048.0), (12, 3600.0), (u32::MAX, 3600.0)] {
            let pause = pause(failures, &failed(Some(500), None));
            assert!((0.8 * longest..=longest).contains(&pause), "{failures}: {pause}");
        }
        assert!((600.0..601.0).contains(&pause(0, &failed(Some(429), Some(600)))));
        assert!(pause(0, &failed(Some(503), Some(86_400))) <= 3600.0);
    }

    #[test]
    fn who_is_gone_is_not_asked_again() {
        assert_eq!(after(&failed(Some(410), None), 0), Then::Never);
    }
}
