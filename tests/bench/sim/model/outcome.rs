//! What became of it.

use std::time::Duration;

use super::ledger::Ledger;

/// A history, told in figures.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Orders taken in.
    pub accepted: u64,
    /// Orders refused because too many waited.
    pub refused: u64,
    /// Jobs with a result.
    pub completed: u64,
    /// Jobs without.
    pub failed: u64,
    /// Jobs that had not ended when it was over.
    pub unfinished: u64,
    /// Attempts that began.
    pub attempts: u64,
    /// Leases that were lost with their workers.
    pub lost: u64,
    /// Jobs put off for the sake of their site.
    pub put_off: u64,
    /// From an order to its first attempt, in seconds.
    pub waits: Spread,
    /// Seconds that jobs spent in line in all, and how many have left it: retries count again.
    pub in_line: (f64, u64),
    /// Jobs in line on average over time.
    pub mean_in_line: f64,
    /// Slots at work on average over time.
    pub mean_at_work: f64,
    /// From the first order to the last end.
    pub makespan: Duration,
    /// How long was looked at, without the warm-up.
    pub looked_at: Duration,
    /// Attempts begun, by client.
    pub begun_by_client: Vec<u64>,
    /// Seconds that the jobs of each client waited for their first attempts, added up.
    pub waited_by_client: Vec<f64>,
    /// Bytes that came from sites.
    pub fetched_bytes: f64,
    /// Bytes that went into the bucket.
    pub stored_bytes: f64,
    /// Requests of the bucket that write.
    pub puts: f64,
    /// Calls of Redis.
    pub ledger: Ledger,
}

/// Values, sorted when they are first asked for.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    values: Vec<f32>,
}

impl Spread {
    /// One more.
    pub fn add(&mut self, value: f64) {
        self.values.push(value as f32);
    }

    /// No more come.
    pub fn close(&mut self) {
        self.values.sort_unstable_by(f32::total_cmp);
    }

    /// The value below which this part lies; NaN of none.
    #[must_use]
    pub fn at(&self, part: f64) -> f64 {
        let index = (part * self.values.len().saturating_sub(1) as f64).round() as usize;
        self.values.get(index).map_or(f64::NAN, |value| f64::from(*value))
    }

    /// Their mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.values.iter().map(|value| f64::from(*value)).sum::<f64>() / self.values.len() as f64
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut spread = Self::default();
        values.into_iter().for_each(|value| spread.add(value));
        spread.close();
        spread
    }
}

/// Requests that store an object of so many bytes: one up to 16 MiB, then parts between a beginning and an end. What goes up
/// as it comes has parts of 5 MiB, which are held in memory; a file has parts of 8 MiB. Which it is decides no wait, so that no
/// job is drawn to be one or the other: of each this share counts.
pub(super) fn puts(bytes: u64, relayed: f64) -> f64 {
    const MIB: u64 = 1 << 20;
    let parts = |part: u64| (bytes.div_ceil(part * MIB) + 2) as f64;
    if bytes <= 16 * MIB { 1.0 } else { relayed * parts(5) + (1.0 - relayed) * parts(8) }
}
