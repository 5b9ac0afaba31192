//! How long to go on with a server that is away, busy, or says that one shall come back.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use crate::error::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is left of it. It is for troubles in a row: whenever something succeeds it is whole again.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    since: Option<Instant>,
    pauses: ExponentialBackoff,
}

impl Patience {
    /// So much of it; none: each trouble is the last.
    #[must_use]
    pub fn of(limit: Duration) -> Self {
        // not all who lost the same server come back at once
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE);
        Self { limit, since: None, pauses: pauses.without_max_times().with_jitter().build() }
    }

    /// Something succeeded.
    pub fn renew(&mut self) {
        if self.since.is_some() {
            *self = Self::of(self.limit);
        }
    }

    /// Asks, again and again where that makes sense, until there is an answer.
    ///
    /// # Errors
    /// As [`Patience::outlast`].
    pub async fn insist<T>(&mut self, mut ask: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
        loop {
            match ask().await {
                Ok(answer) => {
                    self.renew();
                    return Ok(answer);
                }
                Err(error) => self.outlast(error).await?,
            }
        }
    }

    /// Waits until another try makes sense: longer each time, and never shorter than the server asked for.
    ///
    /// # Errors
    /// The trouble itself, when it will not pass, or not soon enough.
    pub async fn outlast(&mut self, error: Error) -> Result<(), Error> {
        let Some(asked) = error.passes() else { return Err(error) };
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE).max(asked);
        // what a server asks for may be any number
        if since.elapsed().saturating_add(pause) > self.limit {
            return Err(error);
        }
        sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    fn busy(retry_after: Option<u64>) -> Error {
        let (code, detail) = ("queue_full".to_owned(), String::new());
        Error::Refused(Box::new(Problem { status: 503, code, detail, retry_after, errors: vec![], request_id: None }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_is_outlasted_by_growing_pauses_up_to_the_limit() {
        let (mut patience, began) = (Patience::of(Duration::from_secs(60)), Instant::now());
        let mut pauses = Vec::new();
        loop {
            let before = Instant::now();
            if patience.outlast(busy(None)).await.is_err() {
                break;
            }
            pauses.push(before.elapsed());
        }
        assert!(pauses.len() >= 5 && pauses[0] >= FIRST_PAUSE && pauses[4] > pauses[0], "{pauses:?}");
        assert!(began.elapsed() <= Duration::from_secs(60) && began.elapsed() > Duration::from_secs(35));
        patience.renew();
        assert!(patience.outlast(busy(None)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_left_alone_for_as_long_as_it_asks_or_given_up_at_once_where_that_is_too_long() {
        let (mut patience, began) = (Patience::of(Duration::from_secs(60)), Instant::now());
        assert!(patience.outlast(busy(Some(40))).await.is_ok());
        assert!(began.elapsed() >= Duration::from_secs(40));
        let before = Instant::now();
        assert!(patience.outlast(busy(Some(40))).await.is_err());
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert!(Patience::of(Duration::ZERO).outlast(busy(None)).await.is_err());
        // a time that can't be added to any other
        let mut patience = Patience::of(Duration::from_secs(60));
        assert!(patience.outlast(busy(Some(1))).await.is_ok());
        assert!(patience.outlast(busy(Some(u64::MAX))).await.is_err());
    }
}
