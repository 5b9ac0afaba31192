//! The pool, and the few of its connections that everybody shares.
//!
//! A checkout from the pool asks the server whether the connection still lives, a round trip before every command. So
//! a connection is taken once and shared, which is also faster: commands of many callers travel together. Whoever
//! finds it broken, or leading to a server that may not write any more, lets go of it, and the next caller's comes
//! from the pool.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool::Runtime;
use deadpool::managed::{Object, ObjectId, Pool, PoolError, TimeoutType};
use redis::RedisError;

use super::CONNECT_TIMEOUT;
use super::connection::Connection;
use super::reach::{Reach, Wire};
use crate::metrics::RedisCalls;

/// Connections that are shared, at most; the others of the pool are for those who need one of their own.
const SHARED: usize = 2;

/// For one of the pool's to be free, and as long again for it to be checked or made.
const CHECKOUT_TIMEOUT: std::time::Duration = CONNECT_TIMEOUT;

pub(super) type Pooled = Object<Reach>;

pub(super) struct Lines {
    pool: Pool<Reach>,
    lines: Box<[Line]>,
    next: AtomicUsize,
    calls: RedisCalls,
}

#[derive(Default)]
struct Line {
    /// Locked for moments only.
    held: Mutex<Option<Held>>,
    /// One caller makes the connection, the others wait for it.
    making: tokio::sync::Mutex<()>,
}

struct Held {
    /// Back in the pool when dropped.
    pooled: Pooled,
    wire: Wire,
}

impl Lines {
    pub(super) fn new(reach: Reach, size: usize, calls: RedisCalls) -> Self {
        // a cluster's connection is one to every master already, and a blocked one needs another beside it
        let shared = if reach.is_cluster() { 1 } else { (size / 2).clamp(1, SHARED) };
        let pool = Pool::builder(reach)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CHECKOUT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT * 2))
            .recycle_timeout(Some(CHECKOUT_TIMEOUT))
            .build()
            .expect("a runtime is given, the only thing that a builder can lack");
        let lines = (0..shared).map(|_| Line::default()).collect();
        Self { pool, lines, next: AtomicUsize::new(0), calls }
    }

    pub(super) fn reach(&self) -> &Reach {
        self.pool.manager()
    }

    pub(super) fn calls(&self) -> &RedisCalls {
        &self.calls
    }

    pub(super) fn most(&self) -> usize {
        self.pool.status().max_size
    }

    pub(super) fn state(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.available)
    }

    /// A connection of one's own; where there is only one, it is shared all the same.
    pub(super) async fn own(this: &Arc<Self>, call: &'static str) -> Result<Connection, PoolError<RedisError>> {
        if this.most() == this.lines.len() {
            return Self::shared(this, call).await;
        }
        Ok(Connection::owned(this.pool.get().await?, (Arc::clone(this), call)))
    }

    /// A shared one.
    pub(super) async fn shared(this: &Arc<Self>, call: &'static str) -> Result<Connection, PoolError<RedisError>> {
        let at = this.next.fetch_add(1, Ordering::Relaxed) % this.lines.len();
        let line = &this.lines[at];
        if let Some((wire, id)) = line.share() {
            return Ok(Connection::shared(wire, (Arc::clone(this), call), at, id));
        }
        // rare and large: kept out of the future of every command
        let (wire, id) = Box::pin(this.make(line)).await?;
        Ok(Connection::shared(wire, (Arc::clone(this), call), at, id))
    }

    async fn make(&self, line: &Line) -> Result<(Wire, ObjectId), PoolError<RedisError>> {
        let made = async {
            let _turn = line.making.lock().await;
            if let Some(shared) = line.share() {
                return Ok(shared);
            }
            Ok(line.hold(self.pool.get().await?))
        };
        // of those who wait for another caller's attempt, not everyone may begin one when it has failed
        tokio::time::timeout(CHECKOUT_TIMEOUT * 2, made).await.unwrap_or(Err(PoolError::Timeout(TimeoutType::Wait)))
    }

    /// This connection is of no more use; unless somebody else has replaced it already, the next caller does.
    pub(super) fn let_go(&self, at: usize, id: ObjectId) {
        let mut held = self.lines[at].held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broken) = held.take_if(|held| Object::id(&held.pooled) == id) {
            // out of the pool, not back into it: a server that answers may be the wrong one
            let _wire = Object::take(broken.pooled);
        }
    }
}

impl Line {
    fn share(&self) -> Option<(Wire, ObjectId)> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|held| (held.wire.clone(), Object::id(&held.pooled)))
    }

    fn hold(&self, pooled: Pooled) -> (Wire, ObjectId) {
        let (wire, id) = (pooled.clone(), Object::id(&pooled));
        let held = Held { pooled, wire: Wire::clone(&wire) };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        (Wire::clone(&wire), id)
    }
}
