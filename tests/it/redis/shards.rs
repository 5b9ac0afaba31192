//! A queue whose shards lie on three masters, one of which dies.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use haul_shared::ids::{Shard, Shards, WorkerId};
use haul_shared::store::{Claims, Done, JobStore, Kind, Leased, Pulse, StoreError, StoreSettings, Submitted};
use haul_tests::cluster::Cluster;
use haul_tests::processes::{PATIENCE, until};

use crate::store::{artifact, beat, order, settings};

/// A store of four shards on a cluster.
struct Spread {
    cluster: Cluster,
    store: JobStore,
    shards: Shards,
}

impl Spread {
    async fn start() -> Result<Self> {
        let (cluster, shards) = (Cluster::start().await?, Shards::new(4).unwrap());
        let store = JobStore::new(cluster.server(4)?, StoreSettings { shards, ..settings() });
        store.agree().await?;
        Ok(Self { cluster, store, shards })
    }

    /// The shards of the master that has the first one, which is to die, and those of the others.
    async fn split(&self) -> Result<(usize, BTreeSet<Shard>, BTreeSet<Shard>)> {
        let dies = self.cluster.owner("haul1:{0}:").await?;
        let (mut dead, mut alive) = (BTreeSet::new(), BTreeSet::new());
        for shard in self.shards.all() {
            let is_dead = self.cluster.owner(&format!("haul1:{{{shard}}}:")).await? == dies;
            if is_dead { &mut dead } else { &mut alive }.insert(shard);
        }
        ensure!(!alive.is_empty(), "the shards lie on more than one master");
        Ok((dies, dead, alive))
    }

    /// Submits `count` jobs to each of these shards.
    async fn submit(&self, shards: &BTreeSet<Shard>, count: usize, round: &str) -> Result<()> {
        for shard in shards {
            let mut submitted = 0;
            for n in 0.. {
                let mut order = order("a", &format!("https://example.com/{round}/{n}"));
                order.ticket = self.store.draw(&order.spec, &order.region);
                if order.ticket.shard(self.shards) != *shard {
                    continue;
                }
                let answer = self.store.submit(&order).await?;
                ensure!(matches!(answer, Submitted::Accepted(_)), "{answer:?}");
                submitted += 1;
                if submitted == count {
                    break;
                }
            }
        }
        Ok(())
    }

    fn claims(&self) -> Claims {
        self.store.claims(&WorkerId::on_host("spread"), Kind::Download, &["default".parse().unwrap()])
    }

    async fn complete(&self, leased: &Leased) -> Result<()> {
        self.store.reserve(&leased.lease, &artifact(leased).object).await?;
        ensure!(self.store.complete(&leased.lease, &artifact(leased), &[]).await? == Done::Completed);
        Ok(())
    }

    fn shard(&self, leased: &Leased) -> Shard {
        leased.lease.job.shard(self.shards)
    }
}

/// Takes so many jobs, however often that has to be tried.
async fn take(claims: &mut Claims, count: usize) -> Result<Vec<Leased>> {
    let mut jobs = Vec::new();
    until("jobs are handed out", async || {
        if let Ok(more) = claims.take(count - jobs.len()).await {
            jobs.extend(more);
        }
        jobs.len() == count
    })
    .await?;
    Ok(jobs)
}

#[tokio::test]
async fn the_shards_of_a_dead_master_stand_still_and_no_others() -> Result<()> {
    let mut spread = Spread::start().await?;
    let all: BTreeSet<Shard> = spread.shards.all().collect();
    spread.submit(&all, 3, "before").await?;
    let mut claims = spread.claims();
    let running = take(&mut claims, 8).await?;
    assert!(running.iter().map(|leased| spread.shard(leased)).collect::<BTreeSet<_>>().len() >= 3);

    let (dies, dead, alive) = spread.split().await?;
    spread.cluster.masters[dies].kill()?;

    let refused = spread.submit(&dead, 1, "refused").await.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(StoreError::Unavailable(_))), "{refused}");
    let beats: Vec<_> = running.iter().map(|leased| beat(leased, 5.0)).collect();
    let pulses = spread.store.heartbeat(&beats).await?;
    for (leased, pulse) in running.iter().zip(pulses) {
        let expected = alive.contains(&spread.shard(leased)).then_some(Pulse::Ok);
        assert_eq!(pulse, expected, "of shard {}", spread.shard(leased));
    }
    let (goes_on, stands): (Vec<_>, Vec<_>) = running.iter().partition(|leased| alive.contains(&spread.shard(leased)));
    for leased in goes_on {
        spread.complete(leased).await?;
    }
    // all that waited there, and what is new
    let rest = 3 * alive.len() - running.iter().filter(|leased| alive.contains(&spread.shard(leased))).count();
    spread.submit(&alive, 2, "after").await?;
    for leased in take(&mut claims, rest + 2 * alive.len()).await? {
        assert!(alive.contains(&spread.shard(&leased)));
        spread.complete(&leased).await?;
    }
    assert!(spread.store.upkeep().await.is_err(), "one shard could not be looked after");

    spread.cluster.masters[dies].restart().await?;
    until("it serves again", async || spread.store.upkeep().await.is_ok()).await?;
    for leased in stands {
        spread.complete(leased).await?;
    }
    let waits = 3 * dead.len() - running.iter().filter(|leased| dead.contains(&spread.shard(leased))).count();
    for leased in take(&mut claims, waits).await? {
        spread.complete(&leased).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_waits_for_jobs_hears_of_those_on_any_living_shard() -> Result<()> {
    let mut spread = Spread::start().await?;
    let (dies, _, alive) = spread.split().await?;
    let mut claims = spread.claims();
    assert!(claims.take(1).await?.is_empty());
    spread.cluster.masters[dies].kill()?;
    for shard in alive {
        let (one, round) = (BTreeSet::from([shard]), shard.to_string());
        let mut taken = Vec::new();
        let (submitted, ()) = tokio::join!(spread.submit(&one, 1, &round), async {
            while taken.is_empty() {
                taken = claims.take(1).await.unwrap_or_default();
                if taken.is_empty() {
                    let _ = tokio::time::timeout(PATIENCE, claims.wait()).await;
                }
            }
        });
        submitted?;
        spread.complete(&taken[0]).await?;
    }
    Ok(())
}
