//! No more bytes per second than the operator allows, over all connections of a job.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Whoever has read so many bytes waits until they were due.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    due: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), due: Mutex::new(Instant::now()) }
    }

    pub(crate) async fn keep(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let due = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            // what was not used is not saved up
            *due = (*due).max(Instant::now()) + takes;
            *due
        };
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_all_together() {
        let (began, pace) = (Instant::now(), Pace::new(1000));
        join_all((0..10).map(|_| pace.keep(500))).await;
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}
