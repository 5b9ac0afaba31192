//! The Redis of the queue and that of the cache. Reads only: no key is written, and no script is kept.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{Check, Finding};
use crate::config::{Durability, RedisConfig};
use crate::redis::{CallError, Deployment, RedisDoubt, RedisFacts, RedisUnfit, Server, Trouble};
use crate::store::{JobStore, StoreError, StoreSettings};

/// For all questions to one deployment.
const WITHIN: Duration = Duration::from_secs(25);
/// For a name to be resolved.
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
/// Beyond it, every order and every poll is slow for it: scripts are called one after the other.
const SLOW: Duration = Duration::from_millis(20);
/// Questions, of which the middle one counts.
const PINGS: usize = 5;
/// A lease, a retry and a link are counted by these clocks.
const CLOCK_DOUBTFUL: Duration = Duration::from_secs(1);
const CLOCK_WRONG: Duration = Duration::from_secs(5);

/// What is told of one deployment, by its role.
#[derive(Clone, Copy)]
struct Role {
    reach: &'static str,
    variable: &'static str,
}

const QUEUE: Role = Role { reach: "redis.reach", variable: "HAUL_REDIS_URL" };
const CACHE: Role = Role { reach: "cache.reach", variable: "HAUL_CACHE_REDIS_URL" };

/// Whether the queue's Redis can be reached and is fit for it, whether the queue is cut as here, and whether the clocks agree.
#[must_use]
pub fn queue(config: &RedisConfig, settings: StoreSettings) -> Check {
    let deployment = config.queue.clone();
    Check::new(QUEUE.reach, WITHIN, async move {
        let (server, reached) = match reach(QUEUE, &deployment).await {
            Ok(reached) => reached,
            Err(finding) => return vec![finding],
        };
        let facts = match server.facts().await {
            Ok(facts) => facts,
            Err(error) => return vec![reached, unanswered("redis.facts", QUEUE, &error)],
        };
        let mut findings = vec![reached];
        findings.extend(facts.iter().flat_map(|facts| judged(facts, settings.durability)));
        findings.push(shards(server.clone(), settings).await);
        findings.push(latency(&server).await);
        findings.push(clock(&server).await);
        findings
    })
}

/// Whether the cache's Redis can be reached, where it is another one.
#[must_use]
pub fn cache(config: &RedisConfig) -> Check {
    let deployment = config.cache.clone();
    Check::new(CACHE.reach, WITHIN, async move {
        let Some(deployment) = deployment else {
            return vec![Finding::ok(CACHE.reach, "metadata are kept in the redis of the queue")];
        };
        let (server, reached) = match reach(CACHE, &deployment).await {
            Ok(reached) => reached,
            Err(finding) => return vec![finding],
        };
        match server.facts().await {
            Ok(facts) => std::iter::once(reached).chain(facts.iter().map(fit_to_cache)).collect(),
            Err(error) => vec![reached, unanswered("cache.facts", CACHE, &error)],
        }
    })
}

/// The server, once it has answered.
async fn reach(role: Role, deployment: &Deployment) -> Result<(Server, Finding), Finding> {
    let places = deployment.places();
    let names = places.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(", ");
    let lookups = places.iter().map(|(host, port)| timeout(RESOLVED_WITHIN, lookup_host((host.as_str(), *port))));
    let is_found = join_all(lookups).await.into_iter().any(|found| matches!(found, Ok(Ok(_))));
    // of several, one that is found tells of the others
    if let (false, [(host, _), ..]) = (is_found, &places[..]) {
        let remedy =
            format!("mend the host in {}, or the resolver of this machine: getent hosts {host}", role.variable);
        return Err(Finding::fail(role.reach, format!("the name {host} leads to no address"), remedy));
    }
    let server = Server::new(deployment, 2)
        .map_err(|error| Finding::fail(role.reach, error, format!("set {} to redis://host:6379", role.variable)))?;
    match server.ping().await {
        Ok(()) => Ok((server, Finding::ok(role.reach, format!("{names} answers")))),
        Err(error) => {
            let (found, remedy) = match Trouble::of(&error) {
                // a server without TLS waits for the end of what it takes for a command
                Trouble::Silent if deployment.wants_tls() => trouble(role, &Trouble::Tls),
                other => trouble(role, &other),
            };
            Err(Finding::fail(role.reach, format!("{names} {found}"), remedy))
        }
    }
}

fn unanswered(name: &'static str, role: Role, error: &CallError) -> Finding {
    let (found, remedy) = trouble(role, &Trouble::of(error));
    Finding::fail(name, format!("it {found}"), remedy)
}

