//! What is published: a connection of its own that only listens, and is made anew whenever it breaks.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, ProtocolVersion, PushInfo, PushKind, RedisError, Value};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::RESPONSE_TIMEOUT;
use super::Server;
use super::reach::within;

/// Between two attempts to connect, growing from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message, on whichever of its channels.
    Message(Vec<u8>),
    /// Messages may have been missed before this.
    Gap,
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Hear = Arc<dyn Fn(Heard) + Send + Sync>;

impl Server {
    /// Hears what is published on these channels. `hear` must not block.
    #[must_use]
    pub fn listen(&self, channels: Vec<String>, hear: impl Fn(Heard) + Send + Sync + 'static) -> Listener {
        let (server, hear): (Self, Hear) = (self.clone(), Arc::new(hear));
        let task = tokio::spawn(async move {
            let mut pause = PAUSES[0];
            loop {
                match server.subscribe(&channels, &hear).await {
                    Ok((_connection, broken)) => {
                        hear(Heard::Gap);
                        pause = PAUSES[0];
                        broken.notified().await;
                    }
                    Err(error) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "cannot listen to redis");
                    }
                }
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(PAUSES[1]);
            }
        });
        Listener(task.abort_handle())
    }

    /// A connection that listens, and what tells that it has broken.
    async fn subscribe(
        &self,
        channels: &[String],
        hear: &Hear,
    ) -> Result<(MultiplexedConnection, Arc<Notify>), RedisError> {
        let mut last = None;
        for post in self.0.reach().listening_posts().await? {
            match listen_at(&post, channels, Arc::clone(hear)).await {
                Ok(listening) => return Ok(listening),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one post"))
    }
}

async fn listen_at(
    post: &Client,
    channels: &[String],
    hear: Hear,
) -> Result<(MultiplexedConnection, Arc<Notify>), RedisError> {
    let broken = Arc::new(Notify::new());
    let tell = Arc::clone(&broken);
    let config = within(RESPONSE_TIMEOUT).set_push_sender(move |push: PushInfo| {
        match push.kind {
            PushKind::Message => {
                if let Some(Value::BulkString(message)) = push.data.into_iter().nth(1) {
                    hear(Heard::Message(message));
                }
            }
            PushKind::Disconnection => tell.notify_one(),
            _ => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let info = post.get_connection_info().clone();
    // only in this version of the protocol is a connection told that it has broken
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.set_redis_settings(settings))?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    connection.subscribe(channels).await?;
    Ok((connection, broken))
}
