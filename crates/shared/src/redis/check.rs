//! Whether a deployment is fit to hold the queue.

use redis::{FromRedisValue as _, RedisError};

use super::{CallError, Server};
use crate::config::Durability;

/// Why a deployment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisUnfit {
    /// A URL is not one, or no connection could be prepared.
    #[error("the redis url cannot be used")]
    Url(#[source] RedisError),
    /// It did not answer.
    #[error("redis does not answer")]
    Unreachable(#[source] CallError),
    /// A server throws away keys when it is full, and with them accepted jobs.
    #[error("redis has maxmemory-policy {0}: set it to noeviction, or accepted jobs will be lost")]
    Evicts(String),
    /// A server is a node of a cluster.
    #[error("redis runs in cluster mode: set HAUL_REDIS_CLUSTER=true")]
    Clustered,
}

impl Server {
    /// Is every master fit to hold the queue? Warns of one that keeps nothing on disk and, when jobs are to reach a
    /// replica, of one that has none.
    ///
    /// # Errors
    /// [`RedisUnfit`].
    pub async fn check(&self, durability: Durability) -> Result<(), RedisUnfit> {
        for facts in self.facts().await.map_err(RedisUnfit::Unreachable)? {
            match info_field(&facts, "maxmemory_policy") {
                Some("noeviction") | None => {}
                Some(policy) => return Err(RedisUnfit::Evicts(policy.to_owned())),
            }
            if !self.is_cluster() && info_field(&facts, "cluster_enabled") == Some("1") {
                return Err(RedisUnfit::Clustered);
            }
            if info_field(&facts, "aof_enabled") == Some("0") {
                tracing::warn!(
                    "redis has no append-only file: jobs accepted since its last snapshot are lost when it dies"
                );
            }
            if durability == Durability::Replica && info_field(&facts, "connected_slaves") == Some("0") {
                tracing::warn!(
                    "redis has no replica: with HAUL_DURABILITY=replica no job is accepted until it has one"
                );
            }
        }
        Ok(())
    }

    /// What each master says of itself.
    async fn facts(&self) -> Result<Vec<String>, CallError> {
        let answer = self.connection("info").await?.of_masters(redis::cmd("INFO")).await.map_err(CallError::Call)?;
        answer
            .into_iter()
            .map(|info| String::from_redis_value(info).map_err(|error| CallError::Call(error.into())))
            .collect()
    }
}

/// One field of what `INFO` prints.
fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let info = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert_eq!(info_field(info, "maxmemory_policy"), Some("allkeys-lru"));
        assert_eq!(info_field(info, "maxmemory"), Some("0"));
        assert_eq!(info_field(info, "policy"), None);
    }
}
