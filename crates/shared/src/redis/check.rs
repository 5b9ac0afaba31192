//! Whether a deployment is fit to hold the queue: what its masters say of themselves, judged once, for the start of a
//! process and for its doctor.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{FromRedisValue as _, RedisError};

use super::{CallError, Server};
use crate::config::Durability;

/// The oldest that knows what our scripts and connections ask for (`LPOS`, RESP3).
const OLDEST: [u32; 3] = [6, 0, 6];
/// Of a hundred parts of the memory that it may take; beyond them there is little room left for a burst.
const NEARLY_FULL: u64 = 90;

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
    /// A server does not know what it will be asked.
    #[error("redis is {0}: it has to be 6.0.6 or newer")]
    Old(String),
}

/// What keeps no process from starting, and should not stay so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisDoubt {
    /// What is written comes from its master alone.
    #[error("redis is a replica: no job is accepted or begun here until it is a master")]
    Replica,
    /// Nothing is kept but by snapshots.
    #[error("redis has no append-only file: jobs accepted since its last snapshot are lost when it dies")]
    NoLog,
    /// Nothing was kept lately: its disk is full, say.
    #[error("redis could not write its append-only file: what is accepted now is lost when it dies")]
    LogFails,
    /// It may refuse writes for it (`stop-writes-on-bgsave-error`).
    #[error("redis could not write its last snapshot, and may refuse all jobs for it")]
    SnapshotFails,
    /// Jobs are to reach a replica, and there is none.
    #[error("redis has no replica: with HAUL_DURABILITY=replica no job is accepted until it has one")]
    NoReplica,
    /// Soon it refuses jobs.
    #[error("redis has used {percent} % of the memory that it may take (maxmemory)")]
    NearlyFull {
        /// How much, of a hundred.
        percent: u64,
    },
}

/// What one master says of itself (`INFO`).
#[derive(Debug, Clone)]
pub struct RedisFacts {
    info: String,
    is_of_cluster: bool,
}

impl RedisFacts {
    /// Its version, as it says it; that of Redis whose commands it has, of one that is called otherwise.
    #[must_use]
    pub fn version(&self) -> &str {
        self.field("redis_version").unwrap_or("of no version")
    }

    /// What it does when it is full.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.field("maxmemory_policy")
    }

    /// The memory that it may take, in bytes; 0: any.
    #[must_use]
    pub fn most_memory(&self) -> u64 {
        self.number("maxmemory").unwrap_or(0)
    }

    /// Replicas that follow it.
    #[must_use]
    pub fn replicas(&self) -> u64 {
        self.number("connected_slaves").unwrap_or(0)
    }

    /// Why it can't hold the queue, if it can't.
    #[must_use]
    pub fn unfit(&self) -> Option<RedisUnfit> {
        match self.policy() {
            Some("noeviction") | None => {}
            Some(policy) => return Some(RedisUnfit::Evicts(policy.to_owned())),
        }
        if !self.is_of_cluster && self.field("cluster_enabled") == Some("1") {
            return Some(RedisUnfit::Clustered);
        }
        self.field("redis_version").filter(|version| is_old(version)).map(|version| RedisUnfit::Old(version.to_owned()))
    }

    /// What is doubtful about it as the place of the queue.
    #[must_use]
    pub fn doubts(&self, durability: Durability) -> Vec<RedisDoubt> {
        let is = |name: &str, value: &str| self.field(name) == Some(value);
        let used = self.number("used_memory").unwrap_or(0);
        let percent = used.saturating_mul(100).checked_div(self.most_memory()).unwrap_or(0);
        let doubts = [
            // a cluster finds its masters by itself: who is none any more is soon left
            (!self.is_of_cluster && is("role", "slave"), RedisDoubt::Replica),
            (is("aof_enabled", "0"), RedisDoubt::NoLog),
            (is("aof_last_write_status", "err"), RedisDoubt::LogFails),
            (is("rdb_last_bgsave_status", "err"), RedisDoubt::SnapshotFails),
            (durability == Durability::Replica && is("connected_slaves", "0"), RedisDoubt::NoReplica),
            (percent >= NEARLY_FULL, RedisDoubt::NearlyFull { percent }),
        ];
        doubts.into_iter().filter_map(|(is_so, doubt)| is_so.then_some(doubt)).collect()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// What is no number is not held against it: who calls himself otherwise may well know all.
fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let parts = [parts.next(), parts.next(), parts.next()];
    parts[0].is_some() && parts.map(Option::unwrap_or_default) < OLDEST
}

