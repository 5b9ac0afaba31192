//! Playlists: one ticket for many downloads, which are jobs like any other and know nothing of it.
//!
//! A playlist is only what it was to have: which tickets, in which order. It is written down before the first of them is
//! submitted, and sealed when the last one is, so that whoever comes again with the same promise finishes what a death left
//! by half. How its downloads stand is asked of them, and kept nowhere else. Not here: what a plan says (the API).

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::listing::{Order, Position, Scope};
use super::promise::{Idempotency, Promised};
use super::record::{Field, text, time};
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, keys, ms};
use crate::ids::{ClientKey, Shard, Ticket};

/// Playlists that a list has at most, on each shard; older ones are not listed.
const MOST_LISTED: u32 = 10_000;

/// A playlist as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playlist {
    /// Its handle.
    pub ticket: Ticket,
    /// Who asked for it.
    pub client: ClientKey,
    /// When.
    pub created: Timestamp,
    /// What it is to have; opaque here.
    pub plan: Vec<u8>,
    /// Were all of its downloads submitted? Until then nobody but who submits them knows of it.
    pub is_whole: bool,
}

/// How far the clock here may be from that of Redis, where it is not worth asking for the time.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// Fields as Redis has them: client, creation, plan, whether all was submitted.
type Record = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

impl JobStore {
    /// Under which ticket a promised playlist is to be opened: `ticket`, unless another was promised before. `None`: the same
    /// key came before with another body. It may be asked again: who holds the promise is told the same.
    ///
    /// # Errors
    /// [`StoreError::OutOfMemory`], [`StoreError::Unavailable`].
    pub async fn promise_playlist(
        &self,
        client: &ClientKey,
        promise: &Idempotency,
        ticket: Ticket,
    ) -> Result<Option<Ticket>, StoreError> {
        Ok(match self.promise(client, promise, ticket).await? {
            Promised::Ours => Some(ticket),
            Promised::Kept(before) => Some(before),
            Promised::Broken => None,
        })
    }

    /// Writes down what a playlist is to have, unless that was done under this ticket before: then it is what was written
    /// then, whoever did it. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError::OutOfMemory`], [`StoreError::Unavailable`].
    pub async fn open_playlist(&self, ticket: Ticket, client: &ClientKey, plan: &[u8]) -> Result<Playlist, StoreError> {
        let mut call = invocation(self.shard_of(ticket), &scripts::OPEN_PLAYLIST);
        call.arg(ticket.to_string()).arg(client.as_str()).arg(plan).arg(ms(self.playlist_ttl()));
        let record: Record = self.run_durably(&call).await?;
        read(ticket, &record)?.ok_or(StoreError::Unreadable("a playlist"))
    }

    /// Notes that all downloads of an `opened` playlist were submitted, with what is left to be known of its plan. `false`: it
    /// was removed meanwhile. Repeating it is harmless, and makes sure that it lasts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn seal_playlist(&self, opened: &Playlist, plan: &[u8]) -> Result<bool, StoreError> {
        let mut call = invocation(self.shard_of(opened.ticket), &scripts::SEAL_PLAYLIST);
        call.arg(opened.ticket.to_string()).arg(plan).arg(ms(self.playlist_ttl())).arg(MOST_LISTED);
        self.run_durably(call.arg(opened.plan.as_slice())).await
    }

    /// Removes an `opened` playlist of which something was refused, unless somebody else has submitted all of it meanwhile:
    /// then it is `true`, and nothing was done. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn abandon_playlist(&self, opened: &Playlist) -> Result<bool, StoreError> {
        let mut call = invocation(self.shard_of(opened.ticket), &scripts::ABANDON_PLAYLIST);
        self.run_surely(call.arg(opened.ticket.to_string()).arg(opened.plan.as_slice())).await
    }

    /// The playlist behind a ticket, also one that is not whole yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn playlist(&self, ticket: Ticket) -> Result<Option<Playlist>, StoreError> {
        let mut ask = redis::cmd("HMGET");
        ask.arg(key(self.shard_of(ticket), ticket)).arg(&["cl", "ct", "plan", "all"]);
        let (record,): (Record,) = self.0.server.query("playlist", redis::pipe().add_command(ask)).await?;
        read(ticket, &record)
    }

    /// Playlists after `after`, or the newest ones, newest first, each with its place: at most `limit`. Fewer: there are no
    /// more. One that this version can't read is left out: it must not hide the others.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn playlists(
        &self,
        scope: &Scope,
        mut after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<(Position, Playlist)>, StoreError> {
        let whose = match scope {
            Scope::Everyone => keys::ANYBODY,
            Scope::Client(client) => client.as_str(),
        };
        // a place outlives its playlist for as long as others are made: beyond those there may be thousands that lead nowhere
        let oldest = Timestamp::now().as_millisecond().saturating_sub_unsigned(ms(self.playlist_ttl() + CLOCKS_DIFFER));
        let mut listed = Vec::new();
        while listed.len() < limit {
            let wanted = limit - listed.len();
            let mut places =
                self.page(|shard| keys::key(shard, "playlists") + whose, Order::Descending, after, wanted).await?;
            places.retain(|place| place.created_ms >= oldest);
            let looks = join_all(places.iter().map(|place| self.playlist(place.ticket))).await;
            for (place, look) in places.iter().zip(looks) {
                match look {
                    Ok(found) => listed.extend(found.map(|playlist| (*place, playlist))),
                    Err(StoreError::Unreadable(what)) => {
                        tracing::warn!(what, "a playlist can't be read, and is left out of a list");
                    }
                    Err(error) => return Err(error),
                }
            }
            if places.len() < wanted {
                break;
            }
            after = places.last().copied();
        }
        Ok(listed)
    }

    /// Removes a playlist, and nothing of its downloads. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn forget_playlist(&self, playlist: &Playlist) -> Result<(), StoreError> {
        let (shard, ticket) = (self.shard_of(playlist.ticket), playlist.ticket);
        let mut remove = redis::pipe();
        for whose in [playlist.client.as_str(), keys::ANYBODY] {
            remove.zrem(keys::key(shard, "playlists") + whose, ticket.to_string()).ignore();
        }
        // last: who asks again after half of it finds what to remove
        remove.del(key(shard, ticket)).ignore();
        Ok(self.0.server.query("forget_playlist", &remove).await?)
    }

    /// As long as the tickets of its downloads.
    fn playlist_ttl(&self) -> Duration {
        self.0.settings.job_ttl * 2
    }

    fn shard_of(&self, ticket: Ticket) -> Shard {
        ticket.shard(self.0.settings.shards)
    }
}

fn key(shard: Shard, ticket: Ticket) -> String {
    format!("{}{ticket}", keys::key(shard, "playlist"))
}

fn read(ticket: Ticket, (client, created, plan, all): &Record) -> Result<Option<Playlist>, StoreError> {
    let client: Field<'_> = client.as_deref();
    let (Some(client), Some(created), Some(plan)) = (text(&client)?, time(&created.as_deref())?, plan) else {
        return Ok(None);
    };
    let (client, plan, is_whole) = (ClientKey::stored(client), plan.clone(), all.is_some());
    Ok(Some(Playlist { ticket, client, created, plan, is_whole }))
}
