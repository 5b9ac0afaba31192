//! Who waits for a job to change, and how it hears of it.
//!
//! Every change is published with the job's id on one channel; each process listens once and tells its own
//! watchers. A message can be lost (a broken connection), so a watch also wakes by itself now and then.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, PushInfo, PushKind, RedisError, Value};
use tokio::sync::{OnceCell, watch};

use super::keys;
use crate::ids::JobId;
use crate::redis::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT};

/// How long a watch sleeps at most.
const LONGEST: Duration = Duration::from_secs(5);

/// The watchers of this process.
#[derive(Clone)]
pub(super) struct Changes {
    client: Client,
    watchers: Arc<Mutex<HashMap<JobId, watch::Sender<()>>>>,
    /// Made at the first watch, since workers never watch.
    listener: Arc<OnceCell<ConnectionManager>>,
}

impl Changes {
    pub(super) fn new(client: Client) -> Self {
        Self { client, watchers: Arc::default(), listener: Arc::default() }
    }

    /// Watches a job from now on.
    pub(super) async fn watch(&self, job: JobId) -> Result<Watch, RedisError> {
        self.listener.get_or_try_init(|| self.listen()).await?;
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = watchers.entry(job).or_insert_with(|| watch::channel(()).0).subscribe();
        drop(watchers);
        Ok(Watch { job, receiver, changes: self.clone() })
    }

    async fn listen(&self) -> Result<ConnectionManager, RedisError> {
        let watchers = Arc::clone(&self.watchers);
        let hear = move |message: PushInfo| {
            tell(&watchers.lock().unwrap_or_else(PoisonError::into_inner), &message);
            Ok::<(), Infallible>(())
        };
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(2)
            .set_push_sender(hear)
            .set_automatic_resubscription();
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(redis::ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        let mut connection = client.get_connection_manager_with_config(config).await?;
        connection.subscribe(keys::key("changed")).await?;
        Ok(connection)
    }
}

/// Tells the watchers whom a message concerns: those of one job or, when messages may have been lost, all.
fn tell(watchers: &HashMap<JobId, watch::Sender<()>>, message: &PushInfo) {
    match message.kind {
        PushKind::Message => {
            let id = match message.data.get(1) {
                Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).ok(),
                Some(Value::SimpleString(text)) => Some(text.as_str()),
                _ => None,
            };
            if let Some(watcher) = id.and_then(|id| watchers.get(&id.parse().ok()?)) {
                watcher.send_replace(());
            }
        }
        PushKind::Disconnection | PushKind::Subscribe => watchers.values().for_each(|watcher| {
            watcher.send_replace(());
        }),
        _ => {}
    }
}

/// A watch on one job: watch first, then read, then wait; nothing is missed.
pub struct Watch {
    job: JobId,
    receiver: watch::Receiver<()>,
    changes: Changes,
}

impl Watch {
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
