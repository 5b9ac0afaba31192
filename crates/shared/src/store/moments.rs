//! The moments of a download: the statuses and stages that it entered, one after the other, for who follows it.
//!
//! A record holds the newest of them in some hundred bytes, each with as much as its place takes: who was away is shown the
//! job as it was then. How far the job is between two moments is counted and not kept. Not here: how they are told
//! (`api::events`), and when one is (`lua/prelude.lua`).

use jiff::Timestamp;

use super::look::Seen;
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, record};
use crate::ids::{Ticket, WorkerId};
use crate::job::{Failure, FailureKind, Job, JobState, Progress, StateKind};

/// Where the holder of a ticket is in what there is to tell of its job. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// How often the job was tried again before.
    pub turn: u32,
    /// The moment, from 1; 0 is before the first.
    pub moment: u32,
    /// How often it was told since then how far the job is.
    pub changes: u32,
}

/// The newest place, and what is known of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The newest.
    pub place: Place,
    /// The first moment that is this ticket's: those before it were the run's before it joined.
    pub first: u32,
    /// The newest that the record has.
    logged: u32,
}

/// A status or stage that a download entered.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// From 1, in the order of time.
    pub number: u32,
    state: StateKind,
    progress: Option<Progress>,
    attempt: u32,
    worker: Option<WorkerId>,
    due: Option<Timestamp>,
    failure: Option<FailureKind>,
}

/// What there was to tell of a job up to some time.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The job at that time.
    pub job: Job,
    /// The newest place then.
    pub place: Place,
    /// The newest moments in order, but an end, which is shown by the job itself.
    pub moments: Vec<Moment>,
}

impl Standing {
    /// Reads what a view says of it, of a job in state `recorded`.
    pub(super) fn of(
        turn: u32,
        since: u32,
        newest: Option<&str>,
        changes: u32,
        recorded: StateKind,
    ) -> Result<Self, StoreError> {
        let unreadable = || StoreError::Unreadable("a moment");
        let mut words = newest.unwrap_or("0 ").split(' ');
        let logged: u32 = words.next().and_then(|number| number.parse().ok()).ok_or_else(unreadable)?;
        // a program of an older version ends jobs and logs nothing: that end is told all the same
        let is_logged = !recorded.is_end() || words.next() == Some(recorded.word());
        let (moment, changes) = if is_logged { (logged, changes) } else { (logged.saturating_add(1), 0) };
        Ok(Self { place: Place { turn, moment, changes }, first: since.max(1), logged })
    }
}

impl Moment {
    /// The job as it was in that moment. What a moment does not change is as it is now; so is the medium, which may have been
    /// found out later.
    #[must_use]
    pub fn of(&self, job: &Job) -> Job {
        let failure = |kind| match &job.state {
            JobState::Failed { failure, .. } | JobState::Waiting { last: Some(failure), .. }
                if failure.kind == kind =>
            {
                failure.clone()
            }
            _ => Failure::new(kind, ""),
        };
        let state = match self.state {
            StateKind::Running => {
                JobState::Running { worker: self.worker.clone().unwrap_or_else(|| WorkerId::stored("")) }
            }
            _ => match self.due {
                Some(due) => JobState::Waiting { due, last: self.failure.map(failure) },
                None => JobState::Queued { position: 0 },
            },
        };
        let started = job.started.filter(|_| self.attempt > 0 || self.progress.is_some());
        Job { state, attempt: self.attempt, progress: self.progress, started, ..job.clone() }
    }
}

impl JobStore {
    /// The job behind a ticket, and what there was to tell of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn moments(&self, ticket: Ticket) -> Result<Option<Past>, StoreError> {
        let mut call = invocation(ticket.shard(self.0.settings.shards), &scripts::MOMENTS);
        let answer: Option<(Vec<u8>, Vec<u8>, Vec<u8>)> = self.run_surely(call.arg(ticket.to_string())).await?;
        let Some((now, view, log)) = answer else { return Ok(None) };
        let viewed = Seen::new(ticket, record::now(&now)?, view.into()).read()?;
        let moments = read(&log, viewed.standing.logged)?;
        Ok(Some(Past { job: viewed.job, place: viewed.standing.place, moments }))
    }
}

/// Reads a log that ends with the moment of this number. What only its stage tells from the one before has all else from it.
fn read(log: &[u8], newest: u32) -> Result<Vec<Moment>, StoreError> {
    let unreadable = || StoreError::Unreadable("a moment");
    let (mut rest, mut moments) = (log, Vec::<Moment>::new());
    while let Some(first) = rest.first() {
        let moment = if (0x90..=0x9f).contains(first) {
            let fields = record::list(&mut rest).ok_or_else(unreadable)?;
            let field = |at: usize| fields.get(at).unwrap_or(&None);
            let code = record::text(field(5))?;
            Moment {
                number: 0,
                state: record::text(field(0))?.and_then(StateKind::of_word).ok_or_else(unreadable)?,
                progress: record::text(field(1))?.and_then(Progress::of_short),
                attempt: record::small(field(2))?,
                worker: record::text(field(3))?.map(WorkerId::stored),
                due: record::time(field(4))?,
                failure: code.and_then(FailureKind::of_code),
            }
        } else {
            let short = record::item(&mut rest).ok_or_else(unreadable)?;
            let progress = record::text(&short)?.and_then(Progress::of_short);
            match moments.last() {
                Some(before) => Moment { progress, due: None, failure: None, ..before.clone() },
                // what it goes on from is forgotten: the log is bounded
                None => Moment {
                    number: 0,
                    state: StateKind::Running,
                    progress,
                    attempt: 1,
                    worker: None,
                    due: None,
                    failure: None,
                },
            }
        };
        moments.push(moment);
    }
    let count = u32::try_from(moments.len()).unwrap_or(u32::MAX);
    for (number, moment) in (newest.saturating_sub(count) + 1..).zip(&mut moments) {
        moment.number = number;
    }
    moments.retain(|moment| !moment.state.is_end());
    Ok(moments)
}
