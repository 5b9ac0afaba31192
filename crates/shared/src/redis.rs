//! Connections to Redis: a pool for short commands, and connections of their own for those that wait.
//!
//! The crate's default of 500 ms for an answer would end every blocking command and, on a busy server, some
//! that are not; every time-out here is set on purpose.

use std::time::Duration;

use deadpool_redis::{Manager, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};

/// For an answer to a short command.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// For a connection to stand.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisUnfit {
    /// The URL is not one, or no connection could be prepared.
    #[error("the redis url cannot be used")]
    Url(#[source] RedisError),
    /// It did not answer.
    #[error("redis does not answer")]
    Unreachable(#[source] RedisError),
    /// It throws away keys when it is full, and with them accepted jobs.
    #[error("redis has maxmemory-policy {0}: set it to noeviction, or accepted jobs will be lost")]
    Evicts(String),
}

/// A pool of at most `size` connections to the server at `url`. Connects on first use.
///
/// # Errors
/// [`RedisUnfit::Url`].
pub fn pool(url: &str, size: usize) -> Result<Pool, RedisUnfit> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT));
    let manager = Manager::new_with_config(url, config).map_err(RedisUnfit::Url)?;
    let pool = Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(2)))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(Duration::from_secs(2)))
        .build();
    Ok(pool.expect("a runtime is given, the only thing that a builder can lack"))
}

/// A connection for commands that wait up to `longest`: never shared, dropped whole when a wait is given up.
///
/// # Errors
/// When the server cannot be reached.
pub async fn waiting_connection(client: &Client, longest: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(Some(longest + RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Is this server fit to hold the queue? Warns when it keeps nothing on disk.
///
/// # Errors
/// [`RedisUnfit::Unreachable`] and [`RedisUnfit::Evicts`].
pub async fn check_queue_server(url: &str) -> Result<(), RedisUnfit> {
    let client = Client::open(url).map_err(RedisUnfit::Url)?;
    let mut connection = waiting_connection(&client, Duration::ZERO).await.map_err(RedisUnfit::Unreachable)?;
    let mut facts = String::new();
    for section in ["memory", "persistence"] {
        let info: String =
            redis::cmd("INFO").arg(section).query_async(&mut connection).await.map_err(RedisUnfit::Unreachable)?;
        facts.push_str(&info);
    }
    match info_field(&facts, "maxmemory_policy") {
        Some("noeviction") | None => {}
        Some(policy) => return Err(RedisUnfit::Evicts(policy.to_owned())),
    }
    if info_field(&facts, "aof_enabled") == Some("0") {
        tracing::warn!("redis has no append-only file: jobs accepted since its last snapshot are lost when it dies");
    }
    Ok(())
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
