//! Who waits for work, and how: a blocking pop of wake tokens, on a connection of its own. The call for a sentry
//! (`lua/sentry.lua`) comes the same way, and so do tokens of ends that are to be told: nobody has to ask for those.
//!
//! A token says that there may be work, no more; a lost one costs one time-out. Never shared with other commands,
//! which would wait behind it.

use std::time::{Duration, Instant};

use super::keys::{self, Lane};
use super::{JobStore, StoreError};
use crate::ids::Shard;
use crate::redis::Connection;

/// The longest wait that a connection is made for.
const LONGEST: Duration = Duration::from_secs(60);

/// Where tokens lie that are not of a lane.
const SENTRY: &str = "sentry";
const UNTOLD: &str = "untold";

/// Waits for work in some lanes of a shard.
pub(super) struct WakeCall {
    store: JobStore,
    shard: Shard,
    keys: Vec<String>,
    connection: Option<Connection>,
}

impl JobStore {
    /// A wait for work in these lanes.
    pub(super) fn wake_call(&self, shard: Shard, lanes: &[Lane]) -> WakeCall {
        let names = lanes.iter().map(Lane::to_string).chain([SENTRY, UNTOLD].map(str::to_owned));
        let keys = names.map(|name| keys::key(shard, "wake") + &name).collect();
        WakeCall { store: self.clone(), shard, keys, connection: None }
    }
}

impl WakeCall {
    /// Returns when there may be work, or after `longest` (at most 60 s). Dropped half-way, it takes its connection
    /// along: the server would give the next token to a caller who has gone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the next call connects anew.
    pub(super) async fn wait(&mut self, longest: Duration) -> Result<(), StoreError> {
        if longest.is_zero() {
            return Ok(());
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.0.server.waiting(LONGEST).await?,
        };
        let end = Instant::now() + longest.min(LONGEST);
        loop {
            let mut pop = redis::cmd("BLPOP");
            // zero would be for ever
            pop.arg(&self.keys).arg(end.saturating_duration_since(Instant::now()).as_secs_f64().max(0.01));
            let token: Option<(String, String)> = pop.query_async(&mut connection).await?;
            match token {
                Some((key, _)) if self.keys.last() == Some(&key) => self.store.ring(self.shard),
                Some(_) | None => break,
            }
        }
        self.connection = Some(connection);
        Ok(())
    }
}
