//! Looks at jobs, many in one call.
//!
//! A job is looked at far more often than it changes, and to call a script costs more than what it does for one look.
//! So while a call is on its way, whoever comes waits for the next one, which looks for all of them, and for several who
//! hold the same ticket once. Nobody is answered by a call that was sent before they came: what a client has just
//! changed, it sees.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::scripts::{self, invocation};
use super::{JobStore, StoreError, record};
use crate::ids::{JobId, Shard, Shards, Ticket};
use crate::job::Job;
use crate::redis::{CallError, Server};

/// Looks of one call.
const MOST: usize = 64;

/// Calls of one shard under way at once. More would carry fewer looks each.
const CALLS: usize = 2;

/// A job as Redis has it at the time of a look.
#[derive(Debug, Clone)]
pub struct Seen {
    ticket: Ticket,
    now: Timestamp,
    record: Bytes,
}

impl Seen {
    pub(super) fn new(ticket: Ticket, now: Timestamp, record: Bytes) -> Self {
        Self { ticket, now, record }
    }

    /// The job.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn job(&self) -> Result<Job, StoreError> {
        Ok(self.read()?.1)
    }

    /// When it was.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.now
    }

    /// What is recorded: as long as it is the same, so is the job, but for what the time itself changes.
    #[must_use]
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    pub(super) fn read(&self) -> Result<(JobId, Job), StoreError> {
        record::job(self.ticket, self.now, &self.record)
    }
}

/// The time, and what is recorded at it; none where there is no such ticket.
type Answer = Result<Option<(Bytes, Bytes)>, Arc<CallError>>;

type Sender = oneshot::Sender<Answer>;

/// Where looks wait for a call, one place per shard.
pub(super) struct Looks(Box<[Arc<Desk>]>);

struct Desk {
    shard: Shard,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    looks: VecDeque<(Ticket, Sender)>,
    calls: usize,
}

/// The duty to make a shard's calls for as long as somebody waits for one; laid down when dropped.
struct Duty {
    desk: Arc<Desk>,
    done: bool,
}

impl Looks {
    pub(super) fn new(shards: Shards) -> Self {
        Self(shards.all().map(|shard| Arc::new(Desk { shard, waiting: Mutex::default() })).collect())
    }
}

impl JobStore {
    /// The job behind a ticket, as it is recorded.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unreadable`].
    pub async fn look(&self, ticket: Ticket) -> Result<Option<Seen>, StoreError> {
        let shard = ticket.shard(self.0.settings.shards);
        let desk = self.0.looks.0.iter().find(|desk| desk.shard == shard).expect("every shard has a desk");
        let (sender, answer) = oneshot::channel();
        if let Some(duty) = desk.wait(ticket, sender) {
            // in a task of its own: whoever began it may go away, and the others still want their answers
            tokio::spawn(duty.fulfil(self.0.server.clone()));
        }
        let answer = answer.await.map_err(|gone| StoreError::Unavailable(Box::new(gone)))?;
        let Some((now, record)) = answer.map_err(|error| StoreError::Unavailable(Box::new(error)))? else {
            return Ok(None);
        };
        Ok(Some(Seen::new(ticket, record::now(&now)?, record)))
    }
}

impl Desk {
    /// Puts a look in line; a duty comes back when nobody is there to make the next call.
    fn wait(self: &Arc<Self>, ticket: Ticket, sender: Sender) -> Option<Duty> {
        let mut waiting = self.waiting();
        waiting.looks.push_back((ticket, sender));
        let has_calls = waiting.calls < CALLS;
        has_calls.then(|| {
            waiting.calls += 1;
            Duty { desk: Arc::clone(self), done: false }
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Duty {
    async fn fulfil(mut self, server: Server) {
        while let Some(looks) = self.next() {
            let mut call = invocation(self.desk.shard, &scripts::LOOK);
            for (ticket, _) in &looks {
                call.arg(ticket.to_string());
            }
            match server.call_surely::<(Vec<u8>, Vec<Option<Vec<u8>>>)>(&call).await {
                Ok((now, records)) => {
                    let now = Bytes::from(now);
                    for ((_, senders), record) in looks.into_iter().zip(records) {
                        tell(senders, &Ok(record.map(|record| (now.clone(), record.into()))));
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    looks.into_iter().for_each(|(_, senders)| tell(senders, &Err(Arc::clone(&error))));
                }
            }
        }
    }

    /// Those who wait, at most [`MOST`] tickets; `None` when nobody does, and the duty is done.
    fn next(&mut self) -> Option<Vec<(Ticket, Vec<Sender>)>> {
        let mut waiting = self.desk.waiting();
        let mut looks: HashMap<Ticket, Vec<Sender>> = HashMap::new();
        while looks.len() < MOST
            && let Some((ticket, sender)) = waiting.looks.pop_front()
        {
            looks.entry(ticket).or_default().push(sender);
        }
        if looks.is_empty() {
            // in the same moment in which nobody waits: who comes after it takes the duty again
            waiting.calls -= 1;
            self.done = true;
            return None;
        }
        Some(looks.into_iter().collect())
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.done {
            self.desk.waiting().calls -= 1;
        }
    }
}

/// Whoever does not wait any more is not missed.
fn tell(senders: Vec<Sender>, answer: &Answer) {
    for sender in senders {
        let _gone = sender.send(answer.clone());
    }
}
