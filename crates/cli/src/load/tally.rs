//! What a run came to: how long answers took, and what became of each request. Its size does not grow with the run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::fault::Fault;
use super::mix::Scenario;

/// Times above an hour count as an hour.
const LONGEST: Duration = Duration::from_secs(3600);

/// Each time is known to a thousandth of itself.
const DIGITS: u8 = 3;

/// Different faults of one scenario; a service has few dozen codes, whoever sends others has no more than these.
const MOST_FAULTS: usize = 64;

/// What became of one request.
#[derive(Debug)]
pub struct Outcome {
    /// Every answer that came, by its status; of a journey several.
    pub statuses: Vec<u16>,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Why it did not succeed.
    pub fault: Option<Fault>,
}

/// Times, as percentiles.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

/// The requests of one scenario.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Those that ended, and those that were dropped.
    pub requests: u64,
    /// Bytes of bodies that came.
    pub bytes: u64,
    /// How long they took, also those that failed; those that were dropped never began, and have no time.
    pub times: Times,
    /// How long those took that succeeded.
    pub well: Times,
    /// Those that ended while others still began.
    pub in_run: u64,
    /// Every answer that came, by its status.
    pub statuses: BTreeMap<u16, u64>,
    /// Those that did not succeed.
    pub faults: BTreeMap<Fault, u64>,
}

/// Percentiles, each in milliseconds; `None` where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// Nine of ten were no slower.
    pub p90: Option<f64>,
    /// 19 of 20.
    pub p95: Option<f64>,
    /// 99 of 100.
    pub p99: Option<f64>,
    /// 999 of 1,000.
    #[serde(rename = "p99.9")]
    pub p999: Option<f64>,
    /// The slowest.
    pub max: Option<f64>,
}

/// All that is counted while a run goes on.
#[derive(Debug)]
pub struct Tallies {
    scenarios: [Tally; Scenario::ALL.len()],
    /// Since it was last asked for.
    lately: Tally,
}

impl Default for Times {
    fn default() -> Self {
        let empty = Histogram::new_with_bounds(1, LONGEST.as_micros() as u64, DIGITS);
        Self(empty.expect("bounds and digits are within those of a histogram"))
    }
}