/// What it does, and what to do about it.
fn trouble(role: Role, trouble: &Trouble) -> (String, String) {
    let variable = role.variable;
    let (found, remedy) = match trouble {
        Trouble::Refused => (
            "refuses connections: nobody listens there",
            format!("start redis-server deploy/redis/redis.conf, or mend {variable}"),
        ),
        Trouble::Silent => (
            "does not answer in time",
            format!("is the address in {variable} right, and does a firewall let it through? If so, see whether Redis hangs"),
        ),
        Trouble::Password => (
            "refuses the password, or the want of one",
            format!("put user and password into {variable}: redis://USER:PASSWORD@host:6379 (without a user: redis://:PASSWORD@...)"),
        ),
        Trouble::Forbidden => (
            "forbids its user what Haul does",
            "let the user do so: redis-cli ACL SETUSER USER on ~haul* &haul* +@all -@dangerous +info".to_owned(),
        ),
        Trouble::Tls => (
            "does not answer to TLS, or not with a certificate that is trusted here",
            format!("use redis:// in {variable} if it speaks no TLS; else let its certificate name this host, and trust its authority by SSL_CERT_FILE"),
        ),
        Trouble::Strange => (
            "hangs up, or speaks something else than Redis",
            format!("use rediss:// in {variable} if it wants TLS; else see whether the port is that of Redis"),
        ),
        Trouble::Loading => ("is still reading its files", "wait until it has: redis-cli INFO persistence".to_owned()),
        Trouble::NoMaster => (
            "knows no master of that name",
            "set HAUL_REDIS_SENTINEL to a name of: redis-cli -p 26379 SENTINEL MASTERS".to_owned(),
        ),
        Trouble::NoCluster => (
            "is no cluster, or none of its nodes can be reached",
            "leave HAUL_REDIS_CLUSTER out for a single server; else see redis-cli CLUSTER NODES: each address in it must lead there from here".to_owned(),
        ),
        Trouble::Other(said) => {
            let said = if said.is_empty() { "does not answer".to_owned() } else { format!("does not answer: {said}") };
            return (said, format!("mend {variable}, or what it leads to"));
        }
    };
    (found.to_owned(), remedy)
}

/// One master as the place of the queue.
fn judged(facts: &RedisFacts, durability: Durability) -> Vec<Finding> {
    let doubts = facts.doubts(durability);
    let is = |wanted: fn(&RedisDoubt) -> bool| doubts.iter().find(|doubt| wanted(doubt));
    let mut findings = match facts.unfit() {
        Some(unfit) => vec![refused(&unfit)],
        None => vec![
            Finding::ok("redis.version", facts.version()),
            Finding::ok("redis.eviction", facts.policy().unwrap_or("it names no policy")),
        ],
    };
    let fine = || Finding::ok("redis.role", "it is no replica");
    findings.push(is(|doubt| *doubt == RedisDoubt::Replica).map_or_else(fine, doubted));
    let kept =
        |doubt: &RedisDoubt| matches!(doubt, RedisDoubt::NoLog | RedisDoubt::LogFails | RedisDoubt::SnapshotFails);
    match is(kept) {
        Some(_) => findings.extend(doubts.iter().filter(|doubt| kept(doubt)).map(doubted)),
        None => findings.push(Finding::ok("redis.persistence", "the append-only file is on, and was written")),
    }
    if durability == Durability::Replica {
        let fine = || Finding::ok("redis.replicas", format!("{} replicas follow", facts.replicas()));
        findings.push(is(|doubt| *doubt == RedisDoubt::NoReplica).map_or_else(fine, doubted));
    }
    let room = match facts.most_memory() {
        0 => "no limit of its own (maxmemory)".to_owned(),
        most => format!("at most {}, of which more than a tenth is free", bytesize::ByteSize(most)),
    };
    let fine = || Finding::ok("redis.memory", room);
    findings.push(is(|doubt| matches!(doubt, RedisDoubt::NearlyFull { .. })).map_or_else(fine, doubted));
    findings
}

/// What no process starts with.
fn refused(unfit: &RedisUnfit) -> Finding {
    let (name, remedy) = match unfit {
        RedisUnfit::Evicts(_) => (
            "redis.eviction",
            "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf; a cache that may evict is named by HAUL_CACHE_REDIS_URL",
        ),
        RedisUnfit::Clustered => {
            ("redis.mode", "set HAUL_REDIS_CLUSTER=true, and several of its nodes in HAUL_REDIS_URL")
        }
        RedisUnfit::Old(_) => ("redis.version", "install Redis 7, or Valkey"),
        RedisUnfit::Url(_) | RedisUnfit::Unreachable(_) => ("redis.reach", "mend HAUL_REDIS_URL"),
    };
    Finding::fail(name, unfit, remedy)
}

