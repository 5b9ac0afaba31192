//! How long a worker insists when the store of jobs does not answer.
//!
//! For minutes: an attempt may be worth hours, and its lease is renewed meanwhile or taken up again. Whoever calls
//! bounds it further where less time is left.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use haul_shared::store::StoreError;

/// Repeats a call of the store until it is answered, for about ten minutes.
///
/// # Errors
/// What was answered, or that nobody did.
pub async fn surely<T, F: Future<Output = Result<T, StoreError>>>(call: impl FnMut() -> F) -> Result<T, StoreError> {
    let pause = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(120)
        .with_jitter();
    call.retry(pause).when(|error| matches!(error, StoreError::Unavailable(_))).await
}
