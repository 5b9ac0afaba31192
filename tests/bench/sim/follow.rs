//! How often an API looks for somebody who follows a job: read from what Redis is told while one is followed (`MONITOR`).

use anyhow::Result;
use futures::StreamExt as _;
use haul_tests::sim::Follow;
use redis::aio::Monitor;

use super::measure::Job;

/// What an API asked of Redis.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calls {
    /// Looks at a job: the one script that asks for versions.
    looks: f64,
    /// Questions for versions, without a look.
    peeks: f64,
}

impl Calls {
    /// Counts while something is done.
    ///
    /// # Errors
    /// When that fails.
    pub async fn during<T>(monitor: Monitor, work: impl Future<Output = Result<T>>) -> Result<(Self, T)> {
        let mut calls = Self::default();
        let mut lines = monitor.into_on_message::<String>();
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok((calls, done?)),
                Some(line) = lines.next() => calls.count(&line),
            }
        }
    }

    /// `1339518083.107412 [0 127.0.0.1:60866] "BITFIELD_RO" ...`, or `[0 lua]` when a script asks.
    fn count(&mut self, line: &str) {
        if line.contains("\"BITFIELD_RO\"") {
            let count = if line.contains("[0 lua]") { &mut self.looks } else { &mut self.peeks };
            *count += 1.0;
        }
    }

    /// For each change of these jobs: there is one when it is ordered, begins and ends, and one in each second of its work.
    #[must_use]
    pub fn per_change(self, jobs: &[Job]) -> Follow {
        let changes: f64 = jobs.iter().map(|job| 3.0 + job.took).sum();
        Follow { looks: self.looks / changes, peeks: self.peeks / changes, ..Follow::default() }
    }
}
