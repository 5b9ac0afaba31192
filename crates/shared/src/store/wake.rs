//! Who waits for work, and how: a blocking pop of wake tokens, on a connection of its own.
//!
//! A token says that there may be work, no more; a lost one costs one time-out. Never shared with other commands,
//! which would wait behind it.

use std::time::Duration;

use super::keys::{self, Lane};
use super::{JobStore, StoreError};
use crate::redis::Connection;

/// The longest wait for a token.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits for work in some lanes.
pub struct WakeCall {
    store: JobStore,
    keys: Vec<String>,
    connection: Option<Connection>,
}

impl JobStore {
    /// A wait for work in these lanes.
    #[must_use]
    pub fn wake_call(&self, lanes: &[Lane]) -> WakeCall {
        let keys = lanes.iter().map(|lane| keys::key("wake") + &lane.to_string()).collect();
        WakeCall { store: self.clone(), keys, connection: None }
    }
}

impl WakeCall {
    /// Returns when there may be work, after 5 s at most. Dropped half-way, it takes its connection along: the
    /// server would give the next token to a caller who has gone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the next call connects anew.
    pub async fn wait(&mut self) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.store.0.server.waiting(LONGEST).await?,
        };
        let mut pop = redis::cmd("BLPOP");
        pop.arg(&self.keys).arg(LONGEST.as_secs());
        let _token: Option<(String, String)> = pop.query_async(&mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
