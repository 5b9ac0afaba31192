//! Looks at finished results before orders are given them: how many, and when none (`docs/decisions/0054`).
//!
//! An order waits for its look, and a playlist for a hundred of them. So after one that was slow, or not answered, nobody
//! looks for a while, and then one alone until the store is quick again. Who may not look takes the result for there. A look
//! that nobody waits for any more keeps its place until it ends: what hangs in a store does not become more.
//!
//! Not here: what is asked of the store, and what its answer means (`results`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haul_shared::trace;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{Last, TOLD_EVERY};

/// At once.
const AT_ONCE: u32 = 16;
/// An order waits no longer for one.
const WITHIN: Duration = Duration::from_secs(2);
/// A store that takes longer is slow: a hundred of these, one after another, are as long as a client waits for a batch.
const SOON: Duration = Duration::from_millis(250);
/// How long nobody looks.
const SUSPENDED: Duration = Duration::from_secs(10);

/// The store did not say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswered;

/// Those of one process.
pub(super) struct Looks {
    places: Arc<Semaphore>,
    /// When the store was last slow, unless one who looked alone has found it quick since.
    slow: Mutex<Option<Instant>>,
    told: Last,
}

impl Default for Looks {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE as usize));
        Self { places, slow: Mutex::default(), told: Last::default() }
    }
}

impl Looks {
    /// Whether something is there, as far as `look` can be waited for, or is made at all.
    pub(super) async fn look(
        self: &Arc<Self>,
        look: impl Future<Output = Result<bool, Unanswered>> + Send + 'static,
    ) -> bool {
        let Some(place) = self.place() else { return true };
        let (looks, began) = (self.clone(), Instant::now());
        let look = tokio::spawn(trace::along(async move {
            let answer = look.await;
            looks.ended(&place, answer.is_ok() && began.elapsed() < SOON);
            answer
        }));
        match timeout(WITHIN, look).await {
            Ok(Ok(answer)) => answer.unwrap_or(true),
            // it has broken
            Ok(Err(_)) => true,
            Err(_) => {
                self.suspend();
                true
            }
        }
    }

    /// One to look from; after the store was slow all of them, so that nobody else looks.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let slow = *self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        let places = match slow {
            None => 1,
            Some(last) if last.elapsed() < SUSPENDED => return None,
            Some(_) => AT_ONCE,
        };
        self.places.clone().try_acquire_many_owned(places).ok()
    }

    fn ended(&self, place: &OwnedSemaphorePermit, soon: bool) {
        if !soon {
            self.suspend();
        } else if place.num_permits() == AT_ONCE as usize {
            *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn suspend(&self) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if self.told.is_news(TOLD_EVERY) {
            tracing::warn!(
                "the store of results is slow, or does not answer: finished results are handed out for {} s without a \
                 look whether they are there",
                SUSPENDED.as_secs()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, pending, ready};

    use futures::future::join_all;
    use tokio::sync::oneshot;
    use tokio::time::{advance, sleep};

    use super::*;

    type Answer = Result<bool, Unanswered>;

    /// Of a result that is lost: who looks finds that out.
    const LOST: fn() -> Ready<Answer> = || ready(Ok(false));

    async fn looked(looks: &Arc<Looks>) -> bool {
        !looks.look(LOST()).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_slow_or_silent_or_away_is_not_looked_at_for_a_while_by_anybody() {
        async fn slow() -> Answer {
            sleep(SOON).await;
            Ok(false)
        }
        async fn late() -> Answer {
            sleep(2 * WITHIN).await;
            Ok(false)
        }
        for (what, seen) in [("slow", false), ("late", true), ("silent", true), ("away", true)] {
            let looks = Arc::new(Looks::default());
            assert!(looked(&looks).await && looked(&looks).await, "{what}");
            let is_there = match what {
                "slow" => looks.look(slow()).await,
                "late" => looks.look(late()).await,
                "silent" => looks.look(pending()).await,
                _ => looks.look(ready(Err(Unanswered))).await,
            };
            assert_eq!(is_there, seen, "{what}");
            assert!(!looked(&looks).await, "{what}");
            advance(SUSPENDED - Duration::from_millis(1)).await;
            assert!(!looked(&looks).await, "{what}");
            sleep(2 * WITHIN + SUSPENDED).await;
            // what never ends keeps its place, and whoever would look alone out
            assert_eq!(looked(&looks).await, what != "silent", "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_store_one_looks_alone_until_it_is_quick_again() {
        let looks = Arc::new(Looks::default());
        looks.look(ready(Err(Unanswered))).await;
        sleep(SUSPENDED).await;
        let (answer, answered) = oneshot::channel();
        let alone = tokio::spawn({
            let looks = looks.clone();
            async move { looks.look(async move { answered.await.map_err(|_| Unanswered) }).await }
        });
        tokio::task::yield_now().await;
        assert!(!looked(&looks).await, "somebody looks");
        answer.send(false).unwrap();
        assert!(!alone.await.unwrap());
        assert!(join_all((0..AT_ONCE).map(|_| looked(&looks))).await.into_iter().all(|looked| looked));
    }

    /// Fault: a hundred orders at once waited for a silent store, each with a connection of its own.
    #[tokio::test(start_paused = true)]
    async fn of_many_at_once_some_look_and_a_playlist_of_a_hundred_waits_for_one() {
        let looks = Arc::new(Looks::default());
        let began = Instant::now();
        let (mut waiting, mut unseen) = (0, 0);
        for _ in 0..100 {
            let before = Instant::now();
            // in their order, as a playlist's
            assert!(looks.look(pending()).await);
            if before.elapsed() < WITHIN { unseen += 1 } else { waiting += 1 }
        }
        assert_eq!((waiting, unseen, began.elapsed().as_secs()), (1, 99, WITHIN.as_secs()));

        let looks = Arc::new(Looks::default());
        let began = Instant::now();
        let waited = join_all((0..100).map(|_| async {
            looks.look(pending()).await;
            began.elapsed() >= WITHIN
        }));
        assert_eq!(waited.await.into_iter().filter(|waited| *waited).count(), AT_ONCE as usize);
    }
}
