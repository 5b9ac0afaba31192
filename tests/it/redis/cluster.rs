//! Three masters that share the slots.

use std::time::Duration;

use anyhow::{Context as _, Result};
use haul_shared::cookies::Cookies;
use haul_shared::job::{DownloadSpec, FailureKind, PlanSpec};
use haul_shared::media::Format;
use haul_shared::metadata::{DownloadPlan, Finding, KEPT_FOR, Look, MetadataCache, Picture};
use haul_shared::source::SourceUrl;
use haul_tests::cluster::Cluster;
use haul_tests::processes::{PATIENCE, until};

use super::*;

/// Three keys, one on each master.
async fn keys(cluster: &Cluster) -> Result<Vec<String>> {
    let mut keys = vec![String::new(); 3];
    for at in 0.. {
        let key = format!("{{{at}}}:counted");
        let owner = cluster.owner(&key).await?;
        keys[owner] = key;
        if keys.iter().all(|key| !key.is_empty()) {
            break;
        }
    }
    Ok(keys)
}

#[tokio::test]
async fn a_dead_master_disturbs_no_other() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let (server, script) = (cluster.server(4)?, count());
    server.check(Durability::Aof).await?;
    let keys = keys(&cluster).await?;
    for key in &keys {
        assert_eq!(count_at(&server, &script, key).await?, 1);
    }

    cluster.masters[2].kill()?;
    assert!(count_at(&server, &script, &keys[2]).await.is_err());
    // neither known scripts nor new ones, neither old connections nor new ones
    let (fresh, other) = (cluster.server(4)?, Script::new("decrease", "return redis.call('DECR', KEYS[1])".to_owned()));
    for server in [&server, &fresh] {
        server.ping().await?;
        for key in &keys[..2] {
            count_at(server, &script, key).await?;
            count_at(server, &other, key).await?;
        }
    }
    cluster.masters[2].restart().await?;
    until("it serves again", async || count_at(&server, &script, &keys[2]).await.is_ok()).await?;
    Ok(())
}

#[tokio::test]
async fn a_replica_that_takes_the_place_of_its_master_is_found() -> Result<()> {
    let mut cluster = Cluster::with_replicas().await?;
    let (server, script) = (cluster.server(4)?, count());
    let key = keys(&cluster).await?.pop().context("three keys")?;
    let counted: u64 = server.call_durably(script.call().key(&key)).await?;
    assert_eq!(counted, 1);
    cluster.masters[2].kill()?;
    until("the replica serves", async || count_at(&server, &script, &key).await.is_ok()).await?;
    assert!(count_at(&server, &script, &key).await? >= 3, "what was acknowledged is there");
    Ok(())
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() -> Result<()> {
    let cluster = Cluster::start().await?;
    let (server, script) = (cluster.server(4)?, count());
    let key = keys(&cluster).await?.swap_remove(0);
    assert_eq!(count_at(&server, &script, &key).await?, 1);
    cluster.move_slot(&key, 1).await?;
    assert_eq!(count_at(&server, &script, &key).await?, 2);
    Ok(())
}

#[tokio::test]
async fn what_is_published_anywhere_is_heard() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let server = cluster.server(2)?;
    let (tell, mut heard) = tokio::sync::mpsc::channel(16);
    let _listener = server.listen(vec!["{0}".to_owned(), "{1}".to_owned()], move |what| drop(tell.try_send(what)));
    let mut next = async || tokio::time::timeout(PATIENCE, heard.recv()).await;
    assert_eq!(next().await?, Some(Heard::Gap));
    for node in &cluster.masters {
        redis::cmd("PUBLISH").arg("{1}").arg("word").query_async::<()>(&mut node.connection().await?).await?;
        assert_eq!(next().await?, Some(Heard::Message(b"word".to_vec())));
    }
    cluster.masters[0].kill()?;
    assert_eq!(next().await?, Some(Heard::Gap), "another node tells");
    redis::cmd("PUBLISH").arg("{0}").arg("word").query_async::<()>(&mut cluster.masters[2].connection().await?).await?;
    assert_eq!(next().await?, Some(Heard::Message(b"word".to_vec())));
    Ok(())
}

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_as_a_single_server() -> Result<()> {
    let cluster = Cluster::start().await?;
    let refused = cluster.masters[0].server(2)?.check(Durability::Aof).await.unwrap_err();
    assert_eq!(refused.to_string(), "redis runs in cluster mode: set HAUL_REDIS_CLUSTER=true");
    Ok(())
}

