//! How many connections a relay has: few at first, more while that brings more, fewer when the origin objects.

use std::time::Duration;

use tokio::time::Instant;

/// Connections to begin with.
const FIRST: usize = 4;
/// How often throughput is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Twice as many connections have to bring at least so much more.
const WORTH_IT: f64 = 1.15;
/// A change needs some time before it shows: as long as a connection needs for its first answer, and as long again until
/// TCP has found its speed.
const SETTLING: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// And it is measured for as long, within these bounds.
const MEASURING: (Duration, Duration) = (Duration::from_millis(150), Duration::from_millis(500));
/// What brought nothing is tried again after this: it may have been an accident, and lines change.
const AGAIN_AFTER: Duration = Duration::from_secs(8);

/// The number of connections.
#[derive(Debug)]
pub(super) struct Width {
    lanes: usize,
    most: usize,
    /// From dialling to the first answer, twice.
    reach: Duration,
    /// Bytes per second with half of the connections.
    with_half: f64,
    stage: Stage,
    shrunk: Option<Instant>,
    quiet_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The number has just changed: what is under way says nothing yet.
    Settling { until: Instant },
    /// So many bytes had arrived when it began.
    Measuring { since: Instant, arrived_bytes: u64 },
    /// More would bring nothing, or is not allowed; until something is tried again.
    Found { until: Option<Instant> },
}

impl Width {
    /// `reach`: how long the first connection took from dialling to its first answer.
    pub(super) fn new(most: usize, reach: Duration, now: Instant) -> Self {
        let (most, reach) = (most.max(1), 2 * reach);
        let stage = Stage::Settling { until: now + within(reach, SETTLING) };
        Self { lanes: FIRST.min(most), most, reach, with_half: 0.0, stage, shrunk: None, quiet_until: None }
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Until when nothing new may be asked for.
    pub(super) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.quiet_until.filter(|until| *until > now)
    }

    /// Looks at what has arrived since the beginning. `full`: all connections are in use; if they are not, it is not
    /// the origin that is slow. Nothing at all says nothing: the answers are still on their way.
    pub(super) fn look(&mut self, arrived_bytes: u64, full: bool, now: Instant) {
        let anew = Stage::Measuring { since: now, arrived_bytes };
        match self.stage {
            Stage::Settling { until } if until <= now => self.stage = anew,
            Stage::Found { until: Some(until) } if until <= now => (self.stage, self.with_half) = (anew, 0.0),
            Stage::Settling { .. } | Stage::Found { .. } => {}
            Stage::Measuring { since, arrived_bytes: before } => {
                let (span, bytes) = (now.duration_since(since), arrived_bytes.saturating_sub(before));
                if !full {
                    self.stage = anew;
                } else if bytes > 0 && span >= within(self.reach, MEASURING) {
                    self.decide(bytes as f64 / span.as_secs_f64(), now);
                }
            }
        }
    }

    fn decide(&mut self, per_second: f64, now: Instant) {
        if per_second < self.with_half * WORTH_IT {
            self.lanes = (self.lanes / 2).max(1);
            self.stage = Stage::Found { until: Some(now + AGAIN_AFTER) };
        } else if self.lanes >= self.most {
            self.stage = Stage::Found { until: None };
        } else {
            self.with_half = per_second;
            self.lanes = (self.lanes * 2).min(self.most);
            self.stage = Stage::Settling { until: now + within(self.reach, SETTLING) };
        }
    }

    /// The origin objected to a request of `begun`. What it was already told to have less of counts once.
    pub(super) fn refused(&mut self, begun: Instant, wait: Duration, now: Instant) {
        let until = now + wait;
        self.quiet_until = Some(self.quiet_until.map_or(until, |already| already.max(until)));
        if self.shrunk.is_some_and(|shrunk| begun <= shrunk) {
            return;
        }
        self.lanes = (self.lanes / 2).max(1);
        (self.most, self.stage, self.shrunk) = (self.lanes, Stage::Found { until: None }, Some(now));
    }
}

fn within(time: Duration, (least, most): (Duration, Duration)) -> Duration {
    time.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Duration = Duration::from_millis(100);

    /// Looks for so many seconds at an origin that gives each connection 5 MB/s, and all of them together so much.
    fn look_on(width: &mut Width, (from, seconds): (Instant, u64), link: u64) -> Vec<usize> {
        let (mut now, mut arrived, mut seen) = (from, 0, vec![width.lanes()]);
        while now < from + Duration::from_secs(seconds) {
            now += LOOK_EVERY;
            arrived += (5_000_000 * width.lanes() as u64).min(link) / 20;
            width.look(arrived, true, now);
            seen.push(width.lanes());
        }
        seen.dedup();
        seen
    }

    fn found(most: usize, link: u64) -> Vec<usize> {
        let start = Instant::now();
        look_on(&mut Width::new(most, REACH, start), (start, 5), link)
    }

    #[test]
    fn connections_grow_while_throughput_does() {
        assert_eq!(found(16, u64::MAX), [4, 8, 16]);
        assert_eq!(found(12, u64::MAX), [4, 8, 12]);
        assert_eq!(found(16, 40_000_000), [4, 8, 16, 8]);
        assert_eq!(found(16, 1_000_000), [4, 8, 4]);
        assert_eq!(found(16, 0), [4]);
        assert_eq!(found(1, u64::MAX), [1]);
    }

    #[test]
    fn what_brought_nothing_is_tried_again_later() {
        let start = Instant::now();
        let mut width = Width::new(16, REACH, start);
        assert_eq!(look_on(&mut width, (start, 5), 1_000_000), [4, 8, 4]);
        assert_eq!(look_on(&mut width, (start + Duration::from_secs(5), 8), u64::MAX), [4, 8, 16]);
    }

    #[test]
    fn connections_that_are_not_used_prove_nothing() {
        let start = Instant::now();
        let mut width = Width::new(16, REACH, start);
        for look in 1..100 {
            width.look(look * 1_000_000, false, start + LOOK_EVERY * u32::try_from(look).unwrap());
        }
        assert_eq!(width.lanes(), 4);
    }

    #[test]
    fn an_objection_halves_them_for_good_and_is_heard_once() {
        let start = Instant::now();
        let mut width = Width::new(16, REACH, start);
        width.lanes = 16;
        let now = start + Duration::from_secs(1);
        for _ in 0..8 {
            width.refused(start, Duration::from_secs(3), now);
        }
        assert_eq!(width.lanes(), 8);
        assert_eq!(width.quiet_until(now), Some(now + Duration::from_secs(3)));
        assert_eq!(width.quiet_until(now + Duration::from_secs(3)), None);
        assert_eq!(look_on(&mut width, (now + Duration::from_secs(9), 20), u64::MAX), [8]);
        width.refused(now + Duration::from_secs(4), Duration::ZERO, now + Duration::from_secs(5));
        assert_eq!(width.lanes(), 4);
    }
}
