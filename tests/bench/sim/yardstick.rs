//! What the machine takes for the same call from one minute to the next: a heartbeat, ten times a second, of a Redis that has
//! nothing else to do.
//!
//! A call that comes alone costs what waking up and cold caches cost, and that moves by a factor of two within an evening on a
//! machine whose host has other guests. What Redis spent in a case is therefore held against what it would have been on paper
//! at the price of that case's own minutes. What Redis takes by itself is in both, and taken to move as the heartbeat does.

use std::time::Duration;

use anyhow::Result;
use haul_tests::redis::Redis;
use haul_tests::sim::Call;
use redis::aio::MultiplexedConnection;
use tokio::time::interval;

use super::calibrate::spent;
use super::desk::Desk;

/// Between two heartbeats; not in step with calls that are measured ten times a second.
const PACE: Duration = Duration::from_millis(97);

/// The Redis, and who beats.
pub struct Yardstick {
    desk: Desk,
    info: MultiplexedConnection,
    _redis: Redis,
}

impl Yardstick {
    /// Starts it.
    ///
    /// # Errors
    /// When Redis does not come up.
    pub async fn open() -> Result<Self> {
        let redis = Redis::start().await?;
        Ok(Self { desk: Desk::open(&redis).await?, info: redis.connection().await?, _redis: redis })
    }

    /// Does something, and says how many microseconds a heartbeat took meanwhile, with what Redis takes by itself.
    ///
    /// # Errors
    /// As that does, or when a heartbeat fails.
    pub async fn beside<T>(&mut self, something: impl Future<Output = Result<T>>) -> Result<(T, f64)> {
        let before = spent(&mut self.info).await?;
        let (mut pace, mut beats) = (interval(PACE), 0);
        tokio::pin!(something);
        let done = loop {
            tokio::select! {
                done = &mut something => break done?,
                _ = pace.tick() => {
                    self.desk.make(Call::Beat, beats).await?;
                    beats += 1;
                }
            }
        };
        let all = spent(&mut self.info).await? + before * -1.0;
        Ok((done, all.cpu_us / beats as f64))
    }
}
