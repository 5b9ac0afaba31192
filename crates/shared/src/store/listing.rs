//! Lists of jobs, part by part: by creation, from an index of tickets for everybody and for each client, or by something
//! else, sorted anew for each part.
//!
//! No index is kept of sizes, lengths, ratings and counts: one for each client and value would have to be kept true by every
//! script that ends, shares, annotates or forgets a job, for a list that few ask for. To look at the values of 10,000 jobs
//! takes 40 ms of Redis, 1 ms at a time; at more than that nobody looks, and the list says so.

use std::cmp::Ordering;

use futures::future::join_all;
use redis::AsyncCommands as _;

use super::scripts::{self, invocation};
use super::{JobStore, StoreError, keys};
use crate::ids::{ClientKey, Shard, Ticket};
use crate::job::Job;

/// Jobs that a list is sorted among, the newest of all shards together.
pub const MOST_SORTED: usize = 10_000;

/// Jobs whose values one script tells: some 1 ms of Redis.
const VALUES: usize = 250;

/// Whose jobs a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everybody's newest 10,000 of each shard.
    Everyone,
    /// One client's.
    Client(ClientKey),
}

/// What a list is sorted by. A job without it comes last, in either order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortBy {
    /// When its ticket was given out.
    #[default]
    Created,
    /// Bytes of its result.
    Size,
    /// How long its result plays, in ms.
    Duration,
    /// How often its holder fetched its result.
    Downloads,
    /// What its holder thinks of it.
    Rating,
}

impl SortBy {
    /// Everything there is to sort by.
    pub const ALL: [Self; 5] = [Self::Created, Self::Size, Self::Duration, Self::Downloads, Self::Rating];

    /// The word of requests and of the script.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Size => "size",
            Self::Duration => "duration",
            Self::Downloads => "downloads",
            Self::Rating => "rating",
        }
    }
}

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest, largest, longest, best.
    #[default]
    Descending,
    /// The other end.
    Ascending,
}

impl Order {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Descending, Self::Ascending];

    /// The word of requests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Descending => "desc",
            Self::Ascending => "asc",
        }
    }
}

/// How a list is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sorting {
    /// By what.
    pub by: SortBy,
    /// From which end.
    pub order: Order,
}

impl Sorting {
    /// Which of two places comes first. No two jobs have the same: ties are broken by creation, then by ticket.
    #[must_use]
    pub fn compare(self, one: &Position, other: &Position) -> Ordering {
        let key = |position: &Position| (position.value, position.created_ms, position.ticket);
        let ascending = key(one).cmp(&key(other));
        let ordered = match self.order {
            Order::Descending => ascending.reverse(),
            Order::Ascending => ascending,
        };
        one.value.is_none().cmp(&other.value.is_none()).then(ordered)
    }
}

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// What the list is sorted by, where that is not the creation; `None`: the job has no such value.
    pub value: Option<u64>,
    /// Creation time, ms since the epoch.
    pub created_ms: i64,
    /// Which of those of that ms.
    pub ticket: Ticket,
}

/// A list, as far as it was not read yet.
pub struct Listing {
    store: JobStore,
    scope: Scope,
    rest: Rest,
    /// Set when it is sorted among the newest so many jobs only, because there are more.
    pub sorted_among: Option<usize>,
}

enum Rest {
    /// What the index has after this.
    Index { order: Order, after: Option<Position> },
    /// These.
    Sorted(std::vec::IntoIter<Position>),
}

