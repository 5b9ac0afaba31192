//! Orphans: objects that no record leads to, because Redis lost them, or somebody died at the wrong moment. Which they are,
//! whose turn it is to look for them, and what came of it.
//!
//! Not here: the looking (`worker::orphans`), and results whose time is over (`upkeep`).

use std::time::Duration;

use jiff::Timestamp;

use super::scripts::{self, invocation};
use super::{JobStore, StoreError, keys, ms};
use crate::ids::{Shard, WorkerId};
use crate::storage::Found;

/// A worker that looks, and has not said so for this long, has lost its turn. Longer than the store may take for an answer.
pub const TURN: Duration = Duration::from_secs(180);

/// What came of a look, or of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects, and unfinished ones, under names of ours.
    pub looked_at: u64,
    /// Orphans that were removed.
    pub removed: u64,
    /// How large those were.
    pub removed_bytes: u64,
    /// Orphans that could not be removed, and looks that the store did not answer.
    pub failed: u64,
}

/// How far a look has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progressed {
    /// There is more.
    GoesOn,
    /// All has been looked at.
    Ended,
    /// It is given up, and may be begun anew by anybody.
    GivenUp,
}

/// The looks for orphans since the store began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orphans {
    /// When all was looked at last.
    pub last_sweep: Option<Timestamp>,
    /// What came of all looks together.
    pub swept: Swept,
}

impl JobStore {
    /// Is it this worker's turn to look for orphans? One at a time, and again so long after the last look ended.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin_sweep(&self, worker: &WorkerId, every: Duration) -> Result<bool, StoreError> {
        let mut call = invocation(self.first(), &scripts::SWEEP);
        call.arg(worker.to_string()).arg(ms(every)).arg(ms(TURN));
        Ok(self.run_surely::<String>(&call).await? == "yes")
    }

    /// Says what came of a look since the last word of it, and keeps the turn. `false`: it was lost.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn report_sweep(&self, worker: &WorkerId, swept: Swept, to: Progressed) -> Result<bool, StoreError> {
        let to = match to {
            Progressed::GoesOn => "on",
            Progressed::Ended => "ended",
            Progressed::GivenUp => "given_up",
        };
        let Swept { looked_at, removed, removed_bytes, failed } = swept;
        let mut call = invocation(self.first(), &scripts::SWEPT);
        call.arg(worker.to_string()).arg(ms(TURN)).arg(to);
        call.arg(looked_at).arg(removed).arg(removed_bytes).arg(failed);
        Ok(self.run::<String>(&call).await? == "ok")
    }

    /// Those of them that no shard knows: neither is there a record of the job that they were made by, nor are they noted
    /// for removal. Each shard has to answer, also one that has nothing to say: half of a deployment is not asked to judge.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn unknown(&self, found: Vec<Found>) -> Result<Vec<Found>, StoreError> {
        let (shards, all) = (self.0.settings.shards, &found);
        let unknown = async |shard: Shard| {
            let here: Vec<&Found> = all.iter().filter(|one| one.key.job().shard(shards) == shard).collect();
            let mut call = invocation(shard, &scripts::UNKNOWN);
            for one in &here {
                call.arg(one.key.job().to_string()).arg(one.size_bytes).arg(one.key.as_str());
            }
            let answers: Vec<bool> = self.run_surely(&call).await?;
            if answers.len() != here.len() {
                return Err(StoreError::Unreadable("an answer"));
            }
            Ok(here
                .into_iter()
                .zip(answers)
                .filter(|(_, is_unknown)| *is_unknown)
                .map(|(one, _)| one.clone())
                .collect())
        };
        Ok(self.everywhere::<Vec<Found>, _>(unknown).await?.concat())
    }

    /// The looks for orphans, so far.
    pub(super) async fn orphans(&self) -> Result<Orphans, StoreError> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(keys::key(self.first(), "sweep")).arg(&["last", "looked", "removed", "bytes", "failed"]);
        let told: Vec<Option<u64>> = ask.query_async(&mut self.connection("stats").await?).await?;
        let number = |at: usize| told.get(at).copied().flatten();
        let count = |at: usize| number(at).unwrap_or(0);
        Ok(Orphans {
            last_sweep: number(0).and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()),
            swept: Swept { looked_at: count(1), removed: count(2), removed_bytes: count(3), failed: count(4) },
        })
    }

    /// Where is told what concerns all shards.
    fn first(&self) -> Shard {
        self.0.settings.shards.of(0)
    }
}
