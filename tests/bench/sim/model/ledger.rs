//! What was asked of Redis, minute by minute, and what went to the bucket.

use std::time::Duration;

use super::costs::{Call, Calls, Cost, Costs};

/// How long a bucket of the ledger is.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Calls by kind and minute. What happens so often per second is added when the rate changes, and at the end.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    buckets: Vec<Calls>,
    rates: Calls,
    since: Duration,
}

impl Ledger {
    /// Notes calls.
    pub fn add(&mut self, now: Duration, call: Call, count: f64) {
        self.bucket(now)[call as usize] += count;
    }

    /// From now on there are so many more calls of this kind per second.
    pub fn change_rate(&mut self, now: Duration, call: Call, more_per_second: f64) {
        self.settle(now);
        self.rates[call as usize] += more_per_second;
    }

    /// Adds what the rates came to until now.
    pub fn settle(&mut self, now: Duration) {
        while self.since < now {
            let end = MINUTE * (self.since.as_secs() / MINUTE.as_secs() + 1) as u32;
            let until = end.min(now);
            let seconds = (until - self.since).as_secs_f64();
            let (since, rates) = (self.since, self.rates);
            for (sum, rate) in self.bucket(since).iter_mut().zip(rates) {
                *sum += rate * seconds;
            }
            self.since = until;
        }
    }

    /// So many APIs hear of every change.
    pub fn hear(&mut self, apis: f64) {
        const CHANGES: [Call; 7] =
            [Call::Submit, Call::Leased, Call::Beaten, Call::Complete, Call::Thumbnail, Call::Fail, Call::Tended];
        for bucket in &mut self.buckets {
            bucket[Call::Heard as usize] = apis * CHANGES.iter().map(|call| bucket[*call as usize]).sum::<f64>();
        }
    }

    /// Calls of a kind in all.
    #[must_use]
    pub fn count(&self, call: Call) -> f64 {
        self.buckets.iter().map(|bucket| bucket[call as usize]).sum()
    }

    /// Calls of all kinds.
    #[must_use]
    pub fn counts(&self) -> Calls {
        Call::ALL.map(|call| self.count(call))
    }

    /// Round trips of all kinds: parts of a call are none.
    #[must_use]
    pub fn calls(&self) -> f64 {
        Call::ALL.into_iter().filter(|call| is_call(*call)).map(|call| self.count(call)).sum()
    }

    /// What all of it cost.
    #[must_use]
    pub fn cost(&self, costs: &Costs) -> Cost {
        self.minutes(costs).into_iter().fold(Cost::default(), |sum, minute| sum + minute)
    }

    /// What each minute cost, of which the last may be shorter.
    #[must_use]
    pub fn minutes(&self, costs: &Costs) -> Vec<Cost> {
        let minute = |(number, calls): (usize, &Calls)| {
            let seconds = self.since.saturating_sub(MINUTE * number as u32).min(MINUTE).as_secs_f64();
            costs.all(calls, seconds)
        };
        self.buckets.iter().enumerate().map(minute).collect()
    }

    fn bucket(&mut self, now: Duration) -> &mut Calls {
        let at = (now.as_secs() / MINUTE.as_secs()) as usize;
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, [0.0; Call::ALL.len()]);
        }
        &mut self.buckets[at]
    }
}

/// Is it a round trip, not a part of one?
fn is_call(call: Call) -> bool {
    !matches!(call, Call::Leased | Call::Beaten | Call::Tended | Call::Audited | Call::Heard)
}
