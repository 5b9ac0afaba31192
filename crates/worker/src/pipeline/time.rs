//! The time of one attempt. While it waits for other jobs of this worker it stands still: they have clocks of their own.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What is left of the time of an attempt.
pub(super) struct Time {
    end: Mutex<Instant>,
}

impl Time {
    /// So much, from now on.
    pub(super) fn of(all: Duration) -> Self {
        Self { end: Mutex::new(Instant::now() + all) }
    }

    /// For whatever comes next.
    pub(super) fn left(&self) -> Duration {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).saturating_duration_since(Instant::now())
    }

    /// Waits for others. Nothing else of the attempt is to go on meanwhile.
    pub(super) async fn standing<T>(&self, others: impl Future<Output = T>) -> T {
        let since = Instant::now();
        let came = others.await;
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) += since.elapsed();
        came
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_job_waits_for_others_is_not_taken_from_its_time() {
        // Fault: whoever stood behind long jobs in the lane of what is coded anew had no time left when its turn came.
        let (time, second) = (Time::of(Duration::from_secs(10)), Duration::from_secs(1));
        tokio::time::sleep(4 * second).await;
        time.standing(tokio::time::sleep(3600 * second)).await;
        assert_eq!(time.left(), 6 * second);
        tokio::time::sleep(7 * second).await;
        assert_eq!(time.left(), Duration::ZERO);
    }
}
