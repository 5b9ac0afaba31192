//! How many connections a relay has: few at first, more while that brings more, fewer when the origin objects.

use std::time::Duration;

use tokio::time::Instant;

/// Connections to begin with.
const FIRST: usize = 2;
/// How often throughput is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Twice as many connections have to bring at least so much more.
const WORTH_IT: f64 = 1.15;

/// The number of connections.
#[derive(Debug)]
pub(super) struct Width {
    lanes: usize,
    most: usize,
    /// Bytes per second with half of the connections.
    with_half: f64,
    stage: Stage,
    looked: Instant,
    seen_bytes: u64,
    shrunk: Option<Instant>,
    quiet_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The number has just changed: what is under way says nothing yet.
    Settling,
    Measuring,
    /// More was tried, and brought nothing.
    Found,
}

impl Width {
    pub(super) fn new(most: usize, now: Instant) -> Self {
        let most = most.max(1);
        let (with_half, stage) = (0.0, Stage::Settling);
        let lanes = FIRST.min(most);
        Self { lanes, most, with_half, stage, looked: now, seen_bytes: 0, shrunk: None, quiet_until: None }
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Until when nothing new may be asked for.
    pub(super) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.quiet_until.filter(|until| *until > now)
    }

    /// Looks at what has arrived since the last look. `full`: all connections are in use; if they are not, it is not
    /// the origin that is slow. Nothing at all says nothing: the answers are still on their way.
    pub(super) fn look(&mut self, arrived_bytes: u64, full: bool, now: Instant) {
        let span = now.duration_since(self.looked);
        let bytes = arrived_bytes.saturating_sub(self.seen_bytes);
        (self.looked, self.seen_bytes) = (now, arrived_bytes);
        if !full || bytes == 0 || span.is_zero() {
            return;
        }
        match self.stage {
            Stage::Found => {}
            Stage::Settling => self.stage = Stage::Measuring,
            Stage::Measuring => self.decide(bytes as f64 / span.as_secs_f64()),
        }
    }

    fn decide(&mut self, per_second: f64) {
        if per_second < self.with_half * WORTH_IT {
            self.lanes = (self.lanes / 2).max(1);
            self.stage = Stage::Found;
        } else if self.lanes >= self.most {
            self.stage = Stage::Found;
        } else {
            self.with_half = per_second;
            self.lanes = (self.lanes * 2).min(self.most);
            self.stage = Stage::Settling;
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
        (self.most, self.stage, self.shrunk) = (self.lanes, Stage::Found, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An origin that gives each connection 5 MB/s, and all of them together so much.
    fn found(most: usize, link: u64) -> usize {
        let mut now = Instant::now();
        let (mut width, mut arrived) = (Width::new(most, now), 0);
        for _ in 0..40 {
            now += LOOK_EVERY;
            arrived += (5_000_000 * width.lanes() as u64).min(link) / 4;
            width.look(arrived, true, now);
        }
        width.lanes()
    }

    #[test]
    fn connections_grow_while_throughput_does() {
        assert_eq!(found(16, u64::MAX), 16);
        assert_eq!(found(12, u64::MAX), 12);
        assert_eq!(found(16, 20_000_000), 4);
        assert_eq!(found(16, 1_000_000), 2);
        assert_eq!(found(16, 0), 2);
        assert_eq!(found(1, u64::MAX), 1);
    }

    #[test]
    fn an_objection_halves_them_for_good_and_is_heard_once() {
        let start = Instant::now();
        let mut width = Width::new(16, start);
        width.lanes = 16;
        let now = start + Duration::from_secs(1);
        for _ in 0..8 {
            width.refused(start, Duration::from_secs(3), now);
        }
        assert_eq!(width.lanes(), 8);
        assert_eq!(width.quiet_until(now), Some(now + Duration::from_secs(3)));
        assert_eq!(width.quiet_until(now + Duration::from_secs(3)), None);
        width.look(u64::MAX, true, now + Duration::from_secs(9));
        assert_eq!(width.lanes(), 8);
        width.refused(now + Duration::from_secs(4), Duration::ZERO, now + Duration::from_secs(5));
        assert_eq!(width.lanes(), 4);
    }
}
