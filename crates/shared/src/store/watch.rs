//! Who waits for a job to change, and how it hears of it.
//!
//! Every change is published with the job's id on one channel; each process listens once and tells its own
//! watchers. A message can be lost (a broken connection), so a watch also wakes by itself now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::keys;
use crate::ids::{JobId, Shards, Ticket};
use crate::redis::{Heard, Listener, Server};

/// How long a watch sleeps at most.
const LONGEST: Duration = Duration::from_secs(5);

type Watchers = HashMap<JobId, watch::Sender<()>>;

/// The watchers of this process.
#[derive(Clone)]
pub(super) struct Changes {
    server: Server,
    shards: Shards,
    watchers: Arc<Mutex<Watchers>>,
    /// Made at the first watch, since workers never watch.
    listener: Arc<OnceLock<Listener>>,
}

impl Changes {
    pub(super) fn new(server: Server, shards: Shards) -> Self {
        Self { server, shards, watchers: Arc::default(), listener: Arc::default() }
    }

    /// Watches a job from now on.
    pub(super) fn watch(&self, ticket: Ticket, job: JobId) -> Watch {
        self.listener.get_or_init(|| self.listen());
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = watchers.entry(job).or_insert_with(|| watch::channel(()).0).subscribe();
        drop(watchers);
        Watch { ticket, job, receiver, changes: self.clone() }
    }

    fn listen(&self) -> Listener {
        let watchers = Arc::clone(&self.watchers);
        let channels = self.shards.all().map(|shard| keys::key(shard, "changed")).collect();
        self.server.listen(channels, move |heard| {
            tell(&watchers.lock().unwrap_or_else(PoisonError::into_inner), &heard);
        })
    }
}

/// Tells the watchers whom a message concerns: those of one job or, when messages may have been missed, all. Who
/// watched before the listener stood is told by the gap that it begins with.
fn tell(watchers: &Watchers, heard: &Heard) {
    match heard {
        Heard::Message(id) => {
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            if let Some(watcher) = id.and_then(|id| watchers.get(&id)) {
                watcher.send_replace(());
            }
        }
        Heard::Gap => watchers.values().for_each(|watcher| {
            watcher.send_replace(());
        }),
    }
}

/// A watch on one job: watch first, then read, then wait; nothing is missed.
pub struct Watch {
    ticket: Ticket,
    job: JobId,
    receiver: watch::Receiver<()>,
    changes: Changes,
}

impl Watch {
    /// Whose run is watched.
    pub(super) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Which run of it.
    pub(super) fn job(&self) -> JobId {
        self.job
    }

    /// Returns when the job may have changed since the watch was made or last returned; after 5 s in any case.
    pub async fn changed(&mut self) {
        let _ = tokio::time::timeout(LONGEST, self.receiver.changed()).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = self.changes.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.get(&self.job).is_some_and(|watcher| watcher.receiver_count() <= 1) {
            watchers.remove(&self.job);
        }
    }
}
