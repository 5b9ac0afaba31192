//! Looks at jobs, many in one call.
//!
//! A job is looked at far more often than it changes, and to call a script costs more than what it does for one look.
//! So while a call is on its way, whoever comes waits for the next one, which looks for all of them, and for several who
//! hold the same ticket once. Nobody is answered by a call that was sent before they came: what a client has just
//! changed, it sees.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::moments::Standing;
use super::record::Viewed;
use super::scripts::{self, invocation};
use super::{JobStore, StoreError, keys, record};
use crate::ids::{Shard, Shards, Ticket};
use crate::job::Job;
use crate::recent::Recent;
use crate::redis::Server;

/// Looks of one call.
const MOST: usize = 64;

/// Calls of one shard under way at once. More would carry fewer looks each.
const CALLS: usize = 2;

/// Views that are kept, and for how long: no version changes when time alone lets a record go.
const KEPT: usize = 1024;
const LIFE: Duration = Duration::from_secs(1);

/// Bytes of a view that is worth keeping; the usual one has a tenth.
const LARGEST: usize = 8 * 1024;

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
        Ok(self.read()?.job)
    }

    /// The job, and where its holder is in what there is to tell of it.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`].
    pub fn standing(&self) -> Result<(Job, Standing), StoreError> {
        let viewed = self.read()?;
        Ok((viewed.job, viewed.standing))
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

    /// The same, so much later.
    fn aged(&self, by: Duration) -> Self {
        Self { now: self.now.saturating_add(by).unwrap_or(self.now), ..self.clone() }
    }

    pub(super) fn read(&self) -> Result<Viewed, StoreError> {
        record::job(self.ticket, self.now, &self.record)
    }
}

/// None where there is no such ticket.
type Answer = Result<Option<Seen>, StoreError>;

/// As the script answers: the record, and two versions, each with what it is called.
type View = (Vec<u8>, u16, u32, u16, u32);

type Sender = oneshot::Sender<Answer>;

/// Where looks wait for a call, one place per shard.
pub(super) struct Looks(Box<[Arc<Desk>]>);

struct Desk {
    shard: Shard,
    waiting: Mutex<Waiting>,
    kept: Recent<Ticket, Kept>,
}

/// What was seen, and how it shows whether that is still so.
#[derive(Clone)]
struct Kept {
    seen: Seen,
    when: Instant,
    versions: Versions,
}

/// The versions that change with a view: what each is called, and as it was.
type Versions = [(u16, u32); 2];

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
        Self(shards.all().map(|shard| Arc::new(Desk::new(shard))).collect())
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
        answer.await.map_err(|gone| StoreError::Unavailable(Arc::new(gone)))?
    }
}

impl Desk {
    fn new(shard: Shard) -> Self {
        Self { shard, waiting: Mutex::default(), kept: Recent::new(KEPT) }
    }

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

    /// What was seen before of these, as far as it is still so.
    async fn still(&self, server: &Server, tickets: &[Ticket]) -> Result<HashMap<Ticket, Seen>, StoreError> {
        let kept: Vec<Kept> = tickets.iter().filter_map(|ticket| self.kept(*ticket)).collect();
        if kept.is_empty() {
            return Ok(HashMap::new());
        }
        let mut ask = redis::cmd("BITFIELD_RO");
        ask.arg(keys::key(self.shard, "versions"));
        for (name, _) in kept.iter().flat_map(|kept| kept.versions) {
            ask.arg("GET").arg("u32").arg(format!("#{name}"));
        }
        let (now,): (Vec<u32>,) = server.query("versions", redis::pipe().add_command(ask)).await?;
        let is_same = |kept: &Kept, now: &[u32]| kept.versions.iter().map(|(_, version)| version).eq(now);
        let still = kept.iter().zip(now.chunks(2)).filter(|(kept, now)| is_same(kept, now));
        Ok(still.map(|(kept, _)| (kept.seen.ticket, kept.seen.aged(kept.when.elapsed()))).collect())
    }

    /// Looks at those that were not `seen` yet.
    async fn complete(
        &self,
        server: &Server,
        tickets: &[Ticket],
        mut seen: HashMap<Ticket, Seen>,
    ) -> Result<HashMap<Ticket, Seen>, StoreError> {
        let others: Vec<Ticket> = tickets.iter().filter(|ticket| !seen.contains_key(ticket)).copied().collect();
        if others.is_empty() {
            return Ok(seen);
        }
        let mut call = invocation(self.shard, &scripts::LOOK);
        for ticket in &others {
            call.arg(ticket.to_string());
        }
        // before the call: what is kept is not to live longer for a slow answer
        let when = Instant::now();
        let (now, views): (Vec<u8>, Vec<Option<View>>) = server.call_surely(&call).await?;
        let now = record::now(&now)?;
        for (ticket, view) in others.into_iter().zip(views) {
            let Some((record, one, one_now, other, other_now)) = view else { continue };
            let one_seen = Seen::new(ticket, now, record.into());
            if one_seen.record.len() <= LARGEST {
                let versions = [(one, one_now), (other, other_now)];
                self.kept.keep(ticket, Kept { seen: one_seen.clone(), when, versions });
            }
            seen.insert(ticket, one_seen);
        }
        Ok(seen)
    }

    fn kept(&self, ticket: Ticket) -> Option<Kept> {
        self.kept.get(&ticket).filter(|kept| kept.when.elapsed() < LIFE)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Duty {
    async fn fulfil(mut self, server: Server) {
        while let Some(looks) = self.next() {
            let tickets: Vec<Ticket> = looks.keys().copied().collect();
            let seen = match self.desk.still(&server, &tickets).await {
                Ok(seen) => self.desk.complete(&server, &tickets, seen).await,
                Err(error) => Err(error),
            };
            for (ticket, senders) in looks {
                tell(senders, &seen.as_ref().map(|seen| seen.get(&ticket).cloned()).map_err(Clone::clone));
            }
        }
    }

    /// Those who wait, at most [`MOST`] tickets; `None` when nobody does, and the duty is done.
    fn next(&mut self) -> Option<HashMap<Ticket, Vec<Sender>>> {
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
        Some(looks)
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
