//! What a client has: its jobs by state, what is stored for it, and what became its own today.
//!
//! Bytes of a day are counted by the scripts that hand a result over. Jobs and what is stored are counted here, when
//! somebody asks: a result expires without a script. Not here: how often one may ask (`api::usage`).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::listing::{Order, Position, Scope, index};
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, keys, record};
use crate::ids::Shard;
use crate::job::StateKind;

/// Tickets of one call: some tenths of a millisecond, in which Redis does nothing else.
const PAGE: usize = 200;

/// A day of UTC, which has no other length.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its jobs by state, as far as they are listed ([`JobStore::list`]); a state without jobs may be missing.
    pub jobs: BTreeMap<StateKind, u64>,
    /// Size of all its results that can be fetched, each once, in bytes.
    pub stored_bytes: u64,
    /// What became its own today.
    pub delivered: Delivered,
}

/// What became a client's own on a day (UTC, by the clock of Redis): results that its jobs made, or that were there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Size of these results, each once, in bytes.
    pub bytes: u64,
    /// When it was counted.
    pub at: Timestamp,
    /// When the day is over.
    pub resets: Timestamp,
}

impl Delivered {
    /// Until the day is over.
    #[must_use]
    pub fn until_reset(&self) -> Duration {
        Duration::try_from(self.resets.duration_since(self.at)).unwrap_or_default()
    }
}

impl JobStore {
    /// What a client has, or all have together; of all, as of lists, the newest 10,000 jobs of each shard are counted.
    /// Takes a call for each 200 jobs, one after the other, so that Redis serves others in between.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn usage(&self, scope: &Scope) -> Result<Usage, StoreError> {
        let mut usage = Usage { jobs: BTreeMap::new(), stored_bytes: 0, delivered: self.delivered(scope).await? };
        for shard in self.0.settings.shards.all() {
            // two tickets of one client may stand for one result
            let mut known = HashSet::new();
            let mut after = None;
            loop {
                let page = self.page_of(&index(shard, scope), Order::Descending, after, PAGE).await?;
                self.tally(shard, &page, &mut known, &mut usage).await?;
                if page.len() < PAGE {
                    break;
                }
                after = page.last().copied();
            }
        }
        Ok(usage)
    }

    /// What became a client's own today, or anybody's.
    ///
    /// # Errors
    /// As [`JobStore::usage`].
    pub async fn delivered(&self, scope: &Scope) -> Result<Delivered, StoreError> {
        let client = match scope {
            Scope::Client(client) => client.as_str(),
            Scope::Everyone => keys::ANYBODY,
        };
        let ask = async |shard| {
            let mut call = invocation(shard, &scripts::DELIVERED);
            let (now, bytes): (Vec<u8>, u64) = self.run_surely(call.arg(client)).await?;
            Ok((record::now(&now)?, bytes))
        };
        let told = self.everywhere(ask).await?;
        // clocks of a cluster may differ a little
        let at = told.iter().map(|(now, _)| *now).max().ok_or(StoreError::Unreadable("the time"))?;
        let resets = (at.as_millisecond().div_euclid(DAY_MS) + 1) * DAY_MS;
        Ok(Delivered {
            bytes: told.iter().map(|(_, bytes)| bytes).sum(),
            at,
            resets: Timestamp::from_millisecond(resets).map_err(|_| StoreError::Unreadable("the time"))?,
        })
    }

    async fn tally(
        &self,
        shard: Shard,
        page: &[Position],
        known: &mut HashSet<String>,
        usage: &mut Usage,
    ) -> Result<(), StoreError> {
        if page.is_empty() {
            return Ok(());
        }
        let mut call = invocation(shard, &scripts::TALLY);
        for position in page {
            call.arg(position.ticket.to_string());
        }
        let told: Vec<String> = self.run_surely(&call).await?;
        for one in told.chunks(3) {
            let [state, size, job] = one else { return Err(StoreError::Unreadable("an answer")) };
            let state = StateKind::of_word(state).ok_or(StoreError::Unreadable("a state"))?;
            *usage.jobs.entry(state).or_default() += 1;
            if !job.is_empty() && known.insert(job.clone()) {
                usage.stored_bytes += size.parse::<u64>().map_err(|_| StoreError::Unreadable("a size"))?;
            }
        }
        Ok(())
    }
}