impl Server {
    /// Is every master fit to hold the queue? Warns of what is doubtful.
    ///
    /// # Errors
    /// [`RedisUnfit`].
    pub async fn check(&self, durability: Durability) -> Result<(), RedisUnfit> {
        for facts in self.facts().await.map_err(RedisUnfit::Unreachable)? {
            if let Some(unfit) = facts.unfit() {
                return Err(unfit);
            }
            for doubt in facts.doubts(durability) {
                tracing::warn!("{doubt}");
            }
        }
        Ok(())
    }

    /// What each master says of itself.
    ///
    /// # Errors
    /// When one does not.
    pub async fn facts(&self) -> Result<Vec<RedisFacts>, CallError> {
        let answer = self.connection("info").await?.of_masters(redis::cmd("INFO")).await.map_err(CallError::Call)?;
        let facts = |info| match String::from_redis_value(info) {
            Ok(info) => Ok(RedisFacts { info, is_of_cluster: self.is_cluster() }),
            Err(error) => Err(CallError::Call(error.into())),
        };
        answer.into_iter().map(facts).collect()
    }

    /// How far the clock of each master is from this machine's, either way: at least, for an answer may have been on its way
    /// all the time that it took.
    ///
    /// # Errors
    /// When one does not tell.
    pub async fn clocks_off(&self) -> Result<Vec<Duration>, CallError> {
        let mut connection = self.connection("time").await?;
        let before = now();
        let answer = connection.of_masters(redis::cmd("TIME")).await.map_err(CallError::Call)?;
        let after = now();
        let off = |answer| {
            let (seconds, micros) = <(u64, u32)>::from_redis_value(answer)?;
            let theirs = Duration::from_secs(seconds) + Duration::from_micros(micros.into());
            Ok(before.saturating_sub(theirs).max(theirs.saturating_sub(after)))
        };
        answer
            .into_iter()
            .map(off)
            .collect::<Result<_, redis::ParsingError>>()
            .map_err(|error| CallError::Call(error.into()))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(info: &str) -> RedisFacts {
        RedisFacts { info: info.replace(' ', "\r\n"), is_of_cluster: false }
    }

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let facts = facts("# maxmemory:7 maxmemory_policy:allkeys-lru redis_version:7.0.15");
        assert_eq!((facts.policy(), facts.most_memory(), facts.version()), (Some("allkeys-lru"), 7, "7.0.15"));
        assert_eq!(facts.field("policy"), None);
    }

    #[test]
    fn what_cannot_hold_the_queue_is_refused_for_its_first_reason() {
        for (info, why) in [
            ("maxmemory_policy:volatile-lru redis_version:5.0.0", Some("volatile-lru")),
            ("maxmemory_policy:noeviction cluster_enabled:1", Some("HAUL_REDIS_CLUSTER=true")),
            ("redis_version:6.0.5", Some("redis is 6.0.5")),
            ("redis_version:5.9", Some("redis is 5.9")),
            ("redis_version:6.0.6", None),
            ("redis_version:6.2", None),
            ("redis_version:255.255.255", None),
            ("redis_version:unknown", None),
            ("", None),
        ] {
            let unfit = facts(info).unfit().map(|unfit| unfit.to_string());
            assert_eq!(unfit.is_some(), why.is_some(), "{info}: {unfit:?}");
            assert!(unfit.unwrap_or_default().contains(why.unwrap_or_default()), "{info}");
        }
        let of_cluster = RedisFacts { is_of_cluster: true, ..facts("cluster_enabled:1") };
        assert!(of_cluster.unfit().is_none());
    }

    #[test]
    fn what_is_doubtful_is_told_all_at_once() {
        let bad = "role:slave aof_enabled:0 aof_last_write_status:err rdb_last_bgsave_status:err connected_slaves:0 maxmemory:100 \
                   used_memory:95";
        let doubts = facts(bad).doubts(Durability::Replica);
        let [role, no_log, log, snapshot, replica, memory] = doubts.try_into().expect("all six");
        assert_eq!((role, no_log, log), (RedisDoubt::Replica, RedisDoubt::NoLog, RedisDoubt::LogFails));
        assert_eq!((snapshot, replica), (RedisDoubt::SnapshotFails, RedisDoubt::NoReplica));
        assert_eq!(memory, RedisDoubt::NearlyFull { percent: 95 });
        let good = "role:master aof_enabled:1 aof_last_write_status:ok connected_slaves:0 maxmemory:0 used_memory:95";
        assert_eq!(facts(good).doubts(Durability::Aof), []);
        let of_cluster = RedisFacts { is_of_cluster: true, ..facts("role:slave") };
        assert_eq!(of_cluster.doubts(Durability::Aof), []);
    }
}