impl Times {
    /// Counts one.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// The time that so many per cent are not above, in milliseconds.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| millis(self.0.value_at_percentile(percent)))
    }

    /// All that are told.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.percentile(50.0),
            p90: self.percentile(90.0),
            p95: self.percentile(95.0),
            p99: self.percentile(99.0),
            p999: self.percentile(99.9),
            max: (!self.0.is_empty()).then(|| millis(self.0.max())),
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Was none counted?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts those that were counted elsewhere, too.
    pub fn join(&mut self, others: &Self) {
        // cut off at the same bounds, none of them is outside
        self.0 += &others.0;
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl Tally {
    /// Counts one that took so long; `None`: it never began.
    pub fn add(&mut self, took: Option<Duration>, outcome: &Outcome) {
        self.requests += 1;
        self.bytes += outcome.bytes;
        if let Some(took) = took {
            self.times.add(took);
            if outcome.fault.is_none() {
                self.well.add(took);
            }
        }
        for status in &outcome.statuses {
            *self.statuses.entry(*status).or_default() += 1;
        }
        if let Some(fault) = &outcome.fault {
            let has_room = self.faults.contains_key(fault) || self.faults.len() < MOST_FAULTS;
            let fault = if has_room { fault.clone() } else { fault.clone().without_code() };
            *self.faults.entry(fault).or_default() += 1;
        }
    }

    /// How many did not succeed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Which part of them did not succeed, 0 to 1.
    #[must_use]
    pub fn failed_share(&self) -> f64 {
        self.failed() as f64 / self.requests.max(1) as f64
    }

    /// The time within which so many per cent of all requests succeeded, in milliseconds; `None`: fewer did.
    #[must_use]
    pub fn within(&self, percent: u64) -> Option<f64> {
        let enough = (self.requests * percent).div_ceil(100).max(1);
        // amid two ranks, so that no rounding takes the next one
        let share = (enough as f64 - 0.5) / self.well.len() as f64;
        if enough <= self.well.len() { self.well.percentile(share * 100.0) } else { None }
    }

    fn join(&mut self, others: &Self) {
        self.requests += others.requests;
        self.bytes += others.bytes;
        self.times.join(&others.times);
        self.well.join(&others.well);
        self.in_run += others.in_run;
        for (status, count) in &others.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (fault, count) in &others.faults {
            *self.faults.entry(fault.clone()).or_default() += count;
        }
    }
}

impl Default for Tallies {
    fn default() -> Self {
        Self { scenarios: std::array::from_fn(|_| Tally::default()), lately: Tally::default() }
    }
}

impl Tallies {
    /// Counts one that took so long; `None`: it never began.
    pub fn add(&mut self, scenario: Scenario, took: Option<Duration>, outcome: &Outcome) {
        self.scenarios[scenario as usize].add(took, outcome);
        self.lately.add(took, outcome);
    }

    /// Nothing begins any more: what ends from here on is in no rate.
    pub fn close(&mut self) {
        self.scenarios.iter_mut().for_each(|tally| tally.in_run = tally.times.len());
    }

    /// What came since this was last asked.
    pub fn lately(&mut self) -> Tally {
        std::mem::take(&mut self.lately)
    }

    /// Those scenarios of which there was a request.
    #[must_use]
    pub fn scenarios(&self) -> Vec<(Scenario, &Tally)> {
        Scenario::ALL.into_iter().zip(&self.scenarios).filter(|(_, tally)| tally.requests > 0).collect()
    }

    /// All scenarios together.
    #[must_use]
    pub fn all(&self) -> Tally {
        let mut all = Tally::default();
        self.scenarios.iter().for_each(|tally| all.join(tally));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(statuses: &[u16], fault: Option<Fault>) -> Outcome {
        Outcome { statuses: statuses.to_vec(), bytes: 10, fault }
    }

    #[test]
    fn percentiles_are_those_of_what_was_counted_to_a_thousandth() {
        let mut times = Times::default();
        assert_eq!(times.percentiles().p50, None);
        (1..=10_000).for_each(|millis| times.add(Duration::from_millis(millis)));
        let told = times.percentiles();
        for (told, exact) in [
            (told.p50, 5000.0),
            (told.p90, 9000.0),
            (told.p95, 9500.0),
            (told.p99, 9900.0),
            (told.p999, 9990.0),
            (told.max, 10_000.0),
        ] {
            let told = told.unwrap();
            assert!((told / exact - 1.0).abs() <= 0.001, "{told} for {exact}");
        }
        times.add(Duration::MAX);
        assert!(times.percentiles().max.unwrap() >= LONGEST.as_millis() as f64);
    }

    #[test]
    fn what_is_counted_by_scenario_adds_up_and_what_never_began_has_no_time() {
        let mut tallies = Tallies::default();
        let second = Some(Duration::from_secs(1));
        tallies.add(Scenario::Journey, second, &outcome(&[202, 200, 200], None));
        tallies.add(Scenario::List, second, &outcome(&[429], Some(Fault::RateLimited)));
        tallies.add(Scenario::List, None, &outcome(&[], Some(Fault::Dropped)));
        assert_eq!(tallies.lately().requests, 3);
        assert_eq!(tallies.lately().requests, 0);
        let all = tallies.all();
        assert_eq!((all.requests, all.failed(), all.bytes, all.times.len()), (3, 2, 30, 2));
        assert_eq!(all.statuses, BTreeMap::from([(200, 2), (202, 1), (429, 1)]));
        assert_eq!(all.faults, BTreeMap::from([(Fault::RateLimited, 1), (Fault::Dropped, 1)]));
        assert!((all.failed_share() - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(tallies.scenarios().iter().map(|(it, _)| it.name()).collect::<Vec<_>>(), ["journey", "list"]);
    }

    #[test]
    fn what_failed_or_never_began_was_not_done_within_any_time() {
        let of = |well: u64, failed, dropped| {
            let mut tally = Tally::default();
            (1..=well).for_each(|it| tally.add(Some(Duration::from_millis(it)), &outcome(&[200], None)));
            let refused = outcome(&[429], Some(Fault::RateLimited));
            (0..failed).for_each(|_| tally.add(Some(Duration::from_micros(1)), &refused));
            (0..dropped).for_each(|_| tally.add(None, &outcome(&[], Some(Fault::Dropped))));
            [95, 99].map(|percent| tally.within(percent).map(f64::round))
        };
        for ((well, failed, dropped), within) in [
            ((100, 0, 0), [Some(95.0), Some(99.0)]),
            ((98, 2, 0), [Some(95.0), None]),
            ((98, 1, 1), [Some(95.0), None]),
            ((950, 50, 0), [Some(950.0), None]),
            ((949, 0, 51), [None, None]),
            ((1, 0, 0), [Some(1.0), Some(1.0)]),
            ((0, 9, 0), [None, None]),
            ((0, 0, 0), [None, None]),
        ] {
            assert_eq!(of(well, failed, dropped), within, "{well} well, {failed} failed, {dropped} dropped");
        }
    }

    #[test]
    fn what_ends_when_nothing_begins_any_more_is_counted_and_in_no_rate() {
        let mut tallies = Tallies::default();
        let mut ends = |took| tallies.add(Scenario::List, took, &outcome(&[200], None));
        ends(Some(Duration::from_secs(1)));
        ends(None);
        tallies.close();
        tallies.add(Scenario::List, Some(Duration::from_secs(9)), &outcome(&[200], None));
        assert_eq!((tallies.all().requests, tallies.all().in_run), (3, 1));
    }

    #[test]
    fn whoever_answers_with_a_million_codes_fills_no_memory() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.add(None, &outcome(&[404], Some(Fault::Refused(format!("code_{number}")))));
        }
        assert!(tally.faults.len() <= MOST_FAULTS + 1);
        assert_eq!((tally.failed(), tally.faults[&Fault::Refused("other".to_owned())]), (1000, 936));
    }
}
