//! A Redis Cluster of one's own: three masters that share the slots, each with a replica if wanted.

use anyhow::{Context as _, Result};
use haul_shared::redis::{Deployment, Server};

use crate::processes::until;
use crate::redis::{Redis, free_port};

const SLOTS: usize = 16_384;

/// A running cluster. A slot whose master is gone is refused, the others are served.
pub struct Cluster {
    /// The masters of the beginning, in order of their slots.
    pub masters: Vec<Redis>,
    /// One of each, or none.
    pub replicas: Vec<Redis>,
}

impl Cluster {
    /// Three masters.
    ///
    /// # Errors
    /// When they do not find together.
    pub async fn start() -> Result<Self> {
        let mut masters = Vec::new();
        for at in 0..3 {
            let node = node().await?;
            let (first, end) = (SLOTS * at / 3, SLOTS * (at + 1) / 3);
            let number = (at + 1).to_string();
            tell(&node, &["SET-CONFIG-EPOCH", &number]).await?;
            tell(&node, &["ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]).await?;
            masters.push(node);
        }
        let cluster = Self { masters, replicas: Vec::new() };
        cluster.meet().await?;
        Ok(cluster)
    }

    /// Three masters and a replica of each, which takes its place when it is gone.
    ///
    /// # Errors
    /// When they do not find together.
    pub async fn with_replicas() -> Result<Self> {
        let mut cluster = Self::start().await?;
        for _ in 0..3 {
            cluster.replicas.push(node().await?);
        }
        cluster.meet().await?;
        for (master, replica) in cluster.masters.iter().zip(&cluster.replicas) {
            tell(replica, &["REPLICATE", &id(master).await?]).await?;
        }
        for master in &cluster.masters {
            until("a replica has what its master has", async || master.has_replica().await).await?;
        }
        Ok(cluster)
    }

    /// Its masters, as `HAUL_REDIS_URL` takes them.
    #[must_use]
    pub fn urls(&self) -> String {
        self.masters.iter().map(Redis::url).collect::<Vec<_>>().join(",")
    }

    /// Connections such as the service has.
    ///
    /// # Errors
    /// Never; its URLs are some.
    pub fn server(&self, size: usize) -> Result<Server> {
        let urls = self.masters.iter().map(|node| node.url().into()).collect();
        Ok(Server::new(&Deployment::Cluster { urls }, size)?)
    }

    /// Which of the masters has this key.
    ///
    /// # Errors
    /// When none of them answers.
    pub async fn owner(&self, key: &str) -> Result<usize> {
        let mut connection = self.masters.first().context("there are three")?.connection().await?;
        let slot: usize = redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut connection).await?;
        Ok((0..3).find(|at| slot < SLOTS * (at + 1) / 3).unwrap_or(2))
    }

    /// Gives the slot of a key, and what is in it, to another master.
    ///
    /// # Errors
    /// When a node refuses.
    pub async fn move_slot(&self, key: &str, to: usize) -> Result<()> {
        let (from, to) = (&self.masters[self.owner(key).await?], &self.masters[to]);
        let slot: usize =
            redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut from.connection().await?).await?;
        let slot = slot.to_string();
        let (giver, taker) = (id(from).await?, id(to).await?);
        tell(to, &["SETSLOT", &slot, "IMPORTING", &giver]).await?;
        tell(from, &["SETSLOT", &slot, "MIGRATING", &taker]).await?;
        let mut connection = from.connection().await?;
        let mut inside = redis::cmd("CLUSTER");
        let keys: Vec<String> = inside.arg("GETKEYSINSLOT").arg(&slot).arg(1000).query_async(&mut connection).await?;
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(to.port()).arg("").arg(0).arg(5000).arg("KEYS").arg(keys);
        migrate.query_async::<()>(&mut connection).await?;
        for node in [to, from] {
            tell(node, &["SETSLOT", &slot, "NODE", &taker]).await?;
        }
        Ok(())
    }

    fn nodes(&self) -> impl Iterator<Item = &Redis> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Makes all nodes known to each other.
    async fn meet(&self) -> Result<()> {
        let first = self.masters.first().context("there are three")?;
        for node in self.nodes().skip(1) {
            let bus: String = node.config("cluster-port").await?;
            tell(first, &["MEET", "127.0.0.1", &node.port().to_string(), &bus]).await?;
        }
        let known = self.nodes().count().to_string();
        for node in self.nodes() {
            until("a node knows the others", async || is_whole(node, &known).await.unwrap_or(false)).await?;
        }
        Ok(())
    }
}

async fn is_whole(node: &Redis, known: &str) -> Result<bool> {
    let mut connection = node.connection().await?;
    let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await?;
    let has = |line: String| info.lines().any(|found| found.trim() == line);
    let is_whole = ["cluster_state:ok", "cluster_slots_assigned:16384"].into_iter().all(|line| has(line.to_owned()))
        && has(format!("cluster_known_nodes:{known}"));
    // a node is counted before it can be spoken to, and what is published until then is lost to it
    let nodes: String = redis::cmd("CLUSTER").arg("NODES").query_async(&mut connection).await?;
    let is_linked = |line: &str| line.contains(" connected") && !line.contains("handshake");
    Ok(is_whole && nodes.lines().all(is_linked))
}

async fn node() -> Result<Redis> {
    let bus = free_port()?.to_string();
    Redis::with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "5000",
        "--cluster-require-full-coverage",
        "no",
        "--repl-diskless-sync-delay",
        "0",
        "--repl-ping-replica-period",
        "1",
    ])
    .await
}

async fn id(node: &Redis) -> Result<String> {
    Ok(redis::cmd("CLUSTER").arg("MYID").query_async(&mut node.connection().await?).await?)
}

async fn tell(node: &Redis, words: &[&str]) -> Result<()> {
    Ok(redis::cmd("CLUSTER").arg(words).query_async(&mut node.connection().await?).await?)
}
