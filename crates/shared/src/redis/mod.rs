//! Connections to one deployment's Redis: a single server, one behind Sentinel, or a Cluster.
//!
//! Short commands share a few connections, on which they follow one another without waiting ([`Server::connection`]);
//! what blocks gets a connection to itself ([`Server::exclusive`], [`Server::waiting`], [`Server::listen`]). Every
//! time-out is set on purpose: the library's own of 500 ms for an answer would end every blocking command and, on a
//! busy server, some that are not. Not here: what is stored (`crate::store`), and under which keys.

mod call;
mod check;
mod connection;
mod deployment;
mod fault;
mod lines;
mod listen;
mod reach;
mod trouble;

pub use call::{Call, CallError, Script};
pub use check::{RedisDoubt, RedisFacts, RedisUnfit};
pub use connection::Connection;
pub use deployment::Deployment;
pub use listen::{Heard, Listener};
pub use trouble::Trouble;

use std::sync::Arc;
use std::time::Duration;

use lines::Lines;

use crate::metrics::{Reason, RedisCalls, Role};

/// For an answer to a short command.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// For a connection to stand.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One deployment's Redis. Connects on first use; clones share their connections.
#[derive(Clone)]
pub struct Server(Arc<Lines>);

impl Server {
    /// Prepares at most `size` connections to the queue's Redis; one that waits and one that listens come on top.
    ///
    /// # Errors
    /// [`RedisUnfit::Url`].
    pub fn new(deployment: &Deployment, size: usize) -> Result<Self, RedisUnfit> {
        Self::of_role(Role::Queue, deployment, size)
    }

    /// The same to a Redis of this role.
    ///
    /// # Errors
    /// [`RedisUnfit::Url`].
    pub fn of_role(role: Role, deployment: &Deployment, size: usize) -> Result<Self, RedisUnfit> {
        Ok(Self(Arc::new(Lines::new(deployment.reach()?, size, RedisCalls::new(role)))))
    }

    /// The single server at `url`.
    ///
    /// # Errors
    /// [`RedisUnfit::Url`].
    pub fn at(url: &str, size: usize) -> Result<Self, RedisUnfit> {
        Self::new(&Deployment::Single { url: url.into() }, size)
    }

    /// Are keys spread over several masters? Then a command may name keys of one hash tag only.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.0.reach().is_cluster()
    }

    /// A connection that others use at the same time: for short commands, never for one that blocks. By the name of `call`
    /// they are measured.
    ///
    /// # Errors
    /// When none can be made in time.
    pub async fn connection(&self, call: &'static str) -> Result<Connection, CallError> {
        let had = Lines::shared(&self.0, call).await;
        had.inspect_err(|_| self.calls().failed(Reason::NoConnection)).map_err(CallError::Connection)
    }

    /// A connection that nobody else uses until it is dropped, unless the pool has only one; measured likewise.
    ///
    /// # Errors
    /// When none is free, or can be made, in time.
    pub async fn exclusive(&self, call: &'static str) -> Result<Connection, CallError> {
        let had = Lines::own(&self.0, call).await;
        had.inspect_err(|_| self.calls().failed(Reason::NoConnection)).map_err(CallError::Connection)
    }

    /// A connection for commands that wait up to `longest`, outside of the pool, and not measured. Whoever gives up a wait
    /// drops it whole: the server would give what comes next to a caller who has gone.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn waiting(&self, longest: Duration) -> Result<Connection, CallError> {
        let wire = self.0.reach().waiting(longest).await.map_err(CallError::Call)?;
        Ok(Connection::alone(wire))
    }

    /// Connections of the pool: in use, idle. One that is shared is in use for as long as it lasts.
    #[must_use]
    pub fn pool_state(&self) -> (usize, usize) {
        self.0.state()
    }

    /// Does it share its connections with the other?
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Connections that the pool may have.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        self.0.most()
    }

    /// What is measured of its calls.
    #[must_use]
    pub fn calls(&self) -> &RedisCalls {
        self.0.calls()
    }

    /// Does it answer? Of a cluster, any of its masters.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), CallError> {
        self.connection("ping").await?.ping().await.map_err(CallError::Call)
    }

    /// Does it answer, and take writes? It is told to remove `nothing`, a key that is never there: that changes nothing, so a
    /// full server does it, but one that was made a replica answers, and refuses this as it would any other write. A
    /// cluster finds its masters itself: of it, as [`Self::ping`].
    ///
    /// # Errors
    /// When it does not.
    pub async fn takes_writes(&self, nothing: &str) -> Result<(), CallError> {
        if self.is_cluster() {
            return self.ping().await;
        }
        let mut connection = self.connection("ping").await?;
        redis::cmd("DEL").arg(nothing).query_async(&mut connection).await.map_err(CallError::Call)
    }
}
