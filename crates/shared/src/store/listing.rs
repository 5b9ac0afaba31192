//! Lists of jobs: an index of tickets by creation time, for everybody and for each client, read newest first.

use redis::AsyncCommands as _;

use super::{JobStore, StoreError, keys};
use crate::ids::{ClientKey, Shard, Ticket};
use crate::job::Job;

/// Whose jobs a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody's newest 10,000 of each shard.
    Everyone,
    /// One client's.
    Client(ClientKey),
}

/// A place in a list, newest first: the creation time, and the ticket among those of the same ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Creation time, ms since the epoch.
    pub created_ms: i64,
    /// Which of those of that ms.
    pub ticket: Ticket,
}

impl JobStore {
    /// At most `limit` jobs older than `after`, newest first. Fewer than `limit` means that there are no more. A job that
    /// this version can't read is left out: it must not hide the others.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn list(&self, scope: &Scope, after: Option<Position>, limit: usize) -> Result<Vec<Job>, StoreError> {
        let mut jobs = Vec::new();
        let mut after = after;
        loop {
            let page = self.page(scope, after, limit).await?;
            let is_last = page.len() < limit;
            for position in page {
                if jobs.len() == limit {
                    break;
                }
                after = Some(position);
                match self.get(position.ticket).await {
                    Ok(Some(job)) => jobs.push(job),
                    Ok(None) => self.unlist(scope, position.ticket).await?,
                    Err(StoreError::Unreadable(what)) => {
                        tracing::warn!(ticket = %position.ticket, what, "a job can't be read, and is left out of a list");
                    }
                    Err(error) => return Err(error),
                }
            }
            if is_last || jobs.len() == limit {
                return Ok(jobs);
            }
        }
    }

    /// The next tickets of all shards together.
    async fn page(&self, scope: &Scope, after: Option<Position>, limit: usize) -> Result<Vec<Position>, StoreError> {
        let mut page = Vec::new();
        for shard in self.0.settings.shards.all() {
            page.extend(self.page_of(shard, scope, after, limit).await?);
        }
        page.sort_unstable_by(|one, other| other.cmp(one));
        page.truncate(limit);
        Ok(page)
    }

    /// At most `limit` tickets of one shard older than `after`, newest first. Fewer than `limit`: there are no more.
    pub(super) async fn page_of(
        &self,
        shard: Shard,
        scope: &Scope,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let index = index(shard, scope);
        // No connection is held while another is taken: enough callers who do wait for each other for ever.
        let mut connection = self.connection().await?;
        let mut passed = 0;
        loop {
            // Several tickets may share the ms in which the page begins: those up to `after` are passed over.
            let newest = after.map_or_else(|| "+inf".to_owned(), |after| after.created_ms.to_string());
            let wanted = limit + 32;
            let rows: Vec<(String, i64)> =
                connection.zrevrangebyscore_limit_withscores(&index, newest, "-inf", passed, wanted as isize).await?;
            let is_last = rows.len() < wanted;
            let mut page: Vec<Position> = rows
                .into_iter()
                .filter_map(|(ticket, created_ms)| Some(Position { created_ms, ticket: ticket.parse().ok()? }))
                // Redis orders equal scores by their text, highest first here.
                .filter(|row| after.is_none_or(|after| *row < after))
                .collect();
            if !page.is_empty() || is_last {
                page.truncate(limit);
                return Ok(page);
            }
            passed += wanted as isize;
        }
    }

    /// Takes a ticket that has outlived its record off the index.
    async fn unlist(&self, scope: &Scope, ticket: Ticket) -> Result<(), StoreError> {
        let index = index(ticket.shard(self.0.settings.shards), scope);
        Ok(self.connection().await?.zrem(index, ticket.to_string()).await?)
    }
}

fn index(shard: Shard, scope: &Scope) -> String {
    match scope {
        Scope::Everyone => keys::key(shard, "recent"),
        Scope::Client(client) => keys::key(shard, "own") + client.as_str(),
    }
}
