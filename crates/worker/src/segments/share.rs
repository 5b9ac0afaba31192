//! What all streams of one job have together: memory, the rate, and what the origin thinks of us.
//!
//! A stream can't wait for another one for ever, whichever is read first: each has memory for the segment that is due,
//! and the lanes see to its connection (`lanes`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::lanes::Lanes;
use super::{Limits, Source, Trouble};
use crate::origin::{LONGEST_QUIET, Pace, Patience, QUIET};

/// A piece of memory, in bytes, at most: of what is shorter as much as it needs.
pub(super) const CHUNK_BYTES: usize = 256 << 10;
/// What memory is counted in, in bytes: segments of sound are short, and there are many of them.
const UNIT_BYTES: usize = 16 << 10;
const UNITS: usize = CHUNK_BYTES / UNIT_BYTES;
/// Of segments that are not due yet, in chunks: 20 MiB.
const ROOM: usize = 80;
/// Of the segment that is due, in chunks; for each stream.
const ROOM_OF_DUE: usize = 4;
/// What one segment can hand over without being taken from: all the room that there is, its last chunk, and its end.
pub(super) const MOST_PARTS: usize = ROOM + ROOM_OF_DUE + 2;

pub(super) struct Share {
    pub(super) limits: Limits,
    pub(super) lanes: Arc<Lanes>,
    room: Arc<Semaphore>,
    mood: Mutex<Mood>,
    pace: Option<Pace>,
    taken_bytes: AtomicU64,
    arrived_bytes: Arc<AtomicU64>,
    patience: Patience,
}

/// Of the origin.
#[derive(Default)]
struct Mood {
    quiet_until: Option<Instant>,
    shrunk: Option<Instant>,
}

/// What one stream has for itself.
pub(super) struct Own {
    room: Arc<Semaphore>,
}

impl Own {
    pub(super) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM_OF_DUE * UNITS)) }
    }
}

impl Share {
    pub(super) fn new(limits: Limits, sources: &[Source], patience: Patience) -> Self {
        let host = sources.first().and_then(|source| source.url.host_str()).unwrap_or_default();
        let most = u32::try_from(limits.at_once).unwrap_or(u32::MAX);
        Self {
            limits,
            lanes: Lanes::new(patience.at_once(host, most) as usize),
            room: Arc::new(Semaphore::new(ROOM * UNITS)),
            mood: Mutex::default(),
            pace: limits.rate.map(Pace::new),
            taken_bytes: AtomicU64::new(0),
            arrived_bytes: Arc::default(),
            patience,
        }
    }

    /// Room for a chunk. A segment that is due does not wait for those that are not.
    pub(super) async fn room(&self, own: &Own, due: &CancellationToken) -> Option<Room> {
        let when_due = async {
            due.cancelled().await;
            take(&own.room).await
        };
        let permit = tokio::select! {
            permit = when_due => permit,
            permit = take(&self.room) => permit,
        };
        permit.map(Room)
    }

    /// These bytes have arrived; returns when more may come.
    pub(super) async fn arrived(&self, bytes: usize) {
        self.arrived_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(pace) = &self.pace {
            pace.keep(bytes).await;
        }
    }

    /// Grows while bytes arrive.
    pub(super) fn arrived_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.arrived_bytes)
    }

    /// These bytes are given out.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Trouble> {
        let before = self.taken_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 > self.limits.most_bytes { Err(Trouble::TooLarge) } else { Ok(()) }
    }

    /// Returns when the origin may be asked.
    pub(super) async fn quiet(&self) {
        loop {
            let until = self.mood.lock().unwrap_or_else(PoisonError::into_inner).quiet_until;
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }

    /// The origin objected to a request of `begun`: it is left alone for a while, and has half as many from now on. What
    /// it was already given less of counts once.
    pub(super) fn refused(&self, url: &Url, begun: Instant, retry_after: Option<Duration>) -> Result<(), Trouble> {
        let wait = retry_after.unwrap_or(QUIET);
        self.patience.asked(url.host_str().unwrap_or_default().to_owned());
        if wait > LONGEST_QUIET {
            return Err(Trouble::Busy { retry_after });
        }
        let now = Instant::now();
        let mut mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        mood.quiet_until = mood.quiet_until.max(Some(now + wait));
        if mood.shrunk.is_none_or(|shrunk| begun > shrunk) {
            mood.shrunk = Some(now);
            self.lanes.halve();
        }
        Ok(())
    }
}

/// Room for a chunk.
pub(super) struct Room(OwnedSemaphorePermit);

impl Room {
    /// No more than so many bytes will come.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.div_ceil(UNIT_BYTES));
        drop(self.0.split(surplus));
    }
}

/// `None` only when a semaphore is closed, which ours never are.
async fn take(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).acquire_many_owned(UNITS as u32).await.ok()
}
