//! Who looks at what is due (`sentry.lua`): one of those who wait. The others come about once a minute.
//!
//! A worker's loop for metadata waits like the one for downloads, and here it always does, for there are no looks at metadata. So
//! there is always one that a call for a sentry finds; in truth the call goes to whoever has waited longest, which costs as much.

use std::cmp::Reverse;
use std::time::Duration;

use rand::RngExt as _;

use super::{Event, HEARTBEAT, World};
use crate::sim::costs::Call;
use crate::sim::fleet::Worker;

/// The longest wait for a token, and the shares of it after which those come who have nothing to look for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const SPREAD: std::ops::Range<f64> = 0.9..1.0;

/// By how much a sentry may be late before another one stands in.
const GRACE: Duration = Duration::from_secs(1);

/// Who has promised to look at a due moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sentry {
    who: Loop,
    at: Duration,
}

/// A loop that asks for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loop {
    /// That of a worker, by number.
    Downloads(usize),
    /// That of some worker; each that was called has a number.
    Metadata(u32),
}

impl World<'_> {
    /// How long a loop waits that has found nothing.
    pub(super) fn quiet(&mut self, who: Loop) -> Duration {
        let now = self.agenda.now();
        let other = self.on_watch().filter(|sentry| sentry.who != who);
        match self.next_due() {
            Some(due) if other.is_none_or(|sentry| sentry.at > due) => {
                self.sentry = Some(Sentry { who, at: due });
                due.saturating_sub(now).clamp(Duration::from_millis(10), LONGEST_WAIT)
            }
            _ => LONGEST_WAIT.mul_f64(self.random.random_range(SPREAD)),
        }
    }

    /// Whoever may not be there at the next due moment is no sentry any more; where there is none, one is called.
    pub(super) fn relieve(&mut self, who: Loop) {
        if self.on_watch().is_none_or(|sentry| sentry.who == who) && self.next_due().is_some() {
            self.call_sentry();
        }
    }

    /// What an API sees to when it tends.
    pub(super) fn call_sentry_if_none(&mut self) {
        if self.on_watch().is_none() && self.next_due().is_some() {
            self.call_sentry();
        }
    }

    /// A loop for metadata that had promised to look does so.
    pub(super) fn look_when_due(&mut self, number: u32) {
        for call in [Call::Lease, Call::Pop] {
            self.outcome.ledger.add(self.agenda.now(), call, 1.0);
        }
        if self.is_due() {
            self.tend();
        }
        let who = Loop::Metadata(number);
        let quiet = self.quiet(who);
        if self.on_watch().is_some_and(|sentry| sentry.who == who) {
            self.agenda.after(quiet, Event::Looks { number });
        }
    }

    /// Whoever lives has a loop for metadata that asks now and then, though there is nothing.
    pub(super) fn ask_for_metadata(&mut self, is_born: bool) {
        let every = LONGEST_WAIT.as_secs_f64() * (SPREAD.start + SPREAD.end) / 2.0;
        let sign = if is_born { 1.0 } else { -1.0 };
        for call in [Call::Lease, Call::Pop] {
            self.outcome.ledger.change_rate(self.agenda.now(), call, sign / every);
        }
    }

    pub(super) fn is_due(&self) -> bool {
        let now = self.agenda.now();
        [&self.delays, &self.leases].into_iter().filter_map(|due| due.peek()).any(|Reverse((at, ..))| *at <= now)
    }

    /// Whose promise counts.
    fn on_watch(&self) -> Option<Sentry> {
        self.sentry.filter(|sentry| self.agenda.now() < sentry.at + GRACE)
    }

    fn call_sentry(&mut self) {
        self.sentry = None;
        if self.workers.iter().any(Worker::is_alive) {
            self.called += 1;
            self.look_when_due(self.called);
        }
    }

    /// When there will be something to look after, should nobody say otherwise.
    fn next_due(&self) -> Option<Duration> {
        let due = [&self.delays, &self.leases].into_iter().filter_map(|due| due.peek()).map(|Reverse((at, ..))| *at);
        // those of the living have been renewed within a second
        let renewed = self.plan.limits.lease - Duration::from_secs_f64(HEARTBEAT / 2.0);
        let lease = (self.at_work > 0).then(|| self.agenda.now() + renewed);
        due.chain(lease).min()
    }
}