impl JobStore {
    /// The jobs after `after`, or all. Sorting by another thing than creation costs a look at that of up to
    /// [`MOST_SORTED`] jobs; how many do so at once is for the caller to bound.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn list(&self, scope: Scope, sorting: Sorting, after: Option<Position>) -> Result<Listing, StoreError> {
        let (rest, sorted_among) = match sorting.by {
            SortBy::Created => (Rest::Index { order: sorting.order, after }, None),
            SortBy::Size | SortBy::Duration | SortBy::Downloads | SortBy::Rating => {
                let (mut all, is_whole) = self.sorted(&scope, sorting).await?;
                let is_past = |position: &Position| {
                    after.is_some_and(|after| sorting.compare(position, &after) != Ordering::Greater)
                };
                let rest = all.split_off(all.partition_point(is_past));
                (Rest::Sorted(rest.into_iter()), (!is_whole).then_some(MOST_SORTED))
            }
        };
        Ok(Listing { store: self.clone(), scope, rest, sorted_among })
    }

    /// The places of the newest jobs in this order; whether these are all.
    async fn sorted(&self, scope: &Scope, sorting: Sorting) -> Result<(Vec<Position>, bool), StoreError> {
        let (mut all, mut seen, mut after) = (Vec::new(), 0, None);
        let is_whole = loop {
            let page = self.page(|shard| index(shard, scope), Order::Descending, after, VALUES).await?;
            let is_last = page.len() < VALUES;
            seen += page.len();
            after = page.last().copied();
            all.extend(self.valued(sorting.by, page).await?);
            if is_last {
                break true;
            }
            if seen >= MOST_SORTED {
                break self.page(|shard| index(shard, scope), Order::Descending, after, 1).await?.is_empty();
            }
        };
        all.sort_unstable_by(|one, other| sorting.compare(one, other));
        Ok((all, is_whole))
    }

    /// These places with the values of their jobs; without those whose jobs are gone.
    async fn valued(&self, by: SortBy, page: Vec<Position>) -> Result<Vec<Position>, StoreError> {
        let page = &page;
        let values = async |shard: Shard| {
            let here: Vec<&Position> =
                page.iter().filter(|at| at.ticket.shard(self.0.settings.shards) == shard).collect();
            if here.is_empty() {
                return Ok(Vec::new());
            }
            let mut call = invocation(shard, &scripts::RANK);
            call.arg(by.word());
            for position in &here {
                call.arg(position.ticket.to_string());
            }
            let values: Vec<Option<String>> = self.run_surely(&call).await?;
            let known = here.into_iter().zip(values).filter_map(|(position, value)| {
                // what can't be read is none: it must not hide the job
                value.map(|value| Position { value: value.parse().ok(), ..*position })
            });
            Ok(known.collect())
        };
        Ok(self.everywhere(values).await?.concat())
    }

    /// The next tickets of all shards together.
    pub(super) async fn page(
        &self,
        index: impl Fn(Shard) -> String,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let mut page = Vec::new();
        for shard in self.0.settings.shards.all() {
            page.extend(self.page_of(&index(shard), order, after, limit).await?);
        }
        let sorting = Sorting { by: SortBy::Created, order };
        page.sort_unstable_by(|one, other| sorting.compare(one, other));
        page.truncate(limit);
        Ok(page)
    }

    /// At most `limit` tickets of an index after `after`. Fewer than `limit`: there are no more.
    pub(super) async fn page_of(
        &self,
        index: &str,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Position>, StoreError> {
        let sorting = Sorting { by: SortBy::Created, order };
        // No connection is held while another is taken: enough callers who do wait for each other for ever.
        let mut connection = self.connection("list").await?;
        let mut passed = 0;
        loop {
            // Several tickets may share the ms in which the page begins: those up to `after` are passed over.
            let first = after.map(|after| after.created_ms.to_string());
            let wanted = limit + 32;
            let mut ask = redis::cmd("ZRANGE");
            match order {
                Order::Descending => ask.arg(index).arg(first.as_deref().unwrap_or("+inf")).arg("-inf"),
                Order::Ascending => ask.arg(index).arg(first.as_deref().unwrap_or("-inf")).arg("+inf"),
            };
            ask.arg("BYSCORE");
            if order == Order::Descending {
                ask.arg("REV");
            }
            ask.arg("LIMIT").arg(passed).arg(wanted).arg("WITHSCORES");
            let rows: Vec<(String, i64)> = ask.query_async(&mut connection).await?;
            let is_last = rows.len() < wanted;
            let mut page: Vec<Position> = rows
                .into_iter()
                .filter_map(|(ticket, created_ms)| {
                    Some(Position { value: None, created_ms, ticket: ticket.parse().ok()? })
                })
                // Redis orders equal scores by their text, which is how tickets compare.
                .filter(|row| after.is_none_or(|after| sorting.compare(row, &after) == Ordering::Greater))
                .collect();
            if !page.is_empty() || is_last {
                page.truncate(limit);
                return Ok(page);
            }
            passed += wanted;
        }
    }

    /// Takes tickets that have outlived their records off the index.
    async fn unlist(&self, scope: &Scope, tickets: &[Ticket]) -> Result<(), StoreError> {
        let shards = self.0.settings.shards;
        for shard in shards.all() {
            let here = tickets.iter().filter(|ticket| ticket.shard(shards) == shard);
            let names: Vec<String> = here.map(ToString::to_string).collect();
            if !names.is_empty() {
                let _: () = self.connection("list").await?.zrem(index(shard, scope), names).await?;
            }
        }
        Ok(())
    }
}

impl Listing {
    /// The next jobs, at most `limit`, each with its place. Fewer mean that there are no more. A job that this version
    /// can't read is left out: it must not hide the others.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn next(&mut self, limit: usize) -> Result<Vec<(Position, Job)>, StoreError> {
        let mut jobs = Vec::new();
        loop {
            let wanted = limit - jobs.len();
            let places = self.places(wanted).await?;
            let is_last = places.len() < wanted;
            self.look(&places, &mut jobs).await?;
            if is_last || jobs.len() == limit {
                return Ok(jobs);
            }
        }
    }

    async fn places(&mut self, wanted: usize) -> Result<Vec<Position>, StoreError> {
        match &mut self.rest {
            Rest::Sorted(rest) => Ok(rest.take(wanted).collect()),
            Rest::Index { order, after } => {
                let places = self.store.page(|shard| index(shard, &self.scope), *order, *after, wanted).await?;
                *after = places.last().copied().or(*after);
                Ok(places)
            }
        }
    }

    /// Looks at the jobs in these places together, in few calls.
    async fn look(&self, places: &[Position], jobs: &mut Vec<(Position, Job)>) -> Result<(), StoreError> {
        let looks = join_all(places.iter().map(|place| self.store.get(place.ticket))).await;
        let mut gone = Vec::new();
        for (place, look) in places.iter().zip(looks) {
            match look {
                Ok(Some(job)) => jobs.push((*place, job)),
                Ok(None) => gone.push(place.ticket),
                Err(StoreError::Unreadable(what)) => {
                    tracing::warn!(ticket = %place.ticket, what, "a job can't be read, and is left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        self.store.unlist(&self.scope, &gone).await
    }
}

/// Where the tickets of a list are.
pub(super) fn index(shard: Shard, scope: &Scope) -> String {
    match scope {
        Scope::Everyone => keys::key(shard, "recent"),
        Scope::Client(client) => keys::key(shard, "own") + client.as_str(),
    }
}