/// What a start warns of.
fn doubted(doubt: &RedisDoubt) -> Finding {
    match doubt {
        RedisDoubt::Replica => Finding::fail(
            "redis.role",
            doubt,
            "set HAUL_REDIS_URL to its master (redis-cli INFO replication), or to sentinels and HAUL_REDIS_SENTINEL to its name; if the master is gone for good: redis-cli REPLICAOF NO ONE",
        ),
        RedisDoubt::NoLog => Finding::warn(
            "redis.persistence",
            doubt,
            "redis-cli CONFIG SET appendonly yes, and appendonly yes in redis.conf (see deploy/redis/redis.conf)",
        ),
        RedisDoubt::LogFails => Finding::fail(
            "redis.persistence",
            doubt,
            "make room on the disk of Redis, or mend the rights of its folder: redis-cli CONFIG GET dir",
        ),
        RedisDoubt::SnapshotFails => Finding::fail(
            "redis.persistence",
            doubt,
            "make room on the disk of Redis, or do without snapshots beside the append-only file: redis-cli CONFIG SET save ''",
        ),
        RedisDoubt::NoReplica => {
            Finding::fail("redis.replicas", doubt, "start a replica (replicaof HOST PORT), or set HAUL_DURABILITY=aof")
        }
        RedisDoubt::NearlyFull { .. } => Finding::warn(
            "redis.memory",
            doubt,
            "raise it (redis-cli CONFIG SET maxmemory), or lower HAUL_QUEUE_LIMIT, HAUL_JOB_TTL or HAUL_METADATA_TTL",
        ),
    }
}

/// A cache that is full has to make room by itself.
fn fit_to_cache(facts: &RedisFacts) -> Finding {
    if facts.most_memory() > 0 && facts.policy() == Some("noeviction") {
        let remedy = "redis-cli CONFIG SET maxmemory-policy allkeys-lru, for it holds nothing but the cache";
        return Finding::warn("cache.eviction", "it may be full, and evicts nothing then: nothing new is kept", remedy);
    }
    Finding::ok("cache.eviction", facts.policy().unwrap_or("it names no policy"))
}

async fn shards(server: Server, settings: StoreSettings) -> Finding {
    let name = "redis.shards";
    match JobStore::new(server, settings).agrees().await {
        Ok(true) => Finding::ok(name, format!("{}, as the queue has", settings.shards.count())),
        Ok(false) => Finding::ok(name, "there is no queue yet: the first start makes it"),
        Err(error @ StoreError::OtherShards { theirs, .. }) => Finding::fail(
            name,
            error,
            format!("set HAUL_QUEUE_SHARDS={theirs}, or empty that redis when no job is left in it"),
        ),
        Err(error) => Finding::fail(name, error, "see whether its user may read keys that begin with haul"),
    }
}

async fn latency(server: &Server) -> Finding {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let began = Instant::now();
        if let Err(error) = server.ping().await {
            return unanswered("redis.latency", QUEUE, &error);
        }
        times.push(began.elapsed());
    }
    times.sort();
    let middle = times[PINGS / 2];
    let found = format!("an answer takes {:.1} ms", middle.as_secs_f64() * 1000.0);
    if middle > SLOW {
        let remedy = "put Redis near this process: into the same region, and on a machine that is not busy (redis-cli --latency)";
        return Finding::warn("redis.latency", found, remedy);
    }
    Finding::ok("redis.latency", found)
}

async fn clock(server: &Server) -> Finding {
    match server.clocks_off().await {
        Ok(off) => clock_is("clock.redis", "redis", off.into_iter().max().unwrap_or_default()),
        Err(error) => unanswered("clock.redis", QUEUE, &error),
    }
}

/// A clock that differs from ours by so much.
pub(super) fn clock_is(name: &'static str, whose: &str, off: Duration) -> Finding {
    let found = format!("the clocks of this machine and of {whose} differ by {:.1} s", off.as_secs_f64());
    let remedy = "let the clocks of all machines be set by NTP: apt-get install chrony; chronyc tracking";
    match off {
        off if off > CLOCK_WRONG => Finding::fail(name, found, remedy),
        off if off > CLOCK_DOUBTFUL => Finding::warn(name, found, remedy),
        _ => Finding::ok(name, found),
    }
}
