//! How a connection comes to stand, and whether one that has been idle still does: the pool's manager.

use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisError};
use tokio::sync::Mutex;

use super::deployment::tcp;
use super::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT};

/// A pooled connection that was handed out this lately is not asked whether it lives: that would cost every caller a
/// round trip. One that died meanwhile is found out by its next command.
const TRUSTED: Duration = Duration::from_secs(5);

/// What commands are sent through; clones share it.
#[derive(Clone)]
pub(super) enum Wire {
    /// To one server.
    Node(MultiplexedConnection),
    /// To all masters of a cluster. It mends itself.
    Cluster(ClusterConnection),
}

/// The way to a deployment.
pub(super) enum Reach {
    Single { client: Client, manager: deadpool_redis::Manager },
    Sentinel { client: Mutex<SentinelClient> },
    Cluster { client: ClusterClient, seeds: Vec<ConnectionInfo> },
}

impl Reach {
    pub(super) fn single(info: ConnectionInfo) -> Result<Self, RedisError> {
        let manager = deadpool_redis::Manager::new_with_config(info.clone(), within(RESPONSE_TIMEOUT))?;
        Ok(Self::Single { client: Client::open(info)?, manager })
    }

    pub(super) fn sentinel(client: Mutex<SentinelClient>) -> Self {
        Self::Sentinel { client }
    }

    pub(super) fn cluster(seeds: Vec<ConnectionInfo>) -> Result<Self, RedisError> {
        Ok(Self::Cluster { client: cluster(&seeds, RESPONSE_TIMEOUT)?, seeds })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster { .. })
    }

    /// A connection for commands that take up to `longest`.
    pub(super) async fn waiting(&self, longest: Duration) -> Result<Wire, RedisError> {
        let patience = longest + RESPONSE_TIMEOUT;
        match self {
            Self::Single { .. } | Self::Sentinel { .. } => self.node(patience).await.map(Wire::Node),
            Self::Cluster { seeds, .. } => cluster(seeds, patience)?.get_async_connection().await.map(Wire::Cluster),
        }
    }

    /// Servers that hear all that is published: the master or, of a cluster, any of its nodes. Never empty.
    pub(super) async fn listening_posts(&self) -> Result<Vec<Client>, RedisError> {
        match self {
            Self::Single { .. } | Self::Sentinel { .. } => Ok(vec![self.master().await?]),
            Self::Cluster { seeds, .. } => seeds.iter().map(|seed| Client::open(seed.clone())).collect(),
        }
    }

    async fn node(&self, patience: Duration) -> Result<MultiplexedConnection, RedisError> {
        self.master().await?.get_multiplexed_async_connection_with_config(&within(patience)).await
    }

    async fn master(&self) -> Result<Client, RedisError> {
        match self {
            Self::Single { client, .. } => Ok(client.clone()),
            // each lookup has time-outs of its own, and the pool ends one that takes too long
            Self::Sentinel { client } => client.lock().await.async_get_client().await,
            Self::Cluster { .. } => Err((redis::ErrorKind::InvalidClientConfig, "a cluster has many masters").into()),
        }
    }
}

/// The settings of a connection whose answers come within `patience`.
pub(super) fn within(patience: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_response_timeout(Some(patience))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // the queue before the socket; the library's 50 makes callers beyond it wait for each other twice
        .set_pipeline_buffer_size(512)
}

fn cluster(seeds: &[ConnectionInfo], patience: Duration) -> Result<ClusterClient, RedisError> {
    ClusterClient::builder(seeds.iter().cloned())
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(patience)
        .tcp_settings(tcp())
        // a slot that has moved is followed at once; the callers decide what else is sent again
        .retries(3)
        .min_retry_wait(20)
        .max_retry_wait(200)
        .build()
}

impl Manager for Reach {
    type Type = Wire;
    type Error = RedisError;

    async fn create(&self) -> Result<Wire, RedisError> {
        match self {
            Self::Single { manager, .. } => manager.create().await.map(Wire::Node),
            Self::Sentinel { .. } => self.node(RESPONSE_TIMEOUT).await.map(Wire::Node),
            Self::Cluster { client, .. } => client.get_async_connection().await.map(Wire::Cluster),
        }
    }

    async fn recycle(&self, wire: &mut Wire, metrics: &Metrics) -> RecycleResult<RedisError> {
        if metrics.last_used() < TRUSTED {
            return Ok(());
        }
        match (self, wire) {
            (Self::Single { manager, .. }, Wire::Node(node)) => manager.recycle(node, metrics).await,
            (Self::Sentinel { .. }, Wire::Node(node)) => Ok(redis::cmd("PING").query_async(node).await?),
            (Self::Cluster { .. }, _) | (_, Wire::Cluster(_)) => Ok(()),
        }
    }
}
