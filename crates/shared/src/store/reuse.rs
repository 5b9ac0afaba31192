//! Finished results that are handed out again: only while they are in the store of results.
//!
//! That may have lost what Redis still knows of: a bucket was emptied, or put back older. Whoever orders the same would be given
//! a link that leads nowhere, until the result's time is over. So an order that comes to a finished result is told its
//! object first, and nothing is changed before it was looked at (`docs/decisions/0054`).
//!
//! Not here: the looking (`api::results`).

use futures::future::BoxFuture;

use super::scripts::{self, invocation};
use super::{JobStore, StoreError};
use crate::storage::ObjectKey;

/// Is this object in the store of results? Who can't tell says that it is.
pub type IsThere = Box<dyn Fn(ObjectKey) -> BoxFuture<'static, bool> + Send + Sync>;

/// Looks for one order. The result was another one each time: then it is given what there is.
const MOST_LOOKS: usize = 3;

/// What an order knows of the finished result that it could be given.
pub(super) struct Reuse<'a> {
    is_there: Option<&'a IsThere>,
    looks: usize,
    /// As the script takes it.
    seen: Vec<u8>,
}

impl<'a> Reuse<'a> {
    /// Of one that was not looked at, unless nobody looks.
    pub(super) fn of(is_there: Option<&'a IsThere>) -> Self {
        Self { is_there, looks: 0, seen: is_there.map_or_else(Vec::new, |_| b"?".to_vec()) }
    }

    /// The run whose result may be handed out.
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Looks at the result that the script has come to. One that is not there is handed out to nobody any more.
    pub(super) async fn look(&mut self, jobs: &JobStore, told: &[Vec<u8>]) -> Result<(), StoreError> {
        let [run, object] = told else { return Err(StoreError::Unreadable("an answer")) };
        let Some(is_there) = self.is_there.filter(|_| self.looks < MOST_LOOKS) else {
            self.seen.clear();
            return Ok(());
        };
        self.looks += 1;
        let object = std::str::from_utf8(object).ok().and_then(|key| ObjectKey::parse(key).ok());
        let object = object.ok_or(StoreError::Unreadable("an object"))?;
        if is_there(object.clone()).await {
            self.seen.clone_from(run);
        } else {
            jobs.unshare(&object).await?;
        }
        Ok(())
    }
}

impl JobStore {
    /// Hands out a result to no order any more, for its object is not in the store; those who hold it keep their tickets. Of
    /// what lies beside a result nothing is changed. It may be asked again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn unshare(&self, object: &ObjectKey) -> Result<(), StoreError> {
        let job = object.job();
        let mut call = invocation(job.shard(self.0.settings.shards), &scripts::UNSHARE);
        let answer: String = self.run_surely(call.arg(job.to_string()).arg(object.as_str())).await?;
        if answer == "ok" {
            tracing::warn!(job.id = %job, "the result of job {job} is not in the store any more: the next order of it makes it anew");
        }
        Ok(())
    }
}