/// Fault: a picture that was on its way when its address was forgotten came back, and one lived longer than what named it.
#[tokio::test]
async fn a_picture_is_kept_only_with_what_names_it_and_forgotten_with_it() -> Result<()> {
    let cluster = Cluster::start().await?;
    let life = Duration::from_secs(300);
    let cache = MetadataCache::new(cluster.server(2)?, life);
    let of_long_life = MetadataCache::new(cluster.server(2)?, life * 100);
    let finding = Finding::Found(Box::default());
    // enough for all masters
    for n in 0..12 {
        let look =
            Look { url: SourceUrl::read(&format!("https://video.example/{n}"))?, cookies: Cookies::None, first: 1 };
        cache.put(&look, &finding).await?;
        of_long_life.put_picture(&look, Ok(b"jpeg")).await?;
        let kept = of_long_life.picture(&look).await?.context("a picture")?;
        assert_eq!(kept.picture, Picture::Jpeg(b"jpeg".to_vec()));
        assert!(kept.left <= life * KEPT_FOR, "{:?}", kept.left);

        cache.forget(&look).await?;
        assert_eq!((cache.get(&look).await?, cache.picture(&look).await?), (None, None));
        cache.put_picture(&look, Ok(b"late")).await?;
        assert_eq!(cache.picture(&look).await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn all_plans_of_an_address_are_forgotten_with_it_and_none_comes_back_with_the_next() -> Result<()> {
    let cluster = Cluster::start().await?;
    let cache = MetadataCache::new(cluster.server(2)?, Duration::from_secs(300));
    let plan = |reason: &str| DownloadPlan { reason: reason.to_owned(), ..DownloadPlan::default() };
    let known = async |order: &PlanSpec| {
        anyhow::Ok(cache.plan(order).await?.map(|cached| {
            assert!(!cached.stale && cached.age < Duration::from_secs(300), "{cached:?}");
            cached.finding
        }))
    };
    // enough for all masters
    for n in 0..12 {
        let url = SourceUrl::read(&format!("https://video.example/{n}"))?;
        let order = |format, region: &str| {
            let download = DownloadSpec { format, ..haul_tests::usual_spec(&url) };
            anyhow::Ok(PlanSpec::of(download, region.parse()?))
        };
        let [one, other] = [order(Format::Mp4, "eu")?, order(Format::Mp3, "eu")?];
        let found = Finding::Found(Box::new(plan("one")));
        let refused = Finding::Refused { kind: FailureKind::FormatUnavailable, retry_after: None };
        cache.put_plan(&one, &found).await?;
        cache.put_plan(&other, &refused).await?;
        assert_eq!((known(&one).await?, known(&other).await?), (Some(found), Some(refused)));
        assert_eq!(known(&order(Format::Mp4, "us")?).await?, None, "another region has a plan of its own");

        cache.forget(&Look { url: url.clone(), cookies: Cookies::None, first: 1 }).await?;
        assert_eq!((known(&one).await?, known(&other).await?), (None, None));
        let newer = Finding::Found(Box::new(plan("newer")));
        cache.put_plan(&one, &newer).await?;
        assert_eq!((known(&one).await?, known(&other).await?), (Some(newer), None));
        // our own trouble says nothing of the medium
        cache.put_plan(&other, &Finding::Refused { kind: FailureKind::Internal, retry_after: None }).await?;
        assert_eq!(known(&other).await?, None);
    }
    Ok(())
}
